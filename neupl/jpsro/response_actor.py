"""Who plays the episodes of NeuPL-JPSRO: frozen strategies, and responses that learn.

In the profile of a lane, numbers below `K` are strategies as they were when the iteration began, 0
plays all legal actions alike, and `K + r` is the response to the mixture number `r` of its seat.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from games.types import GameInfo, TimeStep
from neupl.action_distribution import CATEGORICAL
from neupl.jpsro.network import ResponseNetwork
from neupl.networks import masked_log_probs
from neupl.population_actor import Seen, sample_decision, seen_by_movers, uniform_sink
from neupl.rollout import Decision


class Meeting(NamedTuple):
    """The context of a batch of episodes.

    Attributes:
      params: parameters of the responses.
      frozen: parameters of the strategies.
      mixtures: `[P, R, M]` what is responded to.
      profile: `[B, P]` who plays every seat in every lane.
    """

    params: Any
    frozen: Any
    mixtures: Float[Array | np.ndarray, "P R M"]
    profile: Int32[Array | np.ndarray, "B P"]


class DecidingNetwork:
    """The network asked about single decisions."""

    def __init__(self, network: ResponseNetwork) -> None:
        """Takes the network without its parameters."""
        self._network, self._size = network, network.num_strategies

    def strategy(
        self, params: Any, seen: Seen, strategy: Int32[Array | np.ndarray, "N"]
    ) -> Float[Array, "N A"]:
        """Log-probabilities by the network of one strategy at each decision, the sink included."""
        one_hot = jax.nn.one_hot(strategy, self._size)
        seat = jax.nn.one_hot(seen.seat, self._network.num_players)
        logits = self._network.apply(params, seen.observation, seat, one_hot, method="strategy_at")
        return masked_log_probs(logits, jnp.asarray(seen.legal_mask))

    def response(
        self, params: Any, seen: Seen, mixtures: Float[Array | np.ndarray, "P R M"]
    ) -> tuple[Float[Array, "N A"], Float[Array, "N"]]:
        """Log-probabilities of the response that the profile names, and its values against the
        co-players that were drawn, in payoff ranges.
        """
        responder = jax.nn.one_hot(seen.profile[:, 0] - self._size, mixtures.shape[1])
        logits, value = self._network.apply(
            params,
            seen.observation,
            jax.nn.one_hot(seen.seat, self._network.num_players),
            mixtures,
            responder=responder,
            met=jax.nn.one_hot(seen.profile, self._size),
            method="response_at",
        )
        return masked_log_probs(logits, jnp.asarray(seen.legal_mask)), value


class ResponseActor:
    """Plays every seat; see `neupl.rollout.Actor`."""

    def __init__(self, info: GameInfo, network: ResponseNetwork) -> None:
        """Takes the facts of the game and the network without its parameters."""
        self._info, self._network = info, DecidingNetwork(network)
        self._size = network.num_strategies

    def begin(self, context: Meeting, batch: int) -> tuple[()]:
        """No memory."""
        return ()

    def members(self, context: Meeting, memory: Any, batch: int) -> Any:
        """The profiles of the context."""
        return context.profile

    def decide(
        self, context: Meeting, memory: Any, observation: Any, now: TimeStep, key: Any
    ) -> tuple[Decision, Any]:
        """Samples the actions of the seats to move; values are those of responses."""
        return self._decide(context, observation, now, key), memory

    @functools.partial(jax.jit, static_argnums=0)
    def _decide(self, context: Meeting, observation: Any, now: TimeStep, key: Any) -> Decision:
        _, seen = seen_by_movers(self._info, context.profile, observation, now)
        own = seen.profile[:, 0]
        log_probs, value = self._network.response(context.params, seen, context.mixtures)
        frozen = self._network.strategy(context.frozen, seen, own)
        uniform = jnp.log(jnp.maximum(uniform_sink(seen), jnp.finfo(jnp.float32).tiny))
        frozen = jnp.where((own == 0)[:, None], uniform, frozen)
        log_probs = jnp.where((own < self._size)[:, None], frozen, log_probs)
        log_probs = jnp.where(seen.legal_mask, log_probs, -jnp.inf)
        return sample_decision(CATEGORICAL, log_probs, value, now, key)
