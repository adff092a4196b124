"""The rules: when a goal is scored, who is down, out or in a goal area, where play starts.

Functions of places, in the world frame of `soccer.scene`. The home team (0) attacks the goal at
positive x, the away team (1) the other. Haarnoja et al. 2024 (arXiv 2304.13653) end an episode of
the soccer teacher when the robot falls, leaves the pitch or enters a goal area, and a match only by
a goal or after 50 s; how far a fallen robot tilts and how large a goal area is are our choices.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from soccer.pitch import (
    BALL_RADIUS,
    GOAL_HEIGHT,
    HALF_GOAL,
    HALF_LENGTH,
    HALF_WIDTH,
)
from soccer.scene import Scene

# A robot is down when its torso is lower than this (it stands at 0.24 to 0.28 m) or tilts more.
DOWN_HEIGHT = 0.17
DOWN_TILT = 1.0
# A goal area reaches so far into the pitch and to either side of the goal's middle, metres: so
# little that a ball can be walked in.
GOAL_AREA_DEPTH = 0.05
GOAL_AREA_HALF_WIDTH = 0.5
# A ball outside the boards, or so high, comes back to rest so far inside the lines.
BALL_TOO_HIGH = 2.0
THROW_IN = 0.3


def attack_sign(teams: np.ndarray) -> Float64[np.ndarray, "P"]:
    """The sign of x of the goal that each robot's team attacks."""
    return np.where(np.asarray(teams) == 0, 1.0, -1.0)


def scoring_team(ball: Float64[np.ndarray, "n 3"]) -> Int64[np.ndarray, "n"]:
    """1 where the home team scored, -1 where the away team did, else 0.

    A goal is scored when the whole ball is behind the goal line, between the posts and under the
    bar.
    """
    behind = np.abs(ball[:, 0]) > HALF_LENGTH + BALL_RADIUS
    inside = (np.abs(ball[:, 1]) < HALF_GOAL) & (ball[:, 2] < GOAL_HEIGHT)
    return np.where(behind & inside, np.sign(ball[:, 0]), 0.0).astype(np.int64)


def ball_out(ball: Float64[np.ndarray, "n 3"]) -> Bool[np.ndarray, "n"]:
    """Where the ball's centre is outside the pitch, over the boards or too high, and no goal."""
    over_side = np.abs(ball[:, 1]) > HALF_WIDTH
    over_end = (np.abs(ball[:, 0]) > HALF_LENGTH) & (
        (np.abs(ball[:, 1]) > HALF_GOAL) | (ball[:, 2] > GOAL_HEIGHT)
    )
    return (over_side | over_end | (ball[:, 2] > BALL_TOO_HIGH)) & (scoring_team(ball) == 0)


def throw_in(ball: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
    """Where a ball that was out comes back to rest: the nearest place well inside the lines."""
    x = np.clip(ball[:, 0], -HALF_LENGTH + THROW_IN, HALF_LENGTH - THROW_IN)
    y = np.clip(ball[:, 1], -HALF_WIDTH + THROW_IN, HALF_WIDTH - THROW_IN)
    return np.stack([x, y, np.full(len(ball), BALL_RADIUS)], axis=1)


def down(scene: Scene) -> Bool[np.ndarray, "n P"]:
    """Which robots have fallen or lie."""
    return (scene.position[..., 2] < DOWN_HEIGHT) | (scene.tilt > DOWN_TILT)


def off_pitch(scene: Scene) -> Bool[np.ndarray, "n P"]:
    """Which robots' torsos are outside the lines."""
    x, y = np.abs(scene.position[..., 0]), np.abs(scene.position[..., 1])
    return (x > HALF_LENGTH) | (y > HALF_WIDTH)


def in_goal_area(scene: Scene) -> Bool[np.ndarray, "n P"]:
    """Which robots' torsos are in front of or behind either goal line, near the goal."""
    x, y = np.abs(scene.position[..., 0]), np.abs(scene.position[..., 1])
    return (x > HALF_LENGTH - GOAL_AREA_DEPTH) & (y < GOAL_AREA_HALF_WIDTH)


def match_places(
    uniform: Float64[np.ndarray, "n numbers"], teams: tuple[int, ...]
) -> tuple[Float64[np.ndarray, "n P 2"], Float64[np.ndarray, "n P"], Float64[np.ndarray, "n 2"]]:
    """Random places of robots and ball at the start of a match.

    Robots stand anywhere in their own half but near the middle line and the goal, facing anywhere;
    team-mates on different sides of the pitch's long axis. The ball lies near the middle line. Both
    teams have the same chances: mirrored draws are as likely.

    Args:
      uniform: numbers in [0, 1), three per robot and three more.
      teams: of each robot, at most two robots each.

    Returns:
      Places, headings and the place of the ball.
    """
    P = len(teams)
    own = uniform[:, : 3 * P].reshape(-1, P, 3)
    x = -attack_sign(np.array(teams)) * (0.8 + 1.3 * own[..., 0])
    y = 1.5 * (2 * own[..., 1] - 1)
    for team in (0, 1):
        mates = [i for i in range(P) if teams[i] == team]
        if len(mates) == 2:
            side = np.where(uniform[:, 3 * P] < 0.5, 1.0, -1.0)
            for sign, i in zip((1.0, -1.0), mates, strict=True):
                y[:, i] = sign * side * (0.3 + 1.3 * own[:, i, 1])
    heading = 2 * np.pi * own[..., 2]
    ball = np.stack([0.8 * uniform[:, 3 * P + 1] - 0.4, 3.0 * uniform[:, 3 * P + 2] - 1.5], axis=1)
    return np.stack([x, y], axis=-1), heading, ball


def penalty_places(
    uniform: Float64[np.ndarray, "n 5"],
) -> tuple[Float64[np.ndarray, "n 1 2"], Float64[np.ndarray, "n 1"], Float64[np.ndarray, "n 2"]]:
    """Random places of one robot and a ball, 0.3 to 1.5 m apart, the robot facing anywhere.

    Args:
      uniform: numbers in [0, 1).
    """
    ball = (2 * uniform[:, :2] - 1) * (2.0, 1.5)
    distance, angle = 0.3 + 1.2 * uniform[:, 2], 2 * np.pi * uniform[:, 3]
    away = distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    # What would leave the pitch goes the other way, at the same distance.
    inside = np.abs(ball + away) < (HALF_LENGTH - 0.3, HALF_WIDTH - 0.3)
    place = ball + np.where(inside, away, -away)
    return place[:, None], 2 * np.pi * uniform[:, 4:5], ball
