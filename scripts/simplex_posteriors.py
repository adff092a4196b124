"""How near a population's read-out of its opponent comes to Bayes' rule, exactly."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64

from games.game_tree import GameTree
from neupl.population import Population
from solvers.best_response import coplayer_weights, information_state_reach
from solvers.sequence_form import realization_plan

# Likelihoods that differ by less than this share are equal: nothing has told strategies apart.
SAME = 1e-6


class Posterior(NamedTuple):
    """Of one mixture, means over the information states at which something has been revealed, by
    how likely they are.

    Attributes:
      read_out: total variation distance between the posterior that is read out and the exact one.
      prior: the same of the mixture itself.
      revealed: how many decisions of an episode are made there.
    """

    read_out: float
    prior: float
    revealed: float


class Posteriors:
    """Exact posteriors over the strategies of a population, on the tree of their game."""

    def __init__(
        self, tree: GameTree, population: Population, tables: Float[np.ndarray, "K S A"]
    ) -> None:
        """Takes the tables of the strategies."""
        self._tree, self._population = tree, population
        each = np.eye(len(tables))
        self._likelihood = [
            information_state_reach(tree, seat, coplayer_weights(tree, tables, seat, each)).T
            for seat in (0, 1)
        ]

    def compare(
        self,
        weights: Float[np.ndarray, "K"],
        policy: Float[np.ndarray, "S A"],
        *,
        seat: int,
        vertices: Bool[np.ndarray, "K"],
    ) -> Posterior:
        """Compares what is read out while a seat plays a policy against a mixture.

        Args:
          weights: the mixture, known to the seat.
          policy: of the seat; it decides how likely its information states are.
          seat: who reads.
          vertices: the strategies that are mixed. Something has been revealed where they do not all
            make it equally likely.
        """
        tree, likelihood = self._tree, self._likelihood[seat]
        own_reach = realization_plan(tree, policy)[tree.infoset_parent_sequence]
        joint = own_reach[:, None] * likelihood * weights
        met = (tree.infoset_player == seat) & (joint.sum(axis=1) > 0)
        chosen = met & told_apart(likelihood[:, vertices])
        joint = joint[chosen]
        reach = joint.sum(axis=1)
        exact = joint / reach[:, None]
        found = self._population.opponent_posterior(
            weights, seat=seat, seen=tree.observation[chosen]
        )
        apart = (np.average(variation(q, exact), weights=reach) for q in (found, weights))
        return Posterior(*map(float, apart), float(reach.sum()))


def told_apart(likelihood: Float[np.ndarray, "S K"]) -> Bool[np.ndarray, "S"]:
    """Where strategies differ in how likely they make an information state."""
    greatest = likelihood.max(axis=1)
    return greatest - likelihood.min(axis=1) > SAME * greatest


def variation(
    found: Float[np.ndarray, "... K"], exact: Float[np.ndarray, "S K"]
) -> Float64[np.ndarray, "S"]:
    """Total variation distances, in [0, 1]."""
    return 0.5 * np.abs(found - exact).sum(axis=-1)
