"""The one-page picture of a NeuPL-JPSRO run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from neupl.certificate_words import certificate_text
from neupl.durable_files import write_durably
from neupl.figures import (
    BLUE,
    GREY,
    ORANGE,
    SEAT_COLOURS,
    SKY,
    SUMMARY_INCHES,
    draw_meta_strategy,
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


def save_joint_summary(
    path: Path,
    *,
    game: str,
    metrics: Sequence[Mapping[str, Any]],
    joint: Float[np.ndarray, "..."],
    certificate: Certificate,
    payoff_range: float,
    note: str,
) -> None:
    """Writes the picture as a PNG of 1600 x 1000 pixels, whole or not at all.

    The gap over the gradient steps, what the seats earn, how far earlier strategies drifted and how
    much the responses left, and the marginals of the joint that was certified.

    Args:
      path: the file; its folder must exist.
      game: the game's name.
      metrics: lines of `metrics.jsonl` in order of their steps.
      joint: `[K, ..., K]` of the certified population.
      certificate: of that joint.
      payoff_range: greatest minus least payoff of the game, in game points.
      note: one line on what was trained.

    Raises:
      OSError: the file cannot be written; an old one is untouched.
    """
    players = joint.ndim
    marginals = np.stack(
        [joint.sum(axis=tuple(q for q in range(players) if q != p)) for p in range(players)]
    )
    used = int(np.flatnonzero(marginals.any(axis=0)).max()) + 1
    with figure_style():
        figure = new_figure(SUMMARY_INCHES)
        for height, words, size, weight, colour in (
            (0.950, shorten(game, 80), 24, "bold", "black"),
            (0.907, certificate_text(certificate, payoff_range), 16, "bold", BLUE),
            (0.872, shorten(f"{certificate.object}: {note}", 170), 13, "normal", GREY),
        ):
            line = figure.text(0.03, height, words, fontsize=size, fontweight=weight, color=colour)
            line.set_parse_math(False)
        _draw_gap(figure.add_axes((0.065, 0.475, 0.52, 0.315)), metrics, certificate, payoff_range)
        _draw_values(figure.add_axes((0.68, 0.475, 0.28, 0.315)), metrics, players)
        grid = figure.add_gridspec(
            players, 1, left=0.065, right=0.54, bottom=0.07, top=0.345, hspace=0.28
        )
        draw_meta_strategy(figure, grid, marginals[:, :used])
        _draw_drift(figure.add_axes((0.62, 0.085, 0.34, 0.26)), metrics, payoff_range)
        png = png_bytes(figure)
    write_durably(path, png)


def _draw_gap(
    axes: "Axes",
    metrics: Sequence[Mapping[str, Any]],
    certificate: Certificate,
    payoff_range: float,
) -> None:
    curves = {
        "meta-strategy": ("eval/gap", SKY, 1.6, "default"),
        "judge": ("eval/judged_gap", ORANGE, 1.2, "default"),
        "best so far": ("eval/best_gap", BLUE, 2.6, "steps-post"),
        "responses, estimated": ("eval/gap_estimate", SKY, 1.6, "default"),
        "kept, estimated": ("eval/best_gap_estimate", BLUE, 2.6, "steps-post"),
    }
    points = {name: series(metrics, key) for name, (key, *_) in curves.items()}
    points = {name: found for name, found in points.items() if len(found[1])}
    values = [value for _, own in points.values() for value in own]
    place = set_log_scale(axes, [*values, certificate.value], payoff_range or 1.0)
    for name, (steps, own) in points.items():
        _, colour, width, style = curves[name]
        axes.plot(steps, place(own), color=colour, linewidth=width, drawstyle=style, label=name)
    axes.axhline(place([certificate.value])[0], color="black", linestyle="--", linewidth=1.4)
    _finish(axes, "Gap after each iteration (points), dashed: what was certified")


def _draw_values(axes: "Axes", metrics: Sequence[Mapping[str, Any]], players: int) -> None:
    for player in range(players):
        colour = SEAT_COLOURS[player % len(SEAT_COLOURS)]
        axes.plot(
            *series(metrics, f"eval/value_{player}"), color=colour, linewidth=1.8,
            label=f"seat {player}",
        )  # fmt: skip
    earned = series(metrics, "eval/best_welfare")
    axes.plot(*earned, color="black", linewidth=1.2, label="sum of the best")
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    _finish(axes, "What seats earn (points)")


def _draw_drift(axes: "Axes", metrics: Sequence[Mapping[str, Any]], payoff_range: float) -> None:
    drift = series(metrics, "drift/payoff")
    left = series(metrics, "train/strategy_left")
    place = set_log_scale(axes, [*drift[1], *left[1]], payoff_range or 1.0)
    axes.plot(drift[0], place(drift[1]), color=ORANGE, linewidth=1.0, label="payoffs moved by")
    axes.plot(left[0], place(left[1]), color=BLUE, linewidth=1.0, label="responses left")
    _finish(axes, "Drift of earlier strategies (points)")


def _finish(axes: "Axes", title: str) -> None:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_title(title, pad=26)
    axes.set_xlabel("gradient steps")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.99), ncols=5, columnspacing=0.9)
