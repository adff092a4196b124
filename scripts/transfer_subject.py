"""A population with all that is needed to respond to it, and to measure responses exactly."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from transfer_cases import Batches
from transfer_learning import (
    Responses,
    best_by_payoffs,
    nearest_row,
    rows_with,
    trained_rows,
)
from transfer_mixtures import ExactGaps, Mixture, distance_to_rows, draw_mixtures

from games.registry import load_tree
from neupl.config import Config
from neupl.durable_files import write_durably
from neupl.evaluation import normalise
from neupl.population import Population
from neupl.tree_population import TreePopulation

# The root of all random keys. Responses are numbered by mixture.
ROOT_SEED = 2022
PRACTICE_STREAM = 2**31
SCRATCH_STREAM, RESPONSE_STREAM = range(2)

# The rules by which a mixture gets one of the trained indices.
INDEX_RULES: Mapping[str, Callable[[Population, Mixture], int]] = {
    "nearest row": nearest_row,
    "best by payoffs": best_by_payoffs,
}


class Subject:
    """A population with what is needed to respond to it and to measure responses.

    Attributes:
      population: as loaded from disk.
      exact: its strategies on the tree.
      practised: parameters of its network after practice.
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
        self._slot = population.num_strategies - 1
        self.practised = population.params

    def practise(self, path: Path, *, learning_rate: float, steps: int) -> None:
        """Trains `practised` in the largest batches, or reads it from the file where it was
        written before.
        """
        leaves, structure = jax.tree.flatten(self.population.params)
        if path.exists():
            with np.load(path) as saved:
                leaves = [saved[str(i)] for i in range(len(leaves))]
            self.practised = structure.unflatten(leaves)
            return
        episodes = max(self._learners)
        self.practised = self._learners[episodes].practise(
            self._opponents[episodes],
            slot=self._slot,
            learning_rate=learning_rate,
            steps=steps,
            key=jax.random.fold_in(self._key, PRACTICE_STREAM),
        )
        buffer = io.BytesIO()
        leaves = jax.tree.leaves(self.practised)
        np.savez(buffer, **{str(i): leaf for i, leaf in enumerate(leaves)})
        write_durably(path, buffer.getvalue())

    def mixtures(self, seed: int, per_seat: int) -> list[Mixture]:
        """Mixtures of this population's members; the weights depend on the seed alone but for
        those that are drawn again.
        """
        return draw_mixtures(self.population.joint, per_seat=per_seat, seed=seed)

    def distance(self, mixture: Mixture) -> float:
        """Total variation distance of a mixture from the nearest row of its seat."""
        rows = self.population.joint[mixture.seat]
        return float(distance_to_rows(rows, mixture.weights).min())

    def gap(self, mixture: Mixture, params: Any, slot: int) -> float:
        """Exact gap of the network that is told the mixture, by the index of `slot`."""
        return self._gap_of(mixture, params, rows_with(self.population, mixture, slot), slot)

    def gap_by_own_row(self, mixture: Mixture, slot: int) -> float:
        """Exact gap of a member as it was trained."""
        rows = trained_rows(self.population)
        return self._gap_of(mixture, self.population.params, rows, slot)

    def _gap_of(self, mixture, params, rows, slot) -> float:
        policies = normalise(np.asarray(self._tables.policies(params, rows)))
        return float(self.exact.gaps(mixture, [policies[slot]])[0])

    def curve(
        self,
        mixture: Mixture,
        start: str,
        batches: Batches,
        *,
        number: int,
        rule: str,
        learning_rate: float,
    ) -> list[float]:
        """Exact gaps after the numbers of batches of `batches.steps(start)`.

        Args:
          mixture: whom the response meets.
          start: one of `STARTS`.
          batches: how much it may learn from.
          number: of the mixture; the random streams depend on it.
          rule: of `INDEX_RULES`.
          learning_rate: Adam's step size.
        """
        responses = self._learners[batches.episodes]
        key = jax.random.fold_in(self._key, number)
        slot = self._slot
        if start == "population":
            slot, params = INDEX_RULES[rule](self.population, mixture), self.population.params
        elif start == "practised":
            params = self.practised
        else:
            fresh_key = jax.random.fold_in(key, SCRATCH_STREAM)
            params = responses.plain(fresh_key, seat=mixture.seat)
        found = responses.respond(
            params,
            mixture,
            self._opponents[batches.episodes],
            slot=slot,
            learning_rate=learning_rate,
            steps=batches.steps(start),
            key=jax.random.fold_in(key, RESPONSE_STREAM),
        )
        return [self.gap(mixture, own, slot) for own in found]

    def without_training(self, mixture: Mixture) -> dict[str, Any]:
        """Exact gaps of the members and of what costs no episode."""
        population = self.population
        slots = {name: rule(population, mixture) for name, rule in INDEX_RULES.items()}
        return {
            "members": self.exact.gaps(mixture, self.exact.tables).tolist(),
            "zero_shot": {
                name: self.gap(mixture, population.params, slot) for name, slot in slots.items()
            },
            "own_row": {name: self.gap_by_own_row(mixture, slot) for name, slot in slots.items()},
            "practised": self.gap(mixture, self.practised, self._slot),
        }
