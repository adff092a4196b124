"""Games, policies, and values by OpenSpiel, for the tests of exact quantities."""

import functools

import numpy as np
import pyspiel
import pytest

from games.game_tree import GameTree
from games.open_spiel_tree import compile_open_spiel, load_open_spiel


@functools.cache
def _tree_of(name: str) -> GameTree:
    return compile_open_spiel(name, cache=False)


@functools.cache
def _turn_based(name: str) -> pyspiel.Game:
    return load_open_spiel(name).turn_based


def _random_policies(tree: GameTree, seed: int, num_policies: int) -> np.ndarray:
    """Dirichlet rows, half of them nearly pure and the last one pure, `[K, S, A]`."""
    rng = np.random.default_rng(seed)
    weight = rng.gamma(1.0, size=(num_policies, tree.num_infosets, tree.num_actions))
    weight[: num_policies // 2] **= 10
    weight = np.where(tree.legal_mask, weight, 0.0)
    weight[-1] = weight[-1] == weight[-1].max(axis=1, keepdims=True)
    return weight / weight.sum(axis=2, keepdims=True)


def _open_spiel_table(tree: GameTree, policy: np.ndarray) -> pyspiel.TabularPolicy:
    return pyspiel.TabularPolicy(
        {
            name: [(int(a), float(own[a])) for a in np.flatnonzero(legal)]
            for name, own, legal in zip(tree.infoset_name, policy, tree.legal_mask, strict=True)
        }
    )


def _open_spiel_returns(name: str, tables: list[pyspiel.TabularPolicy]) -> np.ndarray:
    """Expected returns when seat p plays `tables[p]`."""
    root = _turn_based(name).new_initial_state()
    return np.array(pyspiel.expected_returns(root, tables, -1, True, 0.0))


def _profile_policy(tree: GameTree, policies: np.ndarray, profile: tuple[int, ...]) -> np.ndarray:
    """The table in which seat p plays its rows of `policies[profile[p]]`."""
    return policies[np.array(profile)[tree.infoset_player], np.arange(tree.num_infosets)]


@pytest.fixture
def tree_of():
    return _tree_of


@pytest.fixture
def turn_based():
    return _turn_based


@pytest.fixture
def random_policies():
    return _random_policies


@pytest.fixture
def open_spiel_table():
    return _open_spiel_table


@pytest.fixture
def open_spiel_returns():
    return _open_spiel_returns


@pytest.fixture
def profile_policy():
    return _profile_policy
