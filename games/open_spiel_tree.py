"""Compiles a finite OpenSpiel game into a `GameTree`; simultaneous games in their turn-based form.

What a network sees of an information state is OpenSpiel's information-state tensor; where a game
has none, or two information states of a player share one, its observation tensor; where that fails
too, a one-hot.
"""

import dataclasses
import difflib
import logging
import re
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyspiel

from games import tree_cache
from games.game_tree import GameTree
from games.tree_compile import (
    DEFAULT_MAX_NODES,
    observations_unique,
    tree_from_columns,
    with_unique_observation,
)
from games.tree_walk import surely_larger, too_large, walk_states
from games.types import GameError

# Compilations that take less are not worth a file.
CACHE_FROM_S = 1.0

_logger = logging.getLogger(__name__)


class UnknownGameError(GameError):
    """OpenSpiel has no game of that name."""


class LoadedGame(NamedTuple):
    """An OpenSpiel game and how it was loaded.

    Attributes:
      game: the game as OpenSpiel has it, simultaneous moves included.
      turn_based: the same game with one mover per node.
      stable: whether the game's string and OpenSpiel's version determine it (no file, no Python
        class behind it).
    """

    game: pyspiel.Game
    turn_based: pyspiel.Game
    stable: bool


def load_open_spiel(name: str) -> LoadedGame:
    """Loads an OpenSpiel game by its string, e.g. `"leduc_poker(players=3)"`.

    Raises:
      GameError: the name is unknown (`UnknownGameError`, with the nearest names), a parameter is
        wrong, or the game is a mean-field game.
    """
    short_name = re.split(r"[(\s]", name.strip(), maxsplit=1)[0]
    if short_name.startswith("python_"):
        import open_spiel.python.games  # noqa: F401  (registers OpenSpiel's games written in Python)
    known = pyspiel.registered_names()
    # OpenSpiel prints a report of its own before it raises, so unknown names are kept away from it.
    if short_name not in known:
        nearest = difflib.get_close_matches(short_name, known, n=3, cutoff=0.5)
        hint = (
            f"did you mean {' or '.join(map(repr, nearest))}?" if nearest else "see `neupl games`"
        )
        raise UnknownGameError(f"unknown OpenSpiel game {short_name!r}: {hint}")
    try:
        game = pyspiel.load_game(name.strip())
    except (pyspiel.SpielError, RuntimeError, ValueError) as error:
        raise GameError(
            f"OpenSpiel cannot load {name!r}: {str(error).strip().splitlines()[0]}"
        ) from error
    dynamics = game.get_type().dynamics
    if dynamics == pyspiel.GameType.Dynamics.MEAN_FIELD:
        raise GameError(
            f"{name} is a mean-field game; only games with finitely many players are supported"
        )
    turn_based = game
    if dynamics == pyspiel.GameType.Dynamics.SIMULTANEOUS:
        turn_based = pyspiel.convert_to_turn_based(game)
    stable = type(game).__module__ == "pyspiel" and "filename" not in game.get_parameters()
    return LoadedGame(game, turn_based, stable)


def compile_open_spiel(
    name: str,
    *,
    max_nodes: int = DEFAULT_MAX_NODES,
    progress: Callable[[int], None] | None = None,
    cache: bool = True,
) -> GameTree:
    """Compiles the game `name`, or reads it from the cache where an earlier compilation took over a
    second.

    Args:
      name: a game string as OpenSpiel writes it.
      max_nodes: largest allowed number of nodes.
      progress: called now and then with the number of nodes visited so far.
      cache: whether files of `games.tree_cache` may be read and written.

    Raises:
      GameError: the game is unknown, too large (`GameTooLargeError`), has imperfect recall, no
        information-state string, or chance that OpenSpiel can only sample.
    """
    loaded = load_open_spiel(name)
    check_compilable(name, loaded.turn_based)
    key = str(loaded.turn_based)
    if cache and loaded.stable:
        tree = tree_cache.load(key)
        if tree is not None:
            if tree.num_nodes > max_nodes:
                raise too_large(name, max_nodes)
            return dataclasses.replace(tree, name=name)
    started = time.perf_counter()
    tree = compile_game(loaded.turn_based, name=name, max_nodes=max_nodes, progress=progress)
    if cache and loaded.stable and time.perf_counter() - started > CACHE_FROM_S:
        tree_cache.store(key, tree)
    return tree


def check_compilable(name: str, game: pyspiel.Game) -> None:
    """Raises `GameError` where the game's type alone rules out a tree."""
    kind = game.get_type()
    if kind.chance_mode == pyspiel.GameType.ChanceMode.SAMPLED_STOCHASTIC:
        raise GameError(
            f"{name} samples its chance events inside OpenSpiel without telling their "
            "probabilities; a tree needs GameType.chance_mode EXPLICIT_STOCHASTIC or DETERMINISTIC"
        )
    if not kind.provides_information_state_string:
        raise GameError(
            f"{name} has no information-state string, so its information states cannot be told "
            "apart; play it without compiling through games.open_spiel_host.OpenSpielHost"
        )


def compile_game(
    game: pyspiel.Game,
    *,
    name: str,
    max_nodes: int = DEFAULT_MAX_NODES,
    progress: Callable[[int], None] | None = None,
) -> GameTree:
    """Compiles a loaded turn-based game; see `compile_open_spiel`, which adds checks by type and
    the cache.
    """
    root = game.new_initial_state()
    if surely_larger(root, max_nodes):
        raise too_large(name, max_nodes)
    kinds = observation_kinds(game)
    columns = walk_states(
        root,
        name=name,
        num_players=game.num_players(),
        max_nodes=max_nodes,
        observe_fn=tensor_fn(kinds[0]) if kinds else None,
        progress=progress,
    )
    tree = tree_from_columns(
        columns,
        name=name,
        num_actions=game.num_distinct_actions(),
        observation_kind=kinds[0] if kinds else "none",
    )
    if observations_unique(tree):
        return tree
    for kind in kinds[1:]:
        rows = [tensor_fn(kind)(state) for state in representative_states(game, tree)]
        other = dataclasses.replace(
            tree, observation=np.array(rows, np.float32), observation_kind=kind
        )
        if observations_unique(other):
            return other
    return with_unique_observation(tree)


def observe_as_played(tree: GameTree) -> GameTree:
    """The tree as policies see it that were made where the game is played, by the preferred tensor.

    Where that tensor looks the same at several information states of a player, the tree itself
    prefers another: such policies are then coarser than the tree. Trees that are not OpenSpiel's
    are played as they are.
    """
    kind = tree.observation_kind.split(" ")[0]
    if kind not in ("one_hot", "information_state_tensor", "observation_tensor"):
        return tree
    game = load_open_spiel(tree.name).turn_based
    kinds = observation_kinds(game)
    if not kinds or kinds[0] == kind:
        return tree
    rows = [tensor_fn(kinds[0])(state) for state in representative_states(game, tree)]
    observation = np.array(rows, np.float32)
    return dataclasses.replace(tree, observation=observation, observation_kind=kinds[0])


def observation_kinds(game: pyspiel.Game) -> list[str]:
    """Tensors that the game really provides for the player to move, the preferred one first."""
    kind = game.get_type()
    claimed = [
        ("information_state_tensor", kind.provides_information_state_tensor),
        ("observation_tensor", kind.provides_observation_tensor),
    ]
    state, player = first_decision(game)
    return [
        name for name, provided in claimed if provided and _works(tensor_fn(name), state, player)
    ]


def tensor_fn(kind: str) -> Callable[[pyspiel.State], list[float]]:
    """The method of a state that gives the mover's tensor."""
    if kind == "information_state_tensor":
        return pyspiel.State.information_state_tensor
    return pyspiel.State.observation_tensor


def representative_states(game: pyspiel.Game, tree: GameTree):
    """Yields one OpenSpiel state of each information state, in the tree's order."""
    nodes = np.empty(tree.num_infosets, np.int64)
    decision = np.flatnonzero(tree.node_infoset >= 0)
    nodes[tree.node_infoset[decision][::-1]] = decision[::-1]
    for node in nodes.tolist():
        actions = []
        while node > 0:
            actions.append(int(tree.node_action[node]))
            node = int(tree.node_parent[node])
        state = game.new_initial_state()
        for action in reversed(actions):
            state.apply_action(action)
        yield state


def first_decision(game: pyspiel.Game) -> tuple[pyspiel.State, int]:
    """A first state at which a player moves, and that player (the first one where all move at
    once).
    """
    state = game.new_initial_state()
    while state.is_chance_node():
        state.apply_action(state.chance_outcomes()[0][0])
    if state.is_terminal():
        raise GameError(f"{game} ends before any player moves")
    return state, max(state.current_player(), 0)


def _works(observe_fn, state, player) -> bool:
    try:
        return len(observe_fn(state, player)) > 0
    except (pyspiel.SpielError, RuntimeError) as error:
        _logger.debug("the game claims a tensor that it cannot give: %s", error)
        return False
