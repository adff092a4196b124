"""The conditional network with a memory: encoder, recurrent core, then the strategy.

What happened is remembered alike by all strategies; the strategy enters behind the memory, at the
heads of policy and critic, and the identity of the co-players at the critic alone (Liu et al. 2022,
arXiv 2202.07415, section 2.2: a representation shared by the population under a conditional
policy). So a mixture of strategies needs one memory, not one for each.
"""

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from neupl.conditional_network import ConditionalNetwork
from neupl.types import Rows


class Recall(NamedTuple):
    """What `N` seats carry from one decision of an episode to the next.

    Attributes:
      hidden: state of the recurrent core, zero at the start of an episode.
      action: the seat's last own action, -1 before the first.
    """

    hidden: Float[Array, "N H"]
    action: Int[Array, "N"]


class RecurrentNetwork(nn.Module):
    """A `ConditionalNetwork` that reads a memory instead of an observation.

    The core is a gated recurrent unit (Cho et al. 2014, arXiv 1406.1078, in the form of
    `flax.linen.GRUCell`), its input the encoded observation, seat and last own action.

    Attributes:
      num_actions: number of action ids `A`.
      encoder_sizes: width of each layer between observation and memory.
      memory_size: width `H` of the memory.
      hidden_sizes: width of each hidden layer between memory and policy.
      embedding_size: width `E` of the strategy embedding.
      use_index: whether the identity of a strategy is embedded beside its row.
      critic_hidden_size: width of the critic's hidden layer.
      action_values: whether the critic tells a value of every action.
    """

    num_actions: int
    encoder_sizes: Sequence[int]
    memory_size: int
    hidden_sizes: Sequence[int]
    embedding_size: int
    use_index: bool
    critic_hidden_size: int
    action_values: bool = False

    def setup(self) -> None:
        self.encoder = [nn.Dense(size) for size in self.encoder_sizes]
        self.core_input = nn.Dense(3 * self.memory_size)
        self.core_state = nn.Dense(3 * self.memory_size, kernel_init=nn.initializers.orthogonal())
        self.heads = ConditionalNetwork(
            num_actions=self.num_actions,
            hidden_sizes=self.hidden_sizes,
            embedding_size=self.embedding_size,
            use_index=self.use_index,
            critic_hidden_size=self.critic_hidden_size,
            action_values=self.action_values,
            critic_shapes=True,
        )

    def __call__(
        self,
        remembered: Float[Array, "S H"],
        seat: Float[Array, "S P"],
        rows: Rows,
        coplayers: Float[Array, "P K M"] | None = None,
        profile: Float[Array, "S N K"] | None = None,
    ) -> tuple[Float[Array, "... S A"], Float[Array, "... S"] | Float[Array, "... S A"]]:
        """As `ConditionalNetwork`, of what is remembered after the observation."""
        return self.heads(remembered, seat, rows, coplayers, profile)

    def first(
        self,
        observation: Float[Array, "N O"],
        seat: Float[Array, "N Q"],
        recall: Recall,
        rows: Rows,
        profile: Float[Array, "N P K"],
    ) -> tuple[Float[Array, "N A"], Float[Array, "N"] | Float[Array, "N A"]]:
        """Remembers and decides; what initialises all parameters."""
        return self(self.remember(observation, seat, recall), seat, rows, profile=profile)

    def remember(
        self, observation: Float[Array, "N O"], seat: Float[Array, "N P"], recall: Recall
    ) -> Float[Array, "N H"]:
        """What is remembered after another observation."""
        return self._advance(recall.hidden, self._encode(observation, seat, recall.action))

    def unroll(
        self,
        observation: Float[Array, "T N O"],
        seat: Float[Array, "N P"],
        previous: Int[Array, "T N"],
        *,
        start: Float[Array, "N H"],
        fresh: Bool[Array, "T N"],
        moved: Bool[Array, "T N"],
    ) -> Float[Array, "T N H"]:
        """What is remembered after each of `T` steps.

        Args:
          observation: at each step.
          seat: one-hot seat, the same at all steps.
          previous: the last own action before each step, -1 for none.
          start: memory before the first step.
          fresh: where an episode begins; it remembers nothing of what was before.
          moved: where the seat decides; elsewhere the memory stays as it is.
        """
        steps = len(observation)
        encoded = self._encode(observation, jnp.broadcast_to(seat, (steps, *seat.shape)), previous)

        def step(network: RecurrentNetwork, hidden: Array, at: tuple) -> tuple[Array, Array]:
            own, is_fresh, has_moved = at
            hidden = jnp.where(is_fresh[:, None], 0.0, hidden)
            hidden = jnp.where(has_moved[:, None], network._advance(hidden, own), hidden)
            return hidden, hidden

        scan = nn.scan(step, variable_broadcast="params", split_rngs={"params": False})
        return scan(self, start, (encoded, fresh, moved))[1]

    def _encode(self, observation: Array, seat: Array, previous: Array) -> Array:
        """What the core is told, all of it that does not hang on its state: one product for all
        steps.
        """
        last = jax.nn.one_hot(previous, self.num_actions)
        encoded = jnp.concatenate([observation, seat, last], axis=-1)
        for layer in self.encoder:
            encoded = nn.relu(layer(encoded))
        return self.core_input(encoded)

    def _advance(self, hidden: Float[Array, "N H"], told: Float[Array, "N G"]) -> Array:
        size = self.memory_size
        held = self.core_state(hidden)
        reset, update = jnp.split(nn.sigmoid(told[:, : 2 * size] + held[:, : 2 * size]), 2, axis=-1)
        candidate = nn.tanh(told[:, 2 * size :] + reset * held[:, 2 * size :])
        return candidate + update * (hidden - candidate)


def no_recall(count: int, memory_size: int) -> Recall:
    """What `count` seats carry before the first decision of an episode."""
    return Recall(jnp.zeros((count, memory_size)), jnp.full(count, -1, jnp.int32))
