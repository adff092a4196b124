"""Which profiles to play: a budget of episodes goes where it makes the payoffs that matter most
certain.

Neyman's optimal allocation (1934) with the episodes already played: counts are raised to
`importance * standard deviation` times a common level, and what is above that level gets nothing.
"""

import numpy as np
from jaxtyping import Float, Float64, Int64, Shaped


def importance(
    meta_strategy: Float[np.ndarray, "P K"], num_admitted: int, floor: float
) -> Float64[np.ndarray, "... P"]:
    """How much each payoff weighs in the values and gains that are read off the meta-game.

    The payoff of seat `p` counts with the probability that the co-players' strategies are drawn:
    its weight in what `p` earns by a deviation to that strategy, and the most it can weigh in the
    value of the meta-strategy itself.

    Args:
      meta_strategy: each seat's mixture over its strategies.
      num_admitted: the first so many strategies are in the population; the others weigh 0.
      floor: least weight of a profile of admitted strategies: the next meta-strategy may want it.

    Returns:
      `[K, ..., K, P]` weights from 0 to 1.
    """
    num_players, num_strategies = meta_strategy.shape
    weights = np.zeros((*(num_strategies,) * num_players, num_players))
    admitted = (slice(num_admitted),) * num_players
    for player in range(num_players):
        drawn = np.ones(())
        for seat in range(num_players):
            mixture = np.ones(num_strategies) if seat == player else meta_strategy[seat]
            drawn = np.multiply.outer(drawn, mixture)
        weights[(*admitted, player)] = np.maximum(drawn[admitted], floor)
    return weights


def allocate(
    standard_deviation: Float[np.ndarray, "... P"],
    count: Float[np.ndarray, "..."],
    weights: Float[np.ndarray, "... P"],
    episodes: int,
    *,
    least: int,
    symmetric: bool = False,
) -> Int64[np.ndarray, "..."]:
    """How many of `episodes` new episodes each profile gets.

    Minimises `sum_c sum_p (weights_cp standard_deviation_cp)^2 / (count_c + n_c)`, the summed
    variance of everything that `importance` weighs, over integers `n_c >= 0` that sum to
    `episodes`; exactly, since every further episode of a profile saves less than the one before.
    First of all, every profile that matters is brought to `least` episodes; where the budget is too
    small for that, those with fewest episodes come first.

    Args:
      standard_deviation: `[K, ..., K, P]` of one episode's return, in game points.
      count: `[K, ..., K]` episodes each profile has, fractions included.
      weights: `[K, ..., K, P]` from `importance`; profiles that weigh nothing get no episodes.
      episodes: the budget.
      least: episodes, old and new together, below which no profile that matters should stay.
      symmetric: whether profiles that differ only in who sits where share their episodes; `count`
        is then that of `pool_permutations`, and only profiles in ascending order are played.

    Returns:
      `[K, ..., K]` episodes to play. Equal claims are served in the order of the profiles.

    Raises:
      ValueError: nothing matters, the budget is negative, or `least` is not positive.
    """
    if episodes < 0 or least < 1 or not weights.any():
        raise ValueError(
            f"episodes={episodes} must be >= 0, least={least} must be >= 1, and one of the weights "
            f"positive (the greatest is {weights.max():g})"
        )
    curvature = ((weights * standard_deviation) ** 2).sum(axis=-1)
    matters = weights.any(axis=-1)
    if symmetric:
        curvature, matters = _on_ascending(curvature), _on_ascending(matters) > 0
    curvature, old = curvature[matters], count[matters].astype(np.float64)
    new = np.ceil(np.maximum(least - old, 0.0)).astype(np.int64)
    spare = episodes - int(new.sum())
    if spare < 0:
        # One more than there are, so that the first episode of a profile has a finite worth.
        new = _fill(np.ones_like(old), old + 1, episodes)
    else:
        # Where every return is known, episodes are worth nothing anywhere: level the counts.
        new += _fill(curvature if curvature.any() else np.ones_like(old), old + new, spare)
    allocation = np.zeros(count.shape, np.int64)
    allocation[matters] = new
    return allocation


def _fill(
    curvature: Float64[np.ndarray, "C"], count: Float64[np.ndarray, "C"], episodes: int
) -> Int64[np.ndarray, "C"]:
    """Integers `n` of sum `episodes` that minimise `sum(curvature / (count + n))`; counts are >= 1.

    All episodes that save more than some price are played. The price is found by bisection, in
    logarithms because savings span decades; the last ones to be played are ties.
    """
    steepest = int(np.argmax(curvature))
    alone = count[steepest] + episodes + 1
    low = np.log(curvature[steepest] / (alone * (alone + 1)))
    high = np.log((curvature / (count * (count + 1))).max()) + 1.0
    while low < (middle := (low + high) / 2) < high:
        if _bought(curvature, count, middle).sum() > episodes:
            low = middle
        else:
            high = middle
    new = _bought(curvature, count, high)
    ties = np.flatnonzero(_bought(curvature, count, low) > new)
    new[ties[: episodes - new.sum()]] += 1
    return new


def _bought(
    curvature: Float64[np.ndarray, "C"], count: Float64[np.ndarray, "C"], log_price: float
) -> Int64[np.ndarray, "C"]:
    """Episodes that save at least the price each.

    The `m`-th saves `curvature / (s (s - 1))` with `s = count + m`.
    """
    greatest = np.sqrt(curvature * np.exp(-log_price) + 0.25) + 0.5
    return np.floor(np.maximum(greatest - count, 0.0)).astype(np.int64)


def _on_ascending(of_profile: Shaped[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Adds up each profile's permutations on the one in which strategies ascend with the seats."""
    profiles = np.sort(np.indices(of_profile.shape), axis=0)
    folded = np.zeros(of_profile.shape)
    np.add.at(folded, tuple(profiles), of_profile)
    return folded
