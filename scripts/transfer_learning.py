"""Responses to mixtures of a population whose parameters stay as they are, by proximal policy
optimisation: from the population's own parameters, or from fresh ones without conditioning.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from transfer_mixtures import Mixture, distance_to_rows, draw_weights

from games.registry import load_simulator
from games.types import GameInfo, TimeStep
from neupl.config import Config, LearnerConfig, PopulationConfig, TrainingConfig
from neupl.interaction_graph import first_equal_row
from neupl.learners import make_ppo_learner
from neupl.networks import PopulationNetwork, make_network
from neupl.population import Population
from neupl.population_actor import Playing, PopulationActor, uniform_sink
from neupl.rollout import Decision
from neupl.types import Learner, Objective, Rows

# Concentrations of the mixtures that `practise` draws.
PRACTICE_CONCENTRATIONS = (0.3, 1.0, 3.0)
# The learning rate of `practise` falls to this share.
PRACTICE_END = 0.1


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
        self._init = jax.jit(self._make_learner(1.0, 1.0, 1).init)
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
        slot: int,
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
          slot: the strategy that responds: its index, and the place of its row.
          learning_rate: Adam's step size.
          steps: ascending numbers of batches.
          key: a JAX random key.

        Returns:
          The parameters after each of `steps`.
        """
        learner = self._learner(learning_rate, learning_rate, 1)
        state = self._untrained._replace(params=params)
        rows = rows_with(opponents.population, mixture, slot)
        found = []
        for step in range(1, steps[-1] + 1):
            state = self._step(learner, state, opponents, rows, mixture.seat, [slot], key)
            if step in steps:
                found.append(state.params)
        return found

    def practise(
        self, opponents: Opponents, *, slot: int, learning_rate: float, steps: int, key: Any
    ) -> Any:
        """Goes on training the population's network, against mixtures of the frozen population
        drawn anew for every batch, so that it learns what a row means; consumes `key`.

        Seats take turns. All of a seat's strategies respond, each to a mixture of its own and all
        by the index of `slot`.

        Returns:
          The parameters.
        """
        population = opponents.population
        learner = self._learner(learning_rate, PRACTICE_END * learning_rate, steps)
        state = self._untrained._replace(params=population.params)
        row_key, key = jax.random.split(key)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(row_key)))
        strategies = list(range(1, population.num_strategies))
        for step in range(steps):
            seat = step % 2
            rows = trained_rows(population)
            rows.identity[seat] = slot
            for k in strategies:
                concentration = rng.choice(PRACTICE_CONCENTRATIONS)
                rows.joint[seat, k] = draw_weights(rng, population.joint[1 - seat], concentration)
            state = self._step(learner, state, opponents, rows, seat, strategies, key)
        return state.params

    def _make_learner(self, first_rate: float, last_rate: float, steps: int) -> Learner:
        config = self._config
        learner = LearnerConfig(
            kind="ppo",
            episodes=config.learner.episodes,
            learning_rate=first_rate,
            final_learning_rate=last_rate,
        )
        config = Config(
            game=config.game,
            population=config.population,
            network=config.network,
            learner=learner,
            training=TrainingConfig(steps=steps),
        )
        # Who plays matters to `collect` alone, which is the opponents'.
        return make_ppo_learner(self._game, self._frozen, config)

    def _step(self, learner, state, opponents, rows, seat, strategies, key):
        """One batch of episodes of the seat's strategies."""
        respond = np.zeros(rows.identity.shape, np.float32)
        respond[seat, strategies] = 1.0
        objective = Objective(
            rows=rows,
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


def rows_with(population: Population, mixture: Mixture, slot: int) -> Rows:
    """The population's rows, with a mixture in the place of strategy `slot` and by its index."""
    rows = trained_rows(population)
    rows.joint[mixture.seat, slot] = mixture.weights
    rows.identity[mixture.seat, slot] = slot
    return rows


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


def nearest_row(population: Population, mixture: Mixture) -> int:
    """The strategy whose row is closest to the mixture."""
    return int(np.argmin(distance_to_rows(population.joint[mixture.seat], mixture.weights)))


def best_by_payoffs(population: Population, mixture: Mixture) -> int:
    """The trained strategy that earns most against the mixture by the payoffs that the population
    brings along; no episode is played.
    """
    payoffs = population.payoffs[..., mixture.seat]
    own = (payoffs if mixture.seat == 0 else payoffs.T) @ mixture.weights
    trained = population.joint[mixture.seat].sum(axis=-1) > 0
    return int(np.argmax(np.where(trained, own, -np.inf)))
