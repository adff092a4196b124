"""Curves as an inline SVG in the page's colours, readable in both themes, without scripts."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from evaluation.pages.page import text

WIDTH, HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 26, 12, 44
# Okabe-Ito, and dashes for who sees no colours.
COLOURS = ("var(--gain)", "var(--loss)", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DASHES = ("", "6 3", "2 3", "8 3 2 3")
# A curve of more points is thinned; nobody can see the difference on so many pixels.
MAX_POINTS = 600


@dataclasses.dataclass(frozen=True)
class Curve:
    """One line.

    Attributes:
      name: for the legend; none if empty.
      x: positions, ascending.
      y: values, finite.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]


def curves_svg(label: str, curves: Sequence[Curve], *, x_title: str, y_title: str) -> str:
    """A figure of curves; its vertical axis is logarithmic where all values are positive and span
    more than a decade.

    Args:
      label: what it shows, for who cannot see it.
      curves: with at least one point in all.
      x_title: of the horizontal axis.
      y_title: of the vertical axis.
    """
    xs = np.concatenate([np.asarray(curve.x, float) for curve in curves])
    ys = np.concatenate([np.asarray(curve.y, float) for curve in curves])
    logarithmic = bool((ys > 0).all() and ys.max() > 10 * ys.min())
    left, right = float(xs.min()), float(xs.max())
    low, high, ticks = _log_axis(ys) if logarithmic else _axis(float(ys.min()), float(ys.max()))
    right = right if right > left else left + 1.0

    def across(x):
        return _LEFT + (np.asarray(x, float) - left) / (right - left) * (WIDTH - _LEFT - _RIGHT)

    def up(y):
        value = np.log10(y) if logarithmic else np.asarray(y, float)
        return HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    parts = []
    for tick in ticks:
        y = float(up(tick))
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}" stroke="var(--line)"/>')
        parts.append(_words(_LEFT - 6, y + 4, f"{tick:g}", "end"))
    for tick in _axis(left, right)[2]:
        if left <= tick <= right:
            x = float(across(tick))
            parts.append(_words(x, HEIGHT - _BOTTOM + 17, f"{tick:g}", "middle"))
    for number, curve in enumerate(curves):
        keep = np.unique(np.linspace(0, len(curve.x) - 1, MAX_POINTS).round().astype(int))
        points = zip(across(curve.x)[keep], up(curve.y)[keep], strict=True)
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        colour, dash = COLOURS[number % len(COLOURS)], _DASHES[number % len(_DASHES)]
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(
            f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="2.2"{dashes}/>'
        )
        if len(curve.x) == 1:
            x, y = float(across(curve.x)[0]), float(up(curve.y)[0])
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
        if curve.name:
            y = _TOP + 14 + 18 * number
            parts.append(
                f'<path d="M{WIDTH - 200} {y - 4}h24" stroke="{colour}" '
                f'stroke-width="2.2"{dashes}/>'
            )
            parts.append(_words(WIDTH - 170, y, curve.name, "start"))
    parts.append(_words((_LEFT + WIDTH) / 2, HEIGHT - 6, x_title, "middle"))
    middle = (HEIGHT - _BOTTOM + _TOP) / 2
    parts.append(
        f'<text x="14" y="{middle}" text-anchor="middle" font-size="13" fill="currentColor" '
        f'transform="rotate(-90 14 {middle})">{text(y_title)}</text>'
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" '
        f'aria-label="{text(label)}">{"".join(parts)}</svg>'
    )


def _words(x: float, y: float, words: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="12" '
        f'fill="currentColor">{text(words)}</text>'
    )


def _axis(low: float, high: float) -> tuple[float, float, list[float]]:
    """Ends of an axis and its ticks: a step of 1, 2 or 5 times a power of ten."""
    span = high - low if high > low else max(abs(high), 1.0)
    power = 10.0 ** np.floor(np.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 5)
    first, last = np.floor(low / step), np.ceil(high / step)
    last = max(last, first + 1)
    ticks = [float(f"{k * step:.12g}") for k in np.arange(first, last + 1)]
    return ticks[0], ticks[-1], ticks


def _log_axis(values: np.ndarray) -> tuple[float, float, list[float]]:
    low, high = np.floor(np.log10(values.min())), np.ceil(np.log10(values.max()))
    every = int(np.ceil((high - low) / 6))
    return float(low), float(high), [10.0**k for k in np.arange(low, high + 1, every)]
