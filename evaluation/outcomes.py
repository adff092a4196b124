"""What the models of an evaluation did against each other: duels, prompt by prompt or in all."""

from typing import Literal

import numpy as np
import scipy.special
from jaxtyping import Float64

from evaluation.types import Battles, DataError, Scores

Missing = Literal["drop", "tie"]

# A judge's scale has no more levels; scores with more are measurements.
MAX_LEVELS = 20
# Tables of duels beyond this take more memory than a workstation has.
MAX_CELLS = 100_000_000
# Standard deviations below this share of a difference leave no doubt about its sign.
LEAST_ERROR = 1e-6


def scores_against_baseline(
    evaluation: Battles | Scores, *, missing: Missing = "drop"
) -> Battles | Scores:
    """Battles of all models with one baseline as scores: mean outcomes, the baseline's 0.5.

    Other evaluations are returned as they are. A missing battle is NaN, or a tie.
    """
    baseline = evaluation.baseline() if isinstance(evaluation, Battles) else None
    if baseline is None:
        return evaluation
    other = np.where(evaluation.first == baseline, evaluation.second, evaluation.first)
    outcome = np.where(evaluation.first == baseline, 1 - evaluation.outcome, evaluation.outcome)
    shape = (len(evaluation.prompts), len(evaluation.models))
    total, count = _sums(evaluation.prompt, other, outcome, shape)
    with np.errstate(invalid="ignore"):
        scores = total / count
    notes = (*evaluation.notes, *_repeated(count, "models on a prompt"))
    absent = np.count_nonzero(np.isnan(scores)) - len(scores)
    if missing == "tie":
        if absent:
            notes = (*notes, f"{absent:,} missing battles count as ties")
        scores = np.where(np.isnan(scores), 0.5, scores)
    scores[:, baseline] = 0.5
    name = evaluation.models[baseline]
    notes = (*notes, f"all battles are against {name!r}: its score is 0.5 on every prompt")
    return Scores(
        evaluation.models, evaluation.prompts, scores, source=evaluation.source, notes=notes
    )


def win_rates(evaluation: Battles | Scores) -> Float64[np.ndarray, "Q n n"]:
    """How often the model of a row beats that of a column on each prompt, a tie being half a win.

    NaN where it was not measured. Of scores with standard deviations it is the probability that a
    normal draw of one exceeds one of the other; of exact scores 1, 0.5 or 0.

    Raises:
      DataError: there are more than 10^8 cells.
    """
    size = len(evaluation.prompts) * len(evaluation.models) ** 2
    if size > MAX_CELLS:
        raise DataError(
            f"{evaluation.source}: {len(evaluation.prompts):,} prompts and "
            f"{len(evaluation.models):,} models have {size:.2g} duels; at most {MAX_CELLS:.0e} fit"
        )
    if isinstance(evaluation, Scores):
        return _score_rates(evaluation)
    wins, games = _games(evaluation)
    with np.errstate(invalid="ignore"):
        rates = wins / games
    diagonal = np.arange(len(evaluation.models))
    rates[:, diagonal, diagonal] = 0.5
    return rates


def win_counts(evaluation: Battles | Scores) -> Float64[np.ndarray, "n n"]:
    """How often the model of a row beat that of a column, on all prompts; a tie is half a win each.

    Scores count as one battle of every pair on every prompt.
    """
    if isinstance(evaluation, Scores):
        rates = np.nan_to_num(win_rates(evaluation)).sum(axis=0)
        np.fill_diagonal(rates, 0.0)
        return rates
    return _games(evaluation, by_prompt=False)[0][0]


def repeated_duels(battles: Battles) -> tuple[str, ...]:
    """A note where pairs met more than once on a prompt."""
    return _repeated(np.triu(_games(battles)[1]), "pairs on a prompt")


def _repeated(count, what):
    """A note where something was measured more than once."""
    several = np.count_nonzero(count > 1)
    return (f"{several:,} {what} have several outcomes, whose mean counts",) if several else ()


def _games(battles, *, by_prompt=True):
    """Wins of rows against columns, and battles of either, per prompt or in all."""
    num_models = len(battles.models)
    shape = (len(battles.prompts) if by_prompt else 1, num_models, num_models)
    pair = battles.first * np.int64(num_models) + battles.second
    prompt = battles.prompt if by_prompt else np.zeros(1, int)
    total, count = _sums(prompt, pair, battles.outcome, (shape[0], num_models**2))
    total, count = total.reshape(shape), count.reshape(shape)
    return total + (count - total).transpose(0, 2, 1), count + count.transpose(0, 2, 1)


def _sums(row, column, values, shape):
    """Sums and numbers of values per cell of a table."""
    cell = row * np.int64(shape[1]) + column
    size = shape[0] * shape[1]
    total = np.bincount(cell, weights=values, minlength=size)
    return total.reshape(shape), np.bincount(cell, minlength=size).reshape(shape).astype(float)


def _score_rates(table):
    difference = table.scores[:, :, None] - table.scores[:, None, :]
    # NaN stays NaN.
    exact = (np.sign(difference) + 1) / 2
    if table.errors is None:
        return exact
    errors = np.nan_to_num(table.errors)
    spread = np.sqrt(errors[:, :, None] ** 2 + errors[:, None, :] ** 2)
    noisy = spread > LEAST_ERROR * np.nan_to_num(np.abs(difference))
    rates = scipy.special.ndtr(difference / np.where(noisy, spread, 1.0))
    rates = np.where(noisy, rates, exact)
    diagonal = np.arange(len(table.models))
    rates[:, diagonal, diagonal] = np.where(np.isnan(table.scores), np.nan, 0.5)
    return rates
