"""`neupl train` with several seeds or a sweep: a study, and what it prints."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neupl.cli.output import print_json, print_table
from neupl.errors import CheckFailed, UserError

if TYPE_CHECKING:
    from neupl.cli.train import Train
    from neupl.study_folder import Study
    from neupl.workers import Workers


def run_new_study(command: "Train", overrides: list[str]) -> int:
    """Makes a study of a command's configuration, runs and reports it."""
    if command.smoke:
        raise UserError("--smoke is of a single run; a study has --seeds or --sweep")
    workers = command.make_workers()
    from neupl.study_folder import create_study

    # Before the folder exists: bad input leaves nothing behind.
    study = _new_study(command, overrides)
    create_study(study)
    return run_and_report(study, workers, quiet=command.quiet, as_json=command.json)


def run_and_report(study: "Study", workers: "Workers", *, quiet: bool, as_json: bool) -> int:
    """Does what a study lacks and prints what came out; used by `resume` as well.

    Raises:
      CheckFailed: a run failed; the report is written all the same.
    """
    from neupl.study import run_study
    from neupl.study_report import write_study_report

    outcome = run_study(study, workers=workers, quiet=quiet)
    content = write_study_report(outcome)
    content["incidents"] = dataclasses.asdict(workers.incidents)
    failed = outcome.failed
    # Under `--json` the object of a failed check is the error's.
    if as_json and not failed:
        print_json(content)
    if not as_json:
        _print(content, study, workers.incidents.describe())
    if failed:
        first = failed[0]
        raise CheckFailed(
            f"{len(failed)} of {len(outcome.runs)} runs failed; the first one, {first.path}: "
            f"{first.error}; `neupl resume {study.path}` tries again",
            report=content,
        )
    return 0


def _new_study(command: "Train", overrides: list[str]) -> "Study":
    from neupl.study import swept
    from neupl.study_folder import Study, Variant, free_study_folder
    from neupl.training_run import resolved_config

    number = 1 if command.seeds is None else command.seeds
    if number < 1:
        raise UserError(f"--seeds is {number}, expected at least 1")
    variants = []
    for index, chosen in enumerate(swept(command.sweep)):
        config = resolved_config(command.config, [*overrides, *chosen])
        variants.append(Variant(_name(index, chosen), chosen, config))
    first = variants[0].config.seed
    path = command.out or free_study_folder(variants[0].config.game)
    return Study(
        path=Path(path).absolute(),
        variants=tuple(variants),
        seeds=tuple(range(first, first + number)),
        command=("neupl", *sys.argv[1:]),
    )


def _name(index: int, overrides: tuple[str, ...]) -> str:
    words = "_".join(overrides) or "all"
    plain = "".join(c if c.isalnum() or c in "._=-" else "_" for c in words)
    return plain if not overrides else f"{index}-{plain}"[:80]


def _print(content: dict[str, Any], study: "Study", incidents: str) -> None:
    from neupl.study_folder import PAGE_FILE

    rows = []
    for variant in content["variants"]:
        own = variant["statistics"]
        if own is None:
            rows.append((variant["name"], "0", "", "", "", ""))
            continue
        interval = own["iqm_interval"]
        rows.append(
            (
                variant["name"],
                str(own["count"]),
                f"{own['iqm']:.6f}",
                "" if interval is None else "{:.6f} to {:.6f}".format(*interval),
                f"{own['median']:.6f}",
                f"{own['worst']:.6f}",
            )
        )
    print_table(
        rows,
        header=("variant", "seeds", "IQM", "95 %", "median", "worst"),
        title=f"{content['quantity']}, {content['game']}, {', '.join(content['methods'])}",
    )
    if incidents:
        print(incidents)
    print(f"study {study.path}; page {study.path / PAGE_FILE}")
