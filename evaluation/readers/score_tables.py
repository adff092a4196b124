"""Scores of models: one a row with the names of model and prompt, or a wide table of them."""

import re

import numpy as np

from evaluation.readers.table import Table
from evaluation.readers.values import MISSING, names, numbers
from evaluation.types import DataError, Scores

MODELS = ("model", "agent", "name", "player", "system")
TASKS = ("task", "prompt", "question_id", "question", "benchmark", "dataset", "game")
ERRORS = ("stddev", "std", "error", "standard_error")
_CELL = re.compile(r"^\s*(?P<score>[^\s±]+?)\s*(?:(?:\+-|\+/-|±)\s*(?P<error>\S+))?\s*$")


def long_columns(table: Table, score: str = "score") -> tuple[str, str] | None:
    """The columns that name model and prompt of a score a row, if there are such."""
    model = next((name for name in MODELS if name in table.names), None)
    task = next((name for name in TASKS if name in table.names), None)
    return (model, task) if model and task and score in table.names else None


def read_long_scores(table: Table, *, score: str = "score") -> Scores:
    """Scores, one a row, with their standard deviations where a column gives them.

    Raises:
      DataError: a score is no number, or a model has two scores on one prompt.
    """
    columns = long_columns(table, score)
    if columns is None:
        raise DataError(
            f"{table.source}: scores need a column of models ({', '.join(MODELS)}), one of prompts "
            f"({', '.join(TASKS)}) and {score!r}; there are {', '.join(map(repr, table.names))}"
        )
    models, (model,) = names(table, columns[0])
    prompts, (prompt,) = names(table, columns[1])
    cell = prompt.astype(np.int64) * len(models) + model
    order = np.argsort(cell, kind="stable")
    again = np.flatnonzero(np.diff(cell[order]) == 0)
    if len(again):
        row = int(order[again[0] + 1])
        raise DataError(
            f"{table.where(row)}: a second score of {models[model[row]]!r} on "
            f"{prompts[prompt[row]]!r}; allowed is one (choose rows by column=value)"
        )
    scores = np.full((len(prompts), len(models)), np.nan)
    scores[prompt, model] = numbers(table, score, allowed="finite numbers, or nothing")
    errors = None
    by = next((name for name in ERRORS if name in table.names), None)
    if by is not None:
        errors = np.zeros_like(scores)
        errors[prompt, model] = np.nan_to_num(numbers(table, by, allowed="numbers, or nothing"))
    return Scores(models, prompts, scores, errors, source=table.source)


def read_wide_scores(table: Table, *, rows: str | None = None) -> Scores:
    """A table with a score a cell, such as `12.3` or `12.3 +- 0.4`.

    Args:
      table: its first column names the rows, its header the other columns.
      rows: `"models"` or `"prompts"`; by default what the header of the first column says, else
        models.

    Raises:
      DataError: a cell is no number, or a row's name is there twice.
    """
    corner, *columns = table.names
    labels = table.column(corner)
    if len(labels.values) < len(table):
        repeated = np.bincount(labels.codes) > 1
        row = int(np.flatnonzero(repeated[labels.codes])[1])
        raise DataError(
            f"{table.where(row)}: {labels.entry(row)!r} is there twice; allowed is one row each"
        )
    if rows is None:
        rows = "prompts" if corner.lower().rstrip("s") in TASKS else "models"
    scores = np.full((len(table), len(columns)), np.nan)
    errors = np.zeros_like(scores)
    for place, name in enumerate(columns):
        column = table.column(name)
        for row in range(len(table)):
            scores[row, place], errors[row, place] = _cell(table, row, name, column.entry(row))
    entries = tuple(labels.entry(row) for row in range(len(table)))
    note = f"rows of the table are taken for {rows}"
    if rows == "models":
        scores, errors, entries, columns = scores.T, errors.T, tuple(columns), list(entries)
    return Scores(
        tuple(columns),
        entries,
        np.ascontiguousarray(scores),
        np.ascontiguousarray(errors) if errors.any() else None,
        source=table.source,
        notes=(note,),
    )


def _cell(table, row, name, text):
    if text.lower() in MISSING:
        return np.nan, 0.0
    found = _CELL.match(text)
    try:
        score, error = float(found["score"]), float(found["error"] or 0.0)
        if not (np.isfinite(score) and error >= 0):
            raise ValueError
    except (TypeError, ValueError):
        raise DataError(
            f"{table.where(row)}: {name} is {text!r}; allowed are numbers such as 12.3 or "
            "12.3+-0.4, or nothing"
        ) from None
    return score, error
