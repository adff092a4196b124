"""The camera in the head: geometry worked out by hand, mirror images, what it tells and when."""

import numpy as np
import pytest

from games.registry import load_game
from games.types import GameError
from soccer import observations, robot, vision
from soccer.body import rotations
from soccer.items import size_of
from soccer.pitch import CONTROL_STEP
from soccer.scene import Scene, read_scene

NOBODY = np.zeros((1, 1), bool)
PAN, TILT = (robot.JOINTS.index(f"head_{name}") for name in ("pan", "tilt"))


def scene_of(ball, *robots, pan=0.0, tilt=-0.4):
    """Robots that stand at places with headings, and a ball on the floor."""
    places = np.array([place for place, _ in robots], float)
    headings = np.array([heading for _, heading in robots], float)
    joints = np.tile(robot.HOME, (1, len(robots), 1))
    joints[..., PAN], joints[..., TILT] = pan, tilt
    nothing = np.zeros((1, len(robots), 3))
    heights = np.full((len(robots), 1), robot.HOME_HEIGHT)
    return Scene(
        position=np.concatenate([places, heights], axis=1)[None],
        rotation=rotations(robot.yaw_quaternion(headings))[None],
        velocity=nothing,
        spin=nothing,
        joints=joints,
        joint_velocity=np.zeros_like(joints),
        ball=np.array([[*ball, 0.09]]),
        ball_velocity=np.zeros((1, 3)),
    )


ME = ((0.0, 0.0), 0.0)


def test_the_camera_stands_on_neck_and_head():
    """Upright and level: 0.2436 + 0.1365 + 0.0285 + 0.05 = 0.4586 m high, -0.001 + 0.010 + 0.014 =
    0.023 m ahead; tilted by -0.4 rad, the last 0.014 m ahead and 0.05 m up turn with the head.
    """
    level = vision.camera_of(scene_of((1, 0), ME, tilt=0.0))
    np.testing.assert_allclose(level.place[0, 0], [0.023, 0, 0.4586], atol=1e-9)
    np.testing.assert_allclose(level.rotation[0, 0], np.eye(3), atol=1e-12)
    c, s = np.cos(0.4), np.sin(0.4)
    home = vision.camera_of(scene_of((1, 0), ME))
    ahead, up = 0.009 + 0.014 * c + 0.05 * s, 0.4086 - 0.014 * s + 0.05 * c
    np.testing.assert_allclose(home.place[0, 0], [ahead, 0, up], atol=1e-9)
    np.testing.assert_allclose(home.rotation[0, 0, :, 0], [c, 0, -s], atol=1e-12)
    # The head looks to the left, the torso too.
    turned = vision.camera_of(scene_of((1, 0), ((0, 0), np.pi / 2), pan=0.5, tilt=0.0))
    np.testing.assert_allclose(
        turned.rotation[0, 0, :, 0], [-np.sin(0.5), np.cos(0.5), 0], atol=1e-12
    )


def test_the_lens_is_as_wide_as_it_is_high_at_16_to_9():
    assert np.degrees(2 * np.arctan(vision.HALF_HEIGHT)) == pytest.approx(43.3)
    assert np.degrees(2 * np.arctan(vision.HALF_WIDTH)) == pytest.approx(70.4, abs=0.05)


@pytest.mark.parametrize(
    ("ball", "head", "seen"),
    [
        ((1, 0), {}, True),
        ((-1, 0), {}, False),
        # 35.2 degrees to either side, from the lens, 0.04 m ahead.
        ((1, 0.6), {}, True),
        ((1, 0.8), {}, False),
        ((1, 0.8), {"pan": 0.5}, True),
        ((1, -0.8), {"pan": 0.5}, False),
        # It looks down by 22.9 degrees, and sees as much as 44.6: 0.37 m ahead of the lens.
        ((0.45, 0), {}, True),
        ((0.38, 0), {}, False),
        ((0.38, 0), {"tilt": -0.6}, True),
        # ... and as little as 1.3, which is the floor at 16 m.
        ((6, 0), {}, True),
        ((2, 0), {"tilt": -0.63}, False),
    ],
)
def test_balls_in_the_field_of_view_are_seen(ball, head, seen):
    for left in (1, -1):
        mirrored = {**head, "pan": left * head.get("pan", 0.0)}
        found = vision.visible(scene_of((ball[0], left * ball[1]), ME, **mirrored))
        np.testing.assert_array_equal(found, [[[seen, False]]])


def test_who_stands_between_hides_the_ball():
    """And is seen instead; beside the line, or behind the ball, it hides nothing."""
    for place, ball_seen in (((1.0, 0.0), False), ((1.0, 0.25), True), ((2.2, 0.0), True)):
        seen = vision.visible(scene_of((1.6, 0), ME, (place, np.pi)))
        assert seen[0, 0].tolist() == [ball_seen, False, True]
        # It looks back: the first robot is seen, the ball is between them or behind it.
        assert seen[0, 1].tolist() == [place[0] > 1.6, True, False]
    # A third one, hidden behind the second and bigger in no way.
    seen = vision.visible(scene_of((0, 2), ME, ((1, 0), 0), ((2, 0), 0)))
    assert seen[0, 0].tolist() == [False, False, True, False]


def test_mirrored_worlds_are_seen_and_told_to_critics_mirrored():
    """Of 200 random pairs of robots, some of whom see each other and some the ball."""
    rng = np.random.default_rng(4)
    n, flip = 200, np.array([1, -1, 1])
    position = rng.uniform([-2, -2, 0.2], [2, 2, 0.3], (n, 2, 3))
    turns = rng.normal(0, 0.2, (n, 2, 4)) + robot.yaw_quaternion(rng.uniform(0, 6.3, (n, 2)))
    joints = robot.HOME + rng.normal(0, 0.3, (n, 2, 20))
    rates = rng.normal(size=(n, 2, 26))
    ball, ball_velocity = rng.uniform([-2, -2, 0.1], [2, 2, 0.1], (n, 3)), rng.normal(size=(n, 3))
    worlds = []
    for mirrored in (False, True):
        places = np.concatenate([position, turns, joints], axis=-1)
        of_robots = robot.mirror_state(places, rates) if mirrored else (places, rates)
        of_ball = (ball * flip, ball_velocity * flip) if mirrored else (ball, ball_velocity)
        qpos = np.concatenate([of_robots[0].reshape(n, -1), of_ball[0], np.zeros((n, 4))], 1)
        qvel = np.concatenate([of_robots[1].reshape(n, -1), of_ball[1], np.zeros((n, 3))], 1)
        worlds.append(read_scene(qpos, qvel, 2))
    seen = [vision.visible(world) for world in worlds]
    np.testing.assert_array_equal(*seen)
    assert seen[0].any(axis=(0, 1)).all() and not seen[0].all(axis=(0, 1)).any()
    told = [
        observations.privileged(world, opponents=~np.eye(2, dtype=bool), time_left=np.ones(n))
        for world in worlds
    ]
    mirror = observations.mirror_of()
    np.testing.assert_allclose(
        told[0][..., mirror.privileged_order] * mirror.privileged_sign, told[1], atol=1e-9
    )
    assert np.abs(told[0] - told[1]).max() > 1


def test_lines_of_sight_pass_bodies_at_the_distance_of_the_nearest_points():
    rng = np.random.default_rng(0)
    ends = rng.normal(size=(4, 200, 3))
    ends[1, :20] = ends[0, :20] + 2 * (ends[3, :20] - ends[2, :20])
    t = np.linspace(0, 1, 201)[:, None]
    by_hand = []
    for start, end, other_start, other_end in zip(*ends, strict=True):
        one, other = start + t * (end - start), other_start + t * (other_end - other_start)
        by_hand.append(np.linalg.norm(one[:, None] - other, axis=-1).min())
    np.testing.assert_allclose(vision.segment_distance(*ends), by_hand, atol=0.02)
    assert (vision.segment_distance(*ends) <= np.array(by_hand) + 1e-9).all()


def test_a_look_tells_places_with_noise_and_nothing_else():
    """Of 20,000 looks; five standard errors of a standard deviation are 2.5 %."""
    n = 20_000
    known = np.tile(np.arange(1.0, 13.0), (n, 1, 1))
    seen = np.tile([True, False], (n, 1, 1))
    told = vision.look(known, seen, np.random.default_rng(0).random((n, 1, 2, 3)))[:, 0]
    tells = told[:, 12] == 1
    assert abs(tells.mean() - 0.95) < 5 * np.sqrt(0.05 * 0.95 / n)
    spread = vision.NOISE + vision.NOISE_PER_METRE * np.hypot(1, 2)
    np.testing.assert_allclose(told[tells, :2].mean(axis=0), [1, 2], atol=5 * spread / n**0.5)
    np.testing.assert_allclose(told[tells, :2].std(axis=0), spread, rtol=0.026)
    assert abs(np.corrcoef(told[tells, :2].T)[0, 1]) < 0.036
    assert not told[~tells, :2].any() and not told[:, 2:12].any() and not told[:, 13].any()
    whole = vision.beside_goals(told[:, None], known)[:, 0]
    np.testing.assert_array_equal(whole[:, 4:8], known[:, 0, 4:8])
    np.testing.assert_array_equal(np.delete(whole, range(4, 8), 1), np.delete(told, range(4, 8), 1))


def test_looking_counts_time_and_searches():
    """Lane 0: seen 2 of 5 steps, one search of 2, one cut off; lane 1: 3 of 4, a search of 1."""
    seen = np.array([[1, 1], [0, 0], [0, 1], [1, 1], [0, 0], [1, 0]], bool)
    found = vision.looking(seen, np.array([5, 4]))
    assert found.share == pytest.approx(5 / 9) and found.lost == 1
    np.testing.assert_allclose(found.search, np.array([2, 1]) * CONTROL_STEP)


@pytest.mark.parametrize(
    ("name", "observed", "known"),
    [
        ("score", 267 + 2, 61 + 12),
        ("duel", 267 + 2, 61 + 12),
        ("team", 275 + 4, 61 + 20),
    ],
)
def test_sizes_and_mirror_images(name, observed, known):
    """Flags stay, places and velocities turn."""
    game = load_game(f"soccer/{name}(vision=1)")
    assert game.info.observation_size[0] == observed
    assert game.info.privileged_size == known
    mirror, scenario = game.mirror, game.task.scenario
    assert len(mirror.observation_order) == observed and len(mirror.privileged_order) == known
    things = 4 if name == "team" else 2
    assert [item.name for item in scenario.extras[-things:]] == [
        f"{thing}_seen" for thing in vision.THINGS[:things]
    ]
    np.testing.assert_array_equal(mirror.observation_sign[-things:], 1)
    assert size_of(scenario.privileged) == known
    # The last item that critics see is a velocity: ahead, left.
    np.testing.assert_array_equal(mirror.privileged_sign[-2:], [1, -1])


def test_vision_is_of_humanoids():
    with pytest.raises(GameError, match="vision=1 is of humanoids"):
        load_game("soccer/duel(body=boxhead,vision=1)")
    with pytest.raises(GameError, match="vision is 2, allowed are 0 and 1"):
        load_game("soccer/score(vision=2)")


def test_the_camera_tells_late_and_the_critic_at_once():
    """A robot that stands: the ball's place is told with noise of at most 6 standard deviations,
    goals as without vision, and what critics see is what the game shows without vision.
    """
    pytest.importorskip("mujoco")
    seeds = np.arange(64, dtype=np.uint64)
    games = [load_game(f"soccer/score({options})") for options in ("vision=1", "num_threads=1")]
    states, plain = (game.init(seeds) for game in games)
    ball = observations.layout()[-6][2]
    assert ball == slice(255, 257)
    exact = []
    actions = np.zeros((64, 1, 20), np.float32)
    for _ in range(5):
        seen, known = games[0].observe(states)[:, 0], games[1].observe(plain)[:, 0]
        privileged = games[0].observe_privileged(states)[:, 0]
        np.testing.assert_array_equal(privileged[:, 61:], known[:, 255:])
        np.testing.assert_array_equal(seen[:, 259:263], known[:, 259:263])
        exact.append(known[:, ball])
        told = seen[:, 267] == 1
        late = exact[max(len(exact) - 1 - vision.DELAY, 0)]
        spread = vision.NOISE + vision.NOISE_PER_METRE * np.linalg.norm(late, axis=1)
        wrong = np.abs(seen[:, ball] - late).max(axis=1) / spread
        assert wrong[told].max() < 6 and np.ptp(seen[~told, 255:257]) == 0
        assert 0 < told.mean() < 1
        states, _ = games[0].step(states, actions)
        plain, _ = games[1].step(plain, actions)


def test_recordings_tell_when_the_ball_was_in_view():
    """Two frames of a robot at home, the ball ahead and behind."""
    frames = np.zeros((2, 1, 27 + 7), np.float32)
    frames[:, 0, :27], frames[:, 0, 27], frames[:, 0, 29] = (
        robot.standing_positions(),
        (1, -1),
        0.09,
    )
    np.testing.assert_array_equal(vision.ball_in_view(frames), [[True], [False]])
