"""Imitation: what is learned from a demonstrator that is known, and whom one may name."""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from games.types import GameInfo
from neupl.config import Config, LearnerConfig
from neupl.demonstrators import load_demonstrators
from neupl.errors import UserError
from neupl.learners.imitation import any_rows, shown_actions
from neupl.observation_statistics import normalised
from neupl.population_trainer import PopulationTrainer
from neupl.rollout import Trajectory
from neupl.stored_population import load_population
from neupl.training_problem import rows_of

_spec = importlib.util.spec_from_file_location("aim_game", Path(__file__).with_name("aim_game.py"))
aim_game = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(aim_game)

SHOWN = np.array([-0.4, 0.5])


class AimsElsewhere:
    """Sees x, answers (-0.4 x, 0.5)."""

    def initial_memory(self, batch):
        return ()

    def act(self, memory, observation, mask, key):
        wanted = jnp.stack(
            [-0.4 * observation[:, 0], jnp.full(len(observation), 0.5, jnp.float32)], axis=1
        )
        return wanted, jnp.zeros(len(observation)), ()


class Counts:
    """Answers how many decisions it has taken in its episode."""

    def initial_memory(self, batch):
        return np.zeros(batch)

    def act(self, memory, observation, mask, key):
        return memory[:, None], np.zeros(len(memory)), memory + 1


def test_a_network_becomes_like_its_demonstrator_and_as_wide_as_the_noise(
    small_config, monkeypatch, tmp_path
):
    """The critic learns what is earned: -((0.9 x)^2 + 0.8^2 + 2 * 0.2^2) of a range of 2."""
    monkeypatch.setitem(sys.modules, "aim_game", aim_game)
    monkeypatch.setitem(sys.modules, "shows", sys.modules[__name__])
    config = small_config(
        "aim_game:AimGame",
        population={"size": 1, "sink": "none"},
        graph={"kind": "self_play"},
        network={"normalise": True, "critic_reads": "observation"},
        learner={
            "kind": "ppo", "episodes": 1024, "minibatch": 256, "epochs": 4, "critic_weight": 1.0,
            "imitate": "shows:AimsElsewhere", "imitation_steps": 20, "imitation_std": 0.2,
            "imitation_learning_rate": 5e-3, "symmetry": False,
        },
        evaluation={"episodes": 16, "final_episodes": 16},
    )  # fmt: skip
    steps = dataclasses.replace(config.training, steps=20, evaluate_every=10)
    trainer, lines = PopulationTrainer(dataclasses.replace(config, training=steps)), []
    state = trainer.train(
        trainer.initial_state(), on_evaluation=lambda _, metrics: lines.append(metrics)
    )
    trainer.export(tmp_path / "population", state)
    x = np.linspace(-0.9, 0.9, 7, dtype=np.float32)[:, None]
    policy = load_population(tmp_path / "population").policy(0, seat=0)
    parameters = np.asarray(policy.every(x, np.ones((7, 2), bool)))[0]
    np.testing.assert_allclose(parameters[:, :1], -0.4 * x, atol=0.06)
    np.testing.assert_allclose(parameters[:, 1], 0.5, atol=0.06)
    np.testing.assert_allclose(np.exp(parameters[:, 2:]), 0.2, rtol=0.2)
    # Normal noise of 0.2 in two numbers surprises by twice log 0.2 + 1.419 nats.
    assert lines[-1]["train/imitation_surprise"] == pytest.approx(-0.38, abs=0.15)
    # The error that is left is the spread of what noise costs.
    assert lines[-1]["train/critic_error"] < 0.05


def test_what_was_shown_is_asked_for_again_episode_by_episode():
    """Lane 0 plays episodes of two steps, in lane 1 the seat does not move at t = 1."""
    moves = np.ones((4, 2, 1), bool)
    moves[1, 1] = False
    trajectory = Trajectory(
        observation=np.zeros((4, 2, 1, 1), np.float32),
        legal_mask=np.ones((4, 2, 1, 1), bool),
        to_move=moves,
        action=np.full((4, 2, 1, 1), 9, np.float32),
        log_prob=None, value=None, rewards=None,
        discount=np.array([[1, 1], [0, 1], [1, 1], [0, 1]], np.float32),
        member=None,
    )  # fmt: skip
    shown = shown_actions([Counts()], trajectory)[:, :, 0, 0]
    np.testing.assert_array_equal(shown, [[0, 0], [1, 0], [0, 1], [1, 2]])


def test_what_never_varied_means_nothing():
    seen = np.array([[3.0, 3.0]], np.float32)
    found = normalised(seen, np.array([1.0, 1.0]), np.array([4.0, 0.0]))
    np.testing.assert_allclose(found, [[1.0, 0.0]], rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere:Policy", "no policy is there"),
        ("soccer.bots:TURN_RATE", "no policy is there"),
        ("collections:OrderedDict", "OrderedDict, not a policy"),
        ("no/such/run", "there is no population"),
    ],
)
def test_who_cannot_demonstrate_is_an_error(name, message):
    info: GameInfo = aim_game.AimGame.info
    with pytest.raises(UserError, match=message):
        load_demonstrators(name, info)


def test_only_ppo_imitates():
    Config(learner=LearnerConfig(kind="ppo", imitate="soccer.bots:Walker"))
    with pytest.raises(ValueError, match=r"learner\.imitate is 'soccer\.bots:Walker'"):
        Config(learner=LearnerConfig(imitate="soccer.bots:Walker"))


def test_rows_of_demonstrations_tell_all_strategies_apart():
    """Before the second response is admitted its row is empty, as that of strategy 0 is; a player
    alone has one row all the time.
    """
    joint = np.zeros((2, 4, 4))
    joint[:, 1, 0] = 1
    rng = np.random.default_rng(0)
    drawn = [any_rows(rng, rows_of(joint)) for _ in range(200)]
    assert all((rows.identity == np.arange(4)).all() for rows in drawn)
    rows = np.stack([rows.joint for rows in drawn])
    np.testing.assert_allclose(rows.sum(axis=-1), 1, atol=1e-5)
    # Every opponent alike, and vertices as well as mixtures.
    np.testing.assert_allclose(rows.mean(axis=0), 0.25, atol=0.1)
    assert (rows.max(axis=-1) > 0.99).any() and (rows.max(axis=-1) < 0.5).any()
    alone = any_rows(rng, rows_of(np.ones((1, 1, 1))))
    assert alone.joint.tolist() == [[[1.0]]] and alone.identity.tolist() == [[0]]
