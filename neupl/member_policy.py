"""A seat's mixture over the strategies of a population, as a `games.Policy`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


@dataclasses.dataclass(frozen=True, eq=False)
class MemberPolicy:
    """Draws a strategy once per episode; the memory is the strategy drawn, -1 before the first
    move.

    Attributes:
      every: `(observation [B, O], mask [B, A]) -> [K, B, A]`, action probabilities of all
        strategies of the seat.
      weights: probabilities of the strategies.
    """

    every: Callable[[Any, Any], Any]
    weights: Float[Array, "K"]

    def initial_memory(self, batch: int) -> Int[Array, "B"]:
        return jnp.full((batch,), -1, jnp.int32)

    def act(
        self,
        memory: Int[Array, "B"],
        observation: Float[Array | np.ndarray, "B O"],
        mask: Bool[Array | np.ndarray, "B A"],
        key: Any,
    ) -> tuple[Int[Array, "B"], Float[Array, "B A"], Int[Array, "B"]]:
        draw_key, action_key = jax.random.split(key)
        drawn = jax.random.categorical(draw_key, jnp.log(self.weights), shape=memory.shape)
        member = jnp.where(memory < 0, drawn.astype(jnp.int32), memory)
        every = self.every(jnp.asarray(observation), jnp.asarray(mask))
        probabilities = every[member, jnp.arange(len(member))]
        action = jax.random.categorical(action_key, jnp.log(probabilities), axis=-1)
        return action.astype(jnp.int32), probabilities, member

    def member(self, memory: Int[Array, "B"]) -> Int[Array, "B"]:
        return memory
