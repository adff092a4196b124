"""What a command prints on stdout: one strict JSON object for programs, tables for people."""

import json
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Columns; more than any table needs.
_UNBOUNDED = 100_000
# Characters that would act on a terminal, such as the beginning of an escape sequence; tabs and
# newlines stay.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def print_json(content: Mapping[str, Any]) -> None:
    """Prints one JSON object: NumPy values become plain, and numbers that are not finite `null`."""
    print(json.dumps(_strict(content), allow_nan=False))


def print_table(
    rows: Iterable[Sequence[Any]], *, header: Sequence[str] = (), title: str | None = None
) -> None:
    """Prints a table to stdout, as wide as the terminal; a pipe gets every cell in full.

    Control characters, which names from a file may have, are shown as `\\x1b` and do nothing.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=SIMPLE_HEAD if header else None,
        show_header=bool(header),
        show_edge=False,
        pad_edge=False,
        title=title,
        title_justify="left",
        title_style="bold",
    )
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_CONTROL.sub(_shown, str(cell))) for cell in row))
    console = Console()
    if not sys.stdout.isatty():
        console = Console(width=Console(width=_UNBOUNDED).measure(table).maximum)
    # Printed by Python: Rich ends the process itself when the reader of a pipe has gone.
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        print(line.rstrip())


def _shown(character: re.Match[str]) -> str:
    return f"\\x{ord(character[0]):02x}"


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _strict(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return _strict(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
