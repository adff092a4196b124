"""A network per strategy: every decision is its owner's, and only who learns moves."""

import dataclasses
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from neupl.config import (
    Config,
    LearnerConfig,
    NetworkConfig,
    PopulationConfig,
    TrainingConfig,
)
from neupl.learners.optimizer import Optimizer, make_restart
from neupl.observation_statistics import COLLECTION, updated_statistics
from neupl.separate_networks import BLOCK, PlainNetwork, SeparateNetworks, per_network
from neupl.stored_population import load_population
from neupl.types import LearnerState, Rows

NUM_PLAYERS, NUM_STRATEGIES, NUM_ACTIONS, OBSERVATION_SIZE = 3, 4, 3, 5
NETWORK = SeparateNetworks(num_actions=NUM_ACTIONS, hidden_sizes=(8, 6), critic_hidden_size=7)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    joint = rng.dirichlet(np.ones(NUM_STRATEGIES**2), (NUM_PLAYERS, NUM_STRATEGIES))
    identity = np.tile(np.arange(NUM_STRATEGIES), (NUM_PLAYERS, 1))
    return Rows(jnp.asarray(joint, jnp.float32), jnp.asarray(identity, jnp.int32))


@pytest.fixture(scope="module")
def params(rows):
    nothing = (jnp.zeros((1, OBSERVATION_SIZE)), jnp.zeros((1, NUM_PLAYERS)))
    return jax.jit(NETWORK.init)(jax.random.key(1), *nothing, rows, rows.joint)


def plain_forward(params, number, observation, met):
    """The definition, for one network and one observation, in float64."""
    own = jax.tree.map(lambda leaf: np.asarray(leaf[number], np.float64), params["params"])
    own = own["networks"]
    hidden = observation
    for layer in ("hidden_0", "hidden_1"):
        hidden = np.maximum(hidden @ own[layer]["kernel"] + own[layer]["bias"], 0)
    logits = hidden @ own["policy"]["kernel"] + own["policy"]["bias"]
    features = np.concatenate([hidden, met]) @ own["critic_hidden"]["kernel"]
    features = np.maximum(features + own["critic_hidden"]["bias"], 0)
    return logits, (features @ own["critic"]["kernel"] + own["critic"]["bias"])[0]


@pytest.mark.parametrize("number", [pytest.param(1, marks=pytest.mark.slow), 5, 3 * BLOCK + 17])
def test_each_decision_is_made_by_its_owner(rows, params, number):
    rng = np.random.default_rng(number)
    observation = rng.standard_normal((number, OBSERVATION_SIZE)).astype(np.float32)
    seat = rng.integers(0, NUM_PLAYERS, number)
    # Some strategies own many decisions, some none.
    profile = rng.integers(0, NUM_STRATEGIES - 1, (number, NUM_PLAYERS))
    logits, value = NETWORK.apply(
        params,
        jnp.asarray(observation),
        jax.nn.one_hot(seat, NUM_PLAYERS),
        rows,
        profile=jax.nn.one_hot(profile, NUM_STRATEGIES),
    )
    for i in range(number):
        met = np.eye(NUM_STRATEGIES)[profile[i, 1:]].reshape(-1)
        owner = seat[i] * NUM_STRATEGIES + profile[i, 0]
        expected, worth = plain_forward(params, owner, observation[i], met)
        np.testing.assert_allclose(logits[i], expected, atol=1e-5)
        np.testing.assert_allclose(value[i], worth, atol=1e-5)


def test_all_strategies_at_every_observation(rows, params):
    rng = np.random.default_rng(2)
    seat = np.array([0, 2, 1, 1])
    observation = rng.standard_normal((4, OBSERVATION_SIZE)).astype(np.float32)
    one_hot = jax.nn.one_hot(seat, NUM_PLAYERS)
    logits, value = NETWORK.apply(params, jnp.asarray(observation), one_hot, rows, rows.joint)
    assert logits.shape == (NUM_STRATEGIES, 4, NUM_ACTIONS) and value.shape == (NUM_STRATEGIES, 4)
    for strategy in range(NUM_STRATEGIES):
        for i in range(4):
            cube = np.asarray(rows.joint[seat[i], strategy]).reshape(NUM_STRATEGIES, NUM_STRATEGIES)
            met = np.concatenate([cube.sum(1), cube.sum(0)])
            owner = seat[i] * NUM_STRATEGIES + strategy
            expected, worth = plain_forward(params, owner, observation[i], met)
            np.testing.assert_allclose(logits[strategy, i], expected, atol=1e-5)
            np.testing.assert_allclose(value[strategy, i], worth, atol=1e-5)


def test_each_network_normalises_by_what_it_has_seen_itself(rows):
    """And its critic reads what it normalised."""
    network = dataclasses.replace(NETWORK, critic_observes=True, normalise=True)
    nothing = (jnp.zeros((1, OBSERVATION_SIZE)), jnp.zeros((1, NUM_PLAYERS)))
    params = jax.jit(network.init)(jax.random.key(1), *nothing, rows, rows.joint)
    rng = np.random.default_rng(3)
    seen = rng.normal(1.0, 3.0, (40, OBSERVATION_SIZE)).astype(np.float32)
    seat, profile = rng.integers(0, 2, 40), rng.integers(1, 3, (40, NUM_PLAYERS))
    owner = seat * NUM_STRATEGIES + profile[:, 0]
    params = updated_statistics(params, seen[:25], owner=owner[:25])
    params = updated_statistics(params, seen[25:], owner=owner[25:])
    one_hot = jax.nn.one_hot(profile, NUM_STRATEGIES)
    logits, value = network.apply(
        params, jnp.asarray(seen), jax.nn.one_hot(seat, NUM_PLAYERS), rows, profile=one_hot
    )
    counts = np.bincount(owner, minlength=NUM_PLAYERS * NUM_STRATEGIES)
    np.testing.assert_array_equal(params[COLLECTION]["count"], counts)
    for i in range(40):
        of_owner = seen[owner == owner[i]]
        shown = (seen[i] - of_owner.mean(0)) / np.sqrt(of_owner.var(0) + 1e-4)
        own = jax.tree.map(lambda leaf, k=owner[i]: leaf[k], params["params"]["networks"])
        plain = PlainNetwork(NUM_ACTIONS, (8, 6), 7, critic_observes=True)
        expected = plain.apply(
            {"params": own}, jnp.asarray(shown[None]), one_hot[i, 1:].reshape(1, -1)
        )
        np.testing.assert_allclose(logits[i], expected[0][0], atol=1e-5)
        np.testing.assert_allclose(value[i], expected[1][0], atol=1e-5)


def test_self_play_with_early_snapshots_from_the_command_line(tmp_path):
    """Kuhn poker, four steps of PPO: who never learned has counted nothing."""
    settings = {
        "learner.kind": "ppo", "learner.episodes": 32, "learner.minibatch": 64,
        "graph.kind": "first_quarter", "network.kind": "continued", "network.normalise": "true",
        "network.critic_reads": "observation", "network.hidden_sizes": "[4]",
        "network.critic_hidden_size": 4, "population.size": 4, "evaluation.episodes": 32,
        "evaluation.final_episodes": 100, "evaluation.response_s": 0.1, "training.steps": 4,
        "training.evaluate_every": 1, "training.max_steps_per_row": 2,
    }  # fmt: skip
    path = tmp_path / "run"
    command = [sys.executable, "-m", "neupl", "train", "--game", "kuhn_poker", "--out", str(path)]
    command += [f"--set={key}={value}" for key, value in settings.items()]
    done = subprocess.run([*command, "--quiet"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    population = load_population(path)
    learned = np.asarray(population.params[COLLECTION]["count"]).reshape(2, 4) > 0
    np.testing.assert_array_equal(learned, [[False, True, True, False]] * 2)
    assert np.isfinite(
        population.policy(2, seat=0).every(np.zeros((1, 11)), np.ones((1, 2), bool))
    ).all()


def test_gradient_reaches_the_owner_alone(rows, params):
    observation = jnp.ones((3, OBSERVATION_SIZE))
    seat = jax.nn.one_hot(jnp.full(3, 1), NUM_PLAYERS)
    profile = jax.nn.one_hot(jnp.full((3, NUM_PLAYERS), 2), NUM_STRATEGIES)

    def loss(params):
        logits, value = NETWORK.apply(params, observation, seat, rows, profile=profile)
        return (logits**2).sum() + value.sum()

    gradient = jax.jit(jax.grad(loss))(params)
    moved = np.stack(
        [np.abs(leaf).reshape(len(leaf), -1).sum(1) > 0 for leaf in jax.tree.leaves(gradient)]
    ).any(axis=0)
    assert np.flatnonzero(moved).tolist() == [1 * NUM_STRATEGIES + 2]


def test_each_network_has_an_optimizer_of_its_own():
    transform = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam())
    many = per_network(transform)
    update = jax.jit(many.update)
    params = {"w": jnp.zeros((2, 3)), "b": jnp.zeros((2,))}
    gradients = [
        {"w": jnp.array([[30.0, 0, 0], [0.1, 0.2, 0]]), "b": jnp.array([40.0, 0.0])},
        {"w": jnp.array([[0.0, 0, 0], [0.3, -0.1, 0]]), "b": jnp.array([0.0, 0.5])},
    ]
    state = many.init(params)
    alone = [transform.init(jax.tree.map(lambda leaf, i=i: leaf[i], params)) for i in range(2)]
    for step, gradient in enumerate(gradients):
        change, state = update(gradient, state, params)
        for i in range(2):
            if step == 1 and i == 0:
                # No gradient: no step, although Adam's momentum would make one.
                assert not change["w"][0].any() and change["b"][0] == 0
                continue
            own = jax.tree.map(lambda leaf, i=i: leaf[i], gradient)
            expected, alone[i] = transform.update(own, alone[i])
            np.testing.assert_allclose(change["w"][i], expected["w"], rtol=1e-6)
            np.testing.assert_allclose(change["b"][i], expected["b"], rtol=1e-6)


@pytest.mark.parametrize("kind", ["separate", "continued"])
def test_a_new_strategy_starts_over_with_its_network(rows, params, kind):
    config = Config(
        population=PopulationConfig(size=NUM_STRATEGIES),
        network=NetworkConfig(kind=kind),
        learner=LearnerConfig(learning_rate=0.1, final_learning_rate=0.1),
        training=TrainingConfig(steps=10),
    )
    optimizer = Optimizer(config)

    @jax.jit
    def init(key):
        nothing = (jnp.zeros((1, OBSERVATION_SIZE)), jnp.zeros((1, NUM_PLAYERS)))
        fresh = NETWORK.init(key, *nothing, rows, rows.joint)
        return LearnerState(fresh, optimizer.init(fresh), jnp.zeros((), jnp.int32))

    gradient = jax.tree.map(jnp.ones_like, params)
    stepped = jax.jit(optimizer.apply)(gradient, params, optimizer.init(params), 0)
    before = LearnerState(*stepped, jnp.int32(7))
    after = make_restart(config, init)(before, 2, 1, jax.random.key(5))
    assert int(after.step) == 7
    fresh = init(jax.random.key(5))
    for old, new, first in zip(
        *(jax.tree.leaves(state.params) for state in (before, after, fresh)), strict=True
    ):
        old, new, first = (
            np.asarray(leaf).reshape(NUM_PLAYERS, NUM_STRATEGIES, *leaf.shape[1:])
            for leaf in (old, new, first)
        )
        np.testing.assert_array_equal(new[:, [0, 1, 3]], old[:, [0, 1, 3]])
        np.testing.assert_array_equal(new[:, 2], (first[:, 2] if kind == "separate" else old[:, 1]))
    for old, new in zip(
        jax.tree.leaves(before.optimizer), jax.tree.leaves(after.optimizer), strict=True
    ):
        new = np.asarray(new).reshape(NUM_PLAYERS, NUM_STRATEGIES, -1)
        old = np.asarray(old).reshape(NUM_PLAYERS, NUM_STRATEGIES, -1)
        assert not new[:, 2].any() and old[:, 2].any()
        np.testing.assert_array_equal(new[:, [0, 1, 3]], old[:, [0, 1, 3]])


def test_a_conditional_network_does_not_start_over():
    config = Config(population=PopulationConfig(size=3))
    state = LearnerState({"w": jnp.ones(2)}, (), jnp.int32(1))
    assert make_restart(config, lambda key: state)(state, 2, 1, jax.random.key(0)) is state
