"""What it changes that strategies play otherwise than they did, from episodes that were played.

Decisions of recorded episodes are shown to the network again. How far probabilities have moved
there is known exactly. What the move is worth is estimated from the same episodes, each weighted by
how much more likely the new policies make it (importance sampling): the closer they are to the old
ones, the nearer the weights are to 1 and the less the estimate varies, where a difference of the
means of two samples would not.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float64, Int

from neupl.action_distribution import CATEGORICAL
from neupl.jpsro.joint_episodes import Played, mean_and_error
from neupl.jpsro.network import ResponseNetwork
from neupl.jpsro.response_actor import DecidingNetwork
from neupl.learners.decisions import seen_at
from neupl.networks import masked_log_probs
from neupl.population_actor import Seen
from neupl.selection import SURE

# Decisions that the network is asked about at a time.
CHUNK = 1024

# `(when [N], lane [N], seat [N])` of decisions.
Where = tuple[Int[np.ndarray, "N"], Int[np.ndarray, "N"], Int[np.ndarray, "N"]]


class PolicyComparison:
    """The network, asked again about decisions of recorded episodes."""

    def __init__(self, network: ResponseNetwork) -> None:
        """Takes the network without its parameters."""
        self._network, self._asked = network, DecidingNetwork(network)

    def moved(
        self, then: Any, now: Any, played: Played, where: Where
    ) -> tuple[Float64[np.ndarray, "N"], Float64[np.ndarray, "N"]]:
        """How the strategies that decided have moved between two sets of parameters.

        Returns:
          By how much the log-probability of what was done has grown, and the divergence of the new
          policy from the old one, in nats.
        """
        return self._in_chunks(self._moved, played, where, then, now)

    def instead(
        self, params: Any, played: Played, where: Where, strategy: Int[np.ndarray, "N"]
    ) -> Float64[np.ndarray, "N"]:
        """By how much the log-probability of what was done grows where a strategy of the network
        plays in the place of who did.
        """
        (chosen,) = self._in_chunks(self._chosen, played, where, params, per_decision=strategy)
        return chosen - played.trajectory.log_prob[where]

    def every(
        self,
        params: Any,
        mixtures: Float[Array | np.ndarray, "P R M"],
        played: Played,
        where: Where,
    ) -> tuple[Float64[np.ndarray, "N K A"], Float64[np.ndarray, "N A"]]:
        """Probabilities of all strategies, and of the response that decided."""
        return self._in_chunks(self._every, played, where, params, mixtures)

    def played_by_every(self, params: Any, played: Played) -> Float64[np.ndarray, "B P K"]:
        """Log-probability of all that each seat did in an episode, by each strategy of it."""
        players, size = self._network.num_players, self._network.num_strategies
        total = np.zeros((len(played.profile), players, size))
        where = decisions(played, np.ones(len(played.profile), bool))
        if len(where[0]):
            (chosen,) = self._in_chunks(self._chosen_by_every, played, where, params)
            np.add.at(total, (where[1], where[2]), chosen)
        return total

    @functools.partial(jax.jit, static_argnums=0)
    def _moved(self, seen: Seen, action: Array, _, then: Any, now: Any) -> tuple[Array, Array]:
        own = seen.profile[:, 0]
        before, after = (self._asked.strategy(params, seen, own) for params in (then, now))
        change = jnp.take_along_axis(after - before, action[:, None], axis=1)[:, 0]
        return change, CATEGORICAL.divergence(before, after, jnp.asarray(seen.legal_mask))

    @functools.partial(jax.jit, static_argnums=0)
    def _chosen(self, seen: Seen, action: Array, strategy: Array, params: Any) -> tuple[Array]:
        log_probs = self._asked.strategy(params, seen, strategy)
        return (jnp.take_along_axis(log_probs, action[:, None], axis=1)[:, 0],)

    @functools.partial(jax.jit, static_argnums=0)
    def _chosen_by_every(self, seen: Seen, action: Array, _, params: Any) -> tuple[Array]:
        log_probs = self._strategies(params, seen)
        return (jnp.take_along_axis(log_probs, action[None, :, None], axis=2)[..., 0].T,)

    @functools.partial(jax.jit, static_argnums=0)
    def _every(
        self, seen: Seen, action: Array, _, params: Any, mixtures: Array
    ) -> tuple[Array, Array]:
        legal = jnp.asarray(seen.legal_mask)
        strategies = jnp.transpose(jnp.exp(self._strategies(params, seen)), (1, 0, 2))
        response, _ = self._asked.response(params, seen, mixtures)
        return (
            jnp.where(legal[:, None], strategies, 0.0),
            jnp.where(legal, jnp.exp(response), 0.0),
        )

    def _strategies(self, params: Any, seen: Seen) -> Float[Array, "K N A"]:
        """Log-probabilities of all strategies, the sink included; illegal actions unspecified."""
        players, size = self._network.num_players, self._network.num_strategies
        legal = jnp.asarray(seen.legal_mask)
        seat, every = jax.nn.one_hot(seen.seat, players), jnp.tile(jnp.arange(size), (players, 1))
        logits = self._network.apply(params, seen.observation, seat, every, method="strategies")
        uniform = jnp.broadcast_to(-jnp.log(legal.sum(axis=1, keepdims=True)), legal.shape)
        return masked_log_probs(logits, legal).at[0].set(uniform)

    def _in_chunks(
        self,
        asked: Callable[..., tuple[Array, ...]],
        played: Played,
        where: Where,
        *context: Any,
        per_decision: Int[np.ndarray, "N"] | None = None,
    ) -> tuple[Float64[np.ndarray, "N ..."], ...]:
        """Calls a compiled function on so many decisions at a time, the last ones padded; there
        must be one.
        """
        count = len(where[0])
        found = []
        for first in range(0, count, CHUNK):
            chosen = np.arange(first, first + CHUNK) % count
            at = tuple(part[chosen] for part in where)
            seen = seen_at(played.trajectory, played.profile, at)
            own = np.zeros(CHUNK, np.int32) if per_decision is None else per_decision[chosen]
            parts = asked(seen, played.trajectory.action[at], own, *context)
            found.append([np.asarray(part, np.float64) for part in parts])
        return tuple(np.concatenate(part)[:count] for part in zip(*found, strict=True))


def decisions(played: Played, lanes: Bool[np.ndarray, "B"], *, seat: int | None = None) -> Where:
    """The decisions of some lanes, of one seat or of all, in the order of time."""
    to_move = np.asarray(played.trajectory.to_move) & lanes[:, None]
    if seat is not None:
        to_move = to_move & (np.arange(to_move.shape[-1]) == seat)
    return np.nonzero(to_move)


def episode_weights(
    log_ratio: Float[np.ndarray, "N"], lane: Int[np.ndarray, "N"], lanes: int
) -> Float64[np.ndarray, "B"]:
    """How much more likely the new policies make each of so many episodes.

    Args:
      log_ratio: growth of the log-probability of each decision.
      lane: the episode of each decision.
      lanes: `B`.
    """
    return np.exp(np.bincount(lane, log_ratio, minlength=lanes))


def mean_change(
    weights: Float[np.ndarray, "B"], returns: Float[np.ndarray, "B"], *, payoff_range: float
) -> tuple[float, float]:
    """By how much the mean return changes, and its standard error, in game points; infinite where
    fewer than 2 episodes tell.

    Weights are 1 in the mean over all episodes that there could be. What is missing in those that
    were played, by more than noise, is of episodes that the old policies hardly ever play: nobody
    saw what comes of them, and the error has the payoff range for it.
    """
    if len(weights) < 2:
        return 0.0, float("inf")
    # Taking the mean return away changes nothing but the variance.
    mean, error = mean_and_error((weights - 1.0) * (returns - returns.mean()))
    total, doubt = mean_and_error(weights)
    unseen = max(abs(total - 1.0) - SURE * doubt, 0.0)
    return float(mean), float(np.hypot(error, unseen * payoff_range))


def strategy_changes(
    weights: Float[np.ndarray, "B"],
    returns: Float[np.ndarray, "B P"],
    profile: Int[np.ndarray, "B P"],
    *,
    size: int,
    payoff_range: float,
) -> tuple[Float64[np.ndarray, "P K"], Float64[np.ndarray, "P K"]]:
    """See `mean_change`, for the payoff of each strategy of each seat in the episodes in which it
    played.
    """
    players = profile.shape[1]
    mean, error = np.zeros((players, size)), np.full((players, size), np.inf)
    for player in range(players):
        for own in np.unique(profile[:, player]):
            lanes = profile[:, player] == own
            mean[player, own], error[player, own] = mean_change(
                weights[lanes], returns[lanes, player], payoff_range=payoff_range
            )
    return mean, error


def sequence_distances(
    played: Played,
    where: Where,
    strategies: Float[np.ndarray, "N K A"],
    response: Float[np.ndarray, "N A"],
) -> Float64[np.ndarray, "K"]:
    """Largest difference of the probabilities with which a response and each strategy play a
    sequence of the seat's own actions, over all sequences that the episodes came by.

    Where a strategy parts from the response, it parts at a decision that the response comes to, and
    the difference shows there: only what co-players and chance never showed is not compared.

    Args:
      played: episodes in which the response played.
      where: its decisions, of one seat, in the order of time.
      strategies: probabilities of all strategies there.
      response: probabilities of the response there.
    """
    when, lane, _ = where
    largest = np.zeros(strategies.shape[1])
    mine = np.ones(len(played.profile))
    theirs = np.ones((len(played.profile), strategies.shape[1]))
    for t in np.unique(when):
        now = when == t
        at, some = lane[now], np.arange(int(now.sum()))
        ours, others = mine[at, None] * response[now], theirs[at, :, None] * strategies[now]
        largest = np.maximum(largest, np.abs(others - ours[:, None]).max(axis=(0, 2)))
        action = played.trajectory.action[t, at, where[2][now]]
        mine[at], theirs[at] = ours[some, action], others[some, :, action]
    return largest
