"""The rules of toy soccer: discs that are pushed over a pitch, a ball that they kick by contact.

The humanoid soccer of this project (`soccer/`, after Haarnoja et al. 2024, arXiv 2304.13653) with
its pitch, goals, starts and payoffs, but with players that are discs without a heading, so that a
match costs microseconds and needs no simulator. The physics is our own and is not meant to be that
of any robot: semi-implicit Euler steps, equal masses, no spin.

World frame: metres, the origin at the centre spot, x towards the goal that the home team (0)
attacks, y left of it. A team frame is that of the world for the home team, and turned by half a
turn for the away team: x points to the goal that the own team attacks.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int32, Key

# Half of the length and width of the pitch and of the width of a goal; radii.
HALF_LENGTH, HALF_WIDTH, HALF_GOAL = 2.5, 2.0, 0.4
PLAYER_RADIUS, BALL_RADIUS = 0.15, 0.09

# Seconds of a physics step, and physics steps in a step of the game.
TIMESTEP, SUBSTEPS = 0.05, 2
STEP_LIMIT = 300

# A force of 1 accelerates a player by 2 m/s^2, and at 1 m/s drag holds the balance.
ACCELERATION, DRAG = 2.0, 2.0
# The ball slows down by this share per second: at 2 m/s it rolls 2.6 m.
BALL_DRAG = 0.77
# So near the boards the ground rises, as on the paper's pitch, and the ball rolls back: metres, and
# metres per second squared.
RAMP, RAMP_ACCELERATION = 0.3, 2.0
# Speed after a bounce over that before: of the ball on a player, and on a board.
KICK_RESTITUTION, BOARD_RESTITUTION = 0.8, 0.7
MAX_BALL_SPEED = 3.0


class State(NamedTuple):
    """Where an episode stands: `P` players, the first half of them at home.

    Attributes:
      position: of the players, metres.
      velocity: of the players, metres per second.
      ball: its place.
      ball_velocity: its velocity.
      scored: 1 where the home team has scored, -1 where the away team has, else 0.
      steps: number of steps so far.
      over: whether the episode has ended.
    """

    position: Float32[Array, "P 2"]
    velocity: Float32[Array, "P 2"]
    ball: Float32[Array, "2"]
    ball_velocity: Float32[Array, "2"]
    scored: Int32[Array, ""]
    steps: Int32[Array, ""]
    over: Bool[Array, ""]


def attack_sign(num_players: int) -> Float32[np.ndarray, "P 1"]:
    """1 for players of the home team, -1 for those of the away team: what turns vectors of the
    world into those of the players' team frames, and back.
    """
    home = np.arange(num_players) < num_players // 2
    return np.where(home, 1.0, -1.0).astype(np.float32)[:, None]


def start(key: Key[Array, ""], team_size: int) -> State:
    """Draws the state in which an episode begins; consumes `key`.

    Everybody is at rest, players anywhere in their own half but near the middle line and the goal,
    each team-mate in a strip of its own; the ball lies within 0.4 m of the middle line.
    """
    P = 2 * team_size
    place_key, strip_key, ball_key = jax.random.split(key, 3)
    drawn = jax.random.uniform(place_key, (P, 2))
    x = -attack_sign(P)[:, 0] * (0.8 + 1.3 * drawn[:, 0])
    strip = np.tile(np.arange(team_size, dtype=np.float32), 2)
    y = 3.0 * (strip + drawn[:, 1]) / team_size - 1.5
    # Who has which strip is drawn as well: seats of a team have the same chances.
    side = jnp.where(jax.random.bernoulli(strip_key, shape=(2,)), 1.0, -1.0)
    y = y * jnp.repeat(side, team_size)
    ball = (2 * jax.random.uniform(ball_key, (2,)) - 1) * jnp.array([0.4, 1.5])
    return State(
        position=jnp.stack([x, y], axis=1),
        velocity=jnp.zeros((P, 2)),
        ball=ball,
        ball_velocity=jnp.zeros(2),
        scored=jnp.int32(0),
        steps=jnp.int32(0),
        over=jnp.bool_(False),
    )


def advance(state: State, forces: Float32[Array, "P 2"], *, step_limit: int) -> State:
    """Applies forces to all players for a step of the game; a finished episode stays as it is.

    Args:
      state: before.
      forces: in team frames; those longer than 1 count as 1.
      step_limit: after so many steps the episode ends.
    """
    length = jnp.sqrt(jnp.sum(forces**2, axis=1, keepdims=True))
    pushed = attack_sign(len(forces)) * forces / jnp.maximum(length, 1.0)
    after = state
    for _ in range(SUBSTEPS):
        # What follows on a goal is not played any more.
        after = _unless(after.scored != 0, after, _simulate(after, pushed))
    steps = state.steps + 1
    after = after._replace(steps=steps, over=(after.scored != 0) | (steps >= step_limit))
    return _unless(state.over, state, after)


def _unless(stays: Bool[Array, ""], before: State, after: State) -> State:
    return jax.tree.map(lambda old, new: jnp.where(stays, old, new), before, after)


def _simulate(state: State, forces: Float32[Array, "P 2"]) -> State:
    """One physics step: motion, players off each other, kicks, boards, and whether it is a goal."""
    velocity = state.velocity + TIMESTEP * (ACCELERATION * forces - DRAG * state.velocity)
    position = state.position + TIMESTEP * velocity
    edge = jnp.array([HALF_LENGTH, HALF_WIDTH])
    # Between the posts there is neither a ramp nor a board: a centre behind the line is a goal.
    mouth = jnp.abs(state.ball[1]) < HALF_GOAL
    sloped = (jnp.abs(state.ball) > edge - RAMP) & (jnp.array([False, True]) | ~mouth)
    slope = jnp.where(sloped, -RAMP_ACCELERATION * jnp.sign(state.ball), 0.0)
    ball_velocity = state.ball_velocity + TIMESTEP * (slope - BALL_DRAG * state.ball_velocity)
    ball = state.ball + TIMESTEP * ball_velocity
    position, velocity = _part(position, velocity)
    ball, ball_velocity = _kick(position, velocity, ball, ball_velocity)
    position, velocity = _bounce(position, velocity, edge - PLAYER_RADIUS, 0.0)
    mouth = jnp.abs(ball[1]) < HALF_GOAL
    open_edge = edge - BALL_RADIUS + jnp.where(mouth, 2 * HALF_LENGTH, 0.0) * jnp.array([1.0, 0.0])
    ball, ball_velocity = _bounce(ball, ball_velocity, open_edge, BOARD_RESTITUTION)
    scored = jnp.where(mouth & (jnp.abs(ball[0]) > HALF_LENGTH), jnp.sign(ball[0]), 0.0)
    return state._replace(
        position=position, velocity=velocity, ball=ball, ball_velocity=ball_velocity,
        scored=scored.astype(jnp.int32),
    )  # fmt: skip


def _part(
    position: Float32[Array, "P 2"], velocity: Float32[Array, "P 2"]
) -> tuple[Float32[Array, "P 2"], Float32[Array, "P 2"]]:
    """Moves players that overlap apart by the same way, and takes from both half of the speed with
    which they approach each other.
    """
    way = position[:, None] - position
    normal, distance = _unit(way)
    depth = jnp.where(jnp.eye(len(position)) > 0, 0.0, 2 * PLAYER_RADIUS - distance)
    speed = ((velocity[:, None] - velocity) * normal).sum(axis=-1)
    lost = jnp.where(depth > 0, jnp.minimum(speed, 0.0), 0.0)
    return (
        position + 0.5 * (jnp.maximum(depth, 0.0)[..., None] * normal).sum(axis=1),
        velocity - 0.5 * (lost[..., None] * normal).sum(axis=1),
    )


def _kick(
    position: Float32[Array, "P 2"],
    velocity: Float32[Array, "P 2"],
    ball: Float32[Array, "2"],
    ball_velocity: Float32[Array, "2"],
) -> tuple[Float32[Array, "2"], Float32[Array, "2"]]:
    """Moves the ball out of players and lets it bounce off them; players do not feel it."""
    normal, distance = _unit(ball - position)
    depth = PLAYER_RADIUS + BALL_RADIUS - distance
    speed = ((ball_velocity - velocity) * normal).sum(axis=-1)
    struck = jnp.where(depth > 0, jnp.maximum(-speed, 0.0), 0.0)
    ball = ball + (jnp.maximum(depth, 0.0)[:, None] * normal).sum(axis=0)
    kicked = ball_velocity + (1 + KICK_RESTITUTION) * (struck[:, None] * normal).sum(axis=0)
    fast = jnp.sqrt((kicked**2).sum())
    return ball, kicked * (MAX_BALL_SPEED / jnp.maximum(fast, MAX_BALL_SPEED))


def _bounce(
    place: Float32[Array, "*n 2"],
    velocity: Float32[Array, "*n 2"],
    edge: Float32[Array, "2"],
    restitution: float,
) -> tuple[Float32[Array, "*n 2"], Float32[Array, "*n 2"]]:
    """Keeps centres within `edge` of the centre spot; outward velocities there are turned back."""
    outward = (jnp.abs(place) > edge) & (place * velocity > 0)
    return jnp.clip(place, -edge, edge), jnp.where(outward, -restitution * velocity, velocity)


def _unit(way: Float32[Array, "*n 2"]) -> tuple[Float32[Array, "*n 2"], Float32[Array, "*n"]]:
    """Vectors of length 1 (0 where there is no way) and the lengths they had."""
    distance = jnp.sqrt((way**2).sum(axis=-1))
    return way / jnp.maximum(distance, 1e-9)[..., None], distance
