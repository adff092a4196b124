"""The robot: its measures, its mirror image to the last bit, that it stands."""

import numpy as np
import pytest

from soccer import pitch, robot

mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed: the extra [soccer]")


@pytest.fixture(scope="module")
def model():
    return mujoco.MjModel.from_xml_string(pitch.match_xml((0,), ball=False))


def simulate(model, positions, velocities, commands):
    """Coordinates and velocities after a physics step for each command."""
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = positions, velocities
    seen = []
    for command in commands:
        data.ctrl[:] = command
        mujoco.mj_step(model, data)
        seen.append((data.qpos.copy(), data.qvel.copy()))
    return seen


def test_measures_are_those_of_the_op3(model):
    """Menagerie's OP3 weighs 3.147 kg; the paper's joint table and identified servo."""
    assert model.body_subtreemass[0] == pytest.approx(3.147, abs=1e-3)
    assert robot.total_mass() == pytest.approx(model.body_subtreemass[0], abs=1e-9)
    assert (model.nq, model.nv, model.nu) == (27, 26, 20)
    assert model.nbody == 1 + robot.NUM_LINKS
    for i, joint in enumerate(robot.JOINTS):
        assert model.actuator(i).name == f"robot0/{joint}"
        assert model.actuator(i).gainprm[0] == 21.1 and model.actuator(i).forcerange[1] == 4.1
        ends = model.joint(f"robot0/{joint}").range
        np.testing.assert_allclose(ends, [robot.JOINT_LOW[i], robot.JOINT_HIGH[i]])
    ends = zip(robot.JOINT_LOW.tolist(), robot.JOINT_HIGH.tolist(), strict=True)
    limits = dict(zip(robot.JOINTS, ends, strict=True))
    assert limits["l_knee"] == (-0.2, 2.2) and limits["r_knee"] == (-2.2, 0.2)
    assert limits["r_hip_pitch"] == (-0.5, 1.6) and limits["head_tilt"] == (-0.63, -0.16)
    assert ((robot.HOME >= robot.JOINT_LOW) & (robot.HOME <= robot.JOINT_HIGH)).all()


def test_joint_order_of_coordinates_is_that_of_actions(model):
    addresses = [int(model.joint(f"robot0/{joint}").qposadr[0]) for joint in robot.JOINTS]
    assert addresses == list(range(7, 27))
    assert robot.JOINTS[2] == "l_sho_pitch" and robot.JOINTS[14] == "r_hip_yaw"


def test_it_stands_in_its_home_pose_with_level_soles(model):
    """The soles are parallel to the floor because the pitches of a leg cancel: hip -0.597 and knee
    1.131 about y, ankle 0.534 about -y. After 2 s at home it still stands where it stood.
    """
    still = np.zeros(26)
    seen = simulate(model, robot.standing_positions(), still, [robot.HOME] * 400)
    positions, velocities = seen[-1]
    assert positions[2] == pytest.approx(0.242, abs=0.004)
    np.testing.assert_allclose(positions[:2], 0, atol=0.01)
    assert np.abs(velocities).max() < 0.02
    assert positions[3] > 0.999
    data = mujoco.MjData(model)
    data.qpos[:] = robot.standing_positions()
    mujoco.mj_kinematics(model, data)
    soles = [data.geom(f"robot0/{side}_foot") for side in "lr"]
    for sole in soles:
        np.testing.assert_allclose(sole.xmat.reshape(3, 3)[2], [0, 0, 1], atol=1e-3)
        assert sole.xpos[2] - 0.006 == pytest.approx(0, abs=0.004)


def test_mirrored_motion_is_the_mirror_image(model):
    """Random states and commands in the air and on the floor. Contacts are solved in another
    order, so images differ by rounding alone; 0.2 s are 40 physics steps.
    """
    rng = np.random.default_rng(1)
    for height in (1.0, 0.2):
        positions = np.concatenate(
            [[0.3, -0.2, height], rng.normal(size=4), robot.HOME + rng.normal(0, 0.2, 20)]
        )
        positions[3:7] /= np.linalg.norm(positions[3:7])
        velocities = rng.normal(0, 0.5, 26)
        commands = robot.HOME + rng.normal(0, 0.5, (40, 20))
        seen = simulate(model, positions, velocities, commands)
        image = robot.mirror_state(positions, velocities)
        images = simulate(model, *image, robot.mirror_joints(commands))
        for (positions, velocities), (image_positions, image_velocities) in zip(
            seen, images, strict=True
        ):
            expected = robot.mirror_state(positions, velocities)
            np.testing.assert_allclose(image_positions, expected[0], atol=1e-9)
            np.testing.assert_allclose(image_velocities, expected[1], atol=1e-7)
        assert np.abs(seen[-1][0] - seen[0][0]).max() > 0.01


def test_a_mirror_image_of_a_mirror_image_is_the_original():
    rng = np.random.default_rng(2)
    positions, velocities = rng.normal(size=(3, 27)), rng.normal(size=(3, 26))
    again = robot.mirror_state(*robot.mirror_state(positions, velocities))
    np.testing.assert_array_equal(again[0], positions)
    np.testing.assert_array_equal(again[1], velocities)
    np.testing.assert_allclose(robot.mirror_joints(robot.HOME), robot.HOME, atol=0)


@pytest.mark.parametrize("on_back", [False, True])
def test_lying_robots_look_down_or_up_with_their_heads_where_asked(on_back):
    """The head points along the body's z axis, the face along x."""
    from soccer.body import rotations

    yaw = np.array([0.3, -2.0, 3.0])
    rotation = rotations(robot.lying_quaternion(yaw, on_back=on_back))
    heads = np.stack([np.cos(yaw), np.sin(yaw), np.zeros(3)], axis=1)
    np.testing.assert_allclose(rotation[:, :, 2], heads, atol=1e-12)
    np.testing.assert_allclose(rotation[:, :, 0], [[0, 0, 1 if on_back else -1]] * 3, atol=1e-12)
