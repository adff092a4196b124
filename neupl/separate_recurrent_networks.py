"""One network with a memory per strategy: the baseline of the conditional network that remembers.

Each has encoder, recurrent core and heads of its own (`neupl.separate_networks` has those without a
memory). `SeparateRecurrentNetworks` is called like `RecurrentNetwork`, but for the strategy whose
memory it is, which all strategies share there.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from neupl.conditional_network import coplayer_marginals
from neupl.recurrent_network import Recall, RecurrentCore
from neupl.separate_networks import PlainNetwork, apply_grouped, apply_to_all
from neupl.types import Rows

# Decisions, and unrolls, that one network takes at a time: lanes with a memory are few.
DECISIONS, UNROLLS = 16, 8
# As many decisions are learned from, and few strategies own them: they take turns.
MANY = 512


class PlainRecurrentNetwork(RecurrentCore):
    """Memory and heads of one strategy, and a critic that is told whom it meets.

    Attributes:
      hidden_sizes: width of each hidden layer between memory and policy.
      critic_hidden_size: width of the critic's hidden layer.
    """

    hidden_sizes: Sequence[int]
    critic_hidden_size: int

    def setup(self) -> None:
        super().setup()
        self.heads = PlainNetwork(
            self.num_actions, self.hidden_sizes, self.critic_hidden_size, critic_shapes=True
        )

    def __call__(
        self, remembered: Float[Array, "S H"], met: Float[Array, "S J"]
    ) -> tuple[Float[Array, "S A"], Float[Array, "S"]]:
        """See `PlainNetwork`."""
        return self.heads(remembered, met)

    def first(
        self, observation: Float[Array, "N O"], recall: Recall, met: Float[Array, "N J"]
    ) -> tuple[Float[Array, "N A"], Float[Array, "N"]]:
        """Remembers and decides; what initialises all parameters."""
        nowhere = jnp.zeros((len(observation), 0))
        return self(self.remember(observation, nowhere, recall), met)


class SeparateRecurrentNetworks(nn.Module):
    """As many networks as strategies, in the order of their tables: strategy `k` of table `t` is
    number `t * K + k`. Rows of the interaction graph say who is met, not who plays.

    Attributes:
      num_actions: number of action ids `A`, or of whatever outputs choose an action.
      encoder_sizes: width of each layer between observation and memory.
      memory_size: width `H` of each memory.
      hidden_sizes: width of each hidden layer between memory and policy.
      critic_hidden_size: width of the critics' hidden layer.
      continuous: as in `RecurrentCore`.
    """

    num_actions: int
    encoder_sizes: Sequence[int]
    memory_size: int
    hidden_sizes: Sequence[int]
    critic_hidden_size: int
    continuous: bool = False

    @nn.compact
    def first(
        self,
        observation: Float[Array, "N O"],
        seat: Float[Array, "N P"],
        recall: Recall,
        rows: Rows,
        profile: Float[Array, "N L K"],
    ) -> tuple[Float[Array, "N A"], Float[Array, "N"]]:
        """Remembers and decides; what initialises all parameters."""
        num_tables, num_strategies, _ = rows.joint.shape
        nobody = jnp.zeros((len(observation), coplayer_marginals(rows.joint).shape[-1]))

        def make(key: Any) -> Any:
            keys = jax.random.split(key, num_tables * num_strategies)

            def one(own: Any) -> Any:
                made = self._plain().init(own, observation, recall, nobody, method="first")
                return made["params"]

            return jax.vmap(one)(keys)

        self.param("networks", make)
        strategy = jnp.argmax(profile[:, 0], axis=1)
        return self(self.remember(observation, seat, recall, strategy), seat, rows, None, profile)

    def __call__(
        self,
        remembered: Float[Array, "S H"],
        seat: Float[Array, "S P"],
        rows: Rows,
        coplayers: Float[Array, "P K M"] | None = None,
        profile: Float[Array, "S N K"] | None = None,
    ) -> tuple[Float[Array, "... S A"], Float[Array, "... S"]]:
        """See `RecurrentNetwork`. Of all strategies at every memory, each takes that for its own:
        only what the one says means something whose memory it is.
        """
        params = self._networks()

        def apply(own: Any, seen: Array, met: Array) -> tuple[Array, Array]:
            return self._plain().apply({"params": own}, seen, met)

        if profile is not None:
            owner = self._owner(seat, jnp.argmax(profile[:, 0], axis=1))
            met = profile[:, 1:].reshape(len(profile), -1)
            many = len(owner) >= MANY
            block = MANY // 2 if many else DECISIONS
            return apply_grouped(apply, params, owner, (remembered, met), block=block, in_turn=many)
        met = coplayer_marginals(rows.joint if coplayers is None else coplayers)
        return apply_to_all(apply, params, remembered, seat, met)

    def remember(
        self,
        observation: Float[Array, "N O"],
        seat: Float[Array, "N P"],
        recall: Recall,
        strategy: Int[Array, "N"],
    ) -> Float[Array, "N H"]:
        """What each strategy remembers after another observation."""

        def apply(own: Any, seen: Array, hidden: Array, action: Array) -> Array:
            nowhere, recall = jnp.zeros((len(seen), 0)), Recall(hidden, action)
            return self._plain().apply({"params": own}, seen, nowhere, recall, method="remember")

        owner, told = self._owner(seat, strategy), (observation, *recall)
        return apply_grouped(apply, self._networks(), owner, told, block=DECISIONS)

    def unroll(
        self,
        observation: Float[Array, "T N O"],
        seat: Float[Array, "N P"],
        previous: Int[Array, "T N"] | Float[Array, "T N A"],
        *,
        start: Float[Array, "N H"],
        fresh: Bool[Array, "T N"],
        moved: Bool[Array, "T N"],
        strategy: Int[Array, "N"],
    ) -> Float[Array, "T N H"]:
        """What each strategy remembers after each of `T` steps; see `RecurrentCore`."""

        def apply(own: Any, start: Array, *by_lane: Array) -> Array:
            seen, previous, fresh, moved = (jnp.swapaxes(part, 0, 1) for part in by_lane)
            found = self._plain().apply(
                {"params": own}, seen, jnp.zeros((seen.shape[1], 0)), previous,
                start=start, fresh=fresh, moved=moved, method="unroll",
            )  # fmt: skip
            return jnp.swapaxes(found, 0, 1)

        by_lane = [jnp.swapaxes(part, 0, 1) for part in (observation, previous, fresh, moved)]
        owner, told = self._owner(seat, strategy), (start, *by_lane)
        found = apply_grouped(apply, self._networks(), owner, told, block=UNROLLS, in_turn=True)
        return jnp.swapaxes(found, 0, 1)

    def _networks(self) -> Any:
        return self.get_variable("params", "networks")

    def _owner(self, seat: Float[Array, "N P"], strategy: Int[Array, "N"]) -> Int[Array, "N"]:
        """The number of each strategy's network."""
        number = len(jax.tree.leaves(self._networks())[0]) // seat.shape[1]
        return jnp.argmax(seat, axis=1) * number + strategy

    def _plain(self) -> PlainRecurrentNetwork:
        return PlainRecurrentNetwork(
            num_actions=self.num_actions,
            encoder_sizes=self.encoder_sizes,
            memory_size=self.memory_size,
            continuous=self.continuous,
            normalise=False,
            hidden_sizes=self.hidden_sizes,
            critic_hidden_size=self.critic_hidden_size,
            parent=None,
        )
