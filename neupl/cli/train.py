"""`neupl train`: trains a population and certifies it."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from neupl.cli.options import Flag, RunOptions, WorkerOptions
from neupl.cli.output import print_json, print_table
from neupl.errors import CheckFailed, UserError

if TYPE_CHECKING:
    from neupl.incidents import Incidents
    from neupl.jpsro.verification import JointVerification
    from neupl.run import Run
    from neupl.verification import Verification

SMOKE = ("training.steps=200", "training.max_steps_per_row=20", "training.closing_steps=0")
# Where the mixture is chosen against responses, besides.
SMOKE_RESPONSES = ("evaluation.responses=1", "evaluation.response_batches=2")
# Where episodes are so long that lanes have a horizon.
SMOKE_LONG = (
    "training.steps=4", "training.evaluate_every=2", "learner.episodes=16", "learner.horizon=32",
    "learner.imitation_steps=2", "evaluation.episodes=2", "evaluation.final_episodes=4",
    "training.closing_steps=0",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(WorkerOptions, RunOptions):
    """Trains a population of strategies for a game, and certifies it by our solver and OpenSpiel's.

    Give a configuration file, or a game to be trained with the defaults. All keys of the
    configuration, with their defaults and meaning, are listed by `neupl train --keys`. With --seeds
    or --sweep it is a study: many runs, shared out by --workers and --ray, and one report. Of one
    run with PPO or MPO, --workers and --ray play the episodes, in blocks (`learner.blocks`,
    `evaluation.blocks`), while this process learns.
    """

    config: Annotated[Path | None, tyro.conf.arg(metavar="[CONFIG]"), tyro.conf.Positional] = None
    """A YAML file such as `configs/kuhn_poker.yaml`."""

    game: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The game to train: an OpenSpiel string, a simulated game such as `toy_soccer`, a payoff file,
    or `package.module:make`.
    """

    smoke: Flag = False
    """Train for a few seconds only, to see that everything works: exit code 1 unless the population
    has learned to earn more against strategy 0 than strategy 0 does (of a joint: unless its gap has
    fallen, or its seats earn more; with `learner.horizon`, and of a player alone, nothing is asked
    of it).
    """

    seeds: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """A study of N seeds, from --seed on, with median, interquartile mean and intervals."""

    sweep: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="KEY=A,B,C"),
        tyro.conf.UseAppendAction,
    ] = ()
    """A study of several values of a configuration key; repeated, of all combinations."""

    keys: Flag = False
    """List the configuration keys and stop."""


def run(command: Train) -> int:
    """Trains and prints the certificate."""
    if command.keys:
        _print_keys()
        return 0
    if command.config is None and command.game is None:
        raise UserError(
            "nothing to train", hint="give a configuration file or --game NAME (see `neupl games`)"
        )
    overrides = []
    if command.game is not None:
        overrides.append(f"game={_quoted(command.game)}")
    if command.seed is not None:
        overrides.append(f"seed={command.seed}")
    overrides += command.overrides
    long = False
    if command.smoke:
        long, shorter = _smoke_form(command.config, overrides)
        # What is asked for besides wins.
        overrides = [*shorter, *overrides]
    if command.seeds is not None or command.sweep:
        from neupl.cli.train_study import run_new_study

        return run_new_study(command, overrides)
    # First: this process is to compute as the workers do.
    workers = command.make_workers() if command.is_shared_out else None
    from neupl.config_io import dump_config
    from neupl.run import Run, free_folder
    from neupl.training_run import make_trainer, resolved_config, start_run
    from neupl.workers import THIS_PROCESS

    workers = workers or THIS_PROCESS
    config = resolved_config(command.config, overrides)
    path = command.out or free_folder(config.game)
    Run.check_free(path)
    # Before the folder exists: bad input leaves nothing behind.
    trainer = make_trainer(config, quiet=command.quiet, workers=workers)
    with Run.create(
        path, config_text=dump_config(config), command=("neupl", *sys.argv[1:]), seed=config.seed
    ) as run:
        verification = start_run(run, trainer, quiet=command.quiet)
        shortfall = trainer.shortfall(run.metrics()) if command.smoke and not long else None
        # Under `--json` the object of a failed check is the error's.
        if shortfall is None or not command.json:
            report(run, verification, workers.incidents, as_json=command.json)
    if shortfall is not None:
        raise CheckFailed(shortfall, report=_content(run, verification, workers.incidents))
    return 0


def _smoke_form(path: Path | None, overrides: list[str]) -> tuple[bool, tuple[str, ...]]:
    """Whether episodes are so long that they are cut into pieces, and how the run is shortened."""
    from neupl.config import Config
    from neupl.config_io import load_config

    config = load_config(Config, path, overrides)
    long = config.learner.horizon > 0
    responses = SMOKE_RESPONSES if config.evaluation.responses else ()
    return long, (SMOKE_LONG if long else SMOKE) + responses


def report(
    run: "Run",
    verification: "Verification | JointVerification",
    incidents: "Incidents",
    *,
    as_json: bool,
) -> None:
    """Prints what a finished run is worth; used by `resume` as well."""
    from neupl.certificate_words import QUANTITY_NAMES

    content, certificate = _content(run, verification, incidents), verification.certificate
    if as_json:
        print_json(content)
        return
    name = QUANTITY_NAMES[certificate.quantity]
    if certificate.method == "exact":
        rows = [(name, f"{certificate.value:.9f} exact, by our solver"), *_agreement(verification)]
    elif certificate.method == "sampled":
        low, high = certificate.interval
        rows = [
            (name, f"{certificate.value:.6f} estimated from episodes"),
            ("", f"95 % interval: {low:.6f} to {high:.6f}"),
        ]
    else:
        low, high = certificate.interval
        rows = [
            (name, f"at least {certificate.value:.6f}, by a trained best response"),
            ("", f"95 % interval of this bound: {low:.6f} to {high:.6f}"),
        ]
    gains = ", ".join(f"{gain:.6f}" for gain in certificate.per_player)
    print_table(
        [
            ("game", certificate.game),
            ("trained by", verification.method),
            ("certified", certificate.object),
            *rows,
            ("per player", gains),
            *_worth(run.metrics(), verification),
            ("picture", content["picture"]),
            ("page", content["page"]),
            *([("incidents", incidents.describe())] if incidents.describe() else []),
            ("run", f"{run.path}  (neupl verify, report, info, export; tensorboard --logdir)"),
        ]
    )


def _content(
    run: "Run", verification: "Verification | JointVerification", incidents: "Incidents"
) -> dict[str, Any]:
    last = run.metrics()[-1]
    return {
        **verification.to_json(),
        "run": str(run.path),
        "steps": last["step"],
        "final_nash_conv": last.get("eval/nash_conv"),
        "seconds": last["time/elapsed_s"],
        "picture": str(run.report_path / "summary.png"),
        "page": str(run.report_path / "index.html"),
        "incidents": dataclasses.asdict(incidents),
    }


def _agreement(verification: "Verification | JointVerification") -> list[tuple[str, str]]:
    """What OpenSpiel said."""
    from neupl.cli.solve import agreement_rows

    if hasattr(verification, "checked"):
        return agreement_rows(verification)
    theirs = verification.certificate.openspiel_value
    if theirs is None:
        return [("", "OpenSpiel does not know this game")]
    return [("", f"{theirs:.9f} by OpenSpiel: the two agree")]


def _worth(
    metrics: list[dict[str, Any]], verification: "Verification | JointVerification"
) -> list[tuple[str, str]]:
    """What the population earns and how training ended."""
    last = metrics[-1]
    if hasattr(verification, "sizes"):
        values, sizes = verification.values, verification.sizes
        each = ", ".join(f"{round(value, 6) + 0.0:.6f}" for value in values)
        iterations = max(line.get("population/iteration", 1) for line in metrics)
        return [
            ("values", f"{each}; sum {round(sum(values), 6) + 0.0:.6f}"),
            ("strategies", f"{', '.join(map(str, sizes))} by seat"),
            *_calibrations(verification),
            ("trained", f"{iterations} iterations, {last['step']} steps"),
        ]
    if verification.certificate.quantity == "mean_return":
        earned = f"mean return {last['eval/mean_return']:.6f} at step {last['step']}"
        return [("last step", earned)]
    return [
        *_calibrations(verification),
        ("payoff", f"{last['eval/payoff_over_first']:+.6f} a seat by learning, against strategy 0"),
        ("last step", _last_step(last)),
    ]


def _calibrations(
    verification: "Verification | JointVerification",
) -> list[tuple[str, str]]:
    """How far estimated payoffs are from exact ones."""
    return [
        (f"{name} payoffs", f"off the exact ones by {found.describe()}")
        for name, found in verification.payoffs.items()
    ]


def _last_step(last: dict[str, Any]) -> str:
    if "eval/nash_conv" in last:
        return f"NashConv {last['eval/nash_conv']:.6f} at step {last['step']}"
    gain = last.get("eval/estimated_gain")
    known = "not known yet" if gain is None else f"{gain:.6f} by estimate"
    return f"gain of the newest response {known} at step {last['step']}"


def _quoted(name: str) -> str:
    # YAML would read a game such as `a: b` or `123` as something else.
    return "'" + name.replace("'", "''") + "'"


def _print_keys() -> None:
    from neupl.config import Config
    from neupl.config_io import describe_fields

    rows = ((f.key, f.type, f.default, f.docstring) for f in describe_fields(Config))
    print_table(rows, header=("key", "type", "default", "meaning"))
