"""What is made of a study: `study.json`, `study.html` and `study.png`, all from the runs' files."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.pages.curve_figure import Curve
from evaluation.pages.study_page import RunRow, VariantRows, study_page
from neupl.certificate_words import QUANTITY_NAMES
from neupl.durable_files import write_durably
from neupl.figures import SEAT_COLOURS, figure_style, new_figure, png_bytes, series
from neupl.run_report import GAPS
from neupl.study import RunOutcome, StudyOutcome
from neupl.study_folder import PAGE_FILE, PICTURE_FILE, write_study_file

INCHES = (14.0, 6.0)


def write_study_report(outcome: StudyOutcome) -> dict[str, Any]:
    """Writes the three files, the page last, and returns what `study.json` says.

    Raises:
      OSError: the disk is full.
    """
    content = study_content(outcome)
    write_study_file(outcome.study, content)
    path, quantity = outcome.study.path, content["quantity"]
    curve_name, curve_title = _curve_of(outcome.runs)
    variants = [_rows(outcome, number, curve_name) for number in range(len(content["variants"]))]
    write_durably(path / PICTURE_FILE, _picture(content, variants, curve_title))
    written = study_page(
        f"Study {path.name}",
        content["game"],
        quantity,
        variants,
        curve_title=curve_title,
        content=content,
    )
    write_durably(path / PAGE_FILE, written.encode())
    return content


def study_content(outcome: StudyOutcome) -> dict[str, Any]:
    """The study for programs, as strict JSON."""
    study = outcome.study
    known = [run.certificate for run in outcome.runs if run.value is not None]
    quantities = {c["quantity"] for c in known}
    quantity = " or ".join(sorted(QUANTITY_NAMES.get(q, q) for q in quantities)) or "gap"
    return {
        "study": str(study.path),
        "game": study.variants[0].config.game,
        "quantity": quantity,
        "methods": sorted({c["method"] for c in known}),
        "seeds": list(study.seeds),
        "failed": len(outcome.failed),
        "variants": [
            {
                "name": _words(variant.overrides),
                "overrides": list(variant.overrides),
                "statistics": own and dataclasses.asdict(own),
                "runs": [_run_content(run) for run in outcome.runs if run.item.variant == number],
            }
            for number, (variant, own) in enumerate(
                zip(study.variants, outcome.statistics, strict=True)
            )
        ],
    }


def _run_content(run: RunOutcome) -> dict[str, Any]:
    certificate = run.certificate or {}
    return {
        "seed": run.item.seed,
        "path": run.path,
        "value": run.value,
        "method": certificate.get("method"),
        "interval": certificate.get("interval"),
        "openspiel_value": certificate.get("openspiel_value"),
        "steps": run.metrics[-1]["step"] if run.metrics else None,
        "seconds": run.seconds,
        "error": run.error,
    }


def _words(overrides: Sequence[str]) -> str:
    return ", ".join(overrides) or "all"


def _rows(outcome: StudyOutcome, number: int, curve_name: str | None) -> VariantRows:
    runs = [run for run in outcome.runs if run.item.variant == number]
    name = _words(outcome.study.variants[number].overrides)
    return VariantRows(
        name=name,
        statistics=outcome.statistics[number],
        runs=tuple(
            RunRow(
                run.item.seed,
                run.path,
                run.value,
                (run.certificate or {}).get("method"),
                run.seconds,
                run.error,
            )
            for run in runs
        ),
        curve=_median_curve(name, curve_name, [run.metrics for run in runs if run.metrics]),
    )


def _curve_of(runs: Sequence[RunOutcome]) -> tuple[str | None, str]:
    """The first of the known gaps that any run has logged."""
    logged = {name for run in runs for line in run.metrics for name in line}
    name = next((name for name in GAPS if name in logged), None)
    return name, GAPS.get(name, "")


def _median_curve(
    name: str, metric: str | None, runs: Sequence[Sequence[Mapping[str, Any]]]
) -> Curve | None:
    if metric is None or not runs:
        return None
    values = [dict(zip(*series(metrics, metric), strict=True)) for metrics in runs]
    steps = sorted(set.intersection(*map(set, values)))
    if not steps:
        return None
    return Curve(name, steps, [float(np.median([own[s] for own in values])) for s in steps])


def _picture(
    content: Mapping[str, Any], variants: Sequence[VariantRows], curve_title: str
) -> bytes:
    """Left: every run, interquartile means and their intervals; right: medians over training."""
    with figure_style():
        figure = new_figure(INCHES)
        figure.text(0.03, 0.93, f"{content['game']}: {content['quantity']}", fontsize=20)
        left = figure.add_axes((0.22, 0.13, 0.30, 0.70))
        values = [run.value for v in variants for run in v.runs if run.value is not None]
        for place, variant in enumerate(variants):
            colour = SEAT_COLOURS[place % len(SEAT_COLOURS)]
            known = [run.value for run in variant.runs if run.value is not None]
            left.scatter(known, [place] * len(known), s=30, alpha=0.5, color=colour)
            own = variant.statistics
            if own is not None:
                left.plot([own.iqm], [place + 0.2], "D", color=colour)
            if own is not None and own.iqm_interval is not None:
                left.plot(own.iqm_interval, [place + 0.2] * 2, linewidth=3, color=colour)
        left.set_yticks(range(len(variants)), [variant.name[:30] for variant in variants])
        left.set_ylim(len(variants) - 0.5, -0.5)
        if _spans_a_decade(values):
            left.set_xscale("log")
        left.set_title("runs; IQM and 95 % interval")
        left.set_xlabel(f"{content['quantity']}, game points")
        curves = [(place, v.curve) for place, v in enumerate(variants) if v.curve is not None]
        if curves:
            right = figure.add_axes((0.62, 0.13, 0.35, 0.70))
            for place, curve in curves:
                colour = SEAT_COLOURS[place % len(SEAT_COLOURS)]
                right.plot(curve.x, curve.y, color=colour, label=curve.name)
            heights = [y for _, curve in curves for y in curve.y]
            if _spans_a_decade(heights):
                right.set_yscale("log")
            right.set_title(f"{curve_title}, median")
            right.set_xlabel("gradient steps")
            if len(curves) > 1:
                right.legend()
        return png_bytes(figure)


def _spans_a_decade(values: Sequence[float]) -> bool:
    return bool(values) and min(values) > 0 and max(values) > 10 * min(values)
