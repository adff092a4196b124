"""Pitch, goals and ball, and the whole model of a match as MJCF.

The pitch is 5 m by 4 m with goals 0.8 m wide (Haarnoja et al. 2024, arXiv 2304.13653); x points to
the goal that the home team attacks, the origin is the centre spot. Depth and height of the goals
and the ball are not published: ours are the constants below. Where the paper has ramps from which
the ball rolls back, we have boards that only the ball touches.

The ball rolls 2 to 4 m when it is sent off at 2 m/s, about the speed of the paper's kicks and of
those of `soccer.bots.Kicker`.
"""

from collections.abc import Sequence
from xml.etree import ElementTree

from soccer.body import HUMANOID, Body

# Half of the length and width of the pitch, half of the width of a goal, metres.
HALF_LENGTH = 2.5
HALF_WIDTH = 2.0
HALF_GOAL = 0.4
GOAL_DEPTH = 0.35
GOAL_HEIGHT = 0.5
BOARD_HEIGHT = 0.25
_BOARD = 0.05

BALL_RADIUS = 0.09
BALL_MASS = 0.05
# Thin shell: two thirds of mass times radius squared.
BALL_INERTIA = 2 / 3 * BALL_MASS * BALL_RADIUS**2
# Sliding, torsional (m) and rolling (m) friction of the ball on everything.
BALL_FRICTION = (0.6, 0.003, 0.015)
# Stiffness (N/m per kg) and damping (N s/m per kg) of what touches the ball, negated as in MJCF.
BALL_CONTACT = (-1500.0, -8.0)

# Sliding, torsional (m) and rolling (m) friction of the floor under the robots; the first number is
# randomised.
FLOOR_FRICTION = (0.8, 0.02, 0.01)

# Seconds of a physics step, and physics steps in a control step of 25 ms.
TIMESTEP = 0.005
SUBSTEPS = 5
CONTROL_STEP = TIMESTEP * SUBSTEPS
GRAVITY = 9.81

# Contact bits. A shape of type t touches one of affinity a where t & a is not 0, either way round.
_FLOOR_BIT, _BALL_BIT, _BOARD_BIT, _FIRST_ROBOT_BIT = 1, 2, 4, 8

_TEAM_COLOURS = ((0.84, 0.37, 0.0, 1.0), (0.0, 0.45, 0.70, 1.0))
MAX_ROBOTS = 8


def team_colour(team: int) -> tuple[float, float, float, float]:
    """Red, green, blue and opacity, 0 to 1, of team 0 (orange) or 1 (blue)."""
    return _TEAM_COLOURS[team]


def match_xml(
    teams: Sequence[int],
    *,
    ball: bool = True,
    timestep: float = TIMESTEP,
    body: Body = HUMANOID,
) -> str:
    """The model of a match as MJCF.

    Robots come first, then the ball: coordinates are 27 for each humanoid and 7 of the ball,
    velocities 26 each and 6, controls 20 each.

    Args:
      teams: the team, 0 or 1, of each robot.
      ball: whether there is a ball, with boards and goals around it.
      timestep: of the physics, seconds.
      body: what the robots are.

    Raises:
      ValueError: no robot, or more than `MAX_ROBOTS`.
    """
    if not 1 <= len(teams) <= MAX_ROBOTS:
        raise ValueError(f"there are {len(teams)} robots, expected 1 to {MAX_ROBOTS}")
    root = ElementTree.Element("mujoco", model="soccer")
    ElementTree.SubElement(root, "compiler", angle="radian", autolimits="true")
    ElementTree.SubElement(
        root, "option", timestep=repr(timestep), integrator="implicitfast",
        gravity=f"0 0 {-GRAVITY}",
    )  # fmt: skip
    _add_looks(root)
    world = ElementTree.SubElement(root, "worldbody")
    actuators = ElementTree.SubElement(root, "actuator")
    contacts = ElementTree.SubElement(root, "contact")
    _add_floor(world)
    for i, team in enumerate(teams):
        others = sum(_FIRST_ROBOT_BIT << j for j in range(i))
        body.add(
            world, actuators, contacts,
            prefix=robot_prefix(i), colour=team_colour(team),
            contact_type=_FIRST_ROBOT_BIT << i, contact_affinity=_FLOOR_BIT | _BALL_BIT | others,
        )  # fmt: skip
    if ball:
        _add_boards(world)
        _add_ball(world)
    return ElementTree.tostring(root, encoding="unicode")


def robot_prefix(i: int) -> str:
    """What the names of everything of robot `i` start with."""
    return f"robot{i}/"


def _add_looks(root: ElementTree.Element) -> None:
    visual = ElementTree.SubElement(root, "visual")
    ElementTree.SubElement(visual, "global", offwidth="1280", offheight="720")
    ElementTree.SubElement(visual, "headlight", ambient="0.35 0.35 0.35", diffuse="0.5 0.5 0.5")
    ElementTree.SubElement(visual, "map", znear="0.01")
    asset = ElementTree.SubElement(root, "asset")
    ElementTree.SubElement(
        asset, "texture", name="grass", type="2d", builtin="checker", rgb1="0.22 0.45 0.24",
        rgb2="0.25 0.50 0.27", width="256", height="256",
    )  # fmt: skip
    ElementTree.SubElement(
        asset, "material", name="grass", texture="grass", texrepeat="2 2", texuniform="true"
    )
    ElementTree.SubElement(
        asset, "texture", name="sky", type="skybox", builtin="gradient", rgb1="0.75 0.85 0.95",
        rgb2="0.95 0.97 1.0", width="64", height="64",
    )  # fmt: skip


def _add_floor(world: ElementTree.Element) -> None:
    ElementTree.SubElement(world, "light", pos="0 0 4", dir="0 0.2 -1", directional="true")
    for name, place, look in (
        ("side", "0 -5.2 3.2", "1 0 0 0 0.55 0.83"),
        ("behind", "-5.5 0 2.4", "0 -1 0 0.45 0 0.9"),
    ):
        ElementTree.SubElement(world, "camera", name=name, pos=place, xyaxes=look, fovy="36")
    # The floor decides the friction under the robots, and the ball that of the ball.
    ElementTree.SubElement(
        world, "geom", name="floor", type="plane", size="6 6 1", material="grass",
        friction=_numbers(FLOOR_FRICTION), priority="1", contype=str(_FLOOR_BIT), conaffinity="0",
    )  # fmt: skip
    for i, (x, y, half_x, half_y) in enumerate(_lines()):
        ElementTree.SubElement(
            world, "site", name=f"line{i}", type="box", pos=f"{x} {y} 0",
            size=f"{half_x} {half_y} 0.001", rgba="1 1 1 1",
        )  # fmt: skip


def _lines() -> list[tuple[float, float, float, float]]:
    """Centre and half sizes of the lines on the floor."""
    half = 0.015
    along = [(0, side * HALF_WIDTH, HALF_LENGTH, half) for side in (-1, 1)]
    across = [(x * HALF_LENGTH, 0, half, HALF_WIDTH) for x in (-1, 0, 1)]
    return along + across


def _add_boards(world: ElementTree.Element) -> None:
    """Boards around pitch and goals, inner faces on the lines."""
    z = BOARD_HEIGHT / 2
    end = (HALF_WIDTH - HALF_GOAL) / 2
    boxes = [
        (0.0, side * (HALF_WIDTH + _BOARD), z, HALF_LENGTH + 2 * _BOARD, _BOARD, z)
        for side in (-1, 1)
    ]
    for x in (-1, 1):
        for y in (-1, 1):
            boxes.append((x * (HALF_LENGTH + _BOARD), y * (HALF_GOAL + end), z, _BOARD, end, z))
            depth = GOAL_DEPTH / 2
            boxes.append(
                (x * (HALF_LENGTH + depth), y * (HALF_GOAL + _BOARD), GOAL_HEIGHT / 2,
                 depth, _BOARD, GOAL_HEIGHT / 2)
            )  # fmt: skip
        boxes.append(
            (x * (HALF_LENGTH + GOAL_DEPTH + _BOARD), 0.0, GOAL_HEIGHT / 2,
             _BOARD, HALF_GOAL + 2 * _BOARD, GOAL_HEIGHT / 2)
        )  # fmt: skip
    for i, box in enumerate(boxes):
        goal = box[2] == GOAL_HEIGHT / 2
        team = 1 if box[0] > 0 else 0
        colour = (*team_colour(team)[:3], 0.35) if goal else (0.9, 0.9, 0.9, 0.3)
        ElementTree.SubElement(
            world, "geom", name=f"board{i}", type="box", pos=_numbers(box[:3]),
            size=_numbers(box[3:]), rgba=_numbers(colour), contype=str(_BOARD_BIT),
            conaffinity="0",
        )  # fmt: skip


def _add_ball(world: ElementTree.Element) -> None:
    body = ElementTree.SubElement(world, "body", name="ball", pos=f"0 0 {BALL_RADIUS}")
    ElementTree.SubElement(body, "freejoint", name="ball")
    ElementTree.SubElement(
        body, "inertial", pos="0 0 0", mass=str(BALL_MASS),
        diaginertia=_numbers((BALL_INERTIA,) * 3),
    )  # fmt: skip
    ElementTree.SubElement(
        body, "geom", name="ball", type="sphere", size=str(BALL_RADIUS), rgba="0.95 0.95 0.95 1",
        friction=_numbers(BALL_FRICTION), solref=_numbers(BALL_CONTACT), condim="6", priority="2",
        contype=str(_BALL_BIT), conaffinity=str(_FLOOR_BIT | _BOARD_BIT),
    )  # fmt: skip


def _numbers(values: Sequence[float]) -> str:
    return " ".join(repr(float(value)) for value in values)
