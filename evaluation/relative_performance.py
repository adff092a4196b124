"""How two populations compare, how diverse one is, and how much of a comparison is cycles.

Relative population performance, effective diversity and the decomposition into a transitive and a
cyclic part are those of Balduzzi et al. 2019, "Open-ended Learning in Symmetric Zero-sum Games"
(arXiv 1901.08106), which NeuPL reports too (Liu et al. 2022, arXiv 2202.07415).
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

from solvers.meta.nash import solve_nash


class RelativePerformance(NamedTuple):
    """How a population does against another one when both mix as well as they can.

    Attributes:
      value: value of the game between the two, to the first, in game points.
      first: its equilibrium mixture.
      second: that of the other population.
    """

    value: float
    first: Float64[np.ndarray, "n"]
    second: Float64[np.ndarray, "m"]


@dataclasses.dataclass(frozen=True)
class Transitivity:
    """A comparison as ratings, and what ratings cannot say.

    Attributes:
      ratings: `[n]` mean payoff of each strategy; a transitive comparison is their differences.
      transitive: share of the squared payoffs that those differences explain, in [0, 1]; NaN where
        all payoffs are 0.
      cyclic: the rest.
    """

    ratings: Float64[np.ndarray, "n"]
    transitive: float
    cyclic: float


class Cycle(NamedTuple):
    """Three strategies each of which beats the next one, and the last the first.

    Attributes:
      members: their numbers, the least one first.
      strength: the least of the three payoffs, in game points.
    """

    members: tuple[int, int, int]
    strength: float


def relative_performance(payoffs: Float[np.ndarray, "n m"]) -> RelativePerformance:
    """Relative population performance (definition 3): the value of the game between populations.

    Args:
      payoffs: to the first population's strategy (row) against the second's, in game points; the
        seats averaged out.

    Raises:
      SolverError: no equilibrium was found.
    """
    first, second = solve_nash(payoffs).marginals()
    return RelativePerformance(float(first @ payoffs @ second), first, second)


def performance_between(
    payoffs: Float[np.ndarray, "n m"], errors: Float[np.ndarray, "n m"]
) -> tuple[float, float]:
    """Relative performance from payoffs that were measured, and its standard error for the two
    mixtures that were found.

    Args:
      payoffs: as in `relative_performance`.
      errors: their standard errors, independent of each other.

    Returns:
      Both in game points.

    Raises:
      SolverError: no equilibrium was found.
    """
    found = relative_performance(payoffs)
    return found.value, float(np.sqrt(found.first**2 @ errors**2 @ found.second**2))


def effective_diversity(payoffs: Float[np.ndarray, "n n"]) -> float:
    """Effective diversity (definition 4): `p' max(A, 0) p` for the Nash mixture `p` of greatest
    entropy; 0 where a single strategy is enough.

    Args:
      payoffs: antisymmetric, in game points.
    """
    mixture = solve_nash(payoffs).marginals()[0]
    return float(mixture @ np.maximum(payoffs, 0.0) @ mixture)


def effective_number(mixture: Float[np.ndarray, "n"]) -> float:
    """How many strategies a mixture plays: the exponential of its entropy."""
    positive = mixture[mixture > 0]
    return float(np.exp(-np.sum(positive * np.log(positive))))


def transitivity(payoffs: Float[np.ndarray, "n n"]) -> Transitivity:
    """Splits an antisymmetric comparison into a gradient and a rotation (the Hodge decomposition,
    section 2): `A = grad(f) + rot`, `f_i` the mean of row i.

    Args:
      payoffs: antisymmetric, in game points.
    """
    ratings = payoffs.mean(axis=1)
    gradient = ratings[:, None] - ratings[None, :]
    total = float(np.sum(payoffs**2))
    share = float(np.sum(gradient**2)) / total if total > 0 else np.nan
    return Transitivity(ratings, share, 1 - share)


def three_cycles(
    payoffs: Float[np.ndarray, "n n"], *, margin: Float[np.ndarray, "n n"] | float = 0.0
) -> list[Cycle]:
    """All cycles of three, the strongest first.

    Args:
      payoffs: antisymmetric, in game points.
      margin: what a strategy must earn more than to have beaten another: the half width of an
        interval, say.
    """
    beats = payoffs > np.maximum(margin, 0.0)
    found = []
    for a in range(len(payoffs)):
        for b in np.flatnonzero(beats[a]):
            for c in np.flatnonzero(beats[b] & beats[:, a]):
                # Each cycle is met once from each of its members.
                if a < b and a < c:
                    strength = min(payoffs[a, b], payoffs[b, c], payoffs[c, a])
                    found.append(Cycle((a, int(b), int(c)), float(strength)))
    return sorted(found, key=lambda cycle: (-cycle.strength, cycle.members))
