"""Runs of chance nodes collapsed into one draw: Walker's alias method over lists of places.

Every *source* (the start of the game, or an action at a decision node) owns a segment of the
outcome list. Equal probabilities, as in card games, need one random number and one look-up; others
use the alias method (Walker 1977).
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int32, Key, Shaped

from games.game_tree import GameTree
from games.types import CHANCE, TERMINAL


class ChanceTables(NamedTuple):
    """Where the game goes, chance included; places are decision nodes, then terminals, in the
    tree's order.

    Attributes:
      start: the draw of the first place; its one source is number 0.
      moves: the draw after every action; its sources are `decision * A + action`.
      num_decisions: number of decision nodes; places from there on are terminals.
    """

    start: "Draw"
    moves: "Draw"
    num_decisions: int


class Draw(NamedTuple):
    """One draw of a place per source.

    Attributes:
      first: first outcome of each source in `place`; the place itself where no source has more than
        one outcome.
      count: number of outcomes of each source; None where none has more than one.
      place: all sources' outcomes, one after the other.
      accept: probability of keeping an outcome instead of taking its alias; None where all outcomes
        are equally likely.
      alias: the place to take otherwise.
    """

    first: Int32[np.ndarray, "E"]
    count: Int32[np.ndarray, "E"] | None
    place: Int32[np.ndarray, "X"]
    accept: Float32[np.ndarray, "X"] | None
    alias: Int32[np.ndarray, "X"] | None

    def draw(self, source: Int32[Array, ""], key: Key[Array, ""]) -> Int32[Array, ""]:
        """Returns the place reached from `source`; consumes `key`."""
        first = _take(self.first, source)
        if self.count is None:
            return first
        index_key, keep_key = (key, None) if self.accept is None else jax.random.split(key)
        outcome = first + uniform_index(index_key, _take(self.count, source), int(self.count.max()))
        place = _take(self.place, outcome)
        if self.accept is None:
            return place
        keep = jax.random.uniform(keep_key) < _take(self.accept, outcome)
        return jnp.where(keep, place, _take(self.alias, outcome))


def uniform_index(key: Key[Array, ""], count: Int32[Array, ""], largest: int) -> Int32[Array, ""]:
    """A uniform integer in `[0, count)`, `count <= largest`; consumes `key`.

    Below 2^16 it is the upper half of `bits * count`, whose bias of at most `count / 2^32` nobody
    can observe.
    """
    if largest >= 1 << 16:
        return jax.random.randint(key, (), 0, count)
    bits, count = jax.random.bits(key), count.astype(jnp.uint32)
    low = ((bits & 0xFFFF) * count) >> 16
    return (((bits >> 16) * count + low) >> 16).astype(jnp.int32)


def collapse_chance(tree: GameTree) -> ChanceTables:
    """Builds the tables of a tree."""
    player, parent = tree.node_player, tree.node_parent
    decision, terminal = np.flatnonzero(player >= 0), np.flatnonzero(player == TERMINAL)
    place_of_node = np.full(tree.num_nodes, -1, np.int32)
    place_of_node[decision] = np.arange(len(decision))
    place_of_node[terminal] = len(decision) + np.arange(len(terminal))

    # The nearest ancestor that is not chance, the edge taken there, and the chance probability
    # since.
    source = np.full(tree.num_nodes, -1, np.int64)
    probability = np.ones(tree.num_nodes)
    depth = tree.node_depth
    bounds = np.searchsorted(depth, np.arange(depth[-1] + 2))
    for lo, hi in itertools.pairwise(bounds[1:]):
        above = parent[lo:hi]
        after_chance = player[above] == CHANCE
        own = place_of_node[above].astype(np.int64) * tree.num_actions + tree.node_action[lo:hi]
        source[lo:hi] = np.where(after_chance, source[above], own)
        probability[lo:hi] = np.where(
            after_chance, probability[above] * tree.node_probability[lo:hi], 1.0
        )
    nodes = np.flatnonzero(place_of_node >= 0)
    at_start = source[nodes] < 0
    start = _make_draw(
        np.zeros(at_start.sum(), np.int64),
        place_of_node[nodes[at_start]],
        probability[nodes[at_start]],
        1,
    )
    moved = nodes[~at_start]
    moves = _make_draw(
        source[moved], place_of_node[moved], probability[moved], len(decision) * tree.num_actions
    )
    return ChanceTables(start, moves, len(decision))


def _make_draw(source, place, probability, num_sources) -> Draw:
    order = np.argsort(source, kind="stable")
    source, place, probability = source[order], place[order], probability[order]
    count = np.bincount(source, minlength=num_sources).astype(np.int32)
    first = (np.cumsum(count) - count).astype(np.int32)
    if count.max() == 1:
        target = np.zeros(num_sources, np.int32)
        target[source] = place
        return Draw(target, None, place, None, None)
    scaled = probability * count[source] / np.bincount(source, probability)[source]
    # Illegal actions have no outcome; they read the first one, whatever it is.
    first[count == 0] = 0
    if np.abs(scaled - 1).max() < 1e-9:
        return Draw(first, np.maximum(count, 1), place, None, None)
    accept, alias = np.ones(len(place)), place.copy()
    for lo, n in zip(first[count > 1].tolist(), count[count > 1].tolist(), strict=True):
        accept[lo : lo + n], local = alias_table(scaled[lo : lo + n])
        alias[lo : lo + n] = place[lo + local]
    return Draw(first, np.maximum(count, 1), place, accept.astype(np.float32), alias)


def alias_table(weights: Shaped[np.ndarray, "n"]) -> tuple[np.ndarray, np.ndarray]:
    """Walker's tables (by Vose's method) for weights that sum to `n`: acceptance probabilities and
    aliases.
    """
    accept, alias = np.array(weights, np.float64), np.arange(len(weights))
    small = [i for i, w in enumerate(accept) if w < 1]
    large = [i for i, w in enumerate(accept) if w >= 1]
    while small and large:
        low, high = small.pop(), large[-1]
        alias[low] = high
        accept[high] -= 1 - accept[low]
        if accept[high] < 1:
            small.append(large.pop())
    # What remains differs from 1 by rounding alone.
    accept[small + large] = 1
    return accept, alias


def _take(table: np.ndarray, index: Int32[Array, ""]) -> Array:
    return jnp.asarray(table).at[index].get(mode="promise_in_bounds")
