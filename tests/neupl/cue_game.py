"""A game that cannot be played without a memory."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from games.types import GameInfo, TimeStep

SHORTEST, LONGEST = 2, 5


class CueState(NamedTuple):
    """The cue, the number of steps of the episode, and how many are over."""

    cue: jax.Array
    length: jax.Array
    steps: jax.Array


class CueGame:
    """Seat 0 sees a cue, 0 or 1, at the first of two to five steps and only then; its last action
    earns 1 if it is the cue and else costs 1. Seat 1 sees nothing and pays. Both see when the last
    step has come.
    """

    info = GameInfo(
        name="cue",
        num_players=2,
        num_actions=(2, 2),
        observation_size=(3, 3),
        utility="zero_sum",
        symmetric=False,
        min_return=-1.0,
        max_return=1.0,
        max_steps=LONGEST,
    )

    def init(self, key):
        cue_key, length_key = jax.random.split(key)
        return CueState(
            jax.random.randint(cue_key, (), 0, 2),
            jax.random.randint(length_key, (), SHORTEST, LONGEST + 1),
            jnp.int32(0),
        )

    def restart(self, state):
        return self._now(state, jnp.float32(0))

    def step(self, state, actions, key):
        playing = state.steps < state.length
        after = state._replace(steps=state.steps + playing)
        ends = playing & (after.steps == state.length)
        won = jnp.where(actions[0] == state.cue, 1.0, -1.0)
        return after, self._now(after, jnp.where(ends, won, 0.0))

    def observe(self, state, player):
        shown = (jnp.arange(2) == state.cue) & (state.steps == 0) & (player == 0)
        last = state.steps == state.length - 1
        return jnp.append(shown, last).astype(jnp.float32)

    def _now(self, state, reward):
        goes_on = state.steps < state.length
        return TimeStep(
            rewards=jnp.stack([reward, -reward]),
            discount=goes_on.astype(jnp.float32),
            to_move=jnp.broadcast_to(goes_on, (2,)),
            legal_mask=jnp.broadcast_to(goes_on | (jnp.arange(2) == 0), (2, 2)),
        )
