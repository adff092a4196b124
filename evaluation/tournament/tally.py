"""What was played so far, and what is known exactly: payoffs of every seating, with their errors.

A *seeding* is one seed played in all seatings of a group; its mean over the seatings is one
observation, so that the luck of the cards and the advantage of a seat cancel within it.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int

from evaluation.tournament.items import GameForfeit, Item, ItemResult
from evaluation.tournament.types import Entrant, Group, arrangements, places_of
from games.game_tree import GameTree
from solvers.sequence_form import realization_plan
from solvers.values import payoffs_of_plans


@dataclasses.dataclass(frozen=True, eq=False)
class Meeting:
    """What a group's games say, by place in the group.

    Attributes:
      payoffs: `[N, P]` what each place of the group earned with each seed, mean over the seatings.
      wins: `[N, P, P]` share of the seatings in which the row's place earned more than the
        column's, a tie being half; 0 on the diagonal.
    """

    payoffs: Float64[np.ndarray, "N P"]
    wins: Float64[np.ndarray, "N P P"]


@dataclasses.dataclass(frozen=True, eq=False)
class ExactMeetings:
    """The same on a game tree, for entrants that are tables of it; one row each.

    Attributes:
      payoffs: by group, `[P]`.
      wins: by group, `[P, P]`.
      seats: by seating, payoffs of the seats `[P]`.
    """

    payoffs: dict[Group, Float64[np.ndarray, "P"]]
    wins: dict[Group, Float64[np.ndarray, "P P"]]
    seats: dict[tuple[int, ...], Float64[np.ndarray, "P"]]


class Tally:
    """Results of items, in any order; every item counts once."""

    def __init__(
        self, num_entrants: int, num_players: int, exact: ExactMeetings | None = None
    ) -> None:
        """Nothing has been played."""
        self.num_entrants, self.num_players = num_entrants, num_players
        self.exact = exact
        self._results: dict[Item, ItemResult] = {}

    def add(self, result: ItemResult) -> None:
        """Counts an item, once.

        Raises:
          ValueError: it is there already, or its shape is not that of its group.
        """
        expected = (len(arrangements(result.item.group)), self.num_players)
        if (result.returns.shape[0], result.returns.shape[2]) != expected:
            raise ValueError(f"returns of {result.item} have shape {result.returns.shape}")
        if result.item in self._results:
            raise ValueError(f"{result.item} is there already")
        self._results[result.item] = result

    def __contains__(self, item: Item) -> bool:
        return item in self._results

    @property
    def num_items(self) -> int:
        """Items played in all."""
        return len(self._results)

    @property
    def num_games(self) -> int:
        """Games played in all."""
        return sum(r.returns.shape[0] * r.returns.shape[1] for r in self._results.values())

    @property
    def num_decisions(self) -> int:
        """Decisions made in all games."""
        return sum(result.decisions for result in self._results.values())

    @property
    def seconds(self) -> float:
        """Seconds of all items, added up over the workers."""
        return sum(result.seconds for result in self._results.values())

    def groups(self) -> list[Group]:
        """Groups of which something is known, in order."""
        played = {item.group for item in self._results}
        return sorted(played | set(self.exact.payoffs if self.exact else ()))

    def is_exact(self, group: Group) -> bool:
        """Whether the payoffs of a group are exact."""
        return self.exact is not None and group in self.exact.payoffs

    @property
    def all_exact(self) -> bool:
        """Whether the payoffs of all groups of which something is known are exact."""
        return all(map(self.is_exact, self.groups()))

    def returns(self, group: Group) -> Float64[np.ndarray, "R N P"]:
        """All returns of a group in the order of the blocks; `N` is 0 where none was played."""
        own = sorted(item for item in self._results if item.group == group)
        shape = (len(arrangements(group)), 0, self.num_players)
        return np.concatenate([np.zeros(shape), *(self._results[i].returns for i in own)], axis=1)

    def meeting(self, group: Group) -> Meeting:
        """What is known of a group: one row where that is exact."""
        if self.is_exact(group):
            return Meeting(self.exact.payoffs[group][None], self.exact.wins[group][None])
        return meeting_of(group, self.returns(group))

    def error(self, group: Group) -> float:
        """The largest standard error of the group's payoffs, in game points; infinite of fewer than
        two seeds.
        """
        if self.is_exact(group):
            return 0.0
        payoffs = self.meeting(group).payoffs
        if len(payoffs) < 2:
            return np.inf
        return float((payoffs.std(axis=0, ddof=1) / np.sqrt(len(payoffs))).max())

    def forfeits(self) -> list[tuple[Item, GameForfeit]]:
        """All forfeits with their items, in the order of these."""
        return [
            (item, forfeit)
            for item in sorted(self._results)
            for forfeit in self._results[item].forfeits
        ]

    def tensors(
        self,
    ) -> tuple[Float64[np.ndarray, "..."], Float64[np.ndarray, "..."], Int[np.ndarray, "..."]]:
        """Payoffs of every seating to every seat, their standard errors, and games played.

        Returns:
          `[n, ..., n, P]` payoffs in game points, NaN where nothing is known; their standard errors
          of the same shape, 0 where exact, NaN of fewer than two games; counts `[n, ..., n]`.
        """
        shape = (self.num_entrants,) * self.num_players
        payoffs, errors = (np.full((*shape, self.num_players), np.nan) for _ in range(2))
        counts = np.zeros(shape, np.int64)
        for group in self.groups():
            returns = self.returns(group)
            for arrangement, games in zip(arrangements(group), returns, strict=True):
                counts[arrangement] = len(games)
                if self.is_exact(group):
                    payoffs[arrangement], errors[arrangement] = self.exact.seats[arrangement], 0.0
                elif len(games):
                    payoffs[arrangement] = games.mean(axis=0)
                    if len(games) > 1:
                        errors[arrangement] = games.std(axis=0, ddof=1) / np.sqrt(len(games))
        return payoffs, errors, counts


def meeting_of(group: Group, returns: Float64[np.ndarray, "R N P"]) -> Meeting:
    """Means over seatings, by place in the group; places of the same entrant share theirs."""
    R, N, P = returns.shape
    payoffs, wins = np.zeros((N, P)), np.zeros((N, P, P))
    for arrangement, games in zip(arrangements(group), returns, strict=True):
        place = places_of(group, arrangement)
        payoffs[:, place] += games / R
        more = (games[:, :, None] > games[:, None, :]) + 0.5 * (
            games[:, :, None] == games[:, None, :]
        )
        wins[np.ix_(range(N), place, place)] += more / R
    wins[:, range(P), range(P)] = 0.0
    return Meeting(_shared(group, payoffs), wins)


def exact_meetings(tree: GameTree, entrants: Sequence[Entrant]) -> ExactMeetings | None:
    """Everything that follows from the tables among the entrants; `None` where there are none."""
    known = [k for k, entrant in enumerate(entrants) if entrant.table is not None]
    if not known:
        return None
    plans = realization_plan(tree, np.stack([entrants[k].table for k in known]))
    P, own = tree.num_players, [plans] * tree.num_players
    seats = payoffs_of_plans(tree, own)
    pairs = list(itertools.combinations(range(P), 2))
    shares = np.stack([_shares(tree.terminal_returns, *pair) for pair in pairs], axis=1)
    # The solver values as many columns at a time as there are seats.
    columns = []
    for first in range(0, len(pairs), P):
        part = shares[:, first : first + P]
        padded = np.pad(part, ((0, 0), (0, P - part.shape[1])))
        other = dataclasses.replace(tree, terminal_returns=padded)
        columns.append(payoffs_of_plans(other, own)[..., : part.shape[1]])
    won = np.concatenate(columns, axis=-1)
    found = ExactMeetings({}, {}, {})
    for places in itertools.combinations_with_replacement(range(len(known)), P):
        group = tuple(known[k] for k in places)
        seatings = arrangements(places)
        payoffs, wins = np.zeros(P), np.zeros((P, P))
        for seating in seatings:
            place = places_of(places, seating)
            found.seats[tuple(known[k] for k in seating)] = seats[seating]
            payoffs[place] += seats[seating] / len(seatings)
            for (a, b), share in zip(pairs, won[seating], strict=True):
                wins[place[a], place[b]] += share / len(seatings)
                wins[place[b], place[a]] += (1 - share) / len(seatings)
        found.payoffs[group] = _shared(group, payoffs[None])[0]
        found.wins[group] = wins
    return found


def _shares(returns: np.ndarray, first: int, second: int) -> Float64[np.ndarray, "Z"]:
    a, b = returns[:, first], returns[:, second]
    return (a > b) + 0.5 * (a == b)


def _shared(group: Group, payoffs: Float64[np.ndarray, "N P"]) -> Float64[np.ndarray, "N P"]:
    """Payoffs in which all places of an entrant have the mean of theirs."""
    shared = payoffs.copy()
    for entrant in set(group):
        own = [q for q, e in enumerate(group) if e == entrant]
        shared[:, own] = payoffs[:, own].mean(axis=1, keepdims=True)
    return shared
