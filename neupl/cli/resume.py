"""`neupl resume`: continues a run from its newest intact checkpoint."""

import dataclasses
import sys
from pathlib import Path

import tyro

from neupl.cli.options import OutputOptions, WorkerOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resume(WorkerOptions, OutputOptions):
    """Continues a run or a solve that was interrupted or killed, to the same bits.

    The newest intact checkpoint is taken; parameters, payoffs and metrics at the end are those of
    an undisturbed run. Of a study, the runs are done that are not finished.
    """

    run: tyro.conf.Positional[Path]
    """The folder of the run or the study; --workers and --ray as for `neupl train`."""


def run(command: Resume) -> int:
    """Resumes and prints the certificate."""
    from neupl.study_folder import is_study, open_study

    workers = command.make_workers() if command.is_shared_out else None
    if is_study(command.run):
        from neupl.cli.train_study import run_and_report

        workers = workers or command.make_workers()
        study = open_study(command.run)
        return run_and_report(study, workers, quiet=command.quiet, as_json=command.json)
    from neupl.run import Run
    from neupl.solve_run import is_solve
    from neupl.workers import THIS_PROCESS

    line = ("neupl", *sys.argv[1:])
    with Run.open(command.run) as run:
        if is_solve(run):
            command.refuse_workers("shares out runs and studies; this is a solve")
            from neupl.cli.solve import report as report_solve
            from neupl.solve_run import resume_solve

            solved = resume_solve(run, quiet=command.quiet, command=line)
            report_solve(run, solved, as_json=command.json)
            return 0
        from neupl.cli.train import report
        from neupl.training_run import resume_run

        workers = workers or THIS_PROCESS
        verification = resume_run(run, quiet=command.quiet, command=line, workers=workers)
        report(run, verification, workers.incidents, as_json=command.json)
    return 0
