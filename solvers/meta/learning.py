"""Repeated play as a meta-solver: regret matching and fictitious play, any number of players.

Both are what learning agents would do with the payoffs in hand. Their answers are approximate, and
the result says how far each is from an equilibrium.
"""

import time

import numpy as np
from jaxtyping import Float

from solvers.meta.deviation import (
    check_payoffs,
    deviation_gains,
    independent_values,
    own_tables,
    product_joint,
)
from solvers.types import SolverResult


def solve_regret_matching(
    payoffs: Float[np.ndarray, "..."], *, iterations: int = 10_000
) -> SolverResult:
    """Plays regret matching against itself and returns the time-averaged joint.

    Every player plays its strategies in proportion to the positive parts of their summed regrets
    (Hart and Mas-Colell 2000, with expected instead of drawn payoffs), uniformly at first. The
    average over time of the products of the players' strategies approaches the coarse correlated
    equilibria, its gap at a rate of `1 / sqrt(iterations)`; the product of the averages does not.

    Args:
      payoffs: `[K_0, ..., K_{P-1}, P]`, in game points.
      iterations: rounds of play, at least 1.

    Raises:
      ValueError: payoffs contain NaN or have a wrong shape, or there is no iteration.
    """
    start = time.perf_counter()
    payoffs = check_payoffs(payoffs)
    _check_iterations(iterations)
    tables = own_tables(payoffs)
    current = [np.full(k, 1 / k) for k in payoffs.shape[:-1]]
    regrets = [np.zeros(k) for k in payoffs.shape[:-1]]
    joint = np.zeros(payoffs.shape[:-1])
    for _ in range(iterations):
        joint += product_joint(current)
        for player, values in enumerate(independent_values(tables, current)):
            regrets[player] += values - values @ current[player]
        for player, regret in enumerate(regrets):
            positive = np.maximum(regret, 0.0)
            total = positive.sum()
            if total > 0:
                current[player] = positive / total
            else:
                current[player] = np.full(len(regret), 1 / len(regret))
    return _result(payoffs, joint / joint.sum(), "cce", iterations, start)


def solve_fictitious_play(
    payoffs: Float[np.ndarray, "..."], *, iterations: int = 10_000
) -> SolverResult:
    """Plays fictitious play (Brown 1951) and returns the product of the empirical frequencies.

    All players at once answer the others' frequencies so far, as if they were independent, with the
    lowest of their best strategies; the first answer is to uniform play. In two-player zero-sum and
    in potential games the product approaches a Nash equilibrium; elsewhere it need not.

    Args:
      payoffs: `[K_0, ..., K_{P-1}, P]`, in game points.
      iterations: rounds of play, at least 1.

    Raises:
      ValueError: payoffs contain NaN or have a wrong shape, or there is no iteration.
    """
    start = time.perf_counter()
    payoffs = check_payoffs(payoffs)
    _check_iterations(iterations)
    tables = own_tables(payoffs)
    counts = [np.zeros(k) for k in payoffs.shape[:-1]]
    beliefs = [np.full(k, 1 / k) for k in payoffs.shape[:-1]]
    for played in range(1, iterations + 1):
        for player, values in enumerate(independent_values(tables, beliefs)):
            counts[player][np.argmax(values)] += 1
        beliefs = [own / played for own in counts]
    return _result(payoffs, product_joint(beliefs), "fictitious_play", iterations, start)


def _check_iterations(iterations):
    if iterations < 1:
        raise ValueError(f"iterations={iterations} must be at least 1")


def _result(payoffs, joint, concept, iterations, start):
    return SolverResult(
        joint=joint,
        concept=concept,
        gap=float(np.maximum(deviation_gains(payoffs, joint), 0).sum()),
        status=f"stopped after {iterations} rounds",
        iterations=iterations,
        seconds=time.perf_counter() - start,
    )
