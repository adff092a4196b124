"""Matches: same bits for any threads, mirror images, both seats alike, rules in play, filters."""

import numpy as np
import pytest

from games.registry import load_game, load_simulator, load_tree
from games.types import GameError, HostGame
from soccer import observations, pitch, robot, tasks
from soccer.control import actions_of, filtered, targets_of, unfiltered

pytest.importorskip("mujoco", reason="MuJoCo is not installed: the extra [soccer]")

GRAVITY = next(place for name, _, place in observations.layout() if name == "gravity[0]")
TASKS = ("walk_to_target", "get_up", "score", "duel", "team")


def seeds(count):
    return np.arange(count, dtype=np.uint64)


def random_actions(game, rng, lanes, scale=0.5):
    shape = (lanes, game.info.num_players, 20)
    return rng.uniform(-scale, scale, shape).astype(np.float32)


def still(game, lanes):
    return np.zeros((lanes, game.info.num_players, 20), np.float32)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_plays_by_name_within_its_declared_facts(name):
    game = load_game(f"soccer/{name}(randomise=1,num_threads=1)")
    info = game.info
    assert isinstance(game, HostGame) and info.name == f"soccer/{name}(randomise=1)"
    states = game.init(seeds(4))
    rng = np.random.default_rng(0)
    for _ in range(8):
        seen = game.observe(states)
        assert seen.shape == (4, info.num_players, info.observation_size[0])
        assert seen.dtype == np.float32 and np.isfinite(seen).all()
        states, now = game.step(states, random_actions(game, rng, 4))
        assert now.rewards.min() >= info.min_return and now.rewards.max() <= info.max_return
        if info.utility == "zero_sum":
            assert not now.rewards.sum(axis=1).any()
    assert not states.broken.any()
    known = game.task.observe_privileged(states)
    assert known.shape == (4, info.num_players, 61) and np.isfinite(known).all()
    shaped = load_game(f"soccer/{name}(shaped=1)")
    assert shaped.info.utility == "general_sum"
    with pytest.raises(GameError, match="no game tree"):
        load_tree(info.name)
    assert load_simulator(info.name).info == info


def test_parameters_are_checked():
    with pytest.raises(GameError, match="randomise is 2, allowed are 0 and 1"):
        load_game("soccer/duel(randomise=2)")
    with pytest.raises(
        GameError,
        match=r"soccer/duel\(randomise=0, shaped=0, vision=0, num_threads=0, body=humanoid, sec",
    ):
        load_game("soccer/duel(colour=1)")


def test_randomised_duels_are_the_same_to_the_bit_for_any_threads_and_company():
    def play(lanes, num_threads):
        game = tasks.duel(randomise=1, shaped=1, num_threads=num_threads)
        states = game.init(np.array(lanes, np.uint64))
        rng = np.random.default_rng(1)
        seen = []
        for i in range(12):
            actions = random_actions(game, rng, 6)[lanes]
            states, now = game.step(states, actions)
            if i == 5:
                states, _ = game.reset_where(states, np.array(lanes) % 2 == 0)
            seen.append(np.concatenate([game.observe(states), now.rewards[..., None]], axis=-1))
        return np.stack(seen)

    together = play(list(range(6)), 1)
    np.testing.assert_array_equal(play(list(range(6)), 3), together)
    np.testing.assert_array_equal(play([4, 1], 1), together[:, [4, 1]])


def put(game, states, positions, velocities, ball, ball_velocity):
    """Puts robots and ball of a fresh duel somewhere, as if they had been there for long."""
    task, lanes = game.task, slice(None)
    states.qpos[:] = np.concatenate([positions.reshape(-1), ball, [1, 0, 0, 0]])
    states.qvel[:] = np.concatenate([velocities.reshape(-1), ball_velocity, np.zeros(3)])
    memory = states.memory
    memory.command[:] = positions[:, 7:]
    scene = task.scene(states, lanes)
    for part, value in zip(memory.before, observations.remember(scene), strict=True):
        part[:] = value


def duel_with(positions, velocities, ball, ball_velocity, actions):
    """Observations and rewards of a duel in which everything is given."""
    game = tasks.duel(shaped=1, num_threads=1)
    states = game.init(seeds(1))
    put(game, states, positions, velocities, ball, ball_velocity)
    seen, paid = [], []
    for joint in actions:
        states, now = game.step(states, joint[None])
        seen.append(game.observe(states)[0])
        paid.append(now.rewards[0])
    return np.stack(seen), np.stack(paid)


@pytest.fixture(scope="module")
def situation():
    """Two robots near each other and a ball that rolls between them; random actions."""
    rng = np.random.default_rng(3)
    positions = np.stack([robot.standing_positions(), robot.standing_positions()])
    positions[:, :2] = [[-0.4, 0.3], [0.5, -0.2]]
    positions[:, 3:7] = robot.yaw_quaternion(np.array([0.4, 2.5]))
    positions[:, 7:] += rng.normal(0, 0.1, (2, 20))
    velocities = rng.normal(0, 0.3, (2, 26))
    actions = rng.uniform(-0.5, 0.5, (12, 2, 20)).astype(np.float32)
    ball, ball_velocity = np.array([0.1, 0.05, 0.095]), np.array([0.6, 0.3, 0.0])
    return positions, velocities, ball, ball_velocity, actions


def mirror_actions(actions):
    """The home pose and the ranges are symmetric, so that actions mirror like angles."""
    return robot.mirror_joints(actions).astype(np.float32)


def test_a_mirrored_match_is_observed_mirrored_and_paid_alike(situation):
    """0.3 s with contacts, solved in another order. The history holds accelerations of the order of
    100 m/s^2 in float32.
    """
    positions, velocities, ball, ball_velocity, actions = situation
    seen, paid = duel_with(*situation)
    flip = np.array([1, -1, 1])
    image, image_paid = duel_with(
        *robot.mirror_state(positions, velocities), ball * flip, ball_velocity * flip,
        mirror_actions(actions),
    )  # fmt: skip
    # What was stacked before the first step is that of the original start: five steps overwrite it.
    np.testing.assert_allclose(
        image[5:], observations.mirror_observation(seen[5:]), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(image_paid, paid, atol=1e-6)
    assert np.abs(seen[-1] - seen[5]).max() > 1


def test_seats_that_change_places_see_and_earn_what_the_other_did(situation):
    """Turned by 180 degrees about the centre spot with both robots exchanged."""
    positions, velocities, ball, ball_velocity, actions = situation
    seen, paid = duel_with(*situation)
    turn = np.array([-1.0, -1, 1])
    turned, rates = positions.copy(), velocities.copy()
    turned[:, :3] *= turn
    w, x, y, z = positions[:, 3:7].T
    turned[:, 3:7] = np.stack([-z, -y, x, w], axis=1)
    rates[:, :3] *= turn
    exchanged, exchanged_paid = duel_with(
        turned[::-1], rates[::-1], ball * turn, ball_velocity * turn, actions[:, ::-1]
    )
    np.testing.assert_allclose(exchanged[5:, ::-1], seen[5:], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(exchanged_paid[:, ::-1], paid, atol=1e-6)


def test_a_ball_that_rolls_into_a_goal_ends_the_match(situation):
    """At 3 m/s from 2.4 m it passes 2.59 m, a radius behind the line, after 0.063 s: the third
    step. The home team attacks that goal.
    """
    positions, _, _, _, _ = situation
    game = tasks.duel(num_threads=1)
    states = game.init(seeds(3))
    far = positions.copy()
    far[:, 1] = [1.0, -1.0]
    nothing = np.zeros((2, 26))
    put(game, states, far, nothing, np.array([2.4, 0, 0.09]), np.array([3.0, 0, 0]))
    states.qpos[1, -7], states.qvel[1, -6] = -2.4, -3.0
    states.qpos[2, -6] = 0.6  # against the board beside the goal
    for step in range(3):
        assert not states.over.any(), step
        states, now = game.step(states, still(game, 3))
    np.testing.assert_array_equal(now.rewards, [[1, -1], [-1, 1], [0, 0]])
    np.testing.assert_array_equal(now.discount, [0, 0, 1])
    np.testing.assert_array_equal(states.memory.score, [[1, 0], [0, 1], [0, 0]])
    for _ in range(4):
        states, now = game.step(states, still(game, 3))
    assert states.qpos[2, -7] < 2.42 and states.qvel[2, -6] < 0


def test_a_ball_over_the_boards_is_thrown_in_at_rest(situation):
    positions, _, _, _, _ = situation
    game = tasks.duel(num_threads=1)
    states = game.init(seeds(1))
    far = positions.copy()
    far[:, 1] = [1.0, -1.0]
    put(game, states, far, np.zeros((2, 26)), np.array([1.0, 1.95, 0.8]), np.array([0.0, 4, 0]))
    states, _ = game.step(states, still(game, 1))
    np.testing.assert_allclose(states.qpos[0, -7:-4], [1.0, 1.7, 0.09], atol=1e-9)
    assert not states.qvel[0, -6:].any()
    velocity = {name: place for name, _, place in observations.layout()}["ball_velocity"]
    assert not game.observe(states)[0, :, velocity].any()


def test_actions_reach_all_of_a_joint_range_and_are_filtered():
    """u = 0.8 u + 0.2 a reaches 0.9 of a step at the 11th step: 1 - 0.8^11 = 0.914."""
    ends = np.stack([-np.ones(20), np.zeros(20), np.ones(20)])
    targets = targets_of(ends)
    np.testing.assert_allclose(targets, [robot.JOINT_LOW, robot.HOME, robot.JOINT_HIGH])
    np.testing.assert_allclose(actions_of(targets), ends, atol=1e-12)
    value = np.zeros((1, 20))
    for _ in range(11):
        value = filtered(value, np.ones((1, 20)))
    np.testing.assert_allclose(value, 1 - 0.8**11)
    wanted = np.full((1, 20), 0.3)
    np.testing.assert_allclose(filtered(value, unfiltered(value, wanted)), wanted)


def test_walkers_are_paid_metres_and_get_new_targets():
    """Carried 0.02 m per step towards its target, a robot is paid that; one that is put on it gets
    another, 0.5 to 3 m away.
    """
    game = tasks.walk_to_target(num_threads=1)
    states = game.init(seeds(2))
    memory = states.memory
    memory.target[:, 0] = [[1.5, 0], [0.1, 0]]
    states.qvel[:, 0] = 0.0
    states.qpos[:, 0] += 0.02
    states, now = game.step(states, still(game, 2))
    moved = states.qpos[:, :2]
    paid = np.linalg.norm([[1.5, 0], [0.1, 0]], axis=1) - np.linalg.norm(
        np.array([[1.5, 0], [0.1, 0]]) - moved, axis=1
    )
    np.testing.assert_allclose(now.rewards[:, 0], paid, atol=1e-6)
    np.testing.assert_array_equal(memory.target[0, 0], [1.5, 0])
    assert 0.5 <= np.linalg.norm(memory.target[1, 0] - moved[1]) <= 3.0


def test_lying_robots_start_above_the_floor_and_are_down():
    import mujoco

    game = tasks.get_up(num_threads=1)
    states = game.init(seeds(64))
    data = mujoco.MjData(game.model)
    for lane in range(64):
        data.qpos[:] = states.qpos[lane]
        mujoco.mj_forward(game.model, data)
        depth = min((float(contact.dist) for contact in data.contact), default=0.0)
        assert depth > -0.005, lane
    for _ in range(20):
        states, now = game.step(states, still(game, 64))
    assert not now.rewards.any()
    heights = states.qpos[:, 2]
    assert heights.max() < 0.17 and np.abs(states.qvel[:, :3]).max() < 0.8


@pytest.mark.parametrize("name", ["walk_to_target", "score"])
def test_where_falls_end_nothing_two_of_three_start_lying_and_may_go_on(name):
    """Five standard deviations of 256 draws are 0.15."""
    game = load_game(f"soccer/{name}(falls=1,num_threads=1)")
    assert game.info.name == f"soccer/{name}(falls=1)"
    states = game.init(seeds(256))
    backs = game.observe(states)[:, 0, GRAVITY.start]
    for found, share in ((np.abs(backs) < 0.5, 1 / 3), (backs < -0.5, 1 / 3)):
        assert abs(found.mean() - share) < 0.15
    for _ in range(4):
        states, now = game.step(states, still(game, 256))
    assert now.discount[np.abs(backs) > 0.5].all()
    usual = load_game(f"soccer/{name}(num_threads=1)")
    assert (np.abs(usual.observe(usual.init(seeds(256)))[:, 0, GRAVITY.start]) < 0.5).all()


def test_pushes_move_a_robot_and_stop():
    game = tasks.walk_to_target(randomise=1, num_threads=1)
    states = game.init(seeds(1))
    push = states.memory.push
    push.start[:], push.end[:], push.force[:] = 1, 4, [10.0, 0, 0]
    pushed = []
    for _ in range(6):
        states, _ = game.step(states, still(game, 1))
        pushed.append(states.xfrc[0, 1, 0])
    assert pushed == [0, 10, 10, 10, 0, 0] and push.start[0, 0] > 40


def test_the_ball_bounces_and_rolls_as_published():
    """From 0.5 m above the floor it comes back to 0.2 to 0.3 m; at 2 m/s it rolls 2 to 4 m."""
    import mujoco

    model = mujoco.MjModel.from_xml_string(pitch.match_xml((0,)))
    data = mujoco.MjData(model)
    data.qpos[:27] = robot.standing_positions()
    data.qpos[1] = 50.0
    data.qpos[27:30] = [0, 0, 0.59]
    heights = []
    for _ in range(200):
        mujoco.mj_step(model, data)
        heights.append(data.qpos[29] - pitch.BALL_RADIUS)
    lowest = int(np.argmin(heights[:100]))
    assert 0.2 < max(heights[lowest:]) < 0.3
    mujoco.mj_resetData(model, data)
    data.qpos[1] = 50.0
    data.qpos[27:30], data.qvel[26] = [-2.3, 0, pitch.BALL_RADIUS], 2.0
    data.qvel[30] = 2.0 / pitch.BALL_RADIUS
    for _ in range(1000):
        mujoco.mj_step(model, data)
    assert 2.0 < data.qpos[27] + 2.3 < 4.0
