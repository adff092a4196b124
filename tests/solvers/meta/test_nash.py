"""Maximum-entropy Nash equilibria of zero-sum matrices: known games, invariances, an oracle."""

import numpy as np
import pytest
import scipy.optimize

from solvers.meta.nash import solve_nash

ROCK_PAPER_SCISSORS = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])


def random_matrix(rng):
    """Generic, integer, low-rank or antisymmetric, so that most have many equilibria."""
    rows, columns = rng.integers(1, 10, 2)
    kind = rng.integers(4)
    if kind == 0:
        return rng.normal(size=(rows, columns))
    if kind == 1:
        return rng.integers(-2, 3, (rows, columns)).astype(float)
    if kind == 2:
        left, right = rng.integers(-2, 3, (rows, 2)), rng.integers(-2, 3, (2, columns))
        return (left @ right).astype(float)
    square = rng.integers(-1, 2, (rows, rows))
    return (square - square.T).astype(float)


def entropy(x):
    return -np.sum(x[x > 0] * np.log(x[x > 0]))


def test_known_games():
    """Rock-paper-scissors; lopsided pennies, where 3x - 1 = 1 - 2x; a saddle point."""
    np.testing.assert_allclose(solve_nash(ROCK_PAPER_SCISSORS).joint, 1 / 9, atol=1e-12)
    row, column = solve_nash(np.array([[2.0, -1.0], [-1.0, 1.0]])).marginals()
    np.testing.assert_allclose(row, [0.4, 0.6], atol=1e-12)
    np.testing.assert_allclose(column, [0.4, 0.6], atol=1e-12)
    saddle = solve_nash(np.array([[1.0, 2.0], [0.0, 3.0]]))
    np.testing.assert_allclose(saddle.joint, [[1, 0], [0, 0]], atol=1e-12)
    assert (saddle.concept, saddle.status) == ("nash", "solved")


def test_indifferent_players_mix_uniformly():
    result = solve_nash(np.full((3, 4), 7.0))
    np.testing.assert_allclose(result.joint, 1 / 12, atol=1e-12)
    assert result.gap == 0.0


def test_copies_share_the_probability_of_the_strategy_they_copy():
    copied = np.append(ROCK_PAPER_SCISSORS, ROCK_PAPER_SCISSORS[2:], axis=0)
    copied = np.append(copied, copied[:, 2:], axis=1)
    row, column = solve_nash(copied).marginals()
    np.testing.assert_allclose(row, [1 / 3, 1 / 3, 1 / 6, 1 / 6], atol=1e-10)
    np.testing.assert_allclose(column, [1 / 3, 1 / 3, 1 / 6, 1 / 6], atol=1e-10)


def test_active_inequality_at_the_entropy_maximum_by_hand():
    """Rows 2 and 3 give the column player a way out unless row 1 is used enough.

    Against column 0 every row earns 0, the value; against column 1 the rows earn (1, -1, -1), so
    any x with x_0 >= 1/2 is optimal. The entropy would like 1/3 each and is stopped at
    (1/2, 1/4, 1/4).
    """
    row, _ = solve_nash(np.array([[0.0, 1.0], [0.0, -1.0], [0.0, -1.0]])).marginals()
    np.testing.assert_allclose(row, [0.5, 0.25, 0.25], atol=1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_gap_is_certified_and_entropy_is_maximal(seed):
    """SLSQP, from our answer and from the uniform point, finds no greater entropy."""
    matrix = random_matrix(np.random.default_rng(seed))
    result = solve_nash(matrix)
    row, column = result.marginals()
    value, spread = row @ matrix @ column, np.ptp(matrix)
    gap = (matrix @ column).max() - (row @ matrix).min()
    assert result.status == "solved"
    assert result.joint.sum() == pytest.approx(1.0, abs=1e-12)
    assert (result.joint >= 0).all()
    assert gap <= 1e-9 * spread + 1e-15
    assert result.gap == pytest.approx(gap, abs=1e-12)
    for table, own, worth in ((matrix, row, value), (-matrix.T, column, -value)):
        uniform = np.full(len(own), 1 / len(own))
        for start in (own, uniform):
            if len(own) == 1:
                continue
            numeric = scipy.optimize.minimize(
                lambda x: np.sum(x * np.log(np.maximum(x, 1e-300))),
                np.maximum(start, 1e-9),
                jac=lambda x: np.log(np.maximum(x, 1e-300)) + 1,
                bounds=[(1e-12, 1)] * len(own),
                constraints=[
                    {"type": "eq", "fun": lambda x: x.sum() - 1},
                    {"type": "ineq", "fun": lambda x, t=table, w=worth: x @ t - w + 1e-9},
                ],
                method="SLSQP",
                options={"ftol": 1e-12, "maxiter": 200},
            )
            feasible = (numeric.x @ table).min() >= worth - 1e-7
            if numeric.success and feasible:
                assert entropy(own) >= entropy(numeric.x) - 2e-5


@pytest.mark.parametrize("seed", range(40, 60))
def test_order_scale_and_seat_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    matrix = random_matrix(rng)
    row, column = solve_nash(matrix).marginals()
    rows, columns = rng.permutation(len(row)), rng.permutation(len(column))
    moved = solve_nash(250 * matrix[rows][:, columns] - 17).marginals()
    np.testing.assert_allclose(moved[0], row[rows], atol=1e-7)
    np.testing.assert_allclose(moved[1], column[columns], atol=1e-7)
    exchanged = solve_nash(-matrix.T).marginals()
    np.testing.assert_allclose(exchanged[0], column, atol=1e-7)
    np.testing.assert_allclose(exchanged[1], row, atol=1e-7)


def test_both_players_payoffs_may_be_given_and_may_sum_to_a_constant():
    both = np.stack([ROCK_PAPER_SCISSORS, 5 - ROCK_PAPER_SCISSORS], axis=-1)
    np.testing.assert_allclose(solve_nash(both).joint, 1 / 9, atol=1e-12)


def test_nearly_equal_payoffs_still_give_an_equilibrium():
    """Differences around the tolerance blur which strategies are optimal; the gap must hold."""
    rng = np.random.default_rng(0)
    for exponent in range(6, 16):
        matrix = rng.integers(-2, 3, (12, 9))[rng.integers(0, 12, 12)]
        matrix = matrix + 10.0**-exponent * rng.normal(size=matrix.shape)
        row, column = solve_nash(matrix).marginals()
        gap = (matrix @ column).max() - (row @ matrix).min()
        assert gap <= 1.1e-9 * np.ptp(matrix)


def test_blurred_optima_fall_back_to_a_vertex_and_say_so():
    """Rows twelve orders of magnitude apart leave too few digits to tell what is optimal."""
    statuses = set()
    for seed in (4, 6, 8, 19, 21):
        rng = np.random.default_rng(seed)
        matrix = rng.integers(-2, 3, (12, 9)) * 10.0 ** rng.integers(-6, 7, (12, 1))
        result = solve_nash(matrix)
        row, column = result.marginals()
        assert (matrix @ column).max() - (row @ matrix).min() <= 1e-9 * np.ptp(matrix)
        statuses.add(result.status.split(":")[0])
    assert "solved by a vertex; entropy not maximised" in statuses


@pytest.mark.parametrize(
    ("payoffs", "message"),
    [
        (np.array([[0.0, np.nan]]), "NaN"),
        (np.array([[0.0, np.inf]]), "infinite"),
        (np.zeros((2, 2, 3)), "expected"),
        (np.zeros((0, 2)), "expected"),
        (np.zeros(3), "expected"),
        (np.zeros((2, 2, 2, 3)), "2 players, not 3; use the meta-solver 'prd' or 'uniform'"),
        (np.stack([np.eye(2), np.eye(2)], axis=-1), "zero-sum.*between 0 and 2.*'prd'"),
    ],
)
def test_unusable_payoffs_are_refused(payoffs, message):
    with pytest.raises(ValueError, match=message):
        solve_nash(payoffs)
