"""All seats of all lanes played by one conditional network, in each lane by other strategies."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int32

from games.teams import by_player
from games.types import GameInfo, TimeStep
from neupl.action_distribution import CATEGORICAL, ActionDistribution, action_distribution
from neupl.matches import seat_order, side_by_side
from neupl.networks import PopulationNetwork, RememberingNetwork
from neupl.recurrent_network import Recall, no_action
from neupl.rollout import Decision
from neupl.separate_recurrent_networks import SeparateRecurrentNetworks
from neupl.types import Rows


class Playing(NamedTuple):
    """The context of a batch of episodes.

    Attributes:
      params: the network's.
      rows: the strategies.
      profile: `[B, P]` the strategy of every seat in every lane; of teams, of every player in every
        episode.
    """

    params: Any
    rows: Rows
    profile: Int32[Array | np.ndarray, "B P"]


class Seen(NamedTuple):
    """`N` decisions as the network takes them.

    Attributes:
      observation: flat.
      legal_mask: legal actions.
      seat: who decides; of teams the player, whose seats are told apart by what they observe.
      profile: `[N, P]` strategies, first the deciding seat's, then the others' in ascending order.
      remembered: memory after the observation, of networks that have one: what they decide by.
      privileged: what the critic sees besides, where it is asked for values.
    """

    observation: Float[Array | np.ndarray, "N O"]
    legal_mask: Bool[Array | np.ndarray, "N A"]
    seat: Int[Array | np.ndarray, "N"]
    profile: Int[Array | np.ndarray, "N P"]
    remembered: Float[Array | np.ndarray, "N H"] | None = None
    privileged: Float[Array | np.ndarray, "N V"] | None = None


class ActorMemory(NamedTuple):
    """What the seats of `B` lanes carry through an episode; empty where there is nothing to carry.

    Attributes:
      member: `[B, P]` what a `DrawnSink` drew, -1 until it has.
      action: `[B, P]` last own actions, for networks with a memory, as in `Recall`.
      hidden: `[B, P, H]` memory of the network.
      sink: `[B, P, G]` memory of the `DrawnSink`'s network.
    """

    member: Any = ()
    action: Any = ()
    hidden: Any = ()
    sink: Any = ()


# `(seen) -> [N, A]` probabilities of a fixed strategy 0, or of several, of which
# `seen.profile[:, 0]` says which one decides; of continuous actions means and log standard
# deviations `[N, 2 A]`.
Sink = Callable[[Seen], Float[Array, "N D"]]


@runtime_checkable
class DrawnSink(Protocol):
    """A mixture as strategy 0: members are drawn for all seats at the start of an episode, hidden
    from the others, and play it to the end.
    """

    def draw(self, batch: int, key: Any) -> Int32[Array, "B P"]:
        """Draws the member of every seat in `batch` lanes; consumes `key`."""
        ...

    def probabilities(self, seen: Seen, member: Int32[Array, "N"]) -> Float[Array, "N D"]:
        """What a member of each deciding seat does, as a `Sink` says it; `seen.remembered` is of
        its own network.
        """
        ...


@runtime_checkable
class RememberingSink(DrawnSink, Protocol):
    """A `DrawnSink` whose network has a memory.

    Attributes:
      memory_size: its width.
    """

    memory_size: int

    def remember(
        self, seen: Seen, recall: Recall, member: Int32[Array, "N"]
    ) -> Float[Array, "N G"]:
        """What its network remembers after the observations, as a member of each seat."""
        ...


def uniform_sink(seen: Seen) -> Float[Array, "N A"]:
    """All legal actions alike."""
    return CATEGORICAL.uniform(jnp.asarray(seen.legal_mask))


def apply_network(
    network: PopulationNetwork,
    params: Any,
    rows: Rows,
    seen: Seen,
    *,
    num_tables: int,
    distribution: ActionDistribution = CATEGORICAL,
) -> tuple[Float[Array, "N D"], Float[Array, "N"]]:
    """Parameters of the action distributions, log-probabilities of legal actions or what
    `distribution` has, and values in payoff ranges: of the policy, where the critic tells those of
    actions.
    """
    seat = jax.nn.one_hot(seen.seat if num_tables > 1 else jnp.zeros_like(seen.seat), num_tables)
    profile = jax.nn.one_hot(seen.profile, rows.every.shape[1])
    told = seen.observation if seen.remembered is None else seen.remembered
    # Also where a demonstrator alone was shown more.
    reads = seen.privileged is not None and getattr(network, "privileged_critic", False)
    known = {"privileged": seen.privileged} if reads else {}
    outputs, value = network.apply(
        params, told, seat, rows.tables(num_tables), profile=profile, **known
    )
    policy = distribution.parameters(outputs, seen.legal_mask)
    if value.ndim == 2:
        value = jnp.sum(jnp.where(seen.legal_mask, jnp.exp(policy) * value, 0.0), axis=1)
    return policy, value


def remember(
    network: RememberingNetwork, params: Any, seen: Seen, recall: Recall, *, num_tables: int
) -> Float[Array, "N H"]:
    """What the network remembers after the observations of decisions."""
    strategy = jnp.asarray(seen.profile)[:, 0]
    seat = jax.nn.one_hot(seen.seat if num_tables > 1 else jnp.zeros_like(seen.seat), num_tables)
    observation = jnp.asarray(seen.observation)
    return network.apply(params, observation, seat, recall, strategy, method="remember")


class PopulationActor:
    """Plays every seat by the network, the first strategies by the sink; see
    `neupl.rollout.Actor`.
    """

    def __init__(
        self,
        info: GameInfo,
        network: PopulationNetwork,
        *,
        num_tables: int,
        sink: Sink | DrawnSink | None,
        num_fixed: int = 1,
    ) -> None:
        """Without a `sink` the network plays all strategies, else it is asked about the first
        `num_fixed`; a `DrawnSink` is strategy 0.
        """
        self._info, self._network = by_player(info), network
        self._distribution = action_distribution(info)
        self._num_tables, self._sink, self._num_fixed = num_tables, sink, num_fixed
        self._drawn = isinstance(sink, DrawnSink)
        self._memory_size = getattr(network, "memory_size", None)
        self._sink_memory_size = sink.memory_size if isinstance(sink, RememberingSink) else None
        self._remembers = not (self._memory_size is None and self._sink_memory_size is None)

    @property
    def shares_memory(self) -> bool:
        """Whether all strategies remember alike, or nothing."""
        return not isinstance(self._network, SeparateRecurrentNetworks)

    def begin(self, context: Playing, batch: int) -> ActorMemory:
        """See `Actor`."""
        info = self._info
        none = jnp.full((batch, info.num_players), -1, jnp.int32)
        length = info.num_actions[0] if info.continuous else None
        hidden, sink = (
            () if size is None else jnp.zeros((*none.shape, size))
            for size in (self._memory_size, self._sink_memory_size)
        )
        return ActorMemory(
            member=none if self._drawn else (),
            action=no_action(none.shape, length) if self._remembers else (),
            hidden=hidden,
            sink=sink,
        )

    def members(
        self, context: Playing, memory: Any, batch: int
    ) -> Int32[Array | np.ndarray, "B P"]:
        """The profiles of the context, of teams one for each of their lanes."""
        return side_by_side(context.profile, batch)

    def decide(
        self, context: Playing, memory: Any, observation: Any, now: TimeStep, key: Any
    ) -> tuple[Decision, Any]:
        """Samples the actions of the seats to move."""
        return self._decide(context, memory, observation, now, key)

    @functools.partial(jax.jit, static_argnums=0)
    def every_strategy(
        self, params: Any, rows: Rows, seen: Seen, recall: Recall | None = None
    ) -> Float[Array, "K N D"]:
        """Probabilities of all strategies, whatever the profiles of the decisions; of continuous
        actions means and log standard deviations.

        Args:
          params: of the network.
          rows: the strategies.
          seen: the decisions.
          recall: what the seats carried to them, for a network with a memory.

        Raises:
          ValueError: strategy 0 is a `DrawnSink`, whose probabilities depend on what it drew; or
            strategies do not share their memory: what another one would remember is not known.
        """
        if self._drawn:
            raise ValueError("strategy 0 is a mixture: what it does depends on the member drawn")
        if recall is not None and not self.shares_memory:
            raise ValueError("strategies have memories of their own")
        size = rows.joint.shape[1]
        if recall is not None:
            known = remember(self._network, params, seen, recall, num_tables=self._num_tables)
            seen = seen._replace(remembered=known)

        def of_strategy(strategy: Array) -> Array:
            profile = jnp.broadcast_to(strategy, seen.profile.shape)
            return self.probabilities(params, rows, seen._replace(profile=profile))

        return jax.lax.map(of_strategy, jnp.arange(size))

    def probabilities(self, params: Any, rows: Rows, seen: Seen) -> Float[Array, "N D"]:
        """What the deciding strategies do, as a `Sink` says it; not of a `DrawnSink`."""
        parameters, _ = self._parameters(params, rows, seen)
        return self._distribution.played(parameters, jnp.asarray(seen.legal_mask))

    def _parameters(self, params, rows, seen, member=None, sink_remembered=None):
        """Parameters of the action distributions, and values."""
        distribution = self._distribution
        parameters, value = apply_network(
            self._network, params, rows, seen,
            num_tables=self._num_tables, distribution=distribution,
        )  # fmt: skip
        if self._sink is not None:
            if self._drawn:
                own = seen._replace(remembered=sink_remembered)
                fixed = self._sink.probabilities(own, member)
            else:
                fixed = self._sink(seen)
            fixed = distribution.of_sink(fixed)
            parameters = jnp.where(seen.profile[:, :1] < self._num_fixed, fixed, parameters)
        return distribution.silence(parameters, seen.legal_mask), value

    @functools.partial(jax.jit, static_argnums=0)
    def _decide(self, context, memory, observation, now, key):
        seat, flat = seen_by_movers(self._info, context.profile, observation, now)
        member = sink_remembered = None
        if self._drawn:
            draw_key, key = jax.random.split(key)
            # A player plays the same member in all its seats.
            drawn = self._sink.draw(len(context.profile), draw_key)
            drawn = side_by_side(drawn, len(seat))
            memory = memory._replace(member=jnp.where(memory.member < 0, drawn, memory.member))
            member = jnp.take_along_axis(memory.member, seat, axis=1).reshape(-1)
        if self._sink_memory_size is not None:
            recall = Recall(_of_seats(memory.sink, seat), _of_seats(memory.action, seat))
            sink_remembered = self._sink.remember(flat, recall, member)
            memory = memory._replace(sink=_kept(memory.sink, sink_remembered, now))
        if self._memory_size is not None:
            recall = Recall(_of_seats(memory.hidden, seat), _of_seats(memory.action, seat))
            remembered = remember(
                self._network, context.params, flat, recall, num_tables=self._num_tables
            )
            flat = flat._replace(remembered=remembered)
            memory = memory._replace(hidden=_kept(memory.hidden, remembered, now))
        parameters, value = self._parameters(
            context.params, context.rows, flat, member, sink_remembered
        )
        decision = sample_decision(self._distribution, parameters, value, now, key)
        if self._remembers:
            moves = jnp.asarray(now.to_move)
            moves = moves.reshape(*moves.shape, *(1,) * (decision.action.ndim - 2))
            action = jnp.where(moves, decision.action, memory.action)
            memory = memory._replace(action=action)
        return decision, memory


def seen_by_movers(
    info: GameInfo, profile: Int[Array | np.ndarray, "M P"], observation: Any, now: TimeStep
) -> tuple[Int[Array, "B S"], Seen]:
    """What the seats that may move see: in turn-based games one seat per lane, `S = 1`, else all.

    Args:
      info: of the game.
      profile: strategy of every seat; fewer than lanes where these are those of teams.
      observation: `[B, P, O]`, or that and behind it what critics see.
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
    profile = side_by_side(jnp.asarray(profile), lanes)
    profile = jnp.take_along_axis(profile[:, None], order, axis=2)
    seen = Seen(
        _of_seats(observation, seat), _of_seats(now.legal_mask, seat),
        seat.reshape(-1), profile.reshape(-1, num_players),
    )  # fmt: skip
    return seat, critic_apart(seen, info.observation_size[0])


def critic_apart(seen: Seen, observed: int) -> Seen:
    """Decisions with what critics see apart from the first `observed` numbers, which all see."""
    if seen.observation.shape[-1] == observed:
        return seen
    return seen._replace(
        observation=seen.observation[..., :observed], privileged=seen.observation[..., observed:]
    )


def sample_decision(
    distribution: ActionDistribution,
    parameters: Float[Array, "N D"],
    value: Float[Array, "N"],
    now: TimeStep,
    key: Any,
) -> Decision:
    """Samples the actions of decisions in the order of `seen_by_movers`; consumes `key`."""
    lanes = len(now.to_move)
    action = distribution.sample(parameters, key)
    parts = (action, distribution.log_prob(parameters, action), value)

    def of_seats(part: Array) -> Array:
        # One seat per lane stands for whichever is to move.
        part = part.reshape(lanes, len(part) // lanes, *part.shape[1:])
        moves = jnp.asarray(now.to_move).reshape(*now.to_move.shape, *(1,) * (part.ndim - 2))
        return jnp.where(moves, part, 0)

    return Decision(*map(of_seats, parts))


def _kept(
    before: Float[Array, "B P H"], after: Float[Array, "N H"], now: TimeStep
) -> Float[Array, "B P H"]:
    """Memories of the seats after decisions in the order of `seen_by_movers`: new where they
    move.
    """
    lanes = len(now.to_move)
    # One seat per lane stands for whichever is to move.
    after = after.reshape(lanes, len(after) // lanes, -1)
    return jnp.where(jnp.asarray(now.to_move)[..., None], after, before)


def _of_seats(array: Any, seat: Int[Array, "B N"]) -> Array:
    """`[B * N, ...]`: entries of the seats, from `[B, P, ...]`."""
    array = jnp.asarray(array)
    index = seat.reshape(*seat.shape, *(1,) * (array.ndim - 2))
    return jnp.take_along_axis(array, index, axis=1).reshape(-1, *array.shape[2:])
