"""Goals, balls that are out, fouls and starts, by scripted places."""

import numpy as np
import pytest

from soccer import rules
from soccer.robot import yaw_quaternion
from soccer.scene import read_scene


def scene_of(*robots):
    """A scene of one lane without a ball: (x, y, z, tilt forward) of each robot."""
    coordinates = np.zeros((1, len(robots) * 27))
    for i, (x, y, z, tilt) in enumerate(robots):
        half = tilt / 2
        coordinates[0, 27 * i : 27 * i + 7] = (x, y, z, np.cos(half), 0, np.sin(half), 0)
    return read_scene(coordinates, np.zeros((1, len(robots) * 26)), len(robots))


@pytest.mark.parametrize(
    ("ball", "team", "out"),
    [
        ((0, 0, 0.09), 0, False),
        ((2.58, 0, 0.09), 0, False),  # 8 cm behind the line: a part of the ball is still on it
        ((2.60, 0, 0.09), 1, False),  # 10 cm, and its radius is 9
        ((-2.60, 0.39, 0.09), -1, False),
        ((2.60, 0.41, 0.09), 0, True),  # beside the post
        ((-2.60, 0, 0.51), 0, True),  # over the bar
        ((0, 2.01, 0.3), 0, True),
        ((0, -1.99, 0.3), 0, False),
        ((1, 1, 2.1), 0, True),
    ],
)
def test_goals_and_balls_that_are_out(ball, team, out):
    place = np.array([ball], float)
    assert rules.scoring_team(place)[0] == team
    assert rules.ball_out(place)[0] == out
    inside = rules.throw_in(place)
    assert not rules.ball_out(inside)[0] and rules.scoring_team(inside)[0] == 0
    assert np.abs(inside[0, 0]) <= 2.2 and np.abs(inside[0, 1]) <= 1.7 and inside[0, 2] == 0.09


def test_fouls():
    """Down by height, down by tilt, over the side line, behind the end line, in a goal area."""
    scene = scene_of(
        (0, 0, 0.24, 0.0), (0, 0, 0.16, 0.0), (0, 0, 0.24, 1.1), (0, 2.1, 0.24, 0.9),
        (-2.6, 1.0, 0.24, 0.0), (2.46, -0.4, 0.24, 0.0), (2.44, 0.0, 0.24, 0.0),
    )  # fmt: skip
    np.testing.assert_array_equal(rules.down(scene)[0], [0, 1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(rules.off_pitch(scene)[0], [0, 0, 0, 1, 1, 0, 0])
    np.testing.assert_array_equal(rules.in_goal_area(scene)[0], [0, 0, 0, 0, 0, 1, 0])


@pytest.mark.parametrize("teams", [(0, 1), (0, 0, 1, 1)])
def test_matches_start_in_the_own_half_apart_from_each_other(teams):
    uniform = np.random.default_rng(0).random((4000, 3 * len(teams) + 3))
    place, heading, ball = rules.match_places(uniform, teams)
    sign = rules.attack_sign(np.array(teams))
    ahead = place[..., 0] * sign
    assert ahead.max() < -0.8 and ahead.min() > -2.1 and np.abs(place[..., 1]).max() < 1.6
    assert np.abs(ball[:, 0]).max() < 0.4 and np.abs(ball[:, 1]).max() < 1.5
    distance = np.linalg.norm(place[:, :, None] - place[:, None], axis=-1)
    assert distance[:, ~np.eye(len(teams), dtype=bool)].min() > 0.6
    assert heading.min() >= 0 and heading.max() < 2 * np.pi
    # Means of 4000 uniform places: 5 standard errors, a false alarm below 1e-6 each.
    np.testing.assert_allclose(ahead.mean(axis=0), -1.45, atol=5 * 0.375 / np.sqrt(4000))
    np.testing.assert_allclose(place[..., 1].mean(axis=0), 0, atol=5 * 1.1 / np.sqrt(4000))


def test_penalties_start_on_the_pitch_at_a_distance():
    uniform = np.random.default_rng(1).random((4000, 5))
    place, _, ball = rules.penalty_places(uniform)
    distance = np.linalg.norm(place[:, 0] - ball, axis=1)
    np.testing.assert_allclose(distance, 0.3 + 1.2 * uniform[:, 2], rtol=1e-12)
    assert np.abs(place[..., 0]).max() < 2.2 and np.abs(place[..., 1]).max() < 1.7


def test_yaw_turns_where_a_robot_faces():
    coordinates = np.zeros((1, 27))
    coordinates[0, 3:7] = yaw_quaternion(np.array(0.7))
    scene = read_scene(coordinates, np.zeros((1, 26)), 1)
    np.testing.assert_allclose(scene.facing[0, 0], [np.cos(0.7), np.sin(0.7)], atol=1e-9)
    assert scene.ball[0, 2] == -100
