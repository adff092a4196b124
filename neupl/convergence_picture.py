"""The picture of a solved game: its gap over the iterations, and over the seconds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neupl.certificate_words import certificate_text
from neupl.durable_files import write_durably
from neupl.figures import (
    BLUE,
    GREY,
    MAX_MARKED,
    figure_style,
    new_figure,
    png_bytes,
    series,
    set_log_scale,
    shorten,
)
from solvers.types import Certificate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES = (14.0, 6.5)


def save_convergence(
    path: Path,
    *,
    game: str,
    metrics: Sequence[Mapping[str, Any]],
    certificate: Certificate,
    payoff_range: float,
    note: str,
) -> None:
    """Writes the picture as a PNG of 1400 x 650 pixels, whole or not at all.

    Args:
      path: the file; its folder must exist.
      game: the game's name.
      metrics: lines of `metrics.jsonl` in order of their steps.
      certificate: of what was saved at the end; drawn as a line.
      payoff_range: greatest minus least payoff of the game, in game points.
      note: one line on how it was solved and why it stopped.

    Raises:
      OSError: the file cannot be written; an old one is untouched.
    """
    quantity = f"eval/{certificate.quantity}"
    steps, gaps = series(metrics, quantity)
    seconds = [line["time/elapsed_s"] for line in metrics if line.get(quantity) is not None]
    with figure_style():
        figure = new_figure(INCHES)
        for height, words, size, weight, colour in (
            (0.925, shorten(game, 80), 22, "bold", "black"),
            (0.865, certificate_text(certificate, payoff_range), 15, "bold", BLUE),
            (0.815, shorten(f"{certificate.object}: {note}", 150), 12, "normal", GREY),
        ):
            line = figure.text(0.03, height, words, fontsize=size, fontweight=weight, color=colour)
            line.set_parse_math(False)
        left = figure.add_axes((0.075, 0.115, 0.40, 0.60))
        right = figure.add_axes((0.545, 0.115, 0.40, 0.60))
        _draw(left, steps, gaps, certificate.value, payoff_range, "iterations")
        _draw(right, seconds, gaps, certificate.value, payoff_range, "seconds")
        png = png_bytes(figure)
    write_durably(path, png)


def _draw(
    axes: "Axes",
    positions: Sequence[float],
    gaps: Sequence[float],
    certified: float,
    payoff_range: float,
    unit: str,
) -> None:
    from matplotlib.ticker import StrMethodFormatter

    place = set_log_scale(axes, [*gaps, certified], payoff_range or 1.0)
    marker = "o" if len(gaps) <= MAX_MARKED else None
    axes.plot(positions, place(gaps), color=BLUE, linewidth=2.2, marker=marker, markersize=4)
    axes.axhline(place([certified])[0], color="black", linestyle="--", linewidth=1.4)
    positive = [position for position in positions if position > 0]
    if positive and max(positive) > 50 * min(positive):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_xlabel(unit)
    axes.set_title("Gap (points), dashed: what was certified" if unit == "iterations" else "")
