"""A training run: the population loop with a folder, progress, checkpoints and a certificate."""

import dataclasses
import json
import logging
import signal
import time
from pathlib import Path

import numpy as np

from games.game_tree import GameTree
from games.normal_form import NormalForm
from games.registry import load_tree
from neupl import checkpoint
from neupl.config import Config
from neupl.config_io import load_config
from neupl.errors import Interrupted, UserError
from neupl.evaluation import Evaluation
from neupl.exact_evaluation import ExactEvaluator
from neupl.export import export_population
from neupl.interrupts import StopRequest, interrupts_handled_by, raise_interrupt
from neupl.learners import make_exact_learner
from neupl.pictures import graph_image, payoff_image, save_summary
from neupl.population import load_population
from neupl.progress import Progress
from neupl.run import CERTIFICATE_FILE, Run
from neupl.training import Problem, initial_state, rows_of, train
from neupl.training_state import TrainingState, from_arrays, to_arrays
from neupl.tree_population import TreePopulation
from neupl.verification import Verification, verify_population
from solvers.meta.registry import MetaSolver, meta_solver
from solvers.values import payoffs

log = logging.getLogger(__name__)

SUMMARY_FILE = "summary.png"
SECONDS_BETWEEN_IMAGES = 10.0


def make_problem(config: Config, *, quiet: bool = True) -> tuple[Problem, np.ndarray | None]:
    """Loads the game and builds its learner.

    Returns:
      The problem, and the table `[S, A]` of strategy 0 where it is fixed but not uniform.

    Raises:
      GameError: the game cannot be loaded as a tree.
      UserError: the configuration does not fit the game.
    """
    with Progress(f"compiling {config.game}", quiet=quiet, patience_s=1.0) as progress:
        tree = load_tree(
            config.game,
            max_nodes=config.max_nodes,
            progress=lambda nodes: progress.update(nodes, None),
        )
    _check_symmetry(config, tree)
    table = _sink_table(config, tree)
    sink = table
    if config.population.sink == "uniform":
        sink = tree.uniform_policy()
    if sink is not None:
        sink = sink.astype(np.float32)
    tables, solver = TreePopulation(tree, config, sink=sink), _meta_solver(config, tree)
    problem = Problem(
        info=tree.info(),
        config=config,
        learner=make_exact_learner(tables, config),
        evaluator=ExactEvaluator(tables, config, solver),
        solver=solver,
        tables=tables,
    )
    return problem, table


def start_run(
    run: Run, problem: Problem, sink: np.ndarray | None, *, quiet: bool = False
) -> Verification:
    """Trains a new problem from the beginning and certifies; see `resume_run` for errors."""
    with interrupts_handled_by(raise_interrupt):
        return _train_and_certify(run, problem, sink, initial_state(problem), quiet=quiet)


def resume_run(run: Run, *, quiet: bool = False, command: tuple[str, ...] = ()) -> Verification:
    """Continues a run from its newest intact checkpoint; one without any starts again.

    Raises:
      UserError: the run's files are broken.
      Interrupted: the user stopped it; the state was saved.
      TrainingError: training diverged; the last checkpoint is intact.
      CheckFailed: OpenSpiel disagrees with our certificate.
    """
    with interrupts_handled_by(raise_interrupt):
        run.lock()
        config = load_config(Config, run.config_path, ())
        problem, sink = make_problem(config, quiet=quiet)
        state = initial_state(problem)
        if checkpoint.saved_steps(run.checkpoints_path):
            saved = checkpoint.load(run.checkpoints_path)
            state = from_arrays(state, saved.arrays)
        elif run.metrics():
            log.warning("%s holds no checkpoint: the run starts again", run.checkpoints_path)
        run.rewind(int(state.learner.step), command=command)
        return _train_and_certify(run, problem, sink, state, quiet=quiet)


def export_run(run: Run, folder: Path) -> None:
    """Exports the best-certified population of a run from its newest checkpoint."""
    config = load_config(Config, run.config_path, ())
    problem, sink = make_problem(config)
    saved = checkpoint.load(run.checkpoints_path)
    _export(folder, problem, sink, from_arrays(initial_state(problem), saved.arrays))


def _train_and_certify(
    run: Run, problem: Problem, sink: np.ndarray | None, state: TrainingState, *, quiet: bool
) -> Verification:
    config = problem.config
    recorder = _Recorder(run, problem, state)
    try:
        progress = Progress(f"training {config.game}", quiet=quiet)
        with progress, interrupts_handled_by(recorder.stop):
            recorder.progress = progress
            state = train(problem, state, on_evaluation=recorder.record)
        recorder.stop.check()
        recorder.save()
        recorder.draw(int(state.learner.step))
        return _certify(run, problem, sink, state)
    except KeyboardInterrupt:
        with interrupts_handled_by(signal.SIG_IGN):
            step = recorder.save()
        raise Interrupted(
            f"saved at step {step} of {config.training.steps}; "
            f"continue with `neupl resume {run.path}`"
        ) from None


def _certify(
    run: Run, problem: Problem, sink: np.ndarray | None, state: TrainingState
) -> Verification:
    """Exports the best population, certifies what was exported and draws the summary."""
    config, tree = problem.config, problem.tables.tree
    _export(run.population_path, problem, sink, state)
    population = load_population(run.population_path)
    verification = verify_population(population, tree, name=run.path.name)
    run.write_json(CERTIFICATE_FILE, verification.to_json())
    run.report_path.mkdir(exist_ok=True)
    best = state.best
    save_summary(
        run.report_path / SUMMARY_FILE,
        game=config.game,
        metrics=run.metrics(),
        payoffs=best.payoffs,
        joint=best.joint,
        meta_strategy=best.meta_strategy,
        num_admitted=int(best.num_admitted),
        certificate=verification.certificate,
        payoff_range=tree.payoff_range,
    )
    return verification


def _export(folder: Path, problem: Problem, sink: np.ndarray | None, state: TrainingState) -> None:
    best = state.best
    policies = np.asarray(problem.tables.policies(best.params, rows_of(best.joint)))
    export_population(
        folder,
        tree=problem.tables.tree,
        config=problem.config,
        best=best,
        sink_table=sink,
        policies=policies,
    )


@dataclasses.dataclass
class _Recorder:
    """Writes down what the loop reports, and remembers the last state that can be saved."""

    run: Run
    problem: Problem
    state: TrainingState
    progress: Progress | None = None
    stop: StopRequest = dataclasses.field(default_factory=StopRequest)

    def __post_init__(self) -> None:
        self._started = self._saved = self._drawn = time.monotonic()
        self._first_step = self._saved_step = int(self.state.learner.step)

    def record(
        self, state: TrainingState, evaluation: Evaluation, metrics: dict[str, float]
    ) -> None:
        now, step = time.monotonic(), int(state.learner.step)
        elapsed = now - self._started
        speed = (step - self._first_step) / max(elapsed, 1e-9)
        timing = {"time/elapsed_s": elapsed, "rate/steps_per_s": speed}
        self.run.log(step, metrics | timing)
        self.state = state
        self.progress.update(
            step,
            self.problem.config.training.steps,
            nash_conv=metrics["eval/nash_conv"],
            best=float(metrics["eval/best_nash_conv"]),
            strategies=int(metrics["population/num_admitted"]),
            responses=int(metrics["population/num_responses"]),
        )
        if now - self._drawn > SECONDS_BETWEEN_IMAGES:
            self.draw(step)
        if now - self._saved > self.problem.config.training.checkpoint_every_s:
            self.save()
        self.stop.check()

    def save(self) -> int:
        """Saves the last state; returns its step."""
        step = int(self.state.learner.step)
        self.run.save_checkpoint(
            step, arrays=to_arrays(self.state), manifest={"seed": self.problem.config.seed}
        )
        self._saved = time.monotonic()
        return step

    def draw(self, step: int) -> None:
        """Adds the payoff matrix and the interaction graph to TensorBoard."""
        num_admitted = int(self.state.num_admitted)
        matrix = payoff_image(self.state.payoffs, num_admitted=num_admitted)
        graph = graph_image(self.state.joint, num_admitted=num_admitted)
        self.run.image(step, "population/payoffs", matrix)
        self.run.image(step, "population/graph", graph)
        self._drawn = time.monotonic()


def _check_symmetry(config: Config, tree: GameTree) -> None:
    if not config.population.symmetric:
        return
    if not _is_symmetric(tree):
        raise UserError(
            f"population.symmetric is true, but {config.game} is not a symmetric one-shot game",
            hint="leave population.symmetric at false: every seat then has its own strategies",
        )


def _is_symmetric(tree: GameTree) -> bool:
    """Whether the tree is a one-shot game whose payoffs stay the same when seats are exchanged."""
    one_shot = tree.num_infosets == tree.num_players and int(tree.infoset_depth.max()) == 0
    if not one_shot or (tree.legal_mask != tree.legal_mask[0]).any():
        return False
    pure = np.eye(tree.num_actions)[tree.legal_mask[0]]
    policies = np.tile(pure[:, None], (1, tree.num_infosets, 1))
    return NormalForm(payoffs(tree, policies)).symmetric


def _meta_solver(config: Config, tree: GameTree) -> MetaSolver:
    name = config.graph.meta_solver
    if name == "auto":
        name = "nash" if tree.zero_sum else "uniform"
    opposed = tree.num_players == 2 and tree.utility in ("zero_sum", "constant_sum")
    if name == "nash" and not opposed:
        raise UserError(
            f"graph.meta_solver is 'nash', but {config.game} is not a two-player zero-sum game",
            hint="set graph.meta_solver to prd or uniform",
        )
    try:
        return meta_solver(name)
    except ValueError as error:
        raise UserError(f"graph.meta_solver: {error}") from error


def _sink_table(config: Config, tree: GameTree) -> np.ndarray | None:
    """The fixed policy of strategy 0 where it is a file or a member of another run."""
    sink = config.population.sink
    grounded = config.graph.kind in ("psro", "rectified", "fictitious_play")
    if sink == "none" and grounded:
        raise UserError(
            f"population.sink is 'none', but graph.kind {config.graph.kind!r} starts from a fixed "
            "strategy 0",
            hint="set population.sink=uniform, or graph.kind to strategic_cycle or self_play",
        )
    if sink in ("uniform", "none"):
        return None
    path, member = sink.rsplit("#", 1) if "#" in sink else (sink, "")
    if member:
        return _member_table(Path(path), member, config, tree)
    return _file_table(Path(path), tree)


def _member_table(path: Path, member: str, config: Config, tree: GameTree) -> np.ndarray:
    population = load_population(path)
    if population.game != config.game:
        raise UserError(f"population.sink is of game {population.game}, the run of {config.game}")
    if member == "nash":
        from solvers.sequence_form import mix

        return mix(tree, population.tabulate(), population.meta_strategy)
    if not member.isdigit() or int(member) >= population.num_strategies:
        allowed = f"nash or 0 to {population.num_strategies - 1}"
        raise UserError(f"population.sink is {path}#{member}: the member must be {allowed}")
    return population.tabulate()[int(member)]


def _file_table(path: Path, tree: GameTree) -> np.ndarray:
    try:
        content: dict[str, list[float]] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"population.sink is {str(path)!r}: not 'uniform', 'none', RUN#k or a readable JSON "
            f"file ({error})"
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a JSON object of information states and probabilities")
    table = tree.uniform_policy()
    unknown = [name for name in content if name not in tree.infoset_name]
    if unknown:
        known = ", ".join(repr(name) for name in tree.infoset_name[:3])
        raise UserError(
            f"{path} names the information state {unknown[0]!r}; {tree.name} has {known}, ..."
        )
    for row, name in enumerate(tree.infoset_name):
        if name not in content:
            continue
        try:
            row_given = np.asarray(content[name], np.float64)
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}: {name!r} is not a list of numbers: {error}") from error
        if row_given.shape != (tree.num_actions,):
            raise UserError(
                f"{path}: {name!r} must have {tree.num_actions} probabilities, one per action id"
            )
        table[row] = row_given
    try:
        tree.check_policy(table)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    return table
