"""Payoffs estimated from episodes: running sums of returns per profile of strategies, and what they
say about the means.

Every estimate is taken from the sums with two imagined episodes added to each profile, one at
either end of the payoff range around a prior mean (for returns of 0 or 1 and a prior of one half,
the interval of Agresti and Caffo 2000). So a profile nobody has played has a finite error, one that
always returned the same is not taken for certain, and both fade as episodes come in.
"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int

# Weight of the prior, in episodes, half of it at each end of the payoff range.
PRIOR_EPISODES = 2.0


class PayoffStatistics(NamedTuple):
    """Sums over the episodes of every profile, each episode with a weight that decays.

    Attributes:
      count: `[K, ..., K]` sum of the weights: how many episodes those seen are taken for.
      total: `[K, ..., K, P]` weighted sum of the returns of every seat, in game points.
      square: `[K, ..., K, P]` weighted sum of their squares, in squared game points.
    """

    count: Float64[np.ndarray, "..."]
    total: Float64[np.ndarray, "... P"]
    square: Float64[np.ndarray, "... P"]


def empty(num_strategies: int, num_players: int) -> PayoffStatistics:
    """Statistics of no episodes."""
    shape = (num_strategies,) * num_players
    sums = np.zeros((*shape, num_players))
    return PayoffStatistics(np.zeros(shape), sums, sums.copy())


def add(
    statistics: PayoffStatistics,
    profiles: Int[np.ndarray, "B P"],
    returns: Float[np.ndarray, "B P"],
) -> PayoffStatistics:
    """Adds complete episodes.

    Args:
      statistics: of the episodes before.
      profiles: the strategy that each seat played.
      returns: what each seat received in the whole episode, in game points.

    Raises:
      ValueError: a strategy is not one of the `K` (-1 stands for a seat that never moved: give the
        strategy that it was dealt).
      FloatingPointError: a return is not finite.
    """
    shape = statistics.count.shape
    if profiles.size and not (profiles.min() >= 0 and profiles.max() < shape[0]):
        raise ValueError(
            f"profiles name strategies {profiles.min()} to {profiles.max()}; "
            f"allowed are 0 to {shape[0] - 1}"
        )
    if not np.isfinite(returns).all():
        raise FloatingPointError("an episode returned NaN or infinity")
    cell, size = np.ravel_multi_index(tuple(profiles.T), shape), statistics.count.size
    wide = returns.T.astype(np.float64)
    total = [np.bincount(cell, of_seat, size) for of_seat in wide]
    square = [np.bincount(cell, of_seat, size) for of_seat in wide**2]
    return PayoffStatistics(
        statistics.count + np.bincount(cell, minlength=size).reshape(shape),
        statistics.total + np.stack(total, axis=-1).reshape(statistics.total.shape),
        statistics.square + np.stack(square, axis=-1).reshape(statistics.total.shape),
    )


def decay(
    statistics: PayoffStatistics, keep: Float[np.ndarray, "K"] | Float[np.ndarray, "P K"]
) -> PayoffStatistics:
    """Lets old episodes count less: policies have moved since they were played.

    A profile keeps the product of its seats' shares, so one whose strategies are all held keeps
    its history. What is left of `n` episodes counts as that many episodes and no more (the power
    prior of Ibrahim and Chen 2000). That widens the errors of profiles that are no longer played;
    where episodes keep coming and no policy moves after all, errors are up to `sqrt(2)` times too
    wide.

    Args:
      statistics: of the episodes so far.
      keep: share of its past that each strategy keeps, 0 to 1; the same for all seats or per seat.

    Raises:
      ValueError: a share is outside 0 to 1.
    """
    if not ((keep >= 0) & (keep <= 1)).all():
        raise ValueError(f"keep must be shares from 0 to 1, not {keep.min()} to {keep.max()}")
    num_strategies, num_players = len(statistics.count), statistics.count.ndim
    factor = np.ones(())
    for of_seat in np.broadcast_to(keep, (num_players, num_strategies)).astype(np.float64):
        factor = np.multiply.outer(factor, of_seat)
    return PayoffStatistics(
        statistics.count * factor,
        statistics.total * factor[..., None],
        statistics.square * factor[..., None],
    )


def forget(statistics: PayoffStatistics, strategy: int) -> PayoffStatistics:
    """Starts over every profile in which some seat plays `strategy`, which is a new one now."""
    keep = np.ones(len(statistics.count))
    keep[strategy] = 0.0
    return decay(statistics, keep)


def pool_permutations(statistics: PayoffStatistics) -> PayoffStatistics:
    """Shares episodes between the profiles that differ only in who sits where.

    For games whose seats are interchangeable and use one table of strategies. For reading only:
    episodes added to the result would count in one order and not in the others. Seats that play the
    same strategy share the average of their returns, as one observation per episode. With two
    players the result is symmetric to the bit.
    """
    num_players = statistics.count.ndim
    permutations = list(itertools.permutations(range(num_players)))
    profiles = np.indices(statistics.count.shape)
    # How often a profile of equal strategies comes back to itself.
    fixed = sum((profiles[list(seats)] == profiles).all(axis=0) for seats in permutations)

    def pooled(sums: Float64[np.ndarray, "... P"]) -> Float64[np.ndarray, "... P"]:
        moved = (sums.transpose(*seats, num_players)[..., seats] for seats in permutations)
        return sum(moved) / fixed[..., None]

    count = sum(statistics.count.transpose(seats) for seats in permutations) / fixed
    return PayoffStatistics(count, pooled(statistics.total), pooled(statistics.square))


def mean_returns(statistics: PayoffStatistics) -> Float64[np.ndarray, "P"]:
    """The mean return of each seat over all episodes, in game points, 0 before there are any; what
    to expect of profiles that nobody has played.
    """
    players = statistics.count.ndim
    total = statistics.total.reshape(-1, players).sum(axis=0)
    return total / max(float(statistics.count.sum()), 1.0)


def means(
    statistics: PayoffStatistics, prior: float | Float[np.ndarray, "..."]
) -> Float64[np.ndarray, "... P"]:
    """The estimated payoffs `[K, ..., K, P]`, in game points: `(total + 2 prior) / (count + 2)`.

    Args:
      statistics: of the episodes so far.
      prior: mean expected before any episode, in game points: a number (the middle of the payoff
        range) or an array `[K, ..., K, P]` (a model's prediction).
    """
    return (statistics.total + PRIOR_EPISODES * prior) / _number(statistics)


def standard_deviations(
    statistics: PayoffStatistics,
    prior: float | Float[np.ndarray, "..."],
    payoff_range: float,
) -> Float64[np.ndarray, "... P"]:
    """Estimated standard deviation `[K, ..., K, P]` of one episode's return, in game points.

    That of the sample with the two imagined episodes at `prior - payoff_range / 2` and
    `prior + payoff_range / 2`: the greatest there can be, before any episode.
    """
    number = _number(statistics)
    imagined = PRIOR_EPISODES * (np.square(prior) + payoff_range**2 / 4)
    variance = (statistics.square + imagined) / number - means(statistics, prior) ** 2
    return np.sqrt(np.maximum(variance, 0.0))


def standard_errors(
    statistics: PayoffStatistics,
    prior: float | Float[np.ndarray, "..."],
    payoff_range: float,
) -> Float64[np.ndarray, "... P"]:
    """Standard errors `[K, ..., K, P]` of `means`, in game points: the standard deviation over
    `sqrt(count + 2)`.

    They cover the pull of the prior as well: after `n` episodes, a payoff without noise within half
    a range of the prior is at most `sqrt((n + 2) / (n + 1))` standard errors from its estimate.
    """
    return standard_deviations(statistics, prior, payoff_range) / np.sqrt(_number(statistics))


def antisymmetric(payoffs: Float[np.ndarray, "K L 2"]) -> Float64[np.ndarray, "K L 2"]:
    """Payoffs of a two-player zero-sum game with the second seat's the negative of the first's to
    the bit.
    """
    first = (payoffs[..., 0] - payoffs[..., 1]) / 2
    return np.stack([first, -first], axis=-1)


def _number(statistics: PayoffStatistics) -> Float64[np.ndarray, "... 1"]:
    return statistics.count[..., None] + PRIOR_EPISODES
