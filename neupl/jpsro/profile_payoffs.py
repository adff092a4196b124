"""Payoffs of profiles of any number of seats from episodes: who is played, and what they show.

There are as many profiles as combinations of strategies. Each one that is in the population gets
some episodes; the rest of a budget goes where payoffs matter for a joint, in the value of a
deviation from it above all (`neupl.evaluation_budget`, for joints instead of mixtures). Every
episode counts for all profiles that would have played it (`neupl.jpsro.shared_episodes`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int, Int32

from neupl.evaluation_budget import allocate
from neupl.jpsro.shared_episodes import joined_statistics, shared_statistics
from neupl.payoff_statistics import (
    PayoffStatistics,
    mean_returns,
    means,
    standard_deviations,
    standard_errors,
)

# Episodes below which no profile of admitted strategies stays.
LEAST_EPISODES = 1
# Share of the weight of payoffs that does not ask what the joint plays: the next one may want them.
UNIFORM_SHARE = 0.25

# `(profiles [B, P], key) -> (log_probs [B, P, K], returns [B, P])` by the policies to be measured:
# how likely each strategy of each seat makes what the seat did, and what it got. Consumes `key`.
PlayProfiles = Callable[
    [Int32[np.ndarray, "B P"], Any],
    tuple[Float[np.ndarray, "B P K"], Float[np.ndarray, "B P"]],
]


def joint_importance(
    joint: Float[np.ndarray, "..."], sizes: Int[np.ndarray, "P"]
) -> Float64[np.ndarray, "... P"]:
    """How much each payoff weighs in what is read off a meta-game with this joint.

    The payoff of seat `p` weighs as much as the joint draws the co-players' strategies: so it does
    in what `p` earns by deviating to its own strategy of the profile, and it cannot weigh more in
    the value of following.

    Args:
      joint: `[K, ..., K]`.
      sizes: strategies of each seat; profiles of others weigh 0.

    Returns:
      `[K, ..., K, P]` weights that sum to the number of own strategies over each seat.
    """
    players, weights = joint.ndim, np.zeros((*joint.shape, joint.ndim))
    inside = tuple(slice(size) for size in sizes)
    for player in range(players):
        drawn = joint[inside].sum(axis=player, keepdims=True)
        even = np.full_like(drawn, 1.0 / drawn.size)
        mixed = (1 - UNIFORM_SHARE) * drawn + UNIFORM_SHARE * even
        weights[(*inside, player)] = np.broadcast_to(mixed, tuple(sizes))
    return weights


def play_the_unknown(
    statistics: PayoffStatistics, sizes: Int[np.ndarray, "P"], play: PlayProfiles, key: Any
) -> tuple[PayoffStatistics, int]:
    """Brings every profile of admitted strategies to `LEAST_EPISODES`; says how many it took."""
    inside = tuple(slice(size) for size in sizes)
    missing = np.zeros(statistics.count.shape, np.int64)
    missing[inside] = np.ceil(np.maximum(LEAST_EPISODES - statistics.count[inside], 0.0))
    return _played(statistics, missing, play, key), int(missing.sum())


def play_what_matters(
    statistics: PayoffStatistics,
    joint: Float[np.ndarray, "..."],
    sizes: Int[np.ndarray, "P"],
    episodes: int,
    play: PlayProfiles,
    key: Any,
    *,
    payoff_range: float,
) -> PayoffStatistics:
    """Plays so many episodes where they make what a joint is judged by most certain."""
    deviations = standard_deviations(statistics, mean_returns(statistics), payoff_range)
    number = allocate(
        deviations,
        statistics.count,
        joint_importance(joint, sizes),
        episodes,
        least=LEAST_EPISODES,
    )
    return _played(statistics, number, play, key)


def payoffs_and_errors(
    statistics: PayoffStatistics, payoff_range: float
) -> tuple[Float64[np.ndarray, "... P"], Float64[np.ndarray, "... P"]]:
    """Mean returns `[K, ..., K, P]` and their standard errors, in game points."""
    prior = mean_returns(statistics)
    return means(statistics, prior), standard_errors(statistics, prior, payoff_range)


def _played(
    statistics: PayoffStatistics, number: Int[np.ndarray, "..."], play: PlayProfiles, key: Any
) -> PayoffStatistics:
    profiles = np.repeat(np.argwhere(number >= 0), number.reshape(-1), axis=0).astype(np.int32)
    if not len(profiles):
        return statistics
    return joined_statistics([statistics, shared_statistics(*play(profiles, key), number)])
