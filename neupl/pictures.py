"""Pictures of a training run: payoff matrix, interaction graph, and the one-page summary.

Everything is drawn with Matplotlib's object interface and its Agg backend, so no display is needed
and no figure outlives its function. All colours differ in lightness too, or are the red-blue and
Okabe-Ito palettes, which the common forms of colour blindness tell apart.
"""

import io
import itertools
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from neupl.durable_files import write_durably
from solvers.open_spiel_check import GAP_TOLERANCE, ROUNDING
from solvers.types import Certificate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

DPI = 100
SUMMARY_INCHES = (16.0, 10.0)
IMAGE_INCHES = (6.4, 5.6)

_BLUE, _ORANGE, _GREEN, _PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SEAT_COLOURS = (_BLUE, "#E69F00", _GREEN, _PURPLE, "#56B4E9", _ORANGE)
_GREY, _ABSENT = "#555555", "#DDDDDD"
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
_MAX_WRITTEN = 8
# Above so many evaluations their points make one line.
_MAX_MARKED = 40
_METHODS = {
    "exact": "exact",
    "sampled": "sampled",
    "trained_best_response": "lower bound by a trained best response",
}
QUANTITY_NAMES = {
    "nash_conv": "NashConv",
    "exploitability": "exploitability",
    "cce_gap": "CCE gap",
    "ce_gap": "CE gap",
    "cce_gain": "CCE gain",
}


def payoff_image(payoffs: Float[np.ndarray, "..."], *, player: int = 0, num_admitted: int) -> bytes:
    """Draws what a seat's strategies earn against those of its first co-player, as a PNG.

    With more than two players the other co-players mix their admitted strategies uniformly, and
    the title says so. Strategies that are not admitted are grey.

    Args:
      payoffs: `[K, ..., K, P]`, in game points.
      player: whose payoffs and whose strategies in the rows.
      num_admitted: strategies per seat in the population, from 1 to `K`.

    Raises:
      ValueError: a payoff is not finite, or a shape, seat or count is impossible.
    """
    matrix = _payoff_matrix(payoffs, player=player, num_admitted=num_admitted)
    with figure_style():
        figure = new_figure(IMAGE_INCHES)
        axes = figure.add_axes((0.12, 0.11, 0.72, 0.75))
        _draw_payoffs(axes, matrix, num_players=payoffs.shape[-1], player=player)
        return png_bytes(figure)


def graph_image(joint: Float[np.ndarray, "P K M"], *, player: int = 0, num_admitted: int) -> bytes:
    """Draws the interaction graph of a seat as a PNG: row `i` is what strategy `i` responds to.

    With more than two players the marginals over each co-player stand side by side. Strategies that
    are not admitted are grey.

    Args:
      joint: `[P, K, M]` distributions over the `M = K ** (P - 1)` profiles of the co-players, in
        ascending seat order, last co-player fastest; a zero row responds to nothing.
      player: whose strategies respond.
      num_admitted: strategies per seat in the population, from 1 to `K`.

    Raises:
      ValueError: a probability is negative or not finite, or a shape, seat or count is impossible.
    """
    marginals = _coplayer_marginals(joint, player=player)
    _check_count(num_admitted, joint.shape[1])
    panels = [
        (player, coplayer, _hide_absent(matrix, num_admitted))
        for coplayer, matrix in marginals.items()
    ]
    width, height = IMAGE_INCHES
    inches = (width + (len(panels) - 1) * 0.75 * width, height)
    with figure_style():
        figure = new_figure(inches)
        part = figure.add_gridspec(
            1, 1, left=0.8 / inches[0], right=1 - 1.0 / inches[0], bottom=0.11, top=0.86
        )[0]
        _draw_graphs(figure, part, panels, num_rows=1)
        return png_bytes(figure)


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
    _check_probabilities("meta_strategy", meta_strategy)
    if not (math.isfinite(payoff_range) and payoff_range >= 0):
        raise ValueError(f"payoff_range is {payoff_range}, allowed are finite numbers from 0 on")
    present = slice(num_admitted)
    matrix = _payoff_matrix(payoffs, player=0, num_admitted=num_admitted)[present, present]
    seats = [0] if np.allclose(joint[0], joint[1], atol=1e-9) else [0, 1]
    panels = [
        (player, coplayer, np.ma.array(marginal[present, present]))
        for player in seats
        for coplayer, marginal in _coplayer_marginals(joint, player=player).items()
    ]
    with figure_style():
        figure = new_figure(SUMMARY_INCHES)
        _write_strip(figure, game, metrics, certificate, payoff_range, num_admitted, method)
        curve = figure.add_axes((0.065, 0.475, 0.52, 0.315))
        _draw_nash_conv(curve, metrics, certificate, payoff_range)
        _draw_payoffs(
            figure.add_axes((0.68, 0.455, 0.25, 0.335)), matrix, num_players=num_players, player=0
        )
        split = {1: 0.63, 2: 0.54}.get(len(panels), 0.40)
        mixture = figure.add_gridspec(
            num_players, 1, left=0.065, right=split - 0.06, bottom=0.07, top=0.345, hspace=0.28
        )
        draw_meta_strategy(figure, mixture, meta_strategy[:, present])
        part = figure.add_gridspec(1, 1, left=split, right=0.945, bottom=0.07, top=0.345)[0]
        _draw_graphs(figure, part, panels, num_rows=len(seats) if len(panels) > 4 else 1)
        png = png_bytes(figure)
    write_durably(path, png)


def _payoff_matrix(
    payoffs: Float[np.ndarray, "..."], *, player: int, num_admitted: int
) -> np.ma.MaskedArray:
    """`[K, K]`: own strategies by the first co-player's, the others uniform; masked if absent."""
    num_players, num_strategies = payoffs.shape[-1], payoffs.shape[0]
    if num_players < 2 or payoffs.shape[:-1] != (num_strategies,) * num_players:
        raise ValueError(f"payoffs have shape {payoffs.shape}, expected [K, ..., K, P] with P > 1")
    if not np.isfinite(payoffs).all():
        raise ValueError("payoffs contain NaN or infinite numbers")
    _check_player(player, num_players)
    _check_count(num_admitted, num_strategies)
    own = np.moveaxis(payoffs[..., player], player, 0)
    others = tuple(range(2, num_players))
    mean = own[(slice(None), slice(None), *(slice(num_admitted) for _ in others))].mean(axis=others)
    return _hide_absent(mean, num_admitted)


def _coplayer_marginals(
    joint: Float[np.ndarray, "P K M"], *, player: int
) -> dict[int, Float[np.ndarray, "K K"]]:
    """By co-player, the mixture over its strategies that each strategy of `player` responds to."""
    num_players, num_strategies, num_profiles = joint.shape
    if num_players < 2 or num_profiles != num_strategies ** (num_players - 1):
        raise ValueError(f"joint has shape {joint.shape}, expected [P, K, K ** (P - 1)] with P > 1")
    _check_probabilities("joint", joint)
    _check_player(player, num_players)
    rows = joint[player].reshape((num_strategies,) * num_players)
    coplayers = [seat for seat in range(num_players) if seat != player]
    axes = range(1, num_players)
    return {
        seat: rows.sum(axis=tuple(other for other in axes if other != axis))
        for axis, seat in zip(axes, coplayers, strict=True)
    }


def _hide_absent(matrix: Float[np.ndarray, "K K"], num_admitted: int) -> np.ma.MaskedArray:
    absent = np.arange(len(matrix)) >= num_admitted
    return np.ma.array(matrix, mask=absent[:, None] | absent)


def _check_player(player: int, num_players: int) -> None:
    if not 0 <= player < num_players:
        raise ValueError(f"player is {player}, allowed are 0 to {num_players - 1}")


def _check_count(num_admitted: int, num_strategies: int) -> None:
    if not 1 <= num_admitted <= num_strategies:
        raise ValueError(f"num_admitted is {num_admitted}, allowed are 1 to {num_strategies}")


def _check_probabilities(name: str, probabilities: Float[np.ndarray, "..."]) -> None:
    if not (np.isfinite(probabilities).all() and (probabilities >= -1e-6).all()):
        raise ValueError(f"{name} contains negative, NaN or infinite probabilities")


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


def _draw_payoffs(
    axes: "Axes", matrix: np.ma.MaskedArray, *, num_players: int, player: int
) -> None:
    coplayer, *others = [seat for seat in range(num_players) if seat != player]
    # Zero is always white: red loses, blue wins.
    limit = float(np.abs(matrix).max()) or 1.0
    image = _draw_matrix(axes, matrix, colours="RdBu", limits=(-limit, limit), write=_payoff_text)
    axes.set_title(f"Payoff of seat {player} (points)", pad=26 if others else 10)
    if others:
        seats = f"seats {', '.join(map(str, others))}" if len(others) > 1 else f"seat {others[0]}"
        words = f"mean over {seats} mixing uniformly"
        axes.text(0, 1.025, words, transform=axes.transAxes, color=_GREY)
    axes.set_xlabel(f"strategy of seat {coplayer}")
    axes.set_ylabel(f"strategy of seat {player}")
    _add_colour_bar(axes, image)


def _draw_graphs(
    figure: "Figure",
    part: Any,
    panels: Sequence[tuple[int, int, np.ma.MaskedArray]],
    *,
    num_rows: int,
) -> None:
    """One panel for each (player, co-player, marginals) in a part of the figure."""
    num_columns = len(panels) // num_rows
    grid = part.subgridspec(num_rows, num_columns, wspace=0.3, hspace=0.55)
    small = len(panels) > 2
    for index, (player, coplayer, matrix) in enumerate(panels):
        axes = figure.add_subplot(grid[divmod(index, num_columns)])
        image = _draw_matrix(
            axes, matrix, colours="Purples", limits=(0.0, 1.0), write=_share_text, small=small
        )
        axes.set_title(
            f"Seat {player} meets seat {coplayer}"
            if small
            else f"Interaction graph of seat {player}",
            fontsize=12 if small else None,
        )
        axes.set_xlabel(f"mixture of seat {coplayer}")
        axes.set_ylabel(f"strategy of seat {player}")
        if index == len(panels) - 1:
            _add_colour_bar(axes, image)


def _draw_matrix(
    axes: "Axes",
    matrix: np.ma.MaskedArray,
    *,
    colours: str,
    limits: tuple[float, float],
    write: Any,
    small: bool = False,
) -> "AxesImage":
    """Coloured cells, with their numbers in them while there is room."""
    import matplotlib
    from matplotlib.ticker import MaxNLocator

    palette = matplotlib.colormaps[colours].with_extremes(bad=_ABSENT)
    image = axes.imshow(
        matrix, cmap=palette, vmin=limits[0], vmax=limits[1], interpolation="nearest"
    )
    size = len(matrix)
    if size <= (_MAX_WRITTEN // 2 if small else _MAX_WRITTEN):
        for (row, column), number in np.ndenumerate(matrix):
            if not np.ma.is_masked(matrix[row, column]):
                dark = _lightness(image.to_rgba(number)) < 0.5
                axes.text(
                    column,
                    row,
                    write(number),
                    ha="center",
                    va="center",
                    color="white" if dark else "black",
                    fontsize=10 if small or size > 6 else 12,
                )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=5 if small else 9, integer=True, min_n_ticks=1))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color("#BBBBBB")
    return image


def _lightness(rgba: Iterable[float]) -> float:
    red, green, blue, _ = rgba
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _payoff_text(payoff: float) -> str:
    digits = 2 if abs(payoff) < 10 else 1 if abs(payoff) < 100 else 0
    return f"{round(payoff, digits) + 0.0:.{digits}f}"


def _share_text(share: float) -> str:
    """Nothing for a zero, and no zero before the point."""
    if 0.005 <= share < 0.995:
        return f"{share:.2f}"[1:]
    return "1" if share > 0.5 else ""


def _add_colour_bar(axes: "Axes", image: "AxesImage") -> None:
    bar = axes.figure.colorbar(image, ax=[], cax=axes.inset_axes((1.04, 0, 0.04, 1)))
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=10)


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
    marker = "o" if len(current[0]) <= _MAX_MARKED else None
    axes.plot(
        current[0],
        place(current[1]),
        color="#56B4E9",
        linewidth=1.2,
        marker=marker,
        markersize=4,
        label="current",
    )
    axes.plot(
        best[0],
        place(best[1]),
        color=_BLUE,
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


def _mark_admissions(axes: "Axes", metrics: Sequence[Mapping[str, Any]]) -> None:
    """Ticks above the curve: dark for a new strategy, light for one that was trained anew."""
    grown = _steps_of_growth(metrics, "population/num_admitted")
    trained = _steps_of_growth(metrics, "population/num_responses")
    replaced = [step for step in trained if step not in set(grown)]
    for steps, colour, label in (
        (grown, _ORANGE, "admitted"),
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
        if num_strategies <= 2 * _MAX_WRITTEN:
            for k, share in enumerate(shares):
                axes.text(k, share, _share_text(share), ha="center", va="bottom", fontsize=10)
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
        (0.907, certificate_text(certificate, payoff_range), 16, "bold", _BLUE),
        (
            0.872,
            shorten(f"{certificate.object}: {', '.join(population)}", 170),
            13,
            "normal",
            _GREY,
        ),
    )
    for height, words, size, weight, colour in lines:
        line = figure.text(0.03, height, words, fontsize=size, fontweight=weight, color=colour)
        line.set_parse_math(False)


def certificate_text(certificate: Certificate, payoff_range: float) -> str:
    """Says in one line what was measured, how, and whether OpenSpiel agrees.

    Args:
      certificate: of a mixture.
      payoff_range: greatest minus least payoff of the game, in game points.
    """
    text = f"{QUANTITY_NAMES[certificate.quantity]} {certificate.value:.4g} points"
    if payoff_range > 0:
        text += f" ({certificate.value / payoff_range:.2g} of the payoff range)"
    text += f": {_METHODS[certificate.method]}"
    if certificate.interval is not None:
        low, high = certificate.interval
        text += f", interval {low:.4g} to {high:.4g}"
    theirs = certificate.openspiel_value
    if theirs is None:
        return f"{text}, not checked with OpenSpiel"
    agrees = abs(theirs - certificate.value) <= GAP_TOLERANCE
    return f"{text}, OpenSpiel {'agrees' if agrees else 'DISAGREES'}: {theirs:.4g}"


def shorten(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
