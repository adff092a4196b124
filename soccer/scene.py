"""Who is where on the pitch: the quantities that rules, rewards and observations are written in.

Read from the coordinates of the simulation alone. World frame: x towards the goal that the home
team attacks, y left of it, z up, origin at the centre spot. Body frame: fixed to a torso, x
forward, y left, z up when standing. Heading frame: at a robot's place on the floor, x where its
torso faces, projected on the floor, y left.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from soccer.body import HUMANOID, Body
from soccer.pitch import CONTROL_STEP

# Where the ball of a scene without one is, far from everything.
NOWHERE = np.array([0.0, 0.0, -100.0])


class Scene(NamedTuple):
    """Robots `P` and ball in `n` lanes, metres, seconds and radians.

    Attributes:
      position: origins of the torsos, world frame.
      rotation: from body frame to world frame.
      velocity: of the torsos, world frame.
      spin: angular velocity of the torsos, body frame.
      joints: angles in the order of `robot.JOINTS`; of a boxhead the way of its kick, metres.
      joint_velocity: their rates.
      ball: centre of the ball, world frame; `NOWHERE` without one.
      ball_velocity: world frame.
    """

    position: Float64[np.ndarray, "n P 3"]
    rotation: Float64[np.ndarray, "n P 3 3"]
    velocity: Float64[np.ndarray, "n P 3"]
    spin: Float64[np.ndarray, "n P 3"]
    joints: Float64[np.ndarray, "n P joints"]
    joint_velocity: Float64[np.ndarray, "n P joints"]
    ball: Float64[np.ndarray, "n 3"]
    ball_velocity: Float64[np.ndarray, "n 3"]

    @property
    def facing(self) -> Float64[np.ndarray, "n P 2"]:
        """Unit vectors on the floor: where the torsos face. A torso that looks straight down faces
        where its head points, one that looks straight up where its feet point.
        """
        ahead = self.rotation[..., :2, 0]
        # What those directions are the limits of, tipping over.
        ahead = ahead - 1e-9 * np.sign(self.rotation[..., 2:, 0]) * self.rotation[..., :2, 2]
        return ahead / np.linalg.norm(ahead, axis=-1, keepdims=True)

    @property
    def gravity(self) -> Float64[np.ndarray, "n P 3"]:
        """Unit vectors down, in body frames: (0, 0, -1) standing upright."""
        return -self.rotation[..., 2, :]

    @property
    def tilt(self) -> Float64[np.ndarray, "n P"]:
        """Angles between the torsos and upright."""
        return np.arccos(np.clip(self.rotation[..., 2, 2], -1, 1))


def read_scene(
    qpos: Float64[np.ndarray, "n nq"],
    qvel: Float64[np.ndarray, "n nv"],
    num_robots: int,
    *,
    body: Body = HUMANOID,
) -> Scene:
    """The scene of coordinates as `pitch.match_xml` orders them.

    Args:
      qpos: coordinates of each robot, then 7 of the ball if there is one.
      qvel: velocities of each robot, then 6 of the ball.
      num_robots: `P`.
      body: what the robots are.
    """
    n, P = len(qpos), num_robots
    own, own_rates = P * body.num_positions, P * body.num_velocities
    pose = body.read(
        qpos[:, :own].reshape(n, P, body.num_positions),
        qvel[:, :own_rates].reshape(n, P, body.num_velocities),
    )
    if qpos.shape[1] > own:
        ball = qpos[:, own:][:, :3].copy()
        ball_velocity = qvel[:, own_rates:][:, :3].copy()
    else:
        ball, ball_velocity = np.tile(NOWHERE, (n, 1)), np.zeros((n, 3))
    return Scene(**pose._asdict(), ball=ball, ball_velocity=ball_velocity)


def in_heading_frame(
    vectors: Float64[np.ndarray, "*n 2"], facing: Float64[np.ndarray, "*n 2"]
) -> Float64[np.ndarray, "*n 2"]:
    """Vectors on the floor of the world, as seen by robots that face `facing`: (ahead, left)."""
    ahead = (vectors * facing).sum(axis=-1)
    left = vectors[..., 1] * facing[..., 0] - vectors[..., 0] * facing[..., 1]
    return np.stack([ahead, left], axis=-1)


def rate(
    now: Float64[np.ndarray, "*n d"], before: Float64[np.ndarray, "*n d"]
) -> Float64[np.ndarray, "*n d"]:
    """Change per second over one control step."""
    return (now - before) / CONTROL_STEP
