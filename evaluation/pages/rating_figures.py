"""Figures of ratings by Matplotlib: ratings with their intervals, and win rates.

Drawn with the object interface, so no display is needed and no figure outlives its function; in
Okabe-Ito colours. Names are drawn as they are: no formula is read out of a dollar sign.
"""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from evaluation.pages.page import seen
from evaluation.pages.rating_report import RatingReport
from evaluation.redundancy.types import StressCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Above so many models the names of a figure are too small to read; the best are drawn.
MAX_DRAWN = 60
DPI = 130
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#777777"
_LINES = (_ORANGE, _GREY, _BLUE, "#009E73")
# Drawn in this, then given the colour of the text around it; that and others are the theme's.
_TEXT = "#010203"
_INLINE_COLOURS = {
    _TEXT: "currentColor",
    _BLUE.lower(): "var(--gain)",
    _ORANGE.lower(): "var(--loss)",
}
_STYLE = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    # Text stays text: smaller, and found by a search.
    "svg.fonttype": "none",
    # The same figure is the same file.
    "svg.hashsalt": "ratings",
}
_INLINE = {
    name: _TEXT
    for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
}


def ratings_svg(report: RatingReport) -> str:
    """The ratings as an SVG element for a page: transparent, in the colour of the page's text."""
    from matplotlib import style

    with style.context(["default", _STYLE, _INLINE]):
        drawn = _drawn(report)
        figure = _figure(8.2, len(drawn))
        _draw_ratings(figure.add_subplot(), report, drawn)
        svg = _saved(figure, "svg", transparent=True).decode()
    return _element(svg, "ratings")


def _element(svg: str, prefix: str) -> str:
    """A file as an element of a page that has others."""
    svg = svg[svg.index("<svg") :].strip()
    # Metadata say nothing, and a style would be the whole page's.
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg, flags=re.DOTALL)
    return re.sub(r"<[^>]*>", lambda tag: _inlined(tag[0], prefix), svg)


def stress_svg(curves: Sequence[StressCurve], titles: Mapping[str, str]) -> str:
    """Ranks over numbers of copies, a panel a curve, as an SVG element for a page.

    Args:
      curves: of copies without noise, at least one.
      titles: of the methods by name.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", _STYLE, _INLINE]):
        width = 3.6 * len(curves) + 1.6
        figure = Figure(figsize=(width, 3.4), dpi=DPI, layout="constrained")
        panels = figure.subplots(1, len(curves), squeeze=False)[0]
        for panel, curve in zip(panels, curves, strict=True):
            raters = list(dict.fromkeys(point.rater for point in curve.points))
            for rater, colour, dash in zip(raters, _LINES, ("-", "--", "-.", ":"), strict=False):
                own = curve.of_rater(rater)
                extras, ranks = [p.extra for p in own], [p.rank for p in own]
                panel.plot(extras, ranks, dash, marker="o", color=colour, label=titles[rater])
            panel.invert_yaxis()
            panel.locator_params(axis="y", integer=True)
            panel.set_title(_label(curve.target), parse_math=False, fontsize=10)
            panel.set_xlabel(f"copies of its {curve.order} prompts")
        panels[0].set_ylabel("rank")
        panels[-1].legend(fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
        svg = _saved(figure, "svg", transparent=True).decode()
    return _element(svg, "stress")


def _inlined(tag: str, prefix: str) -> str:
    """A tag of an SVG file as part of a page: known without the addresses of vocabularies, with
    identifiers of its own, in the page's colour. Names stand between tags and stay as they are.
    """
    tag = re.sub(r' xmlns(:\w+)?="[^"]*"', "", tag).replace("xlink:href", "href")
    tag = re.sub(r'( id="|href="#|url\(#)', rf"\1{prefix}-", tag)
    for drawn, shown in _INLINE_COLOURS.items():
        tag = tag.replace(drawn, shown)
    return tag


def ratings_pictures(report: RatingReport) -> dict[str, bytes]:
    """Ratings and win rates side by side, as `{"png": ..., "svg": ...}`, on white."""
    from matplotlib import style

    with style.context(["default", _STYLE]):
        drawn, rates = _drawn(report), report.win_rates()
        figure = _figure(8.2 if rates is None else 16.4, len(drawn))
        axes = figure.add_subplot(1, 1 if rates is None else 2, 1)
        _draw_ratings(axes, report, drawn)
        if rates is not None:
            _draw_win_rates(figure.add_subplot(1, 2, 2), report, drawn, rates)
        return {form: _saved(figure, form) for form in ("png", "svg")}


def _drawn(report):
    return report.first.order()[:MAX_DRAWN]


def _figure(width: float, rows: int) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, max(3.0, 1.1 + 0.3 * rows)), dpi=DPI, layout="constrained")


def _draw_ratings(axes: "Axes", report: RatingReport, drawn) -> None:
    """A dot a model, best on top, with its interval; the colour changes from group to group."""
    result, uncertainty = report.first, report.uncertainties[0]
    groups = np.array(report.tied_groups())[drawn]
    places = np.arange(len(drawn))
    for odd, colour in ((1, _BLUE), (0, _ORANGE)):
        own = groups % 2 == odd
        ratings = result.ratings[drawn][own]
        if uncertainty is not None:
            low, high = uncertainty.low[drawn][own], uncertainty.high[drawn][own]
            axes.hlines(places[own], low, high, color=colour, linewidth=1.8)
        axes.plot(ratings, places[own], "o", color=colour, markersize=6)
    _name_rows(axes, report, drawn)
    axes.set_ylim(len(drawn) - 0.4, -0.6)
    axes.grid(axis="x", color=_GREY, alpha=0.3, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"{result.method}: {result.unit}")
    axes.set_title("Ratings" if uncertainty is None else "Ratings with 95 % intervals")


def _draw_win_rates(axes: "Axes", report: RatingReport, drawn, rates) -> None:
    """Rows against columns, in the order of the ratings."""
    import matplotlib

    colours = matplotlib.colormaps["RdBu"].with_extremes(bad="#DDDDDD")
    shown = rates[np.ix_(drawn, drawn)].copy()
    np.fill_diagonal(shown, np.nan)
    image = axes.imshow(shown, cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    _name_rows(axes, report, drawn)
    names = [_label(report.first.models[k]) for k in drawn]
    axes.set_xticks(range(len(drawn)), names, rotation=90, parse_math=False, fontsize=9)
    axes.tick_params(length=0)
    axes.set_title("Win rate of the row against the column")
    axes.figure.colorbar(image, ax=axes, shrink=0.6)


def _name_rows(axes: "Axes", report: RatingReport, drawn) -> None:
    names = [_label(report.first.models[k]) for k in drawn]
    axes.set_yticks(range(len(drawn)), names, parse_math=False, fontsize=9)


def _label(model: str) -> str:
    """A name that fits, in characters that a file can hold."""
    model = seen(model)
    return model if len(model) <= 40 else f"{model[:39]}…"


def _saved(figure: "Figure", form: str, *, transparent: bool = False) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        # A name may be in a script that the font lacks; boxes will do.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # Without a date the same figure is the same file.
        metadata = {"Date": None} if form == "svg" else None
        figure.savefig(file, format=form, transparent=transparent, metadata=metadata)
    return file.getvalue()
