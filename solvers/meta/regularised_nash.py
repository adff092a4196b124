"""Entropy-regularised equilibrium of a two-player zero-sum normal-form game.

Each player maximises its payoff plus `temperature` times the entropy of its strategy. There is one
equilibrium, the logit quantal response equilibrium of precision `1 / temperature` (McKelvey and
Palfrey 1995). It is a smooth function of the payoffs, so noise in estimates moves it a little,
where a Nash equilibrium jumps from vertex to vertex; and every strategy keeps some weight.

The column player's strategy `y` minimises the convex function `temperature * (logsumexp(A y /
temperature) - H(y))`, found by Newton's method in log-probabilities while the temperature falls.
"""

import time

import numpy as np
from jaxtyping import Float, Float64

from solvers.meta.deviation import deviation_gains, product_joint
from solvers.meta.nash import zero_sum_matrix
from solvers.types import SolverError, SolverResult

# Temperatures fall by this factor, from the payoff range to the one asked for.
COOLING = 0.5
# Log-probabilities within this of their fixed point count as found, or within so many payoff ranges
# divided by the temperature: rounding is magnified alike.
TOLERANCE, ROUNDING = 1e-8, 1e-11
MAX_NEWTON_STEPS = 100
# Least share of the decrease that the slope promises (Armijo).
DECREASE = 1e-4
# Below this a probability's square root is no divisor.
LEAST_ROOT = 1e-150


def solve_regularised_nash(
    payoffs: Float[np.ndarray, "..."], *, temperature: float
) -> SolverResult:
    """Solves a two-player zero-sum game in which entropy is worth `temperature` a nat.

    Args:
      payoffs: the row player's payoffs `[K_0, K_1]`, or both players' `[K_0, K_1, 2]` adding up to
        a constant, in game points.
      temperature: in game points per nat; positive.

    Returns:
      A `SolverResult` whose joint is the product of the two strategies. Its gap is the NashConv
      without the entropies, at most `temperature * log(K_0 K_1)`.

    Raises:
      ValueError: the temperature is not positive, or payoffs are not finite, have a wrong shape,
        more than two players, or are not zero-sum.
      SolverError: Newton's method did not converge; the message carries the residual.
    """
    start = time.perf_counter()
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature!r}: it must be positive")
    matrix = zero_sum_matrix(payoffs)
    # The range of the payoffs is 1 inside, and the temperature with it.
    scale = float(np.ptp(matrix)) or 1.0
    scaled, target = matrix / scale, temperature / scale
    logs = np.full(matrix.shape[1], -np.log(matrix.shape[1]))
    iterations, now = 0, max(1.0, target)
    while True:
        logs, steps = _minimise(scaled, logs, now)
        iterations += steps
        if now <= target:
            break
        now = max(now * COOLING, target)
    _, row = _value(scaled, logs, target)
    joint = product_joint([row, np.exp(logs)])
    both = np.stack([matrix, -matrix], axis=-1)
    return SolverResult(
        joint=joint,
        concept="regularised nash",
        gap=float(np.maximum(deviation_gains(both, joint), 0.0).sum()),
        status="solved",
        iterations=iterations,
        seconds=time.perf_counter() - start,
    )


def _value(
    matrix: Float64[np.ndarray, "K0 K1"], logs: Float64[np.ndarray, "K1"], temperature: float
) -> tuple[float, Float64[np.ndarray, "K0"]]:
    """The column player's objective, and the row player's regularised best response."""
    column = np.exp(logs)
    earned = matrix @ column / temperature
    weights = np.exp(earned - earned.max())
    total = weights.sum()
    value = temperature * (earned.max() + np.log(total) + column @ logs)
    return float(value), weights / total


def _minimise(
    matrix: Float64[np.ndarray, "K0 K1"], logs: Float64[np.ndarray, "K1"], temperature: float
) -> tuple[Float64[np.ndarray, "K1"], int]:
    """Log-probabilities of the column player's equilibrium strategy, from a guess."""
    value, row = _value(matrix, logs, temperature)
    for step in range(MAX_NEWTON_STEPS):
        column = np.exp(logs)
        # Unknowns are changes over the square roots of probabilities: entropy then contributes a
        # multiple of the identity, however small the probabilities are.
        root = np.sqrt(column)
        lost = matrix.T @ row
        gradient = root * (lost + temperature * logs)
        spread = (matrix - lost) * root
        size = len(column)
        system = np.zeros((size + 1, size + 1))
        system[:size, :size] = (spread.T * row) @ spread / temperature
        system[:size, :size] += temperature * np.eye(size)
        system[:size, size] = system[size, :size] = root
        change = np.linalg.solve(system, np.append(-gradient, 0.0))[:size]
        slope = float(gradient @ change)
        # Where probabilities underflow, nothing depends on them: their own fixed point is the step.
        alone = _logit(lost, temperature) - logs
        change = np.where(root > LEAST_ROOT, change / np.maximum(root, LEAST_ROOT), alone)
        largest = float(np.abs(change).max())
        if largest <= TOLERANCE + ROUNDING / temperature:
            return logs + change, step
        # Probabilities fall as far as they like, and rise to at most about `e`.
        rising = change > 0
        length = min(1.0, float(np.min((1 - logs[rising]) / change[rising], initial=1.0)))
        while True:
            tried = logs + length * change
            tried -= np.log(np.exp(tried).sum())
            found, answer = _value(matrix, tried, temperature)
            if found <= value + DECREASE * length * slope + 1e-15 or length < 1e-9:
                break
            length /= 2
        logs, value, row = tried, found, answer
    raise SolverError(
        f"no regularised equilibrium of the {matrix.shape[0]}x{matrix.shape[1]} game at "
        f"temperature {temperature:.3g} of its payoff range within {MAX_NEWTON_STEPS} steps; "
        f"log-probabilities still move by {largest:.3g}"
    )


def _logit(lost, temperature):
    logs = -(lost - lost.min()) / temperature
    return logs - np.log(np.exp(logs).sum())
