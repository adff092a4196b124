"""Who plays next: waves of items that follow from the results so far, and from nothing else.

A wave is played as a whole before the next one is asked for, so that a tournament plays the same
games for any number of workers. One that was killed asks for the same waves again, from the first
on, and plays what its log lacks.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float64

from evaluation.tournament.items import Item
from evaluation.tournament.tally import Tally
from evaluation.tournament.types import Group, all_groups

# Expectations that no number of games could tell from 0 or 1.
_LEAST_MEAN = 1e-9
# Halvings of an interval: down to the precision of its ends.
_BISECTIONS = 60


class Schedule(Protocol):
    """Decides what is played."""

    def wave(self, tally: Tally) -> Sequence[Item]:
        """The items to be played next, given all results of the waves before; none when all is
        done. Groups that are exact are not played.
        """
        ...

    def total(self, tally: Tally) -> int | None:
        """Items in all; `None` where that depends on the results."""
        ...


@dataclasses.dataclass(frozen=True)
class Fixed:
    """Every group the same number of blocks: a round robin, or a gauntlet.

    Attributes:
      groups: who meets.
      blocks: of every group.
    """

    groups: tuple[Group, ...]
    blocks: int

    def wave(self, tally: Tally) -> list[Item]:
        """See `Schedule`."""
        # Block by block: what was played before a tournament was stopped compares everyone.
        items = [Item(group, block) for block in range(self.blocks) for group in self.groups]
        return _lacking(items, tally)

    def total(self, tally: Tally) -> int:
        """See `Schedule`."""
        return sum(not tally.is_exact(group) for group in self.groups) * self.blocks


def round_robin(num_entrants: int, num_players: int, blocks: int) -> Fixed:
    """Everyone meets everyone, itself included."""
    return Fixed(tuple(all_groups(num_entrants, num_players)), blocks)


def gauntlet(num_entrants: int, num_players: int, blocks: int) -> Fixed:
    """The first entrant meets all others, who do not meet among themselves alone."""
    groups = [group for group in all_groups(num_entrants, num_players) if 0 in group]
    return Fixed(tuple(group for group in groups if set(group) != {0}), blocks)


@dataclasses.dataclass(frozen=True)
class Uncertain:
    """A round robin that goes on with the groups whose payoffs are known least.

    Attributes:
      groups: who meets.
      blocks: of every group at first, at least one.
      budget: blocks in all.
      error: a group whose standard error is no larger is known well enough, in game points.
    """

    groups: tuple[Group, ...]
    blocks: int
    budget: int
    error: float = 0.0

    def wave(self, tally: Tally) -> list[Item]:
        """See `Schedule`."""
        first = Fixed(self.groups, self.blocks).wave(tally)
        if first:
            return first[: self.budget]
        played = {group: self._played(tally, group) for group in self.groups}
        left = self.budget - sum(played.values())
        errors = {group: tally.error(group) for group in self.groups}
        open_groups = [group for group in self.groups if errors[group] > self.error]
        # A quarter of the groups a wave: few enough to follow the errors, enough for many workers.
        size = min(left, max(1, math.ceil(len(self.groups) / 4)))
        items: list[Item] = []
        while open_groups and len(items) < size:
            # The group in which one more block lowers the error most.
            group = max(open_groups, key=lambda g: errors[g] / math.sqrt(1 + played[g]))
            items.append(Item(group, played[group]))
            errors[group] *= math.sqrt(played[group] / (played[group] + 1))
            played[group] += 1
        return items

    def _played(self, tally: Tally, group: Group) -> int:
        block = 0
        while Item(group, block) in tally:
            block += 1
        return block

    def total(self, tally: Tally) -> int | None:
        """See `Schedule`."""
        played = any(not tally.is_exact(group) for group in self.groups)
        return self.budget if self.error == 0 and played else None


@dataclasses.dataclass(frozen=True)
class Swiss:
    """Two players; in each round entrants of nearly equal scores meet that have not met yet.

    A match is the blocks of a pair: a point for the greater payoff, half for equal ones and for a
    bye. Equal scores are ordered by payoff.

    Attributes:
      num_entrants: how many take part.
      blocks: of a pair.
      rounds: at most as many as there are others to meet.
    """

    num_entrants: int
    blocks: int
    rounds: int

    def wave(self, tally: Tally) -> list[Item]:
        """See `Schedule`."""
        met: list[tuple[Group, ...]] = []
        for _ in range(self.rounds):
            pairs = self._pairs(tally, met)
            lacking = _lacking(
                [Item(p, block) for block in range(self.blocks) for p in pairs], tally
            )
            if lacking:
                return lacking
            met.append(pairs)
        return []

    def total(self, tally: Tally) -> int:
        """See `Schedule`."""
        return self.rounds * (self.num_entrants // 2) * self.blocks

    def _pairs(self, tally: Tally, met: Sequence[tuple[Group, ...]]) -> tuple[Group, ...]:
        points, payoff = np.zeros(self.num_entrants), np.zeros(self.num_entrants)
        byes = np.zeros(self.num_entrants)
        for pairs in met:
            inside = {k for pair in pairs for k in pair}
            for pair in pairs:
                a, b = tally.meeting(pair).payoffs.mean(axis=0)
                points[list(pair)] += (0.5 + 0.5 * np.sign(a - b), 0.5 + 0.5 * np.sign(b - a))
                payoff[list(pair)] += (a, b)
            for k in set(range(self.num_entrants)) - inside:
                points[k] += 0.5
                byes[k] += 1
        order = sorted(range(self.num_entrants), key=lambda k: (-points[k], -payoff[k], k))
        if self.num_entrants % 2:
            # The last one who has had no bye sits out.
            order.remove(max(order, key=lambda k: (-byes[k], order.index(k))))
        known = {pair for pairs in met for pair in pairs}
        return _paired(order, known)


def _lacking(items: Sequence[Item], tally: Tally) -> list[Item]:
    return [item for item in items if item not in tally and not tally.is_exact(item.group)]


def _paired(order: list[int], met: set[Group]) -> tuple[Group, ...]:
    """Neighbours of an order, without repetition where that is possible."""

    def search(left: list[int], allow: int) -> list[Group] | None:
        if not left:
            return []
        head, *others = left
        for other in others:
            pair = (min(head, other), max(head, other))
            repeated = pair in met
            if repeated > allow:
                continue
            rest = search([k for k in others if k != other], allow - repeated)
            if rest is not None:
                return [pair, *rest]
        return None

    for allow in range(len(order)):
        found = search(order, allow)
        if found is not None:
            return tuple(found)
    raise AssertionError("with as many repetitions as pairs there is a pairing")


class SequentialTest(NamedTuple):
    """Where a sequential probability ratio test stands.

    Attributes:
      ratio: log-likelihood ratio of H1 to H0, nats.
      lower: at or below it H0 is accepted.
      upper: at or above it H1 is.
      seedings: observations so far.
      score: mean score of the first entrant, in [0, 1].
    """

    ratio: float
    lower: float
    upper: float
    seedings: int
    score: float

    @property
    def accepted(self) -> str | None:
        """`"H0"`, `"H1"`, or `None` while the test goes on."""
        if self.ratio >= self.upper:
            return "H1"
        return "H0" if self.ratio <= self.lower else None


@dataclasses.dataclass(frozen=True)
class Sequential:
    """A sequential probability ratio test of two entrants, on seedings: H0 says that the first is
    `elo0` points stronger, H1 `elo1` (Wald 1945). An observation is a pair of games with swapped
    seats. How such scores are distributed is not known, so each hypothesis is taken at its best: by
    the likeliest distribution on [0, 1] with its mean (the generalized test of Li, Liu and Ying
    2014, with the empirical likelihood of Owen 1988, as engine testers do).

    Attributes:
      elo0: of H0.
      elo1: of H1, greater.
      alpha: chance of accepting H1 where H0 is true.
      beta: chance of accepting H0 where H1 is true.
      blocks: at most.
      blocks_per_wave: between two looks.
    """

    elo0: float
    elo1: float
    alpha: float = 0.05
    beta: float = 0.05
    blocks: int = 1000
    blocks_per_wave: int = 4

    def wave(self, tally: Tally) -> list[Item]:
        """See `Schedule`."""
        done = 0
        while Item((0, 1), done) in tally:
            done += 1
        if done and self.test(tally).accepted:
            return []
        stop = min(done + self.blocks_per_wave, self.blocks)
        return [Item((0, 1), block) for block in range(done, stop)]

    def total(self, tally: Tally) -> int | None:
        """See `Schedule`."""
        return None

    def test(self, tally: Tally) -> SequentialTest:
        """Where the test stands."""
        scores = tally.meeting((0, 1)).wins[:, 0, 1]
        low, high = (1 / (1 + 10 ** (-elo / 400)) for elo in (self.elo0, self.elo1))
        return SequentialTest(
            ratio=likelihood_lost(scores, low) - likelihood_lost(scores, high),
            lower=math.log(self.beta / (1 - self.alpha)),
            upper=math.log((1 - self.beta) / self.alpha),
            seedings=len(scores),
            score=float(scores.mean()) if len(scores) else 0.5,
        )


def likelihood_lost(scores: Float64[np.ndarray, "N"], mean: float) -> float:
    """How much less likely scores are, at best, if their expectation is `mean`: nats.

    The likeliest distribution on [0, 1] gives a score `x` of frequency `f` the probability
    `f / (1 + tilt (x - mean))`, and what is left to an end of the interval that was not scored;
    the tilt maximises the sum of the logarithms of the denominators (Owen 1988).

    Args:
      scores: in [0, 1].
      mean: in (0, 1).
    """
    mean = min(max(mean, _LEAST_MEAN), 1 - _LEAST_MEAN)
    values, counts = np.unique(scores, return_counts=True)
    distance = values - mean
    # The sum is concave; its maximum may lie at an end, where all scores are on one side.
    low, high = -1 / (1 - mean), 1 / mean
    tilt = 0.0
    for _ in range(_BISECTIONS):
        tilt = (low + high) / 2
        if counts @ (distance / (1 + tilt * distance)) > 0:
            low = tilt
        else:
            high = tilt
    return float(counts @ np.log1p(tilt * distance))
