"""Small populations, each built or trained once for all tests that look at it."""

import contextlib
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from games.registry import load_tree
from games.tree_game import TreeGame
from neupl.config import Config, GraphConfig, TemperatureConfig, TrainingConfig
from neupl.evaluation import Evaluation, evaluate_population
from neupl.exact_evaluation import ExactEvaluator
from neupl.export import CompiledParts, export_population
from neupl.interaction_graph import first_equal_row
from neupl.learners.ppo import PPOExperience
from neupl.matches import draw_matches
from neupl.networks import make_network
from neupl.population_actor import Playing, PopulationActor, uniform_sink
from neupl.problem import make_problem
from neupl.rollout import make_actor_play
from neupl.sampled_evaluation import SampledEvaluator
from neupl.training import initial_state, train
from neupl.training_problem import Problem, rows_of
from neupl.training_state import TrainingState
from neupl.tree_population import TreePopulation
from neupl.types import Objective, Rows
from solvers.meta.registry import meta_solver

# One small network for all; sections of the configuration by name.
SMALL = {
    "population": {"size": 5},
    "network": {"hidden_sizes": (32,), "embedding_size": 16, "critic_hidden_size": 16},
    "learner": {"learning_rate": 1e-2, "final_learning_rate": 1e-3},
    "training": {"steps": 800, "max_steps_per_row": 80, "settle": 0.0},
}


# Strategies of the populations whose evaluation is looked at.
FEW = 3


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


class Case(NamedTuple):
    """An evaluator from episodes, of a game that is small enough to know better.

    Attributes:
      evaluator: under test.
      tables: the population on the tree.
      params: of the network, none near zero.
      objective: random rows; strategy 1 is held and strategy 2 responds.
      play: `(batch, key, Playing) -> Episodes`.
    """

    evaluator: SampledEvaluator
    tables: TreePopulation
    params: Any
    objective: Objective
    play: Any

    def evaluate(self, carried, *, key=0, num_admitted=FEW, newest=2):
        """Evaluates the parameters, which never move."""
        return self.evaluator.evaluate(
            self.params,
            self.objective,
            carried,
            num_admitted=num_admitted,
            newest=newest,
            key=jax.random.key(key),
        )

    def play_batch(self, *, lanes=1000, seed=0) -> PPOExperience:
        """Episodes as training plays them; all strategies are focal alike."""
        joint = np.asarray(self.objective.rows.joint)
        rng = np.random.default_rng(seed)
        matches = draw_matches(rng, joint, np.ones(joint.shape[:2]), lanes=lanes)
        context = Playing(self.params, self.objective.rows, matches.profile)
        returns = np.asarray(self.play(lanes, jax.random.key(100 + seed), context).returns)
        return PPOExperience(self.objective.rows, None, None, None, matches, returns)

    def exact_payoffs(self):
        """From the tree."""
        tables = np.asarray(self.tables.policies(self.params, self.objective.rows))
        solver = meta_solver("uniform")
        return evaluate_population(self.tables.tree, tables, FEW, solver=solver).payoffs


def _make_case(config, game, tree, solver) -> Case:
    tables = TreePopulation(tree, config, sink=tree.uniform_policy().astype(np.float32))
    rng = np.random.default_rng(0)
    params = jax.eval_shape(tables.init, jax.random.key(0))
    params = jax.tree.map(lambda x: rng.normal(0.0, 0.4, x.shape).astype(np.float32), params)
    num_players = tree.num_players
    profiles = FEW ** (num_players - 1)
    joint = rng.dirichlet(np.full(profiles, 0.5), size=(num_players, FEW))
    if config.population.symmetric:
        joint[:] = joint[:1]
    weights = np.zeros((2, num_players, FEW), np.float32)
    weights[0, :, 2] = weights[1, :, 1] = 1
    objective = Objective(
        rows=Rows(joint.astype(np.float32), first_equal_row(joint)),
        temperature=np.zeros((num_players, FEW), np.float32),
        respond=weights[0],
        hold=weights[1],
        teacher=params,
    )
    network = make_network(config.network, game.info.num_actions[0])
    actor = PopulationActor(game.info, network, num_tables=tables.num_tables, sink=uniform_sink)
    evaluator = SampledEvaluator(game, actor, config, meta_solver(solver))
    return Case(evaluator, tables, params, objective, make_actor_play(game, actor))


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
def make_case():
    """`(config, game, tree, solver) -> Case`."""
    return _make_case


@pytest.fixture(scope="session")
def case_of(tree_of):
    """`(game, solver, **evaluation) -> Case`; memory is perfect unless said otherwise."""

    @functools.cache
    def make(name="kuhn_poker", solver="nash", **evaluation):
        settings = {"memory": 1.0, "episodes": 2000, "final_episodes": 2000, "window": 3}
        config = _small_config(
            name,
            population={"size": FEW},
            learner={"kind": "ppo"},
            evaluation=settings | evaluation,
        )
        tree = tree_of(name)
        return _make_case(config, TreeGame(tree), tree, solver)

    return make


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
