"""One network per strategy and per response in NeuPL-JPSRO's loop: the baseline without sharing.

A response is learned by a network of its own; when it is admitted that network is the strategy, and
never learns again. Nothing is distilled, nothing is rehearsed, nothing drifts: this is how JPSRO
with deep responses keeps its population (Marris et al. 2021, arXiv 2106.09435; for two players
Lanctot et al. 2017, arXiv 1711.00832), at the price of a network per strategy.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


class PolicyNetwork(nn.Module):
    """The policy of one strategy of one seat.

    Attributes:
      num_actions: number of action ids `A`.
      hidden_sizes: width of each hidden layer.
    """

    num_actions: int
    hidden_sizes: Sequence[int]

    @nn.compact
    def __call__(self, observation: Float[Array, "S O"]) -> Float[Array, "S A"]:
        """Unmasked logits."""
        hidden = observation
        for size in self.hidden_sizes:
            hidden = nn.relu(nn.Dense(size)(hidden))
        small = nn.initializers.variance_scaling(1e-2, "fan_in", "normal")
        return nn.Dense(self.num_actions, kernel_init=small)(hidden)


class SeparateResponseNetworks(nn.Module):
    """Policy logits of `K` strategies and `R` responses per seat, each by a network of its own;
    called like `ResponseNetwork`.

    Its parameters are those of the responses, `P * R` networks with response `r` of seat `p` as
    number `p * R + r`. Those of the strategies, `P * K` networks in the same order, stand in the
    collection `strategies` of its variables, which no gradient step touches.

    Attributes:
      num_actions: number of action ids `A`.
      num_players: seats `P`.
      num_strategies: capacity `K` per seat.
      hidden_sizes: width of each hidden layer.
      distils: responses become strategies by distillation, not as they are.
      shared: what one strategy learns moves the others.
    """

    distils: ClassVar[bool] = False
    shared: ClassVar[bool] = False

    num_actions: int
    num_players: int
    num_strategies: int
    hidden_sizes: Sequence[int]

    def strategies(
        self,
        observation: Float[Array | np.ndarray, "S O"],
        seat: Float[Array | np.ndarray, "S P"],
        chosen: Int[Array | np.ndarray, "P N"],
    ) -> Float[Array, "N S A"]:
        """Unmasked logits of `N` strategies of every seat at each observation of that seat."""
        first = jnp.arange(self.num_players)[:, None] * self.num_strategies
        number = (first + jnp.asarray(chosen)).reshape(-1)
        networks = self.get_variable("strategies", "networks")
        own = jax.tree.map(lambda leaf: jnp.take(leaf, number, axis=0), networks)
        return self._play(own, observation, seat)

    def respond(
        self,
        observation: Float[Array | np.ndarray, "S O"],
        seat: Float[Array | np.ndarray, "S P"],
        mixtures: Float[Array | np.ndarray, "P R M"],
    ) -> Float[Array, "R S A"]:
        """Unmasked logits of the `R` responses per seat. They are told no mixture: each answers the
        one that it was trained against.
        """
        del mixtures
        return self._play(self.get_variable("params", "networks"), observation, seat)

    @nn.compact
    def everything(
        self,
        observation: Float[Array | np.ndarray, "S O"],
        seat: Float[Array | np.ndarray, "S P"],
        mixtures: Float[Array | np.ndarray, "P R M"],
    ) -> Float[Array, "R S A"]:
        """Logits of the responses; with it all variables are initialised."""
        policy, seen = self._policy(), jnp.zeros((1, observation.shape[-1]))

        def responses(key: Any) -> Any:
            keys = jax.random.split(key, self.num_players * mixtures.shape[1])
            return jax.vmap(lambda one: policy.init(one, seen)["params"])(keys)

        def strategies() -> Any:
            # Whatever a strategy is before it is admitted.
            one = jax.eval_shape(policy.init, jax.random.key(0), seen)["params"]
            count = self.num_players * self.num_strategies
            return jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape), leaf.dtype), one)

        self.param("networks", responses)
        self.variable("strategies", "networks", strategies)
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
          responder: which of a seat's responses it is.
          mixtures: what each strategy responds to; not read.
        """
        del mixtures
        seats = np.flatnonzero(slot > 0)
        responses, strategies = variables["params"]["networks"], variables["strategies"]["networks"]
        num_responders = len(jax.tree.leaves(responses)[0]) // self.num_players
        put = seats * self.num_strategies + slot[seats]
        taken = seats * num_responders + responder[seats]
        networks = jax.tree.map(
            lambda own, learned: jnp.asarray(own).at[put].set(jnp.asarray(learned)[taken]),
            strategies,
            responses,
        )
        return {**variables, "strategies": {"networks": networks}}

    def renewed(self, variables: Mapping[str, Any], fresh: Mapping[str, Any]) -> dict[str, Any]:
        """Variables with the responses of fresh ones."""
        return {**variables, "params": fresh["params"]}

    def _policy(self) -> PolicyNetwork:
        # Without a parent: it is applied to parameters that are given to it.
        return PolicyNetwork(self.num_actions, self.hidden_sizes, parent=None)

    def _play(self, networks, observation, seat) -> Float[Array, "N S A"]:
        """By `P * N` networks."""
        policy, seen = self._policy(), jnp.asarray(observation)
        logits = jax.vmap(lambda own: policy.apply({"params": own}, seen))(networks)
        logits = logits.reshape(self.num_players, -1, *logits.shape[1:])
        # Every network answers at all observations; those of its own seat count.
        return jnp.einsum("sp,pnsa->nsa", seat, logits)
