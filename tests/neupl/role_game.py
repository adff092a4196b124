"""A game of two teams in which every seat has a part of its own."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from games.types import GameInfo, TimeStep

ROUNDS = 2


class RoleState(NamedTuple):
    """What chance told each seat, and the rounds that are over."""

    told: jax.Array
    round: jax.Array


class RoleGame:
    """Seats 0 and 2 are a team, 1 and 3 the other; in each of two rounds every seat says 0 or 1.
    The first seat of a team is right to say 0, the second one to say 1: the team is paid half of
    how many of its seats are right more than of the other's, so that saying what is right is
    dominant and an episode pays between -2 and 2. A seat sees whether it is the second one, the
    round, and a number of its own that means nothing.
    """

    def __init__(self, *, uneven: bool = False, teams: bool = True) -> None:
        """Makes the game; where it is `uneven` the second seat of a team gets all that its team is
        paid twice, and the first one nothing. Without `teams` every seat is a player.
        """
        self._share = jnp.array([0.0, 0.0, 2.0, 2.0]) if uneven else jnp.ones(4)
        self.info = GameInfo(
            name="role_game:RoleGame",
            num_players=4,
            num_actions=(2,) * 4,
            observation_size=(3,) * 4,
            utility="zero_sum",
            symmetric=teams,
            min_return=-2.0,
            max_return=2.0,
            max_steps=ROUNDS,
            seat_players=(0, 1, 0, 1) if teams else (),
        )

    def init(self, key):
        return RoleState(jax.random.uniform(key, (4,)), jnp.zeros((), jnp.int32))

    def restart(self, state):
        return self._time_step(state, jnp.zeros(4))

    def step(self, state, actions, key):
        right = (actions == jnp.array([0, 0, 1, 1])).astype(jnp.float32)
        home = (right[0] + right[2] - right[1] - right[3]) / 2
        paid = home * jnp.array([1.0, -1.0, 1.0, -1.0]) * self._share
        after = RoleState(state.told, state.round + 1)
        return after, self._time_step(after, jnp.where(state.round < ROUNDS, paid, 0.0))

    def observe(self, state, player):
        parts = [jnp.asarray(player) >= 2, state.round, state.told[player]]
        return jnp.stack([jnp.asarray(part, jnp.float32) for part in parts])

    def _time_step(self, state, rewards):
        plays = state.round < ROUNDS
        return TimeStep(
            rewards=rewards.astype(jnp.float32),
            discount=plays.astype(jnp.float32),
            to_move=jnp.broadcast_to(plays, (4,)),
            legal_mask=jnp.broadcast_to(plays | (jnp.arange(2) == 0), (4, 2)),
        )
