"""Covariance of Bradley-Terry strengths that does not trust the model: the sandwich estimator.

The inverse information around the variance of the scores that the battles actually have (Huber
1967). Battles are independent of each other; all duels that follow from the scores of one prompt
are one observation.
"""

import numpy as np
import scipy.special
from jaxtyping import Float64

from evaluation.bradley_terry import Fit, information
from evaluation.outcomes import win_rates
from evaluation.types import Battles, Scores


def bradley_terry_covariance(
    evaluation: Battles | Scores, wins: Float64[np.ndarray, "n n"], fit: Fit
) -> Float64[np.ndarray, "n n"]:
    """Covariance of the fitted log-strengths, in squared nats; strengths have mean 0.

    Args:
      evaluation: what was fitted.
      wins: its table of wins.
      fit: the fit to it.
    """
    expected = scipy.special.expit(fit.strengths[:, None] - fit.strengths[None, :])
    if isinstance(evaluation, Scores):
        residual = np.nan_to_num(win_rates(evaluation) - expected)
        scores = residual.sum(axis=2)
        scores -= np.diagonal(residual, axis1=1, axis2=2)
        middle = scores.T @ scores
    else:
        middle = _battle_scores(evaluation, expected)
    # Strengths are defined up to a constant: the pseudo-inverse is that of mean 0.
    bread = np.linalg.pinv(information(wins, fit), rcond=1e-12, hermitian=True)
    return bread @ middle @ bread


def _battle_scores(battles, expected):
    """Sum over battles of the outer products of their scores."""
    size = len(battles.models)
    pair = battles.first * np.int64(size) + battles.second
    residual = battles.outcome - expected[battles.first, battles.second]
    squares = np.bincount(pair, weights=residual**2, minlength=size**2).reshape(size, size)
    squares += squares.T
    return np.diag(squares.sum(axis=1)) - squares
