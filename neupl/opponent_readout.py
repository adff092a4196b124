"""The read-out of the opponent's identity: what a seat has seen or remembers, turned into a
posterior over the strategies that its opponent may be playing.

By Bayes' rule the posterior is the prior times the likelihood of what was seen under each strategy,
normalised; the seat's own actions tell nothing. The head estimates the log-likelihoods alone, up to
a constant, from the observation or, behind a memory, from that; the prior enters as it is, so that
one head serves all of them (Simplex-NeuPL, Liu et al. 2022, arXiv 2205.15879, whose responses have
the mixture as a prior over whom they meet).
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from neupl.config import NetworkConfig

# The name of its parameters beside those of the network that plays.
PARAMS = "read_out"


class OpponentReadout(nn.Module):
    """Log-likelihoods of `K` strategies of the opponent, up to a constant, in nats.

    Attributes:
      num_strategies: `K`.
      sizes: width of each hidden layer.
    """

    num_strategies: int
    sizes: Sequence[int]

    @nn.compact
    def __call__(self, told: Float[Array, "N O"], seat: Float[Array, "N P"]) -> Float[Array, "N K"]:
        """Takes flat observations, or memories, and one-hot seats."""
        hidden = jnp.concatenate([told, seat], axis=-1)
        for layer, size in enumerate(self.sizes):
            hidden = nn.relu(nn.Dense(size, name=f"hidden_{layer}")(hidden))
        # At first the posterior is the prior.
        return nn.Dense(
            self.num_strategies, kernel_init=nn.initializers.zeros, name="log_likelihood"
        )(hidden)


def make_readout(config: NetworkConfig, num_strategies: int) -> OpponentReadout | None:
    """The read-out that a configuration describes; `None` where it asks for none."""
    if not config.readout_sizes:
        return None
    return OpponentReadout(num_strategies, config.readout_sizes)


def add_readout(
    readout: OpponentReadout | None, params: Any, key: Any, *, width: int, num_tables: int
) -> Any:
    """The parameters with those of the read-out beside them; consumes `key`.

    Args:
      readout: `None` leaves the parameters as they are.
      params: of the network that plays.
      key: a JAX random key.
      width: of an observation or a memory.
      num_tables: width of a one-hot seat.
    """
    if readout is None:
        return params
    own = readout.init(key, jnp.zeros((1, width)), jnp.zeros((1, num_tables)))
    return {**params, "params": {**params["params"], PARAMS: own["params"]}}


def log_likelihoods(
    readout: OpponentReadout, params: Any, told: Float[Array, "N O"], seat: Float[Array, "N P"]
) -> Float[Array, "N K"]:
    """What the read-out says, with its parameters among those of the network."""
    return readout.apply({"params": params["params"][PARAMS]}, told, seat)


def log_posterior(
    log_likelihood: Float[Array, "*#batch K"], prior: Float[Array, "*#batch K"]
) -> Float[Array, "... K"]:
    """Bayes' rule, in nats; about the least float where the prior is 0."""
    least = jnp.finfo(jnp.float32).min
    possible = prior > 0
    joint = jnp.log(jnp.where(possible, prior, 1.0)) + log_likelihood
    return jax.nn.log_softmax(jnp.where(possible, joint, least))


def divergence_from_bayes(
    log_likelihood: Float[Array, "*#batch K"],
    likelihood: Float[Array, "*#batch K"],
    prior: Float[Array, "*#batch K"],
) -> Float[Array, "..."]:
    """KL of the read-out's posterior from the exact one, in nats: their cross-entropy without what
    cannot be learned away; differentiable in `log_likelihood`. 0 where nothing can be seen.

    Args:
      log_likelihood: of the read-out.
      likelihood: exact, up to a factor for each of the batch.
      prior: of the strategies.
    """
    joint = prior * likelihood
    evidence = joint.sum(axis=-1, keepdims=True)
    exact = joint / jnp.where(evidence > 0, evidence, 1.0)
    log_exact = jnp.log(jnp.where(exact > 0, exact, 1.0))
    found = log_posterior(log_likelihood, prior)
    return jnp.sum(jnp.where(exact > 0, exact * (log_exact - found), 0.0), axis=-1)
