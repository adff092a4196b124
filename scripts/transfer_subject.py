"""A population with all that is needed to respond to it, and to measure responses exactly."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from transfer_cases import Batches
from transfer_learning import Responses, tell
from transfer_mixtures import ExactGaps, Mixture, distance_to_rows, draw_mixtures

from games.registry import load_tree
from neupl.config import Config
from neupl.evaluation import normalise
from neupl.population import Population
from neupl.tree_population import TreePopulation

# The root of all random keys. Responses are numbered by mixture.
ROOT_SEED = 2022
SCRATCH_STREAM, RESPONSE_STREAM = range(2)


class Subject:
    """A population with what is needed to respond to it and to measure responses.

    Attributes:
      population: as loaded from disk.
      exact: its strategies on the tree.
    """

    def __init__(
        self, population: Population, learners: Mapping[int, Responses], *, seed: int
    ) -> None:
        """Takes the learners by the size of their batches."""
        self.population, self._learners = population, learners
        tree = load_tree(population.game)
        self.exact = ExactGaps(tree, population)
        self._opponents = {
            episodes: learner.against(population) for episodes, learner in self._learners.items()
        }
        config = Config(game=population.game, network=population.network)
        self._tables = TreePopulation(tree, config, sink=None)
        self._key = jax.random.fold_in(jax.random.key(ROOT_SEED), seed)

    def mixtures(self, seed: int, per_seat: int) -> list[Mixture]:
        """Mixtures of this population's members; the weights depend on the seed alone but for
        those that are drawn again.
        """
        return draw_mixtures(self.population.joint, per_seat=per_seat, seed=seed)

    def distance(self, mixture: Mixture) -> float:
        """Total variation distance of a mixture from the nearest row of its seat."""
        rows = self.population.joint[mixture.seat]
        return float(distance_to_rows(rows, mixture.weights).min())

    def gap(self, mixture: Mixture, params: Any) -> float:
        """Exact gap of the network that is told the mixture."""
        told = tell(self.population, mixture)
        policies = normalise(np.asarray(self._tables.policies(params, told.rows)))
        return float(self.exact.gaps(mixture, [policies[told.number]])[0])

    def curve(
        self,
        mixture: Mixture,
        start: str,
        batches: Batches,
        *,
        number: int,
        learning_rate: float,
    ) -> list[float]:
        """Exact gaps after the numbers of batches of `batches.steps(start)`.

        Args:
          mixture: whom the response meets.
          start: one of `STARTS`.
          batches: how much it may learn from.
          number: of the mixture; the random streams depend on it.
          learning_rate: Adam's step size.
        """
        responses = self._learners[batches.episodes]
        key = jax.random.fold_in(self._key, number)
        params = self.population.params
        if start == "scratch":
            fresh_key = jax.random.fold_in(key, SCRATCH_STREAM)
            params = responses.plain(fresh_key, seat=mixture.seat)
        found = responses.respond(
            params,
            mixture,
            self._opponents[batches.episodes],
            learning_rate=learning_rate,
            steps=batches.steps(start),
            key=jax.random.fold_in(key, RESPONSE_STREAM),
        )
        return [self.gap(mixture, own) for own in found]

    def without_training(self, mixture: Mixture) -> dict[str, Any]:
        """Exact gaps of the members and of what costs no episode."""
        return {
            "members": self.exact.gaps(mixture, self.exact.tables).tolist(),
            "zero_shot": self.gap(mixture, self.population.params),
        }
