"""Scripted players of toy soccer: functions of one observation, without memory.

They return means and log standard deviations of a force, as strategy 0 of a population does
(`population.sink: games.toy_soccer.bots:chaser`).
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32

from games.toy_soccer.rules import BALL_RADIUS, HALF_LENGTH, PLAYER_RADIUS

# How far a force strays from what a script wants, and how a place and the own velocity become one.
STD = 0.05
PULL, DAMPING = 4.0, 1.0
# Metres behind the ball from which to run at it, and to the side to pass it; the aim is so far
# behind the goal line; a keeper stands so far in front of its own.
BEHIND, BESIDE, DEPTH, KEEPER_DISTANCE = 0.45, 0.4, 0.3, 0.4


def stand(
    observation: Float[Array, "O"], legal_mask: Bool[Array, "2"]
) -> Float32[Array, "numbers"]:
    """Brakes, and stays where it is."""
    return _towards(observation, jnp.zeros(2))


def chaser(
    observation: Float[Array, "O"], legal_mask: Bool[Array, "2"]
) -> Float32[Array, "numbers"]:
    """Goes behind the ball, around it where that is the way, and runs through it at the goal."""
    here, ball = observation[:2], observation[4:6]
    shot = _unit(jnp.array([HALF_LENGTH + DEPTH, 0.0]) - here - ball)
    left = jnp.array([-shot[1], shot[0]])
    # The player in the frame of the shot: how far it is behind the ball, and to the left of it.
    back, aside = ball @ shot, -(ball @ left)
    reach = PLAYER_RADIUS + BALL_RADIUS
    runs = (back > 0) & (jnp.abs(aside) < 0.05 + 0.25 * jnp.maximum(back - reach, 0.0))
    passes = back < BEHIND / 2
    side = jnp.where(aside >= 0, 1.0, -1.0)
    place = ball - BEHIND * shot + jnp.where(passes, BESIDE * side, 0.0) * left
    return _towards(observation, jnp.where(runs, ball + shot, place))


def keeper(
    observation: Float[Array, "O"], legal_mask: Bool[Array, "2"]
) -> Float32[Array, "numbers"]:
    """Stays between the ball and the own goal."""
    here, ball = observation[:2], observation[4:6]
    goal = jnp.array([-HALF_LENGTH, 0.0]) - here
    return _towards(observation, goal + KEEPER_DISTANCE * _unit(ball - goal))


def _towards(observation, place):
    """The force that leads to a place, seen from the player."""
    force = PULL * place - DAMPING * observation[2:4]
    mean = force / jnp.maximum(jnp.linalg.norm(force), 1.0)
    return jnp.concatenate([mean, jnp.full(2, np.log(STD))]).astype(jnp.float32)


def _unit(vector):
    return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-9)
