"""Getting up by key poses, from the face and from the back, and kicking.

Targets move linearly from pose to pose, as in the get-up scripts of the OP3 that Haarnoja et al.
2024 (arXiv 2304.13653) use. The numbers of getting up were found by hand and by random search in
simulation, and then made to go as fast as the robot still got up by them with noise; those of the
kick by the cross-entropy method.
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


def _kick(rows: list[tuple[float, ...]]) -> Float64[np.ndarray, "poses 20"]:
    """Poses of a kick with the left foot, from angles beside those of the home pose, with home at
    the end: hips' way to the left and legs' spread; hip pitch, knee and ankle pitch of the left
    leg, then of the right one as the mirror image has them; both hips' yaw; left shoulder's pitch,
    then the right one's.
    """
    poses = np.tile(robot.HOME, (len(rows) + 1, 1))
    for pose, (sway, spread, *angles) in zip(poses, rows, strict=False):
        for number, side in enumerate("lr"):
            sign = (1, -1)[number]

            def joint(name: str, side: str = side) -> int:
                return robot.JOINTS.index(f"{side}_{name}")

            pose[[joint("hip_roll"), joint("ank_roll")]] = sway - sign * spread
            leg = [joint(name) for name in ("hip_pitch", "knee", "ank_pitch")]
            pose[leg] += sign * np.array(angles[3 * number : 3 * number + 3])
            pose[joint("hip_yaw")] = angles[6 + number]
            pose[joint("sho_pitch")] += sign * angles[8 + number]
    return np.clip(poses, robot.JOINT_LOW, robot.JOINT_HIGH)


def mirrored(script: KeyPoses) -> KeyPoses:
    """The same to the other side."""
    return script._replace(angles=robot.mirror_joints(script.angles))


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

# A kick with the left foot, begun where the gait would lift it.
KICK_LEFT = KeyPoses(
    angles=_kick(
        [
            (-0.25, 0.01, -0.08, 0.19, 0.28, 0.0, 0.07, 0.02, 0.0, 0.08, -0.12, -0.01),
            (-0.23, -0.05, 0.08, 0.45, -0.06, -0.11, -0.05, -0.06, -0.04, -0.04, -0.1, 0.16),
            (-0.2, 0.02, -0.9, -0.84, -0.38, 0.31, 0.02, 0.01, 0.03, -0.07, 0.1, -0.23),
            (-0.26, 0.02, -0.32, 0.36, -0.04, -0.03, -0.11, -0.02, 0.07, -0.19, -0.06, -0.09),
        ]
    ),
    seconds=np.array([0.31, 0.13, 0.14, 0.34, 0.25]),
)
KICK_RIGHT = mirrored(KICK_LEFT)
