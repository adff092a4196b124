"""Progress of long work: a live panel on a terminal, plain lines at intervals elsewhere.

Everything goes to stderr, because stdout belongs to the result.
"""

import sys
import time
from io import TextIOBase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.table import Table

Figure = float | int | str

_LIVE_REFRESH_PER_S = 4


class Progress:
    """A context manager that shows how far some work is; `update` costs microseconds.

    On a terminal one panel is redrawn in place, else a line is printed at most every `interval_s`
    seconds and once at the end.
    """

    def __init__(
        self,
        title: str,
        *,
        quiet: bool = False,
        patience_s: float = 0.0,
        interval_s: float = 10.0,
        stream: TextIOBase | None = None,
    ) -> None:
        """Shows nothing yet.

        Args:
          title: what is being done, e.g. `"training kuhn_poker"`.
          quiet: show nothing at all.
          patience_s: show nothing of work that is over within so many seconds.
          interval_s: seconds between two plain lines.
          stream: where to write; stderr by default.
        """
        self._title, self._quiet = title, quiet
        self._patience_s, self._interval_s = patience_s, interval_s
        self._stream = sys.stderr if stream is None else stream
        self._live: Live | None = None
        self._entered_s = 0.0
        self._first: tuple[float, float] | None = None
        self._done, self._total = 0.0, None
        self._figures: dict[str, Figure] = {}
        self._printed: tuple[float, float] | None = None  # when, and what was done then

    def __enter__(self) -> "Progress":
        self._entered_s = time.monotonic()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()
        elif self._printed is not None and self._printed[1] != self._done:
            self._print_line(time.monotonic())

    def update(self, done: float, total: float | None, **figures: Figure) -> None:
        """Says how far the work is.

        Args:
          done: units of work done; a resumed run starts above 0, and the ETA counts from there.
          total: units of work in all; `None` when nobody knows.
          **figures: a few named numbers worth watching.
        """
        now = time.monotonic()
        if self._first is None:
            self._first = (now, done)
        self._done, self._total, self._figures = done, total, figures
        if self._quiet or self._live is not None or now - self._entered_s < self._patience_s:
            return
        if self._stream.isatty():
            self._live = self._start_live()
        elif self._printed is None or now - self._printed[0] >= self._interval_s:
            self._print_line(now)

    def remaining_s(self) -> float | None:
        """Seconds left at the mean speed since the first update; `None` while no speed is known."""
        if self._first is None:
            return None
        started_s, started_at = self._first
        advanced = self._done - started_at
        if advanced <= 0 or self._total is None:
            return None
        return (time.monotonic() - started_s) / advanced * max(self._total - self._done, 0.0)

    def _status(self) -> str:
        if self._total is None:
            return f"{self._done:,.0f}"
        status = f"{self._done:,.0f} / {self._total:,.0f}"
        left = self.remaining_s()
        if left is None or self._done >= self._total:
            return status
        return f"{status}, {_duration_text(left)} left"

    def _start_live(self) -> "Live":
        from rich.console import Console
        from rich.live import Live

        live = Live(
            get_renderable=self._panel,
            console=Console(file=self._stream),
            refresh_per_second=_LIVE_REFRESH_PER_S,
            redirect_stdout=False,
        )
        live.start()
        return live

    def _print_line(self, now: float) -> None:
        figures = "".join(f", {n} {figure_text(v)}" for n, v in self._figures.items())
        print(f"{self._title}: {self._status()}{figures}", file=self._stream, flush=True)
        self._printed = (now, self._done)

    def _panel(self) -> "RenderableType":
        from rich.text import Text

        table = self._headline()
        for name, value in self._figures.items():
            table.add_row(Text(f"  {name}"), Text(figure_text(value)))
        return table

    def _headline(self) -> "Table":
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        bar = ProgressBar(
            total=self._total or 1.0, completed=self._done, width=30, pulse=self._total is None
        )
        table.add_row(Text(self._title, style="bold"), bar, self._status())
        return table


def figure_text(value: Figure) -> str:
    """A figure as a person reads it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _duration_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
