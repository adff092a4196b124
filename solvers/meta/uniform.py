"""Meta-strategies that need no payoffs: uniform, fictitious play's own, and one random profile."""

import time

import numpy as np
from jaxtyping import Float

from solvers.meta.deviation import check_payoffs, deviation_gains
from solvers.types import SolverResult


def solve_uniform(payoffs: Float[np.ndarray, "..."]) -> SolverResult:
    """Every player draws its strategies with equal probabilities.

    Args:
      payoffs: `[K_0, ..., K_{P-1}, P]`, in game points; only the reported gap depends on the
        entries.

    Raises:
      ValueError: payoffs contain NaN or the number of axes does not match the number of players.
    """
    start = time.perf_counter()
    payoffs = check_payoffs(payoffs)
    joint = np.full(payoffs.shape[:-1], 1 / np.prod(payoffs.shape[:-1]))
    return SolverResult(
        joint=joint,
        concept="uniform",
        gap=float(np.maximum(deviation_gains(payoffs, joint), 0).sum()),
        status="solved",
        iterations=0,
        seconds=time.perf_counter() - start,
    )


def solve_random_joint(payoffs: Float[np.ndarray, "..."], *, seed: int = 0) -> SolverResult:
    """All mass on one profile drawn uniformly; games of different shapes draw independently.

    Args:
      payoffs: `[K_0, ..., K_{P-1}, P]`, in game points; only the reported gap depends on the
        entries.
      seed: of the random numbers.

    Raises:
      ValueError: payoffs contain NaN or the number of axes does not match the number of players.
    """
    start = time.perf_counter()
    payoffs = check_payoffs(payoffs)
    generator = np.random.default_rng([seed, *payoffs.shape])
    joint = np.zeros(payoffs.shape[:-1])
    joint[tuple(generator.integers(payoffs.shape[:-1]))] = 1.0
    return SolverResult(
        joint=joint,
        concept="random_joint",
        gap=float(np.maximum(deviation_gains(payoffs, joint), 0).sum()),
        status="solved",
        iterations=0,
        seconds=time.perf_counter() - start,
    )
