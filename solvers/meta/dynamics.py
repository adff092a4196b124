"""Projected replicator dynamics (Lanctot et al. 2017, arXiv 1711.00832) for any number of players.

An approximate meta-solver whose answer keeps every strategy at a small probability; it does not
converge to an equilibrium in general, and its result says how far it is from one.
"""

import time

import numpy as np
from jaxtyping import Float, Float64

from solvers.meta.deviation import (
    check_payoffs,
    deviation_gains,
    independent_values,
    own_tables,
    product_joint,
)
from solvers.types import SolverResult


def solve_prd(
    payoffs: Float[np.ndarray, "..."],
    *,
    iterations: int = 20_000,
    step_size: float = 1e-3,
    floor: float = 1e-6,
) -> SolverResult:
    """Follows the projected replicator dynamics from the uniform profile and averages over time.

    Args:
      payoffs: `[K_0, ..., K_{P-1}, P]`, in game points. The step acts on these units, as in the
        paper.
      iterations: number of Euler steps.
      step_size: length of one step.
      floor: least probability of every strategy is `floor / K_p`.

    Returns:
      A `SolverResult` with the product of the time-averaged strategies and its NashConv as the gap.

    Raises:
      ValueError: payoffs contain NaN or have a wrong shape, or an option is out of range.
    """
    start = time.perf_counter()
    payoffs = check_payoffs(payoffs)
    if iterations < 1 or step_size <= 0 or not 0 <= floor < 1:
        raise ValueError(
            f"iterations={iterations}, step_size={step_size}, floor={floor}: expected at least one "
            "iteration, a positive step and a floor in [0, 1)"
        )
    tables = own_tables(payoffs)
    current = [np.full(k, 1 / k) for k in payoffs.shape[:-1]]
    total = [np.zeros(k) for k in payoffs.shape[:-1]]
    for _ in range(iterations):
        for player, value in enumerate(independent_values(tables, current)):
            own = current[player]
            moved = own + step_size * own * (value - own @ value)
            current[player] = _project(moved, floor / len(own))
            total[player] += current[player]
    marginals = [own / own.sum() for own in total]
    joint = product_joint(marginals)
    return SolverResult(
        joint=joint,
        concept="prd",
        gap=float(np.maximum(deviation_gains(payoffs, joint), 0).sum()),
        status=f"stopped after {iterations} steps",
        iterations=iterations,
        seconds=time.perf_counter() - start,
    )


def _project(point: Float64[np.ndarray, "K"], least: float) -> Float64[np.ndarray, "K"]:
    """Euclidean projection onto the distributions with every entry at least `least`."""
    excess = point - least
    mass = 1 - least * len(point)
    if excess.min() >= 0 and abs(excess.sum() - mass) < 1e-15:
        return point
    descending = np.sort(excess)[::-1]
    shift = (np.cumsum(descending) - mass) / np.arange(1, len(point) + 1)
    last = np.flatnonzero(descending > shift)[-1]
    return np.maximum(excess - shift[last], 0) + least
