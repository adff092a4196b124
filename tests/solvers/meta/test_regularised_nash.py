"""Entropy-regularised equilibria of zero-sum matrices: closed forms, the fixed point, the limit."""

import numpy as np
import pytest

from solvers.meta.nash import solve_nash
from solvers.meta.regularised_nash import solve_regularised_nash


def logit(values, temperature):
    weights = np.exp((values - values.max()) / temperature)
    return weights / weights.sum()


def test_player_without_opponent_plays_the_logit_of_its_payoffs():
    """Three payoffs 0, 1, 2 at temperature 1/log 2: weights 1, 2, 4."""
    for payoffs, parts in [
        (np.array([[0.0], [1.0], [2.0]]), [[1, 2, 4], [1]]),
        (np.array([[0.0, 1.0, 2.0]]), [[1], [4, 2, 1]]),
    ]:
        found = solve_regularised_nash(payoffs, temperature=1 / np.log(2)).marginals()
        for strategy, part in zip(found, parts, strict=True):
            np.testing.assert_allclose(strategy, np.array(part) / sum(part), atol=1e-8)


def test_lopsided_pennies_by_hand():
    """Payoffs `[[2, 0], [0, 1]]`, x and y the probabilities of the first strategies: the log-odds
    of x are (3y - 1) / t, those of y (1 - 3x) / t. With x = 2/3 at t = 1 they are log 2 = 3y - 1,
    so y = 0.5644, whose log-odds 0.2590 are not -1: not an equilibrium. Solved by bisection here.
    """
    low, high = 0.0, 1.0
    for _ in range(60):
        x = (low + high) / 2
        y = 1 / (1 + np.exp(3 * x - 1))
        # The answer to the answer falls in x.
        low, high = (x, high) if 1 / (1 + np.exp(1 - 3 * y)) > x else (low, x)
    result = solve_regularised_nash(np.array([[2.0, 0.0], [0.0, 1.0]]), temperature=1.0)
    row, column = result.marginals()
    assert row[0] == pytest.approx(x, abs=1e-8) and column[0] == pytest.approx(y, abs=1e-8)
    gains = max(2 * y, 1 - y) - min(2 * x, 1 - x)
    assert result.gap == pytest.approx(gains, abs=1e-8) and result.concept == "regularised nash"


@pytest.mark.parametrize("temperature", [3.0, 0.1, 1e-3, 1e-4])
def test_strategies_are_logit_answers_to_each_other(temperature):
    """Whatever the shape, copies and dominated strategies included."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        matrix = rng.normal(size=rng.integers(1, 12, 2))
        matrix = np.vstack([matrix, matrix[:1], matrix[:1] - 5.0])
        result = solve_regularised_nash(matrix, temperature=temperature)
        row, column = result.marginals()
        # Rounding is magnified by the inverse temperature, and so is what remains of the iteration.
        close = {"rtol": 0, "atol": 1e-9 + 1e-11 / temperature}
        np.testing.assert_allclose(row, logit(matrix @ column, temperature), **close)
        np.testing.assert_allclose(column, logit(-(row @ matrix), temperature), **close)
        assert row[-2] == pytest.approx(row[0])
        assert 0 <= result.gap <= temperature * np.log(matrix.size) + 1e-9


def test_cold_equilibrium_has_the_value_of_nash():
    matrix = np.random.default_rng(1).normal(size=(9, 7))
    value = np.sum(solve_nash(matrix).joint * matrix)
    cold = solve_regularised_nash(matrix, temperature=1e-5)
    assert np.sum(cold.joint * matrix) == pytest.approx(value, abs=1e-4)


def test_units_do_not_matter_and_constants_are_ignored():
    matrix = np.random.default_rng(2).normal(size=(5, 6))
    joint = solve_regularised_nash(matrix, temperature=0.2).joint
    both = np.stack([8 * matrix + 3, 1 - 8 * matrix], axis=-1)
    scaled = solve_regularised_nash(both, temperature=1.6)
    np.testing.assert_allclose(scaled.joint, joint, atol=1e-8)
    np.testing.assert_allclose(
        solve_regularised_nash(np.full((2, 3), 7.0), temperature=1e-6).joint, 1 / 6
    )


def test_noise_moves_it_little_where_nash_jumps():
    """Two strategies that tie: Nash takes whichever is ahead."""
    matrix = np.array([[0.0], [0.0]])
    ahead = matrix + np.array([[1e-3], [0.0]])
    assert solve_nash(ahead).joint[0, 0] == 1.0
    regularised = solve_regularised_nash(ahead, temperature=0.1).joint
    assert abs(regularised[0, 0] - 0.5) < 0.01


def test_what_does_not_fit_is_refused():
    for temperature in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="temperature"):
            solve_regularised_nash(np.eye(2), temperature=temperature)
    with pytest.raises(ValueError, match="zero-sum"):
        solve_regularised_nash(np.ones((2, 2, 2)) * np.arange(2)[:, None, None], temperature=0.1)
    with pytest.raises(ValueError, match="finite"):
        solve_regularised_nash(np.full((2, 2), np.nan), temperature=0.1)
