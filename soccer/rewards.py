"""Reward terms of Haarnoja et al. 2024 (arXiv 2304.13653), Table S3, and those of our own tasks.

Every term is a function of a `Moment` that returns one number per robot `[n, P]` for one control
step; tasks weigh them. Where the table leaves room, what we chose stands at the term.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from soccer import robot
from soccer.pitch import CONTROL_STEP, HALF_LENGTH
from soccer.scene import Scene

# Opponents nearer than this are kept clear of, metres.
INTERFERENCE_DISTANCE = 1.0
# A torso that tilts less is upright, one that tilts more is not at all, radians.
UPRIGHT_TILT, TILTED = 0.2, 0.4
# Progress to a target counts up to this speed, metres per second.
MAX_PROGRESS = 1.0
# Height of the shoulders by which the paper times get-ups, metres; 0.41 standing straight.
SHOULDERS_UP = 0.36
# Being faster than this on the way to a target is worth no more, metres per second; within a step a
# good walk is at times twice as fast as on average.
PACE = 1.0
# Where a ball is struck from, metres behind it, and how near that is near, metres.
BEHIND_BALL, NEAR_PLACE = 0.2, 0.3


class Moment(NamedTuple):
    """What happened in a control step of `n` lanes.

    Attributes:
      scene: after the step.
      attack: sign of x of the goal that each robot attacks.
      opponents: `opponents[i, j]`, whether robot j plays against robot i.
      scored: 1 where the home team scored, -1 where the away team did, else 0.
      foul: which robots are down, off the pitch or in a goal area.
      torque: of the servos, Nm.
      target: places on the floor that robots walk to, world frame.
      before: places of the robots before the step, world frame.
    """

    scene: Scene
    attack: Float64[np.ndarray, "P"]
    opponents: Bool[np.ndarray, "P P"]
    scored: Int64[np.ndarray, "n"]
    foul: Bool[np.ndarray, "n P"]
    torque: Float64[np.ndarray, "n P A"]
    target: Float64[np.ndarray, "n P 2"]
    before: Float64[np.ndarray, "n P 2"]


Term = Callable[[Moment], Float64[np.ndarray, "n P"]]


def scoring(now: Moment) -> Float64[np.ndarray, "n P"]:
    """1 on a goal of the own team."""
    return (now.scored[:, None] == now.attack).astype(float)


def conceding(now: Moment) -> Float64[np.ndarray, "n P"]:
    """-1 on a goal of the other team."""
    return -(now.scored[:, None] == -now.attack).astype(float)


def velocity_to_ball(now: Moment) -> Float64[np.ndarray, "n P"]:
    """Speed towards the ball on the floor, m/s; negative away from it."""
    way = now.scene.ball[:, None, :2] - now.scene.position[..., :2]
    return (now.scene.velocity[..., :2] * _unit(way)).sum(axis=-1)


def velocity_behind_ball(now: Moment) -> Float64[np.ndarray, "n P"]:
    """Speed towards the place behind the ball from which it can be sent to the goal that the robot
    attacks, m/s; less near that place, nothing at it.
    """
    ball = now.scene.ball[:, None, :2]
    place = ball - BEHIND_BALL * _unit(_goal(now.attack) - ball)
    way = place - now.scene.position[..., :2]
    nearness = np.minimum(np.linalg.norm(way, axis=-1) / NEAR_PLACE, 1.0)
    return nearness * (now.scene.velocity[..., :2] * _unit(way)).sum(axis=-1)


def forward_velocity(now: Moment) -> Float64[np.ndarray, "n P"]:
    """Speed on the floor in the direction in which the torso faces, m/s."""
    return (now.scene.velocity[..., :2] * now.scene.facing).sum(axis=-1)


def interference(now: Moment) -> Float64[np.ndarray, "n P"]:
    """Minus the cosine between the own velocity and the way to the nearest opponent within 1 m."""
    place = now.scene.position[..., :2]
    way = place[:, None] - place[:, :, None]
    distance = np.where(now.opponents, np.linalg.norm(way, axis=-1), np.inf)
    nearest = distance.argmin(axis=-1)
    to_nearest = np.take_along_axis(way, nearest[..., None, None], axis=2)[:, :, 0]
    cosine = (_unit(now.scene.velocity[..., :2]) * _unit(to_nearest)).sum(axis=-1)
    return np.where(distance.min(axis=-1) < INTERFERENCE_DISTANCE, -cosine, 0.0)


def termination(now: Moment) -> Float64[np.ndarray, "n P"]:
    """-1 while down, off the pitch or in a goal area."""
    return -now.foul.astype(float)


def upright(now: Moment) -> Float64[np.ndarray, "n P"]:
    """1 where the torso tilts less than 0.2 rad, 0 from 0.4 rad on, linear between."""
    return np.clip((TILTED - now.scene.tilt) / (TILTED - UPRIGHT_TILT), 0.0, 1.0)


def joint_torque(now: Moment) -> Float64[np.ndarray, "n P"]:
    """Minus the sum of the torques of the two knees, Nm.

    The paper's text speaks of peaks above 5 Nm, which servos limited to the identified 4.1 Nm never
    reach; here all torque counts.
    """
    return -np.abs(now.torque[..., list(robot.KNEES)]).sum(axis=-1)


def target_pose(now: Moment) -> Float64[np.ndarray, "n P"]:
    """How near the robot is to standing in its home pose, 0 to 1.

    The product of (pi - ||p_target - p||) / pi over the joints, at least 0, and (pi - angle) / pi
    with the angle between the directions of gravity in body frames. The paper's text has a minus
    sign in front, which would reward the opposite.
    """
    distance = np.linalg.norm(now.scene.joints - robot.HOME, axis=-1)
    near = np.maximum(np.pi - distance, 0.0) / np.pi
    return near * (np.pi - now.scene.tilt) / np.pi


def progress(now: Moment) -> Float64[np.ndarray, "n P"]:
    """Metres by which a robot came nearer to its target, at most 1 m/s either way."""
    place = now.scene.position[..., :2]
    nearer = np.linalg.norm(now.target - now.before, axis=-1) - np.linalg.norm(
        now.target - place, axis=-1
    )
    most = MAX_PROGRESS * CONTROL_STEP
    return np.clip(nearer, -most, most)


def approach(now: Moment) -> Float64[np.ndarray, "n P"]:
    """Speed towards the target as a share of `PACE`, -1 to 1.

    The bound makes a dive worth no more than steps.
    """
    return np.clip(progress(now) / (PACE * CONTROL_STEP), -1.0, 1.0)


def facing_target(now: Moment) -> Float64[np.ndarray, "n P"]:
    """Cosine between where the torso faces and the way to the target."""
    way = _unit(now.target - now.scene.position[..., :2])
    return (now.scene.facing * way).sum(axis=-1)


def ball_to_goal(now: Moment) -> Float64[np.ndarray, "n P"]:
    """Speed of the ball towards the middle of the goal that the robot attacks, m/s."""
    way = _unit(_goal(now.attack) - now.scene.ball[:, None, :2])
    return (now.scene.ball_velocity[:, None, :2] * way).sum(axis=-1)


def rise(now: Moment) -> Float64[np.ndarray, "n P"]:
    """Height of the shoulders, as a share of that at which `standing` counts, at most 1."""
    return np.clip(shoulder_height(now.scene) / SHOULDERS_UP, 0.0, 1.0)


def standing(now: Moment) -> Float64[np.ndarray, "n P"]:
    """1 where the shoulders are at least `SHOULDERS_UP` high."""
    return (shoulder_height(now.scene) >= SHOULDERS_UP).astype(float)


def shoulder_height(scene: Scene) -> Float64[np.ndarray, "n P"]:
    """Heights of the marker on the shoulders, metres; 0.41 standing straight."""
    return scene.position[..., 2] + robot.SHOULDER_HEIGHT * scene.rotation[..., 2, 2]


TERMS: Mapping[str, Term] = {
    term.__name__: term
    for term in (
        scoring, conceding, velocity_to_ball, velocity_behind_ball, forward_velocity, interference,
        termination, upright, joint_torque, target_pose, progress, approach, facing_target,
        ball_to_goal, rise, standing,
    )
}  # fmt: skip


def weighted_sum(
    now: Moment, weights: Mapping[str, float], *, fouls_earn_nothing: bool
) -> Float64[np.ndarray, "n P"]:
    """The sum of the terms with their weights.

    Args:
      now: the step.
      weights: of terms by name.
      fouls_earn_nothing: whether positive components count nothing for robots that are down, off
        the pitch or in a goal area, as in the paper's one-versus-one stage.
    """
    total = np.zeros(now.foul.shape)
    for name, weight in weights.items():
        part = weight * TERMS[name](now)
        if fouls_earn_nothing:
            part = np.where(now.foul, np.minimum(part, 0.0), part)
        total += part
    return total


def _goal(attack: Float64[np.ndarray, "P"]) -> Float64[np.ndarray, "P 2"]:
    """Middle of the line of the goal that each robot attacks."""
    return np.stack([attack * HALF_LENGTH, np.zeros_like(attack)], axis=-1)


def _unit(vectors: Float64[np.ndarray, "*n 2"]) -> Float64[np.ndarray, "*n 2"]:
    """Vectors of length 1, or 0 where they have none."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
