"""Bradley-Terry with style control: strengths at equal style of the two answers.

`P(i beats j) = sigmoid(r_i - r_j + x . gamma)`, where `x` are differences of the answers' style
such as `(l_i - l_j) / (l_i + l_j + 1)` of their lengths (LMArena's style control, 2024; with
lengths alone the idea of length-controlled AlpacaEval, arXiv 2404.04475). Differences are scaled to
a mean square of 1 but not shifted: exchanging the answers of a battle must change nothing. There
is no ridge: what the battles do not tell is an error, not a number near 0.
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.special
from jaxtyping import Float64, Int32

from evaluation.types import DataError
from solvers.types import SolverError

# Largest gradient of the log-likelihood, per battle, that counts as none.
TOLERANCE, MAX_STEPS = 1e-11, 60
# A step changes log-odds of a pair, or of a typical difference of style, by at most so much.
MAX_STEP = 2.0
# Least curvature along any direction, as a share of the largest, with which it is determined.
LEAST_CURVATURE = 1e-9


class StyleFit(NamedTuple):
    """A maximum of the likelihood.

    Attributes:
      strengths: log-strengths at equal style in nats, of mean 0, `[n]`.
      effects: nats that a typical (root mean square) difference of each style adds, `[F]`.
      covariance: sandwich covariance of strengths and effects, `[n + F, n + F]`, in squared nats.
      residual: largest entry of the log-likelihood's gradient per battle.
      steps: of Newton's method.
    """

    strengths: Float64[np.ndarray, "n"]
    effects: Float64[np.ndarray, "F"]
    covariance: Float64[np.ndarray, "m m"]
    residual: float
    steps: int


def fit_style_control(
    first: Int32[np.ndarray, "N"],
    second: Int32[np.ndarray, "N"],
    outcome: Float64[np.ndarray, "N"],
    differences: Float64[np.ndarray, "N F"],
    *,
    num_models: int,
) -> StyleFit:
    """Fits strengths and the effect of style to battles; ties are half wins.

    Args:
      first: model of the first answer.
      second: model of the second one.
      outcome: share of the battle that goes to the first.
      differences: of the styles of the two answers, finite, from the side of the first.
      num_models: `n`.

    Raises:
      DataError: a style is the same in both answers of every battle, or the battles do not tell its
        effect from the strengths of the models.
      SolverError: Newton's method did not converge: style decides every battle.
    """
    scale = np.sqrt(np.mean(differences**2, axis=0))
    if not scale.all():
        raise DataError(
            f"style {int(np.argmin(scale)) + 1} of {len(scale)} is the same in both answers of "
            "every battle; leave it out"
        )
    styles = differences / scale
    num_battles, size = len(first), num_models + styles.shape[1]

    def summed(weights):
        """Weighted sum over battles of the derivative of their log-odds by each parameter."""
        won = np.bincount(first, weights, num_models) - np.bincount(second, weights, num_models)
        return np.append(won, weights @ styles)

    def squared(weights):
        """Weighted sum over battles of the outer products of those derivatives."""
        return _outer_products(first, second, styles, weights, num_models)

    def likelihood(point):
        odds = point[first] - point[second] + styles @ point[num_models:]
        value = float(np.sum(outcome * odds - np.logaddexp(0.0, odds)))
        return value, scipy.special.expit(odds)

    point = np.zeros(size)
    value, rates = likelihood(point)
    steps = 0
    while True:
        gradient = summed(outcome - rates)
        curvature = squared(rates * (1 - rates))
        # Adding a constant to all strengths changes nothing: pin their sum.
        curvature[:num_models, :num_models] += np.trace(curvature) / size / num_models
        if steps == 0:
            _check_determined(curvature)
        residual = float(np.abs(gradient).max() / num_battles)
        if residual <= TOLERANCE:
            break
        if steps == MAX_STEPS:
            raise SolverError(
                f"the likelihood of the battles has no maximum within {MAX_STEPS} steps of "
                "Newton's method: perhaps style decides every battle; the gradient per battle is "
                f"{residual:.3g}"
            )
        steps += 1
        change = scipy.linalg.solve(curvature, gradient, assume_a="pos")
        length = min(1.0, MAX_STEP / float(np.abs(change).max()))
        while True:
            trial = point + length * change
            new_value, new_rates = likelihood(trial)
            if new_value >= value - 1e-12 * abs(value) or length < 1e-10:
                break
            length /= 2
        point, value, rates = trial, new_value, new_rates
    bread = scipy.linalg.inv(curvature)
    # Strengths are defined up to a constant: those of mean 0.
    bread[:num_models] -= bread[:num_models].mean(axis=0)
    point[:num_models] -= point[:num_models].mean()
    covariance = bread @ squared((outcome - rates) ** 2) @ bread.T
    return StyleFit(point[:num_models], point[num_models:], covariance, residual, steps)


def _outer_products(first, second, styles, weights, num_models):
    size = num_models + styles.shape[1]
    total = np.zeros((size, size))
    pair = first * np.int64(num_models) + second
    met = np.bincount(pair, weights, num_models**2).reshape(num_models, num_models)
    met += met.T
    total[:num_models, :num_models] = np.diag(met.sum(axis=1)) - met
    for place, style in enumerate(styles.T, num_models):
        own = np.bincount(first, weights * style, num_models)
        own -= np.bincount(second, weights * style, num_models)
        total[:num_models, place] = total[place, :num_models] = own
    total[num_models:, num_models:] = styles.T @ (weights[:, None] * styles)
    return total


def _check_determined(curvature):
    scaled = curvature / np.sqrt(np.outer(np.diagonal(curvature), np.diagonal(curvature)))
    if scipy.linalg.eigvalsh(scaled, subset_by_index=(0, 0))[0] < LEAST_CURVATURE:
        raise DataError(
            "the battles do not tell the effect of style from the strengths of the models, for "
            "example because every model always answers alike; leave the style out"
        )
