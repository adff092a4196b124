"""A game of one player and continuous actions whose optimum is known."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.types import GameInfo, Mirror, TimeStep


class AimState(NamedTuple):
    """What is seen, and whether the only step is over."""

    seen: jax.Array
    over: jax.Array


class AimGame:
    """The player sees x between -1 and 1, aims two numbers once, and pays the squared distance to
    (x / 2, -0.3). With entropy of weight tau the best policy is normal around that point with a
    variance of tau / 2 in both: exp(-|a - c|^2 / tau). Turning the sign of x and of the first
    number gives the same game.
    """

    info = GameInfo(
        name="aim_game:AimGame",
        num_players=1,
        num_actions=(2,),
        observation_size=(1,),
        utility="general_sum",
        symmetric=True,
        min_return=-2.0,
        max_return=0.0,
        max_steps=1,
        continuous=True,
    )
    mirror = Mirror(
        np.array([0]), np.array([-1.0], np.float32),
        np.array([0, 1]), np.array([-1.0, 1.0], np.float32),
    )  # fmt: skip

    def init(self, key):
        return AimState(jax.random.uniform(key, (), minval=-1, maxval=1), jnp.zeros((), bool))

    def restart(self, state):
        return self._time_step(state, 0.0)

    def step(self, state, actions, key):
        point = jnp.stack([state.seen / 2, -0.3])
        paid = jnp.where(state.over, 0.0, jnp.sum((actions[0] - point) ** 2))
        after = AimState(state.seen, jnp.ones((), bool))
        return after, self._time_step(after, -paid)

    def observe(self, state, player):
        return state.seen[None]

    def _time_step(self, state, reward):
        moves = ~state.over
        return TimeStep(
            rewards=jnp.full(1, reward, jnp.float32),
            discount=moves.astype(jnp.float32),
            to_move=moves[None],
            legal_mask=jnp.ones((1, 2), bool),
        )
