"""A `GameTree` as a `Game` in JAX: a step is a handful of table look-ups.

Runs of chance nodes are collapsed: after every action stands either one place or one draw from a
list of places. A *place* is a decision node or a terminal, decision nodes first, in the tree's
order.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Key

from games.chance_tables import collapse_chance
from games.game_tree import GameTree
from games.tree_walk import GameTooLargeError
from games.types import GameInfo, TimeStep

# One move takes 4 bytes, or 8 in games with chance events after moves.
MAX_MOVES = 1 << 28


class TreeState(NamedTuple):
    """Where an episode stands.

    Attributes:
      place: int32 scalar, decision node or terminal in the numbering of `TreeGame`.
    """

    place: Int32[Array, ""]


class TreeGame:
    """The game of a tree; see `games.types.Game` for the contract.

    The tables are NumPy arrays and become constants of the program that uses them.
    """

    def __init__(self, tree: GameTree):
        """Builds the tables; raises `GameTooLargeError` for more than `MAX_MOVES` moves."""
        self.tree = tree
        self.info: GameInfo = tree.info()
        num_moves = int((tree.node_infoset >= 0).sum()) * tree.num_actions
        if num_moves > MAX_MOVES:
            raise GameTooLargeError(
                f"{tree.name}: a table of {num_moves:,} moves (decision nodes times actions) "
                f"is over the limit of {MAX_MOVES:,}; choose smaller game parameters, or play it "
                "without compiling through games.open_spiel_host.OpenSpielHost"
            )
        tables = collapse_chance(tree)
        self._start, self._moves = tables.start, tables.moves
        self._num_decisions = tables.num_decisions
        P, A, S = tree.num_players, tree.num_actions, tree.num_infosets
        # Row S stands for the end of the game: nobody moves, one dummy action, nothing to see.
        decision_infoset = tree.node_infoset[tree.node_infoset >= 0]
        self._infoset = np.append(decision_infoset, np.int32(S))
        self._owner = np.append(tree.infoset_player, P).astype(np.int32)
        dummy = np.zeros((1, A), bool)
        dummy[0, 0] = True
        self._legal = np.concatenate([tree.legal_mask, dummy])
        self._observation = np.concatenate(
            [tree.observation, np.zeros((1, tree.observation.shape[1]), np.float32)]
        )
        # Row 0 is paid while the episode goes on.
        self._rewards = np.concatenate([np.zeros((1, P)), tree.terminal_returns]).astype(np.float32)

    def init(self, key: Key[Array, ""]) -> TreeState:
        """Returns the state of a new episode; consumes `key` for the first chance events."""
        return TreeState(self._start.draw(jnp.int32(0), key))

    def restart(self, state: TreeState) -> TimeStep:
        """Returns the time step on arrival from `init`."""
        return self._time_step(state.place, jnp.zeros(self.info.num_players, jnp.float32))

    def step(
        self, state: TreeState, actions: Int32[Array, "P"], key: Key[Array, ""]
    ) -> tuple[TreeState, TimeStep]:
        """Plays the mover's action and the chance events after it; consumes `key`.

        Whether the action is legal is not checked: after an illegal one the state is some state of
        the game, but not a sensible one.
        """
        over = state.place >= self._num_decisions
        infoset = self._infoset_of(state.place)
        action = _pick(actions, _take(self._owner, infoset))
        action = jnp.clip(action, 0, self.tree.num_actions - 1)
        edge = jnp.where(over, 0, state.place * self.tree.num_actions + action)
        place = jnp.where(over, state.place, self._moves.draw(edge, key))
        paid = jnp.where(over, 0, jnp.maximum(place - self._num_decisions + 1, 0))
        return TreeState(place), self._time_step(place, _take(self._rewards, paid))

    def observe(self, state: TreeState, player: Int32[Array, ""] | int) -> Float[Array, "O"]:
        """Returns what `player` observes; zeros while another seat is to move and at the end."""
        infoset = self._infoset_of(state.place)
        row = jnp.where(_take(self._owner, infoset) == player, infoset, self.tree.num_infosets)
        return _take(self._observation, row)

    def _infoset_of(self, place):
        return _take(self._infoset, jnp.minimum(place, self._num_decisions))

    def _time_step(self, place, rewards) -> TimeStep:
        infoset = self._infoset_of(place)
        to_move = jnp.arange(self.info.num_players) == _take(self._owner, infoset)
        legal = _take(self._legal, infoset)
        dummy = jnp.arange(legal.shape[0]) == 0
        return TimeStep(
            rewards=rewards,
            discount=(place < self._num_decisions).astype(jnp.float32),
            to_move=to_move,
            legal_mask=jnp.where(to_move[:, None], legal, dummy),
        )


def _take(table: np.ndarray, index: Int32[Array, ""]) -> Array:
    """One row of a table; every index comes from a table, so none is out of bounds."""
    return jnp.asarray(table).at[index].get(mode="promise_in_bounds")


def _pick(actions: Int32[Array, "P"], owner: Int32[Array, ""]) -> Int32[Array, ""]:
    """The owner's entry; a masked sum is cheaper than a gather for a few seats."""
    return jnp.sum(jnp.where(jnp.arange(actions.shape[0]) == owner, actions, 0))
