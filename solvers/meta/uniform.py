"""The uniform meta-strategy: fictitious play's, and the one that needs no payoffs."""

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
