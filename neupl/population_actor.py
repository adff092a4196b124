"""All seats of all lanes played by one conditional network, in each lane by other strategies."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int32

from games.types import GameInfo, TimeStep
from neupl.matches import seat_order
from neupl.networks import PopulationNetwork, masked_log_probs
from neupl.rollout import Decision
from neupl.types import Rows

# What a probability of zero counts as before its logarithm is taken.
TINY = 1e-30


class Playing(NamedTuple):
    """The context of a batch of episodes.

    Attributes:
      params: the network's.
      rows: the strategies.
      profile: `[B, P]` the strategy of every seat in every lane.
    """

    params: Any
    rows: Rows
    profile: Int32[Array | np.ndarray, "B P"]


class Seen(NamedTuple):
    """`N` decisions as the network takes them.

    Attributes:
      observation: flat.
      legal_mask: legal actions.
      seat: who decides.
      profile: `[N, P]` strategies, first the deciding seat's, then the others' in ascending order.
    """

    observation: Float[Array | np.ndarray, "N O"]
    legal_mask: Bool[Array | np.ndarray, "N A"]
    seat: Int[Array | np.ndarray, "N"]
    profile: Int[Array | np.ndarray, "N P"]


# `(seen) -> [N, A]` probabilities of a fixed strategy 0.
Sink = Callable[[Seen], Float[Array, "N A"]]


@runtime_checkable
class DrawnSink(Protocol):
    """A mixture as strategy 0: members are drawn for all seats at the start of an episode, hidden
    from the others, and play it to the end.
    """

    def draw(self, batch: int, key: Any) -> Int32[Array, "B P"]:
        """Draws the member of every seat in `batch` lanes; consumes `key`."""
        ...

    def probabilities(self, seen: Seen, member: Int32[Array, "N"]) -> Float[Array, "N A"]:
        """What a member of each deciding seat does."""
        ...


def uniform_sink(seen: Seen) -> Float[Array, "N A"]:
    """All legal actions alike."""
    legal = jnp.asarray(seen.legal_mask)
    return legal / legal.sum(axis=-1, keepdims=True)


def apply_network(
    network: PopulationNetwork, params: Any, rows: Rows, seen: Seen, *, num_tables: int
) -> tuple[Float[Array, "N A"], Float[Array, "N"]]:
    """Log-probabilities of the legal actions, and values in payoff ranges."""
    seat = jax.nn.one_hot(seen.seat if num_tables > 1 else jnp.zeros_like(seen.seat), num_tables)
    profile = jax.nn.one_hot(seen.profile, rows.every.shape[1])
    logits, value = network.apply(
        params, seen.observation, seat, rows.tables(num_tables), profile=profile
    )
    return masked_log_probs(logits, seen.legal_mask), value


class PopulationActor:
    """Plays every seat by the network, strategy 0 by the sink; see `neupl.rollout.Actor`."""

    def __init__(
        self,
        info: GameInfo,
        network: PopulationNetwork,
        *,
        num_tables: int,
        sink: Sink | DrawnSink | None,
    ) -> None:
        """Without a `sink` the network plays strategy 0 too."""
        self._info, self._network = info, network
        self._num_tables, self._sink = num_tables, sink

    def begin(self, context: Playing, batch: int) -> Any:
        """No memory, but for a `DrawnSink` its members `[B, P]`, -1 until they are drawn."""
        if isinstance(self._sink, DrawnSink):
            return jnp.full((batch, self._info.num_players), -1, jnp.int32)
        return ()

    def members(
        self, context: Playing, memory: Any, batch: int
    ) -> Int32[Array | np.ndarray, "B P"]:
        """The profiles of the context."""
        return context.profile

    def decide(
        self, context: Playing, memory: Any, observation: Any, now: TimeStep, key: Any
    ) -> tuple[Decision, Any]:
        """Samples the actions of the seats to move."""
        return self._decide(context, memory, observation, now, key)

    @functools.partial(jax.jit, static_argnums=0)
    def every_strategy(self, params: Any, rows: Rows, seen: Seen) -> Float[Array, "K N A"]:
        """Probabilities of all strategies, whatever the profiles of the decisions.

        Raises:
          ValueError: strategy 0 is a `DrawnSink`, whose probabilities depend on what it drew.
        """
        if isinstance(self._sink, DrawnSink):
            raise ValueError("strategy 0 is a mixture: what it does depends on the member drawn")
        size = rows.joint.shape[1]

        def of_strategy(strategy: Array) -> Array:
            profile = jnp.broadcast_to(strategy, seen.profile.shape)
            return self._log_probs(params, rows, seen._replace(profile=profile))[0]

        return jnp.exp(jax.lax.map(of_strategy, jnp.arange(size)))

    def _log_probs(self, params, rows, seen, member=None):
        log_probs, value = apply_network(
            self._network, params, rows, seen, num_tables=self._num_tables
        )
        if self._sink is not None:
            drawn = isinstance(self._sink, DrawnSink)
            fixed = self._sink.probabilities(seen, member) if drawn else self._sink(seen)
            fixed = jnp.log(jnp.maximum(fixed, TINY))
            log_probs = jnp.where(seen.profile[:, :1] == 0, fixed, log_probs)
        return jnp.where(seen.legal_mask, log_probs, -jnp.inf), value

    @functools.partial(jax.jit, static_argnums=0)
    def _decide(self, context, memory, observation, now, key):
        seat, flat = seen_by_movers(self._info, context.profile, observation, now)
        member = None
        if isinstance(self._sink, DrawnSink):
            draw_key, key = jax.random.split(key)
            memory = jnp.where(memory < 0, self._sink.draw(len(seat), draw_key), memory)
            member = jnp.take_along_axis(memory, seat, axis=1).reshape(-1)
        log_probs, value = self._log_probs(context.params, context.rows, flat, member)
        return sample_decision(log_probs, value, now, key), memory


def seen_by_movers(
    info: GameInfo, profile: Int[Array | np.ndarray, "B P"], observation: Any, now: TimeStep
) -> tuple[Int[Array, "B S"], Seen]:
    """What the seats that may move see: in turn-based games one seat per lane, `S = 1`, else all.

    Args:
      info: of the game.
      profile: strategy of every seat.
      observation: `[B, P, O]`.
      now: who is to move, and how.

    Returns:
      The seats, and their decisions in one row, lanes first: `N = B * S`.
    """
    lanes, num_players = now.to_move.shape
    if info.turn_based:
        seat = jnp.argmax(now.to_move, axis=1)[:, None]
    else:
        seat = jnp.tile(jnp.arange(num_players), (lanes, 1))
    order = jnp.asarray(seat_order(num_players))[seat]
    profile = jnp.take_along_axis(jnp.asarray(profile)[:, None], order, axis=2)
    return seat, Seen(
        _of_seats(observation, seat), _of_seats(now.legal_mask, seat),
        seat.reshape(-1), profile.reshape(-1, num_players),
    )  # fmt: skip


def sample_decision(
    log_probs: Float[Array, "N A"], value: Float[Array, "N"], now: TimeStep, key: Any
) -> Decision:
    """Samples the actions of decisions in the order of `seen_by_movers`; consumes `key`."""
    lanes = len(now.to_move)
    action = jax.random.categorical(key, log_probs, axis=-1)
    chosen = jnp.take_along_axis(log_probs, action[:, None], axis=1)[:, 0]
    parts = (action.astype(jnp.int32), chosen, value)
    # One seat per lane stands for whichever is to move.
    shape = (lanes, len(action) // lanes)
    return Decision(*(jnp.where(now.to_move, part.reshape(shape), 0) for part in parts))


def _of_seats(array: Any, seat: Int[Array, "B N"]) -> Array:
    """`[B * N, ...]`: entries of the seats, from `[B, P, ...]`."""
    array = jnp.asarray(array)
    index = seat.reshape(*seat.shape, *(1,) * (array.ndim - 2))
    return jnp.take_along_axis(array, index, axis=1).reshape(-1, *array.shape[2:])
