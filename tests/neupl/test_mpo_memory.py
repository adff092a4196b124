"""MPO of a network with a memory: replayed episodes are gone through from their beginning."""

import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest

from neupl.interaction_graph import first_equal_row
from neupl.learners import make_mpo_learner
from neupl.networks import make_network
from neupl.population_actor import PopulationActor, uniform_sink
from neupl.types import Objective, Rows

_spec = importlib.util.spec_from_file_location("cue_game", Path(__file__).with_name("cue_game.py"))
cue_game = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cue_game)

SIZE = 2


@pytest.fixture(scope="module")
def learner(small_config):
    config = small_config(
        "cue",
        population={"size": SIZE},
        network={
            "memory": "gru", "memory_size": 8, "encoder_sizes": (8,), "hidden_sizes": (8,),
            "embedding_size": 4, "critic_hidden_size": 8, "critic": "action_values",
        },
        learner={
            "kind": "mpo", "episodes": 128, "minibatch": 320, "learning_rate": 2e-2,
            "final_learning_rate": 2e-2, "max_gradient_norm": 10.0, "replay": 2,
        },
    )  # fmt: skip
    game = cue_game.CueGame()
    actor = PopulationActor(
        game.info, make_network(config.network, 2), num_tables=2, sink=uniform_sink
    )
    return make_mpo_learner(game, actor, config)


@pytest.fixture(scope="module")
def task():
    """Strategy 1 of seat 0 responds to strategy 0."""
    joint, respond = np.zeros((2, SIZE, SIZE), np.float32), np.zeros((2, SIZE), np.float32)
    joint[:, 1, 0], respond[0, 1] = 1.0, 1.0
    rows = Rows(joint, first_equal_row(joint))
    return Objective(rows, np.full((2, SIZE), 0.01, np.float32), respond, 0 * respond, ())


def test_replayed_decisions_are_as_probable_as_they_were(learner, task):
    """With any parameters, since a forgetful network would hide what is remembered wrongly."""
    rng, state = np.random.default_rng(0), learner.init(jax.random.key(0))
    params = jax.tree.map(lambda x: rng.normal(0, 0.7, x.shape).astype(np.float32), state.params)
    experience = learner.collect(params, task._replace(teacher=params), jax.random.key(1))
    _, metrics = learner.update(state._replace(params=params), experience, jax.random.key(2))
    assert abs(metrics["replay/behaviour_divergence"]) < 1e-5
    # Of other parameters they are not.
    _, metrics = learner.update(state, experience, jax.random.key(2))
    assert abs(metrics["replay/behaviour_divergence"]) > 1e-2


def test_cues_are_remembered(learner, task):
    """By chance a return is 0 on average, with standard error 0.09 in a batch."""
    state, returns = learner.init(jax.random.key(0)), []
    for number in range(60):
        collect_key, update_key = jax.random.split(jax.random.key(1 + number))
        experience = learner.collect(state.params, task._replace(teacher=state.params), collect_key)
        state, metrics = learner.update(state, experience, update_key)
        assert np.isfinite(metrics["train/loss"])
        returns.append(experience.returns[:, 0].mean())
    assert abs(returns[0]) < 0.5
    assert np.mean(returns[-5:]) > 0.9
