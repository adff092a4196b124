"""Judgments of language models as their benchmarks store them: Arena-Hard and AlpacaEval."""

import dataclasses
import json

import numpy as np

from evaluation.readers.battles import with_style
from evaluation.readers.table import Column, Table
from evaluation.readers.values import first_row, names, numbers
from evaluation.types import Battles, DataError

# What a verdict is worth to the answer called A, on Arena-Hard's five levels.
_VERDICTS = {"A>>B": 1.0, "A>B": 0.75, "A=B": 0.5, "B>A": 0.25, "B>>A": 0.0}
_VERDICTS |= {"B=A": 0.5, "A<B": 0.25, "A<<B": 0.0, "B<A": 0.75, "B<<A": 1.0}
# The baseline of Arena-Hard v0.1, whose files do not name it.
ARENA_HARD_BASELINE = "gpt-4-0314"
ARENA_HARD = {"question_id", "model", "games"}
ALPACA_EVAL = {"generator_1", "generator_2", "preference"}


def read_arena_hard(table: Table, *, baseline: str | None = None) -> Battles:
    """Arena-Hard's judgments: each row is a model against the baseline, judged in both orders.

    The outcome is the mean over the games of `>>`, `>`, `=`, `<`, `<<` as 1, 0.75, 0.5, 0.25, 0;
    in the first game the baseline is A, in the second the model is. Games without a verdict are
    left out.

    Args:
      table: with `question_id` (or `uid`), `model` and `games`, and perhaps `baseline`.
      baseline: its name where the file does not say.

    Raises:
      DataError: a verdict is unknown.
    """
    by = "question_id" if "question_id" in table.names else "uid"
    models, (model,) = names(table, "model")
    prompts, (prompt,) = names(table, by)
    if "baseline" in table.names:
        against = table.column("baseline")
    else:
        against = Column((baseline or ARENA_HARD_BASELINE,), np.zeros(len(table), np.int32))
    everyone = tuple(sorted({*models, *against.values}))
    place = np.array([everyone.index(name) for name in models], np.int32)
    opponent = np.array([everyone.index(name) for name in against.values], np.int32)
    first, second = place[model], opponent[against.codes]
    games = table.column("games")
    values = np.array(
        [_mean_verdict(table, games, code, text) for code, text in enumerate(games.values)]
    )[games.codes]
    kept = ~np.isnan(values) & (first != second)
    notes = []
    if not kept.all():
        notes.append(f"{np.count_nonzero(~kept):,} judgments without a verdict are left out")
    return Battles(
        everyone,
        prompts,
        first[kept],
        second[kept],
        values[kept],
        prompt[kept],
        source=table.source,
        notes=tuple(notes),
    )


def _mean_verdict(table, games, code, text):
    """The mean worth of a row's games to the model."""
    worth = []
    for number, game in enumerate(json.loads(text or "[]")):
        verdict = (game or {}).get("score")
        if verdict in (None, "", "error"):
            continue
        if verdict not in _VERDICTS:
            raise DataError(
                f"{table.where(first_row(games, code))}: score {verdict!r}; allowed are "
                f"{', '.join(_VERDICTS)}"
            )
        for_a = _VERDICTS[verdict]
        worth.append(for_a if number % 2 else 1 - for_a)
    return float(np.mean(worth)) if worth else np.nan


def read_alpaca_eval(table: Table, *, style: bool = False) -> Battles:
    """AlpacaEval's annotations: `preference` runs from 1 (the first output) to 2 (the second).

    A preference of 0 is a tie, as 1.5 is; annotations without one are left out.

    Args:
      table: with `generator_1`, `generator_2`, `preference` and `instruction`.
      style: whether to read the lengths of the outputs.

    Raises:
      DataError: a preference is out of range.
    """
    allowed = "numbers from 1 (the first output) to 2 (the second), 0 for a tie"
    preference = numbers(table, "preference", allowed=allowed)
    preference = np.where(preference == 0, 1.5, preference)
    wrong = np.flatnonzero((preference < 1) | (preference > 2))
    if len(wrong):
        raise DataError(
            f"{table.where(int(wrong[0]))}: preference {preference[wrong[0]]:g}; allowed are "
            f"{allowed}"
        )
    models, (first, second) = names(table, "generator_1", "generator_2")
    prompts, (prompt,) = names(table, "instruction")
    kept = ~np.isnan(preference) & (first != second)
    notes = []
    if not kept.all():
        notes.append(f"{np.count_nonzero(~kept):,} annotations without a preference are left out")
    battles = Battles(
        models,
        prompts,
        second[kept],
        first[kept],
        preference[kept] - 1,
        prompt[kept],
        source=table.source,
        notes=tuple(notes),
    )
    # Generator 2 is named first, so that its side of a preference is the outcome.
    battles = with_style(battles, table, kept) if style else battles
    if battles.style_differences is None:
        return battles
    return dataclasses.replace(battles, style_differences=-battles.style_differences)
