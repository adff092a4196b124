"""Correlated equilibria of greatest welfare, and random vertices of the set of equilibria.

A linear program finds the greatest sum of payoffs. Usually many equilibria reach it; among them the
one of greatest Gini impurity is unique, does not depend on the order of strategies, and is found by
a projection with the welfare as a cost, large enough to come first (Mangasarian and Meyer 1979).
"""

import time

import numpy as np
from jaxtyping import Float

from solvers.meta.deviation import check_payoffs, deviation_gains, swap_gains
from solvers.meta.divergence import Gini, Tilted
from solvers.meta.equilibrium_lp import best_joint
from solvers.meta.incentives import Concept, incentives
from solvers.meta.projection import Projection
from solvers.meta.projector import project
from solvers.types import SolverError, SolverResult

# Weights of the welfare against half the sum of squares; welfare is divided by its range.
WELFARE_WEIGHTS = (1e1, 1e3, 1e5)
# The tie-break may cost this share of the range of welfare.
WELFARE_TOLERANCE = 1e-9
# Sums of payoffs that differ by less than this share of the greatest payoff are the same.
ROUNDING = 1e-12


def solve_welfare(
    payoffs: Float[np.ndarray, "..."],
    *,
    concept: Concept = "cce",
    epsilon: float = 0.0,
    unique: bool = True,
) -> SolverResult:
    """Solves for the (coarse) correlated equilibrium with the greatest sum of payoffs.

    Args:
      payoffs: `[K_0, ..., K_{P-1}, P]`, in game points.
      concept: `"cce"` or `"ce"`.
      epsilon: largest gain of a deviation, in game points, at least 0.
      unique: among the equilibria of greatest welfare (within 1e-9 of its range) the one of
        greatest Gini impurity; otherwise a vertex, which depends on the order of strategies.

    Returns:
      A `SolverResult`. Its status is `"solved"`, or says that the tie-break failed and a vertex is
      returned.

    Raises:
      ValueError: payoffs contain NaN or have a wrong shape, or epsilon is negative.
      SolverError: the linear program failed.
    """
    start = time.perf_counter()
    payoffs = check_payoffs(payoffs)
    if not (np.isfinite(epsilon) and epsilon >= 0):
        raise ValueError(f"epsilon={epsilon} must be finite and at least 0 game points")
    welfare = payoffs.sum(axis=-1)
    joint, iterations = best_joint(payoffs, welfare, concept=concept, epsilon=epsilon)
    status = "solved" if unique else "solved by a vertex"
    if unique:
        try:
            joint, steps = _most_even(payoffs, concept, epsilon, joint)
            iterations += steps
        except SolverError as error:
            status = f"solved by a vertex; ties not broken: {error}"
    return _result(payoffs, joint, concept, status, iterations, start)


def solve_random_vertex(
    payoffs: Float[np.ndarray, "..."], *, concept: Concept = "cce", seed: int = 0
) -> SolverResult:
    """Finds a random vertex of the set of (coarse) correlated equilibria.

    It maximises a Gaussian worth of profiles, as the random-vertex solver of Marris et al. (2021,
    arXiv 2106.09435) does. Games of different shapes draw independently from the same seed.

    Args:
      payoffs: `[K_0, ..., K_{P-1}, P]`, in game points.
      concept: `"cce"` or `"ce"`.
      seed: of the random numbers.

    Raises:
      ValueError: payoffs contain NaN or have a wrong shape.
      SolverError: the linear program failed.
    """
    start = time.perf_counter()
    payoffs = check_payoffs(payoffs)
    worth = np.random.default_rng([seed, *payoffs.shape]).normal(size=payoffs.shape[:-1])
    joint, iterations = best_joint(payoffs, worth, concept=concept)
    return _result(payoffs, joint, concept, "solved by a vertex", iterations, start)


def _most_even(payoffs, concept, epsilon, vertex):
    """The joint of least squares whose welfare is that of the vertex, and the steps taken."""
    operator = incentives(payoffs, concept)
    welfare = payoffs.sum(axis=-1)
    spread = float(np.ptp(welfare))
    constant = spread <= ROUNDING * np.abs(payoffs).max()
    worth = np.zeros_like(welfare) if constant else (welfare - welfare.min()) / spread
    allowance = epsilon / operator.scale[operator.player]
    steps = 0
    for weight in WELFARE_WEIGHTS:
        divergence = Tilted(Gini(np.ones_like(worth)), -weight * worth)
        found = project(Projection(operator, divergence, allowance), newton_steps=0)
        steps += found.iterations
        if np.vdot(worth, vertex - found.joint) <= WELFARE_TOLERANCE:
            return found.joint, steps
    raise SolverError("greatest welfare not reached")


def _result(payoffs, joint, concept, status, iterations, start):
    gains = (deviation_gains if concept == "cce" else swap_gains)(payoffs, joint)
    return SolverResult(
        joint=joint,
        concept=concept,
        gap=float(np.maximum(gains, 0).sum()),
        status=status,
        iterations=iterations,
        seconds=time.perf_counter() - start,
    )
