"""The whole population on a compiled game: every strategy at every information state at once."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from games.game_tree import GameTree
from neupl.config import Config
from neupl.networks import PopulationNetwork, make_network, masked_log_probs
from neupl.opponent_readout import OpponentReadout, add_readout, log_likelihoods, make_readout
from neupl.types import Objective, Rows
from solvers.tree_jax import TreePasses

# Least temperature, as a share of the payoff range, at which a soft maximum is taken.
COLDEST = 1e-6


class TreePopulation:
    """The conditional network evaluated on a tree, in JAX.

    Attributes:
      tree: the game.
      passes: differentiable passes over the tree.
      network: the conditional network.
      readout: tells strategies of the opponent apart; `None` where there is none.
      num_tables: tables of strategies: one per seat, or one for all.
      seat: `[S, P]` one-hot owner of each information state.
    """

    def __init__(
        self, tree: GameTree, config: Config, *, sink: Float[np.ndarray, "S A"] | None
    ) -> None:
        """Takes the fixed policy of strategy 0 of every seat; `None`: the network plays it too."""
        self.tree, self.passes = tree, TreePasses(tree)
        self.network: PopulationNetwork = make_network(config.network, tree.num_actions)
        self.readout: OpponentReadout | None = make_readout(config.network, config.population.size)
        self.num_tables = 1 if config.population.symmetric else tree.num_players
        self.seat = np.eye(tree.num_players, dtype=np.float32)[tree.infoset_player]
        self.policies = jax.jit(self._policies)
        self.row_gain = jax.jit(self._row_gain)
        self._size, self._sink = config.population.size, sink
        self._observation, self._legal = jnp.asarray(tree.observation), jnp.asarray(tree.legal_mask)
        self._owner = jnp.asarray(tree.infoset_player)
        one_table = jnp.ones((tree.num_infosets, 1))
        self._table_of = jnp.asarray(self.seat) if self.num_tables > 1 else one_table

    def init(self, key: Any) -> Any:
        """Initial parameters of the network."""
        profiles = self._size ** (self.tree.num_players - 1)
        rows = Rows(
            jnp.zeros((self.num_tables, self._size, profiles)),
            jnp.zeros((self.num_tables, self._size), jnp.int32),
        )
        params = self.network.init(key, self._observation, self._table_of, rows, rows.joint)
        return add_readout(
            self.readout,
            params,
            jax.random.fold_in(key, 1),
            width=self._observation.shape[1],
            num_tables=self.num_tables,
        )

    def opponent_log_likelihoods(self, params: Any) -> Float[Array, "S K"]:
        """What the read-out makes of every information state, in nats, up to a constant."""
        return log_likelihoods(self.readout, params, self._observation, self._table_of)

    def forward(
        self, params: Any, rows: Rows, coplayers: Float[Array, "P K M"]
    ) -> tuple[Float[Array, "S A K"], Float[Array, "S K"]]:
        """Log-probabilities of the network, and values against the co-players in payoff ranges."""
        count = self.num_tables
        logits, value = self.network.apply(
            params, self._observation, self._table_of, rows.tables(count), coplayers[:count]
        )
        log_probs = masked_log_probs(logits, self._legal)
        if value.ndim == 3:
            # The critic tells those of actions.
            value = jnp.sum(jnp.where(self._legal, jnp.exp(log_probs) * value, 0.0), axis=-1)
        return jnp.transpose(log_probs, (1, 2, 0)), value.T

    def forward_drawn(
        self,
        params: Any,
        rows: Rows,
        coplayers: Float[Array, "P K M"],
        state: Int[Array, "B"],
        strategy: Int[Array, "B"],
    ) -> tuple[Float[Array, "B A"], Float[Array, "B"]]:
        """What `forward` says of some information states, of one strategy at each.

        Args:
          params: of the network.
          rows: the strategies.
          coplayers: one-hot.
          state: number of the information state.
          strategy: number of the strategy or asked mixture there.
        """
        count, players = self.num_tables, self.tree.num_players
        profile = jnp.argmax(coplayers, axis=-1)[self._owner[state], strategy]
        met = jnp.unravel_index(profile, (rows.joint.shape[1],) * (players - 1))
        drawn = jax.nn.one_hot(jnp.stack([strategy, *met], axis=1), rows.every.shape[1])
        logits, value = self.network.apply(
            params,
            self._observation[state],
            self._table_of[state],
            rows.tables(count),
            profile=drawn,
        )
        return masked_log_probs(logits, self._legal[state]), value

    def evaluate(
        self, params: Any, rows: Rows
    ) -> tuple[Float[Array, "S A K"], Float[Array, "S A K"]]:
        """Log-probabilities of the network, and probabilities with the sink in its place."""
        log_probs, _ = self.forward(params, rows, rows.every)
        probabilities = jnp.where(self._legal[:, :, None], jnp.exp(log_probs), 0.0)
        if self._sink is not None:
            probabilities = probabilities.at[:, :, 0].set(self._sink)
        return log_probs, probabilities

    def _policies(self, params: Any, rows: Rows) -> Float[Array, "K S A"]:
        """Probabilities of every strategy at every information state, float32; jitted."""
        return jnp.transpose(self.evaluate(params, rows)[1], (2, 0, 1))

    def _row_gain(self, params: Any, objective: Objective) -> Float[Array, "P K"]:
        """What each strategy could still gain in its own objective, in game points; jitted."""
        _, policy = self.evaluate(params, objective.rows)
        passes = self.passes
        reach = passes.coplayer_reach(passes.plans(policy), objective.rows.joint)
        temperature = jnp.maximum(objective.temperature, COLDEST * self.tree.payoff_range)
        best = passes.action_values(reach, None, temperature).root
        return best - passes.action_values(reach, policy, temperature).root
