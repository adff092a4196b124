"""Getting up by key poses, from the face and from the back.

Targets move linearly from pose to pose, as in the get-up scripts of the OP3 that Haarnoja et al.
2024 (arXiv 2304.13653) use. The numbers below were found by hand and by random search in
simulation, and then made to go as fast as the robot still got up by them with noise.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from soccer import robot


class KeyPoses(NamedTuple):
    """A script; leading axes are of lanes.

    Attributes:
      angles: of all joints, radians.
      seconds: to move there from the pose before.
    """

    angles: Float64[np.ndarray, "*n poses 20"]
    seconds: Float64[np.ndarray, "*n poses"]


def pose_targets(script: KeyPoses, time: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n 20"]:
    """Wanted angles of a script of one lane that began `time` seconds ago at home; its last pose
    after its end.
    """
    angles = np.concatenate([robot.HOME[None], script.angles])
    moments = np.concatenate([[0.0], np.cumsum(script.seconds)])
    last = len(moments) - 2
    current = np.clip(np.searchsorted(moments, time, side="right") - 1, 0, last)
    part = np.clip((time - moments[current]) / script.seconds[current], 0, 1)[:, None]
    return (1 - part) * angles[current] + part * angles[current + 1]


def _symmetric(rows: list[tuple[float, ...]]) -> Float64[np.ndarray, "poses 20"]:
    """Poses of both sides alike, from (shoulder pitch, shoulder roll, elbow; hip roll, hip pitch,
    knee, ankle pitch), with home at the end.
    """
    head = robot.HOME[:2].tolist()
    poses = [robot.symmetric_pose(head=head, arm=row[:3], leg=(0.0, *row[3:], 0.0)) for row in rows]
    return np.stack([*poses, robot.HOME])


# Arms aside, forward, down; hands and feet towards each other until the legs are upright; the torso
# up; home.
FROM_FACE = KeyPoses(
    angles=_symmetric(
        [
            (-0.5, 0.0, 0.0, 0.0, 0.2, 0.0, 0.8),
            (-2.2, 0.0, 0.0, 0.0, 0.2, 0.0, 0.8),
            (-2.2, 1.5, 0.0, 0.0, -0.3, 0.0, 0.8),
            (-2.0, 1.5, 0.0, -0.03, -1.57, 0.02, 0.43),
            (-1.6, 1.47, -0.03, -0.03, -1.57, -0.19, -0.33),
            (-0.79, 1.34, -0.07, 0.0, -0.8, 0.16, -0.16),
            (-0.24, 0.88, -0.52, 0.0, -0.13, 0.13, 0.09),
        ]
    ),
    seconds=np.array([0.19, 0.14, 0.24, 0.34, 0.26, 0.29, 0.3, 0.29]),
)

# Arms push the legs overhead and over onto the face; from there it goes on by `FROM_FACE`.
FROM_BACK = KeyPoses(
    angles=_symmetric(
        [
            (1.8, 1.5, 0.0, 0.0, -0.5, 2.0, 0.6),
            (1.8, 1.3, 0.0, -0.03, -1.6, 2.2, 0.6),
            (2.2, 1.3, 0.0, -0.03, -1.6, 0.0, 0.6),
            (2.2, 1.3, -0.2, -0.03, -1.6, 0.0, 0.4),
        ]
    ),
    seconds=np.array([0.33, 0.33, 0.2, 0.33, 0.53]),
)
