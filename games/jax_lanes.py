"""A `Game` in JAX as a `HostGame`: many lanes at once, for players that live outside JAX.

A lane's random keys come from its own seed, so that its episode depends on the seed and the actions
alone, whatever the number or the order of lanes.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float32, Num, UInt64

from games.types import Game, GameInfo, TimeStep


class JaxLaneStates(NamedTuple):
    """The lanes.

    Attributes:
      state: of the game, with a leading axis of `B` lanes.
      key: `[B]` random keys that the next step splits.
      now: the time step on arrival.
    """

    state: Any
    key: Any
    now: TimeStep


class JaxLanes:
    """See `games.types.HostGame` for the contract."""

    def __init__(self, game: Game) -> None:
        """Compiles nothing yet; each number of lanes is compiled when it is first played."""
        self.game = game
        self.info: GameInfo = game.info
        seats = range(self.info.num_players)
        self._observe = jax.jit(
            jax.vmap(lambda state: jnp.stack([game.observe(state, seat) for seat in seats]))
        )

        @jax.jit
        @jax.vmap
        def begin(high, low):
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), high), low)
            init_key, key = jax.random.split(key)
            state = game.init(init_key)
            return state, key, game.restart(state)

        @jax.jit
        @jax.vmap
        def advance(state, key, actions):
            step_key, key = jax.random.split(key)
            state, after = game.step(state, actions, step_key)
            return state, key, after

        self._begin, self._advance = begin, advance

    def init(self, seeds: UInt64[np.ndarray, "B"]) -> JaxLaneStates:
        """Starts one episode per seed."""
        low = (seeds & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        return _states(self._begin((seeds >> np.uint64(32)).astype(np.uint32), low))

    def restart(self, states: JaxLaneStates) -> TimeStep:
        """Returns the time step of all lanes on arrival from `init`."""
        return states.now

    def step(
        self, states: JaxLaneStates, actions: Num[np.ndarray, "B P ..."]
    ) -> tuple[JaxLaneStates, TimeStep]:
        """Applies the actions and resolves chance from each lane's own keys; finished lanes stay.

        Raises:
          ValueError: an action is illegal, not finite, or actions have the wrong shape; the message
            names lane and seat.
        """
        check, kind = self._check_ids, jnp.int32
        if self.info.continuous:
            check, kind = self._check_numbers, jnp.float32
        check(states, actions)
        after = _states(self._advance(states.state, states.key, jnp.asarray(actions, kind)))
        return after, after.now

    def _check_ids(self, states: JaxLaneStates, actions: np.ndarray) -> None:
        legal = states.now.legal_mask
        inside = (actions >= 0) & (actions < legal.shape[-1])
        chosen = np.where(inside, actions, 0)[..., None]
        allowed = inside & np.take_along_axis(legal, chosen, axis=-1)[..., 0]
        wrong = np.argwhere(states.now.to_move & ~allowed)
        if len(wrong):
            lane, seat = wrong[0].tolist()
            raise ValueError(f"lane {lane}: action {actions[lane, seat]} of player {seat} illegal")

    def _check_numbers(self, states: JaxLaneStates, actions: np.ndarray) -> None:
        expected = states.now.legal_mask.shape
        if actions.shape != expected:
            raise ValueError(f"actions have shape {actions.shape}, expected {expected}")
        wrong = np.argwhere(states.now.to_move & ~np.isfinite(actions).all(axis=2))
        if len(wrong):
            lane, seat = wrong[0].tolist()
            raise ValueError(f"lane {lane}: the action of player {seat} is not finite")

    def reset_where(
        self, states: JaxLaneStates, done: Bool[np.ndarray, "B"]
    ) -> tuple[JaxLaneStates, TimeStep]:
        """Starts a new episode in the lanes where `done`, from each lane's own keys."""
        bits = np.asarray(jax.vmap(lambda key: jax.random.bits(key, (2,)))(states.key))
        fresh = _states(self._begin(bits[:, 0], bits[:, 1]))

        def chosen(new: Any, old: Any) -> Any:
            where = done.reshape(-1, *(1,) * (new.ndim - 1))
            return (np if isinstance(new, np.ndarray) else jnp).where(where, new, old)

        states = jax.tree.map(chosen, fresh, states)
        return states, states.now

    def observe(self, states: JaxLaneStates) -> Float32[np.ndarray, "B P O"]:
        """Returns what every seat observes (zeros for seats that are not to move)."""
        seen = np.asarray(self._observe(states.state))
        return np.where(states.now.to_move[..., None], seen, np.float32(0))


def _states(parts: tuple[Any, Any, TimeStep]) -> JaxLaneStates:
    state, key, now = parts
    return JaxLaneStates(state, key, TimeStep(*map(np.asarray, now)))
