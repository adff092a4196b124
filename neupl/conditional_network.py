"""The conditional network: one set of parameters plays every strategy of every seat.

A strategy enters as an embedding of its row of the interaction graph (Liu et al. 2022, arXiv
2202.07415, section 1) and, optionally, of its index; the embedding is injected at every hidden
layer. Adding a strategy adds one row to each embedding table and nothing else. The critic also sees
the embeddings of the co-players it is asked about.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from neupl.observation_statistics import PRIVILEGED_COLLECTION, running_normalised
from neupl.types import Rows


class ConditionalNetwork(nn.Module):
    """Policy logits and co-player-conditioned values of `K` strategies per seat at `S`
    observations.

    Attributes:
      num_actions: number of action ids `A`, or of whatever outputs choose an action.
      hidden_sizes: width of each hidden layer of the policy.
      embedding_size: width `E` of the strategy embedding.
      use_index: whether the identity of a strategy is embedded beside its row.
      critic_hidden_size: width of the critic's hidden layer.
      critic_shapes: whether the critic reads what the policy reads, and shapes it, or the policy's
        features, which it leaves alone.
      action_values: whether the critic tells the value of every action, `[..., A]`, instead of one
        value; it reads the policy's features then, and shapes them.
      told_action: whether the critic is told an action and tells its value instead; it reads what
        one of action values does.
      critic_observes: whether a critic that reads the policy's features reads the observation too.
      normalise: whether observations are shifted and scaled by statistics that are kept among the
        variables (`neupl.observation_statistics`).
      privileged_critic: whether the critic also reads what a game shows critics alone. Where the
        network is not told that, it knows no values and tells zeros: who plays needs none.
      normalise_privileged: as `normalise`, of that.
    """

    num_actions: int
    hidden_sizes: Sequence[int]
    embedding_size: int
    use_index: bool
    critic_hidden_size: int
    critic_shapes: bool = False
    action_values: bool = False
    told_action: bool = False
    critic_observes: bool = False
    normalise: bool = False
    privileged_critic: bool = False
    normalise_privileged: bool = False

    @nn.compact
    def __call__(
        self,
        observation: Float[Array, "S O"],
        seat: Float[Array, "S P"],
        rows: Rows,
        coplayers: Float[Array, "P K M"] | None = None,
        profile: Float[Array, "S N K"] | None = None,
        action: Float[Array, "S C D"] | None = None,
        privileged: Float[Array, "S V"] | None = None,
    ) -> tuple[
        Float[Array, "... S A"],
        Float[Array, "... S"] | Float[Array, "... S A"] | Float[Array, "S C"],
    ]:
        """Returns unmasked logits, and values in units of the payoff range, of actions where the
        critic tells them, `[S, C]` of those that it is told.

        Either of all strategies at every observation, `[K, S, A]` and `[K, S]`, or of one strategy
        at each, `[S, A]` and `[S]`. Where rows ask about mixtures these are strategies too, behind
        the others.

        Args:
          observation: flat observations.
          seat: one-hot seat of each observation.
          rows: the strategies.
          coplayers: for all strategies: whom the values are against, for each seat and strategy a
            distribution over the joint profiles of the others.
          profile: for one strategy at each observation: one-hot strategies, first of the observing
            seat, which acts, then of the others in ascending order, whom the value is against.
          action: for a critic that is told actions, `C` of them at each observation; by default the
            one of zeros.
          privileged: for a privileged critic, what it alone sees at each observation.
        """
        num_strategies = rows.joint.shape[1]
        marginals = coplayer_marginals(rows.every, num_strategies)
        # One entry of a row shrinks as the population grows; the factor keeps the signal at unit
        # size.
        gain = jnp.sqrt(jnp.float32(marginals.shape[-1]))
        embedding = jnp.einsum(
            "pkj,pje->pke",
            marginals * gain,
            self.param(
                "row_embedding",
                nn.initializers.variance_scaling(1.0, "fan_in", "normal", batch_axis=(0,)),
                (marginals.shape[0], marginals.shape[-1], self.embedding_size),
            ),
        )
        if self.use_index:
            table = self.param(
                "index_embedding",
                nn.initializers.normal(1.0),
                (*rows.identity.shape, self.embedding_size),
            )
            index = jnp.take_along_axis(table, rows.identity[..., None], axis=1)
            # Mixtures that are asked about have none.
            embedding = embedding.at[:, :num_strategies].add(index)
        still = jax.lax.stop_gradient(embedding)
        if profile is None:
            met = _embedding_met(still[:, :num_strategies], coplayers)
        else:
            met = drawn_embeddings(still, seat, profile)
            # One strategy of one table at each observation.
            acts = (seat[:, :, None] * profile[:, :1]).reshape(len(seat), -1)

        def spread(of_strategy: Array) -> Array:
            # One-hot products: the backward pass of a gather is a scatter, several times slower on
            # CPU.
            if profile is None:
                return jnp.einsum("sp,pkh->ksh", seat, of_strategy)
            return acts @ of_strategy.reshape(acts.shape[-1], -1)

        if self.normalise:
            observation = running_normalised(self, observation)
        seen = jnp.concatenate([observation, seat], axis=-1)
        hidden = seen
        for layer, size in enumerate(self.hidden_sizes):
            condition = nn.Dense(size, use_bias=False, name=f"inject_{layer}")(embedding)
            hidden = nn.Dense(size, name=f"hidden_{layer}")(hidden)
            hidden = nn.relu(hidden + spread(condition))
        logits = nn.Dense(
            self.num_actions,
            kernel_init=nn.initializers.variance_scaling(1e-2, "fan_in", "normal"),
            name="policy",
        )(hidden)

        # Embeddings are the policy's, and so are features unless the critic has its own or tells of
        # actions.
        read = seen if self.critic_shapes else hidden
        if not (self.critic_shapes or self.action_values or self.told_action):
            read = jax.lax.stop_gradient(hidden)
        if self.critic_observes:
            read = _beside(seen, read)
        if self.privileged_critic:
            if privileged is None:
                return logits, jnp.zeros(logits.shape[:-1])
            if self.normalise_privileged:
                privileged = running_normalised(self, privileged, collection=PRIVILEGED_COLLECTION)
            read = _beside(privileged, read)
        against = nn.Dense(self.critic_hidden_size, use_bias=False, name="inject_critic")(met)
        if profile is None:
            against = spread(against)
        features = nn.Dense(self.critic_hidden_size, name="critic_hidden")(read) + against
        if action is not None:
            done = nn.Dense(self.critic_hidden_size, use_bias=False, name="inject_action")(action)
            features = features[:, None] + done
        value = nn.Dense(self.num_actions if self.action_values else 1, name="critic")(
            nn.relu(features)
        )
        return logits, value if self.action_values else value[..., 0]


def _beside(seen: Float[Array, "S O"], read: Float[Array, "... S H"]) -> Float[Array, "... S I"]:
    """The same numbers before what every strategy reads."""
    wide = jnp.broadcast_to(seen, (*read.shape[:-1], seen.shape[-1]))
    return jnp.concatenate([wide, read], axis=-1)


def coplayer_marginals(
    joint: Float[Array, "P N M"], num_strategies: int | None = None
) -> Float[Array, "P N J"]:
    """Marginals of each co-player, side by side: `J = (P - 1) * K`; for two players the rows
    themselves, and so for one, whose only strategy meets nobody.

    Args:
      joint: for each seat, rows over the `M = K ** (P - 1)` joint profiles of its co-players.
      num_strategies: the strategies `K` of a co-player; by default as many as there are rows.
    """
    size = joint.shape[1] if num_strategies is None else num_strategies
    num_coplayers = _num_coplayers(joint.shape[-1], size)
    cube = joint.reshape(*joint.shape[:2], *(size,) * num_coplayers)
    axes = range(2, 2 + num_coplayers)
    return jnp.concatenate(
        [cube.sum(axis=tuple(a for a in axes if a != keep)) for keep in axes], axis=-1
    )


def _embedding_met(
    embedding: Float[Array, "P J E"], coplayers: Float[Array, "P K M"]
) -> Float[Array, "P K G"]:
    """Mean embeddings of the co-players, side by side in ascending seat order: `G = (P - 1) *
    E`.
    """
    num_strategies = embedding.shape[1]
    others = _other_tables(embedding.shape[0], _num_coplayers(coplayers.shape[-1], num_strategies))
    shares = jnp.split(coplayer_marginals(coplayers, num_strategies), len(others[0]), axis=-1)
    per_seat = [
        jnp.concatenate(
            [share[p] @ embedding[q] for share, q in zip(shares, seats, strict=True)], -1
        )
        for p, seats in enumerate(others)
    ]
    return jnp.stack(per_seat)


def drawn_embeddings(
    embedding: Float[Array, "P K E"], seat: Float[Array, "S P"], profile: Float[Array, "S N K"]
) -> Float[Array, "S G"]:
    """Embeddings of the co-players of each observation's seat, as `_embedding_met` orders them; a
    player alone is told of itself in their place.
    """
    if profile.shape[1] == 1:
        return profile[:, 0] @ embedding[0]
    met = 0.0
    for p, seats in enumerate(_other_tables(embedding.shape[0], profile.shape[1] - 1)):
        own = [profile[:, 1 + i] @ embedding[q] for i, q in enumerate(seats)]
        met = met + seat[:, p, None] * jnp.concatenate(own, axis=-1)
    return met


def _other_tables(num_tables: int, num_coplayers: int) -> list[list[int]]:
    """Per table, those of the co-players; with one for all seats it is theirs too."""
    if num_tables == 1:
        return [[0] * num_coplayers]
    return [[q for q in range(num_tables) if q != p] for p in range(num_tables)]


def _num_coplayers(num_profiles: int, num_strategies: int) -> int:
    count, size = 1, num_strategies
    while size < num_profiles:
        count, size = count + 1, size * num_strategies
    return count
