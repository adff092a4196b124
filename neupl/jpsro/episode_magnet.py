"""Breaks ties of responses that learn from episodes: log-probabilities that entropy is relative to.

A network of the observation with fixed random weights takes the place of the table of random
policies that responses on a game tree are drawn to.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from neupl.config import JPSROConfig
from neupl.jpsro.task import ResponseTask
from neupl.networks import masked_log_probs
from neupl.population_actor import Seen

# Width of the hidden layer of the random network.
HIDDEN = 64

# `(task, seen) -> [N, A]` log-probabilities, times the share of the temperature that draws to them;
# 0 everywhere where ties are even.
EpisodeMagnet = Callable[[ResponseTask, Seen], Float[Array, "N A"]]


def make_episode_magnet(settings: JPSROConfig, num_players: int) -> EpisodeMagnet:
    """Reads `jpsro.ties` and `jpsro.magnet`; a task says whether ties are broken at random."""

    def magnet(task: ResponseTask, seen: Seen) -> Float[Array, "N A"]:
        legal = jnp.asarray(seen.legal_mask)
        by_chance = masked_log_probs(settings.magnet * _random_logits(task, seen), legal)
        otherwise = jnp.zeros_like(by_chance)
        if settings.ties == "lowest":
            lower = -jnp.cumsum(legal, axis=1, dtype=jnp.float32)
            otherwise = masked_log_probs(settings.magnet * lower, legal)
        drawn = task.magnet_share * jnp.where(task.novel > 0, by_chance, otherwise)
        return jnp.where(legal, drawn, 0.0)

    def _random_logits(task: ResponseTask, seen: Seen) -> Float[Array, "N A"]:
        inner_key, outer_key = jax.random.split(jax.random.wrap_key_data(task.magnet_key))
        seat = jax.nn.one_hot(seen.seat, num_players)
        given = jnp.concatenate([jnp.asarray(seen.observation), seat], axis=1)
        inner = jax.random.normal(inner_key, (given.shape[1], HIDDEN))
        outer = jax.random.normal(outer_key, (HIDDEN, seen.legal_mask.shape[1]))
        return jnp.tanh(given @ inner) @ outer / np.sqrt(HIDDEN)

    return magnet
