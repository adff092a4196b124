"""`neupl report`: the page of a run, or of several side by side."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from neupl.cli.options import OutputOptions
from neupl.cli.output import print_json


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report(OutputOptions):
    """Writes the page of runs: certificate, gap, payoffs, interaction graph, strategies, games.

    One HTML file that needs no network. `train` writes one for its run; this one also has sample
    games where they take longer, and puts several runs side by side.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folders, of `train` or `solve`."""

    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.html")] = None
    """The page; by default `report/index.html` in the run, or `report.html` for several."""

    games: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """Sample games of each strategy; 0 for none."""


def run(command: Report) -> int:
    """Writes the page."""
    from evaluation.pages.run_page import run_content
    from neupl.errors import UserError
    from neupl.progress import Progress
    from neupl.run_report import PAGE_FILE, write_run_report

    if not command.runs:
        raise UserError("there is no run to report", hint="name one or more run folders")
    if command.games < 0:
        raise UserError(f"--games is {command.games}, expected at least 0")
    page = command.out
    if page is None:
        alone = len(command.runs) == 1
        page = command.runs[0] / "report" / PAGE_FILE if alone else Path("report.html")
    if page.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out {page}: expected a name that ends in .html")
    with Progress("writing the report", quiet=command.quiet, patience_s=2.0):
        runs = write_run_report(command.runs, page, num_games=command.games)
    if command.json:
        print_json({"page": str(page), "runs": [run_content(one) for one in runs]})
    else:
        print(f"wrote {page}")
    return 0
