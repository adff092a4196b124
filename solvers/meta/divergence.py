"""Objectives that select one correlated equilibrium: how far a joint is from an ideal one.

Each is separable and strictly convex, so that its minimiser on the simplex at given linear prices
of profiles, the *link*, has a closed form. Maximum Gini impurity is the least weighted sum of
squares; maximum entropy is the least relative entropy to uniform.
"""

import dataclasses
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int


@runtime_checkable
class Divergence(Protocol):
    """A separable convex function of a joint distribution.

    Attributes:
      unit: a number that brings its slope at the ideal joint to the order of 1.
      floor: its values differ meaningfully from the least one by shares of `max(value, floor)`.
    """

    unit: float
    floor: float

    def ideal(self) -> Float64[np.ndarray, "..."]:
        """Its minimiser on the simplex."""
        ...

    def value(self, joint: Float64[np.ndarray, "..."]) -> float:
        """The divergence."""
        ...

    def slope(self, joint: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
        """Its derivative."""
        ...

    def bend(self, joint: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
        """Its second derivative."""
        ...

    def link(
        self, prices: Float64[np.ndarray, "..."]
    ) -> tuple[Float64[np.ndarray, "..."], Float64[np.ndarray, "..."]]:
        """The joint of least divergence plus `prices . joint`, and one over its bend on the
        support, 0 elsewhere.
        """
        ...

    def restricted(self, kept: tuple[Int[np.ndarray, "_"], ...]) -> "Divergence":
        """The divergence of joints of the strategies that are kept, per player."""
        ...


@dataclasses.dataclass(frozen=True)
class Gini:
    """`sum over profiles of joint^2 / weights / 2`: half of one minus the Gini impurity if all
    weights are 1.

    Attributes:
      weights: `[K_0, ..., K_{P-1}]`, positive; how many copies of a profile share its probability.
    """

    weights: Float64[np.ndarray, "..."]
    floor: float = 0.0

    @property
    def unit(self) -> float:
        """See `Divergence`."""
        return float(self.weights.sum())

    def ideal(self) -> Float64[np.ndarray, "..."]:
        """See `Divergence`."""
        return self.weights / self.weights.sum()

    def value(self, joint: Float64[np.ndarray, "..."]) -> float:
        """See `Divergence`."""
        return 0.5 * float(np.sum(joint * joint / self.weights))

    def slope(self, joint: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
        """See `Divergence`."""
        return joint / self.weights

    def bend(self, joint: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
        """See `Divergence`."""
        return 1 / self.weights

    def link(
        self, prices: Float64[np.ndarray, "..."]
    ) -> tuple[Float64[np.ndarray, "..."], Float64[np.ndarray, "..."]]:
        """See `Divergence`: the projection onto the simplex, by Michelot's shrinking supports."""
        prices = prices - prices.min()
        weights = self.weights
        level = (1 + np.sum(weights * prices)) / weights.sum()
        size = prices.size + 1
        while True:
            # Levels fall from round to round, so that supports only shrink and the rounds end.
            used = prices < level
            curvature = weights * used
            total = curvature.sum()
            level = (1 + np.vdot(curvature, prices)) / total
            if np.count_nonzero(used) >= size:
                break
            size = np.count_nonzero(used)
        joint = curvature * np.maximum(level - prices, 0.0)
        return joint / joint.sum(), curvature

    def restricted(self, kept: tuple[Int[np.ndarray, "_"], ...]) -> "Gini":
        """See `Divergence`."""
        return Gini(self.weights[np.ix_(*kept)])


@dataclasses.dataclass(frozen=True)
class RelativeEntropy:
    """`sum over profiles of joint log(joint / target)` in nats.

    Attributes:
      target: `[K_0, ..., K_{P-1}]`, positive, sums to 1 on all profiles.
    """

    target: Float64[np.ndarray, "..."]
    unit: float = 1.0
    floor: float = 1.0

    def ideal(self) -> Float64[np.ndarray, "..."]:
        """See `Divergence`."""
        return self.target / self.target.sum()

    def value(self, joint: Float64[np.ndarray, "..."]) -> float:
        """See `Divergence`."""
        used = joint > 0
        return float(np.sum(joint[used] * np.log(joint[used] / self.target[used])))

    def slope(self, joint: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
        """See `Divergence`; the same constant less everywhere, which a distribution ignores."""
        return np.log(joint / self.target)

    def bend(self, joint: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
        """See `Divergence`."""
        return 1 / joint

    def link(
        self, prices: Float64[np.ndarray, "..."]
    ) -> tuple[Float64[np.ndarray, "..."], Float64[np.ndarray, "..."]]:
        """See `Divergence`: `target * exp(-prices)`, normalised."""
        # Beyond 700 nats the exponential is 0 anyway, and a warning.
        weight = self.target * np.exp(-np.minimum(prices - prices.min(), 700.0))
        joint = weight / weight.sum()
        return joint, joint

    def restricted(self, kept: tuple[Int[np.ndarray, "_"], ...]) -> "RelativeEntropy":
        """See `Divergence`; the target is not normalised again, for the same values."""
        return RelativeEntropy(self.target[np.ix_(*kept)])


@dataclasses.dataclass(frozen=True)
class Tilted:
    """A divergence plus a linear cost.

    With a cost large enough this selects, among the points of least cost, exactly the one of least
    divergence (Mangasarian and Meyer 1979).

    Attributes:
      base: what breaks ties.
      cost: of each profile, `[K_0, ..., K_{P-1}]`.
    """

    base: Gini | RelativeEntropy
    cost: Float64[np.ndarray, "..."]

    @property
    def unit(self) -> float:
        """See `Divergence`."""
        return 1 / (1 / self.base.unit + float(np.ptp(self.cost)))

    @property
    def floor(self) -> float:
        """See `Divergence`."""
        return self.base.floor + float(np.abs(self.cost).max())

    def ideal(self) -> Float64[np.ndarray, "..."]:
        """The base's ideal: where a method starts."""
        return self.base.ideal()

    def value(self, joint: Float64[np.ndarray, "..."]) -> float:
        """See `Divergence`."""
        return self.base.value(joint) + float(np.vdot(self.cost, joint))

    def slope(self, joint: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
        """See `Divergence`."""
        return self.base.slope(joint) + self.cost

    def bend(self, joint: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
        """See `Divergence`."""
        return self.base.bend(joint)

    def link(
        self, prices: Float64[np.ndarray, "..."]
    ) -> tuple[Float64[np.ndarray, "..."], Float64[np.ndarray, "..."]]:
        """See `Divergence`."""
        return self.base.link(prices + self.cost)

    def restricted(self, kept: tuple[Int[np.ndarray, "_"], ...]) -> "Tilted":
        """See `Divergence`."""
        return Tilted(self.base.restricted(kept), self.cost[np.ix_(*kept)])
