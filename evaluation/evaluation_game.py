"""Evaluation as a game: a prompt player chooses what is asked, a king and a rebel who answers.

King and rebel want to win, the prompt player wants the two to differ, so that prompts count which
tell good models apart ("Re-evaluating Open-ended Evaluation of Large Language Models", arXiv
2502.20170, with the payoffs of its library polarix). There is no bonus for the rebel to be another
model than the king.
"""

import dataclasses
import warnings
from typing import Literal

import numpy as np
import scipy.special
from jaxtyping import Float64

from evaluation.types import Battles, DataError, Scores
from games.normal_form import NormalForm

Form = Literal["winrate", "difference", "scaled_difference"]
Missing = Literal["drop", "tie"]

PROMPT, KING, REBEL = 0, 1, 2
# Payoffs of a game beyond this take more memory than a workstation has.
MAX_PROFILES = 100_000_000
# Score differences that differ by less than this share of a standard deviation's unit are exact.
LEAST_ERROR = 1e-6


@dataclasses.dataclass(frozen=True)
class EvaluationGame:
    """A game whose strategies are rated.

    Attributes:
      game: payoffs and the names of strategies.
      rated: the player whose strategies are the models.
      prompts: the player whose strategies the ratings are attributed to.
      notes: what a reader of ratings should know about the data, one sentence each.
    """

    game: NormalForm
    rated: int
    prompts: int
    notes: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the rated strategies."""
        return self.game.strategy_names[self.rated]


def evaluation_game(
    evaluation: Battles | Scores | NormalForm,
    *,
    form: Form = "winrate",
    missing: Missing = "drop",
) -> EvaluationGame:
    """The game of an evaluation.

    Battles that all have one model in them are scores against it: the models' own duels follow from
    those, prompt by prompt. A payoff tensor is a game already: its first player is rated, and
    ratings are attributed to the strategies of the last.

    Args:
      evaluation: what was measured.
      form: `"winrate"`: king and rebel get their probability of winning; `"difference"`: the
        difference of their scores; `"scaled_difference"`: that of scores scaled to a range of 1 on
        each prompt, for prompts with different units.
      missing: `"drop"` leaves prompts out on which not everything was measured; `"tie"` counts what
        is missing as ties.

    Raises:
      DataError: no prompt is complete, the form needs scores that are not there, or the game is too
        large.
    """
    if isinstance(evaluation, NormalForm):
        return EvaluationGame(evaluation, rated=0, prompts=evaluation.num_players - 1)
    table = scores_against_baseline(evaluation, missing=missing)
    if isinstance(table, Battles) and form != "winrate":
        raise DataError(
            f"{table.source}: the form {form!r} needs a score of each model on each prompt; "
            "battles have only win rates (form 'winrate')"
        )
    size = len(table.prompts) * len(table.models) ** 2
    if size > MAX_PROFILES:
        raise DataError(
            f"{table.source}: {len(table.prompts):,} prompts and {len(table.models):,} models make "
            f"a game of {size:.3g} profiles; at most {MAX_PROFILES:.0e} fit"
        )
    cells = win_rates(table) if form == "winrate" else _differences(table.scores, form)
    king, prompts, notes = _complete(cells, table, missing)
    prompt = np.abs(2 * king - 1 if form == "winrate" else king)
    rebel = np.ascontiguousarray(king.transpose(0, 2, 1))
    payoffs = np.stack([prompt, king, rebel], axis=-1)
    if isinstance(table, Battles) and len(table.prompts) > 1:
        notes = (*_repeated(np.triu(_games(table)[1])), *notes)
    names = (prompts, table.models, table.models)
    game = NormalForm(payoffs, strategy_names=names, name=table.source)
    return EvaluationGame(game, rated=KING, prompts=PROMPT, notes=(*table.notes, *notes))


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
    notes = (*evaluation.notes, *_repeated(count))
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
    """
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


def _games(battles, *, by_prompt=True):
    """Wins of rows against columns, and battles of either, per prompt or in all."""
    num_models = len(battles.models)
    shape = (len(battles.prompts) if by_prompt else 1, num_models, num_models)
    pair = battles.first * np.int64(num_models) + battles.second
    prompt = battles.prompt if by_prompt else np.zeros(1, int)
    total, count = _sums(prompt, pair, battles.outcome, (shape[0], num_models**2))
    total, count = total.reshape(shape), count.reshape(shape)
    return total + (count - total).transpose(0, 2, 1), count + count.transpose(0, 2, 1)


def _repeated(count):
    """A note where cells were measured more than once."""
    several = np.count_nonzero(count > 1)
    return (f"{several:,} cells have several battles, whose mean counts",) if several else ()


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


def _differences(scores, form):
    if form == "scaled_difference":
        with warnings.catch_warnings():
            # A prompt without scores has no range either.
            warnings.simplefilter("ignore", RuntimeWarning)
            low = np.nanmin(scores, axis=1, keepdims=True)
            spread = np.nanmax(scores, axis=1, keepdims=True) - low
        scores = (scores - low) / np.where(spread > 0, spread, 1.0)
    return scores[:, :, None] - scores[:, None, :]


def _complete(cells, table, missing):
    """Cells of the prompts that stay, the names of these, and what there is to say."""
    absent = np.isnan(cells)
    if not absent.any():
        return cells, table.prompts, ()
    if missing == "tie":
        if isinstance(table, Scores):
            raise DataError(
                f"{table.source}: {np.count_nonzero(np.isnan(table.scores)):,} scores are missing, "
                "and a score that was not measured is no tie; allowed is to drop their prompts"
            )
        pairs = np.count_nonzero(absent) // 2
        note = f"{pairs:,} pairs that did not meet on a prompt count as ties"
        return np.where(absent, 0.5, cells), table.prompts, (note,)
    kept = ~absent.any(axis=(1, 2))
    total = len(kept)
    if not kept.any():
        share = 1 - np.count_nonzero(absent) / (absent.size - total * len(table.models))
        raise DataError(
            f"{table.source}: on none of the {total:,} prompts was everything measured "
            f"({share:.0%} of the pairs on average); rate by a method that needs no complete "
            "table, such as bradley_terry, or count what is missing as ties"
        )
    note = (
        f"{total - np.count_nonzero(kept):,} of {total:,} prompts are left out: not everything was "
        "measured on them"
    )
    prompts = tuple(np.array(table.prompts, object)[kept])
    return cells[kept], prompts, (note,)
