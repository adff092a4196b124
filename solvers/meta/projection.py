"""The problem behind every selected correlated equilibrium, and what makes an answer correct.

    minimise  divergence(joint) - relief
    subject to  A joint + relief_rates * relief <= allowance,  joint in the simplex,  relief >= 0

`A` maps a joint to the gains of all deviations. The relief is how much less than allowed every
deviation gains; it is absent unless the smallest epsilon is asked for.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from solvers.meta.divergence import Divergence
from solvers.meta.incentives import Incentives


@dataclasses.dataclass(frozen=True)
class Projection:
    """The problem.

    Attributes:
      incentives: the rows of `A`, one per deviation.
      divergence: what is minimised.
      allowance: greatest gain per row, in units of `incentives.scale`, `[R]`.
      relief_rates: gain per unit of relief and row, `[R]`, or `None` without relief.
    """

    incentives: Incentives
    divergence: Divergence
    allowance: Float64[np.ndarray, "R"]
    relief_rates: Float64[np.ndarray, "R"] | None = None

    def without_relief(self, relief: float) -> "Projection":
        """The same problem with the relief fixed."""
        if self.relief_rates is None:
            return self
        allowance = self.allowance - relief * self.relief_rates
        return dataclasses.replace(self, allowance=allowance, relief_rates=None)


class Answer(NamedTuple):
    """A point with its multipliers.

    Attributes:
      joint: `[K_0, ..., K_{P-1}]`.
      duals: multiplier of each row, non-negative, `[R]`.
      relief: see the module; 0 where it is absent.
      violation: largest violation of a row, in units of its player's scale.
      residual: see `answer`.
      iterations: Newton steps.
    """

    joint: Float64[np.ndarray, "..."]
    duals: Float64[np.ndarray, "R"]
    relief: float
    violation: float
    residual: float
    iterations: int


def answer(
    problem: Projection,
    joint: Float64[np.ndarray, "..."],
    duals: Float64[np.ndarray, "R"],
    *,
    relief: float = 0.0,
    iterations: int = 0,
) -> Answer:
    """The point with its residual of the optimality (Karush-Kuhn-Tucker) conditions.

    The residual is the greater of the largest violation of a row, in units of its player's scale,
    and a bound on how far the objective is from its optimum, as a share of the objective: the sum
    of `|dual * slack|` and of what the Lagrangian loses at this joint.
    """
    divergence, incentives = problem.divergence, problem.incentives
    prices = incentives.prices(duals)
    slack = incentives.gains(joint) - problem.without_relief(relief).allowance
    best, _ = divergence.link(prices)
    value = divergence.value(joint)
    lost = value - divergence.value(best) + float(np.vdot(prices, joint - best))
    lost = abs(lost) + float(np.abs(duals * slack).sum())
    if problem.relief_rates is not None:
        excess = float(problem.relief_rates @ duals) - 1.0
        lost += relief * abs(excess) + max(-excess, 0.0)
    violation = max(float(slack[incentives.binds].max(initial=0.0)), 0.0)
    residual = max(violation, lost / max(value, divergence.floor))
    return Answer(joint, duals, relief, violation, residual, iterations)


def worst_rows(
    problem: Projection, slack: Float64[np.ndarray, "R"], *, least: float
) -> Int[np.ndarray, "r"]:
    """The most violated row of each group, where it is violated by more than `least`."""
    slack = np.where(problem.incentives.binds, slack, -np.inf)
    starts = problem.incentives.group_starts
    if len(starts) == len(slack):
        return np.flatnonzero(slack > least)
    greatest = np.maximum.reduceat(slack, starts)
    sizes = np.diff(np.append(starts, len(slack)))
    chosen = np.flatnonzero((slack > least) & (slack == np.repeat(greatest, sizes)))
    # Of equal ones the first.
    group = np.repeat(np.arange(len(starts)), sizes)[chosen]
    return chosen[np.unique(group, return_index=True)[1]]
