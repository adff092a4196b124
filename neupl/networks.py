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
from jaxtyping import Array, Bool, Float

from neupl.types import Rows

# Large enough to silence an illegal action in float32, small enough that differences stay finite.
ILLEGAL_LOGIT = -1e9


class ConditionalNetwork(nn.Module):
    """Policy logits and co-player-conditioned values of `K` strategies per seat at `S`
    observations.

    Attributes:
      num_actions: number of action ids `A`.
      hidden_sizes: width of each hidden layer of the policy.
      embedding_size: width `E` of the strategy embedding.
      use_index: whether the identity of a strategy is embedded beside its row.
      critic_hidden_size: width of the critic's hidden layer.
    """

    num_actions: int
    hidden_sizes: Sequence[int]
    embedding_size: int
    use_index: bool
    critic_hidden_size: int

    @nn.compact
    def __call__(
        self,
        observation: Float[Array, "S O"],
        seat: Float[Array, "S P"],
        rows: Rows,
        coplayers: Float[Array, "P K M"],
    ) -> tuple[Float[Array, "K S A"], Float[Array, "K S"]]:
        """Returns unmasked logits, and values in units of the payoff range.

        Args:
          observation: flat observations.
          seat: one-hot seat of each observation.
          rows: the strategies.
          coplayers: whom the values are against: for each seat and strategy, a distribution over
            the joint profiles of the others.
        """
        marginals = coplayer_marginals(rows.joint)
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
            embedding = embedding + jnp.take_along_axis(table, rows.identity[..., None], axis=1)

        def inject(name: str, size: int, of_strategy: Array) -> Array:
            injected = nn.Dense(size, use_bias=False, name=name)(of_strategy)
            # A one-hot product: the backward pass of a gather is a scatter, several times slower on
            # CPU.
            return jnp.einsum("sp,pkh->ksh", seat, injected)

        hidden = jnp.concatenate([observation, seat], axis=-1)[None]
        for layer, size in enumerate(self.hidden_sizes):
            condition = inject(f"inject_{layer}", size, embedding)
            hidden = nn.relu(nn.Dense(size, name=f"hidden_{layer}")(hidden) + condition)
        logits = nn.Dense(
            self.num_actions,
            kernel_init=nn.initializers.variance_scaling(1e-2, "fan_in", "normal"),
            name="policy",
        )(hidden)

        # The critic reads the policy's features and embeddings without shaping them.
        met = inject(
            "inject_critic",
            self.critic_hidden_size,
            _embedding_met(jax.lax.stop_gradient(embedding), coplayers),
        )
        features = nn.Dense(self.critic_hidden_size, name="critic_hidden")(
            jax.lax.stop_gradient(hidden)
        )
        value = nn.Dense(1, name="critic")(nn.relu(features + met))[..., 0]
        return logits, value


def coplayer_marginals(joint: Float[Array, "P K M"]) -> Float[Array, "P K J"]:
    """Marginals of each co-player, side by side: `J = (P - 1) * K`; for two players the rows
    themselves.
    """
    num_seats, num_strategies, _ = joint.shape
    num_coplayers = _num_coplayers(joint)
    cube = joint.reshape(num_seats, num_strategies, *(num_strategies,) * num_coplayers)
    axes = range(2, 2 + num_coplayers)
    return jnp.concatenate(
        [cube.sum(axis=tuple(a for a in axes if a != keep)) for keep in axes], axis=-1
    )


def masked_log_probs(
    logits: Float[Array, "*batch A"], mask: Bool[Array, "... A"]
) -> Float[Array, "*batch A"]:
    """Log-probabilities over the legal actions (`mask` broadcasts); about `ILLEGAL_LOGIT`
    elsewhere.
    """
    return jax.nn.log_softmax(jnp.where(mask, logits, ILLEGAL_LOGIT))


def _embedding_met(
    embedding: Float[Array, "P K E"], coplayers: Float[Array, "P K M"]
) -> Float[Array, "P K G"]:
    """Mean embeddings of the co-players, side by side in ascending seat order: `G = (P - 1) *
    E`.
    """
    num_seats = embedding.shape[0]
    if num_seats == 1:  # one table for all seats: the co-players' strategies are the same rows
        others = [[0] * _num_coplayers(coplayers)]
    else:
        others = [[q for q in range(num_seats) if q != p] for p in range(num_seats)]
    shares = jnp.split(coplayer_marginals(coplayers), len(others[0]), axis=-1)
    per_seat = [
        jnp.concatenate(
            [share[p] @ embedding[q] for share, q in zip(shares, seats, strict=True)], -1
        )
        for p, seats in enumerate(others)
    ]
    return jnp.stack(per_seat)


def _num_coplayers(joint: Float[Array, "P K M"]) -> int:
    _, num_strategies, num_profiles = joint.shape
    count, size = 1, num_strategies
    while size < num_profiles:
        count, size = count + 1, size * num_strategies
    return count
