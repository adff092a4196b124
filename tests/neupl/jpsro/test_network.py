"""The network: a strategy is an embedding and nothing more, and a mixture is read as a mixture."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neupl.config import NetworkConfig
from neupl.jpsro.network import MAX_PROFILES
from neupl.jpsro.networks import response_network

PLAYERS, ACTIONS, OBSERVATION = 3, 4, 7


def network_of(size, players=PLAYERS):
    config = NetworkConfig(hidden_sizes=(16, 12), embedding_size=8)
    return response_network(
        config, "distil", num_actions=ACTIONS, num_players=players, num_strategies=size
    )


def seen(rng, count=9, players=PLAYERS):
    observation = rng.normal(size=(count, OBSERVATION)).astype(np.float32)
    return observation, np.eye(players, dtype=np.float32)[rng.integers(players, size=count)]


def mixtures_of(rng, size, responders=2, players=PLAYERS):
    profiles = size ** (players - 1)
    return rng.dirichlet(np.ones(profiles), size=(players, responders)).astype(np.float32)


def parameters(size, rng):
    network = network_of(size)
    shapes = jax.eval_shape(
        lambda: network.init(
            jax.random.key(0), *seen(rng), mixtures_of(rng, size), method="everything"
        )
    )
    return network, jax.tree.map(lambda x: rng.normal(0, 0.5, x.shape).astype(np.float32), shapes)


def applied(network, *arguments, method):
    return np.asarray(jax.jit(network.apply, static_argnames="method")(*arguments, method=method))


def test_a_strategy_more_adds_its_embedding_and_nothing_else(rng):
    counts = [
        sum(leaf.size for leaf in jax.tree.leaves(parameters(size, rng)[1])) for size in (4, 5)
    ]
    assert counts[1] - counts[0] == PLAYERS * 8


def test_strategies_are_told_apart_by_their_embeddings_alone(rng):
    network, params = parameters(4, rng)
    embedding = params["params"]["embedding"]
    embedding[:, 2] = embedding[:, 1]
    chosen = np.tile([1, 2, 3], (PLAYERS, 1))
    logits = applied(network, params, *seen(rng), chosen, method="strategies")
    np.testing.assert_array_equal(logits[0], logits[1])
    assert np.abs(logits[0] - logits[2]).max() > 0.01


def test_learning_one_strategy_leaves_the_other_embeddings(rng):
    network, params = parameters(4, rng)
    inputs, chosen = seen(rng), np.tile([2], (PLAYERS, 1))

    def loss(params):
        return jnp.sum(network.apply(params, *inputs, chosen, method="strategies") ** 2)

    gradient = jax.jit(jax.grad(loss))(params)["params"]["embedding"]
    assert np.abs(gradient[:, 2]).min(axis=-1).max() > 0
    assert not np.asarray(gradient[:, [0, 1, 3]]).any()


def test_responding_does_not_shape_embeddings(rng):
    network, params = parameters(4, rng)
    inputs, mixtures = seen(rng), mixtures_of(rng, 4)

    def loss(params):
        return jnp.sum(network.apply(params, *inputs, mixtures, method="respond") ** 2)

    assert not np.asarray(jax.jit(jax.grad(loss))(params)["params"]["embedding"]).any()


def test_mixture_is_encoded_as_the_mean_over_its_profiles(rng):
    """Against a loop over profiles, written from the definition; the sum is over joint profiles."""
    size = 3
    network, params = parameters(size, rng)
    mixtures = mixtures_of(rng, size)
    found = applied(network, params, mixtures, method="_encode")
    weights = params["params"]
    for player, r in itertools.product(range(PLAYERS), range(2)):
        others = [q for q in range(PLAYERS) if q != player]
        mean = 0.0
        profiles = itertools.product(range(size), repeat=PLAYERS - 1)
        for index, profile in enumerate(profiles):
            met = np.concatenate(
                [weights["embedding"][q, k] for q, k in zip(others, profile, strict=True)]
            )
            features = met @ weights["profile"]["kernel"] + weights["profile"]["bias"]
            mean = mean + mixtures[player, r, index] * np.maximum(features, 0)
        expected = mean @ weights["mixture"]["kernel"] + weights["mixture"]["bias"]
        np.testing.assert_allclose(found[player, r], expected, rtol=1e-4, atol=1e-5)


def test_light_profiles_beyond_the_limit_are_not_encoded(rng):
    size = 11
    assert size ** (PLAYERS - 1) > MAX_PROFILES
    network, params = parameters(size, rng)
    mixtures = np.zeros((PLAYERS, 1, size**2), np.float32)
    mixtures[:, 0, :MAX_PROFILES] = 1 / MAX_PROFILES
    lighter = mixtures.copy()
    lighter[:, 0, MAX_PROFILES:] = 1e-6
    inputs = seen(rng)
    answers = [applied(network, params, *inputs, m, method="respond") for m in (mixtures, lighter)]
    np.testing.assert_array_equal(*answers)


def test_correlated_mixtures_with_equal_marginals_are_different(rng):
    """What the co-players do together matters, not only what each of them does."""
    network, params = parameters(2, rng)
    together, apart = np.zeros((2, PLAYERS, 1, 4), np.float32)
    together[..., [0, 3]], apart[...] = 0.5, 0.25
    inputs = seen(rng)
    answers = [applied(network, params, *inputs, m, method="respond") for m in (together, apart)]
    assert np.abs(answers[0] - answers[1]).max() > 1e-3


@pytest.mark.parametrize("players", [2, 3, 4])
def test_any_number_of_seats(players, rng):
    network = network_of(3, players)
    mixtures = mixtures_of(rng, 3, players=players)
    inputs = seen(rng, players=players)
    params = jax.jit(network.init, static_argnames="method")(
        jax.random.key(0), *inputs, mixtures, method="everything"
    )
    answer = applied(network, params, *inputs, mixtures, method="respond")
    assert answer.shape == (2, 9, ACTIONS)
    assert np.isfinite(answer).all()
