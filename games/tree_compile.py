"""From the columns of a walk to a `GameTree`: numbering, sequences, reach, and the check of perfect
recall.

Nodes sorted by depth, with the walk's order inside a depth, put the children of consecutive nodes
next to each other; parents, actions and probabilities are then one `repeat` each.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from games.game_tree import GameTree
from games.tree_walk import (
    FIRST_CHANCE_CODE,
    TERMINAL_CODE,
    GameTooLargeError,
    State,
    TreeColumns,
    surely_larger,
    too_large,
    walk_states,
)
from games.types import CHANCE, TERMINAL, GameError, UtilityType

# Largest number of information states per player for which a one-hot observation is made (512 MiB
# for two players).
MAX_ONE_HOT = 8192

DEFAULT_MAX_NODES = 5_000_000


def compile_states(
    root: State,
    *,
    name: str,
    num_players: int,
    num_actions: int,
    observe_fn: Callable[[Any], Sequence[float]] | None = None,
    max_nodes: int = DEFAULT_MAX_NODES,
    progress: Callable[[int], None] | None = None,
) -> GameTree:
    """Compiles any game whose states have the methods of `games.tree_walk.State`.

    Args:
      root: the initial state.
      name: what `games.load_game` will accept to compile the game again.
      num_players: number of seats.
      num_actions: number of action ids; legal actions are `0 <= action < num_actions`.
      observe_fn: the mover's observation, a flat list of floats of fixed length; without it, or
        where two information states of a player look the same, a one-hot of the information state
        is used.
      max_nodes: largest allowed number of nodes.
      progress: called now and then with the number of nodes visited.

    Raises:
      GameError: the game is too large, has imperfect recall, or its states contradict each other.
    """
    if surely_larger(root, max_nodes):
        raise too_large(name, max_nodes)
    columns = walk_states(
        root,
        name=name,
        num_players=num_players,
        max_nodes=max_nodes,
        observe_fn=observe_fn,
        progress=progress,
    )
    tree = tree_from_columns(columns, name=name, num_actions=num_actions, observation_kind="own")
    return tree if observations_unique(tree) else with_unique_observation(tree)


def tree_from_columns(
    columns: TreeColumns, *, name: str, num_actions: int, observation_kind: str
) -> GameTree:
    """Builds the tree; raises `GameError` where the columns are not a game with perfect recall."""
    num_players = columns.terminal_returns.shape[1]
    num_infosets = len(columns.infoset_player)
    _check_columns(columns, name, num_actions)
    order = np.argsort(columns.node_depth, kind="stable")
    code, depth = columns.node_code[order], columns.node_depth[order]
    decision, terminal = code >= 0, code == TERMINAL_CODE

    # Edges of information states and of chance nodes stand in one list; `edge` points into it for
    # every node but the root.
    flat_count = np.concatenate([columns.infoset_num_legal, columns.chance_num_outcomes])
    flat_first = np.concatenate([[0], np.cumsum(flat_count)])
    row = np.where(decision, code, num_infosets + FIRST_CHANCE_CODE - code)
    row[terminal] = 0
    num_children = np.where(terminal, 0, flat_count[row])
    before = np.cumsum(num_children) - num_children
    parent = np.repeat(np.arange(len(code), dtype=np.int32), num_children)
    edge = np.arange(len(parent)) + (flat_first[row] - before)[parent]
    flat_action = np.concatenate([columns.legal_actions, columns.chance_outcome])
    flat_probability = np.concatenate(
        [np.ones(len(columns.legal_actions)), columns.chance_probability]
    )
    node_player = np.full(len(code), CHANCE, np.int8)
    node_player[decision] = columns.infoset_player[code[decision]]
    node_player[terminal] = TERMINAL

    # The last sequence of every player, numbered by its place among the edges, level by level.
    bounds = np.searchsorted(depth, np.arange(depth[-1] + 2))
    reach = np.ones(len(code))
    own_sequence = np.full(len(code), -1, np.int32)
    terminal_sequence = np.empty((int(terminal.sum()), num_players), np.int32)
    last = np.full((1, num_players), -1, np.int32)
    filled = 0
    for level, (lo, hi) in enumerate(itertools.pairwise(bounds)):
        if level:
            above = parent[lo - 1 : hi - 1]
            last = last[above - bounds[level - 1]]
            mover = node_player[above]
            moved = np.flatnonzero(mover >= 0)
            last[moved, mover[moved]] = edge[lo - 1 : hi - 1][moved]
            reach[lo:hi] = reach[above] * flat_probability[edge[lo - 1 : hi - 1]]
        movers = np.flatnonzero(decision[lo:hi])
        own_sequence[lo + movers] = last[movers, node_player[lo + movers]]
        ended = last[terminal[lo:hi]]
        terminal_sequence[filled : filled + len(ended)] = ended
        filled += len(ended)

    decision_nodes = np.flatnonzero(decision)
    infoset_of_node = code[decision_nodes]
    first_node = np.empty(num_infosets, np.int64)
    first_node[infoset_of_node[::-1]] = decision_nodes[::-1]
    parent_sequence = own_sequence[first_node]
    _check_perfect_recall(
        columns, name, infoset_of_node, own_sequence[decision_nodes], parent_sequence
    )

    infoset_of_sequence = np.repeat(
        np.arange(num_infosets, dtype=np.int32), columns.infoset_num_legal
    )
    own_depth = _own_depth(parent_sequence, infoset_of_sequence)
    infoset_order = np.lexsort((first_node, columns.infoset_player, own_depth))
    infoset_id = np.empty(num_infosets, np.int32)
    infoset_id[infoset_order] = np.arange(num_infosets, dtype=np.int32)
    infoset_player = columns.infoset_player[infoset_order]
    num_legal = columns.infoset_num_legal[infoset_order]
    first_sequence = (num_players + np.cumsum(num_legal) - num_legal).astype(np.int32)
    rank = np.arange(len(infoset_of_sequence)) - flat_first[infoset_of_sequence]
    sequence_id = (first_sequence[infoset_id[infoset_of_sequence]] + rank).astype(np.int32)

    def numbered(sequence, player):
        return np.where(sequence < 0, player, sequence_id[sequence]).astype(np.int32)

    sequence_infoset = np.full(num_players + len(rank), -1, np.int32)
    sequence_action = sequence_infoset.copy()
    sequence_infoset[sequence_id] = infoset_id[infoset_of_sequence]
    sequence_action[sequence_id] = columns.legal_actions
    legal_mask = np.zeros((num_infosets, num_actions), bool)
    legal_mask[sequence_infoset[num_players:], sequence_action[num_players:]] = True
    node_infoset = np.full(len(code), -1, np.int32)
    node_infoset[decision_nodes] = infoset_id[infoset_of_node]
    node_terminal = np.full(len(code), -1, np.int32)
    node_terminal[terminal] = np.arange(len(terminal_sequence), dtype=np.int32)
    walk_terminal = np.cumsum(columns.node_code == TERMINAL_CODE) - 1
    returns = columns.terminal_returns[walk_terminal[order[terminal]]]
    return GameTree(
        name=name,
        num_players=num_players,
        num_actions=num_actions,
        utility=utility_of(returns),
        min_return=float(returns.min()),
        max_return=float(returns.max()),
        node_player=node_player,
        node_parent=np.concatenate([[-1], parent]).astype(np.int32),
        node_action=np.concatenate([[-1], flat_action[edge]]).astype(np.int32),
        node_probability=np.concatenate([[1.0], flat_probability[edge]]),
        node_infoset=node_infoset,
        node_terminal=node_terminal,
        infoset_player=infoset_player,
        infoset_depth=own_depth[infoset_order],
        infoset_parent_sequence=numbered(parent_sequence[infoset_order], infoset_player),
        infoset_first_sequence=first_sequence,
        infoset_name=tuple(columns.infoset_name[i] for i in infoset_order),
        legal_mask=legal_mask,
        observation=columns.observation[infoset_order],
        observation_kind=observation_kind,
        sequence_infoset=sequence_infoset,
        sequence_action=sequence_action,
        terminal_sequence=numbered(terminal_sequence, np.arange(num_players)),
        terminal_probability=reach[terminal],
        terminal_returns=returns,
    )


def utility_of(returns: Float64[np.ndarray, "Z P"]) -> UtilityType:
    """How the players' returns relate, read from the returns themselves (to 1e-9 of the largest
    one).
    """
    tolerance = 1e-9 * max(1.0, float(np.abs(returns).max()))
    total = returns.sum(axis=1)
    if np.abs(total).max() <= tolerance:
        return "zero_sum"
    if np.abs(returns - returns[:, :1]).max() <= tolerance:
        return "common_payoff"
    if np.ptp(total) <= tolerance:
        return "constant_sum"
    return "general_sum"


def observations_unique(tree: GameTree) -> bool:
    """Whether no two information states of one player have the same observation."""
    width = tree.observation.shape[1] * tree.observation.itemsize
    for player, count in enumerate(tree.infosets_per_player):
        rows = tree.observation[tree.infoset_player == player].tobytes()
        if (
            len({rows[start : start + width] for start in range(0, len(rows), max(width, 1))})
            < count
        ):
            return False
    return True


def with_unique_observation(tree: GameTree) -> GameTree:
    """The tree with each information state observed as its number among those of its player.

    A player with more than `MAX_ONE_HOT` information states keeps the observations there are, and
    `observation_kind`
    says that some look the same: a policy on them is then coarser than the tree, exact methods are
      not affected.

    Raises:
      GameTooLargeError: one-hot observations would be too wide and there are no others.
    """
    size = int(np.bincount(tree.infoset_player).max())
    if size > MAX_ONE_HOT:
        if tree.observation.shape[1]:
            return dataclasses.replace(
                tree, observation_kind=f"{tree.observation_kind} (not unique)"
            )
        raise GameTooLargeError(
            f"{tree.name} has no observation tensor, and one-hot observations are limited to "
            f"{MAX_ONE_HOT:,} information states per player, here {size:,}; "
            "choose smaller game parameters"
        )
    observation = np.zeros((tree.num_infosets, size), np.float32)
    for player in range(tree.num_players):
        rows = np.flatnonzero(tree.infoset_player == player)
        observation[rows, np.arange(len(rows))] = 1
    return dataclasses.replace(tree, observation=observation, observation_kind="one_hot")


def _own_depth(parent_sequence, infoset_of_sequence):
    """Number of the owner's earlier decisions per information state."""
    parent = np.where(parent_sequence < 0, -1, infoset_of_sequence[parent_sequence])
    depth = np.zeros(len(parent), np.int32)
    ancestor = parent
    while (ancestor >= 0).any():
        depth += ancestor >= 0
        ancestor = np.where(ancestor < 0, -1, parent[ancestor])
    return depth


def _check_columns(columns: TreeColumns, name: str, num_actions: int) -> None:
    if not np.isfinite(columns.terminal_returns).all():
        raise GameError(f"{name}: a return is not a finite number")
    if len(columns.chance_num_outcomes):
        if not columns.chance_num_outcomes.all():
            raise GameError(f"{name}: a chance node has no outcome of positive probability")
        starts = np.cumsum(columns.chance_num_outcomes) - columns.chance_num_outcomes
        total = np.add.reduceat(columns.chance_probability, starts)
        if np.abs(total - 1).max() > 1e-6:
            worst = float(total[np.argmax(np.abs(total - 1))])
            raise GameError(f"{name}: the probabilities of a chance node sum to {worst!r}, not 1")
    if not len(columns.infoset_player):
        raise GameError(f"{name} has no decision of any player")
    if not columns.infoset_num_legal.all():
        at = columns.infoset_name[int(np.argmin(columns.infoset_num_legal))]
        raise GameError(f"{name}: information state {at!r} has no legal action")
    actions = columns.legal_actions
    if actions.min() < 0 or actions.max() >= num_actions:
        raise GameError(
            f"{name}: legal actions must lie in 0..{num_actions - 1}, "
            f"found {actions.min()}..{actions.max()}"
        )
    starts = np.zeros(len(actions), bool)
    starts[np.cumsum(columns.infoset_num_legal)[:-1]] = True
    if not ((np.diff(actions) > 0) | starts[1:]).all():
        raise GameError(f"{name}: legal actions must be in ascending order without repeats")


def _check_perfect_recall(columns, name, infoset_of_node, own_sequence, expected) -> None:
    differs = own_sequence != expected[infoset_of_node]
    if differs.any():
        infoset = int(infoset_of_node[np.argmax(differs)])
        raise GameError(
            f"{name} has imperfect recall: player {columns.infoset_player[infoset]} reaches "
            f"information state {columns.infoset_name[infoset]!r} by different own observations or "
            "actions; exact methods need perfect recall, so play it without compiling through "
            "games.open_spiel_host.OpenSpielHost"
        )
