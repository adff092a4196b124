"""`neupl solve`: exact solvers, with a certificate."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from neupl.cli.options import OutputOptions
from neupl.cli.output import print_json, print_table

if TYPE_CHECKING:
    from neupl.run import Run
    from neupl.solve_run import Solved


@dataclasses.dataclass(frozen=True, kw_only=True)
class Solve(OutputOptions):
    """Solves a game exactly, certifies the solution by our solver and OpenSpiel's, and saves it.

    Methods: `lp` (two-player zero-sum: the sequence-form linear program), `cfr`, `cfr+`, `lcfr`,
    `dcfr`, `pcfr+` (average policies of regret minimisers), `psro` (two-player zero-sum: exact best
    responses to Nash mixtures), `jpsro-cce`, `jpsro-ce` (any number of players, any sums: exact
    best responses to correlated equilibria), `regret-cce` (the same, by regret minimisation). What
    is saved can be verified, exported and resumed like a trained run.
    """

    game: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="GAME")]
    """The game: an OpenSpiel string, a payoff file, or `package.module:make`."""

    method: Annotated[str, tyro.conf.arg(metavar="NAME")]
    """How to solve it; see above."""

    meta_solver: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """psro and jpsro: solves the payoffs between the strategies so far, by default nash, mgcce or
    mgce."""

    repeats: Annotated[Literal["drop", "weigh"] | None, tyro.conf.arg(metavar="drop|weigh")] = None
    """psro and jpsro: whether a response that is there already is dropped (the default), or weighs
    more as one more copy."""

    ties: Annotated[
        Literal["lowest", "lowest_if_reached", "uniform"] | None,
        tyro.conf.arg(metavar="lowest|lowest_if_reached|uniform"),
    ] = None
    """psro and jpsro: what responses do between equally good actions: all of the lowest one (the
    default), the same but uniform where nobody lets the seat arrive, or all alike."""

    iterations: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Iterations at most, by default 1000; not for lp."""

    tolerance: Annotated[float | None, tyro.conf.arg(metavar="X")] = None
    """Gap to stop at, in game points; by default 1e-9 of the payoff range for psro, jpsro and lp,
    and none for regret minimisers."""

    time_limit_s: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """Seconds at most, all resumptions together; what was reached is certified and saved, except
    by lp, which fails."""

    max_nodes: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Largest game tree to compile, in nodes; by default 5 million."""

    open_spiel_limit_s: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """Longest time that OpenSpiel's check may be predicted to take, by default 60; 0 does not ask
    it."""

    checkpoint_every_s: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """Seconds between two checkpoints, by default 30."""

    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """The run folder to create; by default a new one under `runs/`."""


def run(command: Solve) -> int:
    """Solves and prints the certificate."""
    from neupl.config_io import dump_config
    from neupl.errors import UserError
    from neupl.run import Run, free_folder
    from neupl.solve_config import SolveConfig
    from neupl.solve_run import prepare, start_solve

    names = (field.name for field in dataclasses.fields(SolveConfig))
    given = {name: v for name in names if (v := getattr(command, name)) is not None}
    try:
        config = SolveConfig(**given)
    except ValueError as error:
        raise UserError(str(error)) from error
    path = command.out or free_folder(config.game)
    Run.check_free(path)
    # Before the folder exists: bad input leaves nothing behind.
    tree, config = prepare(config, quiet=command.quiet)
    with Run.create(
        path, config_text=dump_config(config), command=("neupl", *sys.argv[1:]), seed=0
    ) as run:
        solved = start_solve(run, tree, config, quiet=command.quiet)
        report(run, solved, as_json=command.json)
    return 0


def report(run: "Run", solved: "Solved", *, as_json: bool) -> None:
    """Prints what a finished solve is worth; used by `resume` as well."""
    from neupl.certificate_words import QUANTITY_NAMES
    from neupl.solve_run import PICTURE_FILE

    progressed, population = solved.progressed, solved.population
    certificate = solved.verification.certificate
    gains = certificate.per_player
    content: dict[str, Any] = {
        **solved.verification.to_json(),
        "method": solved.config.method,
        "iterations": progressed.iteration,
        "stopped": progressed.stopped,
        "sizes": population.sizes,
        "profiles": len(population.weights),
        "seconds": progressed.seconds,
        "run": str(run.path),
        "picture": str(run.report_path / PICTURE_FILE),
    }
    if as_json:
        print_json(content)
        return
    sizes = ", ".join(map(str, population.sizes))
    rows = [
        ("game", certificate.game),
        ("certified", certificate.object),
        (QUANTITY_NAMES[certificate.quantity], f"{certificate.value:.9f} exact, by our solver"),
        *agreement_rows(solved.verification),
        ("per player", ", ".join(f"{round(gain, 6) + 0.0:.6f}" for gain in gains)),
        ("iterations", f"{progressed.iteration:,}, stopped by: {progressed.stopped}"),
        ("strategies", f"{sizes} by seat; {len(population.weights):,} profiles"),
        ("seconds", f"{progressed.seconds:.3f}"),
        ("picture", content["picture"]),
        ("run", f"{run.path}  (neupl verify, report, info, export; tensorboard --logdir)"),
    ]
    print_table(rows)


def agreement_rows(verification: Any) -> list[tuple[str, str]]:
    """What OpenSpiel said, for a table."""
    rows = [("checked", verification.checked)]
    theirs = verification.certificate.openspiel_value
    if theirs is not None:
        rows.insert(0, ("", f"{theirs:.9f} by OpenSpiel: the two agree"))
    elif verification.check is not None:
        rows.append(("", "the two agree on what both measured"))
    return rows
