"""How long, and how formatted, the two answers of a battle were: columns that say it of either.

Columns are pairs: `length_a` and `length_b` beside `model_a` and `model_b` (also tokens, words,
headers, lists, bold), LMArena's `conv_metadata`, or the answers themselves, whose length is counted
in characters.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from evaluation.readers.table import Column, Table
from evaluation.readers.values import first_row, numbers
from evaluation.types import DataError

# What a measure is called in the wild, by what we call it.
MEASURES = {
    "length": ("length", "len", "answer_length", "response_length", "output_length"),
    "tokens": ("tokens", "num_tokens", "token_count", "answer_tokens"),
    "characters": ("characters", "chars", "num_chars"),
    "words": ("words", "num_words", "word_count"),
    "headers": ("headers", "header_count"),
    "lists": ("lists", "list_count"),
    "bold": ("bold", "bold_count"),
}
TEXTS = ("answer", "response", "output")
METADATA = "conv_metadata"
# LMArena's measures, with the side in the place of the braces.
_LMARENA = {
    "tokens": "sum_assistant_{}_tokens",
    "headers": "header_count_{}",
    "lists": "list_count_{}",
    "bold": "bold_count_{}",
}
# How columns are named for the two sides, with the measure in the place of the braces.
_SIDES = (("{}_a", "{}_b"), ("{}_left", "{}_right"), ("left_{}", "right_{}"), ("{}_1", "{}_2"))


class Style(NamedTuple):
    """The style of the answers of each battle.

    Attributes:
      names: of what was measured.
      differences: `(a - b) / (a + b + 1)` of each measure, from the side of the first answer, in
        (-1, 1); NaN where it is not known, `[N, F]`.
    """

    names: tuple[str, ...]
    differences: Float64[np.ndarray, "N F"]


def read_style(table: Table) -> Style | None:
    """What a table says of the style of its answers; `None` if nothing.

    The differences are LMArena's, which adds 1 to the sum so that two answers without a list have
    the difference 0.

    Raises:
      DataError: a measure is negative, or no number.
    """
    found = dict(_measured(table))
    if not found:
        return None
    differences = [(a - b) / (a + b + 1) for a, b in found.values()]
    return Style(tuple(found), np.stack(differences, axis=1))


def _measured(table: Table) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """The name of each measure and its values of both sides."""
    seen = set()
    for name, spellings in MEASURES.items():
        columns = _columns(table, (*spellings, *_of_lmarena(name)))
        if columns is not None:
            seen.add(name)
            yield name, (_counts(table, columns[0]), _counts(table, columns[1]))
    if METADATA in table.names:
        yield from _of_metadata(table, seen)
        seen.add("tokens")
    if not seen & {"length", "tokens", "characters", "words"}:
        columns = _columns(table, TEXTS)
        if columns is not None:
            yield "length", (_lengths(table.column(columns[0])), _lengths(table.column(columns[1])))


def _of_lmarena(name: str) -> tuple[str, ...]:
    return (_LMARENA[name],) if name in _LMARENA else ()


def _columns(table: Table, spellings: tuple[str, ...]) -> tuple[str, str] | None:
    """The columns of the two sides, if both are there."""
    for spelling in spellings:
        if "{}" in spelling:
            pairs = [(spelling.format("a"), spelling.format("b"))]
        else:
            pairs = [(a.format(spelling), b.format(spelling)) for a, b in _SIDES]
        for pair in pairs:
            if set(pair) <= set(table.names):
                return pair
    return None


def _counts(table: Table, name: str) -> Float64[np.ndarray, "N"]:
    allowed = "numbers from 0, or nothing"
    values = numbers(table, name, allowed=allowed)
    wrong = np.flatnonzero(values < 0)
    if len(wrong):
        raise DataError(
            f"{table.where(int(wrong[0]))}: {name} {values[wrong[0]]:g}; allowed are {allowed}"
        )
    return values


def _lengths(column: Column) -> Float64[np.ndarray, "N"]:
    return np.array([float(len(text)) for text in column.values])[column.codes]


def _of_metadata(
    table: Table, seen: set[str]
) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """LMArena's measures: numbers, or numbers by kind (of headers, of lists) that are added up."""
    column = table.column(METADATA)
    objects = []
    for code, text in enumerate(column.values):
        try:
            content = json.loads(text or "{}")
        except json.JSONDecodeError:
            content = None
        if not isinstance(content, dict):
            raise DataError(
                f"{table.where(first_row(column, code))}: {METADATA} is not a JSON object"
            )
        objects.append(content)
    for name, key in _LMARENA.items():
        keys = (key.format("a"), key.format("b"))
        if name in seen or not any(set(keys) <= set(own) for own in objects):
            continue
        sides = []
        for own_key in keys:
            values = np.array([_total(own.get(own_key)) for own in objects])
            wrong = np.flatnonzero(values < 0)
            if len(wrong):
                raise DataError(
                    f"{table.where(first_row(column, int(wrong[0])))}: {own_key} of {METADATA} is "
                    f"{objects[wrong[0]][own_key]!r}; allowed are numbers from 0"
                )
            sides.append(values[column.codes])
        yield name, (sides[0], sides[1])


def _total(value: object) -> float:
    """A number, or the sum of numbers by kind; NaN where there is none, -1 for anything else."""
    if value is None:
        return np.nan
    parts = list(value.values()) if isinstance(value, dict) else [value]
    if all(isinstance(part, int | float) and part >= 0 for part in parts):
        return float(sum(parts))
    return -1.0
