"""Entries of a column as numbers and as indices of names, with the row of what is wrong."""

import numpy as np
from jaxtyping import Float64, Int32

from evaluation.readers.table import Column, Table
from evaluation.types import DataError

# What says, in small letters, that there is no number.
MISSING = ("", "na", "n/a", "nan", "none", "null", "-")


def first_row(column: Column, code: int) -> int:
    """The first row that has the value of a code."""
    return int(np.argmax(column.codes == code))


def numbers(table: Table, name: str, *, allowed: str) -> Float64[np.ndarray, "N"]:
    """A column as numbers; NaN where it is empty or says so.

    Args:
      table: the table.
      name: the column.
      allowed: what an error says is allowed.

    Raises:
      DataError: an entry is neither a finite number nor missing.
    """
    column = table.column(name)
    values = np.empty(len(column.values))
    for code, text in enumerate(column.values):
        if text.lower() in MISSING:
            values[code] = np.nan
            continue
        try:
            values[code] = float(text)
        except ValueError:
            values[code] = np.inf
        if not np.isfinite(values[code]):
            row = first_row(column, code)
            raise DataError(f"{table.where(row)}: {name} {text!r}; allowed are {allowed}")
    return values[column.codes]


def names(table: Table, *columns: str) -> tuple[tuple[str, ...], list[Int32[np.ndarray, "N"]]]:
    """Names in one or more columns, sorted, and their index in each row of each column.

    Raises:
      DataError: a name is empty.
    """
    parts = [table.column(name) for name in columns]
    found = sorted({value for part in parts for value in part.values})
    index = {name: place for place, name in enumerate(found)}
    codes = []
    for name, part in zip(columns, parts, strict=True):
        if "" in part.values:
            row = first_row(part, part.values.index(""))
            raise DataError(f"{table.where(row)}: {name} is empty; allowed is any name")
        places = np.array([index[value] for value in part.values], np.int32)
        codes.append(places[part.codes])
    return tuple(found), codes
