"""`neupl resume`: continues a run from its newest intact checkpoint."""

import dataclasses
import sys
from pathlib import Path

import tyro

from neupl.cli.options import OutputOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resume(OutputOptions):
    """Continues a run that was interrupted or killed, to the same bits.

    The newest intact checkpoint is taken; parameters, payoffs and metrics at the end are those of
    an undisturbed run.
    """

    run: tyro.conf.Positional[Path]
    """The run folder."""


def run(command: Resume) -> int:
    """Resumes and prints the certificate."""
    from neupl.cli.train import report
    from neupl.run import Run
    from neupl.training_run import resume_run

    with Run.open(command.run) as run:
        verification = resume_run(run, quiet=command.quiet, command=("neupl", *sys.argv[1:]))
        report(run, verification, as_json=command.json)
    return 0
