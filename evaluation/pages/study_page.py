"""The page of a study: what its variants reached over the seeds, and every run."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from evaluation.pages.curve_figure import COLOURS, Curve, curves_svg
from evaluation.pages.page import Section, page, text
from evaluation.pages.tables import Cell, Column, bar, table
from evaluation.seed_statistics import SeedStatistics


@dataclasses.dataclass(frozen=True)
class RunRow:
    """A run of a variant.

    Attributes:
      seed: of the run.
      path: of its folder, within the study's.
      value: what was certified, in game points; `None` where it failed.
      method: of the certificate.
      seconds: of training.
      error: why it failed.
    """

    seed: int
    path: str
    value: float | None
    method: str | None
    seconds: float | None
    error: str | None


@dataclasses.dataclass(frozen=True)
class VariantRows:
    """A variant with its runs.

    Attributes:
      name: what it sets, in words.
      statistics: of the certified values; `None` where all runs failed.
      runs: in the order of their seeds.
      curve: the median over the seeds at the steps that all have; empty where there is none.
    """

    name: str
    statistics: SeedStatistics | None
    runs: tuple[RunRow, ...]
    curve: Curve | None


def study_page(
    title: str,
    game: str,
    quantity: str,
    variants: Sequence[VariantRows],
    *,
    curve_title: str,
    content: dict[str, Any],
) -> str:
    """One self-contained HTML page.

    Args:
      title: name of the study.
      game: what was trained for.
      quantity: what was certified, in words.
      variants: in their order.
      curve_title: what the curves are.
      content: the same for programs, strict JSON.
    """
    sections = [
        Section("variants", "Variants", _statistics(quantity, variants)),
        Section("runs", "Runs", _runs(quantity, variants)),
    ]
    curves = [variant.curve for variant in variants if variant.curve is not None]
    if curves:
        shown = curves[: len(COLOURS)]
        words = f"{curve_title}, median over the seeds"
        figure = curves_svg(words, shown, x_title="gradient steps", y_title=curve_title)
        rest = len(curves) - len(shown)
        more = f" The first {len(shown)} of {len(curves)} variants." if rest else ""
        sections.insert(
            1, Section("progress", "Progress", f"<p>{text(words)}.{more}</p>\n{figure}")
        )
    number = sum(len(variant.runs) for variant in variants)
    failed = sum(run.error is not None for variant in variants for run in variant.runs)
    lead = f"{text(game)}. {number} runs, {len(variants)} variants"
    lead += f"; <strong>{failed} runs failed</strong>." if failed else "."
    return page(title, sections, lead=f'<p class="lead">{lead}</p>', embedded={"study": content})


def _statistics(quantity: str, variants: Sequence[VariantRows]) -> str:
    columns = (
        Column("variant", "text"),
        Column("seeds"),
        Column("IQM", low_first=True, note="mean of the middle half of the runs"),
        Column("95 %", "text", note="percentile bootstrap over the seeds"),
        Column("", "bar"),
        Column("median", low_first=True),
        Column("95 %", "text", note="percentile bootstrap over the seeds"),
        Column("best", low_first=True),
        Column("worst", low_first=True),
    )
    most = max((v.statistics.iqm for v in variants if v.statistics is not None), default=0.0)
    rows = []
    for variant in variants:
        own = variant.statistics
        if own is None:
            rows.append([Cell(text(variant.name), variant.name, head=True), Cell("0", 0.0)])
            rows[-1] += [Cell("") for _ in columns[2:]]
            continue
        rows.append(
            [
                Cell(text(variant.name), variant.name, head=True),
                Cell(str(own.count), own.count),
                Cell(f"{own.iqm:.4g}", own.iqm),
                Cell(_interval(own.iqm_interval)),
                Cell(bar(own.iqm / most) if most > 0 else ""),
                Cell(f"{own.median:.4g}", own.median),
                Cell(_interval(own.median_interval)),
                Cell(f"{own.best:.4g}", own.best),
                Cell(f"{own.worst:.4g}", own.worst),
            ]
        )
    caption = f"{quantity} at the end of every run, in game points, over the seeds; less is better."
    return table("Variants", caption, columns, rows, sortable=True)


def _runs(quantity: str, variants: Sequence[VariantRows]) -> str:
    columns = (
        Column("variant", "text"),
        Column("seed"),
        Column(quantity, low_first=True),
        Column("how", "text"),
        Column("seconds", low_first=True),
        Column("folder", "text"),
    )
    rows = []
    for variant in variants:
        for run in variant.runs:
            how = run.method if run.error is None else f"failed: {run.error}"
            rows.append(
                [
                    Cell(text(variant.name), variant.name, head=True),
                    Cell(str(run.seed), run.seed),
                    Cell("" if run.value is None else f"{run.value:.6g}", run.value),
                    Cell(text(how), how),
                    Cell("" if run.seconds is None else f"{run.seconds:.0f}", run.seconds),
                    Cell(text(run.path), run.path),
                ]
            )
    caption = "Each is a run folder like any other; seconds are those of training."
    return table("Runs", caption, columns, rows, sortable=True)


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else "{:.4g} to {:.4g}".format(*interval)
