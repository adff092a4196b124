"""Networks with a memory whose actions are vectors of numbers: what they are told, and learn."""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neupl.action_distribution import GAUSSIAN
from neupl.config import Config, LearnerConfig, NetworkConfig
from neupl.errors import UserError
from neupl.learners.unrolls import LaneSteps, lane_memory, previous_actions
from neupl.networks import make_network, observation_size
from neupl.observation_statistics import COLLECTION, PRIVILEGED_COLLECTION
from neupl.population_trainer import PopulationTrainer
from neupl.recurrent_network import no_recall
from neupl.rollout import make_play
from neupl.stored_population import load_population
from neupl.types import Rows

_spec = importlib.util.spec_from_file_location(
    "hold_game", Path(__file__).with_name("hold_game.py")
)
hold_game = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hold_game)

HIDDEN = 16


@pytest.fixture(scope="module")
def hold_config(small_config):
    """`(**sections) -> Config` of a player alone that remembers, with a privileged critic."""

    def make(steps, **learner):
        config = small_config(
            "hold_game:HoldGame",
            population={"size": 1, "sink": "none"},
            graph={"kind": "self_play"},
            network={
                "memory": "gru", "memory_size": HIDDEN, "encoder_sizes": (16,),
                "hidden_sizes": (16,), "critic_hidden_size": 16, "embedding_size": 2,
                "normalise": True, "critic_reads": "privileged",
            },
            temperature={"scale": 1e-4, "floor": 0.0},
            learner={
                "kind": "ppo", "episodes": 512, "minibatch": 512, "epochs": 4, "unroll": 2,
                "critic_weight": 1.0, "learning_rate": 1e-2, "final_learning_rate": 1e-3,
            } | learner,
            evaluation={"episodes": 64, "final_episodes": 1000},
        )  # fmt: skip
        training = dataclasses.replace(config.training, steps=steps, evaluate_every=steps // 2)
        return dataclasses.replace(config, training=training)

    return make


def trained(config, folder):
    """The population of a run as exported and loaded, its last metrics, and the network's state."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "hold_game", hold_game)
        trainer, lines = PopulationTrainer(config), []
        state = trainer.train(
            trainer.initial_state(), on_evaluation=lambda _, metrics: lines.append(metrics)
        )
        trainer.export(folder, state)
    return load_population(folder), lines, state


def mean_return(population, **options):
    """Of 2,000 episodes, played by what was exported."""
    played = make_play(hold_game.HoldGame(), [population.policy(0, seat=0, **options)])
    return float(np.asarray(played(2000, jax.random.key(5)).returns).mean())


@pytest.mark.slow
def test_ppo_remembers_what_continuous_actions_need(hold_config, tmp_path):
    """Without a memory nothing is better than -1/12; here unrolls of two steps cut episodes."""
    population, lines, state = trained(hold_config(80), tmp_path / "population")
    assert mean_return(population, likeliest=True) > -0.02
    assert lines[-1]["train/critic_error"] < 0.01
    assert {COLLECTION, PRIVILEGED_COLLECTION} <= set(state.learner.params)
    assert population.observation_size == 3


@pytest.mark.slow
def test_a_memory_imitates_who_remembers(hold_config, tmp_path):
    """It is told what was played, with noise, and does what was shown."""
    settings = {
        "imitate": "hold_game:Holder", "imitation_steps": 30, "imitation_std": 0.1,
        "imitation_learning_rate": 1e-2,
    }  # fmt: skip
    population, lines, _ = trained(hold_config(30, **settings), tmp_path / "population")
    assert mean_return(population, likeliest=True) > -0.01
    # Normal noise of 0.1 surprises by log 0.1 + 1.419 nats.
    assert lines[-1]["train/imitation_surprise"] == pytest.approx(-0.88, abs=0.2)
    drawn = mean_return(population)
    assert -0.03 < drawn < mean_return(population, likeliest=True)


def test_previous_continuous_actions_are_remembered_within_episodes():
    action = np.arange(1, 9, dtype=np.float32).reshape(4, 1, 2)
    moved = np.array([[True], [False], [True], [True]])
    fresh = np.array([[True], [False], [False], [True]])
    found = previous_actions(action, moved=moved, fresh=fresh)
    np.testing.assert_array_equal(found[:, 0], [[0, 0], [1, 2], [1, 2], [0, 0]])


@pytest.mark.slow
def test_a_memory_is_told_the_last_action_as_far_as_it_was_done():
    """Beyond 1 an action is 1; lanes that are gone along are remembered as they are played."""
    config = NetworkConfig(
        memory="gru", memory_size=4, encoder_sizes=(), hidden_sizes=(4,), embedding_size=2,
        critic_hidden_size=4, use_index=False, normalise=True,
    )  # fmt: skip
    network = make_network(config, GAUSSIAN.num_outputs(2), continuous=True)
    rows = Rows(jnp.ones((1, 1, 1)), jnp.zeros((1, 1), jnp.int32))
    one, recall = jnp.ones((1, 1)), no_recall(1, 4, action_length=2)
    params = network.init(
        jax.random.key(0), jnp.zeros((1, 3)), one, recall, rows, one[..., None], method="first"
    )
    assert observation_size(config, params, 1, num_actions=2) == 3
    rng = np.random.default_rng(0)
    observation = rng.normal(size=(3, 1, 3)).astype(np.float32)
    action = np.array([[[0.3, -2.0]], [[5.0, 0.1]], [[0.0, 0.0]]], np.float32)
    moved = np.ones((3, 1), bool)
    fresh = np.array([[True], [False], [False]])
    previous = previous_actions(action, moved=moved, fresh=fresh)
    steps = LaneSteps(observation, previous, fresh, moved)
    along = lane_memory(network, params, steps, np.zeros(1, np.int32), num_tables=1)
    for t in range(3):
        seen = jnp.asarray(observation[t])
        hidden = network.apply(params, seen, one, recall, method="remember")
        np.testing.assert_allclose(along[t], hidden, atol=1e-6)
        recall = recall._replace(hidden=hidden, action=jnp.clip(action[t], -1, 1))


def test_what_a_memory_cannot_do_is_said():
    gru = NetworkConfig(memory="gru", normalise=True)
    ppo = LearnerConfig(kind="ppo", imitate="hold_game:Holder")
    Config(network=gru, learner=ppo)
    with pytest.raises(ValueError, match=r"learner\.symmetry is True: .* has no mirror image"):
        Config(network=gru, learner=dataclasses.replace(ppo, symmetry=True))
    with pytest.raises(ValueError, match=r"network\.critic_reads is 'observation'"):
        Config(network=dataclasses.replace(gru, critic_reads="observation"), learner=ppo)


def test_mpo_with_a_memory_takes_ids_alone(hold_config, monkeypatch):
    monkeypatch.setitem(sys.modules, "hold_game", hold_game)
    config = hold_config(2)
    critic = {"critic": "action_values", "critic_reads": "features"}
    config = dataclasses.replace(
        config,
        network=dataclasses.replace(config.network, **critic),
        learner=dataclasses.replace(config.learner, kind="mpo"),
    )
    with pytest.raises(UserError, match="MPO's critic has no memory of those"):
        PopulationTrainer(config)
