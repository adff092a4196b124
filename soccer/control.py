"""From actions to servos: 40 Hz position targets through an exponential filter.

Haarnoja et al. 2024 (arXiv 2304.13653): targets are clipped to the joint ranges and filtered by
u_t = 0.8 u_{t-1} + 0.2 a_t; the filtered targets are what the servos follow, and what the robot
observes as its previous action.
"""

import numpy as np
from jaxtyping import Float, Float64

from soccer import robot

FILTER = 0.8


def targets_of(actions: Float[np.ndarray, "*n 20"]) -> Float64[np.ndarray, "*n 20"]:
    """Position targets, radians, of actions from -1 to 1.

    0 is the home pose, -1 and 1 are the ends of a joint's range; linear on either side of home.
    """
    span = np.where(actions > 0, robot.JOINT_HIGH - robot.HOME, robot.HOME - robot.JOINT_LOW)
    return robot.HOME + actions.astype(np.float64) * span


def actions_of(targets: Float[np.ndarray, "*n 20"]) -> Float64[np.ndarray, "*n 20"]:
    """Actions whose targets are the given ones, as far as joint ranges allow."""
    away = np.clip(targets, robot.JOINT_LOW, robot.JOINT_HIGH) - robot.HOME
    span = np.where(away > 0, robot.JOINT_HIGH - robot.HOME, robot.HOME - robot.JOINT_LOW)
    return away / span


def filtered(
    previous: Float64[np.ndarray, "*n 20"], targets: Float64[np.ndarray, "*n 20"]
) -> Float64[np.ndarray, "*n 20"]:
    """The filter's next output."""
    return FILTER * previous + (1 - FILTER) * targets


def unfiltered(
    previous: Float64[np.ndarray, "*n 20"], wanted: Float64[np.ndarray, "*n 20"]
) -> Float64[np.ndarray, "*n 20"]:
    """Targets that bring the filter's output to `wanted` in one step; they may exceed joint ranges,
    where clipping makes the filter fall behind.
    """
    return (wanted - FILTER * previous) / (1 - FILTER)


def servo_torque(
    commands: Float64[np.ndarray, "*n 20"], joints: Float64[np.ndarray, "*n 20"]
) -> Float64[np.ndarray, "*n 20"]:
    """Torques of the servos, Nm: proportional to the angle that is missing, within the limit."""
    return np.clip(robot.SERVO_GAIN * (commands - joints), -robot.TORQUE_LIMIT, robot.TORQUE_LIMIT)
