"""Games in normal form of the kinds that meta-solvers meet, and slow definitions to judge by."""

import functools

import numpy as np
import pytest

from games.open_spiel_tree import compile_open_spiel
from solvers.correlated_gaps import correlated_gains
from solvers.meta.correlated import solve_correlated
from solvers.psro import psro
from solvers.sequence_form import realization_plan
from solvers.values import payoffs_of_plans

CHICKEN = np.array([[[6.0, 6.0], [2.0, 7.0]], [[7.0, 2.0], [0.0, 0.0]]])


@functools.cache
def _leduc_population(num_strategies: int) -> np.ndarray:
    """Payoffs of an exact PSRO population of Leduc poker: zero-sum and of low rank."""
    tree = compile_open_spiel("leduc_poker", cache=False)
    matrix = psro(tree, num_strategies=num_strategies).payoffs
    return np.stack([matrix, -matrix], axis=-1)


@functools.cache
def _joint_population(name: str, rounds: int) -> np.ndarray:
    """Payoffs of a population of exact responses to maximum-Gini CCEs, one per seat and round."""
    tree = compile_open_spiel(name, cache=False)
    plans = [[realization_plan(tree, tree.uniform_policy())] for _ in range(tree.num_players)]
    for _ in range(rounds):
        stacked = [np.stack(own) for own in plans]
        joint = solve_correlated(payoffs_of_plans(tree, stacked)).joint
        found = correlated_gains(tree, stacked, joint, responses="uniform")
        for player, deviations in enumerate(found.deviations):
            own = (tree.infoset_player == player)[:, None]
            policy = np.where(own, deviations.policies[0], tree.uniform_policy())
            plans[player].append(realization_plan(tree, policy))
    return payoffs_of_plans(tree, [np.stack(own) for own in plans])


def _deviation_matrix(payoffs: np.ndarray, concept: str) -> np.ndarray:
    """Every deviation's gain from every profile, from the definition, `[rows, profiles]`."""
    shape, rows = payoffs.shape[:-1], []
    for player, size in enumerate(shape):
        table = payoffs[..., player]
        for played in range(size):
            gain = np.take(table, [played], axis=player) - table
            if concept == "cce":
                rows.append(gain.reshape(-1))
                continue
            for drawn in range(size):
                mask = np.zeros(shape)
                np.moveaxis(mask, player, 0)[drawn] = 1.0
                if drawn != played:
                    rows.append((gain * mask).reshape(-1))
    return np.array(rows)


@pytest.fixture
def chicken():
    return CHICKEN


@pytest.fixture
def leduc_population():
    return _leduc_population


@pytest.fixture
def joint_population():
    return _joint_population


@pytest.fixture
def deviation_matrix():
    return _deviation_matrix
