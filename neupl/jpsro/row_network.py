"""The direct form of NeuPL-JPSRO's network: strategies are rows, learned where they are played.

As in NeuPL (Liu et al. 2022, arXiv 2202.07415), a strategy is the network conditioned on the index
of its row and on the mixture that the row responds to. There is no response head and nothing is
distilled: a response is trained as a row of its own, with an index that no strategy has, and when
it is admitted that row becomes the strategy, embedding, mixture and all. Earlier rows share the
trunk with it and are rehearsed, as embeddings are in the form of `neupl.jpsro.network`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from neupl.conditional_network import coplayer_marginals
from neupl.jpsro.network import conditioned_trunk

# The collection of a network's variables with what its rows respond to.
ROWS = "rows"


class RowNetwork(nn.Module):
    """Policy logits of `K` rows per seat, and of one row more that learns to respond.

    What rows respond to stands in the collection `ROWS` of its variables, `[P, K, J]` marginals of
    the co-players: it is no parameter, but a strategy is not played without it.

    Attributes:
      num_actions: number of action ids `A`.
      num_players: seats `P`.
      num_strategies: capacity `K` per seat.
      hidden_sizes: width of each hidden layer of the trunk.
      embedding_size: width `E` of the embedding of a row.
      distils: responses become strategies by distillation, not as they are.
      shared: what one strategy learns moves the others.
    """

    distils: ClassVar[bool] = False
    shared: ClassVar[bool] = True

    num_actions: int
    num_players: int
    num_strategies: int
    hidden_sizes: Sequence[int]
    embedding_size: int

    def setup(self) -> None:
        """Declares the parameters and the rows."""
        players, size, width = self.num_players, self.num_strategies, self.embedding_size
        num_marginals = (players - 1) * size
        # The last index is that of the response.
        self.index = self.param("index", nn.initializers.normal(1.0), (players, size + 1, width))
        by_fan_in = nn.initializers.variance_scaling(1.0, "fan_in", "normal", batch_axis=(0,))
        self.row = self.param("row", by_fan_in, (players, num_marginals, width))
        self.marginals = self.variable(
            ROWS, "marginals", lambda: jnp.zeros((players, size, num_marginals))
        )
        self.layers = [nn.Dense(hidden) for hidden in self.hidden_sizes]
        self.inject = [nn.Dense(hidden, use_bias=False) for hidden in self.hidden_sizes]
        small = nn.initializers.variance_scaling(1e-2, "fan_in", "normal")
        self.policy = nn.Dense(self.num_actions, kernel_init=small)

    def strategies(
        self,
        observation: Float[Array | np.ndarray, "S O"],
        seat: Float[Array | np.ndarray, "S P"],
        chosen: Int[Array | np.ndarray, "P N"],
    ) -> Float[Array, "N S A"]:
        """Unmasked logits of `N` strategies of every seat at each observation of that seat."""
        at = jnp.asarray(chosen)[:, :, None]
        index = jnp.take_along_axis(self.index, at, axis=1)
        marginals = jnp.take_along_axis(self.marginals.value, at, axis=1)
        return self._play(observation, seat, index + self._encode(marginals))

    def respond(
        self,
        observation: Float[Array | np.ndarray, "S O"],
        seat: Float[Array | np.ndarray, "S P"],
        mixtures: Float[Array | np.ndarray, "P R M"],
    ) -> Float[Array, "R S A"]:
        """Unmasked logits of the row of the response, given `R` mixtures per seat; see
        `ResponseNetwork.respond`. Rows read the marginals alone: what else tells two mixtures apart
        is for the index to know.
        """
        marginals = coplayer_marginals(jnp.asarray(mixtures), self.num_strategies)
        return self._play(observation, seat, self.index[:, -1:] + self._encode(marginals))

    def everything(
        self,
        observation: Float[Array | np.ndarray, "S O"],
        seat: Float[Array | np.ndarray, "S P"],
        mixtures: Float[Array | np.ndarray, "P R M"],
    ) -> Float[Array, "R S A"]:
        """Logits of the responses; with it all variables are initialised."""
        return self.respond(observation, seat, mixtures)

    def admitted(
        self,
        variables: Mapping[str, Any],
        *,
        slot: Int[np.ndarray, "P"],
        responder: Int[np.ndarray, "P"],
        mixtures: Float[np.ndarray, "P K M"],
    ) -> dict[str, Any]:
        """Variables in which the response of every seat is a strategy.

        Args:
          variables: as they were learned.
          slot: strategy that the response becomes; none where it is not positive.
          responder: not read; the mixture says which response it is.
          mixtures: what each strategy responds to, with those that are admitted.
        """
        del responder
        seats = np.flatnonzero(slot > 0)
        index = jnp.asarray(variables["params"]["index"])
        index = index.at[seats, slot[seats]].set(index[seats, -1])
        marginals = coplayer_marginals(jnp.asarray(mixtures, jnp.float32))
        return {
            "params": {**variables["params"], "index": index},
            ROWS: {"marginals": marginals},
        }

    def renewed(self, variables: Mapping[str, Any], fresh: Mapping[str, Any]) -> dict[str, Any]:
        """Variables in which the row of the response has the index embedding of fresh ones."""
        drawn = fresh["params"]["index"][:, -1]
        index = jnp.asarray(variables["params"]["index"]).at[:, -1].set(drawn)
        return {**variables, "params": {**variables["params"], "index": index}}

    def _play(self, observation, seat, embedding) -> Float[Array, "N S A"]:
        return self.policy(
            conditioned_trunk(self.layers, self.inject, observation, seat=seat, embedding=embedding)
        )

    def _encode(self, marginals: Float[Array, "P N J"]) -> Float[Array, "P N E"]:
        # One entry of a row shrinks as the population grows; the factor keeps the signal at unit
        # size.
        gain = jnp.sqrt(jnp.float32(marginals.shape[-1]))
        return jnp.einsum("pnj,pje->pne", marginals * gain, self.row)
