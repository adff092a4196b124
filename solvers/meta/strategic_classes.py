"""Strategies that no player can tell apart, and the game without the copies.

Two strategies of a player are equivalent when they give every player the same payoff whatever the
others do. Copying a strategy adds a member to a class and changes nothing else, so whatever is
computed on classes does not depend on how often a strategy was copied.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int

from solvers.meta.deviation import check_payoffs


class StrategicClasses(NamedTuple):
    """The classes of equivalent strategies of a player.

    Attributes:
      member: the class of each strategy, `[K]`, numbered by first members.
      first: the first member of each class, `[C]`.
    """

    member: Int[np.ndarray, "K"]
    first: Int[np.ndarray, "C"]

    def totals(self, weights: Float[np.ndarray, "K"]) -> Float64[np.ndarray, "C"]:
        """Sums of the members' weights."""
        return np.bincount(self.member, weights=weights, minlength=len(self.first))


def strategic_classes(payoffs: Float[np.ndarray, "..."]) -> tuple[StrategicClasses, ...]:
    """Each player's classes of equivalent strategies, by equality of payoffs to the last bit.

    Args:
      payoffs: `[K_0, ..., K_{P-1}, P]`, in game points.

    Raises:
      ValueError: payoffs contain NaN or have a wrong shape.
    """
    # Adding 0 turns -0 into 0, which are equal but not the same bits.
    payoffs = check_payoffs(payoffs) + 0.0
    classes = []
    for player in range(payoffs.shape[-1]):
        index: dict[bytes, int] = {}
        slices = np.moveaxis(payoffs, player, 0)
        member = np.array([index.setdefault(own.tobytes(), len(index)) for own in slices])
        _, first = np.unique(member, return_index=True)
        classes.append(StrategicClasses(member, first))
    return tuple(classes)


def without_copies(
    payoffs: Float[np.ndarray, "..."], classes: Sequence[StrategicClasses]
) -> Float64[np.ndarray, "..."]:
    """The payoffs of the game in which each class is one strategy."""
    return payoffs[np.ix_(*(own.first for own in classes), np.arange(payoffs.shape[-1]))]
