"""Tables of a page, sortable and readable aloud, and the same as CSV that no spreadsheet runs."""

import csv
import dataclasses
import io
from collections.abc import Iterable, Sequence
from typing import Literal

from evaluation.pages.page import text

# What makes a spreadsheet read a cell as a formula, also behind blanks.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
      body: HTML.
      value: the number or the text to sort by, in full; `None` sorts last.
      style: CSS declarations made from numbers alone.
      head: whether the cell names its row.
    """

    body: str
    value: float | str | None = None
    style: str = ""
    head: bool = False


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
      title: plain text.
      kind: numbers stand on the right and sort as such; a bar shows the number before it.
      sorted_by: whether the rows come in its ascending order.
      low_first: whether a reader who sorts wants the least values on top, as of ranks.
      note: what the title stands for, as plain text.
    """

    title: str
    kind: Literal["number", "text", "bar"] = "number"
    sorted_by: bool = False
    low_first: bool = False
    note: str = ""


def table(
    label: str,
    caption: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Cell]],
    *,
    sortable: bool = False,
    row_classes: Sequence[str] = (),
    kind: str = "",
) -> str:
    """An HTML table with a caption and headers for both directions.

    Args:
      label: its name, as plain text.
      caption: what its numbers are, as plain text.
      columns: its heads.
      rows: of cells, one a column.
      sortable: whether a reader may sort it.
      row_classes: a CSS class a row; none if empty.
      kind: a CSS class of the table.
    """
    heads = "".join(_head(column, sortable) for column in columns)
    body = []
    for number, row in enumerate(rows):
        own = f' class="{row_classes[number]}"' if row_classes else ""
        cells = "".join(_cell(c, column) for c, column in zip(row, columns, strict=True))
        body.append(f"<tr{own}>{cells}</tr>")
    classes = " ".join(filter(None, (kind, "sortable" if sortable else "")))
    opening = f'<table class="{classes}">' if classes else "<table>"
    # A wide table scrolls by itself, also with the keyboard.
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table: {text(label)}">'
        f"{opening}<caption><strong>{text(label)}.</strong> {text(caption)}</caption>"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n" + "\n".join(body) + "\n</tbody></table></div>"
    )


def bar(share: float) -> str:
    """A bar as wide as a share in [-1, 1] of its cell; not read aloud: its number is beside it."""
    width = 100 * min(abs(share), 1.0)
    side = "loss" if share < 0 else "gain"
    return f'<span class="{side}" aria-hidden="true" style="width:{width:.1f}%"></span>'


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """UTF-8 CSV in which texts that a spreadsheet would run as a formula begin with a quote.

    Numbers are written in full, `None` as an empty cell.
    """
    file = io.StringIO()
    # Lines end as RFC 4180 says, and then a line break in a name is quoted, whichever it is.
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow([_harmless(cell) for cell in header])
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    # A lone surrogate of a name has no UTF-8.
    return file.getvalue().encode("utf-8", errors="replace")


def _harmless(cell: object) -> object:
    if isinstance(cell, str) and cell.lstrip(" ").startswith(_FORMULA):
        return f"'{cell}"
    return cell


def _head(column: Column, sortable: bool) -> str:
    order = ""
    if sortable:
        order = f' aria-sort="{"ascending" if column.sorted_by else "none"}"'
        order += f' data-sort="{column.kind}"'
        order += " data-low" if column.low_first else ""
    note = f' title="{text(column.note)}"' if column.note else ""
    return f'<th scope="col" class="{column.kind}"{order}{note}>{text(column.title)}</th>'


def _cell(cell: Cell, column: Column) -> str:
    value = "" if cell.value is None else f' data-value="{text(_value(cell.value))}"'
    style = f' style="{cell.style}"' if cell.style else ""
    if cell.head:
        return f'<th scope="row"{value}{style}>{cell.body}</th>'
    own = "" if column.kind == "text" else f' class="{column.kind}"'
    return f"<td{own}{value}{style}>{cell.body}</td>"


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else repr(float(value))
