"""Whether strategies have stopped improving, where no game tree can tell what they could still
gain.

A bounded history holds, for every evaluation, the mean return of every strategy against its row.
The gate opens when no strategy in training is shown to have improved by more than a threshold over
the whole history. The confidence bound is the lower one: what cannot be told from noise counts as
no improvement, so with too few episodes per evaluation the gate opens as soon as the history is
full, never late. To notice an improvement of `d` points more often than not, the standard error of
a single evaluation must be below about `(d - threshold) / (z sqrt(12 / M))`, where `z` is the
quantile that `is_open` uses (1.6 for one strategy, 2.9 for thirty) and `M` the length of the
history.
"""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

# How sure the gate is of an improvement for which it stays shut.
CONFIDENCE = 0.95


class GateHistory(NamedTuple):
    """The last `M` evaluations, the newest last; NaN where a strategy was not evaluated or has
    started over since.

    Attributes:
      values: `[M, P, K]` mean return of each strategy against its row, in game points.
      standard_errors: `[M, P, K]` of the values, independent from one evaluation to the next.
    """

    values: Float64[np.ndarray, "M P K"]
    standard_errors: Float64[np.ndarray, "M P K"]


def empty(window: int, num_players: int, num_strategies: int) -> GateHistory:
    """A history of `window` evaluations still to come.

    Raises:
      ValueError: the window is shorter than 2, from which no improvement could be seen.
    """
    if window < 2:
        raise ValueError(f"window must be >= 2 evaluations, not {window}")
    nothing = np.full((window, num_players, num_strategies), np.nan)
    return GateHistory(nothing, nothing.copy())


def record(
    history: GateHistory,
    values: Float[np.ndarray, "P K"],
    standard_errors: Float[np.ndarray, "P K"],
) -> GateHistory:
    """Appends an evaluation and drops the oldest.

    Args:
      history: the evaluations before.
      values: mean return of each strategy against its row, in game points; NaN where it was not
        evaluated. Only from episodes played since the last evaluation: statistics that still hold
        earlier ones would hide an improvement and make it look more certain than it is.
      standard_errors: of the values, in game points.
    """
    return GateHistory(
        np.concatenate([history.values[1:], values[None].astype(np.float64)]),
        np.concatenate([history.standard_errors[1:], standard_errors[None].astype(np.float64)]),
    )


def restart(history: GateHistory, strategy: int) -> GateHistory:
    """Forgets `strategy` in every seat: it has got another row, and its values another meaning."""
    values, standard_errors = history.values.copy(), history.standard_errors.copy()
    values[..., strategy] = standard_errors[..., strategy] = np.nan
    return GateHistory(values, standard_errors)


def improvement(
    history: GateHistory, confidence: float = CONFIDENCE
) -> tuple[Float64[np.ndarray, "P K"], Float64[np.ndarray, "P K"]]:
    """How much each strategy has improved from the first evaluation of the history to the last.

    The least-squares slope times `M - 1`. Of all unbiased linear estimates of a steady improvement
    it has the least variance (Gauss and Markov), `12 (M - 1) / (M (M + 1))` times that of a single
    value; the difference between the means of the two halves, scaled to the same span, has a third
    more as `M` grows. Evaluations count alike whatever their own errors: they are of about the same
    size, and an error estimated from the same episodes as the value goes with it (few lucky returns
    look certain), so weighting by it would be a bias. The errors are propagated as they are.

    Args:
      history: the evaluations.
      confidence: probability, over the noise of the episodes, that a strategy's true improvement is
        above its lower bound.

    Returns:
      The estimates and their one-sided lower confidence bounds, in game points; NaN for strategies
      with fewer than `M` evaluations since they started.
    """
    window = len(history.values)
    time = np.arange(window) - (window - 1) / 2
    weights = (time * (window - 1) / (time**2).sum())[:, None, None]
    estimate = (weights * history.values).sum(axis=0)
    error = np.sqrt(((weights * history.standard_errors) ** 2).sum(axis=0))
    return estimate, estimate - NormalDist().inv_cdf(confidence) * error


def is_open(history: GateHistory, respond: Float[np.ndarray, "K"], threshold: float) -> bool:
    """Whether the strategies in training, of all seats, are ready for the next one to be admitted.

    All must have `M` evaluations since they started, and none must be shown to have improved by
    more than `threshold` over them, at 95 % confidence for all of them together (Šidák's
    correction). So when none improves by more than that any longer, the gate is kept shut by chance
    in about 5 % of evaluations, however large the population.

    Args:
      history: the evaluations.
      respond: positive for the strategies in training; the others are not asked.
      threshold: improvement over the whole history that is worth waiting for, in game points.
    """
    asked = respond > 0
    num_compared = len(history.values[0]) * int(asked.sum())
    if num_compared == 0:
        return True
    _, lower = improvement(history, CONFIDENCE ** (1 / num_compared))
    # A comparison with NaN is false: who has not been seen often enough keeps the gate shut.
    return bool((lower[:, asked] <= threshold).all())
