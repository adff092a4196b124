"""Iterated elimination of strictly dominated strategies."""

import numpy as np

from solvers.meta.correlated import solve_correlated
from solvers.meta.dominance import undominated


def test_elimination_goes_round_after_round():
    """Column 2 loses to column 1; only then does row 1 lose to row 0, and then column 1 to 0."""
    row = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    column = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
    kept = undominated(np.stack([row, column], axis=-1))
    assert [own.tolist() for own in kept] == [[0], [0]]


def test_weakly_dominated_and_copied_strategies_stay():
    row = np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    kept = undominated(np.stack([row, np.zeros((3, 2))], axis=-1))
    assert [own.tolist() for own in kept] == [[0, 1, 2], [0, 1]]


def test_no_correlated_equilibrium_plays_what_is_eliminated():
    for seed in range(20):
        payoffs = np.random.default_rng(seed).normal(size=(3, 3, 2, 3))
        joint = solve_correlated(payoffs, concept="ce").joint.copy()
        joint[np.ix_(*undominated(payoffs))] = 0.0
        assert joint.sum() <= 1e-9
