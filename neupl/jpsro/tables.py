"""The network of NeuPL-JPSRO on a compiled game: all strategies at all information states."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from games.game_tree import GameTree
from neupl.jpsro.networks import JointNetwork
from neupl.networks import masked_log_probs
from solvers.tree_jax import TreePasses


class ResponseTables:
    """Policies of the network as tables, in JAX.

    Attributes:
      tree: the game.
      passes: differentiable passes over the tree.
      network: plays strategies and responses.
      seat: `[S, P]` one-hot owner of each information state.
    """

    def __init__(
        self, tree: GameTree, network: JointNetwork, *, sink: Float[np.ndarray, "S A"]
    ) -> None:
        """Takes the fixed policy of strategy 0 of every seat."""
        self.tree, self.network, self.passes = tree, network, TreePasses(tree)
        self.seat = np.eye(tree.num_players, dtype=np.float32)[tree.infoset_player]
        self.policies = jax.jit(self._policies)
        self.responses = jax.jit(self._responses)
        self.coplayer_reach = jax.jit(self._coplayer_reach)
        self._sink = np.asarray(sink, np.float32)
        self._observation, self._legal = jnp.asarray(tree.observation), jnp.asarray(tree.legal_mask)
        self._seat = jnp.asarray(self.seat)

    def init(self, key: Any, num_responders: int) -> Any:
        """Initial variables, the parameters among them."""
        num_profiles = self.network.num_strategies ** (self.tree.num_players - 1)
        mixtures = jnp.zeros((self.tree.num_players, num_responders, num_profiles))
        return self.network.init(key, self._observation, self.seat, mixtures, method="everything")

    def strategies(
        self, params: Any, chosen: Int[Array | np.ndarray, "P N"]
    ) -> Float[Array, "S A N"]:
        """Log-probabilities of the network for some strategies of every seat, the sink included."""
        return self._log_probs(self._apply(params, chosen, method="strategies"))

    def respond(
        self, params: Any, mixtures: Float[Array | np.ndarray, "P R M"]
    ) -> Float[Array, "S A R"]:
        """Log-probabilities of the responses to mixtures."""
        return self._log_probs(self._apply(params, mixtures, method="respond"))

    def strategies_drawn(
        self, params: Any, state: Int[Array, "B"], strategy: Int[Array, "B"]
    ) -> Float[Array, "B A"]:
        """Log-probabilities of one strategy at each of some information states, by their numbers;
        of the conditional network.
        """
        which = jax.nn.one_hot(strategy, self.network.num_strategies)
        seen = self._observation[state], self._seat[state]
        logits = self.network.apply(params, *seen, which, method="strategy_at")
        return masked_log_probs(logits, self._legal[state])

    def respond_drawn(
        self,
        params: Any,
        mixtures: Float[Array, "P R M"],
        state: Int[Array, "B"],
        responder: Int[Array, "B"],
    ) -> Float[Array, "B A"]:
        """Log-probabilities of the response to one mixture at each of some information states, by
        their numbers; of the conditional network.
        """
        which = jax.nn.one_hot(responder, mixtures.shape[1])
        seen = self._observation[state], self._seat[state]
        logits = self.network.apply(params, *seen, mixtures, which, method="respond_at")
        return masked_log_probs(logits, self._legal[state])

    def probabilities(self, log_probs: Float[Array, "S A N"]) -> Float[Array, "S A N"]:
        """Probabilities, exactly 0 where an action is illegal."""
        return jnp.where(self._legal[:, :, None], jnp.exp(log_probs), 0.0)

    def _policies(self, params: Any) -> Float[Array, "K S A"]:
        """Probabilities of all strategies with the sink in its place, float32; jitted."""
        every = jnp.arange(self.network.num_strategies)
        chosen = jnp.tile(every, (self.tree.num_players, 1))
        policies = self.probabilities(self.strategies(params, chosen)).at[:, :, 0].set(self._sink)
        return jnp.transpose(policies, (2, 0, 1))

    def _responses(
        self, params: Any, mixtures: Float[Array | np.ndarray, "P R M"]
    ) -> Float[Array, "R S A"]:
        """Probabilities of the responses to mixtures, float32; jitted."""
        return jnp.transpose(self.probabilities(self.respond(params, mixtures)), (2, 0, 1))

    def _coplayer_reach(
        self, policies: Float[Array, "K S A"], mixtures: Float[Array, "P R M"]
    ) -> tuple[Float[Array, "Z R"], ...]:
        """See `TreePasses.coplayer_reach`; jitted."""
        plan = self.passes.plans(jnp.transpose(policies, (1, 2, 0)))
        return self.passes.coplayer_reach(plan, mixtures)

    def _apply(
        self, params: Any, argument: Array | np.ndarray, *, method: str
    ) -> Float[Array, "N S A"]:
        return self.network.apply(params, self._observation, self.seat, argument, method=method)

    def _log_probs(self, logits: Float[Array, "N S A"]) -> Float[Array, "S A N"]:
        return jnp.transpose(masked_log_probs(logits, self._legal), (1, 2, 0))
