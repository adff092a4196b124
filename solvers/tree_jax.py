"""The sequence-form passes in JAX: float32, differentiable, for many strategies at once.

Arrays carry the tree's axis first (`S` information states, `Q` sequences, `Z` terminals) and the
`K` strategies last, so that every gather and segment sum moves whole rows of strategies.
Counterfactual values are weighted by the reach of chance and co-players, as in `solvers.values`;
the float64 functions there are the reference.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from games.game_tree import GameTree


class ActionValues(NamedTuple):
    """Values of acting at every information state, against one co-player behaviour per strategy.

    Attributes:
      reach: `[S, K]` probability that chance and the co-players let the information state happen.
      action: `[S, A, K]` value of each action times `reach`, in game points (0 where illegal).
      root: `[P, K]` value of the game to each seat, entropy bonus included where one was asked for.
    """

    reach: Float[Array, "S K"]
    action: Float[Array, "S A K"]
    root: Float[Array, "P K"]


class TreePasses:
    """The passes over one tree, with its constants; build it once and call its methods inside
    `jit`.
    """

    def __init__(self, tree: GameTree):
        P, S, A = tree.num_players, tree.num_infosets, tree.num_actions
        self.num_players, self.num_sequences = P, tree.num_sequences
        self.levels = tree.levels
        self.legal_mask = tree.legal_mask
        self.sequence_cell = tree.sequence_infoset[P:] * A + tree.sequence_action[P:]
        self.sequence_parent = tree.infoset_parent_sequence[tree.sequence_infoset[P:]]
        self.infoset_parent = tree.infoset_parent_sequence
        self.infoset_owner = tree.infoset_player
        # Sequence of every (information state, action) cell; illegal cells read a row of zeros
        # behind the last one.
        cell = np.full(S * A, tree.num_sequences, np.int32)
        cell[self.sequence_cell] = np.arange(P, tree.num_sequences)
        self.cell_sequence = cell.reshape(S, A)
        self.terminal_sequence = tree.terminal_sequence
        self.terminal_probability = tree.terminal_probability.astype(np.float32)
        self.terminal_returns = tree.terminal_returns.astype(np.float32)

    def plans(self, policy: Float[Array, "S A K"]) -> Float[Array, "Q K"]:
        """Realisation plans: probability that its owner plays every action of a sequence."""
        num_strategies = policy.shape[-1]
        local = policy.reshape(-1, num_strategies)[self.sequence_cell]
        plan = jnp.ones((self.num_players, num_strategies), policy.dtype)
        for _, sequences in self.levels:
            rows = slice(sequences.start - self.num_players, sequences.stop - self.num_players)
            plan = jnp.concatenate([plan, plan[self.sequence_parent[rows]] * local[rows]])
        return plan

    def coplayer_reach(
        self, plan: Float[Array, "Q J"], rows: Float[Array, "P K M"]
    ) -> tuple[Float[Array, "Z K"], ...]:
        """Probability of each terminal under chance and a joint mixture of the co-players.

        Args:
          plan: plans of the `J` strategies per seat that co-players choose from.
          rows: for each seat and strategy, the distribution over the `M = J ** (P - 1)` joint
            profiles of the other seats, in ascending seat order.

        Returns:
          Per seat, `[Z, K]`.
        """
        reach = []
        for player in range(self.num_players):
            joint = self.terminal_probability[:, None]
            for other in range(self.num_players):
                if other != player:
                    at_terminal = plan[self.terminal_sequence[:, other]]
                    joint = (joint[:, :, None] * at_terminal[:, None, :]).reshape(len(joint), -1)
            reach.append(joint @ rows[player].T)
        return tuple(reach)

    def action_values(
        self,
        reach: tuple[Float[Array, "Z K"], ...],
        policy: Float[Array, "S A K"] | None,
        temperature: Float[Array, "P K"],
        *,
        magnet: Float[Array, "S A K"] | None = None,
    ) -> ActionValues:
        """One bottom-up pass: the values of `policy`, or of the best response when it is `None`.

        Args:
          reach: per seat, reach of the terminals by chance and co-players.
          policy: what every seat plays from here on; `None` for the (entropy-regularised) best
            response.
          temperature: weight of the entropy of each own decision, in game points per nat; must be
            positive where `policy` is `None`.
          magnet: log-probabilities of a policy; the entropy of a decision is then taken relative to
            it (minus the Kullback-Leibler divergence from it).
        """
        num_strategies = reach[0].shape[-1]
        index = np.concatenate([self.terminal_sequence[:, p] for p in range(self.num_players)])
        gains = [r * self.terminal_returns[:, p, None] for p, r in enumerate(reach)]
        mass = jnp.concatenate(reach)
        stacked = jnp.concatenate([jnp.concatenate(gains), mass], axis=1)
        value = jnp.zeros((self.num_sequences + 1, 2 * num_strategies), stacked.dtype)
        value = value.at[index].add(stacked)
        action_blocks, reach_blocks = [], []
        for infosets, _ in reversed(self.levels):
            mask = self.legal_mask[infosets, :, None]
            both = value[self.cell_sequence[infosets]]
            action, weight = both[..., :num_strategies], both[..., num_strategies:]
            # Any action leads to the same reach, since the owner's own probabilities are left out.
            here = jnp.max(jnp.where(mask, weight, 0.0), axis=1)
            tau = self._of_owner(temperature, infosets) * here
            drawn_to = 0.0 if magnet is None else magnet[infosets]
            if policy is None:
                scaled = action / jnp.maximum(tau, 1e-30)[:, None] + drawn_to
                up = tau * jax.nn.logsumexp(jnp.where(mask, scaled, -jnp.inf), axis=1)
            else:
                chosen = policy[infosets]
                log_chosen = jnp.log(jnp.where(chosen > 0, chosen, 1.0))
                paid = tau[:, None] * (log_chosen - drawn_to)
                up = jnp.sum(chosen * (action - paid), axis=1)
            value = value.at[self.infoset_parent[infosets]].add(jnp.concatenate([up, here], axis=1))
            action_blocks.append(action)
            reach_blocks.append(here)
        return ActionValues(
            reach=jnp.concatenate(reach_blocks[::-1]),
            action=jnp.concatenate(action_blocks[::-1]),
            root=value[: self.num_players, :num_strategies],
        )

    def gains(self, policy: Float[Array, "S A K"]) -> Float[Array, "P K"]:
        """Gain of every seat from its best response to the other seats' rows, in game points.

        The sum over seats is NashConv. Differentiable where best responses are unique; elsewhere
        the derivative is that of the equal mixture of best actions, a subgradient.
        """
        plan = self.plans(policy)
        at_terminal = [plan[self.terminal_sequence[:, p]] for p in range(self.num_players)]
        on_policy = []
        value = jnp.zeros((self.num_sequences + 1, policy.shape[-1]), policy.dtype)
        for player in range(self.num_players):
            reach = self.terminal_probability[:, None]
            for other in range(self.num_players):
                if other != player:
                    reach = reach * at_terminal[other]
            earned = reach * self.terminal_returns[:, player, None]
            value = value.at[self.terminal_sequence[:, player]].add(earned)
            on_policy.append(jnp.sum(earned * at_terminal[player], axis=0))
        for infosets, _ in reversed(self.levels):
            action = value[self.cell_sequence[infosets]]
            action = jnp.where(self.legal_mask[infosets, :, None], action, -jnp.inf)
            value = value.at[self.infoset_parent[infosets]].add(jnp.max(action, axis=1))
        return value[: self.num_players] - jnp.stack(on_policy)

    def _of_owner(self, per_seat: Float[Array, "P K"], infosets: slice) -> Float[Array, "S K"]:
        return per_seat[self.infoset_owner[infosets]]
