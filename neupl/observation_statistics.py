"""Running mean and variance of what a network observes, for observations in physical units.

They are variables of the network beside its parameters, in a collection of their own: whatever
keeps, copies, exports or freezes the parameters keeps them too, and a teacher has those of its
time. Gradients do not reach them; learners update them between batches.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

# Of the variables of a network that normalises: of observations, and of what its critic sees alone.
COLLECTION = "normalisation"
PRIVILEGED_COLLECTION = "privileged_normalisation"
# Normalised observations are at most so many standard deviations from the mean.
MOST = 5.0
# Added to the variance: what never changes stays finite.
LEAST_VARIANCE = 1e-4
# Observations that count at most, so that what was seen long ago is forgotten in the end.
MOST_COUNTED = 1e7


def running_normalised(
    module: nn.Module, numbers: Float[Array, "*n O"], *, collection: str = COLLECTION
) -> Float[Array, "*n O"]:
    """Numbers normalised by statistics that a module keeps among its variables; called where it may
    make variables.
    """
    found = running_statistics(module, numbers.shape[-1:], collection=collection)
    return normalised(numbers, found["mean"], found["variance"])


def running_statistics(
    module: nn.Module, shape: tuple[int, ...], *, collection: str = COLLECTION
) -> dict[str, Any]:
    """Mean, variance and count that a module keeps of numbers of a shape, nothing counted yet where
    it makes them; of many networks side by side where they come first.
    """
    return {
        name: module.variable(collection, name, fill, size).value
        for name, fill, size in (
            ("mean", jnp.zeros, shape),
            ("variance", jnp.ones, shape),
            ("count", jnp.zeros, shape[:-1]),
        )
    }


def normalised(
    observation: Float[Array | np.ndarray, "*n O"],
    mean: Float[Array | np.ndarray, "O"],
    variance: Float[Array | np.ndarray, "O"],
) -> Float[Array, "*n O"]:
    """Observations in standard deviations from their mean, clipped; 0 for what has never varied,
    so that it means nothing where it does for once, in another game.
    """
    mean, variance = jax.lax.stop_gradient((mean, variance))
    shifted = (observation - mean) * jax.lax.rsqrt(variance + LEAST_VARIANCE)
    return jnp.where(variance > 0, jnp.clip(shifted, -MOST, MOST), 0.0)


def updated_statistics(
    variables: Any,
    observation: Float[np.ndarray, "N O"],
    *,
    collection: str = COLLECTION,
    owner: Int[np.ndarray, "N"] | None = None,
) -> Any:
    """The variables of a network with more observations counted, or whatever a collection is of; as
    they are where the network does not normalise.

    Numbers that have never varied have not been counted: once they vary, in another game, they are
    normalised by what they are there.

    Args:
      variables: of the network, or of networks side by side.
      observation: one after the other.
      collection: where the statistics are.
      owner: of networks side by side, whose observation each is.
    """
    if collection not in variables or not len(observation):
        return variables
    statistics = variables[collection]
    if owner is None:
        return {**variables, collection: _updated(statistics, observation)}
    for number in np.unique(owner):
        own = {name: value[number] for name, value in statistics.items()}
        own = _updated(own, observation[owner == number])
        statistics = {
            name: jnp.asarray(value).at[number].set(own[name]) for name, value in statistics.items()
        }
    return {**variables, collection: statistics}


def _updated(statistics: Any, observation: Float[np.ndarray, "N O"]) -> Any:
    """By Chan et al. 1979, "Updating formulae and a pairwise algorithm for computing sample
    variances", equation 2.1.
    """
    if "count" not in statistics:
        # Those of a part of the network, under its name.
        return {name: _updated(part, observation) for name, part in statistics.items()}
    old = {name: np.asarray(value, np.float64) for name, value in statistics.items()}
    wide = observation.astype(np.float64)
    number, mean, variance = len(wide), wide.mean(axis=0), wide.var(axis=0)
    counted = np.where(old["variance"] > 0, old["count"], 0.0)
    total = counted + number
    shift = mean - old["mean"]
    share = number / total
    new = {
        "mean": old["mean"] + share * shift,
        "variance": (1 - share) * (old["variance"] + share * shift**2) + share * variance,
        "count": np.minimum(old["count"] + number, MOST_COUNTED),
    }
    return {name: jnp.asarray(value, jnp.float32) for name, value in new.items()}
