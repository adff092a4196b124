"""A small run of NeuPL-JPSRO that several modules look at."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pytest

from games.registry import load_tree
from neupl.config import (
    JPSRO_DEFAULTS,
    JPSRO_PPO_DEFAULTS,
    Config,
    JPSROConfig,
    LearnerConfig,
    NetworkConfig,
    PopulationConfig,
    TrainingConfig,
)
from neupl.jpsro.problem import make_joint_problem
from neupl.jpsro.state import JointState
from neupl.jpsro.training import initial_state, train
from neupl.jpsro.types import JointProblem

GAME = "kuhn_poker(players=3)"
SIZE = 6


class TrainedJoint(NamedTuple):
    """A finished run.

    Attributes:
      problem: what was trained.
      states: after every evaluation, the first one before any.
      lines: metrics of every evaluation.
    """

    problem: JointProblem
    states: list[JointState]
    lines: list[dict[str, Any]]


def _joint_config(game: str = GAME, **jpsro: Any) -> Config:
    """A small configuration with the defaults of such runs otherwise."""
    training = TrainingConfig(steps=1200, evaluate_every=20, max_steps_per_row=200)
    return dataclasses.replace(
        JPSRO_DEFAULTS,
        game=game,
        population=PopulationConfig(size=SIZE),
        network=NetworkConfig(hidden_sizes=(48, 48), embedding_size=16),
        learner=LearnerConfig(learning_rate=4e-3, final_learning_rate=4e-4),
        training=training,
        jpsro=JPSROConfig(**jpsro),
    )


@pytest.fixture(scope="session")
def joint_config():
    """`(game, **jpsro) -> Config`: small runs."""
    return _joint_config


@pytest.fixture(scope="session")
def joint_problem() -> JointProblem:
    """Three-player Kuhn poker, compiled once."""
    config = _joint_config()
    return make_joint_problem(config, load_tree(config.game))


@pytest.fixture(scope="session")
def joint_run(joint_problem, trained) -> TrainedJoint:
    """Trained on three-player Kuhn poker until the population is full."""
    return trained(joint_problem, initial_state(joint_problem))


@pytest.fixture(scope="session")
def ppo_config():
    """`(game, **jpsro) -> Config`: small runs that learn from episodes, three iterations long."""

    def config(game: str = GAME, **jpsro: Any) -> Config:
        return dataclasses.replace(
            JPSRO_PPO_DEFAULTS,
            game=game,
            population=PopulationConfig(size=5),
            network=NetworkConfig(
                hidden_sizes=(32, 32), embedding_size=16, critic_hidden_size=16
            ),
            learner=LearnerConfig(
                kind="ppo", learning_rate=1e-2, final_learning_rate=1e-3,
                episodes=1024, minibatch=512, clip=0.5,
            ),
            training=TrainingConfig(steps=24, evaluate_every=4, max_steps_per_row=8),
            jpsro=dataclasses.replace(JPSRO_PPO_DEFAULTS.jpsro, **jpsro),
        )  # fmt: skip

    return config


@pytest.fixture(scope="session")
def trained():
    """`(problem, state) -> TrainedJoint`: the rest of a run."""

    def run(problem: JointProblem, state: JointState) -> TrainedJoint:
        states, lines = [state], []

        def record(state: JointState, line: dict[str, float]) -> None:
            states.append(state)
            lines.append(line)

        train(problem, state, on_evaluation=record)
        return TrainedJoint(problem, states, lines)

    return run


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
