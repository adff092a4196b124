"""Scripted robots: kinematics of a leg, key poses, walking, getting up, matches."""

import numpy as np
import pytest

from games.types import GameError, Policy
from soccer import bots, exhibition, key_poses, robot, tasks
from soccer.gait import LINK, gait_targets, leg_angles
from soccer.key_poses import KeyPoses, pose_targets

UP = np.array([[0.0, 0.0, -1.0]])


def test_a_leg_reaches_where_it_is_told_with_a_level_sole():
    """Forward kinematics of the two links: a positive pitch swings what hangs below backward."""
    ahead, below = np.array([0.0, 0.05, -0.04]), np.array([0.2, 0.19, 0.15])
    hip, knee, ankle = leg_angles(ahead, below).T
    x = -LINK * np.sin(hip) - LINK * np.sin(hip + knee)
    z = LINK * np.cos(hip) + LINK * np.cos(hip + knee)
    np.testing.assert_allclose(x, ahead, atol=1e-12)
    np.testing.assert_allclose(z, below, atol=1e-12)
    np.testing.assert_allclose(hip + knee - ankle, 0, atol=1e-12)
    home = robot.HOME[[10, 11, 12]]
    reach = -LINK * (np.sin(home[0]) + np.sin(home[0] + home[1]))
    depth = LINK * (np.cos(home[0]) + np.cos(home[0] + home[1]))
    np.testing.assert_allclose(leg_angles(np.array([reach]), np.array([depth]))[0], home, atol=1e-3)


def test_half_a_period_later_the_gait_is_its_own_mirror_image():
    phase, stride = np.array([0.3, 1.7]), np.array([0.05, 0.05])
    none, up = np.zeros(2), np.tile(UP, (2, 1))
    now = gait_targets(bots.WALK, phase, stride=stride, turn=none, gravity=up)
    later = gait_targets(bots.WALK, phase + np.pi, stride=stride, turn=none, gravity=up)
    np.testing.assert_allclose(robot.mirror_joints(later), now, atol=1e-12)
    left = gait_targets(bots.WALK, phase, stride=stride, turn=np.full(2, 0.2), gravity=up)
    right = gait_targets(bots.WALK, phase + np.pi, stride=stride, turn=np.full(2, -0.2), gravity=up)
    np.testing.assert_allclose(robot.mirror_joints(right), left, atol=1e-12)


def test_targets_move_linearly_between_key_poses():
    """One pose after 2 s and home after 1 s more: half way at 1 s and at 2.5 s."""
    pose = robot.HOME + np.arange(20) / 100
    script = KeyPoses(np.stack([pose, robot.HOME]), np.array([2.0, 1.0]))
    wanted = pose_targets(script, np.array([-1.0, 0.0, 1.0, 2.0, 2.5, 3.0, 9.0]))
    away = (wanted - robot.HOME)[:, 10] / 0.1
    np.testing.assert_allclose(away, [0, 0, 0.5, 1, 0.5, 0, 0], atol=1e-12)


def test_scripts_end_at_home_within_the_joint_ranges_and_get_ups_are_symmetric():
    left, right = key_poses.KICK_LEFT, key_poses.KICK_RIGHT
    get_ups = (key_poses.FROM_FACE, key_poses.FROM_BACK)
    for script in (*get_ups, left, right):
        np.testing.assert_array_equal(script.angles[-1], robot.HOME)
        assert len(script.angles) == len(script.seconds)
        assert (script.angles >= robot.JOINT_LOW - 1e-9).all()
        assert (script.angles <= robot.JOINT_HIGH + 1e-9).all()
    for script in get_ups:
        np.testing.assert_allclose(robot.mirror_joints(script.angles), script.angles, atol=1e-12)
    knee = robot.JOINTS.index("l_knee")
    swing = np.ptp(left.angles[:, knee]), np.ptp(right.angles[:, knee])
    assert swing[0] > 1.0 > 0.5 > swing[1]
    np.testing.assert_allclose(robot.mirror_joints(left.angles), right.angles, atol=1e-12)


def test_a_kick_begins_with_the_foot_that_the_gait_is_about_to_lift():
    """Wanted with both feet, left, right; the phases: left foot, on its way, right foot."""
    memory = (
        bots.Kicker()
        .initial_memory(6)
        ._replace(
            phase=np.array([0.1, 1.5, np.pi + 0.1, 0.1, np.pi + 0.1, 0.1]),
            script=np.array([-1, -1, -1, -1, -1, 0]),
        )
    )
    wanted = np.array([[1, 1], [1, 1], [1, 1], [0, 1], [1, 0], [1, 1]], bool)
    begun = bots._begin_kicks(memory, wanted, 0.3)
    np.testing.assert_array_equal(begun.script, [2, -1, 3, -1, -1, 0])


@pytest.fixture(scope="module", autouse=True)
def _needs_mujoco():
    pytest.importorskip("mujoco", reason="MuJoCo is not installed: the extra [soccer]")


def test_the_scripted_walker_walks():
    """Published figures of the paper's scripted robot: 0.20 m/s. Ours must make 0.15 m/s towards
    its targets, turns included, in the first 5 s of an episode.
    """
    game = tasks.walk_to_target(num_threads=1)
    policy = bots.Walker()
    assert isinstance(policy, Policy)
    states = game.init(np.arange(6, dtype=np.uint64))
    now, memory = game.restart(states), policy.initial_memory(6)
    metres = np.zeros(6)
    for _ in range(200):
        seen = game.observe(states)[:, 0]
        actions, _, memory = policy.act(memory, seen, now.legal_mask[:, 0], None)
        states, now = game.step(states, actions[:, None])
        metres += now.rewards[:, 0]
    assert metres.mean() / 5 > 0.15
    assert states.over.sum() <= 1


def test_the_scripted_robot_gets_up_from_face_and_back():
    """It is paid a 400th for each step in which its shoulders are up: here of the first 300, from
    which getting up from the back takes some 250.
    """
    game = tasks.get_up(num_threads=1)
    game.info = game.info._replace(max_steps=300)
    results = exhibition.play(game, [bots.Walker()], np.arange(8, dtype=np.uint64))
    assert np.mean(results.returns > 0.05) >= 0.75
    game.info = game.info._replace(max_steps=40)
    lying = exhibition.play(game, [bots.Stand()], np.arange(2, dtype=np.uint64))
    assert not lying.returns.any()


def test_matches_report_scores_and_recordings():
    """A short duel by hand: the chaser of seat 0 stands, the other lies; nobody scores in 2 s."""
    game = tasks.duel(num_threads=1)
    game.info = game.info._replace(max_steps=80)
    results = exhibition.play(
        game, [bots.Chaser(), bots.Keeper()], np.arange(3, dtype=np.uint64), record=2
    )
    assert results.recording.shape == (81, 2, game.model.nq)
    assert not results.broken.any() and (results.steps == 80).all()
    np.testing.assert_array_equal(results.returns.sum(axis=1), 0)
    again = exhibition.play(
        game, [bots.Chaser(), bots.Keeper()], np.array([1], np.uint64), record=1
    )
    np.testing.assert_array_equal(again.recording[:, 0], results.recording[:, 1])
    with pytest.raises(GameError, match="2 seats, but there are 1 policies"):
        exhibition.play(game, [bots.Stand()], np.arange(2, dtype=np.uint64))
