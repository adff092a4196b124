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

from evaluation.outcomes import Missing, repeated_duels, scores_against_baseline, win_rates
from evaluation.types import Battles, DataError, Scores
from games.normal_form import NormalForm

Form = Literal["winrate", "difference", "scaled_difference"]

PROMPT, KING, REBEL = 0, 1, 2


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
    seat: int = 0,
) -> EvaluationGame:
    """The game of an evaluation.

    Battles that all have one model in them are scores against it: the models' own duels follow from
    those, prompt by prompt. A payoff tensor is a game already: one player is rated, and ratings are
    attributed to the strategies of the last of the others.

    Args:
      evaluation: what was measured.
      form: `"winrate"`: king and rebel get their probability of winning; `"difference"`: the
        difference of their scores; `"scaled_difference"`: that of scores scaled to a range of 1 on
        each prompt, for prompts with different units.
      missing: `"drop"` leaves prompts out on which not everything was measured; `"tie"` counts what
        is missing as ties.
      seat: of a payoff tensor, the player who is rated.

    Raises:
      DataError: there is no such seat, no prompt is complete, the form needs scores that are not
        there, or the game is too large.
    """
    if isinstance(evaluation, NormalForm):
        num_players = evaluation.num_players
        if not 0 <= seat < num_players:
            raise DataError(f"{evaluation.name} has seats 0 to {num_players - 1}, not {seat}")
        others = [player for player in range(num_players) if player != seat]
        return EvaluationGame(evaluation, rated=seat, prompts=(others or [seat])[-1])
    if seat:
        raise DataError("seats are of payoff tensors; battles and scores have models alone")
    table = scores_against_baseline(evaluation, missing=missing)
    if isinstance(table, Battles) and form != "winrate":
        raise DataError(
            f"{table.source}: the form {form!r} needs a score of each model on each prompt; "
            "battles have only win rates (form 'winrate')"
        )
    cells = win_rates(table) if form == "winrate" else _differences(table.scores, form)
    king, prompts, notes = _complete(cells, table, missing)
    prompt = np.abs(2 * king - 1 if form == "winrate" else king)
    rebel = np.ascontiguousarray(king.transpose(0, 2, 1))
    payoffs = np.stack([prompt, king, rebel], axis=-1)
    if isinstance(table, Battles) and len(table.prompts) > 1:
        notes = (*repeated_duels(table), *notes)
    names = (prompts, table.models, table.models)
    game = NormalForm(payoffs, strategy_names=names, name=table.source)
    return EvaluationGame(game, rated=KING, prompts=PROMPT, notes=(*table.notes, *notes))


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
