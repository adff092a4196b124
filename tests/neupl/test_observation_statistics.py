"""Running statistics of observations: those of everything seen, and out of reach of gradients."""

import jax
import jax.numpy as jnp
import numpy as np

from neupl.config import NetworkConfig
from neupl.networks import make_network
from neupl.observation_statistics import (
    COLLECTION,
    LEAST_VARIANCE,
    MOST,
    MOST_COUNTED,
    updated_statistics,
)
from neupl.types import Rows

SIZE = 4
ROWS = Rows(jnp.ones((1, 1, 1)), jnp.zeros((1, 1), jnp.int32))


def make_case(*, normalise):
    """A network of one player, its variables, and a function that applies it."""
    small = {"hidden_sizes": (8,), "embedding_size": 2, "critic_hidden_size": 4}
    network = make_network(NetworkConfig(**small, normalise=normalise), 3)
    seat, profile = jnp.ones((1, 1)), jnp.ones((1, 1, 1))
    variables = jax.jit(network.init)(
        jax.random.key(0), jnp.zeros((1, SIZE)), seat, ROWS, profile=profile
    )

    @jax.jit
    def apply(variables, observation):
        ones = jnp.ones((len(observation), 1))
        return network.apply(
            variables, jnp.asarray(observation), ones, ROWS, profile=ones[..., None]
        )

    return variables, apply


def batches():
    rng = np.random.default_rng(0)
    scale, shift = np.array([1.0, 10.0, 0.1, 100.0]), np.array([0.0, 50.0, -3.0, 0.0])
    return [(rng.normal(size=(n, SIZE)) * scale + shift).astype(np.float32) for n in (7, 300, 41)]


def test_statistics_are_those_of_all_batches_together():
    variables, _ = make_case(normalise=True)
    for batch in batches():
        variables = updated_statistics(variables, batch)
    together = np.concatenate(batches()).astype(np.float64)
    found = variables[COLLECTION]
    np.testing.assert_allclose(found["mean"], together.mean(axis=0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["variance"], together.var(axis=0), rtol=1e-4)
    assert found["count"] == len(together)
    # Nothing seen changes nothing, and what was seen long ago is forgotten in the end.
    assert updated_statistics(variables, batches()[0][:0]) is variables
    full = {**variables, COLLECTION: {**found, "count": np.float32(MOST_COUNTED)}}
    assert updated_statistics(full, batches()[0])[COLLECTION]["count"] == MOST_COUNTED


def test_what_never_varied_is_normalised_by_what_it_is_once_it_varies():
    variables, _ = make_case(normalise=True)
    first, then = batches()[1], batches()[2]
    first[:, 2] = 7.0
    found = updated_statistics(updated_statistics(variables, first), then)[COLLECTION]
    both = np.concatenate([first, then]).astype(np.float64)
    both[: len(first), 2] = np.nan
    np.testing.assert_allclose(found["mean"], np.nanmean(both, axis=0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["variance"], np.nanvar(both, axis=0), rtol=1e-4)
    assert found["count"] == len(both)


def test_a_network_that_normalises_is_the_other_on_normalised_observations():
    variables, apply = make_case(normalise=True)
    plain, apply_plain = make_case(normalise=False)
    np.testing.assert_array_equal(
        plain["params"]["hidden_0"]["kernel"], variables["params"]["hidden_0"]["kernel"]
    )
    variables = updated_statistics(variables, batches()[1])
    seen = np.concatenate([batches()[2], np.full((1, SIZE), 1e6, np.float32)])
    mean, variance = (np.asarray(variables[COLLECTION][name]) for name in ("mean", "variance"))
    by_hand = np.clip((seen - mean) / np.sqrt(variance + LEAST_VARIANCE), -MOST, MOST)
    for found, expected in zip(apply(variables, seen), apply_plain(plain, by_hand), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_gradients_do_not_reach_statistics():
    variables, apply = make_case(normalise=True)
    variables = updated_statistics(variables, batches()[1])

    def loss(variables):
        logits, value = apply(variables, batches()[0])
        return jnp.sum(logits**2) + jnp.sum(value**2)

    gradient = jax.jit(jax.grad(loss))(variables)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient[COLLECTION]))
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient["params"]["hidden_0"]))
