"""`neupl export`: a population with its model card, ready to be sent to somebody."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from neupl.cli.options import OutputOptions
from neupl.cli.output import print_json, print_table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export(OutputOptions):
    """Writes the population of a run, finished or not, with its model card: of a trained run the
    best-certified one, of a solve the newest."""

    run: tyro.conf.Positional[Path]
    """The run folder."""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """The folder to write; a population that is there is replaced."""


def run(command: Export) -> int:
    """Exports and lists the files."""
    from neupl.run import Run
    from neupl.solve_run import export_solve, is_solve
    from neupl.training_run import export_run

    run = Run.open(command.run)
    (export_solve if is_solve(run) else export_run)(run, command.out)
    files = {path.name: path.stat().st_size for path in sorted(command.out.iterdir())}
    if command.json:
        print_json({"population": str(command.out), "files": files})
    else:
        rows = ((name, f"{size / 1024:,.1f} KiB") for name, size in files.items())
        print_table(rows, header=(str(command.out), "size"))
    return 0
