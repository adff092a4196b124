"""Domain randomisation of Haarnoja et al. 2024 (arXiv 2304.13653): robots that differ, and pushes.

Drawn once per episode: friction of the floor, offsets of the joints, orientation and place of the
inertial sensor, a mass somewhere on the torso, the delay of observations. Every 1 to 3 s a robot is
pushed for 0.05 to 0.15 s; the paper prints the strength as 5 to 15 Nm, which we read as newtons at
a random place of the torso, in a random direction along the floor.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from soccer import pitch, robot
from soccer.observations import Sensors
from soccer.pitch import CONTROL_STEP

FLOOR_FRICTION = (0.5, 1.0)
JOINT_OFFSET = np.radians(2.9)
SENSOR_TILT = np.radians(2.0)
SENSOR_SHIFT = 0.005
EXTRA_MASS = 0.5
DELAY = (0.010, 0.050)
PUSH_PAUSE = (1.0, 3.0)
PUSH_LENGTH = (0.05, 0.15)
PUSH_FORCE = (5.0, 15.0)
# Half sizes of the box about the torso's centre of mass in which masses sit and pushes act, metres.
TORSO_BOX = np.array([0.04, 0.07, 0.06])

# How many of the latest control steps a delayed observation is made of.
DELAY_STEPS = 1 + int(np.ceil(DELAY[1] / CONTROL_STEP))
NUMBERS_PER_ROBOT = robot.NUM_JOINTS + 3 + 3 + 4 + 1
NUMBERS_PER_PUSH = 7


class Draw(NamedTuple):
    """What differs between episodes.

    Attributes:
      floor_friction: sliding friction under the robots.
      sensors: of the robots.
      extra_mass: on the torsos, kg.
      mass_place: from the torso's centre of mass, body frame, metres.
      delay_weights: by which the latest measurements, newest first, are mixed.
    """

    floor_friction: Float64[np.ndarray, "n"]
    sensors: Sensors
    extra_mass: Float64[np.ndarray, "n P"]
    mass_place: Float64[np.ndarray, "n P 3"]
    delay_weights: Float64[np.ndarray, "n P steps"]


class Push(NamedTuple):
    """The next push of robots, in control steps since the start of the episode.

    Attributes:
      start: first step.
      end: first step after it.
      force: in the world's frame, N.
      place: from the torso's centre of mass, world frame, metres.
    """

    start: Int64[np.ndarray, "*n"]
    end: Int64[np.ndarray, "*n"]
    force: Float64[np.ndarray, "*n 3"]
    place: Float64[np.ndarray, "*n 3"]


def numbers_needed(num_robots: int) -> int:
    """Random numbers of a `draw`, per lane."""
    return 1 + num_robots * NUMBERS_PER_ROBOT


def draw(uniform: Float64[np.ndarray, "n numbers"], num_robots: int) -> Draw:
    """Draws an episode.

    Args:
      uniform: numbers in [0, 1), `numbers_needed(num_robots)` per lane.
      num_robots: `P`.
    """
    own = uniform[:, 1:].reshape(len(uniform), num_robots, NUMBERS_PER_ROBOT)
    joints, axis, shift, mass, delay = np.split(own, np.cumsum([20, 3, 3, 4]), axis=-1)
    return Draw(
        floor_friction=_between(FLOOR_FRICTION, uniform[:, 0]),
        sensors=Sensors(
            joint_offset=JOINT_OFFSET * (2 * joints - 1),
            rotation=_small_rotation(SENSOR_TILT, axis),
            place=SENSOR_SHIFT * (2 * shift - 1) / np.sqrt(3),
        ),
        extra_mass=EXTRA_MASS * mass[..., 0],
        mass_place=TORSO_BOX * (2 * mass[..., 1:] - 1),
        delay_weights=delay_weights(_between(DELAY, delay[..., 0])),
    )


def nominal(num_lanes: int, num_robots: int, *, num_joints: int = robot.NUM_JOINTS) -> Draw:
    """Robots as they are modelled, observed at once."""
    shape = (num_lanes, num_robots)
    return Draw(
        floor_friction=np.full(num_lanes, pitch.FLOOR_FRICTION[0]),
        sensors=Sensors(
            np.zeros((*shape, num_joints)), np.tile(np.eye(3), (*shape, 1, 1)),
            np.zeros((*shape, 3)),
        ),
        extra_mass=np.zeros(shape),
        mass_place=np.zeros((*shape, 3)),
        delay_weights=delay_weights(np.zeros(shape)),
    )  # fmt: skip


def delay_weights(delay: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n steps"]:
    """Weights of the latest measurements, newest first, one control step apart, whose mixture is
    the linear interpolation at `delay` seconds ago.
    """
    age = np.arange(DELAY_STEPS)
    return np.maximum(1 - np.abs(delay[..., None] / CONTROL_STEP - age), 0.0)


def draw_push(uniform: Float64[np.ndarray, "*n 7"], now: Int64[np.ndarray, "*n"]) -> Push:
    """Draws the push that follows on step `now`.

    Args:
      uniform: numbers in [0, 1).
      now: control steps since the start of the episode.
    """
    start = now + np.round(_between(PUSH_PAUSE, uniform[..., 0]) / CONTROL_STEP).astype(np.int64)
    length = np.round(_between(PUSH_LENGTH, uniform[..., 1]) / CONTROL_STEP).astype(np.int64)
    strength = _between(PUSH_FORCE, uniform[..., 2])
    angle = 2 * np.pi * uniform[..., 3]
    direction = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1)
    return Push(
        start=start,
        end=start + length,
        force=strength[..., None] * direction,
        place=TORSO_BOX * (2 * uniform[..., 4:] - 1),
    )


def with_extra_mass(
    mass: Float64[np.ndarray, "*n"], place: Float64[np.ndarray, "*n 3"]
) -> tuple[Float64[np.ndarray, "*n"], Float64[np.ndarray, "*n 3"], Float64[np.ndarray, "*n 3"]]:
    """Mass, centre of mass and principal moments of a torso with a point mass added.

    The products of inertia that an off-centre mass brings are left out: at most 0.0016 kg m^2.

    Args:
      mass: that is added, kg.
      place: of it, from the torso's centre of mass.
    """
    whole = robot.TORSO.mass + mass
    com = np.array(robot.TORSO.com) + (mass / whole)[..., None] * place
    # Parallel axes: the reduced mass at the distance of the two.
    reduced = (robot.TORSO.mass * mass / whole)[..., None]
    squares = place**2
    inertia = np.array(robot.TORSO.inertia) + reduced * (
        squares.sum(axis=-1, keepdims=True) - squares
    )
    return whole, com, inertia


def _between(ends: tuple[float, float], uniform: np.ndarray) -> np.ndarray:
    return ends[0] + (ends[1] - ends[0]) * uniform


def _small_rotation(
    most: float, uniform: Float64[np.ndarray, "*n 3"]
) -> Float64[np.ndarray, "*n 3 3"]:
    """Rotations by up to `most` radians about random axes: uniform direction, uniform angle."""
    z, around = 2 * uniform[..., 0] - 1, 2 * np.pi * uniform[..., 1]
    flat = np.sqrt(1 - z**2)
    axis = np.stack([flat * np.cos(around), flat * np.sin(around), z], axis=-1)
    angle = (most * uniform[..., 2])[..., None, None]
    x, y, z = np.moveaxis(axis, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack(
        [np.stack(row, axis=-1) for row in ([zero, -z, y], [z, zero, -x], [-y, x, zero])], axis=-2
    )
    # Rodrigues' formula.
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
