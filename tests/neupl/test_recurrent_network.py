"""The conditional network with a memory: its core beside flax's, unrolled and step by step."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neupl.config import Config, EvaluationConfig, GraphConfig, LearnerConfig, NetworkConfig
from neupl.networks import make_network, observation_size
from neupl.recurrent_network import Recall, no_recall
from neupl.types import Rows

NUM_ACTIONS, SIZE, HIDDEN, OBSERVED, LANES, STEPS = 3, 4, 6, 5, 7, 9
CONFIG = NetworkConfig(
    memory="gru",
    memory_size=HIDDEN,
    encoder_sizes=(8,),
    hidden_sizes=(8,),
    embedding_size=4,
    critic_hidden_size=8,
)
ROWS = Rows(
    jnp.asarray(np.random.default_rng(7).dirichlet(np.ones(SIZE), (2, SIZE)), jnp.float32),
    jnp.tile(jnp.arange(SIZE), (2, 1)),
)


@pytest.fixture(scope="module")
def network():
    """The network and random parameters, none near zero."""
    module = make_network(CONFIG, NUM_ACTIONS)
    profile = jnp.zeros((LANES, 2, SIZE))
    params = jax.eval_shape(
        lambda: module.init(
            jax.random.key(0), jnp.zeros((LANES, OBSERVED)), jnp.zeros((LANES, 2)),
            no_recall(LANES, HIDDEN), ROWS, profile, method="first",
        )
    )  # fmt: skip
    rng = np.random.default_rng(1)
    return module, jax.tree.map(lambda x: rng.normal(0, 0.5, x.shape).astype(np.float32), params)


def applied(module, *arguments, **named):
    return jax.jit(module.apply, static_argnames="method")(*arguments, **named)


def one_hot_seats():
    return jnp.eye(2)[jnp.arange(LANES) % 2]


def test_core_is_the_gated_recurrent_unit_of_flax(network):
    """With an encoder of no layers the input of the core is observation, seat and last action."""
    module = make_network(dataclasses.replace(CONFIG, encoder_sizes=()), NUM_ACTIONS)
    rng = np.random.default_rng(2)
    observation = jnp.asarray(rng.normal(size=(LANES, OBSERVED)), jnp.float32)
    recall = Recall(
        jnp.asarray(rng.normal(size=(LANES, HIDDEN)), jnp.float32),
        jnp.asarray(rng.integers(-1, NUM_ACTIONS, LANES), jnp.int32),
    )
    seat = one_hot_seats()
    params = jax.eval_shape(
        lambda: module.init(jax.random.key(0), observation, seat, recall, method="remember")
    )
    params = jax.tree.map(lambda x: rng.normal(0, 0.5, x.shape).astype(np.float32), params)
    found = applied(module, params, observation, seat, recall, method="remember")

    told, held = params["params"]["core_input"], params["params"]["core_state"]
    cell = {}
    for number, name in enumerate("rzn"):
        part = slice(number * HIDDEN, (number + 1) * HIDDEN)
        # Flax has one bias for both products of a gate, ours has two.
        more = 0 if name == "n" else held["bias"][part]
        cell[f"i{name}"] = {"kernel": told["kernel"][:, part], "bias": told["bias"][part] + more}
        cell[f"h{name}"] = {"kernel": held["kernel"][:, part]}
    cell["hn"]["bias"] = held["bias"][2 * HIDDEN :]
    last = jax.nn.one_hot(recall.action, NUM_ACTIONS)
    inputs = jnp.concatenate([observation, seat, last], axis=-1)
    expected, _ = applied(nn.GRUCell(HIDDEN), {"params": cell}, recall.hidden, inputs)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_unrolled_and_stepped_memories_are_equal(network):
    """Over episodes that end and begin, and steps at which a seat does not move."""
    module, params = network
    rng = np.random.default_rng(3)
    observation = jnp.asarray(rng.normal(size=(STEPS, LANES, OBSERVED)), jnp.float32)
    previous = jnp.asarray(rng.integers(-1, NUM_ACTIONS, (STEPS, LANES)), jnp.int32)
    fresh, moved = (jnp.asarray(rng.random((STEPS, LANES)) < p) for p in (0.2, 0.7))
    start = jnp.asarray(rng.normal(size=(LANES, HIDDEN)), jnp.float32)
    seat = one_hot_seats()
    unrolled = applied(
        module,
        params,
        observation,
        seat,
        previous,
        start=start,
        fresh=fresh,
        moved=moved,
        method="unroll",
    )
    hidden = np.asarray(start)
    for t in range(STEPS):
        hidden = np.where(np.asarray(fresh)[t, :, None], 0, hidden)
        recall = Recall(jnp.asarray(hidden), previous[t])
        after = applied(module, params, observation[t], seat, recall, method="remember")
        hidden = np.where(np.asarray(moved)[t, :, None], np.asarray(after), hidden)
        np.testing.assert_allclose(unrolled[t], hidden, rtol=1e-4, atol=1e-5)
    assert not np.allclose(unrolled[0], unrolled[-1])


def test_memory_does_not_hang_on_the_strategy_but_policies_do(network):
    module, params = network
    remembered = jnp.tile(jnp.linspace(-1, 1, HIDDEN), (SIZE, 1))
    profile = jnp.stack([jnp.eye(SIZE), jnp.eye(SIZE)[::-1]], axis=1)
    seat = jnp.tile(jnp.array([1.0, 0.0]), (SIZE, 1))
    logits, values = applied(module, params, remembered, seat, ROWS, profile=profile)
    assert np.abs(logits[0] - logits[1]).max() > 1e-2
    # Whom a strategy meets reaches the critic alone.
    other = jnp.stack([profile[:, 0], jnp.roll(profile[:, 1], 1, axis=0)], axis=1)
    same, changed = applied(module, params, remembered, seat, ROWS, profile=other)
    np.testing.assert_array_equal(logits, same)
    assert np.abs(values - changed).max() > 1e-3


def test_observation_size_is_found_again(network):
    _, params = network
    assert observation_size(CONFIG, params, 2, num_actions=NUM_ACTIONS) == OBSERVED


@pytest.mark.parametrize(
    "changed",
    [
        {"learner": LearnerConfig(kind="exact")},
        {"evaluation": EvaluationConfig(payoffs="exact"), "learner": LearnerConfig(kind="ppo")},
        {"graph": GraphConfig(kind="jpsro"), "learner": LearnerConfig(kind="ppo")},
    ],
)
def test_memories_that_could_not_be_trained_are_refused(changed):
    with pytest.raises(ValueError, match=r"network\.memory"):
        Config(**{"network": NetworkConfig(memory="gru")} | changed)
