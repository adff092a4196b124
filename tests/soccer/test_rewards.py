"""Reward terms of Table S3, each worked out by hand."""

import numpy as np
import pytest

from soccer import rewards, robot
from soccer.rewards import TERMS, Moment, weighted_sum
from soccer.scene import Scene


def pitch_rotation(tilt):
    """Leaning forward by `tilt`: a rotation about y."""
    c, s = np.cos(tilt), np.sin(tilt)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def moment(**changes):
    """A step of two robots: the home one at the origin walks along x at 0.5 m/s, the away one
    stands at (0.6, 0.8) and leans by 0.3 rad; the ball lies at (3, 4).
    """
    scene = Scene(
        position=np.array([[[0, 0, 0.25], [0.6, 0.8, 0.25]]]),
        rotation=np.array([[np.eye(3), pitch_rotation(0.3)]]),
        velocity=np.array([[[0.5, 0, 0], [0, 0, 0.0]]]),
        spin=np.zeros((1, 2, 3)),
        joints=np.tile(robot.HOME, (1, 2, 1)),
        joint_velocity=np.zeros((1, 2, 20)),
        ball=np.array([[3.0, 4.0, 0.09]]),
        ball_velocity=np.zeros((1, 3)),
    )
    fields = {
        "scene": scene,
        "attack": np.array([1.0, -1.0]),
        "opponents": ~np.eye(2, dtype=bool),
        "scored": np.array([0]),
        "foul": np.array([[False, False]]),
        "torque": np.zeros((1, 2, 20)),
        "target": np.zeros((1, 2, 2)),
        "before": np.zeros((1, 2, 2)),
    }
    return Moment(**{**fields, **changes})


def test_goals_are_paid_to_who_attacks_that_way():
    """The away team scores: -1 is its sign."""
    now = moment(scored=np.array([-1]))
    np.testing.assert_array_equal(rewards.scoring(now), [[0, 1]])
    np.testing.assert_array_equal(rewards.conceding(now), [[-1, 0]])
    assert not rewards.scoring(moment()).any() and not rewards.conceding(moment()).any()


def test_velocities():
    """The way to the ball is (3, 4) / 5: of 0.5 m/s along x, 0.3 m/s lead there; all lead forward.
    The way to the opponent is (0.6, 0.8), 1 m: beyond the limit by rounding or not, so it comes
    nearer, where the cosine is still 0.6.
    """
    now = moment()
    np.testing.assert_allclose(rewards.velocity_to_ball(now), [[0.3, 0]])
    np.testing.assert_allclose(rewards.forward_velocity(now), [[0.5, 0]])
    near = now.scene._replace(position=now.scene.position * (0.9, 0.9, 1))
    np.testing.assert_allclose(rewards.interference(moment(scene=near)), [[-0.6, 0]])
    far = now.scene._replace(position=now.scene.position * (1.1, 1.1, 1))
    assert not rewards.interference(moment(scene=far)).any()


def test_the_place_behind_the_ball_is_where_robots_are_paid_to_go():
    """The ball at (1.5, 0) is struck from (1.3, 0); within 0.3 m of that place speed counts less.
    The away team attacks the other goal and strikes from (1.7, 0): its robot comes from there.
    """
    now = moment()
    scene = now.scene._replace(ball=np.array([[1.5, 0.0, 0.09]]))
    np.testing.assert_allclose(rewards.velocity_behind_ball(moment(scene=scene)), [[0.5, 0]])
    position = np.array([[[1.15, 0, 0.25], [1.7, 0, 0.25]]])
    moving = np.array([[[0.5, 0, 0], [-0.5, 0, 0]]])
    near = scene._replace(position=position, velocity=moving)
    found = rewards.velocity_behind_ball(moment(scene=near))
    np.testing.assert_allclose(found, [[0.25, 0]], atol=1e-12)


def test_posture():
    """Leaning by 0.3 rad is half way between 0.2 and 0.4; pi - 0.3 of pi is left of the pose. 0.5
    rad away in two joints are sqrt(0.5) together.
    """
    now = moment(foul=np.array([[False, True]]))
    np.testing.assert_allclose(rewards.upright(now), [[1, 0.5]])
    np.testing.assert_array_equal(rewards.termination(now), [[0, -1]])
    joints = now.scene.joints.copy()
    joints[0, 0, :2] += 0.5
    pose = rewards.target_pose(moment(scene=now.scene._replace(joints=joints)))
    np.testing.assert_allclose(pose, [[1 - np.sqrt(0.5) / np.pi, 1 - 0.3 / np.pi]])


def test_torques_of_knees_alone_count():
    torque = np.zeros((1, 2, 20))
    torque[0, 0, robot.JOINTS.index("l_knee")] = -1.5
    torque[0, 0, robot.JOINTS.index("r_knee")] = 2.0
    torque[0, 1, robot.JOINTS.index("l_hip_pitch")] = 4.0
    np.testing.assert_allclose(rewards.joint_torque(moment(torque=torque)), [[-3.5, 0]])


def test_progress_is_metres_nearer_up_to_a_speed():
    """From (1, 0) to the origin, with a target at (-1, 0): 1 m in a step counts 25 mm; the other
    robot comes from (0.6, 0.78) to (0.6, 0.8) away from (0.6, 0): -20 mm.
    """
    now = moment(
        before=np.array([[[1, 0], [0.6, 0.78]]]), target=np.array([[[-1.0, 0], [0.6, 0.0]]])
    )
    np.testing.assert_allclose(rewards.progress(now), [[0.025, -0.02]])


def test_approach_and_facing_of_targets():
    """The first comes 30 mm nearer in 25 ms, more than the pace of 1 m/s, the second goes 5 mm
    away, a fifth of it. The first, at the origin, looks along x, its target is at (-3, 4): cosine
    -0.6.
    """
    now = moment(
        before=np.array([[[0.018, -0.024], [0.6, 0.795]]]),
        target=np.array([[[-3.0, 4.0], [0.6, 0.0]]]),
    )
    np.testing.assert_allclose(rewards.approach(now), [[1, -0.2]], atol=1e-3)
    np.testing.assert_allclose(rewards.facing_target(now)[0, 0], -0.6)


def test_shoulders_stand_at_36_cm():
    """0.25 + 0.131 = 0.381 upright; 0.25 + 0.131 cos 0.6 = 0.358 leaning by 0.6 rad."""
    assert rewards.standing(moment()).tolist() == [[1, 1]]
    scene = moment().scene
    leaning = scene._replace(rotation=np.array([[np.eye(3), pitch_rotation(0.6)]]))
    assert rewards.standing(moment(scene=leaning)).tolist() == [[1, 0]]


def test_fouls_keep_penalties_and_lose_the_rest():
    weights = {"forward_velocity": 2.0, "termination": 0.5, "upright": 1.0}
    now = moment(foul=np.array([[True, True]]))
    np.testing.assert_allclose(weighted_sum(now, weights, fouls_earn_nothing=True), [[-0.5, -0.5]])
    np.testing.assert_allclose(
        weighted_sum(now, weights, fouls_earn_nothing=False), [[1.5, 0.0]], atol=1e-12
    )


@pytest.mark.parametrize("name", TERMS)
def test_terms_are_finite_where_nothing_moves_and_robots_meet(name):
    still = moment()
    scene = still.scene._replace(
        position=np.zeros((1, 2, 3)), velocity=np.zeros((1, 2, 3)), ball=np.zeros((1, 3))
    )
    values = TERMS[name](moment(scene=scene))
    assert values.shape == (1, 2) and np.isfinite(values).all()
