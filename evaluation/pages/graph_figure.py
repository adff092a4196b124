"""Whom strategies were trained against over the steps of a run, as an inline SVG without scripts: a
strip per strategy, in which the shares of those that it met are stacked.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from evaluation.pages.page import text

WIDTH = 640
_LEFT, _RIGHT, _TOP, _STRIP, _GAP, _AXIS = 44, 12, 18, 26, 6, 40
# A share that is written into its area must leave room for its number.
_LEAST_WIDTH, _LEAST_HEIGHT = 14.0, 11.0
# Shares that nobody could see.
_LEAST_SHARE = 0.005


def graph_figure(
    label: str, steps: Sequence[float], rows: Sequence[Float64[np.ndarray, "_ _"]], end: float
) -> str:
    """A figure of one seat's rows against one co-player.

    Args:
      label: what it shows, for who cannot see it.
      steps: from which on each graph was in force, ascending.
      rows: the graphs; later ones may have more strategies.
      end: step at which the last one ends.
    """
    shown = [k for k in range(len(rows[-1])) if any(k < len(own) and own[k].any() for own in rows)]
    first, last = float(steps[0]), float(max(end, steps[-1]))
    last = last if last > first else first + 1.0
    parts = []
    for place, k in enumerate(shown):
        top = _TOP + place * (_STRIP + _GAP)
        parts.append(_words(_LEFT - 8, top + _STRIP / 2 + 4, str(k), "end"))
        parts.append(
            f'<rect x="{_LEFT}" y="{top}" width="{WIDTH - _LEFT - _RIGHT}" height="{_STRIP}" '
            'fill="none" stroke="var(--line)"/>'
        )
        for start, stop, row in _spans(steps, rows, k, last):
            left, right = (_across(step, first, last) for step in (start, stop))
            when = f"steps {start:g} to {stop:g}"
            parts += _stack(row, left, right, top, f"strategy {k}, {when}")
    bottom = _TOP + len(shown) * (_STRIP + _GAP)
    for step in (first, (first + last) / 2, last):
        anchor = {first: "start", last: "end"}.get(step, "middle")
        parts.append(_words(_across(step, first, last), bottom + 12, f"{step:g}", anchor))
    parts.append(_words((_LEFT + WIDTH) / 2, bottom + 30, "steps", "middle"))
    parts.append(_words(4, _TOP - 6, "strategy", "start"))
    return (
        f'<svg viewBox="0 0 {WIDTH} {bottom + _AXIS}" width="{WIDTH}" role="img" '
        f'aria-label="{text(label)}">{"".join(parts)}</svg>'
    )


def _across(step: float, first: float, last: float) -> float:
    return _LEFT + (step - first) / (last - first) * (WIDTH - _LEFT - _RIGHT)


def _spans(steps, rows, k: int, last: float) -> list[tuple[float, float, np.ndarray]]:
    """Stretches of steps in which a strategy's row stayed the same, without those in which it met
    nobody.
    """
    found: list[tuple[float, float, np.ndarray]] = []
    ends = [*steps[1:], last]
    for start, stop, own in zip(steps, ends, rows, strict=True):
        row = own[k] if k < len(own) else np.zeros(0)
        if not row.any():
            continue
        if found and found[-1][1] == start and _same(found[-1][2], row):
            found[-1] = (found[-1][0], stop, row)
        else:
            found.append((start, stop, row))
    return found


def _same(before: np.ndarray, after: np.ndarray) -> bool:
    return np.array_equal(np.trim_zeros(before, "b"), np.trim_zeros(after, "b"))


def _stack(row: np.ndarray, left: float, right: float, top: float, words: str) -> list[str]:
    parts, y = [], top
    for j in np.flatnonzero(row >= _LEAST_SHARE).tolist():
        height = float(row[j]) * _STRIP
        # Neighbours in the population differ clearly in hue.
        colour = f"hsl({j * 137.5 % 360:.0f} 55% 62%)"
        parts.append(
            f'<rect x="{left:.1f}" y="{y:.1f}" width="{max(right - left, 0.5):.1f}" '
            f'height="{height:.1f}" fill="{colour}">'
            f"<title>{words}: {100 * row[j]:.0f} % strategy {j}</title></rect>"
        )
        if right - left >= _LEAST_WIDTH and height >= _LEAST_HEIGHT:
            parts.append(
                f'<text x="{(left + right) / 2:.1f}" y="{y + height / 2 + 4:.1f}" '
                f'text-anchor="middle" font-size="11" fill="#1b1b1b">{j}</text>'
            )
        y += height
    return parts


def _words(x: float, y: float, words: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="12" '
        f'fill="currentColor">{text(words)}</text>'
    )
