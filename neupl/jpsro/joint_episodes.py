"""Episodes that tell what a response gains: in pairs that differ in nothing but the response.

Both episodes of a pair have one draw from the joint for all seats and the same random numbers. In
one all seats follow the draw; in the other one seat plays its response instead. The difference of
that seat's returns has the gain as its mean, whatever the others do, and far less variance than the
returns have: cards are the same, and so is everything until the response acts otherwise (common
random numbers).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32, Integer

from neupl.rollout import Trajectory


class Played(NamedTuple):
    """`B` episodes.

    Attributes:
      profile: who played every seat, as `neupl.jpsro.response_actor` reads it.
      returns: of every seat, in game points.
      trajectory: what was done, where it was recorded.
    """

    profile: Int32[np.ndarray, "B P"]
    returns: Float32[np.ndarray, "B P"]
    trajectory: Trajectory | None


class DrawnPairs(NamedTuple):
    """`B` pairs of episodes to play.

    Attributes:
      seat: who responds in the second one.
      advice: number of its response: 0 where it decides before it hears anything, else its own
        strategy of the draw.
      profile: the draw.
    """

    seat: Int32[np.ndarray, "B"]
    advice: Int32[np.ndarray, "B"]
    profile: Int32[np.ndarray, "B P"]


class Pairs(NamedTuple):
    """`B` pairs of episodes.

    Attributes:
      seat: as in `DrawnPairs`.
      advice: as in `DrawnPairs`.
      followed: the first ones.
      responded: the second ones.
    """

    seat: Int32[np.ndarray, "B"]
    advice: Int32[np.ndarray, "B"]
    followed: Played
    responded: Played

    @property
    def gain(self) -> Float64[np.ndarray, "B"]:
        """What the seat earned more by its response, in game points."""
        every = np.arange(len(self.seat))
        apart = self.responded.returns.astype(np.float64) - self.followed.returns
        return apart[every, self.seat]


def draw_pairs(
    rng: np.random.Generator, joint: Float[np.ndarray, "..."], *, lanes: int, concept: str
) -> DrawnPairs:
    """Draws seats, advice and profiles of pairs; consumes `rng`.

    Every seat gets its share of the lanes, and its draws are spread over the joint as evenly as
    lanes can be (systematic resampling).

    Args:
      rng: of the draws.
      joint: distribution over profiles, `[K, ..., K]`.
      lanes: `B`, a multiple of the number of seats.
      concept: whether seats decide before (`"cce"`) or after (`"ce"`) they hear their strategy.
    """
    players = joint.ndim
    each = lanes // players
    ends = np.cumsum(joint.reshape(-1))
    points = (rng.random(players)[:, None] + np.arange(each)) / each * ends[-1]
    cell = np.searchsorted(ends, points.reshape(-1), side="right")
    # Rounding at the end of the sum may point behind the last profile that has probability.
    cell = np.minimum(cell, np.flatnonzero(joint)[-1])
    profile = np.stack(np.unravel_index(cell, joint.shape), axis=1).astype(np.int32)
    seat = np.repeat(np.arange(players, dtype=np.int32), each)
    advice = np.zeros_like(seat) if concept == "cce" else profile[np.arange(len(seat)), seat]
    return DrawnPairs(seat, advice, profile)


def mean_gains(
    pairs: Pairs, num_responders: int
) -> tuple[Float64[np.ndarray, "P R"], Float64[np.ndarray, "P R"]]:
    """What each response gains over following the advice it is for, times how likely that is, and
    standard errors, in game points; 0 where an advice was never heard.
    """
    players = pairs.followed.profile.shape[1]
    heard = pairs.advice[:, None] == np.arange(num_responders)
    part = pairs.gain[:, None] * heard
    mean, error = np.zeros((players, num_responders)), np.zeros((players, num_responders))
    for player in range(players):
        mean[player], error[player] = mean_and_error(part[pairs.seat == player])
    return mean, error


def seat_gains(pairs: Pairs) -> tuple[Float64[np.ndarray, "P"], Float64[np.ndarray, "P"]]:
    """What each seat gains by all of its responses, and standard errors, in game points."""
    players = pairs.followed.profile.shape[1]
    found = [mean_and_error(pairs.gain[pairs.seat == player]) for player in range(players)]
    mean, error = zip(*found, strict=True)
    return np.array(mean, np.float64), np.array(error, np.float64)


def mean_and_error(
    sample: Float[np.ndarray, "N *rest"],
) -> tuple[Float64[np.ndarray, "*rest"] | np.float64, Float64[np.ndarray, "*rest"] | np.float64]:
    """Means over the first axis, and their standard errors; infinite for fewer than 2 numbers."""
    if len(sample) < 2:
        nothing = np.zeros(sample.shape[1:])
        return nothing + sample.sum(axis=0), nothing + np.inf
    return sample.mean(axis=0), sample.std(axis=0, ddof=1) / np.sqrt(len(sample))


def joined(parts: list[Pairs]) -> Pairs:
    """All pairs of several batches, without what was done in them."""

    def together(played: list[Played]) -> Played:
        profile = np.concatenate([part.profile for part in played])
        return Played(profile, np.concatenate([part.returns for part in played]), None)

    return Pairs(
        np.concatenate([part.seat for part in parts]),
        np.concatenate([part.advice for part in parts]),
        together([part.followed for part in parts]),
        together([part.responded for part in parts]),
    )


def lanes_for(episodes: int, players: int) -> int:
    """A third of the episodes, or a little less, that is a multiple of the number of seats."""
    return max(episodes // (3 * players), 1) * players


def padded(
    profile: Integer[np.ndarray, "n P"], lanes: int
) -> list[tuple[Int32[np.ndarray, "B P"], int]]:
    """Profiles in batches of so many lanes, each with how many of them are wanted: batches of one
    size are compiled once.
    """
    batches = []
    for first in range(0, len(profile), lanes):
        part = profile[first : first + lanes].astype(np.int32)
        filled = np.zeros((lanes, profile.shape[1]), np.int32)
        filled[: len(part)] = part
        batches.append((filled, len(part)))
    return batches
