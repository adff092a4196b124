"""NeuPL-JPSRO's loop as a `Trainable`: any number of seats, certified by the gap of a joint."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from games.game_tree import GameTree
from games.registry import load_tree
from games.tree_walk import GameTooLargeError
from neupl.actors import with_actors
from neupl.config import Config
from neupl.errors import UserError
from neupl.jpsro.export import export_joint, export_played_joint
from neupl.jpsro.picture import save_joint_summary
from neupl.jpsro.problem import (
    check_joint_config,
    make_joint_problem,
    make_played_problem,
    solver_name,
)
from neupl.jpsro.state import JointState
from neupl.jpsro.training import initial_state, train
from neupl.jpsro.verification import JointVerification, certify_joint_elsewhere, verify_joint
from neupl.payoff_source import joint_payoff_source
from neupl.progress import Progress
from neupl.run import CERTIFICATE_FILE, SUMMARY_FILE, Run
from neupl.stored_population import load_population
from neupl.tabular_verification import announce
from neupl.trainable import OnEvaluation
from neupl.workers import THIS_PROCESS, Workers

# What of the first gap a run must have closed to have learned something.
LEAST_FALL = 0.1


class JointTrainer:
    """See `neupl.trainable.Trainable`."""

    def __init__(
        self, config: Config, *, quiet: bool = True, workers: Workers = THIS_PROCESS
    ) -> None:
        """Compiles the game, unless payoffs come from episodes: then it is only played.

        Args:
          config: of the run.
          quiet: whether no progress is shown.
          workers: who plays episodes.

        Raises:
          GameError: the game cannot be compiled, or played.
          UserError: the configuration does not fit, or the game is too large for a tree and could
            be learned without one.
        """
        self.config, self._workers = config, workers
        check_joint_config(config)
        if joint_payoff_source(config.evaluation.payoffs) == "exact":
            self.problem = make_joint_problem(config, _compile(config, quiet=quiet))
        else:
            self.problem = make_played_problem(config)

    def initial_state(self) -> JointState:
        """See `Trainable`."""
        return initial_state(self.problem)

    def train(self, state: JointState, *, on_evaluation: OnEvaluation) -> JointState:
        """See `Trainable`."""
        with with_actors(self.problem, self._workers) as problem:
            return train(problem, state, on_evaluation=on_evaluation)

    def conclude(self, run: Run, state: JointState, *, quiet: bool) -> JointState:
        """See `Trainable`: nothing is left."""
        return state

    def export(self, folder: Path, state: JointState) -> None:
        """See `Trainable`."""
        tables, best, solver = self.problem.tables, state.best_so_far, self._solver_of(state)
        if tables is None:
            export_played_joint(
                folder, info=self.problem.info, config=self.config, best=best, meta_solver=solver
            )
            return
        export_joint(
            folder,
            tree=tables.tree,
            config=self.config,
            best=best,
            policies=np.asarray(tables.policies(best.params)),
            meta_solver=solver,
        )

    def certify(self, run: Run, state: JointState, *, quiet: bool) -> JointVerification:
        """See `Trainable`."""
        self.export(run.population_path, state)
        population, tables = load_population(run.population_path), self.problem.tables
        if tables is None:
            budget_s = self.config.evaluation.response_s
            with Progress(f"certifying {self.config.game}", quiet=quiet, patience_s=1.0):
                verification = certify_joint_elsewhere(run.path, population, budget_s=budget_s)
        else:
            verification = verify_joint(
                population,
                tables.tree,
                name=run.path.name,
                on_open_spiel=None if quiet else announce,
            )
        run.write_json(CERTIFICATE_FILE, verification.to_json())
        run.report_path.mkdir(exist_ok=True)
        best, sizes = state.best_so_far, ", ".join(map(str, population.sizes))
        values = ", ".join(f"{value:.4g}" for value in verification.values)
        save_joint_summary(
            run.report_path / SUMMARY_FILE,
            game=self.config.game,
            metrics=run.metrics(),
            joint=best.joint,
            certificate=verification.certificate,
            payoff_range=self.problem.info.payoff_range,
            note=f"by {self._solver_of(state)} after {int(best.iteration)} iterations; strategies "
            f"by seat: {sizes}; values: {values}",
        )
        return verification

    def graph(self, state: JointState) -> tuple[np.ndarray, tuple[int, ...]]:
        """See `Trainable`."""
        return state.mixtures, tuple(state.sizes.tolist())

    def images(self, state: JointState) -> dict[str, bytes]:
        """Nothing: a joint of several seats is no matrix."""
        return {}

    def progress(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Gap and values after the last iteration, and what the present one has reached."""
        names = {
            "gap": "eval/gap",
            "best": "eval/best_gap",
            "gap_estimate": "eval/gap_estimate",
            "best_estimate": "eval/best_gap_estimate",
            "welfare": "eval/best_welfare",
            "iteration": "population/iteration",
            "left": "train/response_left",
            "gain": "train/response_gain",
            "drift": "drift/payoff",
        }
        return {name: metrics[key] for name, key in names.items() if key in metrics}

    def shortfall(self, metrics: Sequence[Mapping[str, Any]]) -> str | None:
        """Whether the gap fell below that of strategy 0 alone, or the seats earned more in some
        iteration.
        """
        least = LEAST_FALL * self.problem.info.payoff_range
        before, after, welfare, sums = self._course(metrics)
        if after < (1 - LEAST_FALL) * before or max(sums, default=welfare) > welfare + least:
            return None
        return (
            f"the best gap is {after:.4g} points, that of strategy 0 alone {before:.4g}, and no "
            "joint earns the seats more: the population has learned nothing"
        )

    def _course(
        self, metrics: Sequence[Mapping[str, Any]]
    ) -> tuple[float, float, float, list[float]]:
        """Gap of strategy 0 alone and the best gap, exact or estimated, then the sum of values of
        strategy 0 alone and those of the joints.
        """
        if self.problem.tables is None:
            # The first gap to be estimated is that of strategy 0 alone.
            measured = [line for line in metrics if "eval/gap_estimate" in line]
            if not measured:
                return 0.0, 0.0, 0.0, []
            first, sums = measured[0], [line["eval/welfare"] for line in measured]
            after = measured[-1]["eval/best_gap_estimate"]
            return first["eval/gap_estimate"], after, first["eval/welfare"], sums
        first = self.initial_state().best_so_far
        before, welfare = float(np.maximum(first.gains, 0.0).sum()), float(first.values.sum())
        measured = [line for line in metrics if "eval/best_gap" in line]
        after = measured[-1]["eval/best_gap"] if measured else before
        sums = [
            line[name]
            for line in measured
            for name in ("eval/welfare", "eval/judged_welfare")
            if line.get(name) is not None
        ]
        return before, after, welfare, sums

    def _solver_of(self, state: JointState) -> str:
        """The name of the solver that found the joint that is kept."""
        judged = state.best_so_far.judged
        return self.config.jpsro.judge if judged else solver_name(self.config)


def _compile(config: Config, *, quiet: bool) -> GameTree:
    with Progress(f"compiling {config.game}", quiet=quiet, patience_s=1.0) as progress:
        try:
            return load_tree(
                config.game,
                max_nodes=config.max_nodes,
                progress=lambda nodes: progress.update(nodes, None),
            )
        except GameTooLargeError as error:
            if config.learner.kind == "exact":
                raise
            hint = "set evaluation.payoffs=sampled, which needs no tree"
            raise UserError(str(error), hint=hint) from error
