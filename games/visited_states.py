"""What was seen of a game while it was played: the visited histories as arrays, so that many lanes
step through known ground in a few look-ups.

A history is known once a lane has been there; of its continuations only those that were played are
known. Nothing here walks a game. Memory is bounded: once a history does not fit, no more are added.
"""

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from math import prod
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int32

# The number of no history: where lanes stand that have left the memory, and the child of an edge
# that nobody has taken.
ELSEWHERE = 0

# What is kept of a view and of a chance event besides its rows, and of an outcome, in bytes: an
# entry of a dictionary with its key, in which outcomes stand as Python numbers.
_KEY_BYTES = 160
_OUTCOME_BYTES = 80


class Outcomes(NamedTuple):
    """The outcomes of a chance event that can happen.

    Attributes:
      actions: their action ids.
      cumulative: running sums of their probabilities; the last one is the total.
    """

    actions: list[int]
    cumulative: list[float]

    @classmethod
    def of(cls, pairs: Sequence[tuple[int, float]]) -> "Outcomes":
        """Reads pairs of outcome and probability; impossible outcomes are left out."""
        possible = [pair for pair in pairs if pair[1] > 0]
        return cls([a for a, _ in possible], list(accumulate(p for _, p in possible)))

    def draw(self, uniform: float) -> int:
        """Draws an outcome by inverse CDF from a number in [0, 1)."""
        # Rounding may leave the total a little below 1, so the draw is scaled to it.
        index = bisect_right(self.cumulative, uniform * self.cumulative[-1])
        return self.actions[min(index, len(self.actions) - 1)]


class VisitedStates:
    """A growing record of histories, numbered from 1 in the order of their first visit.

    An *edge* is a history with one combination of legal actions of the seats to move there, or with
    one chance outcome; the edges of a history have consecutive numbers. A *view* is what one seat
    to move sees and may do; equal views are stored once. View 0 is that of a seat which is not to
    move: it sees zeros and has action 0 as a dummy.

    Histories at which nobody moves have one edge, which leads back to themselves, and so has
    `ELSEWHERE`: lanes that are finished or have left the memory need no case of their own.
    """

    def __init__(
        self, *, num_players: int, num_actions: int, observation_size: int, max_bytes: int
    ):
        """Makes an empty record.

        Args:
          num_players: number of seats `P`.
          num_actions: number of action ids `A`.
          observation_size: length `O` of an observation.
          max_bytes: most memory that rows in use may take.
        """
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self.full = False
        # Of histories: how each was first reached, what was paid by then, what follows.
        self._parent, self._moves = _Table("i"), _Table("i", num_players)
        self._returns, self._first_edge = _Table("d", num_players), _Table("q")
        self._views, self._chance = _Table("i", num_players), _Table("i")
        self._child = _Table("i")
        self._observation, self._num_legal = _Table("f", observation_size), _Table("i")
        # Place of each action among the legal ones, -1 for the others.
        self._rank = _Table("h" if num_actions < 1 << 15 else "i", num_actions)
        self._first_outcome, self._num_outcomes = _Table("i"), _Table("i")
        self._outcome, self._cumulative = _Table("i"), _Table("d")
        histories = (
            self._parent,
            self._moves,
            self._returns,
            self._first_edge,
            self._views,
            self._chance,
        )
        views = (self._observation, self._rank, self._num_legal)
        events = (self._first_outcome, self._num_outcomes, self._outcome, self._cumulative)
        self._tables = (*histories, self._child, *views, *events)
        self._history_bytes = sum(table.row_bytes for table in histories)
        self._view_bytes = _KEY_BYTES + sum(table.row_bytes for table in views)
        self._view_of: dict[bytes, int] = {}
        self._event_of: dict[tuple[tuple[int, ...], tuple[float, ...]], int] = {}
        self._num_histories = self._num_edges = self._num_views = 0

        # Rows 0: no chance event, the view of an idle seat, `ELSEWHERE` with its edge.
        self._first_outcome.new.append(0)
        self._num_outcomes.new.append(0)
        self._no_views = [0] * num_players
        self._no_rank = array(self._rank.new.typecode, [-1]) * num_actions
        self._add_view(array("f", bytes(self._observation.row_bytes)), [0])
        self._add([0.0] * num_players, views=self._no_views, event=0, num_edges=1)
        self._num_bytes = 0
        self.commit(
            np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros((1, num_players), np.int64)
        )

    def __len__(self) -> int:
        """Number of histories remembered."""
        return self._num_histories - 1

    @property
    def num_bytes(self) -> int:
        """Memory of the rows in use; arrays are enlarged by doubling, so up to twice as much is
        reserved.
        """
        return self._num_bytes

    def returns(self, histories: Int[np.ndarray, "B"]) -> Float64[np.ndarray, "B P"]:
        """Returns what every seat has been paid on the way, in game points."""
        return self._returns.rows.take(histories, axis=0)

    def to_move(self, histories: Int[np.ndarray, "B"]) -> Bool[np.ndarray, "B P"]:
        """Returns the seats to move."""
        return self._views.rows.take(histories, axis=0) > 0

    def legal_mask(self, histories: Int[np.ndarray, "B"]) -> Bool[np.ndarray, "B P A"]:
        """Returns the legal actions of the seats to move, action 0 for the others."""
        views = self._views.rows.take(histories, axis=0)
        return self._rank.rows.take(views, axis=0) >= 0

    def observe(self, histories: Int[np.ndarray, "B"]) -> Float32[np.ndarray, "B P O"]:
        """Returns what the seats to move see, zeros for the others."""
        views = self._views.rows.take(histories, axis=0)
        return self._observation.rows.take(views, axis=0)

    def edges(
        self, histories: Int[np.ndarray, "B"], actions: Int[np.ndarray, "B P"]
    ) -> Int[np.ndarray, "B"]:
        """Returns the edges taken by legal actions, 0 for the seats that are not to move."""
        A = self._rank.rows.shape[1]
        views = self._views.rows.take(histories, axis=0).astype(np.intp)
        ranks = self._rank.rows.reshape(-1).take(views * A + actions)
        offset = ranks[:, 0].astype(np.int64)
        for seat in range(1, ranks.shape[1]):
            offset *= self._num_legal.rows.take(views[:, seat])
            offset += ranks[:, seat]
        return self._first_edge.rows.take(histories) + offset

    def is_chance(self, histories: Int[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
        """Returns where chance moves next."""
        return self._chance.rows.take(histories) > 0

    def draw(
        self, histories: Int[np.ndarray, "n"], uniform: Float64[np.ndarray, "n"]
    ) -> tuple[Int[np.ndarray, "n"], Int32[np.ndarray, "n"]]:
        """Draws chance outcomes, the same ones as `Outcomes.draw`.

        Args:
          histories: where chance moves next.
          uniform: numbers in [0, 1).

        Returns:
          `(edges, outcomes)`.
        """
        event = self._chance.rows.take(histories)
        first, count = self._first_outcome.rows.take(event), self._num_outcomes.rows.take(event)
        cumulative = self._cumulative.rows
        target = uniform * cumulative.take(first + (count - 1))
        # A bisection of all lanes at once for the number of sums that are at most `target`, the
        # last sum, the total, left out.
        low, left = first.copy(), count - 1
        for _ in range(int(left.max()).bit_length()):
            middle = left >> 1
            above = (cumulative.take(low + middle) <= target) & (left > 0)
            low += above * (middle + 1)
            left = np.where(above, left - middle - 1, middle)
        edges = self._first_edge.rows.take(histories) + (low - first)
        return edges, self._outcome.rows.take(low)

    def follow(self, edges: Int[np.ndarray, "n"]) -> Int32[np.ndarray, "n"]:
        """Returns where edges lead, `ELSEWHERE` for those that nobody has taken."""
        return self._child.rows.take(edges)

    def path(self, history: int, known: int) -> tuple[int, list[list[int]]]:
        """Returns `known` where it is `history` or comes before it, else the game's first history,
        and the moves from there to `history`.
        """
        moves = []
        while history != known and (parent := int(self._parent.rows[history])) != ELSEWHERE:
            moves.append(self._moves.rows[history].tolist())
            history = parent
        return history, moves[::-1]

    def add_chance(self, returns: list[float], outcomes: Outcomes) -> int:
        """Remembers a history at which chance moves; see `add_decision`."""
        key = (tuple(outcomes.actions), tuple(outcomes.cumulative))
        count = len(outcomes.actions)
        event = self._event_of.get(key)
        event_bytes = 0 if event else _KEY_BYTES + _OUTCOME_BYTES * count
        if not self._fits(count, event_bytes):
            return ELSEWHERE
        if event is None:
            self._event_of[key] = event = len(self._first_outcome)
            self._first_outcome.new.append(len(self._outcome))
            self._num_outcomes.new.append(count)
            self._outcome.new.extend(outcomes.actions)
            self._cumulative.new.extend(outcomes.cumulative)
            self._num_bytes += event_bytes
        return self._add(returns, views=self._no_views, event=event, num_edges=count)

    def add_decision(
        self,
        returns: list[float],
        legal: Sequence[tuple[int, list[int]]],
        observe_fn: Callable[[int], list[float]],
    ) -> int:
        """Remembers a history at which players move, or a terminal one, where none does.

        Everything else here answers for it from the next `commit` on.

        Args:
          returns: what every seat has been paid since the start of the game, in game points.
          legal: the seats to move with their legal actions.
          observe_fn: called with a seat, gives what it sees; only called where the history fits.

        Returns:
          The number of the history, `ELSEWHERE` where it does not fit.
        """
        num_edges = prod([len(actions) for _, actions in legal])
        if not self._fits(num_edges, self._view_bytes * len(legal)):
            return ELSEWHERE
        views = self._no_views
        if not legal:
            history = self._add(returns, views=views, event=0, num_edges=1)
            self._child.new[-1] = history
            return history
        views = views.copy()
        for seat, actions in legal:
            views[seat] = self._view(array("f", observe_fn(seat)), actions)
        return self._add(returns, views=views, event=0, num_edges=num_edges)

    def commit(
        self,
        parents: Int[np.ndarray, "n"],
        edges: Int[np.ndarray, "n"],
        moves: Int[np.ndarray, "n P"],
    ) -> None:
        """Writes the histories added since the last commit, in the order in which they were added.

        Args:
          parents: the history before each, `ELSEWHERE` for the first one of the game.
          edges: the edge taken from there, 0 for the first history.
          moves: per seat the action chosen there, 0 for those that were not to move; after a chance
            event, the outcome and zeros.

        Raises:
          RuntimeError: an error or Ctrl-C kept histories that were added from being committed, so
            the record has to be made anew.
        """
        if len(parents) != len(self._first_edge.new):
            raise RuntimeError(
                f"{len(self._first_edge.new)} histories were added but {len(parents)} are to be "
                "committed: an earlier step was interrupted; make a new host"
            )
        first = self._num_histories - len(parents)
        self._parent.new.extend(parents.tolist())
        self._moves.new.extend(moves.ravel().tolist())
        for table in self._tables:
            table.commit()
        self._child.rows[edges] = np.where(
            parents == ELSEWHERE, ELSEWHERE, np.arange(first, self._num_histories)
        )

    def _fits(self, num_edges: int, other_bytes: int) -> bool:
        """Whether there is room for a history with so many edges and so much besides."""
        needed = self._history_bytes + num_edges * self._child.row_bytes + other_bytes
        self.full |= self._num_bytes + needed > self._max_bytes
        return not self.full

    def _view(self, observation: array, actions: list[int]) -> int:
        """The number of a view, new or known."""
        seen = observation.tobytes() + array("i", actions).tobytes()
        # With 128 bits no two views of any game will ever collide.
        key = hashlib.blake2b(seen, digest_size=16).digest()
        view = self._view_of.get(key)
        if view is None:
            self._view_of[key] = view = self._add_view(observation, actions)
        return view

    def _add_view(self, observation: array, actions: list[int]) -> int:
        view = self._num_views
        rank = self._no_rank[:]
        for place, action in enumerate(actions):
            rank[action] = place
        self._observation.new.extend(observation)
        self._rank.new.extend(rank)
        self._num_legal.new.append(len(actions))
        self._num_views += 1
        self._num_bytes += self._view_bytes
        return view

    def _add(self, returns: list[float], *, views: list[int], event: int, num_edges: int) -> int:
        history = self._num_histories
        self._returns.new.extend(returns)
        self._first_edge.new.append(self._num_edges)
        self._views.new.extend(views)
        self._chance.new.append(event)
        self._child.new.frombytes(bytes(self._child.row_bytes * num_edges))
        self._num_histories += 1
        self._num_edges += num_edges
        self._num_bytes += self._history_bytes + num_edges * self._child.row_bytes
        return history


class _Table:
    """An array to which rows are added in batches.

    Attributes:
      rows: the rows committed so far, and room for more.
      new: the numbers of the rows added since, one row after the other.
      row_bytes: size of a row.
    """

    def __init__(self, typecode: str, width: int | None = None):
        self._row_shape = () if width is None else (width,)
        self._count = 0
        # By its string, as NumPy has two types for the same 64 bits.
        self.rows = np.empty((0, *self._row_shape), np.dtype(typecode).str)
        self.new = array(typecode)
        self.row_bytes = self.rows.itemsize * (width or 1)

    def __len__(self) -> int:
        """Number of rows, the new ones included."""
        return self._count + len(self.new) * self.new.itemsize // self.row_bytes

    def commit(self) -> None:
        """Moves the new rows into the array."""
        count = len(self)
        if count > len(self.rows):
            larger = np.empty((2 * count, *self._row_shape), self.rows.dtype)
            larger[: self._count] = self.rows[: self._count]
            self.rows = larger
        added = np.frombuffer(self.new, self.rows.dtype)
        self.rows[self._count : count] = added.reshape(-1, *self._row_shape)
        self._count, self.new = count, array(self.new.typecode)
