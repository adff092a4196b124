"""The network of an exported NeuPL-JPSRO population, asked about observations."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from neupl.config import NetworkConfig
from neupl.jpsro.networks import Form, JointNetwork, response_network
from neupl.networks import masked_log_probs


class AskedNetwork:
    """What is the same for populations with tables beside their network and without.

    Attributes:
      num_players: number of seats `P`.
      num_actions: number of action ids `A`.
      sizes: number of strategies of each seat `K_p`.
      network: the network's configuration.
      form: how its responses became strategies.
      capacity: strategies per seat that the network has embeddings for.
      params: the network's parameters.
    """

    num_players: int
    num_actions: int
    sizes: tuple[int, ...]
    network: NetworkConfig
    form: Form
    capacity: int
    params: Any

    def probabilities(
        self, seat: int, observation: Float[np.ndarray, "B O"], mask: Bool[np.ndarray, "B A"]
    ) -> Float[np.ndarray, "K B A"]:
        """Action probabilities of all strategies of a seat, float32, by the network.

        Raises:
          ValueError: there is no such seat.
        """
        self._check_seat(seat)
        return np.asarray(self._table_fn(seat)(jnp.asarray(observation), jnp.asarray(mask)))

    def respond(
        self,
        seat: int,
        mixture: Float[np.ndarray, "..."],
        observation: Float[np.ndarray, "B O"],
        mask: Bool[np.ndarray, "B A"],
    ) -> Float[np.ndarray, "B A"]:
        """What the network responds to any joint mixture of the co-players' strategies.

        Args:
          seat: who responds.
          mixture: distribution over the co-players' strategies, `[K_q, ...]` in ascending seat
            order, drawn once per episode and hidden.
          observation: flat observations.
          mask: legal actions.

        Raises:
          ValueError: there is no such seat, the mixture is not over the co-players' strategies, or
            responses have networks of their own, which answer no mixture but that of training.
        """
        self._check_seat(seat)
        if not self.answers_mixtures:
            raise ValueError(f"network.kind is {self.network.kind!r}: no network is told a mixture")
        sizes = tuple(size for other, size in enumerate(self.sizes) if other != seat)
        if np.shape(mixture) != sizes:
            raise ValueError(f"mixture has shape {np.shape(mixture)}, the co-players have {sizes}")
        spread = np.pad(mixture, [(0, self.capacity - size) for size in sizes])
        mixtures = np.zeros((self.num_players, 1, spread.size), np.float32)
        mixtures[seat] = spread.reshape(1, -1)
        seats = np.tile(np.eye(self.num_players, dtype=np.float32)[seat], (len(observation), 1))
        logits = self.module.apply(
            self.params, jnp.asarray(observation), seats, jnp.asarray(mixtures), method="respond"
        )[0]
        log_probs = masked_log_probs(logits, jnp.asarray(mask))
        return np.asarray(jnp.where(mask, jnp.exp(log_probs), 0.0))

    @property
    def answers_mixtures(self) -> bool:
        """Whether `respond` can be asked."""
        return self.network.kind == "conditional"

    @functools.cached_property
    def module(self) -> JointNetwork:
        """The network without its parameters."""
        return response_network(
            self.network,
            self.form,
            num_actions=self.num_actions,
            num_players=self.num_players,
            num_strategies=self.capacity,
        )

    def _table_fn(self, seat: int) -> Any:
        """`(observation [B, O], mask [B, A]) -> [K_p, B, A]`, by the network."""
        num_own, one_hot = self.sizes[seat], np.eye(self.num_players, dtype=np.float32)[seat]
        chosen = np.tile(np.arange(num_own), (self.num_players, 1))

        @jax.jit
        def table(observation: Array, mask: Array) -> Array:
            seats = jnp.tile(one_hot, (len(observation), 1))
            logits = self.module.apply(self.params, observation, seats, chosen, method="strategies")
            probabilities = jnp.where(mask, jnp.exp(masked_log_probs(logits, mask)), 0.0)
            # Strategy 0 is the sink, which the network does not play.
            return probabilities.at[0].set(mask / mask.sum(axis=-1, keepdims=True))

        return table


def form_of(manifest: Mapping[str, Any]) -> Form:
    """How responses became strategies; files from before there were two ways do not say."""
    return manifest.get("form", "distil")
