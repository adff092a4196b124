"""The mixture of a finished population as strategy 0 of another: whom a trained response meets.

Every seat plays one member for a whole episode. The members of a trained population are drawn
independently from the seats' meta-strategies; those of a solved one come as one profile from its
joint, so that a correlated joint is met as it is: a seat that leaves it does so before the draw.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from neupl.interaction_graph import first_equal_row
from neupl.jpsro.played_population import PlayedJointPopulation
from neupl.jpsro.response_actor import DecidingNetwork
from neupl.networks import PopulationNetwork, make_network
from neupl.population import Population
from neupl.population_actor import DrawnSink, Seen, apply_network, remember, uniform_sink
from neupl.recurrent_network import Recall
from neupl.tabular_population import TabularPopulation
from neupl.types import Rows


def frozen_mixture(
    population: Population | TabularPopulation | PlayedJointPopulation,
) -> DrawnSink:
    """The certified mixture (or joint) of a population, as a `DrawnSink`."""
    if isinstance(population, PlayedJointPopulation):
        return JointMixture(
            profiles=jnp.asarray(population.profiles),
            cumulative=_cumulative(population.weights),
            network=DecidingNetwork(population.module),
            params=population.params,
        )
    if isinstance(population, TabularPopulation):
        return TableMixture(
            profiles=jnp.asarray(population.profiles),
            cumulative=_cumulative(population.weights),
            tables=tuple(
                population.policy(0, seat=seat).every for seat in range(population.num_players)
            ),
        )
    joint, network = np.asarray(population.joint), population.network
    parts = {
        "population": population,
        "network": make_network(
            network,
            population.distribution.num_outputs(population.num_actions),
            continuous=population.continuous,
        ),
        "rows": Rows(jnp.asarray(joint, jnp.float32), jnp.asarray(first_equal_row(joint))),
        "cumulative": _cumulative(population.meta_strategy),
    }
    if network.memory == "none":
        return NetworkMixture(**parts)
    return RecurrentMixture(**parts, memory_size=network.memory_size)


def strategy_zero(population: Population, seen: Seen) -> Float[Array, "N D"]:
    """What the fixed strategy 0 of a population does, as a `Sink` says it."""
    distribution = population.distribution
    if population.sink == "uniform":
        return distribution.uniform(jnp.asarray(seen.legal_mask))
    lanes, num_actions = seen.legal_mask.shape
    probabilities = jnp.zeros((lanes, distribution.num_outputs(num_actions)))
    for seat in range(population.num_players):
        own = (jnp.asarray(seen.seat) == seat)[:, None]
        of_seat = population.sink_probabilities(
            seat, jnp.asarray(seen.observation), jnp.asarray(seen.legal_mask)
        )
        probabilities = jnp.where(own, of_seat, probabilities)
    return probabilities


@dataclasses.dataclass(frozen=True, eq=False)
class NetworkMixture:
    """Independent mixtures over the strategies of one network; see `DrawnSink`.

    Attributes:
      population: as loaded from disk.
      network: its network.
      rows: its strategies.
      cumulative: `[P, K]` cumulated meta-strategies.
    """

    population: Population
    network: PopulationNetwork
    rows: Rows
    cumulative: Float[Array, "P K"]

    def draw(self, batch: int, key: Any) -> Int32[Array, "B P"]:
        """See `DrawnSink`."""
        uniform = jax.random.uniform(key, (batch, len(self.cumulative)))
        return (uniform[..., None] >= self.cumulative).sum(axis=-1).astype(jnp.int32)

    def probabilities(self, seen: Seen, member: Int32[Array, "N"]) -> Float[Array, "N D"]:
        """See `DrawnSink`."""
        population = self.population
        num_tables = 1 if population.symmetric else population.num_players
        # Only the critic, which is not asked, looks at the co-players.
        playing = seen._replace(profile=jnp.tile(member[:, None], (1, population.num_players)))
        parameters, _ = apply_network(
            self.network, population.params, self.rows, playing,
            num_tables=num_tables, distribution=population.distribution,
        )  # fmt: skip
        of_network = population.distribution.played(parameters, jnp.asarray(seen.legal_mask))
        if population.sink == "none":
            return of_network
        return jnp.where(member[:, None] == 0, strategy_zero(population, seen), of_network)


@dataclasses.dataclass(frozen=True, eq=False)
class RecurrentMixture(NetworkMixture):
    """The same of a network with a memory; see `RememberingSink`.

    Attributes:
      memory_size: width of the memory.
    """

    memory_size: int

    def remember(
        self, seen: Seen, recall: Recall, member: Int32[Array, "N"]
    ) -> Float[Array, "N G"]:
        """See `RememberingSink`."""
        num_tables = 1 if self.population.symmetric else self.population.num_players
        params, own = self.population.params, seen._replace(profile=member[:, None])
        return remember(self.network, params, own, recall, num_tables=num_tables)


@dataclasses.dataclass(frozen=True, eq=False)
class DrawnProfile:
    """A distribution over profiles: one draw for all seats.

    Attributes:
      profiles: `[N, P]` the profiles, one entry per strategy of a seat.
      cumulative: `[N]` their cumulated probabilities.
    """

    profiles: Int32[Array, "N P"]
    cumulative: Float[Array, "N"]

    def draw(self, batch: int, key: Any) -> Int32[Array, "B P"]:
        """See `DrawnSink`."""
        uniform = jax.random.uniform(key, (batch,))
        return self.profiles[jnp.searchsorted(self.cumulative, uniform, side="right")]


@dataclasses.dataclass(frozen=True, eq=False)
class TableMixture(DrawnProfile):
    """A distribution over profiles of exact tables; see `DrawnSink`.

    Attributes:
      tables: per seat, `(observation [B, O], mask [B, A]) -> [K_p, B, A]`.
    """

    tables: tuple[Any, ...]

    def probabilities(self, seen: Seen, member: Int32[Array, "N"]) -> Float[Array, "N A"]:
        """See `DrawnSink`."""
        probabilities = jnp.zeros(seen.legal_mask.shape)
        lanes = jnp.arange(len(member))
        for seat, table in enumerate(self.tables):
            every = table(jnp.asarray(seen.observation), jnp.asarray(seen.legal_mask))
            of_seat = every[jnp.minimum(member, len(every) - 1), lanes]
            own = (jnp.asarray(seen.seat) == seat)[:, None]
            probabilities = jnp.where(own, of_seat, probabilities)
        return probabilities


@dataclasses.dataclass(frozen=True, eq=False)
class JointMixture(DrawnProfile):
    """A distribution over profiles of strategies of one network; see `DrawnSink`.

    Attributes:
      network: asked about single decisions.
      params: its parameters.
    """

    network: DecidingNetwork
    params: Any

    def probabilities(self, seen: Seen, member: Int32[Array, "N"]) -> Float[Array, "N A"]:
        """See `DrawnSink`."""
        log_probs = self.network.strategy(self.params, seen, member)
        of_network = jnp.where(seen.legal_mask, jnp.exp(log_probs), 0.0)
        return jnp.where(member[:, None] == 0, uniform_sink(seen), of_network)


def _cumulative(weights: Float[np.ndarray, "*n K"]) -> Float[Array, "*n K"]:
    """Cumulated shares; the last strategy that has one closes them, so that rounding draws no
    strategy without weight.
    """
    cumulative = np.cumsum(np.asarray(weights, np.float64), axis=-1)
    reached = cumulative >= cumulative[..., -1:] * (1 - 1e-9)
    return jnp.asarray(np.where(reached, 2.0, cumulative), jnp.float32)
