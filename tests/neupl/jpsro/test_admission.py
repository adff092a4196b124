"""Networks whose responses become strategies as they are: which is taken where, and what else
stays as it was.
"""

import jax
import numpy as np
import pytest

from neupl.config import NetworkConfig
from neupl.jpsro.networks import response_network

PLAYERS, ACTIONS, SIZE, RESPONDERS = 3, 4, 5, 2
NETWORKS = {
    "rows": (NetworkConfig(hidden_sizes=(16, 12), embedding_size=8), "direct"),
    "separate": (NetworkConfig(kind="separate", hidden_sizes=(16, 12)), "distil"),
}


def seen(rng, count=9):
    observation = rng.normal(size=(count, 7)).astype(np.float32)
    return observation, np.eye(PLAYERS, dtype=np.float32)[np.arange(count) % PLAYERS]


def mixtures_of(rng, rows):
    return rng.dirichlet(np.ones(SIZE**2), size=(PLAYERS, rows)).astype(np.float32)


def made(name, rng):
    """A network, inputs to it, and variables with strategies and responses that all differ."""
    config, form = NETWORKS[name]
    network = response_network(
        config, form, num_actions=ACTIONS, num_players=PLAYERS, num_strategies=SIZE
    )
    inputs, mixtures = seen(rng), mixtures_of(rng, RESPONDERS)
    shapes = jax.eval_shape(
        lambda: network.init(jax.random.key(0), *inputs, mixtures, method="everything")
    )
    variables = jax.tree.map(lambda x: rng.normal(0, 0.5, x.shape).astype(np.float32), shapes)
    return network, inputs, mixtures, variables


def applied(network, *arguments, method):
    return np.asarray(jax.jit(network.apply, static_argnames="method")(*arguments, method=method))


def every_strategy(network, variables, inputs):
    chosen = np.tile(np.arange(SIZE), (PLAYERS, 1))
    return applied(network, variables, *inputs, chosen, method="strategies")


@pytest.mark.parametrize("name", NETWORKS)
def test_each_seat_takes_its_response_to_its_slot_and_leaves_the_others(name, rng):
    """Seat 0 takes its second response as strategy 3, seat 1 none, seat 2 its first as 1."""
    network, inputs, mixtures, variables = made(name, rng)
    slot, responder = np.array([3, 0, 1]), np.array([1, 0, 0])
    known = mixtures_of(rng, SIZE)
    variables = network.admitted(variables, slot=0 * slot, responder=responder, mixtures=known)
    before = every_strategy(network, variables, inputs)
    responses = applied(network, variables, *inputs, mixtures, method="respond")
    learned = known.copy()
    learned[0, 3], learned[2, 1] = mixtures[0, 1], mixtures[2, 0]
    after = network.admitted(variables, slot=slot, responder=responder, mixtures=learned)
    expected, seat = before.copy(), inputs[1].argmax(axis=1)
    expected[3, seat == 0] = responses[1, seat == 0]
    expected[1, seat == 2] = responses[0, seat == 2]
    assert np.abs(expected - before).max() > 0.1
    np.testing.assert_allclose(every_strategy(network, after, inputs), expected, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_response_that_starts_afresh_leaves_the_strategies(name, rng):
    network, inputs, mixtures, variables = made(name, rng)
    fresh = made(name, rng)[3]
    after = network.renewed(variables, fresh)
    np.testing.assert_array_equal(
        every_strategy(network, after, inputs), every_strategy(network, variables, inputs)
    )
    answers = [applied(network, v, *inputs, mixtures, method="respond") for v in (variables, after)]
    assert np.abs(answers[0] - answers[1]).max() > 0.1


def test_rows_are_told_apart_by_index_and_by_mixture(rng):
    """Strategies 1 to 4 of every seat: the same row twice, another index, another mixture."""
    network, inputs, _, variables = made("rows", rng)
    known = mixtures_of(rng, SIZE)
    known[:, 1:4] = known[:, 1:2]
    index = variables["params"]["index"]
    index[:, 2] = index[:, 4] = index[:, 1]
    none = np.zeros(PLAYERS, np.int64)
    variables = network.admitted(variables, slot=none, responder=none, mixtures=known)
    played = every_strategy(network, variables, inputs)
    np.testing.assert_array_equal(played[1], played[2])
    assert np.abs(played[1] - played[3]).max() > 0.01
    assert np.abs(played[1] - played[4]).max() > 0.01


def test_a_network_of_its_own_is_not_moved_by_another(rng):
    """Each response has parameters of its own: the gradient of one is zero for all others."""
    network, inputs, mixtures, variables = made("separate", rng)

    def loss(params):
        logits = network.apply({**variables, **params}, *inputs, mixtures, method="respond")
        seat = inputs[1][:, 2]
        return (seat @ logits[1] ** 2).sum()

    gradient = jax.jit(jax.grad(loss))({"params": variables["params"]})["params"]["networks"]
    for leaf in jax.tree.leaves(gradient):
        moved = np.abs(leaf).reshape(len(leaf), -1).max(axis=1) > 0
        assert moved.tolist() == [False] * 5 + [True]
