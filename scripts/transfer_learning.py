"""Responses to mixtures of a population whose parameters stay as they are, by proximal policy
optimisation: from the population's own parameters, or from fresh ones without conditioning.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from transfer_mixtures import Mixture

from games.registry import load_simulator
from games.types import GameInfo, TimeStep
from neupl.config import Config, LearnerConfig, PopulationConfig
from neupl.interaction_graph import first_equal_row
from neupl.learners import make_ppo_learner
from neupl.networks import PopulationNetwork, make_network
from neupl.population import Population
from neupl.population_actor import Playing, PopulationActor, uniform_sink
from neupl.rollout import Decision
from neupl.types import Learner, Objective, Rows


class AgainstFrozen(PopulationActor):
    """One seat plays the network that learns, the other a population that does not. The context is
    that of the network that learns.
    """

    def __init__(
        self,
        info: GameInfo,
        network: PopulationNetwork,
        *,
        seat: int,
        frozen: PopulationActor,
        playing: tuple[Any, Rows],
    ) -> None:
        """Takes parameters and rows of the frozen one as `playing`."""
        super().__init__(info, network, num_tables=2, sink=None)
        self._seat, self._frozen, self._playing = seat, frozen, playing

    def decide(
        self, context: Playing, memory: Any, observation: Any, now: TimeStep, key: Any
    ) -> tuple[Decision, Any]:
        """Samples the actions of the seats to move."""
        own_key, other_key = jax.random.split(key)
        own, memory = super().decide(context, memory, observation, now, own_key)
        theirs = Playing(*self._playing, context.profile)
        other, _ = self._frozen.decide(theirs, (), observation, now, other_key)
        mine = jnp.arange(now.to_move.shape[1]) == self._seat
        return Decision(*(jnp.where(mine, a, b) for a, b in zip(own, other, strict=True))), memory


class Opponents(NamedTuple):
    """A population to respond to.

    Attributes:
      population: as loaded from disk.
      collect: per responding seat, the `collect` of `neupl.types.Learner`.
    """

    population: Population
    collect: tuple[Callable[..., Any], ...]


class Responses:
    """Learners of one game and network, shared by all populations of it."""

    def __init__(self, population: Population, *, temperature: float, episodes: int) -> None:
        """Takes what game and network are from a population.

        Args:
          population: of two players, with a uniform sink.
          temperature: entropy weight of all responses, as a fraction of the payoff range per nat.
          episodes: of one batch.
        """
        self._config = Config(
            game=population.game,
            population=PopulationConfig(size=population.num_strategies),
            network=population.network,
            learner=LearnerConfig(kind="ppo", episodes=episodes),
        )
        self._game = load_simulator(population.game)
        self._temperature = temperature * self._game.info.payoff_range
        self._network = make_network(population.network, population.num_actions)
        self._frozen = PopulationActor(
            self._game.info, self._network, num_tables=2, sink=uniform_sink
        )
        self._learner = functools.cache(self._make_learner)
        self._init = jax.jit(self._make_learner(1.0).init)
        # With an optimiser that has not moved yet.
        self._untrained = self._init(jax.random.key(0))

    def against(self, population: Population) -> Opponents:
        """The population as opponents."""
        playing = (jax.tree.map(jnp.asarray, population.params), trained_rows(population))
        make_actor = functools.partial(
            AgainstFrozen, self._game.info, self._network, frozen=self._frozen, playing=playing
        )
        actors = [make_actor(seat=seat) for seat in range(2)]
        learners = [make_ppo_learner(self._game, actor, self._config) for actor in actors]
        return Opponents(population, tuple(learner.collect for learner in learners))

    def initial(self, key: Any) -> Any:
        """Initial parameters of the conditional network; consumes `key`."""
        return self._init(key).params

    def plain(self, key: Any, *, seat: int) -> Any:
        """Initial parameters of a plain network of the same size; consumes `key`."""
        return without_conditioning(self.initial(key), seat)

    def respond(
        self,
        params: Any,
        mixture: Mixture,
        opponents: Opponents,
        *,
        learning_rate: float,
        steps: Sequence[int],
        key: Any,
    ) -> list[Any]:
        """Trains a response to one mixture from `params`, with a fresh optimiser and a constant
        learning rate; consumes `key`.

        Args:
          params: of the network.
          mixture: whom it meets.
          opponents: whose mixture it is.
          learning_rate: Adam's step size.
          steps: ascending numbers of batches.
          key: a JAX random key.

        Returns:
          The parameters after each of `steps`.
        """
        learner = self._learner(learning_rate)
        state = self._untrained._replace(params=params)
        told = tell(opponents.population, mixture)
        found = []
        for step in range(1, steps[-1] + 1):
            state = self._step(learner, state, opponents, told, mixture.seat, key)
            if step in steps:
                found.append(state.params)
        return found

    def _make_learner(self, learning_rate: float) -> Learner:
        config = self._config
        learner = LearnerConfig(
            kind="ppo",
            episodes=config.learner.episodes,
            learning_rate=learning_rate,
            final_learning_rate=learning_rate,
        )
        config = Config(
            game=config.game,
            population=config.population,
            network=config.network,
            learner=learner,
        )
        # Who plays matters to `collect` alone, which is the opponents'.
        return make_ppo_learner(self._game, self._frozen, config)

    def _step(self, learner, state, opponents, told, seat, key):
        """One batch of episodes of the response."""
        respond = np.zeros(told.rows.every.shape[:2], np.float32)
        respond[seat, told.number] = 1.0
        objective = Objective(
            rows=told.rows,
            temperature=np.full_like(respond, self._temperature),
            respond=respond,
            hold=np.zeros_like(respond),
            teacher=state.params,
        )
        step_key = jax.random.fold_in(key, int(state.step))
        collect_key, update_key = jax.random.split(step_key)
        experience = opponents.collect[seat](state.params, objective, collect_key)
        return learner.update(state, experience, update_key)[0]


def trained_rows(population: Population) -> Rows:
    """The rows that the population was trained with; NumPy arrays of their own."""
    joint = np.array(population.joint, np.float32)
    return Rows(joint, np.array(first_equal_row(joint)))


class Told(NamedTuple):
    """A mixture as the network is told it, as by `neupl.population.Population.best_response_to`.

    Attributes:
      rows: of the population, with the mixture behind them, or in the place of a strategy.
      number: of the response.
    """

    rows: Rows
    number: int


def tell(population: Population, mixture: Mixture) -> Told:
    """Without an index where the population was trained to answer mixtures without one, otherwise
    by the index of the strategy that earns most against the mixture.
    """
    rows, seat = trained_rows(population), mixture.seat
    if population.simplex_share > 0:
        asked = np.tile(np.asarray(mixture.weights, np.float32), (len(rows.joint), 1, 1))
        return Told(rows._replace(asked=asked), population.num_strategies)
    slot = population.index_lent_to(mixture.weights, seat=seat)
    rows.joint[seat, slot] = mixture.weights
    rows.identity[seat, slot] = slot
    return Told(rows, slot)


def without_conditioning(params: Any, seat: int) -> Any:
    """Makes the network of a seat a plain one: neither row nor index has an effect, or ever gets
    one.

    The seat's embeddings are zero, and so are the layers that inject them: each is a factor of the
    other's gradient. What the critic is told of the opponent stays.
    """
    layers = dict(params["params"])
    for name, layer in params["params"].items():
        if name.endswith("_embedding"):
            layers[name] = layer.at[seat].set(0.0)
        elif name.startswith("inject_") and name != "inject_critic":
            layers[name] = jax.tree.map(jnp.zeros_like, layer)
    return {**params, "params": layers}
