"""The network of NeuPL-JPSRO: strategies are embeddings, and a response head knows mixtures.

Strategy k of a seat is a free embedding (Liu et al. 2024, arXiv 2401.05133), injected at every
layer of a trunk that all strategies of all seats share. Beside it stands the response head: the
same trunk, conditioned on an encoding of the joint mixture of the co-players, with an output of its
own. Whatever mixture it is given, it answers with a response; what is worth keeping is distilled
into an embedding. Seats share everything but their embeddings, and are told apart by an input.
"""

from collections.abc import Sequence
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from neupl.conditional_network import drawn_embeddings

# Profiles of a mixture that are encoded: its heaviest (as in the paper).
MAX_PROFILES = 96


class ResponseNetwork(nn.Module):
    """Policy logits of `K` strategies per seat, and of responses to mixtures over them.

    Attributes:
      num_actions: number of action ids `A`.
      num_players: seats `P`.
      num_strategies: capacity `K` per seat.
      hidden_sizes: width of each hidden layer of the trunk.
      embedding_size: width `E` of an embedding, all that a strategy adds.
      critic_hidden_size: width of the critic's hidden layer, where there is a critic.
      distils: responses become strategies by distillation, not as they are.
      shared: what one strategy learns moves the others.
    """

    distils: ClassVar[bool] = True
    shared: ClassVar[bool] = True

    num_actions: int
    num_players: int
    num_strategies: int
    hidden_sizes: Sequence[int]
    embedding_size: int
    critic_hidden_size: int = 64

    def setup(self) -> None:
        """Declares the parameters."""
        shape = (self.num_players, self.num_strategies, self.embedding_size)
        self.embedding = self.param("embedding", nn.initializers.normal(1.0), shape)
        self.layers = [nn.Dense(size) for size in self.hidden_sizes]
        self.inject = [nn.Dense(size, use_bias=False) for size in self.hidden_sizes]
        self.inject_response = [nn.Dense(size, use_bias=False) for size in self.hidden_sizes]
        small = nn.initializers.variance_scaling(1e-2, "fan_in", "normal")
        self.policy = nn.Dense(self.num_actions, kernel_init=small)
        self.response = nn.Dense(self.num_actions, kernel_init=small)
        self.profile = nn.Dense(self.embedding_size)
        self.mixture = nn.Dense(self.embedding_size)
        # Learning from the whole tree asks no critic: its parameters are then never made.
        self.critic_hidden = nn.Dense(self.critic_hidden_size)
        self.inject_critic = nn.Dense(self.critic_hidden_size, use_bias=False)
        self.critic = nn.Dense(1)

    def strategies(
        self,
        observation: Float[Array | np.ndarray, "S O"],
        seat: Float[Array | np.ndarray, "S P"],
        chosen: Int[Array | np.ndarray, "P N"],
    ) -> Float[Array, "N S A"]:
        """Unmasked logits of `N` strategies of every seat at each observation of that seat."""
        embedding = jnp.take_along_axis(self.embedding, chosen[:, :, None], axis=1)
        return self.policy(self._trunk(observation, seat, embedding, self.inject))

    def respond(
        self,
        observation: Float[Array | np.ndarray, "S O"],
        seat: Float[Array | np.ndarray, "S P"],
        mixtures: Float[Array | np.ndarray, "P R M"],
    ) -> Float[Array, "R S A"]:
        """Unmasked logits of the responses to `R` mixtures per seat.

        Args:
          observation: flat observations.
          seat: one-hot seat of each observation.
          mixtures: for each seat, distributions over the `M = K ** (P - 1)` joint profiles of its
            co-players, in ascending seat order, last fastest.
        """
        encoded = self._encode(mixtures)
        return self.response(self._trunk(observation, seat, encoded, self.inject_response))

    def everything(
        self,
        observation: Float[Array | np.ndarray, "S O"],
        seat: Float[Array | np.ndarray, "S P"],
        mixtures: Float[Array | np.ndarray, "P R M"],
    ) -> tuple[Float[Array, "N S A"], Float[Array, "R S A"]]:
        """Logits by both heads; with it all parameters are initialised."""
        chosen = jnp.zeros((self.num_players, 1), jnp.int32)
        played = self.strategies(observation, seat, chosen)
        return played, self.respond(observation, seat, mixtures)

    def strategy_at(
        self,
        observation: Float[Array | np.ndarray, "N O"],
        seat: Float[Array | np.ndarray, "N P"],
        strategy: Float[Array | np.ndarray, "N K"],
    ) -> Float[Array, "N A"]:
        """Unmasked logits of one strategy, given as one-hot, at each observation."""
        return self.policy(
            self._trunk_at(observation, seat, strategy, (self.embedding, self.inject))
        )

    def respond_at(
        self,
        observation: Float[Array | np.ndarray, "N O"],
        seat: Float[Array | np.ndarray, "N P"],
        mixtures: Float[Array | np.ndarray, "P R M"],
        responder: Float[Array | np.ndarray, "N R"],
    ) -> Float[Array, "N A"]:
        """Unmasked logits of one response at each observation; see `response_at`."""
        return self.response(self._response_features(observation, seat, mixtures, responder))

    def response_at(
        self,
        observation: Float[Array | np.ndarray, "N O"],
        seat: Float[Array | np.ndarray, "N P"],
        mixtures: Float[Array | np.ndarray, "P R M"],
        *,
        responder: Float[Array | np.ndarray, "N R"],
        met: Float[Array | np.ndarray, "N P K"],
    ) -> tuple[Float[Array, "N A"], Float[Array, "N"]]:
        """Unmasked logits of one response at each observation, and its values in payoff ranges.

        Args:
          observation: flat observations.
          seat: one-hot seat of each observation.
          mixtures: as in `respond`.
          responder: one-hot number of the mixture that is responded to.
          met: one-hot strategies: an entry for the seat itself, which is not read, then those drawn
            for its co-players in ascending seat order, whom the value is against.
        """
        hidden = self._response_features(observation, seat, mixtures, responder)
        # The critic reads the response's features and the embeddings without shaping them.
        features = self.critic_hidden(jax.lax.stop_gradient(hidden))
        drawn = drawn_embeddings(jax.lax.stop_gradient(self.embedding), seat, met)
        value = self.critic(nn.relu(features + self.inject_critic(drawn)))[..., 0]
        return self.response(hidden), value

    def everything_sampled(
        self,
        observation: Float[Array | np.ndarray, "N O"],
        seat: Float[Array | np.ndarray, "N P"],
        mixtures: Float[Array | np.ndarray, "P R M"],
    ) -> tuple[Float[Array, "N A"], Float[Array, "N A"], Float[Array, "N"]]:
        """Strategy 0 and the first response at each observation, and its value; with it all
        parameters, those of the critic included, are initialised.
        """
        first = jax.nn.one_hot(jnp.zeros(len(observation), jnp.int32), self.num_strategies)
        responder = jax.nn.one_hot(jnp.zeros(len(observation), jnp.int32), mixtures.shape[1])
        met = jnp.tile(first[:, None], (1, self.num_players, 1))
        logits, value = self.response_at(observation, seat, mixtures, responder=responder, met=met)
        return self.strategy_at(observation, seat, first), logits, value

    def _response_features(self, observation, seat, mixtures, responder) -> Float[Array, "N H"]:
        context = (self._encode(mixtures), self.inject_response)
        return self._trunk_at(observation, seat, responder, context)

    def _trunk_at(self, observation, seat, chosen, context) -> Float[Array, "N H"]:
        """One of each seat's conditions at each observation."""
        embedding, inject = context
        acts = (seat[:, :, None] * chosen[:, None]).reshape(len(seat), -1)
        hidden = jnp.concatenate([observation, seat], axis=-1)
        for layer, condition in zip(self.layers, inject, strict=True):
            of_condition = condition(embedding)
            hidden = nn.relu(layer(hidden) + acts @ of_condition.reshape(acts.shape[-1], -1))
        return hidden

    def _trunk(self, observation, seat, embedding, inject) -> Float[Array, "N S H"]:
        return conditioned_trunk(self.layers, inject, observation, seat=seat, embedding=embedding)

    def _encode(self, mixtures: Float[Array | np.ndarray, "P R M"]) -> Float[Array, "P R E"]:
        """Mean encoding of the co-players' profiles; embeddings are read, not shaped."""
        weight, profile = jax.lax.top_k(mixtures, min(MAX_PROFILES, mixtures.shape[-1]))
        still = jax.lax.stop_gradient(self.embedding)
        sizes = (self.num_strategies,) * (self.num_players - 1)
        encoded = []
        for player in range(self.num_players):
            others = [q for q in range(self.num_players) if q != player]
            drawn = jnp.unravel_index(profile[player], sizes)
            met = [still[q][k] for q, k in zip(others, drawn, strict=True)]
            features = nn.relu(self.profile(jnp.concatenate(met, axis=-1)))
            encoded.append(jnp.einsum("rt,rte->re", weight[player], features))
        return self.mixture(jnp.stack(encoded))


def conditioned_trunk(
    layers: Sequence[nn.Module],
    inject: Sequence[nn.Module],
    observation: Float[Array | np.ndarray, "S O"],
    *,
    seat: Float[Array | np.ndarray, "S P"],
    embedding: Float[Array, "P N E"],
) -> Float[Array, "N S H"]:
    """Features of `N` conditions per seat at each observation of that seat.

    Args:
      layers: of the trunk.
      inject: for each of them, what it adds for a condition.
      observation: flat observations.
      seat: one-hot seat of each observation.
      embedding: the conditions.
    """
    hidden = jnp.concatenate([observation, seat], axis=-1)
    for layer, condition in zip(layers, inject, strict=True):
        # A one-hot product: the backward pass of a gather is a scatter, several times slower.
        hidden = nn.relu(layer(hidden) + jnp.einsum("sp,pnh->nsh", seat, condition(embedding)))
    return hidden
