"""Bradley-Terry ratings, with ties as half wins or as an outcome of their own (Davidson 1970).

The likelihood depends on the battles only by how often each pair met and who won, so that a million
battles cost no more than the table of pairs. Newton's method on that table ends in a few steps.
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.special
from jaxtyping import Float64
from scipy.sparse.csgraph import connected_components

from evaluation.types import DataError
from solvers.types import SolverError

# Elo points per nat of log-strength, and the mean of all ratings.
ELO_SCALE, ELO_MEAN = 400 / np.log(10), 1000.0
# Largest gradient of the log-likelihood, per battle, that counts as none.
TOLERANCE, MAX_STEPS = 1e-12, 50
# The same of bootstrap draws, whose fits are as noisy as their data.
REFIT_TOLERANCE, MAX_REFIT_STEPS = 1e-8, 30
# Log-odds that change by more than this in a draw may be those of a draw without a finite maximum.
RUNAWAY = 5.0
# A step changes log-odds by at most so much.
MAX_STEP = 2.0


class Fit(NamedTuple):
    """A maximum of the likelihood.

    Attributes:
      strengths: log-strengths in nats, of mean 0, `[n]`.
      tie: Davidson's `nu`; 0 where ties are half wins.
      residual: largest entry of the log-likelihood's gradient per battle.
      steps: of Newton's method.
    """

    strengths: Float64[np.ndarray, "n"]
    tie: float
    residual: float
    steps: int


def elo_points(strengths: Float64[np.ndarray, "*b n"]) -> Float64[np.ndarray, "*b n"]:
    """Log-strengths on Elo's scale: 400 points are odds of ten to one, the mean is 1000."""
    centred = strengths - strengths.mean(axis=-1, keepdims=True)
    return ELO_MEAN + ELO_SCALE * centred


def fit_bradley_terry(wins: Float64[np.ndarray, "n n"]) -> Fit:
    """Fits `P(i beats j) = s_i / (s_i + s_j)`.

    Args:
      wins: how often i beat j; a tie is half a win for each.

    Raises:
      DataError: there is no finite maximum, because some models never lost to, or never won
        against, any of the others.
      SolverError: Newton's method did not converge.
    """
    return _fit(wins, np.zeros_like(wins), with_ties=False)


def fit_davidson(wins: Float64[np.ndarray, "n n"], ties: Float64[np.ndarray, "n n"]) -> Fit:
    """Fits `P(i beats j) : P(tie) : P(j beats i) = s_i : nu sqrt(s_i s_j) : s_j`.

    Args:
      wins: how often i beat j.
      ties: how often they tied, symmetric.

    Raises:
      DataError: there is no finite maximum: as for Bradley-Terry, or there is no tie at all.
      SolverError: Newton's method did not converge.
    """
    if not ties.any():
        raise DataError("there is no tie; Davidson's model needs some, or fit Bradley-Terry")
    return _fit(wins, ties, with_ties=True)


def check_comparable(wins: Float64[np.ndarray, "n n"], models: tuple[str, ...]) -> None:
    """Refuses battles whose likelihood has no finite maximum.

    Raises:
      DataError: the models fall into two parts of which one never lost to the other; the message
        names the smaller one.
    """
    count, part = connected_components(wins > 0, connection="strong")
    if count == 1:
        return
    smallest = int(np.argmin(np.bincount(part)))
    inside = part == smallest
    names = [models[k] for k in np.flatnonzero(inside)]
    shown = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if names[5:] else "")
    won, lost = wins[inside][:, ~inside].sum(), wins[~inside][:, inside].sum()
    what = "never met" if won + lost == 0 else "never lost to" if lost == 0 else "never beat"
    if won and lost:
        what = "beat only some of, and lost only to others of,"
    raise DataError(
        f"no finite Bradley-Terry rating: {shown} {what} the other models; leave "
        f"{'it' if len(names) == 1 else 'them'} out, add battles, or rate by another method"
    )


def information(wins: Float64[np.ndarray, "n n"], fit: Fit) -> Float64[np.ndarray, "n n"]:
    """Minus the second derivative of Bradley-Terry's log-likelihood at a fit."""
    games = wins + wins.T
    odds = fit.strengths[:, None] - fit.strengths[None, :]
    return _laplacian(games * scipy.special.expit(odds) * scipy.special.expit(-odds))


def refit(
    wins: Float64[np.ndarray, "B n n"], start: Float64[np.ndarray, "n"]
) -> Float64[np.ndarray, "B n"]:
    """Fits many tables of wins that differ little from one whose fit is known.

    Args:
      wins: of each table, as in `fit_bradley_terry`.
      start: log-strengths in nats.

    Returns:
      Log-strengths of mean 0; NaN where a table has no finite maximum.
    """
    points = np.tile(start, (len(wins), 1))
    games = wins + wins.transpose(0, 2, 1)
    won, total = wins.sum(axis=2), wins.sum(axis=(1, 2))
    diagonal = np.arange(wins.shape[1])
    for _ in range(MAX_REFIT_STEPS):
        rates = scipy.special.expit(points[:, :, None] - points[:, None, :])
        gradient = won - np.einsum("bij,bij->bi", games, rates)
        residual = np.abs(gradient).max(axis=1) / total
        if residual.max() <= REFIT_TOLERANCE:
            break
        weights = games * rates * (1 - rates)
        size = weights.sum(axis=(1, 2)) / wins.shape[1] ** 2
        # The constant pins the sum of the strengths; the trifle keeps tables solvable that fall
        # apart, whose strengths then run away.
        curvature = size[:, None, None] - weights
        curvature[:, diagonal, diagonal] += weights.sum(axis=2) + 1e-12 * size[:, None]
        change = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        points += np.clip(change, -MAX_STEP, MAX_STEP)
    points -= points.mean(axis=1, keepdims=True)
    points[residual > REFIT_TOLERANCE] = np.nan
    # Strengths on their way to infinity have a vanishing gradient too.
    for draw in np.flatnonzero(np.ptp(points - start, axis=1) > RUNAWAY):
        if connected_components(wins[draw] > 0, connection="strong")[0] > 1:
            points[draw] = np.nan
    return points


def _laplacian(weights):
    return np.diag(weights.sum(axis=1)) - weights


def _fit(wins, ties, *, with_ties):
    check_comparable(wins + ties / 2, tuple(map(str, range(len(wins)))))
    size = len(wins)
    total = wins.sum() + ties.sum() / 2
    point = np.zeros(size + with_ties)
    value, gradient, curvature = _likelihood(wins, ties, point, with_ties)
    steps = 0
    while (residual := float(np.abs(gradient).max() / total)) > TOLERANCE:
        if steps == MAX_STEPS:
            raise SolverError(
                f"the likelihood of the battles has no maximum within {MAX_STEPS} steps of "
                f"Newton's method; the gradient per battle is {residual:.3g}"
            )
        steps += 1
        # Adding a constant to all strengths changes nothing: pin their sum.
        pinned = curvature.copy()
        pinned[:size, :size] += np.trace(curvature) / size**2
        change = scipy.linalg.solve(pinned, gradient, assume_a="pos")
        length = min(1.0, MAX_STEP / max(float(np.abs(change).max()), 1e-300))
        while True:
            trial = point + length * change
            new = _likelihood(wins, ties, trial, with_ties)
            if new[0] >= value - 1e-12 * abs(value) or length < 1e-10:
                break
            length /= 2
        point, (value, gradient, curvature) = trial, new
    strengths = point[:size] - point[:size].mean()
    return Fit(strengths, float(np.exp(point[-1])) if with_ties else 0.0, residual, steps)


def _likelihood(wins, ties, point, with_ties):
    """Log-likelihood, its gradient, and minus its second derivative."""
    size = len(wins)
    strengths = point[:size]
    games = wins + wins.T + ties
    odds = (strengths[:, None] - strengths[None, :]) / 2
    # Weights `e^odds : nu : e^-odds` of win, tie and loss.
    tie = point[-1] if with_ties else -np.inf
    norm = np.logaddexp(np.logaddexp(odds, -odds), tie)
    win, loss = np.exp(odds - norm), np.exp(-odds - norm)
    draw = np.exp(tie - norm) if with_ties else np.zeros_like(win)
    upper = np.triu_indices(size, 1)
    value = np.sum(wins * (odds - norm))
    # The mean score of the row's model, from 1 for a win to -1, over two.
    score = (wins - wins.T) - games * (win - loss)
    gradient = score.sum(axis=1) / 2
    bend = games * (win + loss - (win - loss) ** 2) / 4
    curvature = _laplacian(bend)
    if not with_ties:
        return value, gradient, curvature
    value += float(np.sum((ties * (tie - norm))[upper]))
    slope = float(np.sum((ties - games * draw)[upper]))
    cross = -(games * (win - loss) * draw).sum(axis=1) / 2
    own = float(np.sum((games * draw * (1 - draw))[upper]))
    full = np.zeros((size + 1, size + 1))
    full[:size, :size] = curvature
    full[:size, -1] = full[-1, :size] = cross
    full[-1, -1] = own
    return value, np.append(gradient, slope), full
