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
from neupl.observation_statistics import running_normalised
from neupl.types import Rows


class Recall(NamedTuple):
    """What `N` seats carry from one decision of an episode to the next.

    Attributes:
      hidden: state of the recurrent core, zero at the start of an episode.
      action: the seat's last own action, -1 before the first; of continuous ones, `A` numbers, 0
        before the first.
    """

    hidden: Float[Array, "N H"]
    action: Int[Array, "N"] | Float[Array, "N A"]


class RecurrentCore(nn.Module):
    """Encoder and recurrent core: what is remembered of an episode.

    The core is a gated recurrent unit (Cho et al. 2014, arXiv 1406.1078, in the form of
    `flax.linen.GRUCell`), its input the encoded observation, seat and last own action.

    Attributes:
      num_actions: number of action ids `A`, or of whatever outputs choose an action.
      encoder_sizes: width of each layer between observation and memory.
      memory_size: width `H` of the memory.
      continuous: whether actions are vectors of numbers, of which the last is told as it is.
      normalise: whether observations are shifted and scaled, as in `ConditionalNetwork`.
    """

    num_actions: int
    encoder_sizes: Sequence[int]
    memory_size: int
    continuous: bool
    normalise: bool

    def setup(self) -> None:
        self.encoder = [nn.Dense(size) for size in self.encoder_sizes]
        self.core_input = nn.Dense(3 * self.memory_size)
        self.core_state = nn.Dense(3 * self.memory_size, kernel_init=nn.initializers.orthogonal())

    def remember(
        self,
        observation: Float[Array, "N O"],
        seat: Float[Array, "N P"],
        recall: Recall,
        strategy: Int[Array, "N"] | None = None,
    ) -> Float[Array, "N H"]:
        """What is remembered after another observation, by all strategies alike."""
        return self._advance(recall.hidden, self._encode(observation, seat, recall.action))

    def unroll(
        self,
        observation: Float[Array, "T N O"],
        seat: Float[Array, "N P"],
        previous: Int[Array, "T N"] | Float[Array, "T N A"],
        *,
        start: Float[Array, "N H"],
        fresh: Bool[Array, "T N"],
        moved: Bool[Array, "T N"],
        strategy: Int[Array, "N"] | None = None,
    ) -> Float[Array, "T N H"]:
        """What is remembered after each of `T` steps, by all strategies alike.

        Args:
          observation: at each step.
          seat: one-hot seat, the same at all steps.
          previous: the last own action before each step, as in `Recall`.
          start: memory before the first step.
          fresh: where an episode begins; it remembers nothing of what was before.
          moved: where the seat decides; elsewhere the memory stays as it is.
          strategy: whose memory it is, of networks where each has its own.
        """
        steps = len(observation)
        encoded = self._encode(observation, jnp.broadcast_to(seat, (steps, *seat.shape)), previous)

        def step(network: RecurrentCore, hidden: Array, at: tuple) -> tuple[Array, Array]:
            own, is_fresh, has_moved = at
            hidden = jnp.where(is_fresh[:, None], 0.0, hidden)
            hidden = jnp.where(has_moved[:, None], network._advance(hidden, own), hidden)
            return hidden, hidden

        scan = nn.scan(step, variable_broadcast="params", split_rngs={"params": False})
        return scan(self, start, (encoded, fresh, moved))[1]

    @nn.compact
    def _encode(self, observation: Array, seat: Array, previous: Array) -> Array:
        """What the core is told, all of it that does not hang on its state: one product for all
        steps.
        """
        if self.normalise:
            observation = running_normalised(self, observation)
        if self.continuous:
            # What lies beyond is not what was done.
            last = jnp.clip(previous, -1, 1)
        else:
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


class RecurrentNetwork(RecurrentCore):
    """A `ConditionalNetwork` that reads a memory instead of an observation.

    Attributes:
      hidden_sizes: width of each hidden layer between memory and policy.
      embedding_size: width `E` of the strategy embedding.
      use_index: whether the identity of a strategy is embedded beside its row.
      critic_hidden_size: width of the critic's hidden layer.
      action_values: whether the critic tells a value of every action.
      privileged_critic: whether the critic also reads what a game shows critics alone, likewise.
    """

    hidden_sizes: Sequence[int]
    embedding_size: int
    use_index: bool
    critic_hidden_size: int
    action_values: bool = False
    privileged_critic: bool = False

    def setup(self) -> None:
        super().setup()
        self.heads = ConditionalNetwork(
            num_actions=self.num_actions,
            hidden_sizes=self.hidden_sizes,
            embedding_size=self.embedding_size,
            use_index=self.use_index,
            critic_hidden_size=self.critic_hidden_size,
            action_values=self.action_values,
            critic_shapes=True,
            privileged_critic=self.privileged_critic,
            normalise_privileged=self.normalise,
        )

    def __call__(
        self,
        remembered: Float[Array, "S H"],
        seat: Float[Array, "S P"],
        rows: Rows,
        coplayers: Float[Array, "P K M"] | None = None,
        profile: Float[Array, "S N K"] | None = None,
        privileged: Float[Array, "S V"] | None = None,
    ) -> tuple[Float[Array, "... S A"], Float[Array, "... S"] | Float[Array, "... S A"]]:
        """As `ConditionalNetwork`, of what is remembered after the observation."""
        return self.heads(remembered, seat, rows, coplayers, profile, privileged=privileged)

    def first(
        self,
        observation: Float[Array, "N O"],
        seat: Float[Array, "N Q"],
        recall: Recall,
        rows: Rows,
        profile: Float[Array, "N P K"],
        privileged: Float[Array, "N V"] | None = None,
    ) -> tuple[Float[Array, "N A"], Float[Array, "N"] | Float[Array, "N A"]]:
        """Remembers and decides; what initialises all parameters."""
        remembered = self.remember(observation, seat, recall)
        return self(remembered, seat, rows, profile=profile, privileged=privileged)


def no_recall(count: int, memory_size: int, *, action_length: int | None = None) -> Recall:
    """What `count` seats carry before the first decision of an episode; actions are ids, or
    continuous of some length.
    """
    return Recall(jnp.zeros((count, memory_size)), no_action((count,), action_length))


def no_action(shape: tuple[int, ...], action_length: int | None) -> Array:
    """What is told of before the first action: no id, or the middle of what can be done."""
    if action_length is None:
        return jnp.full(shape, -1, jnp.int32)
    return jnp.zeros((*shape, action_length))
