"""The one-page picture of a training run."""

import itertools
import math
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
    MAX_MARKED,
    ORANGE,
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
from neupl.matrix_pictures import (
    check_probabilities,
    coplayer_marginals,
    draw_graphs,
    draw_payoffs,
    payoff_matrix,
)
from solvers.types import Certificate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def save_summary(
    path: Path,
    *,
    game: str,
    metrics: Sequence[Mapping[str, Any]],
    payoffs: Float[np.ndarray, "..."],
    joint: Float[np.ndarray, "P K M"],
    meta_strategy: Float[np.ndarray, "P K"],
    num_admitted: int,
    certificate: Certificate,
    payoff_range: float,
    method: str | None = None,
) -> None:
    """Writes the one-page picture of a run: a PNG of 1600 x 1000 pixels, whole or not at all.

    NashConv over the gradient steps with the admissions on top; payoffs and interaction graph of
    seat 0 (the graph of seat 1 too where it differs); every seat's meta-strategy; and in words what
    was certified. Only admitted strategies are shown.

    Args:
      path: the file; its folder must exist.
      game: the game's name.
      metrics: lines of `metrics.jsonl` in order of their steps; keys may be missing, and a number
        that is not finite counts as missing.
      payoffs: `[K, ..., K, P]`, in game points.
      joint: `[P, K, M]` rows of the interaction graph, as for `graph_image`.
      meta_strategy: `[P, K]` each seat's distribution over its strategies.
      num_admitted: strategies per seat in the population, from 1 to `K`.
      certificate: of the mixture; drawn as a line when it is a NashConv.
      payoff_range: greatest minus least payoff of the game, in game points.
      method: how the population was trained, in words.

    Raises:
      ValueError: a number is not finite, or a shape or count is impossible.
      OSError: the file cannot be written; an old one is untouched.
    """
    num_players, num_strategies = joint.shape[:2]
    if payoffs.shape != (num_strategies,) * num_players + (num_players,):
        raise ValueError(f"payoffs have shape {payoffs.shape}, the graph has {joint.shape}")
    check_probabilities("meta_strategy", meta_strategy)
    if not (math.isfinite(payoff_range) and payoff_range >= 0):
        raise ValueError(f"payoff_range is {payoff_range}, allowed are finite numbers from 0 on")
    present = slice(num_admitted)
    matrix = payoff_matrix(payoffs, player=0, num_admitted=num_admitted)[present, present]
    seats = [0] if np.allclose(joint[0], joint[1], atol=1e-9) else [0, 1]
    panels = [
        (player, coplayer, np.ma.array(marginal[present, present]))
        for player in seats
        for coplayer, marginal in coplayer_marginals(joint, player=player).items()
    ]
    with figure_style():
        figure = new_figure(SUMMARY_INCHES)
        _write_strip(figure, game, metrics, certificate, payoff_range, num_admitted, method)
        curve = figure.add_axes((0.065, 0.475, 0.52, 0.315))
        _draw_nash_conv(curve, metrics, certificate, payoff_range)
        draw_payoffs(
            figure.add_axes((0.68, 0.455, 0.25, 0.335)), matrix, num_players=num_players, player=0
        )
        split = {1: 0.63, 2: 0.54}.get(len(panels), 0.40)
        mixture = figure.add_gridspec(
            num_players, 1, left=0.065, right=split - 0.06, bottom=0.07, top=0.345, hspace=0.28
        )
        draw_meta_strategy(figure, mixture, meta_strategy[:, present])
        part = figure.add_gridspec(1, 1, left=split, right=0.945, bottom=0.07, top=0.345)[0]
        draw_graphs(figure, part, panels, num_rows=len(seats) if len(panels) > 4 else 1)
        png = png_bytes(figure)
    write_durably(path, png)


def _draw_nash_conv(
    axes: "Axes",
    metrics: Sequence[Mapping[str, Any]],
    certificate: Certificate,
    payoff_range: float,
) -> None:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    current, best = (series(metrics, f"eval/{name}") for name in ("nash_conv", "best_nash_conv"))
    lines = []
    if certificate.quantity == "nash_conv":
        lines.append(("certificate", certificate.value, "black", "--"))
    values = [*current[1], *best[1], *(value for _, value, *_ in lines)]
    place = set_log_scale(axes, values, payoff_range or 1.0)
    marker = "o" if len(current[0]) <= MAX_MARKED else None
    axes.plot(
        current[0],
        place(current[1]),
        color=SKY,
        linewidth=1.2,
        marker=marker,
        markersize=4,
        label="current",
    )
    axes.plot(
        best[0],
        place(best[1]),
        color=BLUE,
        linewidth=2.6,
        marker=marker,
        markersize=4,
        drawstyle="steps-post",
        label="best so far",
    )
    lines.sort(key=lambda line: line[1], reverse=True)
    for index, (name, value, colour, dashes) in enumerate(lines):
        (height,) = place([value])
        axes.axhline(height, color=colour, linestyle=dashes, linewidth=1.6)
        axes.text(
            1.01,
            height,
            f"{name}\n{value:.3g}",
            transform=axes.get_yaxis_transform(),
            color=colour,
            fontsize=11,
            # Two labels grow apart from each other.
            va="center" if len(lines) == 1 else ("bottom", "top")[index],
        )
    if certificate.quantity == "nash_conv" and certificate.interval is not None:
        axes.axhspan(*place(certificate.interval), color="black", alpha=0.1, linewidth=0)
    _mark_admissions(axes, metrics)
    steps = [*current[0], *best[0], 0.0]
    axes.set_xlim(min(steps), max(*steps, min(steps) + 1))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_title("NashConv (points)", pad=24)
    axes.set_xlabel("gradient steps")
    # On the title's line, where no curve can be.
    axes.legend(loc="lower right", bbox_to_anchor=(1.01, 1.05), ncols=4, columnspacing=1.4)


def _mark_admissions(axes: "Axes", metrics: Sequence[Mapping[str, Any]]) -> None:
    """Ticks above the curve: dark for a new strategy, light for one that was trained anew."""
    grown = _steps_of_growth(metrics, "population/num_admitted")
    trained = _steps_of_growth(metrics, "population/num_responses")
    replaced = [step for step in trained if step not in set(grown)]
    for steps, colour, label in (
        (grown, ORANGE, "admitted"),
        (replaced, "#AAAAAA", "trained anew"),
    ):
        if steps:
            axes.plot(
                steps,
                [1.03] * len(steps),
                linestyle="none",
                marker="|",
                markersize=10,
                markeredgewidth=1.6,
                color=colour,
                label=label,
                transform=axes.get_xaxis_transform(),
                clip_on=False,
            )


def _steps_of_growth(metrics: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    steps, counts = series(metrics, name)
    pairs = itertools.pairwise(counts)
    return [step for step, (old, new) in zip(steps[1:], pairs, strict=True) if new > old]


def _write_strip(
    figure: "Figure",
    game: str,
    metrics: Sequence[Mapping[str, Any]],
    certificate: Certificate,
    payoff_range: float,
    num_admitted: int,
    method: str | None,
) -> None:
    """The words on top: the game, what was certified and how, and the population."""
    gains = ", ".join(f"{gain:.3g}" for gain in certificate.per_player)
    population = [] if method is None else [method]
    population.append(f"{num_admitted} strategies per seat")
    for name, words in (("effective_size", "effective size"), ("num_responses", "responses")):
        _, counts = series(metrics, f"population/{name}")
        if counts:
            population.append(f"{words} {counts[-1]:,.0f}")
    population.append(f"gain of a best response by seat: {gains}")
    lines = (
        (0.950, shorten(game, 80), 24, "bold", "black"),
        (0.907, certificate_text(certificate, payoff_range), 16, "bold", BLUE),
        (
            0.872,
            shorten(f"{certificate.object}: {', '.join(population)}", 170),
            13,
            "normal",
            GREY,
        ),
    )
    for height, words, size, weight, colour in lines:
        line = figure.text(0.03, height, words, fontsize=size, fontweight=weight, color=colour)
        line.set_parse_math(False)
