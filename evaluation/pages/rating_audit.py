"""The redundancy audit on a page: what copies there are, and what more would do to each method."""

from collections.abc import Sequence

from evaluation.pages.page import name, text
from evaluation.pages.rating_figures import stress_svg
from evaluation.pages.tables import Cell, Column, table
from evaluation.redundancy.types import RATERS, Audit, NearCopies, StressCurve, StressPoint

_TITLES = {rater.name: rater.title for rater in RATERS}


def audit_section(audit: Audit) -> str:
    """HTML: findings as sentences, copy-stress curves as pictures and a table, nearest pairs."""
    findings = "".join(f"<li>{text(finding)}</li>" for finding in audit.findings)
    parts = [
        "<p>What copies of prompts or models are in the data, and what more of them would do: "
        "prompts at which a model is worst, or best, are copied, exactly or with some verdicts "
        "replaced by random ones.</p>",
        f"<ul>{findings}</ul>",
        f"<figure>{_picture(audit.curves)}</figure>",
        _curves_table(audit.curves),
    ]
    near = [_near_table(part) for part in audit.near if part.nearest]
    if near:
        parts.append(f'<div class="columns">{"".join(near)}</div>')
    return "\n".join(parts)


def _picture(curves: Sequence[StressCurve]) -> str:
    exact = [curve for curve in curves if not curve.noise]
    caption = "Rank of the model whose prompts are copied, by method, as exact copies are added."
    opening = f'<svg role="img" aria-label="{text(caption)}"'
    drawn = stress_svg(exact, _TITLES).replace("<svg", opening, 1)
    return f"{drawn}<figcaption>{text(caption)} The table below has the numbers.</figcaption>"


def _curves_table(curves: Sequence[StressCurve]) -> str:
    raters = list(dict.fromkeys(point.rater for curve in curves for point in curve.points))
    rows = []
    for curve in curves:
        points = {(point.rater, point.extra): point for point in curve.points}
        what = f"{curve.order} {len(curve.prompts)} prompts of {name(curve.target)}"
        for extra in sorted({point.extra for point in curve.points}):
            if curve.noise and not extra:
                # Without copies there is no noise: the exact curve has this row.
                continue
            cells = [_point(points.get((rater, extra))) for rater in raters]
            rows.append(
                [
                    Cell(what, f"{curve.target} {curve.order}", head=True),
                    Cell(f"{extra:,}", extra),
                    Cell(f"{curve.noise:.0%}", curve.noise),
                    *cells,
                ]
            )
    columns = [Column("Copied", kind="text"), Column("Copies"), Column("Noise")]
    columns += [Column(_TITLES[rater]) for rater in raters]
    caption = (
        "Rank and rating of the model whose prompts are copied, and the largest change of any "
        "model's rating; noise is the share of a copy's verdicts that are random."
    )
    return table("Copy stress", caption, columns, rows, sortable=True)


def _point(point: StressPoint | None) -> Cell:
    if point is None:
        return Cell("-")
    digits = 1 if abs(point.rating) >= 10 else 4
    # A loss of less than the last digit is no negative number.
    rating = f"{round(point.rating, digits) + 0.0:.{digits}f}"
    words = f"rank {point.rank}, {rating}"
    if point.extra:
        words += f'<br><span class="quiet">moves {point.largest_change:.3g}</span>'
    return Cell(words, point.rank)


def _near_table(part: NearCopies) -> str:
    rows = [
        [
            Cell(name(pair.first), pair.first, head=True),
            Cell(name(pair.second), pair.second),
            Cell(f"{pair.distance:.4f}", pair.distance),
            Cell(f"{pair.noise:.0%}", pair.noise),
        ]
        for pair in part.nearest
    ]
    columns = [Column(part.kind.capitalize(), kind="text"), Column("And", kind="text")]
    columns += [Column("Distance"), Column("As noise")]
    caption = (
        "Mean squared difference of win rates, and the share of random verdicts that would put a "
        f"copy as far from its original. At {part.noise:.0%} noise {part.floor:.4f} is the floor."
    )
    return table(f"Nearest {part.kind}", caption, columns, rows)
