"""Populations whose actions are vectors of numbers: what they learn where the optimum is known, and
what is left of them on disk.
"""

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
import scipy.stats

from neupl.action_distribution import GAUSSIAN
from neupl.alone import return_certificate
from neupl.errors import UserError
from neupl.learners.decisions import Decisions
from neupl.learners.mirror_image import half_mirrored
from neupl.networks import make_network
from neupl.population import Population
from neupl.population_actor import Playing, PopulationActor, Seen
from neupl.population_trainer import PopulationTrainer
from neupl.rollout import make_actor_play, make_play
from neupl.stored_population import load_population
from neupl.training_problem import rows_of
from neupl.training_state import from_arrays, to_arrays

_spec = importlib.util.spec_from_file_location("aim_game", Path(__file__).with_name("aim_game.py"))
aim_game = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(aim_game)

GAME = "aim_game:AimGame"
STEPS, EVALUATE_EVERY = 60, 20
# Of the entropy, in points per nat; the game's payoff range is 2.
TEMPERATURE = 0.08
MPO_BATCH = {"episodes": 512, "epochs": 4}
MPO_NETWORK = {
    "critic": "action_values", "critic_reads": "features", "critic_hidden_size": 32,
    "embedding_size": 8,
}  # fmt: skip


class Trained(NamedTuple):
    """A run in memory and on disk.

    Attributes:
      trainer: what trained.
      states: after every evaluation, and what `train` returned.
      population: as exported and loaded.
    """

    trainer: PopulationTrainer
    states: list[Any]
    population: Population


@pytest.fixture(scope="module")
def aim_config(small_config):
    """`(**sections) -> Config` of a player alone."""

    def make(**sections):
        defaults = {
            "population": {"size": 1, "sink": "none"},
            "graph": {"kind": "self_play"},
            "network": {"normalise": True, "critic_reads": "observation"},
            "temperature": {"scale": TEMPERATURE / 2, "floor": 0.0},
            "learner": {
                "kind": "ppo", "episodes": 1024, "minibatch": 512, "epochs": 2, "symmetry": True,
                "learning_rate": 1e-2, "final_learning_rate": 1e-3, "critic_weight": 1.0,
            },
            "evaluation": {"episodes": 64, "final_episodes": 4000},
            "training": {"steps": STEPS, "evaluate_every": EVALUATE_EVERY},
        }  # fmt: skip
        for name, section in sections.items():
            defaults[name] = defaults[name] | section
        config = small_config(GAME, **{k: v for k, v in defaults.items() if k != "training"})
        changed = dataclasses.replace(config.training, **defaults["training"])
        return dataclasses.replace(config, training=changed)

    return make


@pytest.fixture(scope="module")
def trained(aim_config, tmp_path_factory):
    """A run of 60 batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "aim_game", aim_game)
        trainer = PopulationTrainer(aim_config())
    states = []
    final = trainer.train(
        trainer.initial_state(), on_evaluation=lambda state, _: states.append(state)
    )
    folder = tmp_path_factory.mktemp("aim") / "population"
    trainer.export(folder, final)
    return Trained(trainer, [*states, final], load_population(folder))


def asked(population, x):
    """Mean and standard deviation of the strategy where it sees `x` `[N]`."""
    seen = np.asarray(x, np.float32)[:, None]
    policy = population.policy(0, seat=0)
    parameters = np.asarray(policy.every(seen, np.ones((len(seen), 2), bool)))[0]
    return parameters[:, :2], np.exp(parameters[:, 2:])


def test_ppo_finds_the_best_policy_with_entropy(trained):
    """Normal around (x / 2, -0.3) with a variance of half the temperature, and symmetric."""
    x = np.linspace(-0.9, 0.9, 7)
    mean, std = asked(trained.population, x)
    np.testing.assert_allclose(mean, np.stack([x / 2, np.full(7, -0.3)], axis=1), atol=0.06)
    np.testing.assert_allclose(std, np.sqrt(TEMPERATURE / 2), rtol=0.15)


def test_a_resumed_run_is_the_same_to_the_bit(trained):
    first, *_, final = trained.states
    template = trained.trainer.initial_state()
    resumed = from_arrays(template, to_arrays(first))
    assert int(resumed.learner.step) == EVALUATE_EVERY
    again = trained.trainer.train(resumed, on_evaluation=lambda *_: None)
    for name, array in to_arrays(final).items():
        np.testing.assert_array_equal(to_arrays(again)[name], array, err_msg=name)
    assert any("normalisation" in name for name in to_arrays(final))


def test_the_certificate_is_the_mean_return_of_fresh_episodes(trained):
    """Five standard errors of 4,000 and of 4,000 episodes: false alarms below 1e-6."""
    best = trained.states[-1].best
    certificate = return_certificate(best, game=GAME, name="RUN").certificate
    low, high = certificate.interval
    assert certificate.quantity == "mean_return" and low < certificate.value < high
    played = make_play(aim_game.AimGame(), [trained.population.policy(0, seat=0)])
    returns = np.asarray(played(4000, jax.random.key(5)).returns)[:, 0]
    error = np.hypot((high - low) / 3.92, returns.std() / np.sqrt(len(returns)))
    assert abs(returns.mean() - certificate.value) < 5 * error
    # Its spread costs twice its variance, which the likeliest actions save.
    assert abs(certificate.value + TEMPERATURE) < 0.02
    surest = make_play(aim_game.AimGame(), [trained.population.policy(0, seat=0, likeliest=True)])
    assert np.asarray(surest(256, jax.random.key(6)).returns).mean() > -0.01


def test_actions_are_recorded_with_their_log_density(trained):
    state = trained.states[-1]
    network = make_network(trained.trainer.config.network, GAUSSIAN.num_outputs(2))
    actor = PopulationActor(aim_game.AimGame.info, network, num_tables=1, sink=None)
    play = make_actor_play(aim_game.AimGame(), actor, record=True)
    profile = np.zeros((32, 1), np.int32)
    rows = rows_of(state.joint)
    trajectory = play(
        32, jax.random.key(0), Playing(state.learner.params, rows, profile)
    ).trajectory
    action = np.asarray(trajectory.action)[0, :, 0]
    assert action.shape == (32, 2)
    seen = np.asarray(trajectory.observation)[0, :, 0, 0]
    mean, std = asked(trained.population, seen)
    expected = scipy.stats.norm(mean, std).logpdf(action).sum(axis=1)
    np.testing.assert_allclose(np.asarray(trajectory.log_prob)[0, :, 0], expected, rtol=1e-3)


def test_policies_without_a_key_and_tables_say_what_they_need(trained):
    population = trained.population
    seen, mask = np.zeros((3, 1), np.float32), np.ones((3, 2), bool)
    surest = population.policy(0, seat=0, likeliest=True)
    action, log_density, _ = surest.act(surest.initial_memory(3), seen, mask, None)
    np.testing.assert_allclose(action, asked(population, np.zeros(3))[0], rtol=1e-6)
    assert not np.asarray(log_density).any()
    drawn = population.policy(0, seat=0)
    with pytest.raises(ValueError, match="a policy that draws needs a key"):
        drawn.act(drawn.initial_memory(3), seen, mask, None)
    with pytest.raises(ValueError, match="those of aim_game:AimGame are continuous"):
        population.probabilities(0, seen, mask)


def test_half_of_the_decisions_are_mirrored():
    rng = np.random.default_rng(0)
    number = 4000
    observation = rng.normal(size=(number, 1)).astype(np.float32)
    action = rng.normal(size=(number, 2)).astype(np.float32)
    zeros = np.zeros(number, np.float32)
    seen = Seen(observation, np.ones((number, 2), bool), zeros, zeros[:, None])
    decisions = Decisions(seen, action, *[np.arange(number, dtype=np.float32)] * 7)
    found = half_mirrored(decisions, aim_game.AimGame.mirror, rng)
    turned = found.seen.observation[:, 0] == -observation[:, 0]
    assert 0.45 < turned.mean() < 0.55
    sign = np.where(turned, -1, 1)
    np.testing.assert_array_equal(found.seen.observation[:, 0], sign * observation[:, 0])
    np.testing.assert_array_equal(found.action, action * np.stack([sign, sign**2], axis=1))
    np.testing.assert_array_equal(found.advantage, decisions.advantage)


def test_a_player_alone_has_one_strategy(aim_config, monkeypatch):
    monkeypatch.setitem(sys.modules, "aim_game", aim_game)
    with pytest.raises(UserError, match="has one player, who meets nobody"):
        PopulationTrainer(aim_config(population={"size": 2}))


def test_a_game_without_mirror_image_is_an_error(small_config):
    config = small_config("kuhn_poker", learner={"kind": "ppo", "symmetry": True})
    with pytest.raises(UserError, match="has no mirror image"):
        PopulationTrainer(config)


def test_uniform_sinks_are_as_wide_as_the_range():
    parameters = np.asarray(GAUSSIAN.uniform(np.ones((2, 3), bool)))
    np.testing.assert_allclose(np.exp(parameters[:, 3:]), 1 / np.sqrt(3), rtol=1e-6)


@pytest.mark.slow
def test_mpo_finds_the_best_policy_with_entropy_too(aim_config, tmp_path):
    """Of draws that are weighed against each other, by a critic that is told them: its values must
    be right to a small part of the temperature, which takes it more steps than PPO.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "aim_game", aim_game)
        config = aim_config(
            learner={"kind": "mpo", "symmetry": False, "critic_weight": 5.0} | MPO_BATCH,
            network=MPO_NETWORK,
            training={"steps": 4 * STEPS},
        )
        trainer = PopulationTrainer(config)
        final = trainer.train(trainer.initial_state(), on_evaluation=lambda *_: None)
        trainer.export(tmp_path / "population", final)
    x = np.linspace(-0.9, 0.9, 7)
    mean, std = asked(load_population(tmp_path / "population"), x)
    np.testing.assert_allclose(mean, np.stack([x / 2, np.full(7, -0.3)], axis=1), atol=0.06)
    np.testing.assert_allclose(std, np.sqrt(TEMPERATURE / 2), rtol=0.15)
