"""What the strategies of a finished population earn from each other, measured by playing.

Every pair plays as many episodes, half of them in either seat: payoffs are independent of those
that training went by, and of each other.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from games.registry import load_simulator
from games.types import Game, HostGame, Policy
from neupl.frozen_mixture import strategy_zero
from neupl.interaction_graph import first_equal_row
from neupl.networks import make_network
from neupl.population import Population
from neupl.population_actor import Playing, PopulationActor
from neupl.rollout import make_actor_play, make_play
from neupl.types import Rows


class PlayedPayoffs(NamedTuple):
    """Means over the episodes of each pair, by row and column strategy.

    Attributes:
      payoffs: to the row strategy, in game points; antisymmetric.
      errors: their standard errors, 0 on the diagonal.
      steps: length of an episode.
    """

    payoffs: Float64[np.ndarray, "K K"]
    errors: Float64[np.ndarray, "K K"]
    steps: Float64[np.ndarray, "K K"]


class CrossPayoffs(NamedTuple):
    """Means over the episodes of each pair of two populations.

    Attributes:
      payoffs: to the first one's strategy (row), in game points.
      errors: their standard errors.
    """

    payoffs: Float64[np.ndarray, "N M"]
    errors: Float64[np.ndarray, "N M"]


def cross_payoffs(
    game: Game | HostGame,
    first: Sequence[Policy],
    second: Sequence[Policy],
    *,
    episodes: int,
    seed: int,
) -> CrossPayoffs:
    """Plays all pairs of policies of a two-player game, half of the episodes in either seat.

    Args:
      game: what is played.
      first: policies of one population, which play either seat.
      second: of another one.
      episodes: of each pair, as in `paired_returns`.
      seed: of the episodes; each pair has its own stream.

    Raises:
      ValueError: see `paired_returns`.
    """
    payoffs, errors = np.zeros((2, len(first), len(second)))
    for number, (i, j) in enumerate(np.ndindex(payoffs.shape)):
        earned = paired_returns(game, first[i], second[j], episodes=episodes, seed=seed + number)
        payoffs[i, j], errors[i, j] = earned.mean(), earned.std(ddof=1) / np.sqrt(len(earned))
    return CrossPayoffs(payoffs, errors)


def paired_returns(
    game: Game | HostGame, first: Policy, second: Policy, *, episodes: int, seed: int
) -> Float64[np.ndarray, "B"]:
    """Returns of the first of two policies in game points, half of the episodes in either seat.

    Args:
      game: what is played, of two players.
      first: plays either seat.
      second: likewise.
      episodes: `B`, an even number of at least 2.
      seed: of the episodes.

    Raises:
      ValueError: another number of episodes.
    """
    if episodes < 2 or episodes % 2:
        raise ValueError(f"episodes is {episodes}: it must be an even number of at least 2")
    key = jax.random.key(seed)
    home = make_play(game, (first, second))(episodes // 2, jax.random.fold_in(key, 0))
    away = make_play(game, (second, first))(episodes // 2, jax.random.fold_in(key, 1))
    earned = [np.asarray(home.returns)[:, 0], np.asarray(away.returns)[:, 1]]
    return np.concatenate(earned).astype(np.float64)


def played_payoffs(
    population: Population, num_strategies: int, *, episodes: int, seed: int
) -> PlayedPayoffs:
    """Plays all pairs of the first strategies of a symmetric population of a zero-sum game.

    Args:
      population: as loaded from disk.
      num_strategies: how many, `K`.
      episodes: of each pair, at least 2.
      seed: of the episodes.

    Raises:
      ValueError: the population is not symmetric, or there are fewer strategies.
      GameError: its game cannot be loaded.
    """
    if not population.symmetric or not 2 <= num_strategies <= population.num_strategies:
        raise ValueError(
            f"num_strategies is {num_strategies}: pairs are measured of symmetric populations, of "
            f"2 to {population.num_strategies} strategies here"
        )
    game = load_simulator(population.game)
    outputs = population.distribution.num_outputs(population.num_actions)
    sink = None if population.sink == "none" else functools.partial(strategy_zero, population)
    network = make_network(population.network, outputs, continuous=population.continuous)
    play = make_actor_play(game, PopulationActor(game.info, network, num_tables=1, sink=sink))
    joint = np.asarray(population.joint)
    rows = Rows(jnp.asarray(joint, jnp.float32), jnp.asarray(first_equal_row(joint)))
    shape = (num_strategies, num_strategies)
    payoffs, errors, steps = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    swapped = np.arange(episodes) % 2 == 1
    pairs = zip(*np.triu_indices(num_strategies, 1), strict=True)
    for number, (i, j) in enumerate(pairs):
        profile = np.where(swapped[:, None], (j, i), (i, j)).astype(np.int32)
        key = jax.random.fold_in(jax.random.key(seed), number)
        played = play(episodes, key, Playing(population.params, rows, profile))
        earned = np.asarray(played.returns, np.float64)[np.arange(episodes), swapped.astype(int)]
        payoffs[i, j], payoffs[j, i] = earned.mean(), -earned.mean()
        errors[i, j] = errors[j, i] = earned.std(ddof=1) / np.sqrt(episodes)
        steps[i, j] = steps[j, i] = np.mean(played.length)
    return PlayedPayoffs(payoffs, errors, steps)
