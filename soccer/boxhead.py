"""The boxhead: a wheel that carries a head, turns and jumps, for quick work on matches.

After the walker of dm_control's soccer (Liu et al. 2019, arXiv 1902.07151), from shapes of our own
and as small as the humanoid, on whose pitch it plays: a sphere rolls below a head that can turn but
never tips over, two arms keep the ball in front, and the wheel can be thrust down to jump or kick.
Three actions from -1 to 1: accelerate, turn to the left, kick.

Six coordinates: the place of the head from `HEIGHT` above the origin, its heading, the way of the
kick, the angle of the wheel. Its mirror image is itself with the turn reversed. Units are metres,
kilograms, seconds, radians, newtons.
"""

from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float, Float64

from soccer.body import Body, Pose
from soccer.items import Item

# Of the head above the floor, standing.
HEIGHT = 0.24
WHEEL_RADIUS = 0.084
HEAD_MASS, ARMS_MASS, WHEEL_MASS = 1.6, 0.2, 1.2
# Torques and the force of actions of 1, and the damping at which they come to rest: 18 rad/s of the
# wheel, 1.5 m/s; 6 rad/s of the head.
ROLL_TORQUE, ROLL_DAMPING = 0.72, 0.04
STEER_TORQUE, STEER_DAMPING = 0.3, 0.05
KICK_FORCE, KICK_DAMPING = 80.0, 6.0
# How far the wheel can be thrust down.
KICK_WAY = 0.09

_STACKED = (
    Item("kick_position", "number", "m", "how far the wheel is thrust down, 0 to 0.09"),
    Item(
        "acceleration", "vector", "m/s^2", "of the head, mean over the step; (0, 0, 9.81) at rest"
    ),
    Item("angular_velocity", "axial", "rad/s", "of the head"),
    Item("gravity", "vector", "1", "unit vector down, always (0, 0, -1)"),
    Item("previous_action", "drives", "1", "accelerate, turn to the left, kick"),
    Item("velocity", "plane", "m/s", "of the head, by differences of its place"),
)


def add_boxhead(
    world: ElementTree.Element,
    actuators: ElementTree.Element,
    contacts: ElementTree.Element,
    *,
    prefix: str,
    colour: Sequence[float],
    contact_type: int,
    contact_affinity: int,
) -> None:
    """Adds a boxhead to a model; arguments as `robot.add_robot`, but no pairs of contacts."""
    looks = {
        "rgba": _numbers(colour), "condim": "3",
        "contype": str(contact_type), "conaffinity": str(contact_affinity),
    }  # fmt: skip
    head = ElementTree.SubElement(world, "body", name=f"{prefix}head", pos=f"0 0 {HEIGHT}")
    for name, axis in (("x", "1 0 0"), ("y", "0 1 0"), ("z", "0 0 1")):
        ElementTree.SubElement(head, "joint", name=prefix + name, type="slide", axis=axis)
    ElementTree.SubElement(
        head, "joint", name=f"{prefix}steer", type="hinge", axis="0 0 1",
        damping=str(STEER_DAMPING),
    )  # fmt: skip
    _geom(head, f"{prefix}head", "box", (0.06, 0.06, 0.04), (0, 0, 0), HEAD_MASS, looks)
    for side, y in (("l", 0.025), ("r", -0.025)):
        eye = {**looks, "rgba": "0.95 0.95 0.95 1", "contype": "0", "conaffinity": "0"}
        _geom(head, f"{prefix}{side}_eye", "sphere", (0.015,), (0.055, y, 0.015), 0.0, eye)
    torso = ElementTree.SubElement(head, "body", name=f"{prefix}torso")
    ElementTree.SubElement(
        torso, "joint", name=f"{prefix}kick", type="slide", axis="0 0 -1",
        range=_numbers((0.0, KICK_WAY)), damping=str(KICK_DAMPING),
    )  # fmt: skip
    below = WHEEL_RADIUS - HEIGHT
    for side, sign in (("l", 1), ("r", -1)):
        _geom(
            torso, f"{prefix}{side}_arm", "capsule", (0.022,),
            (0.0, sign * 0.09, below, 0.06, sign * 0.15, below), ARMS_MASS / 2, looks,
        )  # fmt: skip
    wheel = ElementTree.SubElement(torso, "body", name=f"{prefix}wheel", pos=f"0 0 {below}")
    ElementTree.SubElement(
        wheel, "joint", name=f"{prefix}roll", type="hinge", axis="0 1 0",
        damping=str(ROLL_DAMPING),
    )  # fmt: skip
    _geom(wheel, f"{prefix}wheel", "sphere", (WHEEL_RADIUS,), (0, 0, 0), WHEEL_MASS, looks)
    for joint, gear in (("roll", ROLL_TORQUE), ("steer", STEER_TORQUE), ("kick", KICK_FORCE)):
        ElementTree.SubElement(
            actuators, "motor", name=prefix + joint, joint=prefix + joint, gear=str(gear),
            ctrlrange="-1 1",
        )  # fmt: skip


def _geom(
    body: ElementTree.Element,
    name: str,
    kind: str,
    size: Sequence[float],
    place: Sequence[float],
    mass: float,
    looks: dict[str, str],
) -> None:
    where = {"pos" if len(place) == 3 else "fromto": _numbers(place)}
    ElementTree.SubElement(
        body, "geom", name=name, type=kind, size=_numbers(size), mass=str(mass), **where, **looks
    )


def _numbers(values: Sequence[float]) -> str:
    return " ".join(repr(float(value)) for value in values)


def _read(places: Float64[np.ndarray, "n P 6"], rates: Float64[np.ndarray, "n P 6"]) -> Pose:
    c, s = np.cos(places[..., 3]), np.sin(places[..., 3])
    zero, one = np.zeros_like(c), np.ones_like(c)
    rows = [[c, -s, zero], [s, c, zero], [zero, zero, one]]
    return Pose(
        position=places[..., :3] + (0.0, 0.0, HEIGHT),
        rotation=np.stack([np.stack(row, axis=-1) for row in rows], axis=-2),
        velocity=rates[..., :3].copy(),
        spin=np.stack([zero, zero, rates[..., 3]], axis=-1),
        joints=places[..., 4:5].copy(),
        joint_velocity=rates[..., 4:5].copy(),
    )


def _standing(
    place: Float64[np.ndarray, "*n 2"], heading: Float64[np.ndarray, "*n"]
) -> Float64[np.ndarray, "*n 6"]:
    coordinates = np.zeros((*heading.shape, 6))
    coordinates[..., :2], coordinates[..., 3] = place, heading
    return coordinates


def _next_command(
    command: Float64[np.ndarray, "*n 3"], actions: Float[np.ndarray, "*n 3"]
) -> Float64[np.ndarray, "*n 3"]:
    """No filter: what is done is what is told."""
    return actions.astype(np.float64)


BOXHEAD = Body(
    name="boxhead",
    num_positions=6,
    num_velocities=6,
    num_links=3,
    num_joints=1,
    num_actions=3,
    stacked=_STACKED,
    add=add_boxhead,
    read=_read,
    standing=_standing,
    first_command=lambda coordinates: np.zeros((*coordinates.shape[:-1], 3)),
    next_command=_next_command,
    torque=lambda command, joints: np.zeros_like(command),
)
