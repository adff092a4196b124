"""Toy soccer as a `Game`: what players observe, what they are paid, and the static facts.

Team frames, in which everything is observed and forces are given, make the two teams alike: a
strategy knows nothing of the side it plays on.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int32, Key

from games.teams import two_teams
from games.toy_soccer import rules
from games.toy_soccer.rules import State
from games.types import GameError, GameInfo, Mirror, TimeStep

MAX_TEAM_SIZE = 4
# Points for bringing the ball from the middle line to the goal line, where rewards are shaped.
PROGRESS = 0.5
# The ball starts at most 0.4 m on the own side.
MAX_PROGRESS = PROGRESS * (rules.HALF_LENGTH + 0.4) / rules.HALF_LENGTH


class ToySoccer:
    """Two teams, zero-sum; see `games.types.Game` for the contract and `games.toy_soccer.rules` for
    the rules. Seats of the home team come first.
    """

    observation_kind = "places_and_velocities"

    def __init__(
        self, *, team_size: int = 1, shaped: int = 0, step_limit: int = rules.STEP_LIMIT
    ) -> None:
        """Makes the game.

        Args:
          team_size: players of each team.
          shaped: 1 to pay the way of the ball as well, `PROGRESS` points for half the pitch: what
            one team wins so, the other loses.
          step_limit: steps of 0.1 s after which an episode ends without a goal.

        Raises:
          GameError: a parameter is out of its range.
        """
        allowed = (
            ("team_size", team_size, 1, MAX_TEAM_SIZE), ("shaped", shaped, 0, 1),
            ("step_limit", step_limit, 1, None),
        )  # fmt: skip
        for name, value, least, most in allowed:
            if value < least or (most is not None and value > most):
                words = f"at least {least}" if most is None else f"from {least} to {most}"
                raise GameError(f"toy_soccer: {name} is {value}, allowed is {words}")
        changed = {
            name: value
            for name, value, default in (
                ("team_size", team_size, 1), ("shaped", shaped, 0),
                ("step_limit", step_limit, rules.STEP_LIMIT),
            )
            if value != default
        }  # fmt: skip
        parameters = ",".join(f"{name}={value}" for name, value in changed.items())
        P, most = 2 * team_size, 1.0 + shaped * MAX_PROGRESS
        self.team_size, self.shaped = team_size, bool(shaped)
        self._attack = rules.attack_sign(P)
        self.info = GameInfo(
            name=f"toy_soccer({parameters})" if changed else "toy_soccer",
            num_players=P,
            num_actions=(2,) * P,
            observation_size=(4 + 4 * P,) * P,
            utility="zero_sum",
            symmetric=True,
            min_return=-most,
            max_return=most,
            max_steps=step_limit,
            continuous=True,
            seat_players=two_teams(team_size),
        )
        # All of it is pairs of x and y, and a mirror changes the signs of y.
        sign = np.tile(np.array([1, -1], np.float32), 2 + 2 * P)
        self.mirror = Mirror(np.arange(4 + 4 * P), sign, np.arange(2), sign[:2])

    def init(self, key: Key[Array, ""]) -> State:
        """Returns the state of a new episode; consumes `key`."""
        return rules.start(key, self.team_size)

    def restart(self, state: State) -> TimeStep:
        """Returns the time step on arrival from `init`."""
        return self._time_step(state, jnp.float32(0))

    def step(
        self, state: State, actions: Float32[Array, "P 2"], key: Key[Array, ""]
    ) -> tuple[State, TimeStep]:
        """Applies a force of each player, ahead and to the left in its team frame, clipped to -1
        and 1; there is no chance in a step, and `key` is not read.
        """
        forces = jnp.clip(actions, -1.0, 1.0)
        after = rules.advance(state, forces, step_limit=self.info.max_steps)
        home = jnp.where(state.over, 0.0, after.scored.astype(jnp.float32))
        if self.shaped:
            edge = rules.HALF_LENGTH
            now, before = (jnp.clip(s.ball[0], -edge, edge) for s in (after, state))
            home = home + PROGRESS / edge * (now - before)
        return after, self._time_step(after, home)

    def observe(self, state: State, player: Int32[Array, ""] | int) -> Float32[Array, "O"]:
        """Returns what `player` observes, zeros at the end; `O` is 4 + 4 P.

        Pairs of x and y in the team frame, metres and metres per second: the own place from the
        centre spot and the own velocity; the ball's place from the player, and its velocity; the
        same of each team-mate, the nearest first; the same of each opponent, the nearest first.
        """
        attack = jnp.asarray(self._attack)
        own = attack[player]
        place = (state.position - state.position[player]) * own
        others = jnp.concatenate([place, state.velocity * own], axis=1)
        distance = jnp.sqrt((place**2).sum(axis=1))
        opposed = attack[:, 0] != own
        # Team-mates, opponents, oneself; no way on the pitch is as long as its size.
        group = opposed + 2.0 * (jnp.arange(len(place)) == player)
        order = jnp.argsort(distance + 100.0 * group)
        seen = jnp.concatenate(
            [
                state.position[player] * own,
                state.velocity[player] * own,
                (state.ball - state.position[player]) * own,
                state.ball_velocity * own,
                others[order[:-1]].reshape(-1),
            ]
        )
        return jnp.where(state.over, 0.0, seen)

    def _time_step(self, state: State, home: Float32[Array, ""]) -> TimeStep:
        P = self.info.num_players
        dummy = jnp.arange(2) == 0
        return TimeStep(
            rewards=home * jnp.asarray(self._attack)[:, 0],
            discount=1.0 - state.over.astype(jnp.float32),
            to_move=jnp.broadcast_to(~state.over, (P,)),
            legal_mask=jnp.broadcast_to(~state.over | dummy, (P, 2)),
        )
