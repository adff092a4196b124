"""A scripted gait: feet on loops, swaying hips, and a little balance, as position targets.

The counterpart of the OP3's own walking controller, which Haarnoja et al. 2024 (arXiv 2304.13653)
measure their learned robots against. A foot swings forward in an arc while the other pushes back;
inverse kinematics of the two links of a leg keep its sole level. The parameters in `soccer.bots`
were found by random search in simulation.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from soccer import robot
from soccer.pitch import CONTROL_STEP

# Lengths of thigh and shin, metres.
LINK = 0.11

_PITCH = [robot.JOINTS.index(f"l_{joint}") for joint in ("hip_pitch", "knee", "ank_pitch")]
_ROLL = [robot.JOINTS.index(f"l_{joint}") for joint in ("hip_roll", "ank_roll")]
_YAW = robot.JOINTS.index("l_hip_yaw")
_ARM = [robot.JOINTS.index(f"l_{joint}") for joint in ("sho_pitch", "sho_roll", "el")]
_RIGHT_LEG = robot.JOINTS.index("r_hip_yaw") - robot.JOINTS.index("l_hip_yaw")
_RIGHT_ARM = robot.JOINTS.index("r_sho_pitch") - robot.JOINTS.index("l_sho_pitch")


class Gait(NamedTuple):
    """Parameters; numbers, or arrays `[n]`.

    Attributes:
      frequency: steps of the left foot per second.
      lift: of the swinging foot, metres.
      sway: of the hips to the side, radians.
      sway_phase: by which the sway is ahead of the left foot's swing, radians.
      height: of the hips above the ankles, metres.
      ahead: of the feet before the hips, metres.
      lean: forward of the torso, radians.
      spread: outward of both legs, radians.
      arm_swing: of the shoulders, radians.
      pitch_gain: radians of ankle per radian that the torso leans beyond `lean`.
      roll_gain: radians of hip roll per radian that the torso tilts to the side.
    """

    frequency: float | np.ndarray
    lift: float | np.ndarray
    sway: float | np.ndarray
    sway_phase: float | np.ndarray
    height: float | np.ndarray
    ahead: float | np.ndarray
    lean: float | np.ndarray
    spread: float | np.ndarray
    arm_swing: float | np.ndarray
    pitch_gain: float | np.ndarray
    roll_gain: float | np.ndarray


def blended(one: Gait, other: Gait, share: float | Float64[np.ndarray, "n"]) -> Gait:
    """Parameters between two gaits, a `share` of the way from one to the other."""
    return Gait(*(a + share * (b - a) for a, b in zip(one, other, strict=True)))


def leg_angles(
    ahead: Float64[np.ndarray, "*n"], below: Float64[np.ndarray, "*n"]
) -> Float64[np.ndarray, "*n 3"]:
    """Hip pitch, knee and ankle pitch of a left leg whose ankle is `ahead` of and `below` the hip,
    metres, with a level sole; nearest reachable place.
    """
    length = np.minimum(np.hypot(ahead, below), 2 * LINK * 0.999)
    knee = 2 * np.arccos(length / (2 * LINK))
    swing = np.arctan2(ahead, below)
    return np.stack([-swing - knee / 2, knee, knee / 2 - swing], axis=-1)


def gait_targets(
    gait: Gait,
    phase: Float64[np.ndarray, "n"],
    *,
    stride: Float64[np.ndarray, "n"],
    turn: Float64[np.ndarray, "n"],
    gravity: Float64[np.ndarray, "n 3"],
) -> Float64[np.ndarray, "n 20"]:
    """Wanted joint angles at a phase of the gait.

    Args:
      gait: parameters.
      phase: radians; the left foot swings from 0 to pi, the right one from pi to 2 pi.
      stride: metres by which a swinging foot passes the other; negative backward.
      turn: radians by which a swinging foot turns to the left.
      gravity: as observed, body frame.
    """
    angles = np.tile(robot.HOME, (len(phase), 1))
    side = np.arcsin(np.clip(gravity[:, 1], -1, 1))
    forward = np.arcsin(np.clip(gravity[:, 0], -1, 1))
    sway = gait.sway * np.sin(phase + gait.sway_phase) + gait.roll_gain * side
    balance = gait.pitch_gain * (forward - gait.lean)
    for is_right in (0, 1):
        own = phase + np.pi * is_right
        sign = 1 - 2 * is_right
        ahead = gait.ahead - stride / 2 * np.cos(own)
        below = gait.height - gait.lift * np.maximum(np.sin(own), 0)
        pitch = leg_angles(ahead, below + np.zeros_like(phase))
        pitch[:, 0] -= gait.lean
        pitch[:, 2] += balance
        leg, arm = _RIGHT_LEG * is_right, _RIGHT_ARM * is_right
        # Of the right leg, mirror images have opposite angles; hips roll and turn the same way.
        angles[:, np.array(_PITCH) + leg] = sign * pitch
        roll = sway - sign * gait.spread
        angles[:, np.array(_ROLL) + leg] = roll[:, None]
        angles[:, _YAW + leg] = turn / 2 * np.cos(own)
        shoulder = robot.HOME[_ARM[0]] + gait.arm_swing * np.cos(own)
        angles[:, _ARM[0] + arm] = sign * shoulder
    return angles


def next_phase(gait: Gait, phase: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """The phase one control step later, from 0 to 2 pi."""
    return (phase + 2 * np.pi * gait.frequency * CONTROL_STEP) % (2 * np.pi)
