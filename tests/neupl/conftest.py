"""Small populations, each built or trained once for all tests that look at it."""

import contextlib
import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np
import pytest

from games.registry import load_tree
from neupl.config import Config, GraphConfig, TemperatureConfig, TrainingConfig
from neupl.evaluation import Evaluation
from neupl.exact_evaluation import ExactEvaluator
from neupl.export import CompiledParts, export_population
from neupl.problem import make_problem
from neupl.training import Problem, initial_state, rows_of, train
from neupl.training_state import TrainingState

# One small network for all; sections of the configuration by name.
SMALL = {
    "population": {"size": 5},
    "network": {"hidden_sizes": (32,), "embedding_size": 16, "critic_hidden_size": 16},
    "learner": {"learning_rate": 1e-2, "final_learning_rate": 1e-3},
    "training": {"steps": 800, "max_steps_per_row": 80, "settle": 0.0},
}


class Trained(NamedTuple):
    """What a training run leaves in memory.

    Attributes:
      problem: what was trained.
      sink: table of strategy 0 where it is neither uniform nor the network's.
      states: the state after every evaluation, the initial one first.
      evaluations: every evaluation.
      lines: the metrics of every evaluation.
    """

    problem: Problem
    sink: np.ndarray | None
    states: list[TrainingState]
    evaluations: list[Evaluation]
    lines: list[dict[str, float]]


def _small_config(game: str, **sections: dict[str, Any]) -> Config:
    config = Config(game=game)
    changed = {
        name: dataclasses.replace(
            getattr(config, name), **SMALL.get(name, {}) | sections.get(name, {})
        )
        for name in SMALL.keys() | sections.keys()
    }
    return dataclasses.replace(config, **changed)


def _problem_of(config: Config) -> tuple[Problem, np.ndarray | None]:
    """Like `make_problem`, with one compiled learner for all that train the same network alike."""
    problem, sink = _make_problem(
        dataclasses.replace(
            config,
            graph=GraphConfig(kind="self_play"),
            temperature=TemperatureConfig(),
            training=TrainingConfig(steps=config.training.steps),
        )
    )
    evaluator = ExactEvaluator(problem.tables, config, problem.solver)
    return dataclasses.replace(problem, config=config, evaluator=evaluator), sink


_make_problem = functools.cache(make_problem)


class _EnoughError(Exception):
    """Ends a run after the evaluations that a test needs."""


def _train(
    config: Config, *, state: TrainingState | None = None, num_evaluations: int | None = None
) -> Trained:
    problem, sink = _problem_of(config)
    state = initial_state(problem) if state is None else state
    run = Trained(problem, sink, [state], [], [])

    def record(state, evaluation, line):
        run.states.append(state)
        run.evaluations.append(evaluation)
        run.lines.append(line)
        if len(run.lines) == num_evaluations:
            raise _EnoughError

    with contextlib.suppress(_EnoughError):
        train(problem, state, on_evaluation=record)
    return run


def _export(run: Trained, folder) -> None:
    best = run.states[-1].best
    export_population(
        folder,
        info=run.problem.info,
        config=run.problem.config,
        best=best,
        compiled=CompiledParts(
            tree=run.problem.tables.tree,
            sink_table=run.sink,
            policies=np.asarray(run.problem.tables.policies(best.params, rows_of(best.joint))),
        ),
    )


@pytest.fixture(scope="session")
def small_config():
    """`(game, **sections) -> Config`: a network of one small layer, five strategies."""
    return _small_config


@pytest.fixture(scope="session")
def train_config():
    """`(config, *, state=None, num_evaluations=None) -> Trained`."""
    return _train


@pytest.fixture(scope="session")
def tree_of():
    """Compiled games by name, each once."""
    return functools.cache(functools.partial(load_tree, cache=False))


@pytest.fixture(scope="session")
def kuhn_run():
    """Gated training on Kuhn poker, long enough to fill the population and to readmit."""
    return _train(_small_config("kuhn_poker"))


@pytest.fixture(scope="session")
def three_player_run():
    """Gated training on three-player Kuhn poker with the uniform meta-solver."""
    return _train(
        _small_config("kuhn_poker(players=3)", population={"size": 3}, training={"steps": 240})
    )


@pytest.fixture(scope="session")
def export_run():
    """`(Trained, folder)`: writes the best population of a run."""
    return _export


@pytest.fixture(scope="session")
def kuhn_folder(kuhn_run, tmp_path_factory):
    """The exported population of `kuhn_run`; not to be written to."""
    folder = tmp_path_factory.mktemp("kuhn") / "population"
    _export(kuhn_run, folder)
    return folder
