"""A seat's mixture over the strategies of a population, as a `games.Policy`."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from neupl.action_distribution import GAUSSIAN
from neupl.matches import side_by_side
from neupl.recurrent_network import Recall, no_recall


def draw_members(
    weights: Float[Array, "K"], member: Int[Array, "B"], key: Any, *, together: int = 1
) -> Int[Array, "B"]:
    """Strategies drawn by their weights where there is none, the same for `together` lanes in a
    row; consumes `key`.
    """
    drawn = jax.random.categorical(key, jnp.log(weights), shape=(len(member) // together,))
    return jnp.where(member < 0, side_by_side(drawn, len(member)).astype(jnp.int32), member)


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
        member = self.draw(memory, draw_key)
        every = self.every(jnp.asarray(observation), jnp.asarray(mask))
        probabilities = every[member, jnp.arange(len(member))]
        action = jax.random.categorical(action_key, jnp.log(probabilities), axis=-1)
        return action.astype(jnp.int32), probabilities, member

    def member(self, memory: Int[Array, "B"]) -> Int[Array, "B"]:
        return memory

    def draw(self, memory: Int[Array, "B"], key: Any, *, together: int = 1) -> Int[Array, "B"]:
        return draw_members(self.weights, memory, key, together=together)


@dataclasses.dataclass(frozen=True, eq=False)
class ContinuousMemberPolicy:
    """The same where actions are vectors of numbers.

    Attributes:
      every: `(observation [B, O], mask [B, A]) -> [K, B, 2 A]`, means and log standard deviations
        of all strategies of the seat.
      weights: probabilities of the strategies.
      likeliest: whether the mean is played instead of a draw; density 1 is reported then.
    """

    every: Callable[[Any, Any], Any]
    weights: Float[Array, "K"]
    likeliest: bool = False

    def initial_memory(self, batch: int) -> Int[Array, "B"]:
        return jnp.full((batch,), -1, jnp.int32)

    def act(
        self,
        memory: Int[Array, "B"],
        observation: Float[Array | np.ndarray, "B O"],
        mask: Bool[Array | np.ndarray, "B A"],
        key: Any,
    ) -> tuple[Float[Array, "B A"], Float[Array, "B"], Int[Array, "B"]]:
        """See `games.types.Policy`; `key` may be `None` where nothing is drawn: where one strategy
        has all the weight, and its likeliest action is played.
        """
        every = self.every(jnp.asarray(observation), jnp.asarray(mask))
        if key is None:
            if not self.likeliest or np.count_nonzero(self.weights) != 1:
                raise ValueError("a policy that draws needs a key")
            member = jnp.full(memory.shape, int(np.argmax(self.weights)), jnp.int32)
        else:
            draw_key, key = jax.random.split(key)
            member = self.draw(memory, draw_key)
        parameters = every[member, jnp.arange(len(member))]
        if self.likeliest:
            mean, _ = jnp.split(parameters, 2, axis=-1)
            return mean, jnp.zeros(len(member)), member
        action = GAUSSIAN.sample(parameters, key)
        return action, GAUSSIAN.log_prob(parameters, action), member

    def member(self, memory: Int[Array, "B"]) -> Int[Array, "B"]:
        return memory

    def draw(self, memory: Int[Array, "B"], key: Any, *, together: int = 1) -> Int[Array, "B"]:
        return draw_members(self.weights, memory, key, together=together)


class MemberMemory(NamedTuple):
    """What a seat carries through an episode.

    Attributes:
      member: the strategy drawn, -1 before the first move.
      recall: what the network remembers.
    """

    member: Int[Array, "B"]
    recall: Recall


@dataclasses.dataclass(frozen=True, eq=False)
class RecurrentMemberPolicy:
    """The same of a network with a memory, shared by all strategies or not, and of actions of
    either kind.

    Attributes:
      every: `(observation [B, O], mask [B, A], remembered [B, H]) -> [K, B, A]`, action
        probabilities of all strategies of the seat; of continuous actions `[K, B, 2 A]`, means and
        log standard deviations.
      remember: `(observation, recall, member) -> [B, H]` what a strategy remembers after an
        observation.
      memory_size: `H`.
      weights: probabilities of the strategies.
      action_length: of continuous actions; `None` of ids.
      likeliest: of continuous actions, as in `ContinuousMemberPolicy`.
    """

    every: Callable[[Any, Any, Any], Any]
    remember: Callable[[Any, Recall, Any], Any]
    memory_size: int
    weights: Float[Array, "K"]
    action_length: int | None = None
    likeliest: bool = False

    def initial_memory(self, batch: int) -> MemberMemory:
        recall = no_recall(batch, self.memory_size, action_length=self.action_length)
        return MemberMemory(jnp.full((batch,), -1, jnp.int32), recall)

    def act(
        self,
        memory: MemberMemory,
        observation: Float[Array | np.ndarray, "B O"],
        mask: Bool[Array | np.ndarray, "B A"],
        key: Any,
    ) -> tuple[Array, Array, MemberMemory]:
        # The draw that the chooser makes; without a key there is one strategy.
        if key is None:
            member = jnp.full(memory.member.shape, jnp.argmax(self.weights), jnp.int32)
        else:
            member = draw_members(self.weights, memory.member, jax.random.split(key)[0])
        remembered = self.remember(jnp.asarray(observation), memory.recall, member)

        def every(*seen: Any) -> Any:
            return self.every(*seen, remembered)

        if self.action_length is None:
            chooser = MemberPolicy(every, self.weights)
        else:
            chooser = ContinuousMemberPolicy(every, self.weights, self.likeliest)
        action, probabilities, member = chooser.act(memory.member, observation, mask, key)
        return action, probabilities, MemberMemory(member, Recall(remembered, action))

    def member(self, memory: MemberMemory) -> Int[Array, "B"]:
        return memory.member

    def draw(self, memory: MemberMemory, key: Any, *, together: int = 1) -> MemberMemory:
        member = draw_members(self.weights, memory.member, key, together=together)
        return memory._replace(member=member)
