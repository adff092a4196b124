"""Studies: one configuration, or a sweep of some, from several seeds; every run is an item of work.

A run of a study is a run like any other, in a folder of its own, and comes to the same bits. So a
study that was stopped does what is missing: runs that are certified are left alone, runs with a
checkpoint go on from it.
"""

import dataclasses
import itertools
import json
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation.seed_statistics import SeedStatistics, seed_statistics
from games.types import GameError
from neupl.config_io import dump_config
from neupl.errors import CheckFailed, Interrupted, UserError
from neupl.interrupts import interrupts_handled_by, raise_interrupt
from neupl.progress import Progress
from neupl.run import CERTIFICATE_FILE, CONFIG_FILE, Run
from neupl.study_folder import SETTINGS_FILE, RunItem, Study, StudyLock
from neupl.training_run import make_trainer, resume_run, start_run
from neupl.workers import Workers
from solvers.types import SolverError

# What ends a run without ending the study.
_OWN_TROUBLE = (UserError, GameError, SolverError, CheckFailed)


@dataclasses.dataclass(frozen=True)
class RunOutcome:
    """What became of a run.

    Attributes:
      item: which.
      path: of its folder, within the study's.
      value: of its certificate, in game points; `None` where it failed.
      certificate: as in its `certificate.json`.
      metrics: its lines of `metrics.jsonl`.
      seconds: of training, without what came before an interruption.
      error: why it failed.
    """

    item: RunItem
    path: str
    value: float | None
    certificate: dict[str, Any] | None
    metrics: tuple[dict[str, Any], ...]
    seconds: float | None
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class StudyOutcome:
    """What became of a study.

    Attributes:
      study: which.
      runs: in the order of `Study.items`.
      statistics: of the certified values of each variant; `None` where all runs failed.
    """

    study: Study
    runs: tuple[RunOutcome, ...]
    statistics: tuple[SeedStatistics | None, ...]

    @property
    def failed(self) -> list[RunOutcome]:
        """Runs without a certificate."""
        return [run for run in self.runs if run.error is not None]


def swept(sweeps: Sequence[str]) -> list[tuple[str, ...]]:
    """All combinations of the values of `key=a,b,c`, as overrides; one without any from nothing.

    Commas within brackets, braces and quotes belong to the value.

    Raises:
      UserError: a sweep has no key or no value, or names a key twice.
    """
    choices, keys = [], set()
    for sweep in sweeps:
        key, equals, values = sweep.partition("=")
        parts = _split(values)
        if not equals or not key.strip() or not all(parts):
            raise UserError(f"--sweep {sweep!r}: expected KEY=VALUE,VALUE,...")
        if key.strip() in keys or key.strip() == "seed":
            hint = "seeds are given by --seeds" if key.strip() == "seed" else ""
            raise UserError(f"--sweep {key.strip()}: it is swept already", hint=hint)
        if len(set(parts)) < len(parts):
            raise UserError(f"--sweep {sweep!r}: a value comes twice")
        keys.add(key.strip())
        choices.append([f"{key.strip()}={value}" for value in parts])
    return list(itertools.product(*choices))


def run_study(study: Study, *, workers: Workers, quiet: bool = False) -> StudyOutcome:
    """Does the runs of a study that are not done yet.

    Args:
      study: its folder exists.
      workers: who does them.
      quiet: whether no progress is shown.

    Raises:
      UserError: another process works on it, or a worker does not see its folder.
      Interrupted: the user stopped it; finished runs are kept, others have their checkpoints.
    """
    errors: dict[RunItem, str] = {}
    with StudyLock(study.path), interrupts_handled_by(raise_interrupt):
        left = [item for item in study.items if not is_finished(study.run_path(item))]
        total = len(study.items)
        try:
            with (
                Progress(f"runs of {study.path.name}", quiet=quiet) as progress,
                workers.map(do_run, study) as map_fn,
            ):
                progress.update(total - len(left), total)
                for number, (item, error) in enumerate(map_fn(left), start=1):
                    if error is not None:
                        errors[item] = error
                    progress.update(total - len(left) + number, total, failed=len(errors))
        except (KeyboardInterrupt, Interrupted):
            done = sum(is_finished(study.run_path(item)) for item in study.items)
            raise Interrupted(
                f"{done} of {total} runs are finished; continue with `neupl resume {study.path}`"
            ) from None
    return outcome_of(study, errors)


def do_run(study: Study, item: RunItem) -> tuple[RunItem, str | None]:
    """Does a run, or what is missing of it; returns why it failed, if it did.

    Raises:
      UserError: this machine does not see the study's folder.
      Interrupted: the process was asked to stop; the state was saved.
    """
    if not (study.path / SETTINGS_FILE).is_file():
        raise UserError(
            f"{socket.gethostname()} does not see the study {study.path}",
            hint="choose an --out in a folder that all nodes share",
        )
    path = study.run_path(item)
    try:
        if (path / CONFIG_FILE).is_file():
            with Run.open(path) as run:
                resume_run(run, quiet=True, command=study.command)
        else:
            # What a killed process left before the folder was a run.
            shutil.rmtree(path, ignore_errors=True)
            config = study.config(item)
            trainer = make_trainer(config)
            with Run.create(
                path, config_text=dump_config(config), command=study.command, seed=config.seed
            ) as run:
                start_run(run, trainer, quiet=True)
    except _OWN_TROUBLE as error:
        return item, " ".join(str(error).split()) or type(error).__name__
    return item, None


def is_finished(path: Path) -> bool:
    """Whether a run has been certified."""
    try:
        json.loads((path / CERTIFICATE_FILE).read_bytes())["certificate"]["value"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def outcome_of(study: Study, errors: dict[RunItem, str]) -> StudyOutcome:
    """Reads what the runs left; `errors` has the reasons of those that failed."""
    runs = tuple(_outcome(study, item, errors.get(item)) for item in study.items)
    statistics = []
    for number in range(len(study.variants)):
        values = [run.value for run in runs if run.item.variant == number]
        known = [value for value in values if value is not None]
        statistics.append(seed_statistics(known) if known else None)
    return StudyOutcome(study, runs, tuple(statistics))


def _outcome(study: Study, item: RunItem, error: str | None) -> RunOutcome:
    path = study.run_path(item)
    within = str(path.relative_to(study.path))
    if not is_finished(path):
        return RunOutcome(item, within, None, None, (), None, error or "it was not finished")
    run = Run.open(path)
    certificate, metrics = run.read_json(CERTIFICATE_FILE)["certificate"], tuple(run.metrics())
    seconds = metrics[-1].get("time/elapsed_s") if metrics else None
    # A check against OpenSpiel that failed comes after the certificate.
    value = None if error else certificate["value"]
    return RunOutcome(item, within, value, certificate, metrics, seconds, error)


def _split(values: str) -> list[str]:
    """Splits at commas outside of brackets, braces and quotes."""
    parts, depth, quote = [""], 0, ""
    for sign in values:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign in "[{(":
            depth += 1
        elif sign in "]})":
            depth -= 1
        if sign == "," and not quote and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]
