"""A `GameTree` played in many lanes at once by NumPy: a step is a few look-ups for all of them.

Beside what every `HostGame` tells, it knows where each lane stands: the information state of who
moves, and the whole history. `games.tree_game` is the same game in JAX.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int32, UInt64

from games.chance_tables import Draw, collapse_chance
from games.game_tree import GameTree
from games.lane_streams import LaneStreams, make_streams
from games.types import TERMINAL, GameInfo, TimeStep

# Nobody moves: the episode is over.
OVER = -1


class TreeLaneStates(NamedTuple):
    """The lanes; both are changed in place.

    Attributes:
      place: `[B]` decision node or terminal, in the numbering of `ChanceTables`.
      streams: one random stream per lane, for chance.
    """

    place: np.ndarray
    streams: LaneStreams


class TreeLanes:
    """The game of a tree as a `HostGame`; see `games.types.HostGame` for the contract."""

    def __init__(self, tree: GameTree) -> None:
        """Builds the tables."""
        self.tree = tree
        self.info: GameInfo = tree.info()
        tables = collapse_chance(tree)
        self._start, self._moves = tables.start, tables.moves
        decision = np.flatnonzero(tree.node_player >= 0)
        terminal = np.flatnonzero(tree.node_player == TERMINAL)
        self._node = np.concatenate([decision, terminal])
        over = np.full(len(terminal), OVER, np.int32)
        self._infoset = np.concatenate([tree.node_infoset[decision], over])
        # The last row, which `OVER` finds, stands for the end: nobody moves, one dummy action.
        P, A = tree.num_players, tree.num_actions
        self._owner = np.append(tree.infoset_player, P).astype(np.int32)
        self._legal = np.concatenate([tree.legal_mask, np.arange(A)[None] == 0])
        nothing = np.zeros((1, tree.observation.shape[1]), np.float32)
        self._observation = np.concatenate([tree.observation, nothing])
        before = np.zeros((len(decision), P), np.float32)
        returns = tree.terminal_returns[tree.node_terminal[terminal]].astype(np.float32)
        self._returns = np.concatenate([before, returns])

    def init(self, seeds: UInt64[np.ndarray, "B"]) -> TreeLaneStates:
        """Starts one episode per seed."""
        states = TreeLaneStates(np.zeros(len(seeds), np.int32), make_streams(seeds))
        self._begin(states, np.arange(len(seeds)))
        return states

    def restart(self, states: TreeLaneStates) -> TimeStep:
        """Returns the time step of all lanes on arrival from `init`."""
        return self._time_step(states, np.zeros((len(states.place), self.info.num_players)))

    def step(
        self, states: TreeLaneStates, actions: Int32[np.ndarray, "B P"]
    ) -> tuple[TreeLaneStates, TimeStep]:
        """Plays the movers' actions and the chance events after them; finished lanes stay.

        Raises:
          ValueError: an action is illegal; the message names lane and seat.
        """
        infoset = self.infosets(states)
        lanes = np.flatnonzero(infoset != OVER)
        mover = self._owner[infoset[lanes]]
        action = actions[lanes, mover]
        inside = (action >= 0) & (action < self.tree.num_actions)
        legal = inside & self._legal[infoset[lanes], np.where(inside, action, 0)]
        if not legal.all():
            wrong = int(np.argmin(legal))
            raise ValueError(
                f"lane {lanes[wrong]}: action {action[wrong]} of player {mover[wrong]} is illegal"
            )
        edge = states.place[lanes].astype(np.int64) * self.tree.num_actions + action
        states.place[lanes] = _drawn(self._moves, edge, states.streams, lanes)
        rewards = np.zeros((len(states.place), self.info.num_players), np.float32)
        rewards[lanes] = self._returns[states.place[lanes]]
        return states, self._time_step(states, rewards)

    def reset_where(
        self, states: TreeLaneStates, done: Bool[np.ndarray, "B"]
    ) -> tuple[TreeLaneStates, TimeStep]:
        """Starts a new episode in the lanes where `done`, from each lane's own stream."""
        self._begin(states, np.flatnonzero(done))
        return states, self.restart(states)

    def observe(self, states: TreeLaneStates) -> Float32[np.ndarray, "B P O"]:
        """Returns what every seat to move observes; zeros for the others."""
        infoset = self.infosets(states)
        B, P = len(infoset), self.info.num_players
        seen = np.zeros((B, P, self._observation.shape[1]), np.float32)
        lanes = np.flatnonzero(infoset != OVER)
        seen[lanes, self._owner[infoset[lanes]]] = self._observation[infoset[lanes]]
        return seen

    def infosets(self, states: TreeLaneStates) -> Int32[np.ndarray, "B"]:
        """Returns the information state of each lane's mover, `OVER` where the episode is."""
        return self._infoset[states.place]

    def history(self, states: TreeLaneStates, lane: int) -> list[tuple[int, int]]:
        """Returns `(player, action)` from the root to where a lane stands; chance is player -1."""
        tree, moves = self.tree, []
        node = int(self._node[states.place[lane]])
        while node > 0:
            parent = int(tree.node_parent[node])
            moves.append((int(tree.node_player[parent]), int(tree.node_action[node])))
            node = parent
        return moves[::-1]

    def _begin(self, states: TreeLaneStates, lanes: Int[np.ndarray, "n"]) -> None:
        source = np.zeros(len(lanes), np.int64)
        states.place[lanes] = _drawn(self._start, source, states.streams, lanes)

    def _time_step(self, states: TreeLaneStates, rewards: np.ndarray) -> TimeStep:
        infoset = self.infosets(states)
        to_move = self._owner[infoset][:, None] == np.arange(self.info.num_players)
        dummy = np.arange(self.tree.num_actions) == 0
        legal = np.where(to_move[:, :, None], self._legal[infoset][:, None], dummy)
        return TimeStep(
            rewards=rewards.astype(np.float32, copy=False),
            discount=(infoset != OVER).astype(np.float32),
            to_move=to_move,
            legal_mask=legal,
        )


def _drawn(
    draw: Draw, source: Int[np.ndarray, "n"], streams: LaneStreams, lanes: Int[np.ndarray, "n"]
) -> Int32[np.ndarray, "n"]:
    """The place that each lane reaches from its source; one or two numbers of its stream."""
    first = draw.first[source]
    if draw.count is None:
        return first
    uniform: Float64[np.ndarray, n] = streams.uniform(lanes)
    outcome = first + (uniform * draw.count[source]).astype(np.int32)
    if draw.accept is None:
        return draw.place[outcome]
    keep = streams.uniform(lanes) < draw.accept[outcome]
    return np.where(keep, draw.place[outcome], draw.alias[outcome])
