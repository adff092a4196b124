"""What episodes tell of profiles that did not play them, by hand and against the truth."""

import numpy as np
import pytest

from neupl.jpsro.shared_episodes import shared_statistics
from neupl.payoff_statistics import add, empty


def test_strategies_that_are_alike_share_all_episodes():
    """The weights of every profile are 1, whoever played."""
    rng = np.random.default_rng(0)
    log_probs = np.tile(rng.normal(size=(50, 3, 1)), (1, 1, 2))
    returns = rng.normal(size=(50, 3)).astype(np.float32)
    played = np.zeros((2, 2, 2), np.int64)
    played[0, 1, 0], played[1, 1, 1] = 20, 30
    found = shared_statistics(log_probs, returns, played)
    np.testing.assert_allclose(found.count, 50)
    np.testing.assert_allclose(found.total[1, 0, 1], returns.sum(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.square[0, 0, 0], (returns**2).sum(axis=0), rtol=1e-5)


def test_strategies_that_never_do_the_same_share_nothing():
    """Then every profile has its own episodes, and those that were not played have none."""
    rng = np.random.default_rng(1)
    profiles = np.repeat([[0, 1], [1, 1]], [7, 4], axis=0).astype(np.int32)
    log_probs = np.where(np.arange(2) == profiles[:, :, None], -0.5, -np.inf)
    returns = rng.normal(size=(11, 2)).astype(np.float32)
    played = np.array([[0, 7], [0, 4]])
    found = shared_statistics(log_probs, returns, played)
    for part, expected in zip(found, add(empty(2, 2), profiles, returns), strict=True):
        np.testing.assert_allclose(part, expected, atol=1e-6)


def test_weights_by_hand():
    """Seat 0 acts with probability 0.8 (strategy 0) or 0.2 (strategy 1) as it did in the first of
    two episodes, both played by strategy 0; seat 1 has nothing to decide.

    Relative to strategy 0 the weights of strategy 1 are 1/4 and 4: the mean return is
    (0.25 * 1 + 4 * 3) / 4.25, and the episodes are worth 4.25^2 / (0.0625 + 16).
    """
    log_probs = np.zeros((2, 2, 2))
    log_probs[0, 0], log_probs[1, 0] = np.log([0.8, 0.2]), np.log([0.2, 0.8])
    returns = np.array([[1.0, -1.0], [3.0, -3.0]], np.float32)
    found = shared_statistics(log_probs, returns, np.array([[2, 0], [0, 0]]))
    assert found.count[0, 0] == pytest.approx(2)
    assert found.count[1, 0] == pytest.approx(4.25**2 / 16.0625)
    mean = found.total[1, 0] / found.count[1, 0]
    np.testing.assert_allclose(mean, [12.25 / 4.25, -12.25 / 4.25])


def test_means_and_errors_are_those_of_the_profiles():
    """A game of one decision per seat whose payoffs are known; 4 standard errors."""
    rng = np.random.default_rng(2)
    size, each = 3, 300
    policies = rng.dirichlet(np.ones(4), size=(2, size))
    game = rng.normal(size=(4, 4, 2))
    played = np.full((size, size), each)
    profiles = np.repeat(np.argwhere(played), each, axis=0)
    actions = np.stack(
        [
            (policies[seat][profiles[:, seat]].cumsum(axis=1) < rng.random((len(profiles), 1))).sum(
                axis=1
            )
            for seat in range(2)
        ],
        axis=1,
    )
    returns = game[actions[:, 0], actions[:, 1]] + rng.normal(size=(len(profiles), 1))
    log_probs = np.log(
        np.stack([policies[seat][:, actions[:, seat]].T for seat in range(2)], axis=1)
    )
    found = shared_statistics(log_probs, returns, played)
    exact = np.einsum("ia,jb,abp->ijp", policies[0], policies[1], game)
    mean = found.total / found.count[..., None]
    error = np.sqrt((found.square / found.count[..., None] - mean**2) / found.count[..., None])
    assert (np.abs(mean - exact) < 4 * error).all()
    assert (found.count > 1.5 * each).all()


def test_returns_that_are_not_finite_are_refused():
    with pytest.raises(FloatingPointError, match="NaN or infinity"):
        shared_statistics(np.zeros((1, 2, 2)), np.full((1, 2), np.nan), np.eye(2, dtype=int))
