"""Whole episodes of a game with one policy per seat, the same for compiled games and host engines.

A `Game` is played inside one JAX program, all lanes in lock-step; a `HostGame` in a loop over NumPy
arrays. Every lane plays exactly one episode, so means over lanes do not favour short episodes.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int32, Key, UInt64

from games.types import Game, GameError, HostGame, Policy, TimeStep


class Trajectory(NamedTuple):
    """What happened, time-major: row `t` is the decision before step `t` and what the step brought.

    Rows after the end of a lane's episode have nobody to move, no rewards and discount 0. For a
    `Game`, `T` is `info.max_steps`; for a `HostGame` it is the longest episode of the batch.

    Attributes:
      observation: `[T, B, P, O]` of the seats to move, zeros for the others.
      legal_mask: `[T, B, P, A]` legal actions of the seats to move, one dummy for the others.
      to_move: `[T, B, P]` the seats that decided.
      action: `[T, B, P]` their actions, 0 for the others.
      log_prob: `[T, B, P]` log-probability of those actions in nats, 0 for the others.
      rewards: `[T, B, P]` received by every seat after the actions, in game points.
      discount: `[T, B]` 0 where the episode had ended after the actions, else 1.
      member: `[T, B, P]` the strategy that each seat played in this episode, the same in all rows;
        -1 for seats that never moved and for policies that are no `DrawsMember`.
    """

    observation: Float32[Array | np.ndarray, "T B P O"]
    legal_mask: Bool[Array | np.ndarray, "T B P A"]
    to_move: Bool[Array | np.ndarray, "T B P"]
    action: Int32[Array | np.ndarray, "T B P"]
    log_prob: Float32[Array | np.ndarray, "T B P"]
    rewards: Float32[Array | np.ndarray, "T B P"]
    discount: Float32[Array | np.ndarray, "T B"]
    member: Int32[Array | np.ndarray, "T B P"]


class Episodes(NamedTuple):
    """`B` complete episodes.

    Attributes:
      returns: `[B, P]` sum of the rewards of every seat, in game points.
      length: `[B]` number of steps.
      trajectory: every step, where it was asked for.
    """

    returns: Float32[Array | np.ndarray, "B P"]
    length: Int32[Array | np.ndarray, "B"]
    trajectory: Trajectory | None


@runtime_checkable
class DrawsMember(Protocol):
    """A `Policy` that draws one strategy of several and plays it for a whole episode."""

    def member(self, memory: Any) -> Int32[Array | np.ndarray, "B"]:
        """Returns the strategy drawn in each lane, -1 where none was drawn yet."""
        ...


# Called with the number of lanes and a JAX random key, which it consumes.
Play = Callable[[int, Key[Array, ""]], Episodes]


def make_play(game: Game | HostGame, policies: Sequence[Policy], *, record: bool = False) -> Play:
    """Makes the function that plays a batch of complete episodes, e.g. `play(4096, key)`.

    Args:
      game: a compiled or a host game.
      policies: one per seat, each with its own memory per lane (first axis of every array in it),
        which changes only where the seat moves. For a `Game` they are traced by JAX, and the
        function is compiled once per number of lanes.
      record: whether to return the trajectory too.

    Returns:
      A `Play`. It raises `GameError` when the game outlasts its `info.max_steps`, and `ValueError`
      when a policy chooses an illegal action.

    Raises:
      ValueError: the number of policies is not the number of seats.
    """
    if len(policies) != game.info.num_players:
        raise ValueError(
            f"{len(policies)} policies for {game.info.name}, which has "
            f"{game.info.num_players} seats"
        )
    # Protocols are told apart by names alone, and a host game has all those of a `Game`.
    make = _make_hosted if isinstance(game, HostGame) else _make_compiled
    return make(game, tuple(policies), record)


class _Decision(NamedTuple):
    """The first five fields of a `Trajectory` at one step, without the time axis."""

    observation: Any
    legal_mask: Any
    to_move: Any
    action: Any
    log_prob: Any


def _make_compiled(game: Game, policies: tuple[Policy, ...], record: bool) -> Play:
    seats = range(game.info.num_players)
    init, restart, step = map(jax.vmap, (game.init, game.restart, game.step))
    observe = jax.vmap(lambda state: jnp.stack([game.observe(state, seat) for seat in seats]))

    def advance(carry, key):
        states, before, memories, returns, length, legal = carry
        action_key, step_key = jax.random.split(key)
        decision, memories = _decide(policies, memories, observe(states), before, action_key)
        step_keys = jax.random.split(step_key, len(length))
        states, after = step(states, decision.action, step_keys)
        carry = (
            states,
            after,
            memories,
            returns + after.rewards,
            length + (before.discount > 0).astype(jnp.int32),
            legal & _is_legal(decision).all(axis=0),
        )
        return carry, (decision, after.rewards, after.discount) if record else None

    @functools.partial(jax.jit, static_argnums=0)
    def run(batch, key):
        init_key, play_key = jax.random.split(key)
        states = init(jax.random.split(init_key, batch))
        before = restart(states)
        memories = tuple(policy.initial_memory(batch) for policy in policies)
        length, legal = jnp.zeros(batch, jnp.int32), jnp.ones(len(seats), bool)
        carry = (states, before, memories, jnp.zeros_like(before.rewards), length, legal)
        step_keys = jax.random.split(play_key, game.info.max_steps)
        (_, last, memories, returns, length, legal), rows = jax.lax.scan(advance, carry, step_keys)
        trajectory = None
        if record:
            decisions, rewards, discount = rows
            member = _members(policies, memories, batch)
            member = jnp.broadcast_to(member, decisions.action.shape)
            trajectory = Trajectory(*decisions, rewards, discount, member)
        return Episodes(returns, length, trajectory), last.discount.any(), legal

    def play(batch: int, key: Key[Array, ""]) -> Episodes:
        episodes, unfinished, legal = run(batch, key)
        if not legal.all():
            seat = int(np.argmin(legal))
            raise ValueError(f"the policy of seat {seat} chose an illegal action")
        _check_finished(game, unfinished)
        return episodes

    return play


def _make_hosted(game: HostGame, policies: tuple[Policy, ...], record: bool) -> Play:
    def play(batch: int, key: Key[Array, ""]) -> Episodes:
        init_key, play_key = jax.random.split(key)
        states = game.init(_seeds(batch, init_key))
        time_step = game.restart(states)
        memories = tuple(policy.initial_memory(batch) for policy in policies)
        returns = np.zeros((batch, game.info.num_players), np.float32)
        length = np.zeros(batch, np.int32)
        rows = []
        for step_key in jax.random.split(play_key, game.info.max_steps):
            if not time_step.discount.any():
                break
            seen = game.observe(states)
            decision, memories = _decide(policies, memories, seen, time_step, step_key)
            length += time_step.discount > 0
            states, time_step = game.step(states, np.asarray(decision.action))
            returns += time_step.rewards
            if record:
                rows.append((*decision, time_step.rewards, time_step.discount))
        _check_finished(game, time_step.discount.any())
        trajectory = None
        if record:
            fields = [np.stack(field) for field in zip(*rows, strict=True)]
            member = np.asarray(_members(policies, memories, batch))
            trajectory = Trajectory(*fields, np.tile(member, (len(rows), 1, 1)))
        return Episodes(returns, length, trajectory)

    return play


def _decide(
    policies: tuple[Policy, ...], memories: tuple, observation: Any, now: TimeStep, key: Any
) -> tuple[_Decision, tuple]:
    """Asks every seat; its action and new memory count only in the lanes where it is to move."""
    actions, log_probs, kept = [], [], []
    for seat, seat_key in enumerate(jax.random.split(key, len(policies))):
        moves, memory = now.to_move[:, seat], memories[seat]
        # Host games often have the same seat to move in all lanes: the others are not asked.
        if isinstance(moves, np.ndarray) and not moves.any():
            actions.append(jnp.zeros(moves.shape, jnp.int32))
            log_probs.append(jnp.zeros(moves.shape, jnp.float32))
            kept.append(memory)
            continue
        action, probabilities, after = policies[seat].act(
            memory, observation[:, seat], now.legal_mask[:, seat], seat_key
        )
        action = jnp.where(moves, action, 0).astype(jnp.int32)
        chosen = jnp.take_along_axis(jnp.asarray(probabilities), action[:, None], axis=1)[:, 0]
        actions.append(action)
        log_probs.append(jnp.log(jnp.where(moves, chosen, 1)).astype(jnp.float32))
        kept.append(jax.tree.map(functools.partial(_where_lane, moves), after, memory))
    decision = _Decision(
        observation,
        now.legal_mask,
        now.to_move,
        jnp.stack(actions, axis=1),
        jnp.stack(log_probs, axis=1),
    )
    return decision, tuple(kept)


def _where_lane(moves: Any, after: Any, before: Any) -> Any:
    where = np.where if isinstance(after, np.ndarray) else jnp.where
    return where(moves.reshape(-1, *(1,) * (after.ndim - 1)), after, before)


def _is_legal(decision: _Decision) -> Bool[Array, "B P"]:
    # Out of range counts as illegal; a plain gather would read another entry.
    ids = jnp.arange(decision.legal_mask.shape[-1])
    legal = (decision.legal_mask & (decision.action[..., None] == ids)).any(axis=-1)
    return legal | ~decision.to_move


def _members(policies: tuple[Policy, ...], memories: tuple, batch: int) -> Int32[Array, "B P"]:
    none = jnp.full(batch, -1, jnp.int32)
    members = [
        policy.member(memory) if isinstance(policy, DrawsMember) else none
        for policy, memory in zip(policies, memories, strict=True)
    ]
    return jnp.stack(members, axis=1)


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
