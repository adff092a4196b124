"""The problem behind every selected correlated equilibrium, and what makes an answer correct.

    minimise  divergence(joint) - relief
    subject to  A joint + relief_rates * relief <= allowance,  joint in the simplex,  relief >= 0

`A` maps a joint to the gains of all deviations. The relief is how much less than allowed every
deviation gains; it is absent unless the smallest epsilon is asked for. Rows that are known to be
tight for every feasible joint may be posed as equations, whose multipliers have any sign.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int

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
      tight: rows that are equations, `[R]`, or `None` without any; only without relief.
    """

    incentives: Incentives
    divergence: Divergence
    allowance: Float64[np.ndarray, "R"]
    relief_rates: Float64[np.ndarray, "R"] | None = None
    tight: Bool[np.ndarray, "R"] | None = None

    def without_relief(self, relief: float) -> "Projection":
        """The same problem with the relief fixed."""
        if self.relief_rates is None:
            return self
        allowance = self.allowance - relief * self.relief_rates
        return dataclasses.replace(self, allowance=allowance, relief_rates=None)

    def violation(self, slack: Float64[np.ndarray, "R"]) -> float:
        """The largest violation of a row, from what the rows exceed their allowance by."""
        binds = self.incentives.binds
        worst = float(slack[binds].max(initial=0.0))
        if self.tight is not None:
            worst = max(worst, -float(slack[self.tight].min(initial=0.0)))
        return worst


class Answer(NamedTuple):
    """A point with its multipliers.

    Attributes:
      joint: `[K_0, ..., K_{P-1}]`.
      duals: multiplier of each row, non-negative unless the row is an equation, `[R]`.
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
    lost = shortfall(divergence, joint, prices) + float(np.abs(duals * slack).sum())
    if problem.relief_rates is not None:
        excess = float(problem.relief_rates @ duals) - 1.0
        lost += relief * abs(excess) + max(-excess, 0.0)
    violation = problem.violation(slack)
    residual = max(violation, lost / max(divergence.value(joint), divergence.floor))
    return Answer(joint, duals, relief, violation, residual, iterations)


def shortfall(
    divergence: Divergence,
    joint: Float64[np.ndarray, "..."],
    prices: Float64[np.ndarray, "..."],
) -> float:
    """How far the divergence plus the price of the joint is from its least."""
    best, _ = divergence.link(prices)
    lost = divergence.value(joint) - divergence.value(best) + float(np.vdot(prices, joint - best))
    return abs(lost)


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
