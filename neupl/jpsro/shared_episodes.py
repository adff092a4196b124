"""What an episode tells of profiles that did not play it.

An episode of one profile is as good for every other profile that would have played it as likely.
Each counts for all of them, by how likely each makes what was done beside the mixture of all
profiles that were played: multiple importance sampling with the balance heuristic (Veach and Guibas
1995), whose weights are bounded by the number of episodes over those of the profile. Chance is the
same for everybody and cancels. Strategies of one population agree at most of their decisions, so a
profile is known from many times the episodes that it played, and what two profiles have in common
is no noise between them.
"""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int

from neupl.payoff_statistics import PayoffStatistics

# Numbers that are held at a time.
CHUNK_NUMBERS = 2**22


def shared_statistics(
    log_probs: Float[np.ndarray, "E P K"],
    returns: Float[np.ndarray, "E P"],
    played: Int[np.ndarray, "..."],
) -> PayoffStatistics:
    """Statistics of all profiles from episodes of some of them.

    A profile's count is the number of its own episodes that would be worth as much, `(sum w)^2 /
    sum w^2` (Kish 1965); its mean is the weighted one.

    Args:
      log_probs: log-probability of all that each seat did in an episode, by each of its strategies,
        in nats; 0 where it had nothing to decide.
      returns: of every seat, in game points.
      played: `[K, ..., K]` how many of the episodes each profile played; they sum to `E`.

    Raises:
      FloatingPointError: a return is not finite.
    """
    if not np.isfinite(returns).all():
        raise FloatingPointError("an episode returned NaN or infinity")
    players, size = log_probs.shape[1:]
    # By the likeliest strategy of each seat, which cancels.
    likely = np.exp(log_probs - log_probs.max(axis=2, keepdims=True)).astype(np.float64)
    returns = returns.astype(np.float64)
    shape, share = played.shape, played / played.sum()
    sums = np.zeros((size**players, 2 * players + 1))
    squares = np.zeros((size**players, 1))
    step = max(CHUNK_NUMBERS // (size ** (players - 1) * (2 * players + 1)), 1)
    for first in range(0, len(returns), step):
        some, own = likely[first : first + step], returns[first : first + step]
        mixture = _mixture(share, some)[:, None]
        moments = np.concatenate([np.ones_like(mixture), own, own**2], axis=1) / mixture
        sums += _by_profile(some, moments)
        squares += _by_profile(some**2, 1.0 / mixture**2)
    weight = sums[:, :1]
    effective = weight**2 / np.where(squares > 0, squares, 1.0)
    scaled = sums[:, 1:] / np.where(weight > 0, weight, 1.0) * effective
    return PayoffStatistics(
        effective.reshape(shape),
        scaled[:, :players].reshape(*shape, players),
        scaled[:, players:].reshape(*shape, players),
    )


def joined_statistics(parts: Sequence[PayoffStatistics]) -> PayoffStatistics:
    """Statistics of the episodes of all parts."""
    return PayoffStatistics(
        *(functools.reduce(np.add, field) for field in zip(*parts, strict=True))
    )


def _mixture(
    share: Float[np.ndarray, "..."], likely: Float64[np.ndarray, "e P K"]
) -> Float64[np.ndarray, "e"]:
    """How likely each episode is where profiles are drawn by their shares."""
    left = np.tensordot(likely[:, 0], share, axes=(1, 0))
    for seat in range(1, likely.shape[1]):
        left = np.einsum("ea...,ea->e...", left, likely[:, seat])
    return left


def _by_profile(
    likely: Float64[np.ndarray, "e P K"], moments: Float64[np.ndarray, "e F"]
) -> Float64[np.ndarray, "N F"]:
    """Sums over episodes of moments times the likelihood of each profile, first seat slowest."""
    others = moments
    for seat in reversed(range(1, likely.shape[1])):
        others = likely[:, seat, :, None] * others.reshape(len(moments), 1, -1)
        others = others.reshape(len(moments), -1)
    found = likely[:, 0].T @ others
    return found.reshape(-1, moments.shape[1])
