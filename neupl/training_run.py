"""A training run: a population loop with a folder, progress, checkpoints and a certificate."""

import dataclasses
import logging
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from games.registry import load_simulator
from games.teams import by_player
from games.types import GameError
from neupl import checkpoint
from neupl.actors import check_actors
from neupl.config import Config
from neupl.config_io import load_config, names_key
from neupl.errors import Interrupted
from neupl.graph_history import graphs_content, marginal_graphs
from neupl.interrupts import StopRequest, interrupts_handled_by, raise_interrupt
from neupl.jpsro.problem import allows_joint
from neupl.jpsro.trainer import JointTrainer
from neupl.payoff_source import payoff_source
from neupl.population_trainer import PopulationTrainer
from neupl.progress import Progress
from neupl.run import GRAPH_FILE, Run
from neupl.run_report import PAGE_FILE, write_run_report
from neupl.trainable import Trainable
from neupl.training_state import from_arrays, to_arrays
from neupl.workers import THIS_PROCESS, Workers

log = logging.getLogger(__name__)

SECONDS_BETWEEN_IMAGES = 10.0
# Seats whose profiles of the default number of strategies can be listed.
MAX_JOINT_PLAYERS = 4


def default_graph(config: Config) -> tuple[str, ...]:
    """The overrides that a game asks for where its configuration names no graph: mixtures of the
    opponent for two-player zero-sum games, a joint of all seats for others. Runs that see no game
    tree get a joint where nothing else that is configured speaks against it.
    """
    source = payoff_source(config.learner.kind, config.evaluation.payoffs)
    try:
        seated = load_simulator(config.game).info
    except GameError:
        return ()  # whoever loads it for good says why not
    info = by_player(seated)
    if info.num_players == 1:
        return ("graph.kind=self_play",)
    if seated.seat_players:
        return ()  # a joint of teams is not trained
    if info.continuous:
        return ()
    if info.num_players == 2 and info.utility == "zero_sum":
        return ()
    if source == "exact":
        return ("graph.kind=jpsro",)
    if info.num_players > MAX_JOINT_PLAYERS or not allows_joint(config):
        return ()
    return ("graph.kind=jpsro", "evaluation.payoffs=sampled")


def resolved_config(path: Path | None, overrides: Sequence[str]) -> Config:
    """The configuration of a file and overrides, with the graph that its game asks for.

    Raises:
      UserError: the file or an override is wrong.
    """
    config = load_config(Config, path, overrides)
    if names_key(path, overrides, "graph.kind"):
        return config
    return load_config(Config, path, (*default_graph(config), *overrides))


def make_trainer(
    config: Config, *, quiet: bool = True, workers: Workers = THIS_PROCESS
) -> Trainable:
    """What a configuration describes, with its game loaded.

    Args:
      config: of the run.
      quiet: whether no progress is shown.
      workers: who plays episodes.

    Raises:
      GameError: the game cannot be loaded as the learner needs it.
      UserError: the configuration does not fit the game, or the workers.
    """
    check_actors(config, workers)
    if config.graph.kind == "jpsro":
        return JointTrainer(config, quiet=quiet, workers=workers)
    return PopulationTrainer(config, quiet=quiet, workers=workers)


def start_run(run: Run, trainer: Trainable, *, quiet: bool = False) -> Any:
    """Trains from the beginning and certifies; see `resume_run` for errors."""
    with interrupts_handled_by(raise_interrupt):
        return _train_and_certify(run, trainer, trainer.initial_state(), quiet=quiet)


def resume_run(
    run: Run,
    *,
    quiet: bool = False,
    command: tuple[str, ...] = (),
    workers: Workers = THIS_PROCESS,
) -> Any:
    """Continues a run from its newest intact checkpoint; one without any starts again.

    Args:
      run: to continue.
      quiet: whether no progress is shown.
      command: that asks for it.
      workers: who plays episodes; it need not be who did before.

    Raises:
      UserError: the run's files are broken.
      Interrupted: the user stopped it; the state was saved.
      TrainingError: training diverged; the last checkpoint is intact.
      CheckFailed: OpenSpiel disagrees with our certificate.
    """
    with interrupts_handled_by(raise_interrupt):
        run.lock()
        config = load_config(Config, run.config_path, ())
        trainer = make_trainer(config, quiet=quiet, workers=workers)
        state = trainer.initial_state()
        if checkpoint.saved_steps(run.checkpoints_path):
            saved = checkpoint.load(run.checkpoints_path)
            state = from_arrays(state, saved.arrays)
        elif run.metrics():
            log.warning("%s holds no checkpoint: the run starts again", run.checkpoints_path)
        run.rewind(int(state.learner.step), command=command)
        return _train_and_certify(run, trainer, state, quiet=quiet)


def export_run(run: Run, folder: Path) -> None:
    """Exports the best-certified population of a run from its newest checkpoint."""
    config = load_config(Config, run.config_path, ())
    kind = JointTrainer if config.graph.kind == "jpsro" else PopulationTrainer
    trainer = kind(config)
    saved = checkpoint.load(run.checkpoints_path)
    trainer.export(folder, from_arrays(trainer.initial_state(), saved.arrays))


def _train_and_certify(run: Run, trainer: Trainable, state: Any, *, quiet: bool) -> Any:
    config = trainer.config
    recorder = _Recorder(run, trainer, state)
    try:
        progress = Progress(f"training {config.game}", quiet=quiet)
        with progress, interrupts_handled_by(recorder.stop):
            recorder.progress = progress
            state = trainer.train(state, on_evaluation=recorder.record)
        recorder.stop.check()
        recorder.state = state
        recorder.save()
        concluded = trainer.conclude(run, state, quiet=quiet)
        if concluded is not state:
            recorder.state = state = concluded
            recorder.save()
        recorder.draw(int(state.learner.step))
        verification = trainer.certify(run, state, quiet=quiet)
        write_run_report([run.path], run.report_path / PAGE_FILE, quick=True)
        return verification
    except KeyboardInterrupt:
        with interrupts_handled_by(signal.SIG_IGN):
            step = recorder.save()
        raise Interrupted(
            f"saved at step {step} of {config.training.all_steps}; "
            f"continue with `neupl resume {run.path}`"
        ) from None


@dataclasses.dataclass
class _Recorder:
    """Writes down what the loop reports, and remembers the last state that can be saved."""

    run: Run
    trainer: Trainable
    state: Any
    progress: Progress | None = None
    stop: StopRequest = dataclasses.field(default_factory=StopRequest)

    def __post_init__(self) -> None:
        self._started = self._saved = self._drawn = time.monotonic()
        self._cpu_started = time.process_time()
        self._first_step = self._saved_step = int(self.state.learner.step)
        known = self.run.lines(GRAPH_FILE)
        self._graphs: Any = known[-1]["graphs"] if known else None
        self._record_graph(self.state)

    def record(self, state: Any, metrics: dict[str, float]) -> None:
        now, step = time.monotonic(), int(state.learner.step)
        elapsed = now - self._started
        speed = (step - self._first_step) / max(elapsed, 1e-9)
        cpu_s = time.process_time() - self._cpu_started
        timing = {"time/elapsed_s": elapsed, "time/cpu_s": cpu_s, "rate/steps_per_s": speed}
        self.run.log(step, metrics | timing)
        self._record_graph(state)
        self.state = state
        config = self.trainer.config.training
        self.progress.update(step, config.all_steps, **self.trainer.progress(metrics))
        if now - self._drawn > SECONDS_BETWEEN_IMAGES:
            self.draw(step)
        if now - self._saved > config.checkpoint_every_s:
            self.save()
        self.stop.check()

    def _record_graph(self, state: Any) -> None:
        """Writes down whom training meets from here on, where that has changed."""
        graphs = graphs_content(marginal_graphs(*self.trainer.graph(state)))
        if graphs != self._graphs:
            self.run.log_graph(int(state.learner.step), graphs)
            self._graphs = graphs

    def save(self) -> int:
        """Saves the last state; returns its step."""
        step = int(self.state.learner.step)
        self.run.save_checkpoint(
            step, arrays=to_arrays(self.state), manifest={"seed": self.trainer.config.seed}
        )
        self._saved = time.monotonic()
        return step

    def draw(self, step: int) -> None:
        """Adds pictures of the state to TensorBoard."""
        for tag, picture in self.trainer.images(self.state).items():
            self.run.image(step, tag, picture)
        self._drawn = time.monotonic()
