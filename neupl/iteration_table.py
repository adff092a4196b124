"""Progress with a memory: under the panel, a live table of the last iterations."""

import collections
from io import TextIOBase
from typing import TYPE_CHECKING

from neupl.progress import Figure, Progress, figure_text

if TYPE_CHECKING:
    from rich.console import Group

_ROWS = 12


class IterationTable(Progress):
    """A `Progress` that shows its last updates, one per row, on a terminal."""

    def __init__(
        self, title: str, *, quiet: bool = False, stream: TextIOBase | None = None
    ) -> None:
        """Shows nothing yet; arguments as for `Progress`."""
        super().__init__(title, quiet=quiet, stream=stream)
        self._rows: collections.deque[dict[str, Figure]] = collections.deque(maxlen=_ROWS)

    def update(self, done: float, total: float | None, **figures: Figure) -> None:
        """Adds a row; arguments as for `Progress.update`."""
        self._rows.append({"iteration": int(done), **figures})
        super().update(done, total, **figures)

    def _panel(self) -> "Group":
        from rich.box import SIMPLE_HEAD
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        rows = list(self._rows)
        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for name in rows[-1]:
            table.add_column(name, justify="right")
        for row in rows:
            table.add_row(*(Text(figure_text(value)) for value in row.values()))
        return Group(self._headline(), table)
