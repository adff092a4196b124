"""One network per strategy: the baseline that the conditional network is measured against; with a
memory, see `neupl.separate_recurrent_networks`.

This is how PSRO with deep responses keeps its population (Lanctot et al. 2017, arXiv 1711.00832):
nothing is shared, a strategy that is admitted has a network of its own, and the population grows by
a copy each time. `SeparateNetworks` is called like `ConditionalNetwork`, so that games, learners
and certificates are the same for both.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from neupl.conditional_network import coplayer_marginals
from neupl.observation_statistics import COLLECTION, running_normalised, running_statistics
from neupl.types import Rows

# Decisions that one network takes at a time; a network's last block is padded.
BLOCK = 64


class PlainNetwork(nn.Module):
    """A policy of one strategy, and a critic that is told whom it meets.

    Attributes:
      num_actions: number of action ids `A`.
      hidden_sizes: width of each hidden layer of the policy.
      critic_hidden_size: width of the critic's hidden layer.
      critic_shapes: whether the critic's gradient reaches the layers of the policy.
      critic_observes: whether the critic reads the observation too.
      normalise: as in `ConditionalNetwork`.
    """

    num_actions: int
    hidden_sizes: Sequence[int]
    critic_hidden_size: int
    critic_shapes: bool = False
    critic_observes: bool = False
    normalise: bool = False

    @nn.compact
    def __call__(
        self, observation: Float[Array, "S O"], met: Float[Array, "S J"]
    ) -> tuple[Float[Array, "S A"], Float[Array, "S"]]:
        """Returns unmasked logits, and values in payoff ranges against the co-players `met`."""
        if self.normalise:
            observation = running_normalised(self, observation)
        hidden = observation
        for layer, size in enumerate(self.hidden_sizes):
            hidden = nn.relu(nn.Dense(size, name=f"hidden_{layer}")(hidden))
        logits = nn.Dense(
            self.num_actions,
            kernel_init=nn.initializers.variance_scaling(1e-2, "fan_in", "normal"),
            name="policy",
        )(hidden)
        shared = hidden if self.critic_shapes else jax.lax.stop_gradient(hidden)
        read = [observation, shared] if self.critic_observes else [shared]
        features = jnp.concatenate([*read, met], axis=-1)
        features = nn.relu(nn.Dense(self.critic_hidden_size, name="critic_hidden")(features))
        return logits, nn.Dense(1, name="critic")(features)[..., 0]


class SeparateNetworks(nn.Module):
    """As many networks as strategies, in the order of their tables: strategy `k` of table `t` is
    number `t * K + k`. Rows of the interaction graph say who is met, not who plays.

    Attributes:
      num_actions: number of action ids `A`.
      hidden_sizes: width of each hidden layer of the policies.
      critic_hidden_size: width of the critics' hidden layer.
      critic_observes, normalise: as in `PlainNetwork`; each network has statistics of its own.
    """

    num_actions: int
    hidden_sizes: Sequence[int]
    critic_hidden_size: int
    critic_observes: bool = False
    normalise: bool = False

    @nn.compact
    def __call__(
        self,
        observation: Float[Array, "S O"],
        seat: Float[Array, "S P"],
        rows: Rows,
        coplayers: Float[Array, "P K M"] | None = None,
        profile: Float[Array, "S N K"] | None = None,
    ) -> tuple[Float[Array, "... S A"], Float[Array, "... S"]]:
        """See `ConditionalNetwork`."""
        num_tables, num_strategies, _ = rows.joint.shape
        marginals = coplayer_marginals(rows.joint)
        plain = PlainNetwork(
            self.num_actions,
            self.hidden_sizes,
            self.critic_hidden_size,
            critic_observes=self.critic_observes,
            normalise=self.normalise,
        )
        number = num_tables * num_strategies

        def make(key: Any) -> Any:
            nothing = (jnp.zeros((1, observation.shape[-1])), jnp.zeros((1, marginals.shape[-1])))
            keys = jax.random.split(key, number)
            return jax.vmap(lambda one: plain.init(one, *nothing)["params"])(keys)

        networks = {"params": self.param("networks", make)}
        if self.normalise:
            networks[COLLECTION] = running_statistics(self, (number, observation.shape[-1]))

        def apply(own: Any, seen: Array, met: Array) -> tuple[Array, Array]:
            return plain.apply(own, seen, met)

        if profile is not None:
            owner = jnp.argmax(seat, axis=1) * num_strategies + jnp.argmax(profile[:, 0], axis=1)
            met = profile[:, 1:].reshape(len(profile), -1)
            return apply_grouped(apply, networks, owner, (observation, met))
        return apply_to_all(apply, networks, observation, seat, coplayer_marginals(coplayers))


def apply_to_all(
    apply: Any,
    params: Any,
    observation: Float[Array, "S O"],
    seat: Float[Array, "S P"],
    met: Float[Array, "P K J"],
) -> tuple[Float[Array, "K S A"], Float[Array, "K S"]]:
    """All strategies at every observation, each by its own network.

    Args:
      apply: `(parameters of one, observation, met) -> logits, values`.
      params: of all, in the order of their tables; or their variables.
      observation: or what is remembered, the same for all.
      seat: one-hot table of each observation.
      met: the co-players of every strategy.
    """
    num_tables, num_strategies, _ = met.shape
    shape = (len(observation), met.shape[-1])
    logits, value = jax.vmap(
        lambda own, against: apply(own, observation, jnp.broadcast_to(against, shape))
    )(params, met.reshape(num_tables * num_strategies, -1))
    logits = logits.reshape(num_tables, num_strategies, *logits.shape[1:])
    value = value.reshape(num_tables, num_strategies, -1)
    return jnp.einsum("st,tksa->ksa", seat, logits), jnp.einsum("st,tks->ks", seat, value)


def apply_grouped(
    apply: Any,
    params: Any,
    owner: Int[Array, "N"],
    told: tuple[Array, ...],
    *,
    block: int = BLOCK,
    in_turn: bool = False,
) -> Any:
    """Every decision by the network of its owner: decisions sorted into blocks of one owner each,
    so that the work is that of one network on all decisions, and a block for every owner.

    Args:
      apply: `(parameters of one, *told) -> arrays`, decisions first.
      params: of all networks; or their variables.
      owner: of each decision.
      told: arrays `[N, ...]` of what the decisions hang on.
      block: decisions that one network takes at a time.
      in_turn: whether blocks take turns, and empty ones none, instead of all at once: for learning
        along unrolls, where gradients of as many networks as blocks cost more than the work.
    """
    number, num_networks = len(owner), len(jax.tree.leaves(params)[0])
    num_blocks = -(-number // block) + num_networks
    order = jnp.argsort(owner)
    count = jnp.bincount(owner, length=num_networks)
    last_block = jnp.cumsum(-(-count // block))
    first_block = jnp.concatenate([jnp.zeros(1, last_block.dtype), last_block[:-1]])
    first = jnp.cumsum(count) - count
    of_sorted = owner[order]
    place = first_block[of_sorted] * block + jnp.arange(number) - first[of_sorted]
    slot = jnp.zeros(number, place.dtype).at[order].set(place)
    block_owner = jnp.searchsorted(last_block, jnp.arange(num_blocks), side="right")

    def blocks(array: Array) -> Array:
        rest = array.shape[1:]
        padded = jnp.zeros((num_blocks * block, *rest), array.dtype).at[slot].set(array)
        return padded.reshape(num_blocks, block, *rest)

    run = _in_turn if in_turn else _at_once
    found = run(apply, params, block_owner, tuple(map(blocks, told)))
    return jax.tree.map(lambda part: part.reshape(-1, *part.shape[2:])[slot], found)


def _at_once(apply: Any, params: Any, owner: Int[Array, "B"], told: tuple[Array, ...]) -> Any:
    """All blocks side by side, empty ones, whose owner is nobody, with them."""
    num_networks = len(jax.tree.leaves(params)[0])
    # A product, not a gather: the backward pass of a gather is a scatter, slower on CPU.
    choice = jax.nn.one_hot(jnp.minimum(owner, num_networks - 1), num_networks)
    chosen = jax.tree.map(
        lambda leaf: (choice @ leaf.reshape(num_networks, -1)).reshape(-1, *leaf.shape[1:]), params
    )
    return jax.vmap(apply)(chosen, *told)


def _in_turn(apply: Any, params: Any, owner: Int[Array, "B"], told: tuple[Array, ...]) -> Any:
    """One block after the other, without the empty ones."""
    num_networks = len(jax.tree.leaves(params)[0])

    def work(number: Int[Array, ""], own_told: tuple[Array, ...]) -> Any:
        return apply(jax.tree.map(lambda leaf: jnp.asarray(leaf)[number], params), *own_told)

    shapes = jax.eval_shape(work, owner[0], tuple(part[0] for part in told))
    nothing = jax.tree.map(lambda part: jnp.zeros(part.shape, part.dtype), shapes)

    def turn(_: tuple, block: tuple[Int[Array, ""], tuple[Array, ...]]) -> tuple[tuple, Any]:
        number, own_told = block
        found = jax.lax.cond(number < num_networks, work, lambda *_: nothing, number, own_told)
        return (), found

    return jax.lax.scan(turn, (), (owner, told))[1]


def per_network(transform: optax.GradientTransformation) -> optax.GradientTransformation:
    """An optimiser of its own for every network; one without any gradient rests, momentum and all.

    Else a strategy that is done would drift on for some steps, and the norm that gradients are
    clipped to would be that of all networks together.
    """

    def init(params: Any) -> Any:
        return jax.vmap(transform.init)(params)

    def update(gradient: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        asked = jnp.stack([_any(leaf) for leaf in jax.tree.leaves(gradient)]).any(axis=0)
        change, after = jax.vmap(transform.update)(gradient, state, params)

        def kept(new: Array, old: Array) -> Array:
            return jnp.where(asked.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

        still = jax.tree.map(jnp.zeros_like, change)
        return jax.tree.map(kept, change, still), jax.tree.map(kept, after, state)

    return optax.GradientTransformation(init, update)


def _any(leaf: Array) -> Array:
    return (leaf != 0).reshape(len(leaf), -1).any(axis=1)
