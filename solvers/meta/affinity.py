"""Affinity entropy: the entropy of a strategy that counts similar actions as one.

A kernel `K` says how alike two strategies are: 1 for exact copies, 0 for strangers. With the kernel
of the identity the entropy is Tsallis' (Shannon's at order 0); copies only add up their
probabilities. Its maximiser is a prior that exact copies cannot move, and near-copies hardly
("Re-evaluating Open-ended Evaluation of Large Language Models", arXiv 2502.20170; the formulas are
those of its library polarix). Distances are in closed form here, not sampled.
"""

import numpy as np
import scipy.optimize
from jaxtyping import Float, Float64

from solvers.meta.deviation import check_payoffs

# Probabilities of a maximiser below this are rounding.
LEAST = 1e-15


def payoff_distances(payoffs: Float[np.ndarray, "..."], player: int) -> Float64[np.ndarray, "K K"]:
    """Mean squared difference of what two strategies pay, against opponents drawn at random.

    Opponents' mixed strategies are independent and uniform on their simplexes (Dirichlet with all
    parameters 1), for which `E[x_i x_j] = (1 + [i = j]) / (K (K + 1))`. The differences are of the
    payoffs to all players, averaged: strategies that pay their owner alike and others not are no
    copies.

    Args:
      payoffs: `[K_0, ..., K_{P-1}, P]`, in game points.
      player: whose strategies are compared.

    Returns:
      Distances in squared game points, symmetric with zeros on the diagonal.
    """
    payoffs = check_payoffs(payoffs)
    own = np.moveaxis(payoffs, player, 0)
    size, others = len(own), own.shape[1:-1]
    # The second moments of the opponents' joint are products of `identity + ones` over opponents:
    # a sum over all choices of which opponents to add up first.
    grams = np.zeros((size, size))
    for summed in np.ndindex(*([2] * len(others))):
        axes = tuple(1 + axis for axis, chosen in enumerate(summed) if chosen)
        features = own.sum(axis=axes).reshape(size, -1)
        grams += features @ features.T
    grams /= np.prod([k * (k + 1.0) for k in others]) * payoffs.shape[-1]
    norms = np.diagonal(grams)
    distances = np.maximum(norms[:, None] + norms[None, :] - 2 * grams, 0.0)
    np.fill_diagonal(distances, 0.0)
    return (distances + distances.T) / 2


def affinity_kernel(
    distances: Float[np.ndarray, "K K"], variance: float
) -> Float64[np.ndarray, "K K"]:
    """How alike strategies are, `exp(-distance / (2 variance))`.

    Args:
      distances: squared, in squared game points.
      variance: of the noise that payoffs may differ by and still be alike, in squared game points;
        positive.
    """
    if not variance > 0:
        raise ValueError(f"variance={variance} must be positive")
    return np.exp(-np.asarray(distances) / (2 * variance))


def affinity_entropy(
    kernel: Float[np.ndarray, "K K"], strategy: Float[np.ndarray, "K"], *, order: float = 1.0
) -> float:
    """The affinity entropy of a strategy: 0 if it is pure, whatever the kernel.

    Args:
      kernel: symmetric, entries in [0, 1], ones on the diagonal.
      strategy: sums to 1.
      order: 0 for Shannon's entropy of the kernel, in nats; 1 for the quadratic one.
    """
    columns = np.sum(kernel ** (order + 1), axis=0) ** (1 / (order + 1))
    spread = kernel @ (strategy / columns)
    if order > 0:
        return float((1 - np.sum(spread ** (order + 1))) / order)
    shares = kernel / columns
    own = -np.sum(_xlogx(shares), axis=0)
    return float(-np.sum(_xlogx(spread)) - strategy @ own)


def max_affinity_entropy(kernel: Float[np.ndarray, "K K"]) -> Float64[np.ndarray, "K"]:
    """The strategy of greatest affinity entropy of order 1.

    It minimises the squared norm of `kernel @ (strategy / columns)` on the simplex, a least-squares
    problem in disguise: non-negative `y` of least `|A y|^2 + (sum y - 1)^2` is a multiple of it.

    Args:
      kernel: symmetric and positive definite, entries in [0, 1], ones on the diagonal; no strategy
        is a copy of another.
    """
    scaled = kernel / np.sqrt(np.sum(kernel**2, axis=0))
    stacked = np.vstack([scaled, np.ones(len(kernel))])
    result, _ = scipy.optimize.nnls(stacked, np.append(np.zeros(len(kernel)), 1.0))
    result = np.where(result > LEAST * result.max(), result, 0.0)
    return result / result.sum()


def _xlogx(values):
    return np.where(values > 0, values * np.log(np.where(values > 0, values, 1.0)), 0.0)
