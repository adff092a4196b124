"""Whole episodes of a game, the same for compiled games and host engines.

A `Game` is played inside one JAX program, all lanes in lock-step; a `HostGame` in a loop over NumPy
arrays. Every lane plays exactly one episode, so means over lanes do not favour short episodes. Who
plays is an actor for all seats: one policy per seat (`make_play`), or whatever decides for lanes
with strategies of their own (`neupl.population_actor`).
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int32, Key, UInt64

from games.teams import by_player, player_seats
from games.types import DrawsMember, Game, GameError, GameInfo, HostGame, Policy, TimeStep
from neupl.device_mesh import DeviceMesh
from neupl.team_lanes import TeamActor, TeamLanes, played_by_teams

# Most steps of a compiled game between looks at whether any lane still plays.
STRETCH = 64


class Trajectory(NamedTuple):
    """What happened, time-major: row `t` is the decision before step `t` and what the step brought.

    Rows after the end of a lane's episode have nobody to move, no rewards and discount 0. For a
    `HostGame`, `T` is the longest episode of the batch; for a `Game` up to a stretch more, but at
    most `info.max_steps`. Where lanes restart, `T` is as asked for, and a row of discount 0 is
    followed by the first of another episode.

    Attributes:
      observation: `[T, B, P, O]` of the seats to move, zeros for the others.
      legal_mask: `[T, B, P, A]` legal actions of the seats to move, one dummy for the others.
      to_move: `[T, B, P]` the seats that decided.
      action: `[T, B, P]` their actions, 0 for the others; `[T, B, P, A]` where they are continuous.
      log_prob: `[T, B, P]` log-probability of those actions in nats, of continuous ones their
        log-density; 0 for the others.
      value: `[T, B, P]` what the seats to move expected, as their actor tells it; 0 for the others
        and from policies, which do not tell.
      rewards: `[T, B, P]` received by every seat after the actions, in game points.
      discount: `[T, B]` 0 where the episode had ended after the actions, else 1.
      member: `[T, B, P]` the strategy that each seat played in this episode, the same in all rows;
        -1 for seats that never moved and for policies that are no `DrawsMember`.
      memory: the actor's, before the first row of each stretch, `[N, B, ...]`: a stretch is
        `ceil(T / N)` rows, the last one may be shorter.
    """

    observation: Float32[Array | np.ndarray, "T B P O"]
    legal_mask: Bool[Array | np.ndarray, "T B P A"]
    to_move: Bool[Array | np.ndarray, "T B P"]
    action: Int32[Array | np.ndarray, "T B P"] | Float32[Array | np.ndarray, "T B P A"]
    log_prob: Float32[Array | np.ndarray, "T B P"]
    value: Float32[Array | np.ndarray, "T B P"]
    rewards: Float32[Array | np.ndarray, "T B P"]
    discount: Float32[Array | np.ndarray, "T B"]
    member: Int32[Array | np.ndarray, "T B P"]
    memory: Any = ()


class Episodes(NamedTuple):
    """`B` complete episodes, one per lane: where lanes restart, the first one of each, which may
    then be cut off.

    Attributes:
      returns: `[B, P]` sum of the rewards of every seat, in game points.
      length: `[B]` number of steps.
      trajectory: every step, where it was asked for.
    """

    returns: Float32[Array | np.ndarray, "B P"]
    length: Int32[Array | np.ndarray, "B"]
    trajectory: Trajectory | None


# Called with the number of lanes, a JAX random key, which it consumes, and the actor's context.
Play = Callable[..., Episodes]


class Decision(NamedTuple):
    """What all seats decide at one step.

    Attributes:
      action: `[B, P]`, 0 for seats that are not to move; continuous ones `[B, P, A]`.
      log_prob: `[B, P]` of the actions, 0 for seats that are not to move.
      value: `[B, P]` what the seats to move expect; in the actor's units.
    """

    action: Any
    log_prob: Any
    value: Any


@runtime_checkable
class Actor(Protocol):
    """Decides for all seats of all lanes. `context` is what `play` was called with: any arrays,
    such as parameters, and a new one does not compile the game again.
    """

    def begin(self, context: Any, batch: int) -> Any:
        """Returns the memory of `batch` lanes at the start of an episode."""
        ...

    def decide(
        self, context: Any, memory: Any, observation: Any, now: TimeStep, key: Any
    ) -> tuple[Decision, Any]:
        """Decides for `observation` `[B, P, O]`; consumes `key`. Returns the new memory too."""
        ...

    def members(self, context: Any, memory: Any, batch: int) -> Any:
        """Returns the strategy that each seat played, `[B, P]`; -1 for none."""
        ...


def make_play(game: Game | HostGame, policies: Sequence[Policy], *, record: bool = False) -> Play:
    """Makes the function that plays a batch of complete episodes, e.g. `play(4096, key)`.

    Args:
      game: a compiled or a host game.
      policies: one per seat, each with its own memory per lane (first axis of every array in it),
        which changes only where the seat moves; of a game of teams one per player. For a `Game`
        they are traced by JAX, and the function is compiled once per number of lanes.
      record: whether to return the trajectory too.

    Returns:
      A `Play`. It raises `GameError` when the game outlasts its `info.max_steps`, and `ValueError`
      when a policy chooses an illegal action.

    Raises:
      ValueError: the number of policies is not the number of seats.
    """
    info = by_player(game.info)
    if len(policies) != info.num_players:
        raise ValueError(
            f"{len(policies)} policies for {info.name}, which has {info.num_players} "
            + ("players" if game.info.seat_players else "seats")
        )
    actor = SeatPolicies(tuple(policies), game.info)
    return make_actor_play(game, actor, record=record)


def make_actor_play(
    game: Game | HostGame,
    actor: Actor,
    *,
    record: bool = False,
    restart: bool = False,
    steps: int | None = None,
    stretch: int | None = None,
    mesh: DeviceMesh | None = None,
) -> Play:
    """Makes the function that plays a batch of complete episodes: `play(4096, key, context)`.

    Where players have several seats (`games.teams`) all this is by player, and the trajectory has
    a lane for each seat of a team: see `neupl.team_lanes`.

    Args:
      game: a compiled or a host game.
      actor: decides for all seats; for a `Game` it is traced by JAX.
      record: whether to return the trajectory too.
      restart: whether lanes whose episode is over play others until `steps`, rather than wait; the
        last one of a lane may be cut off.
      steps: how long lanes that restart play; by default `info.max_steps`.
      stretch: most rows of the trajectory between two memories of the actor; by default `STRETCH`.
      mesh: devices that lanes of a `Game` are shared out to, where their number divides.

    Returns:
      A `Play`; see `make_play` for its errors.
    """
    plan = _Plan(
        record=record,
        restarts=restart,
        steps=steps if restart and steps is not None else game.info.max_steps,
        longest_stretch=STRETCH if stretch is None else stretch,
    )
    teams = bool(game.info.seat_players)
    if teams:
        actor = TeamActor(actor, TeamLanes(game.info))
    # Protocols are told apart by names alone, and a host game has all those of a `Game`.
    if isinstance(game, HostGame):
        play = _make_hosted(game, actor, plan)
    else:
        play = _make_compiled(game, actor, plan, mesh or DeviceMesh(1))
    return played_by_teams(play, game.info) if teams else play


class _Plan(NamedTuple):
    """How lanes are played; see `make_actor_play`."""

    record: bool
    restarts: bool
    steps: int
    longest_stretch: int

    @property
    def num_stretches(self) -> int:
        """Parts of the trajectory that begin with a memory of the actor."""
        return -(-self.steps // self.longest_stretch)

    @property
    def stretch(self) -> int:
        """Rows of a part: all are of one length but the last."""
        return -(-self.steps // self.num_stretches)


def _make_compiled(game: Game, actor: Actor, plan: _Plan, mesh: DeviceMesh) -> Play:
    record, restarts = plan.record, plan.restarts
    seats = range(game.info.num_players)
    init, restart, step = map(jax.vmap, (game.init, game.restart, game.step))
    observe = jax.vmap(lambda state: jnp.stack([game.observe(state, seat) for seat in seats]))

    def advance(context, carry, key):
        states, before, memory, returns, length, legal, first = carry
        action_key, step_key = jax.random.split(key)
        seen = observe(states)
        decision, memory = actor.decide(context, memory, seen, before, action_key)
        step_keys = jax.random.split(step_key, len(length))
        states, after = step(states, decision.action, step_keys)
        row = _row(seen, before, decision, after) if record else None
        returns = returns + jnp.where(first[:, None], after.rewards, 0)
        length = length + (first & (before.discount > 0)).astype(jnp.int32)
        legal = legal & is_legal(decision.action, before).all(axis=0)
        if restarts:
            over = after.discount == 0
            first = first & ~over
            states, after, memory = start_over(context, over, (states, after, memory), step_key)
        return (states, after, memory, returns, length, legal, first), row

    def start_over(context, over, now, key):
        fresh = init(jax.random.split(jax.random.fold_in(key, 1), len(over)))
        new = (fresh, restart(fresh), actor.begin(context, len(over)))
        return jax.tree.map(functools.partial(_where_lane, over), new, now)

    is_legal = _is_finite if game.info.continuous else _is_legal
    # All stretches are of one length, for one program; steps beyond the last change nothing.
    num_stretches, stretch = plan.num_stretches, plan.stretch

    @functools.partial(jax.jit, static_argnums=0)
    def begin(batch, key, context):
        init_key, play_key = jax.random.split(key)
        states = mesh.kept_spread(init(jax.random.split(init_key, batch)))
        before = restart(states)
        memory = actor.begin(context, batch)
        length, legal = jnp.zeros(batch, jnp.int32), jnp.ones(len(seats), bool)
        first = jnp.ones(batch, bool)
        carry = (states, before, memory, jnp.zeros_like(before.rewards), length, legal, first)
        step_keys = jax.random.split(play_key, num_stretches * stretch)
        return carry, step_keys.reshape(num_stretches, stretch)

    @jax.jit
    def go_on(context, carry, step_keys):
        carry, rows = jax.lax.scan(functools.partial(advance, context), carry, step_keys)
        _, now, *_ = carry
        return carry, rows, now.discount.any()

    def play(batch: int, key: Key[Array, ""], context: Any = ()) -> Episodes:
        carry, step_keys = begin(batch, key, context)
        stretches, memories = [], []
        for own_keys in step_keys:
            memories.append(carry[2])
            carry, rows, unfinished = go_on(context, carry, own_keys)
            stretches.append(rows)
            if not unfinished:
                break
        _, _, memory, returns, length, legal, first = carry
        if not legal.all():
            seat = int(np.argmin(legal))
            raise ValueError(f"the policy of seat {seat} chose an illegal action")
        if restarts:
            unfinished = first.any() and plan.steps >= game.info.max_steps
        _check_finished(game, unfinished or length.max() > game.info.max_steps)
        if not record:
            return Episodes(returns, length, None)
        rows = jax.tree.map(lambda *parts: jnp.concatenate(parts)[: plan.steps], *stretches)
        member = actor.members(context, memory, batch)
        member = jnp.broadcast_to(member, (len(rows[0]), *member.shape))
        memories = jax.tree.map(lambda *parts: jnp.stack(parts), *memories)
        return Episodes(returns, length, Trajectory(*rows, member, memories))

    return play


def _make_hosted(game: HostGame, actor: Actor, plan: _Plan) -> Play:
    record, restarts = plan.record, plan.restarts

    def play(batch: int, key: Key[Array, ""], context: Any = ()) -> Episodes:
        init_key, play_key = jax.random.split(key)
        states = game.init(_seeds(batch, init_key))
        time_step = game.restart(states)
        memory = actor.begin(context, batch)
        returns = np.zeros((batch, game.info.num_players), np.float32)
        length, first = np.zeros(batch, np.int32), np.ones(batch, bool)
        rows, memories = [], []
        for number, step_key in enumerate(jax.random.split(play_key, plan.steps)):
            if not time_step.discount.any():
                break
            if record and number % plan.stretch == 0:
                memories.append(memory)
            seen, before = game.observe(states), time_step
            decision, memory = actor.decide(context, memory, seen, before, step_key)
            decision = Decision(*map(np.asarray, decision))
            if game.info.continuous and not np.isfinite(decision.action).all():
                raise FloatingPointError("the policy chose an action that is not finite")
            length += first & (before.discount > 0)
            states, time_step = game.step(states, decision.action)
            returns += np.where(first[:, None], time_step.rewards, 0)
            if record:
                rows.append(_row(seen, before, decision, time_step))
            over = time_step.discount == 0
            if restarts and over.any():
                first &= ~over
                states, time_step = game.reset_where(states, over)
                begun = actor.begin(context, batch)
                memory = jax.tree.map(functools.partial(_where_lane, over), begun, memory)
        unfinished = first if restarts else time_step.discount > 0
        if plan.steps >= game.info.max_steps:
            _check_finished(game, unfinished.any())
        trajectory = None
        if record:
            fields = [np.stack(field) for field in zip(*rows, strict=True)]
            member = np.asarray(actor.members(context, memory, batch))
            memories = jax.tree.map(lambda *parts: np.stack(parts), *memories)
            trajectory = Trajectory(*fields, np.tile(member, (len(rows), 1, 1)), memories)
        return Episodes(returns, length, trajectory)

    return play


def _row(seen, before: TimeStep, decision: Decision, after: TimeStep) -> tuple:
    """The fields of a `Trajectory` at one step, without the member."""
    return (
        seen, before.legal_mask, before.to_move, *decision, after.rewards, after.discount
    )  # fmt: skip


class SeatPolicies:
    """One policy per seat, of teams per player, as an actor; its memory is theirs, and it needs no
    context.
    """

    def __init__(self, policies: tuple[Policy, ...], info: GameInfo) -> None:
        self._policies, self._info = policies, by_player(info)
        self._team_size = len(player_seats(info))

    def begin(self, context: Any, batch: int) -> tuple:
        """See `Actor`."""
        return tuple(policy.initial_memory(batch) for policy in self._policies)

    def decide(
        self, context: Any, memory: tuple, observation: Any, now: TimeStep, key: Any
    ) -> tuple[Decision, tuple]:
        """Asks every seat; its action and new memory count only in the lanes where it is to
        move.
        """
        actions, log_probs, kept = [], [], []
        for seat, seat_key in enumerate(jax.random.split(key, len(self._policies))):
            moves, own = now.to_move[:, seat], memory[seat]
            # Host games often have the same seat to move in all lanes: the others are not asked.
            if isinstance(moves, np.ndarray) and not moves.any():
                actions.append(self._no_action(moves))
                log_probs.append(jnp.zeros(moves.shape, jnp.float32))
                kept.append(own)
                continue
            policy = self._policies[seat]
            if self._team_size > 1 and isinstance(policy, DrawsMember):
                # All seats of a player play the same strategy.
                draw_key, seat_key = jax.random.split(seat_key)
                own = policy.draw(own, draw_key, together=self._team_size)
            action, likely, after = policy.act(
                own, observation[:, seat], now.legal_mask[:, seat], seat_key
            )
            nothing = self._no_action(moves)
            action = jnp.asarray(_where_lane(moves, jnp.asarray(action), nothing), nothing.dtype)
            actions.append(action)
            if self._info.continuous:
                log_prob = jnp.where(moves, likely, 0)
            else:
                chosen = jnp.take_along_axis(jnp.asarray(likely), action[:, None], axis=1)[:, 0]
                log_prob = jnp.log(jnp.where(moves, chosen, 1))
            log_probs.append(log_prob.astype(jnp.float32))
            kept.append(jax.tree.map(functools.partial(_where_lane, moves), after, own))
        log_prob = jnp.stack(log_probs, axis=1)
        decision = Decision(jnp.stack(actions, axis=1), log_prob, jnp.zeros_like(log_prob))
        return decision, tuple(kept)

    def _no_action(self, moves: Any) -> Array:
        """The actions of seats that are not to move."""
        if self._info.continuous:
            return jnp.zeros((*moves.shape, self._info.num_actions[0]), jnp.float32)
        return jnp.zeros(moves.shape, jnp.int32)

    def members(self, context: Any, memory: tuple, batch: int) -> Int32[Array, "B P"]:
        """See `Actor`."""
        none = jnp.full(batch, -1, jnp.int32)
        members = [
            policy.member(own) if isinstance(policy, DrawsMember) else none
            for policy, own in zip(self._policies, memory, strict=True)
        ]
        return jnp.stack(members, axis=1)


def _where_lane(moves: Any, after: Any, before: Any) -> Any:
    """`after` in the lanes of the mask, `before` in the others."""
    where = np.where if isinstance(after, np.ndarray) else jnp.where
    return where(moves.reshape(-1, *(1,) * (after.ndim - 1)), after, before)


def _is_legal(action: Int32[Array, "B P"], now: TimeStep) -> Bool[Array, "B P"]:
    # Out of range counts as illegal; a plain gather would read another entry.
    ids = jnp.arange(now.legal_mask.shape[-1])
    legal = (now.legal_mask & (action[..., None] == ids)).any(axis=-1)
    return legal | ~now.to_move


def _is_finite(action: Float32[Array, "B P A"], now: TimeStep) -> Bool[Array, "B P"]:
    return jnp.isfinite(action).all(axis=-1) | ~now.to_move


def _seeds(batch: int, key: Key[Array, ""]) -> UInt64[np.ndarray, "B"]:
    # JAX has no 64-bit integers by default.
    halves = np.asarray(jax.random.bits(key, (batch, 2), jnp.uint32)).astype(np.uint64)
    return (halves[:, 0] << np.uint64(32)) | halves[:, 1]


def _check_finished(game: Game | HostGame, unfinished: Any) -> None:
    if unfinished:
        raise GameError(
            f"{game.info.name} goes on after the {game.info.max_steps} steps that its "
            "info.max_steps allows"
        )
