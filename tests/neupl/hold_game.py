"""Games of one player that ask for what a policy does not see: what it saw before, and what only
critics see.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.types import GameInfo, TimeStep

SHORTEST, LONGEST = 2, 4


class HoldState(NamedTuple):
    """The cue, the number of steps of the episode, and how many are over."""

    cue: jax.Array
    length: jax.Array
    steps: jax.Array


class HoldGame:
    """A cue between -1 and 1 is seen at the first of two to four steps and only then; the last
    action, a number, pays its squared distance to half of the cue. All see when the last step has
    come; critics see the cue throughout.

    Without a memory 0 is best, and pays E[(cue / 2)^2] = 1/12.
    """

    info = GameInfo(
        name="hold_game:HoldGame",
        num_players=1,
        num_actions=(1,),
        observation_size=(3,),
        utility="general_sum",
        symmetric=True,
        min_return=-1.0,
        max_return=0.0,
        max_steps=LONGEST,
        continuous=True,
        privileged_size=1,
    )

    def init(self, key):
        cue_key, length_key = jax.random.split(key)
        return HoldState(
            jax.random.uniform(cue_key, (), minval=-1, maxval=1),
            jax.random.randint(length_key, (), SHORTEST, LONGEST + 1),
            jnp.int32(0),
        )

    def restart(self, state):
        return self._now(state, jnp.float32(0))

    def step(self, state, actions, key):
        playing = state.steps < state.length
        after = state._replace(steps=state.steps + playing)
        ends = playing & (after.steps == state.length)
        paid = (jnp.clip(actions[0, 0], -1, 1) - state.cue / 2) ** 2
        return after, self._now(after, jnp.where(ends, -paid, 0.0))

    def observe(self, state, player):
        first, last = state.steps == 0, state.steps == state.length - 1
        return jnp.stack([jnp.where(first, state.cue, 0.0), first, last]).astype(jnp.float32)

    def observe_privileged(self, state, player):
        return state.cue[None]

    def _now(self, state, reward):
        goes_on = state.steps < state.length
        return TimeStep(
            rewards=reward[None],
            discount=goes_on.astype(jnp.float32),
            to_move=goes_on[None],
            legal_mask=jnp.ones((1, 1), bool),
        )


class Holder:
    """Answers half of the cue at every step; remembers the cue."""

    def initial_memory(self, batch):
        return np.zeros(batch, np.float32)

    def act(self, memory, observation, mask, key):
        cue = jnp.where(observation[:, 1] > 0, observation[:, 0], memory)
        return cue[:, None] / 2, jnp.zeros(len(cue)), cue


class Lottery:
    """A host game of one step: a win or a loss, decided beforehand; critics are told which, and a
    number that means nothing, in units of thousands.
    """

    info = GameInfo(
        name="hold_game:Lottery",
        num_players=1,
        num_actions=(2,),
        observation_size=(1,),
        utility="general_sum",
        symmetric=True,
        min_return=-1.0,
        max_return=1.0,
        max_steps=1,
        privileged_size=2,
    )

    def init(self, seeds):
        drawn = np.random.default_rng(seeds).normal(size=(len(seeds), 2))
        return {
            "won": np.sign(drawn[:, 0]),
            "noise": drawn[:, 1],
            "over": np.zeros(len(seeds), bool),
        }

    def restart(self, states):
        return self._now(states, np.zeros(len(states["over"])))

    def step(self, states, actions):
        rewards = np.where(states["over"], 0, states["won"])
        states["over"][:] = True
        return states, self._now(states, rewards)

    def reset_where(self, states, done):
        """The same lottery again."""
        states["over"][done] = False
        return states, self._now(states, np.zeros(len(done)))

    def observe(self, states):
        return np.ones((len(states["over"]), 1, 1), np.float32)

    def observe_privileged(self, states):
        shown = 5000 + 1000 * np.stack([states["won"], states["noise"]], axis=1)
        return shown[:, None].astype(np.float32)

    def _now(self, states, rewards):
        moves = ~states["over"][:, None]
        return TimeStep(
            rewards=rewards[:, None].astype(np.float32),
            discount=moves[:, 0].astype(np.float32),
            to_move=moves,
            legal_mask=np.ones((len(moves), 1, 2), bool),
        )
