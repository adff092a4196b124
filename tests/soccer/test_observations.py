"""Observations: sizes, frames worked out by hand, mirror images, delays."""

import numpy as np
import pytest

from soccer import observations, randomisation, robot
from soccer.control import targets_of
from soccer.observations import Before, Sensors
from soccer.scene import Scene

STILL = Sensors(np.zeros((1, 2, 20)), np.tile(np.eye(3), (1, 2, 1, 1)), np.zeros((1, 2, 3)))
ATTACK = np.array([1.0, -1.0])
OPPONENTS = ~np.eye(2, dtype=bool)
NOBODY = np.zeros((2, 2), bool)


def turn(axis, angle):
    """A rotation matrix by Euler's axis and angle, of the axis 0, 1 or 2."""
    c, s = np.cos(angle), np.sin(angle)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix


def scene():
    """Home at (1, 2) faces +y and away at (0, 2) lies on its face, its head to +x."""
    return Scene(
        position=np.array([[[1.0, 2.0, 0.24], [0.0, 2.0, 0.1]]]),
        rotation=np.array([[turn(2, np.pi / 2), turn(1, np.pi / 2)]]),
        velocity=np.array([[[0.0, 4.0, 0.0], [0.0, 0.0, 0.0]]]),
        spin=np.array([[[0.0, 0.0, 2.0], [0.0, 0.0, 0.0]]]),
        joints=np.tile(robot.HOME, (1, 2, 1)),
        joint_velocity=np.zeros((1, 2, 20)),
        ball=np.array([[1.5, 3.0, 0.09]]),
        ball_velocity=np.array([[2.0, 0.0, 0.0]]),
    )


def before():
    """25 ms earlier: home 0.1 m behind, at rest; the ball 5 cm to the left along x."""
    now = scene()
    return Before(
        position=now.position - [[[0, 0.1, 0], [0, 0, 0]]],
        velocity=np.zeros((1, 2, 3)),
        spin=np.zeros((1, 2, 3)),
        ball=now.ball - [0.05, 0, 0],
    )


def test_mirror_images_are_permutations_with_signs():
    rng = np.random.default_rng(0)
    for extras in ((), observations.TEAM):
        mirror = observations.mirror_of(extras)
        seen = rng.normal(size=(3, observations.NUM_OBSERVATIONS + observations.size_of(extras)))
        by_order = seen[:, mirror.observation_order] * mirror.observation_sign
        np.testing.assert_array_equal(by_order, observations.mirror_observation(seen, extras))
    actions = rng.uniform(-1, 1, (5, robot.NUM_JOINTS))
    mirrored = targets_of(actions[:, mirror.action_order] * mirror.action_sign)
    np.testing.assert_allclose(mirrored, robot.mirror_joints(targets_of(actions)), atol=1e-12)


def test_there_are_267_numbers_in_the_order_of_table_s2():
    """Stacked: 20 + 3 + 3 + 3 + 20 + 2 = 51 five times; once: 6 places and velocities on the
    floor.
    """
    assert observations.NUM_OBSERVATIONS == 267
    places = observations.layout()
    assert places[0][0] == "joint_positions[0]" and places[0][2] == slice(0, 20)
    assert [name for name, _, _ in places if name.startswith("velocity")] == [
        f"velocity[{age}]" for age in range(5)
    ]
    by_name = {name: place for name, _, place in places}
    assert by_name["gravity[0]"] == slice(26, 29) and by_name["velocity[4]"] == slice(253, 255)
    assert by_name["ball"] == slice(255, 257) and by_name["opponent_velocity"] == slice(265, 267)
    assert observations.layout(observations.TEAM)[-1][2].stop == 275


def test_body_senses_by_hand():
    """Home faces +y and went from rest to 4 m/s that way in 25 ms: 160 m/s^2 ahead, 9.81 up. It
    spins at 2 rad/s, from rest: a sensor 5 mm ahead also feels 0.005 (2 / 0.025) to the left and
    0.005 2^2 back. Away lies on its face: down is ahead, so that 9.81 is felt behind.
    """
    sensors = STILL._replace(place=np.array([[[0.005, 0, 0], [0, 0, 0]]]))
    sensed = observations.sense_body(scene(), before(), sensors)[0]
    np.testing.assert_allclose(sensed[0, 20:23], [160 - 0.02, 0.4, 9.81], atol=1e-9)
    np.testing.assert_allclose(sensed[0, 23:26], [0, 0, 2], atol=1e-12)
    np.testing.assert_allclose(sensed[0, 26:29], [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(sensed[0, 29:], [4, 0], atol=1e-9)
    np.testing.assert_allclose(sensed[1, 20:23], [-9.81, 0, 0], atol=1e-9)
    np.testing.assert_allclose(sensed[1, 26:29], [1, 0, 0], atol=1e-12)


def test_sensors_that_are_off():
    """A sensor turned by 90 degrees about x reports what is to the left as ahead of its own y: its
    rotation maps body (0, 0, -1) to (0, 1, 0).
    """
    offset = np.linspace(-0.05, 0.05, 40).reshape(1, 2, 20)
    turned = np.tile(turn(0, np.pi / 2), (1, 2, 1, 1))
    sensed = observations.sense_body(
        scene(), before(), Sensors(offset, turned, np.zeros((1, 2, 3)))
    )
    np.testing.assert_allclose(sensed[0, :, :20], robot.HOME + offset[0])
    np.testing.assert_allclose(sensed[0, 0, 26:29], [0, 1, 0], atol=1e-12)


def test_game_senses_by_hand():
    """Home looks along +y: what is at +x is to its right. Away faces +x, where its head points."""
    seen = observations.sense_game(
        scene(), before(), attack=ATTACK, opponents=OPPONENTS, mates=NOBODY, ball=True
    )[0]
    home = [(1, -0.5), (0, 1), (-2, 3.5), (-2, -1.5), (0, -2), (0, 0)]
    away = [(1.5, 1), (1, 0), (2.5, -2), (-2.5, -2), (2, 0), (0, 4)]
    np.testing.assert_allclose(seen[0].reshape(6, 2), home, atol=1e-8)
    np.testing.assert_allclose(seen[1].reshape(6, 2), away, atol=1e-8)


def test_what_is_not_there_is_zero():
    alone = Scene(*(part[:, :1] if part.shape[1] == 2 else part for part in scene()))
    was = Before(*(part[:, :1] for part in before()[:3]), before().ball)
    seen = observations.sense_game(
        alone, was, attack=ATTACK[:1], opponents=NOBODY[:1, :1], mates=NOBODY[:1, :1], ball=False
    )
    assert seen.shape == (1, 1, 12) and not seen.any()


def test_team_mates_and_the_nearer_opponent_come_in_order():
    """Four robots on the x axis at 0, 1 (home) and 5, 3 (away), all facing x; robot 1 moves."""
    position = np.array([[[x, 0.0, 0.25] for x in (0.0, 1.0, 5.0, 3.0)]])
    now = scene()._replace(
        position=position, rotation=np.tile(np.eye(3), (1, 4, 1, 1)), velocity=np.zeros((1, 4, 3))
    )
    was = Before(position - [[[0, 0, 0], [0, 0.05, 0], [0, 0, 0], [0, 0, 0]]], *before()[1:])
    home = np.array([True, True, False, False])
    opponents = home[:, None] != home
    mates = ~opponents & ~np.eye(4, dtype=bool)
    seen = observations.sense_game(
        now, was, attack=np.array([1.0, 1, -1, -1]), opponents=opponents, mates=mates, ball=True
    )[0]
    np.testing.assert_allclose(seen[0, 2:4], [3, 0], atol=1e-9)  # the nearer opponent
    np.testing.assert_allclose(seen[0, 12:], [1, 0, 0, 2, 5, 0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(seen[2, 2:4], [-4, 0], atol=1e-9)
    np.testing.assert_allclose(seen[2, 10:12], [0, 2], atol=1e-9)  # it moves to the left
    np.testing.assert_allclose(seen[2, 12:], [-2, 0, 0, 0, -5, 0, 0, 0], atol=1e-9)


def test_targets_are_seen_from_the_robot_where_others_have_the_ball():
    nobody = np.zeros((2, 2), bool)
    seen = observations.sense_game(
        scene(), before(), attack=np.array([1.0, -1.0]), opponents=nobody, mates=nobody,
        ball=False, target=np.array([[[1.0, 3.0], [0.0, 0.0]]]),
    )[0]  # fmt: skip
    np.testing.assert_allclose(seen[:, :2], [[1, 0], [0, -2]], atol=1e-8)
    assert not seen[:, 2:].any()


def test_history_is_newest_first():
    history = np.arange(2 * 5 * 51, dtype=float).reshape(1, 2, 5, 51)
    body, action = np.full((1, 2, 31), -1.0), np.full((1, 2, 20), -2.0)
    after = observations.stack_newest(history, body, action)
    np.testing.assert_array_equal(after[:, :, 1:], history[:, :, :-1])
    np.testing.assert_array_equal(after[0, 0, 0], [-1] * 29 + [-2] * 20 + [-1] * 2)


def test_a_mirrored_observation_mirrors_twice_to_itself_and_checks_its_size():
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(3, 275))
    image = observations.mirror_observation(seen, observations.TEAM)
    np.testing.assert_array_equal(observations.mirror_observation(image, observations.TEAM), seen)
    np.testing.assert_array_equal(image[:, 255:257], seen[:, 255:257] * (1, -1))
    np.testing.assert_array_equal(image[:, 23:26], seen[:, 23:26] * (-1, 1, -1))
    with pytest.raises(ValueError, match="has 275 numbers, expected 267"):
        observations.mirror_observation(seen)


def test_critics_know_more_by_hand():
    """Home sees away lie 1 m to its left, its head to the right of where home looks."""
    known = observations.privileged(scene(), opponents=OPPONENTS, time_left=np.array([0.25]))[0, 0]
    sizes = np.cumsum([item.size for item in observations.PRIVILEGED])
    assert sizes[-1] == 61
    parts = dict(
        zip((i.name for i in observations.PRIVILEGED), np.split(known, sizes[:-1]), strict=True)
    )
    np.testing.assert_allclose(parts["body_velocity"], [4, 0, 0], atol=1e-12)
    np.testing.assert_allclose(parts["exact_ball"], [1, -0.5], atol=1e-8)
    np.testing.assert_allclose(parts["exact_ball_velocity"], [0, -2], atol=1e-8)
    np.testing.assert_allclose(parts["opponent_gravity"], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(parts["opponent_facing"], [0, -1], atol=1e-8)
    assert parts["time_left"] == 0.25 and parts["ball_height"] == 0.09


def test_delays_interpolate_between_control_steps():
    """0 ms is now; 10 ms are 0.4 of a step, 40 ms 1.6 steps, 50 ms exactly two."""
    weights = randomisation.delay_weights(np.array([0.0, 0.010, 0.040, 0.050]))
    expected = [[1, 0, 0], [0.6, 0.4, 0], [0, 0.4, 0.6], [0, 0, 1]]
    np.testing.assert_allclose(weights, expected, atol=1e-12)


def test_randomisation_stays_within_its_ranges():
    n, P = 2000, 2
    uniform = np.random.default_rng(0).random((n, randomisation.numbers_needed(P)))
    drawn = randomisation.draw(uniform, P)
    assert 0.5 <= drawn.floor_friction.min() < 0.51 and 0.99 < drawn.floor_friction.max() < 1.0
    assert np.degrees(np.abs(drawn.sensors.joint_offset).max()) == pytest.approx(2.9, abs=0.01)
    angle = np.arccos((np.trace(drawn.sensors.rotation, axis1=2, axis2=3) - 1) / 2)
    assert np.degrees(angle.max()) == pytest.approx(2.0, abs=0.01)
    np.testing.assert_allclose(np.linalg.det(drawn.sensors.rotation), 1, atol=1e-12)
    assert np.linalg.norm(drawn.sensors.place, axis=-1).max() < 0.005
    assert drawn.extra_mass.min() >= 0 and drawn.extra_mass.max() < 0.5
    np.testing.assert_allclose(drawn.delay_weights.sum(axis=-1), 1, atol=1e-12)
    push = randomisation.draw_push(
        np.random.default_rng(1).random((n, 7)), np.full(n, 100, np.int64)
    )
    assert push.start.min() == 140 and push.start.max() == 220
    assert set(push.end - push.start) == {2, 3, 4, 5, 6}
    strength = np.linalg.norm(push.force, axis=1)
    assert strength.min() >= 5 and strength.max() < 15 and not push.force[:, 2].any()


def test_a_point_mass_on_the_torso_by_hand():
    """0.5 kg, 7 cm to the left: the centre of mass moves by 0.5 / 1.84928 of that; about x and z
    the moments grow by the reduced mass times the square of the distance.
    """
    mass, com, inertia = randomisation.with_extra_mass(np.array([0.5]), np.array([[0, 0.07, 0]]))
    assert mass[0] == pytest.approx(1.84928)
    np.testing.assert_allclose(com[0], [-0.015, 0.018926, 0.066], atol=1e-6)
    grown = 1.34928 * 0.5 / 1.84928 * 0.0049
    np.testing.assert_allclose(inertia[0] - robot.TORSO.inertia, [grown, 0, grown], atol=1e-12)
