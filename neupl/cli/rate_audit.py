"""The redundancy audit of `neupl rate --audit`, on a terminal."""

from typing import TYPE_CHECKING

from neupl.cli.output import print_table

if TYPE_CHECKING:
    from evaluation.ratings import Evaluation, RatingOptions
    from evaluation.redundancy import Audit, StressPoint


def run_audit(
    evaluation: "Evaluation", options: "RatingOptions", *, seed: int, quiet: bool
) -> "Audit":
    """Audits battles or scores, with progress."""
    from evaluation.redundancy import audit
    from evaluation.types import Battles, Scores
    from neupl.errors import UserError
    from neupl.progress import Progress

    if not isinstance(evaluation, Battles | Scores):
        raise UserError("--audit needs battles or scores; a payoff tensor has no prompts to copy")
    with Progress("redundancy audit", quiet=quiet, patience_s=1.0) as progress:
        return audit(evaluation, options, seed=seed, progress_fn=progress.update)


def print_audit(found: "Audit") -> None:
    """The copy-stress curves as a table, then the findings."""
    raters = list(dict.fromkeys(point.rater for curve in found.curves for point in curve.points))
    rows = []
    for curve in found.curves:
        points = {(point.rater, point.extra): point for point in curve.points}
        what = f"{curve.order} {len(curve.prompts)} prompts of {curve.target}"
        for extra in sorted({point.extra for point in curve.points}):
            if curve.noise and not extra:
                # Without copies there is no noise: the exact curve has this row.
                continue
            cells = [_cell(points.get((rater, extra))) for rater in raters]
            rows.append([what, f"{extra:,}", f"{curve.noise:.0%}", *cells])
    print()
    print_table(
        rows,
        header=("copied", "copies", "noise", *raters),
        title="Redundancy: rank (rating) of the model whose prompts are copied",
    )
    print()
    for finding in found.findings:
        print(f"- {finding}")


def _cell(point: "StressPoint | None") -> str:
    if point is None:
        return "-"
    digits = 1 if abs(point.rating) >= 10 else 4
    # A loss of less than the last digit is no negative number.
    return f"{point.rank} ({round(point.rating, digits) + 0.0:.{digits}f})"
