"""NeuPL's population loop as a `Trainable`: two-player rows, certified by NashConv."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from neupl.actors import with_actors
from neupl.alone import return_certificate, save_return_curve
from neupl.config import Config
from neupl.export import CompiledParts, export_population
from neupl.matrix_pictures import graph_image, payoff_image
from neupl.payoff_source import method_of
from neupl.problem import make_mixture_choice, make_problem
from neupl.progress import Progress
from neupl.run import CERTIFICATE_FILE, RESPONSES_FILE, SUMMARY_FILE, Run
from neupl.stored_population import load_population
from neupl.summary_picture import save_summary
from neupl.trainable import OnEvaluation
from neupl.training import CHOICE_STREAM, initial_state, train
from neupl.training_problem import rows_of
from neupl.training_state import TrainingState
from neupl.verification import Verification, certify_elsewhere, verify_population
from neupl.workers import THIS_PROCESS, Workers

# What the mixture must earn more than strategy 0, against it, to have learned something: a share of
# the payoff range.
LEAST_RISE = 0.01


class PopulationTrainer:
    """See `neupl.trainable.Trainable`."""

    def __init__(
        self, config: Config, *, quiet: bool = True, workers: Workers = THIS_PROCESS
    ) -> None:
        """Loads the game; see `neupl.problem.make_problem` for errors.

        Args:
          config: of the run.
          quiet: whether no progress is shown.
          workers: who plays episodes.
        """
        self.config, self._workers = config, workers
        self._problem, self._sink = make_problem(config, quiet=quiet)

    def initial_state(self) -> TrainingState:
        """See `Trainable`."""
        return initial_state(self._problem)

    def train(self, state: TrainingState, *, on_evaluation: OnEvaluation) -> TrainingState:
        """See `Trainable`."""
        with with_actors(self._problem, self._workers) as problem:
            return train(
                problem,
                state,
                on_evaluation=lambda state, _, metrics: on_evaluation(state, metrics),
            )

    def conclude(self, run: Run, state: TrainingState, *, quiet: bool) -> TrainingState:
        """See `Trainable`: the mixture is chosen against responses, where they are asked for."""
        config = self.config
        if config.evaluation.responses == 0:
            return state
        key = jax.random.fold_in(jax.random.key(config.seed), CHOICE_STREAM)
        with Progress(f"choosing the mixture of {config.game}", quiet=quiet) as progress:

            def on_progress(done: int, total: int, gain: float | None) -> None:
                progress.update(done, total, **({} if gain is None else {"gain": gain}))

            found = make_mixture_choice(config)(state.best, key, on_progress)
        run.write_json(
            RESPONSES_FILE, {"gains": found.gains.tolist(), "errors": found.errors.tolist()}
        )
        return state._replace(best=state.best._replace(meta_strategy=found.meta_strategy))

    def export(self, folder: Path, state: TrainingState) -> None:
        """See `Trainable`."""
        problem, best, compiled = self._problem, state.best, None
        if problem.tables is not None:
            policies = np.asarray(problem.tables.policies(best.params, rows_of(best.joint)))
            compiled = CompiledParts(problem.tables.tree, self._sink, policies)
        export_population(
            folder, info=problem.info, config=problem.config, best=best, compiled=compiled
        )

    def certify(self, run: Run, state: TrainingState, *, quiet: bool) -> Verification:
        """See `Trainable`."""
        problem, settings = self._problem, self.config
        self.export(run.population_path, state)
        if problem.info.num_players == 1:
            return self._certify_alone(run, state)
        if problem.tables is None:
            budget_s = settings.evaluation.response_s
            with Progress(f"certifying {settings.game}", quiet=quiet, patience_s=1.0):
                verification = certify_elsewhere(run.path, budget_s=budget_s)
        else:
            population = load_population(run.population_path)
            verification = verify_population(population, problem.tables.tree, name=run.path.name)
        method = method_of(settings)
        verification = dataclasses.replace(verification, method=method)
        run.write_json(CERTIFICATE_FILE, verification.to_json())
        run.report_path.mkdir(exist_ok=True)
        best = state.best
        save_summary(
            run.report_path / SUMMARY_FILE,
            game=settings.game,
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

    def graph(self, state: TrainingState) -> tuple[np.ndarray, tuple[int, ...]]:
        """See `Trainable`."""
        return state.joint, (int(state.num_admitted),) * len(state.joint)

    def _certify_alone(self, run: Run, state: TrainingState) -> Verification:
        settings, best = self.config, state.best
        method = method_of(settings)
        verification = dataclasses.replace(
            return_certificate(best, game=settings.game, name=run.path.name), method=method
        )
        run.write_json(CERTIFICATE_FILE, verification.to_json())
        run.report_path.mkdir(exist_ok=True)
        save_return_curve(
            run.report_path / SUMMARY_FILE,
            game=settings.game,
            metrics=run.metrics(),
            certificate=verification.certificate,
            payoff_range=self._problem.info.payoff_range,
            method=method,
        )
        return verification

    def images(self, state: TrainingState) -> dict[str, bytes]:
        """The payoff matrix and the interaction graph; none of a player alone, who has neither."""
        if self._problem.info.num_players == 1:
            return {}
        num_admitted = int(state.num_admitted)
        return {
            "population/payoffs": payoff_image(state.payoffs, num_admitted=num_admitted),
            "population/graph": graph_image(state.joint, num_admitted=num_admitted),
        }

    def progress(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """How much the population can lose, as far as it is known."""
        names = {
            "nash_conv": "eval/nash_conv",
            "gain": "eval/estimated_gain",
            "best": "eval/best_nash_conv",
            "best_gain": "eval/best_estimated_gain",
            "return": "eval/mean_return",
        }
        known = {name: float(metrics[key]) for name, key in names.items() if key in metrics}
        return known | {
            "strategies": int(metrics["population/num_admitted"]),
            "responses": int(metrics["population/num_responses"]),
        }

    def shortfall(self, metrics: Sequence[Mapping[str, Any]]) -> str | None:
        """Whether the mixture earns more against strategy 0 than strategy 0 does."""
        if self.config.population.sink == "none":
            return None
        rise = metrics[-1]["eval/payoff_over_first"]
        least = LEAST_RISE * self._problem.info.payoff_range
        if rise > least:
            return None
        return (
            f"against strategy 0 the population earns {rise:.4g} points per seat more than "
            f"strategy 0 itself, expected more than {least:.4g}: it has learned nothing, or "
            "nothing can be gained there"
        )
