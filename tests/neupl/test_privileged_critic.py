"""Critics that know more than the policy: what they learn of it, and that nobody else needs it."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games.critic_view import with_critic_view
from games.types import GameError, Mirror
from neupl.config import Config, LearnerConfig, NetworkConfig
from neupl.errors import UserError
from neupl.learners.ppo import make_ppo_learner
from neupl.learners.seen_by_network import as_critics_see
from neupl.networks import make_network
from neupl.observation_statistics import COLLECTION, PRIVILEGED_COLLECTION
from neupl.population_actor import PopulationActor, Seen, apply_network
from neupl.types import Objective, Rows

_spec = importlib.util.spec_from_file_location(
    "hold_game", Path(__file__).with_name("hold_game.py")
)
hold_game = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hold_game)

ROWS = Rows(np.ones((1, 1, 1), np.float32), np.zeros((1, 1), np.int32))


def trained(small_config, critic_reads):
    """Network, parameters and the last metrics of 15 batches of the lottery."""
    config = small_config(
        "lottery",
        population={"size": 1, "sink": "none"},
        graph={"kind": "self_play"},
        network={
            "hidden_sizes": (8,), "embedding_size": 2, "critic_hidden_size": 8,
            "critic_reads": critic_reads, "normalise": True,
        },
        learner={
            "kind": "ppo", "episodes": 512, "minibatch": 128, "epochs": 4, "critic_weight": 1.0,
            "learning_rate": 2e-2, "final_learning_rate": 2e-2,
        },
    )  # fmt: skip
    game = hold_game.Lottery()
    network = make_network(config.network, 2)
    actor = PopulationActor(game.info, network, num_tables=1, sink=None)
    learner = make_ppo_learner(game, actor, config)
    state, one = learner.init(jax.random.key(0)), np.ones((1, 1), np.float32)
    for number in range(15):
        objective = Objective(ROWS, 0.01 * one, one, 0 * one, state.params)
        collect_key, update_key = jax.random.split(jax.random.key(1 + number))
        experience = learner.collect(state.params, objective, collect_key)
        state, metrics = learner.update(state, experience, update_key)
    return network, state.params, metrics


@pytest.fixture(scope="module")
def told(small_config):
    return trained(small_config, "privileged")


def test_a_critic_learns_what_only_it_is_told(told):
    """Returns of -1 and 1 are half a payoff range from their mean."""
    assert told[2]["train/critic_error"] < 0.005


@pytest.mark.slow
def test_who_is_not_told_cannot_know(small_config):
    """The variance of the returns is left, 1/4."""
    *_, metrics = trained(small_config, "observation")
    assert abs(metrics["train/critic_error"] - 0.25) < 0.01


def test_what_it_is_told_has_statistics_of_its_own(told):
    _, params, _ = told
    statistics = params[PRIVILEGED_COLLECTION]
    # 15 batches of 512 draws: five standard errors.
    np.testing.assert_allclose(statistics["mean"], 5000, atol=5 * 1000 / np.sqrt(15 * 512))
    np.testing.assert_allclose(np.sqrt(statistics["variance"]), 1000, rtol=0.05)
    assert statistics["count"] == params[COLLECTION]["count"] == 15 * 512
    assert params[COLLECTION]["mean"].shape == (1,)


def test_who_plays_needs_none_of_it(told):
    network, params, _ = told
    zeros = jnp.zeros((3, 1), jnp.int32)
    seen = Seen(jnp.ones((3, 1)), jnp.ones((3, 2), bool), zeros[:, 0], zeros)
    rows = jax.tree.map(jnp.asarray, ROWS)
    policy, value = apply_network(network, params, rows, seen, num_tables=1)
    lots = jnp.array([[4000.0, 5000.0], [6000.0, 5000.0], [6000.0, 4000.0]])
    same, known = apply_network(network, params, rows, seen._replace(privileged=lots), num_tables=1)
    np.testing.assert_array_equal(policy, same)
    assert not np.asarray(value).any()
    np.testing.assert_allclose(known, [-0.5, 0.5, 0.5], atol=0.1)


def test_the_view_of_critics_goes_on_behind_the_observation():
    game = hold_game.HoldGame()
    view = with_critic_view(game)
    assert view.info.observation_size == (4,) and view.mirror is None
    state = view.init(jax.random.key(3))
    np.testing.assert_allclose(view.observe(state, 0), [state.cue, 1, 0, state.cue])
    game.mirror = Mirror(
        np.array([0, 2, 1]), np.array([-1, 1, 1]), np.array([0]), np.array([-1]),
        privileged_order=np.array([0]), privileged_sign=np.array([-1]),
    )  # fmt: skip
    mirror = with_critic_view(game).mirror
    np.testing.assert_array_equal(mirror.observation_order, [0, 2, 1, 3])
    np.testing.assert_array_equal(mirror.observation_sign, [-1, 1, 1, -1])
    lots = with_critic_view(hold_game.Lottery())
    states = lots.init(np.arange(4, dtype=np.uint64))
    assert lots.observe(states).shape == (4, 1, 3)


def test_games_without_secrets_and_learners_without_such_critics_say_so():
    game = hold_game.HoldGame()
    game.info = game.info._replace(privileged_size=0)
    with pytest.raises(GameError, match="shows critics no more than players"):
        with_critic_view(game)
    network = NetworkConfig(critic_reads="privileged")
    with pytest.raises(UserError, match="'privileged', but hold_game:HoldGame shows critics no"):
        as_critics_see(game, network)
    Config(network=network, learner=LearnerConfig(kind="ppo"))
    with pytest.raises(ValueError, match=r"network\.critic_reads is 'privileged'"):
        Config(network=network)
