"""Mixtures that a population never trained against, and what responses to them fall short of,
exactly.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

from games.game_tree import GameTree
from neupl.population import Population
from solvers.best_response import best_response, coplayer_weights, objective

# Half of the mixtures have most of their weight on one or two strategies, half on many.
CONCENTRATIONS = (0.3, 3.0)
# A mixture closer than this to a row of the population, in total variation, is no unseen one.
LEAST_DISTANCE = 0.1


class Mixture(NamedTuple):
    """What a seat of a two-player game responds to.

    Attributes:
      seat: the responding seat.
      concentration: of the Dirichlet distribution it was drawn from.
      weights: `[K]` over the opponent's strategies.
    """

    seat: int
    concentration: float
    weights: Float64[np.ndarray, "K"]


def draw_mixtures(rows: Float[np.ndarray, "2 K K"], *, per_seat: int, seed: int) -> list[Mixture]:
    """Draws mixtures of admitted strategies, `per_seat` for either seat, half of them at either
    concentration.

    Args:
      rows: whom the strategies of either seat were trained against, zero for those outside. Draws
        that are closer to one of them than `LEAST_DISTANCE` are drawn again.
      per_seat: even.
      seed: decides everything.

    Raises:
      ValueError: `per_seat` is odd.
    """
    if per_seat % len(CONCENTRATIONS):
        raise ValueError(f"per_seat is {per_seat}, expected an even number")
    rng = np.random.default_rng(seed)
    found = []
    for seat, index in np.ndindex(2, per_seat):
        concentration = CONCENTRATIONS[index % len(CONCENTRATIONS)]
        while True:
            weights = draw_weights(rng, rows[1 - seat], concentration)
            if distance_to_rows(rows[seat], weights).min() >= LEAST_DISTANCE:
                break
        found.append(Mixture(seat, concentration, weights))
    return found


def draw_weights(
    rng: np.random.Generator, rows: Float[np.ndarray, "K K"], concentration: float
) -> Float64[np.ndarray, "K"]:
    """A symmetric Dirichlet draw over strategy 0 and the strategies that have a row."""
    admitted = rows.sum(axis=-1) > 0
    admitted[0] = True
    weights = np.zeros(len(rows))
    weights[admitted] = rng.dirichlet(np.full(admitted.sum(), concentration))
    return weights


def distance_to_rows(
    rows: Float[np.ndarray, "K K"], weights: Float[np.ndarray, "K"]
) -> Float64[np.ndarray, "K"]:
    """Total variation distance of a mixture from every row; infinite where there is no row."""
    distance = 0.5 * np.abs(rows.astype(np.float64) - weights).sum(axis=-1)
    return np.where(rows.sum(axis=-1) > 0, distance, np.inf)


class ExactGaps:
    """A population's strategies as opponents, on the tree of their game.

    Attributes:
      tables: `[K, S, A]` what they do.
    """

    def __init__(self, tree: GameTree, population: Population) -> None:
        self._tree, self.tables = tree, population.tabulate()

    def gaps(
        self, mixture: Mixture, policies: Sequence[Float[np.ndarray, "S A"]]
    ) -> Float64[np.ndarray, "N"]:
        """What the responding seat earns less by each policy than by a best response to the
        mixture, in game points. The opponent draws one strategy for a whole episode, hidden.
        """
        tree, seat = self._tree, mixture.seat
        weights = coplayer_weights(tree, self.tables, seat, mixture.weights)
        best = best_response(tree, seat, weights).value
        earned = [objective(tree, seat, policy, weights=weights) for policy in policies]
        return np.asarray(best - np.array(earned), np.float64)
