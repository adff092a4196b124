"""The logit path from a prior, and where it ends when equilibria form a continuum."""

import numpy as np
import pytest

from solvers.meta.logit import solve_logit

COORDINATION = np.stack([np.diag([1.0, 2.0, 1.5])] * 2, axis=-1)


def test_the_prior_decides_between_equilibria():
    """Coordination: from uniform play the path ends in the best equilibrium, from a prior that
    nearly plays another one in that.
    """
    assert solve_logit(COORDINATION).joint[1, 1] == pytest.approx(1, abs=1e-6)
    likely = np.array([0.98, 0.01, 0.01])
    result = solve_logit(COORDINATION, prior=[likely, likely])
    assert result.joint[0, 0] == pytest.approx(1, abs=1e-6)
    assert result.gap <= 1e-8


def test_a_prior_of_copies_is_the_game_with_copies():
    """A strategy that is there three times weighs as one of a threefold prior."""
    game = np.random.default_rng(0).normal(size=(3, 3, 2))
    copied = game[[0, 0, 0, 1, 2]]
    joint = solve_logit(copied).joint
    merged = np.stack([joint[:3].sum(axis=0), joint[3], joint[4]])
    weighed = solve_logit(game, prior=[np.array([0.6, 0.2, 0.2]), np.full(3, 1 / 3)]).joint
    assert merged == pytest.approx(weighed, abs=1e-7)


def test_a_continuum_of_equilibria_ends_at_the_limit_of_the_path():
    """The second player never affects its own payoff: all its mixtures under which the first
    player's first strategy is best are equilibria, and the path keeps to the prior.
    """
    game = np.zeros((2, 2, 2))
    game[..., 0] = [[1.0, 1.0], [0.0, 0.9]]
    result = solve_logit(game, prior=[np.full(2, 0.5), np.array([0.3, 0.7])])
    assert result.marginals()[1] == pytest.approx([0.3, 0.7], abs=1e-9)
    assert result.marginals()[0] == pytest.approx([1, 0], abs=1e-8)


def test_priors_are_checked():
    with pytest.raises(ValueError, match="prior must be 2 positive distributions over 3 and 3"):
        solve_logit(COORDINATION, prior=[np.array([1.0, 0, 0]), np.full(3, 1 / 3)])
