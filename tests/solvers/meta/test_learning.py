"""Regret matching, fictitious play and random profiles."""

import numpy as np
import pytest
from open_spiel.python.algorithms import regret_matching

from solvers.meta.deviation import deviation_gains
from solvers.meta.learning import solve_fictitious_play, solve_regret_matching
from solvers.meta.uniform import solve_random_joint


@pytest.mark.parametrize("sizes", [(4, 3), (3, 2, 3)])
def test_regret_matching_plays_openspiels_strategies(sizes):
    """OpenSpiel starts regrets at 1e-6, mixes 1e-6 of uniform and averages the start twice."""
    payoffs = np.random.default_rng(len(sizes)).normal(size=(*sizes, len(sizes)))
    rounds = 500
    expected = regret_matching.regret_matching(
        [payoffs[..., p] for p in range(len(sizes))], iterations=rounds, gamma=0.0
    )
    marginals = solve_regret_matching(payoffs, iterations=rounds + 1).marginals()
    for own, theirs in zip(marginals, expected, strict=True):
        np.testing.assert_allclose(own, theirs, atol=1e-3)


def test_regret_matching_ends_near_a_coarse_correlated_equilibrium():
    """Regret after T rounds is at most `range * sqrt(K / T)` per player."""
    for seed in range(5):
        payoffs = np.random.default_rng(seed).normal(size=(4, 4, 3, 3))
        result = solve_regret_matching(payoffs, iterations=2000)
        assert result.gap <= 3 * np.ptp(payoffs) * np.sqrt(4 / 2000)
        assert deviation_gains(payoffs, result.joint).max() < 0.1


def test_fictitious_play_is_the_loop_of_its_definition():
    payoffs = np.random.default_rng(3).normal(size=(3, 4, 2))
    counts = [np.zeros(3), np.zeros(4)]
    beliefs = [np.full(3, 1 / 3), np.full(4, 1 / 4)]
    for _ in range(200):
        row = np.argmax(payoffs[..., 0] @ beliefs[1])
        column = np.argmax(beliefs[0] @ payoffs[..., 1])
        counts[0][row] += 1
        counts[1][column] += 1
        beliefs = [own / own.sum() for own in counts]
    result = solve_fictitious_play(payoffs, iterations=200)
    np.testing.assert_allclose(result.joint, np.outer(*beliefs), atol=1e-12)


def test_fictitious_play_approaches_rock_paper_scissors():
    matrix = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    result = solve_fictitious_play(np.stack([matrix, -matrix], axis=-1), iterations=5000)
    np.testing.assert_allclose(result.joint, 1 / 9, atol=0.02)
    assert result.gap < 0.1


@pytest.mark.parametrize("solver", [solve_regret_matching, solve_fictitious_play])
def test_no_rounds_are_refused(solver):
    with pytest.raises(ValueError, match="at least 1"):
        solver(np.zeros((2, 2, 2)), iterations=0)


def test_random_joint_is_one_profile_and_its_seed_chooses_it():
    payoffs = np.zeros((5, 6, 2))
    joints = [solve_random_joint(payoffs, seed=seed).joint for seed in range(10)]
    assert all(np.count_nonzero(j) == 1 and j.sum() == 1 for j in joints)
    assert len({int(np.argmax(j)) for j in joints}) > 3
    np.testing.assert_array_equal(solve_random_joint(payoffs, seed=3).joint, joints[3])
