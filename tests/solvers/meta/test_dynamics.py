"""Projected replicator dynamics and the uniform meta-strategy, against OpenSpiel and by hand."""

import numpy as np
import pytest
from open_spiel.python.algorithms import projected_replicator_dynamics

from solvers.meta.deviation import deviation_gains, product_joint
from solvers.meta.dynamics import solve_prd
from solvers.meta.uniform import solve_uniform


@pytest.mark.parametrize("sizes", [(4, 4), (3, 3, 3)])
def test_prd_agrees_with_openspiel(sizes):
    """OpenSpiel averages the start too, and does not divide its floor by the strategies."""
    payoffs = np.random.default_rng(len(sizes)).normal(size=(*sizes, len(sizes)))
    expected = projected_replicator_dynamics.projected_replicator_dynamics(
        [payoffs[..., p] for p in range(len(sizes))],
        prd_initial_strategies=[np.full(k, 1 / k) for k in sizes],
        prd_iterations=2000,
        prd_dt=1e-2,
        prd_gamma=0.02,
    )
    result = solve_prd(payoffs, iterations=2000, step_size=1e-2, floor=0.02 * sizes[0])
    for own, theirs in zip(result.marginals(), expected, strict=True):
        without_start = (2001 * theirs - 1 / len(own)) / 2000
        np.testing.assert_allclose(own, without_start, atol=1e-12)
    assert min(own.min() for own in result.marginals()) < 0.05
    assert result.gap == pytest.approx(np.maximum(deviation_gains(payoffs, result.joint), 0).sum())


def test_prd_keeps_its_floor_and_finds_a_dominant_strategy():
    """Prisoner's dilemma: defection dominates; the last steps sit at the floor."""
    own = np.array([[3.0, 0.0], [5.0, 1.0]])
    payoffs = np.stack([own, own.T], axis=-1)
    result = solve_prd(payoffs, iterations=20_000, step_size=1e-2, floor=0.02)
    for marginal in result.marginals():
        assert 0.01 <= marginal[0] < 0.05
    assert result.status == "stopped after 20000 steps"


def test_prd_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="floor in"):
        solve_prd(np.zeros((2, 2, 2)), floor=1.0)


def test_uniform_and_its_gap_by_hand():
    """Against a uniform opponent of the prisoner's dilemma defection earns 3, the mix 2.25."""
    own = np.array([[3.0, 0.0], [5.0, 1.0]])
    result = solve_uniform(np.stack([own, own.T], axis=-1))
    np.testing.assert_allclose(result.joint, 0.25)
    assert result.gap == pytest.approx(1.5)


def test_correlated_play_can_make_deviating_a_loss():
    """In a game of coordination keeping to the common draw is worth 1, any fixed choice 1/2."""
    payoffs = np.stack([np.eye(2), np.eye(2)], axis=-1)
    np.testing.assert_allclose(deviation_gains(payoffs, np.eye(2) / 2), [-0.5, -0.5])
    independent = product_joint([np.array([0.5, 0.5])] * 2)
    np.testing.assert_allclose(deviation_gains(payoffs, independent), [0.0, 0.0])
