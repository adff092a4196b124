"""The robot: a humanoid of 20 joints with the measures of a Robotis OP3, written as MJCF.

Link positions, masses, centres of mass and inertias are those published with the OP3 model of
MuJoCo Menagerie (Apache-2.0); gains, damping, armature, friction and torque limit are the five
numbers that Haarnoja et al. 2024 (arXiv 2304.13653) identified on their robots, and the joint
ranges are their Table S1. Shapes are our own: boxes, capsules and spheres instead of meshes.

Units are metres, kilograms, seconds, radians and newton metres. In every frame x points forward, y
left and z up when all angles are 0 (the T-pose). Only the left side is written down; the right side
is its mirror image, so the model is symmetric to the last bit. Deviations from the papers:

* the hip roll range of Table S1, 0.1 to 0.4 outwards, excludes standing straight: here +-0.4;
* a lateral offset of the head's pivot, 19 mm one way and back again, is left out;
* parts of one robot do not touch each other, except feet and shins of its two legs.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

# System identification of Haarnoja et al. 2024: position servos of 21.1 Nm/rad, at most 4.1 Nm.
SERVO_GAIN = 21.1
TORQUE_LIMIT = 4.1
JOINT_DAMPING = 1.084
JOINT_ARMATURE = 0.045
JOINT_FRICTION = 0.03

# Height of the torso's origin above the floor, standing in the home pose.
HOME_HEIGHT = 0.2436
# The marker on the shoulders, above the torso's origin: what get-up times are measured by.
SHOULDER_HEIGHT = 0.131

# Camera in the head: vertical field of view, degrees, and place in the frame of the head.
CAMERA_FIELD_OF_VIEW = 43.3
CAMERA_PLACE = (0.014, 0.0, 0.05)


class Geom(NamedTuple):
    """A shape fixed to a link.

    Attributes:
      kind: `box`, `capsule` or `sphere`.
      size: as MJCF writes it, metres.
      position: of the centre, in the frame of the link; for a capsule, its two ends.
    """

    kind: str
    size: tuple[float, ...]
    position: tuple[float, ...]


class Link(NamedTuple):
    """A rigid part, and the joint that holds it to its parent.

    Attributes:
      name: without the side.
      parent: name of the link that it hangs on.
      position: of its origin in the frame of the parent.
      joint: name of the joint, `""` for the torso, which is free.
      axis: of the joint; for a link of both sides, on the left.
      limits: of the joint, Table S1; for a link of both sides, on the left.
      mass: in kilograms.
      com: centre of mass in the own frame.
      inertia: principal moments about the centre of mass, along the axes of the own frame.
      geoms: its shapes.
    """

    name: str
    parent: str
    position: tuple[float, float, float]
    joint: str
    axis: tuple[float, float, float]
    limits: tuple[float, float]
    mass: float
    com: tuple[float, float, float]
    inertia: tuple[float, float, float]
    geoms: tuple[Geom, ...] = ()


_SMALL = (4e-6, 4e-6, 4e-6)

TORSO = Link(
    "torso", "", (0.0, 0.0, HOME_HEIGHT), "", (0, 0, 0), (0, 0),
    1.34928, (-0.015, 0.0, 0.066), (3.41e-3, 3.17e-3, 2.97e-3),
    (
        Geom("capsule", (0.055,), (0.0, -0.035, 0.075, 0.0, 0.035, 0.075)),
        Geom("capsule", (0.045,), (-0.01, -0.03, 0.0, -0.01, 0.03, 0.0)),
    ),
)  # fmt: skip

HEAD = (
    Link(
        "head_pan", "torso", (-0.001, 0.0, 0.1365), "head_pan", (0, 0, 1), (-0.79, 0.79),
        0.01176, (0.002, 0.0, 0.008), _SMALL,
    ),
    Link(
        "head", "head_pan", (0.010, 0.0, 0.0285), "head_tilt", (0, -1, 0), (-0.63, -0.16),
        0.13631, (0.002, 0.0, 0.028), (1.07e-4, 0.87e-4, 0.44e-4),
        (Geom("sphere", (0.05,), (0.0, 0.0, 0.015)),),
    ),
)  # fmt: skip

LEFT_ARM = (
    Link(
        "shoulder", "torso", (-0.001, 0.060, 0.111), "sho_pitch", (0, 1, 0), (-2.2, 2.2),
        0.01176, (0.0, 0.008, -0.002), _SMALL,
    ),
    Link(
        "upper_arm", "shoulder", (0.019, 0.0285, -0.010), "sho_roll", (-1, 0, 0), (-0.8, 1.6),
        0.17758, (-0.018, 0.045, 0.0), (2.35e-4, 2.28e-4, 0.30e-4),
        (Geom("capsule", (0.022,), (-0.018, 0.01, 0.0, -0.018, 0.085, 0.0)),),
    ),
    Link(
        "forearm", "upper_arm", (0.0, 0.0904, 0.0), "el", (1, 0, 0), (-1.4, 0.2),
        0.04127, (-0.019, 0.070, 0.004), (6.9e-5, 6.2e-5, 1.2e-5),
        (Geom("capsule", (0.020,), (-0.019, 0.015, 0.0, -0.019, 0.12, 0.0)),),
    ),
)  # fmt: skip

LEFT_LEG = (
    Link(
        "hip_yaw", "torso", (0.0, 0.035, 0.0), "hip_yaw", (0, 0, -1), (-0.3, 0.3),
        0.01181, (-0.002, 0.0, -0.008), _SMALL,
    ),
    Link(
        "hip_roll", "hip_yaw", (-0.024, 0.0, -0.0285), "hip_roll", (-1, 0, 0), (-0.4, 0.4),
        0.17886, (0.004, 0.0, -0.012), (1.25e-4, 1.09e-4, 0.47e-4),
    ),
    Link(
        "thigh", "hip_roll", (0.0241, 0.019, 0.0), "hip_pitch", (0, 1, 0), (-1.6, 0.5),
        0.11543, (0.001, -0.019, -0.084), (1.05e-4, 0.96e-4, 0.25e-4),
        (Geom("capsule", (0.026,), (0.0, -0.019, -0.03, 0.0, -0.019, -0.095)),),
    ),
    Link(
        "shin", "thigh", (0.0, 0.0, -0.11015), "knee", (0, 1, 0), (-0.2, 2.2),
        0.04015, (0.0, -0.022, -0.055), (3.7e-5, 2.8e-5, 1.5e-5),
        (Geom("capsule", (0.024,), (0.0, -0.019, -0.01, 0.0, -0.019, -0.10)),),
    ),
    Link(
        "ankle", "shin", (0.0, 0.0, -0.110), "ank_pitch", (0, -1, 0), (-0.4, 1.8),
        0.17886, (-0.020, -0.019, 0.012), (1.25e-4, 1.09e-4, 0.47e-4),
    ),
    Link(
        "foot", "ankle", (-0.0241, -0.019, 0.0), "ank_roll", (1, 0, 0), (-0.4, 0.4),
        0.06934, (0.024, 0.010, -0.028), (1.16e-4, 0.79e-4, 0.40e-4),
        (Geom("box", (0.0635, 0.036, 0.006), (0.024, 0.0125, -0.0245)),),
    ),
)  # fmt: skip

# All links, parents first, each with its side; and the 20 joints in the order of coordinates,
# actions and observations: head, left arm, right arm, left leg, right leg.
_LINKS = (
    *(("", link) for link in (TORSO, *HEAD)),
    *((side, link) for links in (LEFT_ARM, LEFT_LEG) for side in "lr" for link in links),
)
JOINTS = tuple(f"{side}_{link.joint}" if side else link.joint for side, link in _LINKS[1:])
NUM_JOINTS = len(JOINTS)
NUM_LINKS = len(_LINKS)
# A free joint has 7 coordinates and 6 velocities.
NUM_POSITIONS = 7 + NUM_JOINTS
NUM_VELOCITIES = 6 + NUM_JOINTS

KNEES = tuple(JOINTS.index(f"{side}_knee") for side in "lr")

_LIMITS = {
    joint: (-link.limits[1], -link.limits[0]) if side == "r" else link.limits
    for joint, (side, link) in zip(JOINTS, _LINKS[1:], strict=True)
}
JOINT_LOW = np.array([_LIMITS[joint][0] for joint in JOINTS])
JOINT_HIGH = np.array([_LIMITS[joint][1] for joint in JOINTS])


def symmetric_pose(
    *, head: Sequence[float], arm: Sequence[float], leg: Sequence[float]
) -> np.ndarray:
    """A pose that is its own mirror image, in the order of `JOINTS`.

    Args:
      head: pan and tilt; pan should be 0.
      arm: shoulder pitch, shoulder roll and elbow of the left arm.
      leg: the six joints of the left leg.
    """
    left_arm, left_leg = np.asarray(arm, float), np.asarray(leg, float)
    return np.concatenate([np.asarray(head, float), left_arm, -left_arm, left_leg, -left_leg])


# Standing on bent knees: what the robot's position targets are written around.
HOME = symmetric_pose(
    head=(0.0, -0.4), arm=(-0.534, 0.880, -0.628), leg=(0.0, 0.0, -0.597, 1.131, 0.534, 0.0)
)

# Left-right mirror image of the joints: `angles[MIRROR_JOINT] * MIRROR_SIGN`. The right axes are
# chosen so that an image has the opposite angle; the head pans the other way and tilts the same.
MIRROR_JOINT = np.array(
    [
        JOINTS.index({"l": "r", "r": "l"}[joint[0]] + joint[1:] if joint[1] == "_" else joint)
        for joint in JOINTS
    ]
)
MIRROR_SIGN = np.array([1.0 if joint == "head_tilt" else -1.0 for joint in JOINTS])


def mirror_joints(angles: np.ndarray) -> np.ndarray:
    """The mirror image of joint angles, targets or velocities `[..., 20]`."""
    return angles[..., MIRROR_JOINT] * MIRROR_SIGN


def mirror_state(positions: np.ndarray, velocities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mirror image, left to right in the world's x-z plane, of a robot's state.

    Args:
      positions: `[..., 27]`: of the torso (x, y, z), its quaternion (w, x, y, z), the joints.
      velocities: `[..., 26]`: linear in the world, angular in the torso's frame, of the joints.
    """
    positions = np.concatenate(
        [
            positions[..., :3] * (1, -1, 1),
            positions[..., 3:7] * (1, -1, 1, -1),
            mirror_joints(positions[..., 7:]),
        ],
        axis=-1,
    )
    velocities = np.concatenate(
        [
            velocities[..., :3] * (1, -1, 1),
            velocities[..., 3:6] * (-1, 1, -1),
            mirror_joints(velocities[..., 6:]),
        ],
        axis=-1,
    )
    return positions, velocities


def total_mass() -> float:
    """Of the whole robot, in kilograms."""
    return sum(link.mass for _, link in _LINKS)


def add_robot(
    world: ElementTree.Element,
    actuators: ElementTree.Element,
    contacts: ElementTree.Element,
    *,
    prefix: str,
    colour: Sequence[float],
    contact_type: int,
    contact_affinity: int,
) -> None:
    """Adds a robot with its servos to a model.

    Args:
      world: the `<worldbody>`.
      actuators: the `<actuator>`; gets 20 position servos in the order of `JOINTS`.
      contacts: the `<contact>`; gets the pairs of the two legs.
      prefix: of all names, such as `robot0/`.
      colour: red, green, blue and opacity, 0 to 1.
      contact_type: bits of all shapes, as MJCF's `contype`.
      contact_affinity: bits of what they touch, as MJCF's `conaffinity`.
    """
    bodies: dict[str, ElementTree.Element] = {"": world}
    looks = {
        "rgba": _numbers(colour),
        "contype": str(contact_type),
        "conaffinity": str(contact_affinity),
        "condim": "3",
    }
    for side, link in _LINKS:
        name = f"{side}_{link.name}" if side else link.name
        paired = side and f"{side}_{link.parent}" in bodies
        parent = bodies[f"{side}_{link.parent}" if paired else link.parent]
        mirror = -1.0 if side == "r" else 1.0
        body = ElementTree.SubElement(
            parent, "body", name=prefix + name, pos=_numbers(_reflect(link.position, mirror))
        )
        bodies[name] = body
        if not link.joint:
            ElementTree.SubElement(body, "freejoint", name=f"{prefix}root")
        else:
            joint = f"{side}_{link.joint}" if side else link.joint
            ElementTree.SubElement(
                body, "joint", name=prefix + joint,
                axis=_numbers(_reflect(link.axis, mirror)), range=_numbers(_LIMITS[joint]),
                damping=str(JOINT_DAMPING), armature=str(JOINT_ARMATURE),
                frictionloss=str(JOINT_FRICTION),
            )  # fmt: skip
        ElementTree.SubElement(
            body, "inertial", pos=_numbers(_reflect(link.com, mirror)), mass=str(link.mass),
            diaginertia=_numbers(link.inertia),
        )  # fmt: skip
        for i, geom in enumerate(link.geoms):
            ends = [
                _reflect(geom.position[j : j + 3], mirror) for j in range(0, len(geom.position), 3)
            ]
            place = {"pos" if len(ends) == 1 else "fromto": " ".join(map(_numbers, ends))}
            ElementTree.SubElement(
                body, "geom", name=f"{prefix}{name}{i or ''}", type=geom.kind,
                size=_numbers(geom.size), **place, **looks,
            )  # fmt: skip
    ElementTree.SubElement(
        bodies["head"], "camera", name=f"{prefix}eye", pos=_numbers(CAMERA_PLACE),
        xyaxes="0 -1 0 0 0 1", fovy=str(CAMERA_FIELD_OF_VIEW),
    )  # fmt: skip
    for joint in JOINTS:
        ElementTree.SubElement(
            actuators, "position", name=prefix + joint, joint=prefix + joint, kp=str(SERVO_GAIN),
            forcerange=_numbers((-TORQUE_LIMIT, TORQUE_LIMIT)), ctrlrange=_numbers(_LIMITS[joint]),
        )  # fmt: skip
    for one, other in (("foot", "foot"), ("shin", "shin")):
        ElementTree.SubElement(
            contacts, "pair", geom1=f"{prefix}l_{one}", geom2=f"{prefix}r_{other}", condim="3"
        )


def _reflect(vector: Sequence[float], mirror: float) -> tuple[float, float, float]:
    """A point of the mirror image, or the axis about which it turns by the opposite angle.

    The image of a rotation by an angle about (x, y, z) is one by the same angle about (-x, y, -z):
    one by the opposite angle about (x, -y, z).
    """
    x, y, z = vector
    return (x, mirror * y, z)


def _numbers(values: Sequence[float]) -> str:
    return " ".join(repr(float(value) + 0.0) for value in values)


def standing_positions(*, height: float = HOME_HEIGHT) -> np.ndarray:
    """The 27 coordinates of a robot that stands in the pose `HOME` at the origin, facing x."""
    return np.concatenate([[0.0, 0.0, height], [1.0, 0.0, 0.0, 0.0], HOME])


def yaw_quaternion(yaw: np.ndarray) -> np.ndarray:
    """The quaternions (w, x, y, z) `[..., 4]` of rotations by `yaw` `[...]` about z."""
    half = np.asarray(yaw) / 2
    zero = np.zeros_like(half)
    return np.stack([np.cos(half), zero, zero, np.sin(half)], axis=-1)


def lying_quaternion(yaw: np.ndarray, *, on_back: bool | np.ndarray) -> np.ndarray:
    """The quaternions of a robot that lies on its face or back, its head towards `yaw`.

    On its face it was tipped forward by a quarter turn about y; on its back, backward, its head
    then pointing away from where it looked.
    """
    backward = np.where(on_back, -1.0, 1.0)
    half = math.pi / 4
    turn = np.asarray(yaw) / 2 + np.where(on_back, math.pi / 2, 0.0)
    c, s = np.cos(turn), np.sin(turn)
    # (c, 0, 0, s) x (cos, 0, +-sin, 0) with the tip applied first, in the robot's frame.
    tip_c, tip_s = math.cos(half), backward * math.sin(half)
    return np.stack([c * tip_c, -s * tip_s, c * tip_s, s * tip_c], axis=-1)
