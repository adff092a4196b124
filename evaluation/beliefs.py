"""What a seat should believe about what it does not see: the exact posterior over the histories of
an information state, given the policies of all others (Bayes' rule on the game tree).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64

from evaluation.players import Player, TablePlayer, UniformPlayer
from evaluation.replay import Belief
from games.game_tree import GameTree
from games.types import CHANCE

# Information states of more histories get no belief: it would be longer than the game.
MAX_HISTORIES = 256


def table_of(player: Player, tree: GameTree) -> Float64[np.ndarray, "S A"] | None:
    """What a player plays on the tree; `None` where it is no table."""
    if isinstance(player, TablePlayer):
        return player.table
    return tree.uniform_policy() if isinstance(player, UniformPlayer) else None


def belief(
    tree: GameTree, tables: Sequence[Float[np.ndarray, "S A"] | None], infoset: int
) -> Belief | None:
    """The posterior of an information state's owner over the histories that it holds possible.

    What the owner did itself says nothing: with perfect recall all histories share it.

    Args:
      tree: the game.
      tables: by seat, what it plays; the owner's is not read.
      infoset: the information state.

    Returns:
      Share and actions, chance included, of every history that has some probability, the likeliest
      first. `None` where there is but one history, more than `MAX_HISTORIES`, another seat's table
      is not known, or the others never get there.
    """
    owner = int(tree.infoset_player[infoset])
    if any(table is None for seat, table in enumerate(tables) if seat != owner):
        return None
    nodes = np.flatnonzero(tree.node_infoset == infoset)
    if not 1 < len(nodes) <= MAX_HISTORIES:
        return None
    reach, histories = np.ones(len(nodes)), [[] for _ in nodes]
    for row, node in enumerate(nodes.tolist()):
        while node > 0:
            parent, action = int(tree.node_parent[node]), int(tree.node_action[node])
            mover = int(tree.node_player[parent])
            histories[row].append(action)
            if mover == CHANCE:
                reach[row] *= tree.node_probability[node]
            elif mover != owner:
                reach[row] *= tables[mover][tree.node_infoset[parent], action]
            node = parent
    if not reach.sum() > 0:
        return None
    shares = reach / reach.sum()
    order = np.argsort(-shares, kind="stable")
    return tuple(
        (float(shares[row]), tuple(histories[row][::-1])) for row in order if shares[row] > 0
    )
