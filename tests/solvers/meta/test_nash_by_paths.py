"""The two path-following Nash solvers: limiting logit equilibrium and Lemke-Howson."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers.meta.bimatrix import solve_bimatrix
from solvers.meta.logit import solve_logit
from solvers.meta.nash import solve_nash
from solvers.types import SolverError

STAG_HUNT = np.array([[[4.0, 4.0], [1.0, 3.0]], [[3.0, 1.0], [2.0, 2.0]]])


def test_logit_path_of_battle_of_the_sexes_by_hand():
    """With payoffs (3, 2) and (2, 3) the path keeps the symmetry that swaps players and strategies:
    it ends in the mixed equilibrium (3/5, 2/5), (2/5, 3/5).
    """
    payoffs = np.array([[[3.0, 2.0], [0.0, 0.0]], [[0.0, 0.0], [2.0, 3.0]]])
    row, column = solve_logit(payoffs).marginals()
    np.testing.assert_allclose(row, [0.6, 0.4], atol=1e-9)
    np.testing.assert_allclose(column, [0.4, 0.6], atol=1e-9)


def test_logit_path_picks_the_risk_dominant_equilibrium():
    """Against uniform play the second strategy of this stag hunt earns 2.5, the first 2.5: tilt it.

    With 1.1 instead of 1 for lone stags the first is better against uniform play and wins; with 0.9
    the second does (risk dominance, Harsanyi and Selten 1988).
    """
    for lone, winner in ((1.1, 0), (0.9, 1)):
        payoffs = STAG_HUNT.copy()
        payoffs[0, 1, 0] = payoffs[1, 0, 1] = lone
        assert solve_logit(payoffs).joint[winner, winner] == pytest.approx(1.0)


@pytest.mark.parametrize("shape", [(1,), (4,), (3, 3), (6, 4), (3, 3, 3), (2, 2, 2, 2)])
@pytest.mark.parametrize("seed", range(4))
def test_logit_ends_in_an_equilibrium(shape, seed):
    payoffs = np.random.default_rng(seed).normal(size=(*shape, len(shape)))
    result = solve_logit(payoffs)
    assert result.gap <= 1e-9 * np.ptp(payoffs)
    assert result.status == "solved"


@settings(max_examples=30)
@given(seed=st.integers(0, 1000))
def test_logit_follows_renaming_and_common_units(seed):
    rng = np.random.default_rng(seed)
    payoffs = rng.normal(size=(3, 4, 2))
    orders = [rng.permutation(3), rng.permutation(4)]
    joint = solve_logit(payoffs).joint
    changed = 7.0 * payoffs[np.ix_(*orders)] + rng.normal(size=2)
    np.testing.assert_allclose(solve_logit(changed).joint, joint[np.ix_(*orders)], atol=1e-6)


def test_logit_that_is_stopped_early_says_so():
    payoffs = np.random.default_rng(0).normal(size=(5, 5, 2))
    with pytest.raises(SolverError, match=r"did not end at precision .* least NashConv"):
        solve_logit(payoffs, max_steps=2)
    with pytest.raises(ValueError, match="at least one step"):
        solve_logit(payoffs, max_steps=0)


@pytest.mark.parametrize("seed", range(20))
def test_bimatrix_gap_on_random_and_tied_games(seed):
    rng = np.random.default_rng(seed)
    shape = (*rng.integers(1, 8, size=2), 2)
    payoffs = rng.normal(size=shape) if seed % 2 else rng.integers(-1, 2, size=shape).astype(float)
    result = solve_bimatrix(payoffs)
    assert result.gap <= 1e-9 * max(np.ptp(payoffs), 1e-300)


@pytest.mark.parametrize("seed", range(5))
def test_bimatrix_is_nashpys_lemke_howson(seed):
    nashpy = pytest.importorskip("nashpy")
    payoffs = np.random.default_rng(seed).normal(size=(4, 5, 2))
    game = nashpy.Game(payoffs[..., 0], payoffs[..., 1])
    expected = game.lemke_howson(initial_dropped_label=0)
    for own, theirs in zip(solve_bimatrix(payoffs).marginals(), expected, strict=True):
        np.testing.assert_allclose(own, theirs, atol=1e-9)


def test_bimatrix_lemma_by_hand():
    """Dropping the first label in the stag hunt leads to the equilibrium that plays it."""
    np.testing.assert_allclose(solve_bimatrix(STAG_HUNT).joint, [[1.0, 0.0], [0.0, 0.0]])


def test_both_find_the_value_of_a_degenerate_zero_sum_game(leduc_population):
    payoffs = leduc_population(25)
    value = np.vdot(solve_nash(payoffs).joint, payoffs[..., 0])
    for solver in (solve_logit, solve_bimatrix):
        joint = solver(payoffs).joint
        assert np.vdot(joint, payoffs[..., 0]) == pytest.approx(value, abs=1e-8 * np.ptp(payoffs))


def test_bimatrix_is_for_two_players_and_bounded():
    with pytest.raises(ValueError, match="for 2 players, not 3"):
        solve_bimatrix(np.zeros((2, 2, 2, 3)))
    payoffs = np.random.default_rng(1).normal(size=(8, 8, 2))
    with pytest.raises(SolverError, match="found no equilibrium of the 8x8 game in"):
        solve_bimatrix(payoffs, max_pivots=1)
