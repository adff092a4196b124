"""What all pictures of runs share: style, colours, a logarithmic axis with a zero, and the bars of
a meta-strategy.

Everything is drawn with Matplotlib's object interface and its Agg backend, so no display is needed
and no figure outlives its function. All colours differ in lightness too, or are the red-blue and
Okabe-Ito palettes, which the common forms of colour blindness tell apart.
"""

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from solvers.open_spiel_check import ROUNDING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
SUMMARY_INCHES = (16.0, 10.0)

BLUE, SKY, ORANGE, GREEN, PURPLE = "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7"
SEAT_COLOURS = (BLUE, "#E69F00", GREEN, PURPLE, SKY, ORANGE)
GREY = "#555555"
_STYLE = {
    "font.size": 12,
    "axes.titlesize": 14,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
# Above so many strategies the cells of a matrix are too small for numbers.
MAX_WRITTEN = 8
# Above so many measurements their points make one line.
MAX_MARKED = 40


def figure_style() -> AbstractContextManager:
    """Matplotlib's defaults and ours, whatever the user's own settings are."""
    from matplotlib import style

    return style.context(["default", _STYLE])


def new_figure(inches: tuple[float, float]) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def png_bytes(figure: "Figure") -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        # A run may be named in a script that the font lacks; boxes will do.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(file, format="png")
    return file.getvalue()


def series(metrics: Sequence[Mapping[str, Any]], name: str) -> tuple[list[float], list[float]]:
    """Steps and values of the lines that have both."""
    points = [(line.get("step"), line.get(name)) for line in metrics]
    known = [(step, v) for step, v in points if None not in (step, v) and math.isfinite(v)]
    return [float(step) for step, _ in known], [float(value) for _, value in known]


def set_log_scale(axes: "Axes", values: Sequence[float], payoff_range: float) -> Any:
    """Whole decades around the values, with a zero below them where one is needed.

    What rounding alone may produce counts as zero. Returns a function from values to heights.
    """
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter

    noise = ROUNDING * payoff_range
    positive = [value for value in values if value > noise] or [payoff_range]
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    high = max(high, low + 1)
    has_zero = len(positive) < len(values) or not values
    # The zero stands a tenth of the axis below the lowest decade.
    floor = 10.0 ** (low - max(0.12 * (high - low), 0.12)) if has_zero else 10.0**low
    stride = math.ceil((high - low) / 6)
    factors = (1, 2, 5) if high - low <= 2 else (1,)
    ticks = [f * 10.0**d for d in range(low, high + 1, stride) for f in factors]
    ticks = [tick for tick in ticks if tick <= 10.0**high]
    labels = [f"{tick:g}" for tick in ticks]
    minor = [f * 10.0**d for d in range(low, high) for f in range(1, 10)]
    axes.set_yscale("log")
    # Room below, so that a line at the bottom does not lie on the frame.
    bottom = floor / 10.0 ** (0.02 * (high - low))
    axes.set_ylim(bottom, 10.0**high)
    if has_zero:
        axes.axhspan(bottom, 10.0**low, color="#EEEEEE", linewidth=0)
        ticks, labels = [floor, *ticks], ["0", *labels]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FixedFormatter(labels))
    axes.yaxis.set_minor_locator(FixedLocator(minor))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    return lambda heights: [height if height > noise else floor for height in heights]


def draw_meta_strategy(
    figure: "Figure", grid: Any, meta_strategy: Float[np.ndarray, "P K"]
) -> None:
    """Bars, one row per seat: strategy 3 of one seat is not strategy 3 of another."""
    from matplotlib.ticker import MaxNLocator

    num_players, num_strategies = meta_strategy.shape
    for player, shares in enumerate(meta_strategy):
        axes = figure.add_subplot(grid[player, 0])
        colour = SEAT_COLOURS[player % len(SEAT_COLOURS)]
        axes.bar(np.arange(num_strategies), shares, color=colour, width=0.8)
        if num_strategies <= 2 * MAX_WRITTEN:
            for k, share in enumerate(shares):
                axes.text(k, share, share_text(share), ha="center", va="bottom", fontsize=10)
        axes.set_xlim(-0.6, num_strategies - 0.4)
        axes.set_ylim(0, max(1.25 * shares.max(), 0.1))
        axes.set_ylabel(f"seat {player}")
        axes.yaxis.set_major_locator(MaxNLocator(nbins=3))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=16, integer=True, min_n_ticks=1))
        last = player == num_players - 1
        axes.tick_params(axis="x", length=0, labelbottom=last)
        if player == 0:
            axes.set_title("Meta-strategy (probability)")
        if last:
            axes.set_xlabel("strategy")


def share_text(share: float) -> str:
    """Nothing for a zero, and no zero before the point."""
    if 0.005 <= share < 0.995:
        return f"{share:.2f}"[1:]
    return "1" if share > 0.5 else ""


def shorten(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
