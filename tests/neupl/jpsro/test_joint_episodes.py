"""Who meets whom when a joint is measured from episodes, and what weighs how much: by hand."""

import numpy as np
import pytest

from neupl.jpsro.joint_episodes import draw_pairs
from neupl.jpsro.policy_change import mean_change
from neupl.jpsro.profile_payoffs import joint_importance

PLAYERS = 3


def test_pairs_are_spread_over_the_joint():
    """Systematic draws: every profile is drawn as often as it should be, but for one lane."""
    joint = np.random.default_rng(0).dirichlet(np.ones(8)).reshape(2, 2, 2)
    for concept in ("cce", "ce"):
        seat, advice, profile = draw_pairs(
            np.random.default_rng(1), joint, lanes=3000, concept=concept
        )
        own = profile[np.arange(3000), seat]
        np.testing.assert_array_equal(advice, own if concept == "ce" else 0 * own)
        for player in range(PLAYERS):
            drawn = np.zeros((2, 2, 2))
            np.add.at(drawn, tuple(profile[seat == player].T), 1)
            assert np.abs(drawn - 1000 * joint).max() <= 1


def test_payoffs_weigh_as_much_as_the_joint_draws_the_others():
    """By hand: seat 0 meets the first strategy of seat 1 in 3/4 of the draws; a quarter of the
    weight is even.
    """
    joint = np.zeros((3, 3))
    joint[0, 0], joint[1, 0], joint[1, 1] = 0.5, 0.25, 0.25
    weights = joint_importance(joint, np.array([2, 2]))
    np.testing.assert_allclose(weights[:2, 0, 0], 0.75 * 0.75 + 0.25 / 2)
    np.testing.assert_allclose(weights[1, :2, 1], 0.75 * 0.5 + 0.25 / 2)
    assert not weights[2].any() and not weights[:, 2].any()


def test_episodes_that_nobody_played_are_not_held_for_nothing():
    """The new policy does with probability 1 what the old one did in a hundredth: of 100 episodes,
    all without it, nothing is known.
    """
    mean, error = mean_change(np.zeros(100), np.arange(100) / 100, payoff_range=6.0)
    assert mean == pytest.approx(0.0) and error == pytest.approx(6.0, abs=0.01)
