"""The conditional network: what it is told decides what it plays, and nothing else does."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neupl import networks
from neupl.conditional_network import ConditionalNetwork, coplayer_marginals
from neupl.config import NetworkConfig
from neupl.networks import ILLEGAL_LOGIT, masked_log_probs
from neupl.types import Rows

NUM_STATES, NUM_ACTIONS, OBSERVATION_SIZE = 7, 3, 5
HIDDEN, EMBEDDING, CRITIC = (8, 6), 4, 5


def make_network(*, use_index=True):
    return ConditionalNetwork(
        num_actions=NUM_ACTIONS,
        hidden_sizes=HIDDEN,
        embedding_size=EMBEDDING,
        use_index=use_index,
        critic_hidden_size=CRITIC,
    )


def make_inputs(num_players, num_strategies, *, num_tables=None, seed=0):
    """Observations, one-hot seats, rows that differ, and what the values are against."""
    rng = np.random.default_rng(seed)
    tables = num_tables or num_players
    observation = rng.normal(size=(NUM_STATES, OBSERVATION_SIZE)).astype(np.float32)
    seat = np.eye(tables, dtype=np.float32)[np.arange(NUM_STATES) % tables]
    profiles = num_strategies ** (num_players - 1)
    joint = rng.dirichlet(np.ones(profiles), size=(tables, num_strategies)).astype(np.float32)
    identity = np.tile(np.arange(num_strategies, dtype=np.int32), (tables, 1))
    met = rng.dirichlet(np.ones(profiles), size=(tables, num_strategies)).astype(np.float32)
    rows = Rows(jnp.asarray(joint), jnp.asarray(identity))
    return jnp.asarray(observation), jnp.asarray(seat), rows, jnp.asarray(met)


@functools.cache
def apply_fn(network):
    """`(params, observation, seat, rows, coplayers) -> (logits, values)`, compiled."""
    return jax.jit(network.apply)


def make_params(network, inputs, *, seed=0):
    """Parameters of which none is near zero: at the start the last layer is."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(network.init, jax.random.key(0), *inputs)
    return jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(0.0, 0.5, leaf.shape), jnp.float32), shapes
    )


def num_parameters(num_players, num_strategies, *, network, num_tables=None):
    inputs = make_inputs(num_players, num_strategies, num_tables=num_tables)
    shapes = jax.eval_shape(network.init, jax.random.key(0), *inputs)
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))


def slow_forward(params, observation, seat, rows, coplayers):
    """The definition with loops, float64: `[K, S, A]` logits and `[K, S]` values."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)["params"]
    joint, num_strategies = np.asarray(rows.joint, np.float64), rows.joint.shape[1]
    num_seats = joint.shape[0]
    num_others = round(np.log(joint.shape[2]) / np.log(num_strategies))

    def marginals(distribution):
        shares = np.zeros((num_others, num_strategies))
        profiles = itertools.product(range(num_strategies), repeat=num_others)
        for weight, profile in zip(distribution, profiles, strict=True):
            for other, k in enumerate(profile):
                shares[other, k] += weight
        return shares

    embedding = np.zeros((num_seats, num_strategies, p["row_embedding"].shape[-1]))
    for q, k in np.ndindex(num_seats, num_strategies):
        shares = marginals(joint[q, k]).reshape(-1)
        embedding[q, k] = np.sqrt(len(shares)) * shares @ p["row_embedding"][q]
        if "index_embedding" in p:
            embedding[q, k] += p["index_embedding"][q, int(rows.identity[q, k])]
    logits = np.zeros((num_strategies, len(observation), NUM_ACTIONS))
    values = np.zeros((num_strategies, len(observation)))
    for k, s in np.ndindex(*values.shape):
        own = int(np.argmax(seat[s]))
        hidden = np.concatenate([observation[s], seat[s]])
        for layer in range(len(HIDDEN)):
            dense = p[f"hidden_{layer}"]
            condition = embedding[own, k] @ p[f"inject_{layer}"]["kernel"]
            hidden = np.maximum(hidden @ dense["kernel"] + dense["bias"] + condition, 0)
        logits[k, s] = hidden @ p["policy"]["kernel"] + p["policy"]["bias"]
        others = [q for q in range(num_seats) if q != own] or [0] * num_others
        shares = marginals(np.asarray(coplayers[own, k], np.float64))
        met = np.concatenate(
            [share @ embedding[q] for share, q in zip(shares, others, strict=True)]
        )
        features = hidden @ p["critic_hidden"]["kernel"] + p["critic_hidden"]["bias"]
        features = np.maximum(features + met @ p["inject_critic"]["kernel"], 0)
        values[k, s] = (features @ p["critic"]["kernel"] + p["critic"]["bias"])[0]
    return logits, values


@pytest.mark.parametrize("use_index", [False, True])
@pytest.mark.parametrize(("num_players", "num_tables"), [(2, 2), (3, 3), (2, 1), (3, 1)])
def test_forward_is_the_definition(num_players, num_tables, use_index):
    """Embeddings scaled by the square root of their number, added at every layer, one seat each."""
    network = make_network(use_index=use_index)
    inputs = make_inputs(num_players, 3, num_tables=num_tables)
    params = make_params(network, inputs)
    logits, values = apply_fn(network)(params, *inputs)
    expected_logits, expected_values = slow_forward(params, *inputs)
    np.testing.assert_allclose(logits, expected_logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(values, expected_values, rtol=1e-4, atol=1e-5)


def test_marginals_of_a_correlated_joint():
    """Profiles (0, 0), (0, 1), (1, 0), (1, 1) of two co-players with 0.5, 0, 0.2, 0.3."""
    joint = jnp.array([[[0.5, 0.0, 0.2, 0.3]] * 2] * 3, jnp.float32)
    expected = np.array([[[0.5, 0.5, 0.7, 0.3]] * 2] * 3)
    np.testing.assert_allclose(coplayer_marginals(joint), expected, rtol=1e-6)
    rows = jnp.asarray(np.random.default_rng(0).dirichlet(np.ones(4), (2, 4)), jnp.float32)
    np.testing.assert_array_equal(coplayer_marginals(rows), rows)


@pytest.mark.parametrize("num_strategies", [2, 16, 128])
def test_row_embedding_has_unit_size_whatever_the_population(num_strategies):
    """At the start every component of a pure row's embedding is standard normal.

    What reaches the first layer is read off through identities, since relu(x) - relu(-x) = x. The
    mean square of 2 * 2 * 64 = 256 or more components deviates from 1 by 0.6 with a probability
    below 1e-6 (chi-square).
    """
    size = 64
    network = ConditionalNetwork(
        num_actions=size,
        hidden_sizes=(2 * size,),
        embedding_size=size,
        use_index=False,
        critic_hidden_size=2,
    )
    identity = jnp.tile(jnp.arange(num_strategies, dtype=jnp.int32), (2, 1))
    rows = Rows(jnp.tile(jnp.eye(num_strategies), (2, 1, 1)), identity)
    inputs = (jnp.zeros((2, 1)), jnp.eye(2), rows, rows.joint)
    params = jax.jit(network.init)(jax.random.key(0), *inputs)["params"]
    there_and_back = np.concatenate([np.eye(size), -np.eye(size)], axis=1, dtype=np.float32)
    params["inject_0"]["kernel"] = there_and_back
    params["policy"]["kernel"] = there_and_back.T
    params["hidden_0"] = jax.tree.map(np.zeros_like, params["hidden_0"])
    embedding, _ = apply_fn(network)({"params": params}, *inputs)
    assert embedding.shape == (num_strategies, 2, size)
    assert np.mean(np.square(embedding)) == pytest.approx(1.0, abs=0.6)


def test_illegal_actions_have_no_probability_and_legal_ones_are_not_disturbed():
    logits = jnp.array([[1.0, 50.0, 2.0], [0.0, -80.0, 1e4]])
    mask = jnp.array([[True, False, True], [False, True, False]])
    probabilities = np.exp(masked_log_probs(logits, mask))
    expected = np.exp([1.0, 2.0]) / np.exp([1.0, 2.0]).sum()
    np.testing.assert_allclose(probabilities[0, [0, 2]], expected, rtol=1e-6)
    np.testing.assert_array_equal(probabilities[1], [0, 1, 0])
    assert probabilities[0, 1] == 0
    gradient = jax.grad(lambda x: masked_log_probs(x, mask)[0, 0])(logits)
    assert np.isfinite(gradient).all() and gradient[0, 1] == 0
    assert np.isfinite(ILLEGAL_LOGIT)


@pytest.mark.parametrize("use_index", [False, True])
def test_equal_rows_play_identically_and_different_rows_differently(use_index):
    network = make_network(use_index=use_index)
    observation, seat, rows, met = make_inputs(2, 4)
    joint = rows.joint.at[:, 3].set(rows.joint[:, 1])
    rows = Rows(joint, jnp.array([[0, 1, 2, 1]] * 2, jnp.int32))
    params = make_params(network, (observation, seat, rows, met))
    logits, _ = apply_fn(network)(params, observation, seat, rows, met)
    np.testing.assert_array_equal(logits[3], logits[1])
    for k in (0, 2):
        assert np.abs(logits[k] - logits[1]).max() > 1e-2


def test_index_tells_apart_what_rows_do_not():
    """Equal rows that count as different strategies play differently only with an index."""
    observation, seat, rows, met = make_inputs(2, 3)
    rows = Rows(rows.joint.at[:, 2].set(rows.joint[:, 1]), rows.identity)
    for use_index in (False, True):
        network = make_network(use_index=use_index)
        params = make_params(network, (observation, seat, rows, met))
        logits, _ = apply_fn(network)(params, observation, seat, rows, met)
        assert (np.abs(logits[2] - logits[1]).max() > 1e-2) == use_index


@pytest.mark.parametrize("num_players", [2, 3])
def test_row_of_a_strategy_reaches_no_other_strategy_or_seat(num_players):
    network = make_network()
    observation, seat, rows, met = make_inputs(num_players, 3)
    params = make_params(network, (observation, seat, rows, met))
    before, _ = apply_fn(network)(params, observation, seat, rows, met)
    changed = rows._replace(joint=rows.joint.at[1, 2].set(rows.joint[1, 2, ::-1]))
    after, _ = apply_fn(network)(params, observation, seat, changed, met)
    difference = np.abs(after - before).max(axis=-1)
    of_seat = seat[:, 1] > 0
    assert difference[2, of_seat].min() > 0
    difference[2, of_seat] = 0
    assert not difference.any()


def test_co_players_change_values_and_leave_the_policy_alone():
    network = make_network()
    observation, seat, rows, met = make_inputs(2, 3)
    params = make_params(network, (observation, seat, rows, met))
    logits, values = apply_fn(network)(params, observation, seat, rows, met)
    other_logits, other_values = apply_fn(network)(params, observation, seat, rows, met[:, ::-1])
    np.testing.assert_array_equal(logits, other_logits)
    assert np.abs(values - other_values).max() > 1e-2


def test_critic_shapes_neither_features_nor_embeddings_of_the_policy():
    network = make_network()
    inputs = make_inputs(2, 3)
    params = make_params(network, inputs)
    gradient = jax.jit(jax.grad(lambda p: network.apply(p, *inputs)[1].sum()))(params)["params"]
    policy_side = ("row_embedding", "index_embedding", "hidden_0", "hidden_1", "inject_0", "policy")
    for name in policy_side:
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient[name])), name
    assert np.any(gradient["critic_hidden"]["kernel"])


@pytest.mark.parametrize("num_players", [2, 3, 4])
def test_added_strategy_costs_at_most_256_floats_per_seat(num_players):
    """The default network: a row of the index table and one of each co-player's row table."""
    config = NetworkConfig()
    network = networks.make_network(config, NUM_ACTIONS)
    three, four, five = (num_parameters(num_players, k, network=network) for k in (3, 4, 5))
    assert four - three == five - four == num_players * num_players * config.embedding_size
    assert (four - three) / num_players <= 256


def test_symmetric_tables_are_shared_by_the_seats():
    network = make_network()
    separate, shared = (
        num_parameters(2, 5, network=network) - num_parameters(2, 4, network=network),
        num_parameters(2, 5, network=network, num_tables=1)
        - num_parameters(2, 4, network=network, num_tables=1),
    )
    assert separate == 2 * shared == 2 * 2 * EMBEDDING


@pytest.mark.parametrize("num_players", [2, 3])
def test_reordering_the_strategies_with_their_embeddings_reorders_the_policies(num_players):
    network = make_network()
    observation, seat, rows, met = make_inputs(num_players, 3)
    params = make_params(network, (observation, seat, rows, met))
    order = np.array([2, 0, 1])
    axes = (3,) * (num_players - 1)

    def reorder(joint):
        cube = joint[:, order].reshape(num_players, 3, *axes)
        for axis in range(2, 1 + num_players):
            cube = jnp.take(cube, order, axis=axis)
        return cube.reshape(joint.shape)

    tables = dict(params["params"])
    blocks = tables["row_embedding"].reshape(num_players, num_players - 1, 3, EMBEDDING)
    tables["row_embedding"] = blocks[:, :, order].reshape(tables["row_embedding"].shape)
    tables["index_embedding"] = tables["index_embedding"][:, order]
    logits, values = apply_fn(network)(params, observation, seat, rows, met)
    reordered = apply_fn(network)(
        {"params": tables},
        observation,
        seat,
        rows._replace(joint=reorder(rows.joint)),
        reorder(met),
    )
    np.testing.assert_allclose(reordered[0], logits[order], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(reordered[1], values[order], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("num_players", "num_tables"), [(2, 2), (3, 3), (2, 1), (3, 1)])
def test_one_strategy_per_observation_is_an_entry_of_all_strategies(num_players, num_tables):
    num_strategies, network = 4, make_network()
    observation, seat, rows, coplayers = make_inputs(
        num_players, num_strategies, num_tables=num_tables
    )
    params = make_params(network, (observation, seat, rows, coplayers))
    rng = np.random.default_rng(1)
    drawn = rng.integers(num_strategies, size=(NUM_STATES, num_players))
    profile = jnp.asarray(np.eye(num_strategies, dtype=np.float32)[drawn])
    logits, values = network.apply(params, observation, seat, rows, profile=profile)
    assert logits.shape == (NUM_STATES, NUM_ACTIONS) and values.shape == (NUM_STATES,)
    for s in range(NUM_STATES):
        # All strategies against the pure co-player profile of this observation.
        met = np.zeros(coplayers.shape, np.float32)
        met[..., np.ravel_multi_index(drawn[s, 1:], (num_strategies,) * (num_players - 1))] = 1
        every, of_every = apply_fn(network)(params, observation, seat, rows, jnp.asarray(met))
        np.testing.assert_allclose(logits[s], every[drawn[s, 0], s], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(values[s], of_every[drawn[s, 0], s], rtol=1e-5, atol=1e-5)
