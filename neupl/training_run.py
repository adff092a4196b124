"""A training run: the population loop with a folder, progress, checkpoints and a certificate."""

import dataclasses
import logging
import signal
import time
from pathlib import Path

import numpy as np

from neupl import checkpoint
from neupl.config import Config
from neupl.config_io import load_config
from neupl.errors import Interrupted
from neupl.evaluation import Evaluation
from neupl.export import CompiledParts, export_population
from neupl.interrupts import StopRequest, interrupts_handled_by, raise_interrupt
from neupl.payoff_source import method_name
from neupl.pictures import graph_image, payoff_image, save_summary
from neupl.population import load_population
from neupl.problem import make_problem
from neupl.progress import Progress
from neupl.run import CERTIFICATE_FILE, Run
from neupl.training import Problem, initial_state, rows_of, train
from neupl.training_state import TrainingState, from_arrays, to_arrays
from neupl.verification import Verification, certify_elsewhere, verify_population

log = logging.getLogger(__name__)

SUMMARY_FILE = "summary.png"
SECONDS_BETWEEN_IMAGES = 10.0


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
        recorder.state = state
        recorder.save()
        recorder.draw(int(state.learner.step))
        return _certify(run, problem, sink, state, quiet=quiet)
    except KeyboardInterrupt:
        with interrupts_handled_by(signal.SIG_IGN):
            step = recorder.save()
        raise Interrupted(
            f"saved at step {step} of {config.training.steps}; "
            f"continue with `neupl resume {run.path}`"
        ) from None


def _certify(
    run: Run, problem: Problem, sink: np.ndarray | None, state: TrainingState, *, quiet: bool
) -> Verification:
    """Exports the best population, certifies what was exported and draws the summary."""
    _export(run.population_path, problem, sink, state)
    if problem.tables is None:
        budget_s = problem.config.evaluation.response_s
        with Progress(f"certifying {problem.config.game}", quiet=quiet, patience_s=1.0):
            verification = certify_elsewhere(run.path, budget_s=budget_s)
    else:
        population = load_population(run.population_path)
        verification = verify_population(population, problem.tables.tree, name=run.path.name)
    settings = problem.config
    method = method_name(settings.learner.kind, settings.evaluation.payoffs)
    verification = dataclasses.replace(verification, method=method)
    run.write_json(CERTIFICATE_FILE, verification.to_json())
    run.report_path.mkdir(exist_ok=True)
    best = state.best
    save_summary(
        run.report_path / SUMMARY_FILE,
        game=problem.config.game,
        metrics=run.metrics(),
        payoffs=best.payoffs,
        joint=best.joint,
        meta_strategy=best.meta_strategy,
        num_admitted=int(best.num_admitted),
        certificate=verification.certificate,
        payoff_range=problem.info.payoff_range,
        method=method,
    )
    return verification


def _export(folder: Path, problem: Problem, sink: np.ndarray | None, state: TrainingState) -> None:
    best, compiled = state.best, None
    if problem.tables is not None:
        policies = np.asarray(problem.tables.policies(best.params, rows_of(best.joint)))
        compiled = CompiledParts(problem.tables.tree, sink, policies)
    export_population(
        folder, info=problem.info, config=problem.config, best=best, compiled=compiled
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
            **_progress_of(metrics),
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


def _progress_of(metrics: dict[str, float]) -> dict[str, float]:
    """What people follow: how much the population can lose, as far as it is known."""
    names = {
        "nash_conv": "eval/nash_conv",
        "gain": "eval/estimated_gain",
        "best": "eval/best_nash_conv",
        "best_gain": "eval/best_estimated_gain",
    }
    return {name: float(metrics[key]) for name, key in names.items() if key in metrics}
