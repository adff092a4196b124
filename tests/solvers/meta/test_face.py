"""The face of a zero-sum game's correlated equilibria, and solving on it."""

import numpy as np
import pytest
import scipy.optimize

import solvers.meta.projector as projector
from solvers.meta.correlated import solve_correlated
from solvers.meta.deviation import deviation_gains, swap_gains
from solvers.meta.face import zero_sum_face
from solvers.meta.incentives import incentives

GAINS = {"cce": deviation_gains, "ce": swap_gains}


def _zero_sum(matrix):
    return np.stack([matrix, -matrix], axis=-1)


def _most(payoffs, cost, concept):
    """The greatest `cost . joint` of an equilibrium, by a linear program from the definition."""
    k0, k1 = payoffs.shape[:2]
    rows = []
    for player in range(2):
        table = np.moveaxis(payoffs[..., player], player, 0)
        size = len(table)
        pairs = [(None, d) for d in range(size)]
        if concept == "ce":
            pairs = [(k, d) for k in range(size) for d in range(size)]
        for drawn, deviation in pairs:
            gain = table[deviation] - table
            if drawn is not None:
                gain = np.where(np.arange(size)[:, None] == drawn, gain, 0.0)
            rows.append(np.moveaxis(gain.reshape(size, -1), 0, player).reshape(-1))
    result = scipy.optimize.linprog(
        -cost.reshape(-1),
        A_ub=np.array(rows),
        b_ub=np.full(len(rows), 1e-9),
        A_eq=np.ones((1, k0 * k1)),
        b_eq=[1.0],
    )
    assert result.status == 0
    return -result.fun


@pytest.mark.parametrize("concept", ["cce", "ce"])
def test_no_equilibrium_leaves_the_face(concept):
    # Small integers make ties, and sets of optimal strategies that are more than a point.
    rng = np.random.default_rng(3)
    for shape in ((4, 4), (3, 5), (5, 5)):
        payoffs = _zero_sum(rng.integers(-2, 3, size=shape).astype(float))
        face = zero_sum_face(incentives(payoffs, concept))
        inside = np.zeros(shape, bool)
        inside[np.ix_(*face.kept)] = True
        np.testing.assert_array_equal(face.excess > 0, ~inside)
        assert _most(payoffs, (~inside).astype(float), concept) < 1e-6
        if concept == "cce":
            # Strict complementarity: some equilibrium plays each profile that is kept.
            for profile in np.argwhere(inside):
                cost = np.zeros(shape)
                cost[tuple(profile)] = 1.0
                assert _most(payoffs, cost, concept) > 1e-4


@pytest.mark.parametrize("maximise", ["gini", "entropy"])
@pytest.mark.parametrize("concept", ["cce", "ce"])
def test_same_answer_as_without_the_face(concept, maximise, leduc_population, monkeypatch):
    payoffs = leduc_population(20)
    on_face = solve_correlated(payoffs, concept=concept, maximise=maximise)
    monkeypatch.setattr(projector, "zero_sum_face", lambda operator: None)
    without = solve_correlated(payoffs, concept=concept, maximise=maximise)
    assert on_face.residual <= 1e-8
    assert on_face.objective == pytest.approx(without.objective, rel=1e-6)
    np.testing.assert_allclose(on_face.joint, without.joint, atol=1e-4)


@pytest.mark.parametrize("concept", ["cce", "ce"])
def test_what_a_player_cannot_influence_makes_no_difference(concept):
    rng = np.random.default_rng(4)
    matrix = rng.integers(-3, 4, size=(6, 7)).astype(float)
    payoffs = _zero_sum(matrix)
    # Strategically zero-sum: neither the sum of payoffs nor their scales are those of a zero-sum
    # game, but all deviations gain in proportion.
    disguised = np.stack(
        [3 * matrix + rng.normal(size=(1, 7)), -0.2 * matrix + rng.normal(size=(6, 1))], axis=-1
    )
    face = zero_sum_face(incentives(disguised, concept))
    plain = zero_sum_face(incentives(payoffs, concept))
    for own, other in zip(face.kept, plain.kept, strict=True):
        np.testing.assert_array_equal(own, other)
    result = solve_correlated(disguised, concept=concept)
    np.testing.assert_allclose(
        result.joint, solve_correlated(payoffs, concept=concept).joint, atol=1e-8
    )
    assert result.residual <= 1e-8


@pytest.mark.parametrize(
    "payoffs",
    [
        np.random.default_rng(5).normal(size=(4, 4, 2)),
        np.repeat(np.random.default_rng(6).normal(size=(4, 4, 1)), 2, axis=-1),
        np.random.default_rng(7).normal(size=(3, 3, 3, 3)),
    ],
    ids=["general sum", "common payoff", "three players"],
)
def test_other_games_have_no_such_face(payoffs):
    assert zero_sum_face(incentives(payoffs, "cce")) is None


@pytest.mark.parametrize("concept", ["cce", "ce"])
def test_multipliers_are_those_of_the_whole_game(concept):
    payoffs = _zero_sum(np.random.default_rng(8).normal(size=(8, 8)))
    operator = incentives(payoffs, concept)
    result = solve_correlated(payoffs, concept=concept)
    assert np.all(result.duals >= 0)
    # The joint is the projection that its prices ask for: an optimum from the definition.
    prices = operator.prices(result.duals)
    level = np.median((prices + result.joint)[result.joint > 1e-9])
    np.testing.assert_allclose(np.maximum(level - prices, 0), result.joint, atol=1e-7)
    assert GAINS[concept](payoffs, result.joint).max() <= 1e-12


def test_no_relief_in_a_zero_sum_game():
    payoffs = _zero_sum(np.random.default_rng(9).normal(size=(7, 5)))
    least = solve_correlated(payoffs, epsilon="min")
    assert least.epsilon == 0
    np.testing.assert_allclose(least.joint, solve_correlated(payoffs).joint, atol=1e-9)
