"""Getting up by key poses, from the face and from the back.

Both scripts are sequences of left-right symmetric poses between which targets move linearly, as
those of the OP3 that Haarnoja et al. 2024 (arXiv 2304.13653) use. The poses were found by
`scripts/search_scripted_soccer.py`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from soccer import robot

# What a key pose sets on the left side; the right side mirrors it, the rest stays at home.
POSED = ("sho_pitch", "sho_roll", "el", "hip_roll", "hip_pitch", "knee", "ank_pitch")
_POSED = [robot.JOINTS.index(f"l_{joint}") for joint in POSED]


class KeyPoses(NamedTuple):
    """A script; leading axes are of lanes.

    Attributes:
      angles: of the joints `POSED`, radians.
      seconds: to move from the pose before.
    """

    angles: Float64[np.ndarray, "*n poses 7"]
    seconds: Float64[np.ndarray, "*n poses"]


def pose_targets(
    script: KeyPoses, start: Float64[np.ndarray, "n 20"], time: Float64[np.ndarray, "n"]
) -> Float64[np.ndarray, "n 20"]:
    """Wanted joint angles of a script that began `time` seconds ago, at its end the home pose.

    Args:
      script: of `n` lanes.
      start: angles at which it began.
      time: seconds.
    """
    n, poses = script.seconds.shape
    angles = np.tile(robot.HOME, (n, poses + 1, 1))
    angles[:, 0] = start
    angles[:, 1:, _POSED] = script.angles
    angles[:, 1:, robot.MIRROR_JOINT[_POSED]] = -script.angles
    ends = np.cumsum(script.seconds, axis=1)
    current = (time[:, None] >= ends).sum(axis=1).clip(max=poses - 1)
    lanes = np.arange(n)
    length = script.seconds[lanes, current]
    part = np.clip((time - ends[lanes, current]) / length + 1, 0, 1)[:, None]
    return (1 - part) * angles[lanes, current] + part * angles[lanes, current + 1]
