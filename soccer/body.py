"""What a player is made of: a `Body` is a model, how its coordinates are read, and what actions do.

Tasks, rules, rewards and observations are the same for all bodies. `HUMANOID` is the robot of
`soccer.robot`; `soccer.boxhead` has a simpler one.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

from soccer import robot
from soccer.control import filtered, servo_torque, targets_of
from soccer.items import Item


class Pose(NamedTuple):
    """Where `P` robots of `n` lanes are, metres, seconds and radians.

    Attributes:
      position: origins of the torsos, world frame.
      rotation: from body frame to world frame.
      velocity: of the torsos, world frame.
      spin: angular velocity of the torsos, body frame.
      joints: angles or ways of the joints that are observed.
      joint_velocity: their rates.
    """

    position: Float64[np.ndarray, "n P 3"]
    rotation: Float64[np.ndarray, "n P 3 3"]
    velocity: Float64[np.ndarray, "n P 3"]
    spin: Float64[np.ndarray, "n P 3"]
    joints: Float64[np.ndarray, "n P joints"]
    joint_velocity: Float64[np.ndarray, "n P joints"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Body:
    """A kind of robot.

    Attributes:
      name: what tasks call it.
      num_positions: its coordinates.
      num_velocities: its velocities.
      num_links: its bodies in the model, the torso first.
      num_joints: the joints that are observed.
      num_actions: numbers of an action, and of a command.
      stacked: what is observed of it for several steps: `previous_action` is its command, all else
        is measured, the torso's `velocity` last.
      add: adds one to a model; arguments as `robot.add_robot`.
      read: the pose of coordinates `[n, P, num_positions]` and velocities.
      standing: coordinates of one that stands at a place `[*n, 2]` with a heading `[*n]`.
      first_command: what it is told at the start, by its coordinates.
      next_command: by the last command and the actions, what it is told now.
      torque: of the servos, Nm, by commands and joints; zeros where none counts.
    """

    name: str
    num_positions: int
    num_velocities: int
    num_links: int
    num_joints: int
    num_actions: int
    stacked: tuple[Item, ...]
    add: Callable[..., None]
    read: Callable[[np.ndarray, np.ndarray], Pose]
    standing: Callable[[np.ndarray, np.ndarray], np.ndarray]
    first_command: Callable[[np.ndarray], np.ndarray]
    next_command: Callable[[np.ndarray, np.ndarray], np.ndarray]
    torque: Callable[[np.ndarray, np.ndarray], np.ndarray]


def rotations(quaternions: Float64[np.ndarray, "*n 4"]) -> Float64[np.ndarray, "*n 3 3"]:
    """Rotation matrices of quaternions (w, x, y, z), which need not have length 1."""
    w, x, y, z = np.moveaxis(
        quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True), -1, 0
    )
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _read(places: Float64[np.ndarray, "n P 27"], rates: Float64[np.ndarray, "n P 26"]) -> Pose:
    return Pose(
        position=places[..., :3].copy(),
        rotation=rotations(places[..., 3:7]),
        velocity=rates[..., :3].copy(),
        spin=rates[..., 3:6].copy(),
        joints=places[..., 7:].copy(),
        joint_velocity=rates[..., 6:].copy(),
    )


def _standing(
    place: Float64[np.ndarray, "*n 2"], heading: Float64[np.ndarray, "*n"]
) -> Float64[np.ndarray, "*n 27"]:
    """Coordinates of robots that stand in the home pose."""
    coordinates = np.broadcast_to(robot.standing_positions(), (*heading.shape, 27)).copy()
    coordinates[..., :2] = place
    coordinates[..., 3:7] = robot.yaw_quaternion(heading)
    return coordinates


def _next_command(
    command: Float64[np.ndarray, "*n 20"], actions: Float[np.ndarray, "*n 20"]
) -> Float64[np.ndarray, "*n 20"]:
    return filtered(command, targets_of(actions))


_STACKED = (
    Item("joint_positions", "joints", "rad", "angles as the encoders report them"),
    Item(
        "acceleration", "vector", "m/s^2", "of the sensor, mean over the step; (0, 0, 9.81) at rest"
    ),
    Item("angular_velocity", "axial", "rad/s", "of the torso"),
    Item("gravity", "vector", "1", "unit vector down; (0, 0, -1) standing upright"),
    Item("previous_action", "joints", "rad", "filtered position targets, the servos' commands"),
    Item("velocity", "plane", "m/s", "of the torso, by differences of its place"),
)

HUMANOID = Body(
    name="humanoid",
    num_positions=robot.NUM_POSITIONS,
    num_velocities=robot.NUM_VELOCITIES,
    num_links=robot.NUM_LINKS,
    num_joints=robot.NUM_JOINTS,
    num_actions=robot.NUM_JOINTS,
    stacked=_STACKED,
    add=robot.add_robot,
    read=_read,
    standing=_standing,
    first_command=lambda coordinates: coordinates[..., 7:],
    next_command=_next_command,
    torque=servo_torque,
)
