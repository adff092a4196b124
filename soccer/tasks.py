"""The five tasks, each a game: walk to a target, get up, score on an empty goal, one versus one,
two versus two.

What a game pays is its plain purpose (`payoff`); `shaped=1` pays reward terms of Haarnoja et al.
2024 (arXiv 2304.13653, Table S3) and of ours. Weights are per control step, and ours: those of the
paper, 1000 for a goal, are for a critic of another kind.
"""

import dataclasses

import numpy as np
from jaxtyping import Float64

from games.mujoco_host import MujocoHost
from games.types import GameError
from soccer import robot, rules
from soccer.body import HUMANOID
from soccer.bots import SCRIPTS
from soccer.boxhead import BOXHEAD
from soccer.match import SoccerTask
from soccer.pitch import CONTROL_STEP
from soccer.scenario import Scenario, Start

# What players of matches can be.
BODIES = {body.name: body for body in (HUMANOID, BOXHEAD)}

# A lying robot starts so high that it touches the floor nowhere, and settles in the first moments.
LYING_HEIGHT = 0.2
# What leads robots if nothing is said.
NO_SCRIPT = "none"
# Seconds after which a match is drawn, if nothing else is said.
MATCH_SECONDS = 50
# Joints of a lying robot start so far from the home pose at most, radians; legs are not turned and
# spread outwards alone, where they do not meet.
LYING_SPREAD = 0.5
_UNTURNED = [robot.JOINTS.index(f"{side}_hip_yaw") for side in "lr"]
_SPREAD = [robot.JOINTS.index(f"{side}_hip_roll") for side in "lr"]

_NUMBERS_LYING = 2 + robot.NUM_JOINTS
# Of robots that may stand, too, the first number says whether they do.
_STANDING_SHARE = 1 / 3


def lying(
    place: Float64[np.ndarray, "*n 2"],
    heading: Float64[np.ndarray, "*n"],
    on_back: np.ndarray,
    spread: Float64[np.ndarray, "*n 20"],
) -> Float64[np.ndarray, "*n 27"]:
    """Coordinates of robots that lie, see `robot.lying_quaternion`.

    Args:
      place: of the torso.
      heading: of the head.
      on_back: or else on the face.
      spread: how far each joint is from the home pose, -1 to 1 times `LYING_SPREAD`.
    """
    coordinates = np.empty((*heading.shape, 27))
    coordinates[..., :2] = place
    coordinates[..., 2] = LYING_HEIGHT
    coordinates[..., 3:7] = robot.lying_quaternion(heading, on_back=on_back)
    spread = spread.copy()
    spread[..., _UNTURNED] = 0
    spread[..., _SPREAD] = np.abs(spread[..., _SPREAD]) * (-1, 1)
    coordinates[..., 7:] = np.clip(
        robot.HOME + LYING_SPREAD * spread, robot.JOINT_LOW, robot.JOINT_HIGH
    )
    return coordinates


def standing_or_lying(
    place: Float64[np.ndarray, "n P 2"],
    heading: Float64[np.ndarray, "n P"],
    uniform: Float64[np.ndarray, "n P numbers"],
) -> Float64[np.ndarray, "n P 27"]:
    """Coordinates of robots that stand, lie on the face or lie on the back, with equal probability.

    Args:
      place: of the torso.
      heading: of the robot, or of its head where it lies.
      uniform: numbers in [0, 1), 22 a robot.
    """
    lies = lying(place, heading, uniform[..., 1] < 0.5, 2 * uniform[..., 2:] - 1)
    upright = uniform[..., :1] < _STANDING_SHARE
    return np.where(upright, HUMANOID.standing(place, heading), lies)


def walk_to_target(
    *, randomise: int = 0, shaped: int = 0, falls: int = 0, num_threads: int = 0
) -> MujocoHost:
    """One robot walks to places up to 3 m away, one after the other, for 20 s or until it falls.

    It is paid the metres by which it comes nearer, at most 1 m/s. With `falls=1` it starts
    standing, on its face or on its back, with equal probability, and a fall ends nothing.
    """
    return _host(
        Scenario(
            name="soccer/walk_to_target",
            teams=(0,),
            ball=False,
            seconds=20.0,
            start=_be_anyhow if falls else _stand_anyhow,
            start_numbers=1 + _NUMBERS_LYING * bool(falls),
            payoff={"progress": 1.0},
            shaping={
                "approach": 2.0,
                "facing_target": 0.4,
                "upright": 0.2,
                "joint_torque": 0.01,
            },
            utility="general_sum",
            returns=(-20.0, 20.0),
            ends=frozenset() if falls else frozenset({"down"}),
            target=True,
        ),
        randomise=randomise,
        shaped=shaped,
        falls=falls,
        num_threads=num_threads,
    )


def get_up(*, randomise: int = 0, shaped: int = 0, num_threads: int = 0) -> MujocoHost:
    """One robot lies on its face or back and has 10 s to get up and stay up.

    It is paid the share of the time in which its shoulders are at least 0.36 m high.
    """
    steps = round(10.0 / CONTROL_STEP)
    return _host(
        Scenario(
            name="soccer/get_up",
            teams=(0,),
            ball=False,
            seconds=10.0,
            start=_lie_anyhow,
            start_numbers=1 + _NUMBERS_LYING,
            payoff={"standing": 1.0 / steps},
            shaping={"standing": 1.0 / steps, "rise": 1.0 / steps, "target_pose": 1.0 / steps},
            utility="general_sum",
            returns=(0.0, 1.0),
        ),
        randomise=randomise,
        shaped=shaped,
        num_threads=num_threads,
    )


def score(
    *,
    randomise: int = 0,
    shaped: int = 0,
    vision: int = 0,
    falls: int = 0,
    num_threads: int = 0,
    residual: str = NO_SCRIPT,
) -> MujocoHost:
    """One robot and a ball 0.3 to 1.5 m away: 1 for a goal within 50 s.

    The episode ends with a goal on either side, a fall, and outside the pitch or in a goal area, as
    that of the paper's soccer teacher; with `falls=1` it begins like that of `walk_to_target`, and
    a fall ends nothing.
    """
    return _host(
        Scenario(
            name="soccer/score",
            teams=(0,),
            ball=True,
            seconds=50.0,
            start=_take_penalty_anyhow if falls else _take_penalty,
            start_numbers=5 + _NUMBERS_LYING * bool(falls),
            payoff={"scoring": 1.0},
            # Standing about earns nothing: else nobody hurries.
            shaping={
                "scoring": 1.0, "ball_to_goal": 0.02, "velocity_to_ball": 0.002,
                "velocity_behind_ball": 0.006, "termination": 0.0005,
            } if falls else {
                "scoring": 1.0, "ball_to_goal": 0.01, "velocity_to_ball": 0.002,
                "termination": 0.2,
            },
            utility="general_sum",
            returns=(0.0, 1.0),
            ends=frozenset({"goal", "off_pitch", "goal_area"} | (set() if falls else {"down"})),
        ),
        randomise=randomise,
        shaped=shaped,
        vision=vision,
        residual=residual,
        falls=falls,
        num_threads=num_threads,
    )  # fmt: skip


def duel(
    *,
    randomise: int = 0,
    shaped: int = 0,
    vision: int = 0,
    num_threads: int = 0,
    body: str = "humanoid",
    seconds: int = MATCH_SECONDS,
    residual: str = NO_SCRIPT,
) -> MujocoHost:
    """One versus one: 1 for the first goal, -1 for who concedes it, 0 for both after `seconds`.

    Humanoids start standing, on their face or on their back, with equal probability.
    """
    options = {
        "randomise": randomise, "shaped": shaped, "vision": vision, "residual": residual,
    }  # fmt: skip
    return _match(
        "soccer/duel", (0, 1), body=body, seconds=seconds, num_threads=num_threads, **options
    )


def team(
    *,
    randomise: int = 0,
    shaped: int = 0,
    vision: int = 0,
    num_threads: int = 0,
    body: str = "humanoid",
    seconds: int = MATCH_SECONDS,
    residual: str = NO_SCRIPT,
) -> MujocoHost:
    """Two versus two, else as `duel`; both players of a team are paid the same."""
    options = {
        "randomise": randomise, "shaped": shaped, "vision": vision, "residual": residual,
    }  # fmt: skip
    return _match(
        "soccer/team", (0, 0, 1, 1), body=body, seconds=seconds, num_threads=num_threads, **options
    )


def _match(
    name: str,
    teams: tuple[int, ...],
    *,
    body: str,
    seconds: int,
    randomise: int,
    shaped: int,
    vision: int,
    residual: str,
    num_threads: int,
) -> MujocoHost:
    P, humanoid = len(teams), body == HUMANOID.name
    if seconds < 1:
        raise GameError(f"{name}: seconds is {seconds}, allowed are 1 and more")
    if body not in BODIES:
        raise GameError(f"{name}: body is {body}, allowed are {' and '.join(BODIES)}")
    for option, on in (
        ("randomise=1", randomise),
        ("vision=1", vision),
        ("residual", residual != NO_SCRIPT),
    ):
        if on and not humanoid:
            raise GameError(f"{name}: {option} is of humanoids; body is {body}")

    def start(uniform: Float64[np.ndarray, "n numbers"]) -> Start:
        place, heading, ball = rules.match_places(uniform[:, : 3 * P + 3], teams)
        if not humanoid:
            return Start(BODIES[body].standing(place, heading), ball)
        pose = uniform[:, 3 * P + 3 :].reshape(len(uniform), P, _NUMBERS_LYING)
        return Start(standing_or_lying(place, heading, pose), ball)

    return _host(
        Scenario(
            name=name,
            teams=teams,
            ball=True,
            seconds=seconds,
            usual_seconds=MATCH_SECONDS,
            start=start,
            start_numbers=3 * P + 3 + P * _NUMBERS_LYING * humanoid,
            payoff={"scoring": 1.0, "conceding": 1.0},
            # What counts between goals is the way of the ball, two points a metre, and a little
            # that to the ball, so little that who only runs after it earns less than who scores.
            # Boxheads neither fall nor have knees.
            shaping={
                "scoring": 5.0, "conceding": 5.0, "ball_to_goal": 0.05,
                "velocity_to_ball": 0.0025, "termination": 0.02,
            } | ({
                "forward_velocity": 0.001, "interference": 0.005, "upright": 0.0005,
                "joint_torque": 0.0001,
            } if humanoid else {}),
            utility="zero_sum",
            returns=(-1.0, 1.0),
            ends=frozenset({"goal"}),
            fouls_earn_nothing=True,
            body=BODIES[body],
        ),
        randomise=randomise,
        shaped=shaped,
        vision=vision,
        residual=residual,
        num_threads=num_threads,
    )  # fmt: skip


def _host(
    scenario: Scenario,
    *,
    randomise: int,
    shaped: int,
    num_threads: int,
    vision: int = 0,
    residual: str = NO_SCRIPT,
    falls: int = 0,
) -> MujocoHost:
    options = {"randomise": randomise, "shaped": shaped, "vision": vision, "falls": falls}
    for name, value in options.items():
        if value not in (0, 1):
            raise GameError(f"{scenario.name}: {name} is {value}, allowed are 0 and 1")
    script = "" if residual == NO_SCRIPT else residual
    if script and script not in SCRIPTS:
        allowed = ", ".join((NO_SCRIPT, *SCRIPTS))
        raise GameError(f"{scenario.name}: residual is {residual}, allowed are {allowed}")
    if script and vision:
        raise GameError(f"{scenario.name}: scripts know what a camera does not: no residual=")
    scenario = dataclasses.replace(
        scenario, vision=bool(vision), residual=script, falls=bool(falls)
    )
    task = SoccerTask(scenario, randomise=bool(randomise), shaped=bool(shaped))
    return MujocoHost(task, num_threads=num_threads or None)


def _stand_anyhow(uniform: Float64[np.ndarray, "n 1"]) -> Start:
    middle = np.zeros((len(uniform), 1, 2))
    return Start(HUMANOID.standing(middle, 2 * np.pi * uniform), middle[:, 0])


def _be_anyhow(uniform: Float64[np.ndarray, "n numbers"]) -> Start:
    middle = np.zeros((len(uniform), 1, 2))
    robots = standing_or_lying(middle, 2 * np.pi * uniform[:, :1], uniform[:, None, 1:])
    return Start(robots, middle[:, 0])


def _lie_anyhow(uniform: Float64[np.ndarray, "n numbers"]) -> Start:
    middle = np.zeros((len(uniform), 1, 2))
    heading, own = 2 * np.pi * uniform[:, :1], uniform[:, None, 1:]
    return Start(lying(middle, heading, own[..., 0] < 0.5, 2 * own[..., 2:] - 1), middle[:, 0])


def _take_penalty(uniform: Float64[np.ndarray, "n 5"]) -> Start:
    place, heading, ball = rules.penalty_places(uniform)
    return Start(HUMANOID.standing(place, heading), ball)


def _take_penalty_anyhow(uniform: Float64[np.ndarray, "n numbers"]) -> Start:
    numbers, pose = uniform[:, :5].copy(), uniform[:, None, 5:]
    # Nobody lies on the ball: it is then at least 0.66 m away.
    lies = pose[:, 0, 0] >= _STANDING_SHARE
    numbers[lies, 2] = 0.3 + 0.7 * numbers[lies, 2]
    place, heading, ball = rules.penalty_places(numbers)
    return Start(standing_or_lying(place, heading, pose), ball)
