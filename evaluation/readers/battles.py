"""Battles between two models a row: who won in words (LMArena, evalica) or a number in [0, 1]."""

import dataclasses

import numpy as np
from jaxtyping import Bool

from evaluation.readers.style import read_style
from evaluation.readers.table import Table
from evaluation.readers.values import first_row, names, numbers
from evaluation.types import Battles, DataError

PAIRS = (("model_a", "model_b"), ("left", "right"))
WINNER, OUTCOME = "winner", "outcome"
PROMPTS = ("prompt", "question_id", "question", "task", "uid")

_WINS = {
    "model_a": 1.0,
    "left": 1.0,
    "model_b": 0.0,
    "right": 0.0,
    "tie": 0.5,
    "tie (bothbad)": 0.5,
    "bothbad": 0.5,
    "both_bad": 0.5,
}


def pair_columns(table: Table) -> tuple[str, str] | None:
    """The columns that name the two models, if there are such."""
    return next((pair for pair in PAIRS if set(pair) <= set(table.names)), None)


def prompt_column(table: Table) -> str | None:
    """The column that names what was asked, if there is one."""
    return next((name for name in PROMPTS if name in table.names), None)


def read_battles(table: Table, *, outcome: str | None = None, style: bool = False) -> Battles:
    """The battles of a table, one a row; rows without an outcome are left out and counted.

    Args:
      table: with columns `model_a` and `model_b`, or `left` and `right`; a `winner` in words, or an
        `outcome` in [0, 1] from the side of the first; and perhaps a `prompt`.
      outcome: the column to take for the outcome.
      style: whether to read what the table says of the style of the answers.

    Raises:
      DataError: a column is missing, or an entry is not allowed; the message names the row.
    """
    pair = pair_columns(table)
    if pair is None:
        allowed = " or ".join(f"{a!r} and {b!r}" for a, b in PAIRS)
        raise DataError(
            f"{table.source}: battles need columns {allowed}; there are "
            f"{', '.join(map(repr, table.names))}"
        )
    models, (first, second) = names(table, *pair)
    same = np.flatnonzero(first == second)
    if len(same):
        raise DataError(
            f"{table.where(int(same[0]))}: {models[first[same[0]]]!r} against itself; allowed are "
            "two different models"
        )
    values = _outcomes(table, outcome)
    prompts, prompt = ("all",), np.zeros(len(table), np.int32)
    by = prompt_column(table)
    if by is not None:
        prompts, (prompt,) = names(table, by)
    known = ~np.isnan(values)
    notes = []
    if not known.all():
        notes.append(f"{np.count_nonzero(~known):,} rows without an outcome are left out")
        first, second, prompt, values = first[known], second[known], prompt[known], values[known]
    battles = Battles(
        models, prompts, first, second, values, prompt, source=table.source, notes=tuple(notes)
    )
    return with_style(battles, table, known) if style else battles


def with_style(battles: Battles, table: Table, kept: Bool[np.ndarray, "_"]) -> Battles:
    """Battles of the kept rows of a table with what it says of the style of their answers."""
    found = read_style(table)
    if found is None:
        return battles
    return dataclasses.replace(
        battles, styles=found.names, style_differences=found.differences[kept]
    )


def _outcomes(table, outcome):
    if outcome is None and WINNER in table.names:
        winner = table.column(WINNER)
        values = np.empty(len(winner.values))
        for code, word in enumerate(winner.values):
            if word.lower() not in _WINS:
                raise DataError(
                    f"{table.where(first_row(winner, code))}: {WINNER} {word!r}; allowed are "
                    f"{', '.join(_WINS)}"
                )
            values[code] = _WINS[word.lower()]
        return values[winner.codes]
    name = outcome or OUTCOME
    allowed = "numbers from 0 (the second model wins) to 1 (the first wins)"
    values = numbers(table, name, allowed=allowed)
    wrong = np.flatnonzero((values < 0) | (values > 1))
    if len(wrong):
        raise DataError(
            f"{table.where(int(wrong[0]))}: {name} {values[wrong[0]]:g}; allowed are {allowed}"
        )
    return values
