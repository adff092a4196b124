"""A solved game as a run: folder, live table, checkpoints, the tables it leaves and their
certificate.
"""

import dataclasses
import logging
import signal
import time
from pathlib import Path
from typing import Any

from games.game_tree import GameTree
from games.registry import load_tree
from neupl import checkpoint
from neupl.certificate_words import QUANTITY_NAMES
from neupl.config_io import load_config, read_mapping
from neupl.convergence_picture import save_convergence
from neupl.durable_files import write_durably
from neupl.errors import Interrupted
from neupl.interrupts import StopRequest, interrupts_handled_by, raise_interrupt
from neupl.iteration_table import IterationTable
from neupl.population_files import MODEL_CARD_FILE
from neupl.profile_distribution import QUANTITY
from neupl.progress import Progress
from neupl.provenance import versions
from neupl.run import CERTIFICATE_FILE, Run
from neupl.solve_config import SolveConfig, resolve, warning
from neupl.solve_methods import Point, Progressed, check_saved, population_of, solve
from neupl.stored_population import load_population
from neupl.tabular_population import TabularPopulation, write_tabular
from neupl.tabular_verification import TabularVerification, announce, verify_tabular
from solvers.types import SolverError

log = logging.getLogger(__name__)

PICTURE_FILE = "convergence.png"


@dataclasses.dataclass(frozen=True)
class Solved:
    """A finished solve.

    Attributes:
      verification: of the tables as they lie on disk.
      progressed: where the solver stopped, and why.
      population: the tables.
      config: as resolved.
    """

    verification: TabularVerification
    progressed: Progressed
    population: TabularPopulation
    config: SolveConfig


def is_solve(run: Run) -> bool:
    """Whether a run folder was made by `neupl solve`."""
    return "method" in read_mapping(run.config_path)


def prepare(config: SolveConfig, *, quiet: bool = True) -> tuple[GameTree, SolveConfig]:
    """Loads the game and fills in the configuration's defaults.

    Raises:
      GameError: the game cannot be loaded as a tree.
      UserError: the method is not for this game.
    """
    with Progress(f"compiling {config.game}", quiet=quiet, patience_s=1.0) as progress:
        tree = load_tree(
            config.game,
            max_nodes=config.max_nodes,
            progress=lambda nodes: progress.update(nodes, None),
        )
    return tree, resolve(config, tree)


def start_solve(run: Run, tree: GameTree, config: SolveConfig, *, quiet: bool = False) -> Solved:
    """Solves a game from the beginning and certifies; see `resume_solve` for errors."""
    with interrupts_handled_by(raise_interrupt):
        return _solve_and_certify(run, tree, config, None, quiet=quiet)


def resume_solve(run: Run, *, quiet: bool = False, command: tuple[str, ...] = ()) -> Solved:
    """Continues from the newest intact checkpoint; a run without any starts again.

    Raises:
      UserError: the run's files are broken.
      SolverError: the solver stopped short.
      Interrupted: the user stopped it; the state was saved.
      CheckFailed: OpenSpiel disagrees with our certificate.
    """
    with interrupts_handled_by(raise_interrupt):
        run.lock()
        tree, config = prepare(load_config(SolveConfig, run.config_path), quiet=quiet)
        saved = None
        if checkpoint.saved_steps(run.checkpoints_path):
            saved = _load(run, tree, config)
        elif run.metrics():
            log.warning("%s holds no checkpoint: the run starts again", run.checkpoints_path)
        run.rewind(saved.iteration if saved else -1, command=command)
        return _solve_and_certify(run, tree, config, saved, quiet=quiet)


def export_solve(run: Run, folder: Path) -> None:
    """Writes the tables of a solve, finished or not, as its newest checkpoint has them.

    Raises:
      UserError: there is no intact checkpoint, or `folder` holds something else.
    """
    tree, config = prepare(load_config(SolveConfig, run.config_path))
    progressed = _load(run, tree, config)
    population = population_of(tree, config, progressed)
    _write(folder, population, tree, config, progressed)
    # Whether OpenSpiel agrees is what the run's own certificate and `neupl verify` say.
    verification = verify_tabular(
        load_population(folder), tree, name=run.path.name, open_spiel_limit_s=0.0
    )
    _write_card(folder, _model_card(population, tree, config, progressed, verification))


def _solve_and_certify(
    run: Run, tree: GameTree, config: SolveConfig, saved: Progressed | None, *, quiet: bool
) -> Solved:
    if (doubt := warning(config, tree)) is not None:
        log.warning(doubt)
    recorder = _Recorder(run, config, saved)
    try:
        table = IterationTable(f"solving {config.game} by {config.method}", quiet=quiet)
        with table, interrupts_handled_by(recorder.stop):
            recorder.table = table
            recorder.latest = solve(tree, config, saved, recorder)
        recorder.stop.check()
        recorder.save()
        return _certify(run, tree, config, recorder.latest, quiet=quiet)
    except SolverError:
        # What was reached can still be exported.
        recorder.save()
        raise
    except KeyboardInterrupt:
        with interrupts_handled_by(signal.SIG_IGN):
            step = recorder.save()
        kept = "nothing was reached yet" if step is None else f"saved at iteration {step}"
        raise Interrupted(f"{kept}; continue with `neupl resume {run.path}`") from None


def _certify(
    run: Run, tree: GameTree, config: SolveConfig, progressed: Progressed, *, quiet: bool
) -> Solved:
    """Writes the tables, certifies what was written, and draws the way there."""
    population = population_of(tree, config, progressed)
    _write(run.population_path, population, tree, config, progressed)
    verification = verify_tabular(
        load_population(run.population_path),
        tree,
        name=run.path.name,
        open_spiel_limit_s=config.open_spiel_limit_s,
        on_open_spiel=None if quiet else announce,
    )
    card = _model_card(population, tree, config, progressed, verification)
    _write_card(run.population_path, card)
    run.report_path.mkdir(exist_ok=True)
    save_convergence(
        run.report_path / PICTURE_FILE,
        game=config.game,
        metrics=run.metrics(),
        certificate=verification.certificate,
        payoff_range=tree.payoff_range,
        note=f"{progressed.iteration:,} iterations, stopped by {progressed.stopped}",
    )
    # Last: its presence says that the run is finished.
    run.write_json(CERTIFICATE_FILE, verification.to_json())
    return Solved(verification, progressed, population, config)


def _load(run: Run, tree: GameTree, config: SolveConfig) -> Progressed:
    saved = checkpoint.load(run.checkpoints_path)
    manifest = saved.manifest
    progressed = Progressed(saved.step, manifest["seconds"], manifest["stopped"], saved.arrays)
    check_saved(tree, config, progressed)
    return progressed


def _write(
    folder: Path,
    population: TabularPopulation,
    tree: GameTree,
    config: SolveConfig,
    progressed: Progressed,
) -> None:
    facts = {
        "iterations": progressed.iteration,
        "stopped": progressed.stopped or "not finished",
        "options": {k: v for k, v in dataclasses.asdict(config).items() if v is not None},
    }
    title = f"# {config.game}, not certified yet\n"
    write_tabular(folder, population, model_card=title, facts=facts)


def _write_card(folder: Path, text: str) -> None:
    write_durably(folder / MODEL_CARD_FILE, text.encode())


@dataclasses.dataclass
class _Recorder:
    """Writes down what the solver reports, and remembers the last point it can be resumed from."""

    run: Run
    config: SolveConfig
    latest: Progressed | None
    table: IterationTable | None = None
    stop: StopRequest = dataclasses.field(default_factory=StopRequest)

    def __post_init__(self) -> None:
        self._saved = time.monotonic()

    def measured(self, point: Point) -> None:
        metrics: dict[str, Any] = {f"eval/{QUANTITY[self.config.kind.concept]}": point.gap}
        metrics |= {f"eval/gain_{seat}": gain for seat, gain in enumerate(point.gains)}
        metrics |= {f"population/size_{seat}": size for seat, size in enumerate(point.sizes)}
        metrics |= point.figures
        self.run.log(point.iteration, metrics | {"time/elapsed_s": point.seconds})
        sizes = " ".join(map(str, point.sizes))
        # Nobody knows how many iterations responses take.
        total = None if self.config.kind.family == "jpsro" else self.config.iterations
        self.table.update(
            point.iteration,
            total,
            gap=point.gap,
            policies=sizes,
            seconds=point.seconds,
        )

    def reached(self, progressed: Progressed) -> None:
        self.latest = progressed
        if time.monotonic() - self._saved >= self.config.checkpoint_every_s:
            self.save()
        self.stop.check()

    def save(self) -> int | None:
        """Saves the last state; returns its iteration, `None` where there is none."""
        if self.latest is None:
            return None
        iteration, seconds, stopped, arrays = self.latest
        manifest = {"seconds": seconds, "stopped": stopped}
        self.run.save_checkpoint(iteration, arrays=arrays, manifest=manifest)
        self._saved = time.monotonic()
        return iteration


_OBJECTS = {
    "nash": "Every seat draws one of its strategies independently and plays it to the end.",
    "cce": "Chance draws one profile for all seats, and every seat plays its strategy of it to the "
    "end. A seat decides whether to follow before it hears anything. The product of the marginals "
    "is another object, and not certified.",
    "ce": "Chance draws one profile for all seats, and every seat plays its strategy of it to the "
    "end. A seat decides whether to follow after it has heard its own strategy. The product of the "
    "marginals is another object, and not certified.",
}


def _model_card(
    population: TabularPopulation,
    tree: GameTree,
    config: SolveConfig,
    progressed: Progressed,
    verification: TabularVerification,
) -> str:
    certificate = verification.certificate
    gains = ", ".join(f"{gain:.6g}" for gain in certificate.per_player)
    sizes = ", ".join(f"{size:,}" for size in population.sizes)
    options = ", ".join(
        f"{name} `{value}`"
        for name in ("meta_solver", "repeats", "ties", "iterations", "tolerance", "time_limit_s")
        if (value := getattr(config, name)) is not None
    )
    theirs = certificate.openspiel_value
    theirs = "" if theirs is None else f"; {theirs:.6g} by OpenSpiel"
    quantity = QUANTITY_NAMES[certificate.quantity]
    software = versions(("numpy", "scipy", "numba", "open_spiel"))
    used = ", ".join(f"{name} {version}" for name, version in software.items() if version)
    return f"""# {config.game}, solved by {config.method}

| | |
| --- | --- |
| Game | `{config.game}`, {tree.num_players} players, {tree.utility.replace("_", "-")}, \
{tree.num_infosets:,} information states |
| Method | {config.method}: {config.kind.note} ({options or "no options"}) |
| Strategies | {sizes} by seat; {len(population.weights):,} profiles have probability |
| Iterations | {progressed.iteration:,}, stopped by: {progressed.stopped or "not finished"} |
| {quantity} | {certificate.value:.6g} game points, exact{theirs} (gains by seat \
{gains}); payoff range {tree.payoff_range:g} |
| Checked | {verification.checked} |
| Versions | {used} |

{_OBJECTS[population.concept]}

`arrays.safetensors` holds `policies/SEAT` `[K, S, A]` (rows of the seat's own information states, \
in the order in which `information_states` of `population.json` lists them), `profiles` `[N, P]` \
with their `weights` `[N]`, and `payoffs` where there are few enough profiles.

Load it with `neupl.load_population(folder)`; check it with `neupl verify folder`.

Limits: the certificate is about the whole {"joint" if population.correlated else "mixture"}, not \
about any single strategy. Nothing is claimed for other games or other rules of this one.
"""
