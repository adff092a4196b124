"""MuJoCo lanes: physics by hand, streams, threads to the same bits, the guard."""

from typing import NamedTuple

import numpy as np
import pytest

from games.mujoco_host import MujocoHost
from games.types import GameError, GameInfo, HostGame

pytest.importorskip("mujoco", reason="MuJoCo is not installed: the extra [soccer]")

TIMESTEP, SUBSTEPS = 0.01, 4


class Noted(NamedTuple):
    started: np.ndarray


class Sledge:
    """Two players pull a mass of 2 kg along a frictionless rail, each with up to 1 N.

    It starts at a random place; the reward of player 0 is its place, the episode ends beyond 5 m.
    """

    xml = f"""<mujoco><option timestep="{TIMESTEP}" gravity="0 0 0"/><worldbody><body name="sledge">
      <joint name="rail" type="slide" axis="1 0 0"/><geom size="0.1" mass="2"/></body></worldbody>
      <actuator><motor joint="rail"/></actuator></mujoco>"""
    substeps = SUBSTEPS
    observation_kind = "place"
    info = GameInfo(
        name="sledge",
        num_players=2,
        num_actions=(1, 1),
        observation_size=(1, 1),
        utility="zero_sum",
        symmetric=True,
        min_return=-100.0,
        max_return=100.0,
        max_steps=8,
        continuous=True,
    )

    def allocate(self, batch):
        return Noted(np.zeros(batch.nsim))

    def begin(self, states, lanes):
        numbers = np.arange(len(states.over))[lanes]
        states.qpos[lanes, 0] = states.memory.started[lanes] = states.streams.uniform(numbers)

    def command(self, states, lanes, actions):
        states.ctrl[lanes, 0] = actions[:, 0, 0] - actions[:, 1, 0]

    def settle(self, states, lanes):
        place = states.qpos[lanes, 0]
        return np.stack([place, -place], axis=1), np.abs(place) > 5

    def observe(self, states):
        return np.stack([states.qpos, -states.qpos], axis=1).astype(np.float32)


def pulls(*first, second=0.0):
    """Actions of lanes: the first player's pulls, and the same of the second in every lane."""
    return np.array([[[pull], [second]] for pull in first], np.float32)


@pytest.fixture
def host():
    return MujocoHost(Sledge(), num_threads=1)


def test_a_step_is_so_many_steps_of_semi_implicit_euler(host):
    """Velocity first: after n steps of h from rest under a = F / m, v = n h a and the way is
    h^2 a (1 + 2 + ... + n). Pulls beyond 1 count as 1.
    """
    assert isinstance(host, HostGame)
    states = host.init(np.array([3, 4], np.uint64))
    started = states.memory.started.copy()
    np.testing.assert_allclose(host.observe(states)[:, 0, 0], started, rtol=1e-6)
    states, now = host.step(states, pulls(1.0, 30.0, second=-0.5))
    way = TIMESTEP**2 * (1.5 / 2) * sum(range(1, SUBSTEPS + 1))
    np.testing.assert_allclose(states.qpos[:, 0], started + way, rtol=1e-12)
    np.testing.assert_allclose(states.qvel[:, 0], SUBSTEPS * TIMESTEP * 1.5 / 2, rtol=1e-12)
    np.testing.assert_allclose(now.rewards[:, 0], started + way, rtol=1e-6)
    np.testing.assert_array_equal(now.rewards[:, 1], -now.rewards[:, 0])
    assert now.to_move.all() and now.legal_mask.all() and (now.discount == 1).all()


def test_episodes_end_and_ended_lanes_stay_as_they_are(host):
    states = host.init(np.arange(3, dtype=np.uint64))
    states.qvel[1] = 200.0
    states, now = host.step(states, pulls(0, 0, 0))
    np.testing.assert_array_equal(now.discount, [1, 0, 1])
    assert now.rewards[1, 0] > 5 and not now.to_move[1].any() and now.legal_mask[1].any()
    place = states.qpos[1, 0]
    ended = np.full((3, 2, 1), np.nan, np.float32)
    ended[[0, 2]] = 0
    states, now = host.step(states, ended)
    assert states.qpos[1, 0] == place and not now.rewards[1].any()
    assert not host.observe(states)[1].any()
    np.testing.assert_array_equal(states.steps, [2, 1, 2])
    for _ in range(6):
        states, now = host.step(states, pulls(0, 0, 0))
    assert not now.discount.any() and states.steps.max() == host.info.max_steps
    states, now = host.reset_where(states, np.array([True, True, False]))
    np.testing.assert_array_equal(now.discount, [1, 1, 0])
    assert states.qvel[1, 0] == 0 and 0 <= states.qpos[1, 0] < 1 and states.qpos[1, 0] != place


def test_a_lane_depends_on_its_own_seed_alone_and_not_on_threads():
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (20, 6, 2, 1)).astype(np.float32)

    def play(lanes, num_threads):
        host = MujocoHost(Sledge(), num_threads=num_threads)
        states = host.init(np.array(lanes, np.uint64))
        seen = []
        for joint in actions:
            states, now = host.step(states, joint[lanes])
            seen.append(np.concatenate([states.qpos, states.qvel, now.rewards], axis=1))
            states, _ = host.reset_where(states, now.discount == 0)
        return np.stack(seen)

    together = play(range(6), 1)
    assert len(np.unique(together[0, :, 0])) == 6
    np.testing.assert_array_equal(play(range(6), 3), together)
    np.testing.assert_array_equal(play([4, 1], 2), together[:, [4, 1]])


def test_a_broken_simulation_ends_its_episode_and_is_counted(host, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    states = host.init(np.arange(3, dtype=np.uint64))
    states.qvel[0], states.qpos[2] = np.inf, np.nan
    states, now = host.step(states, pulls(0, 0, 0))
    np.testing.assert_array_equal(now.discount, [0, 1, 0])
    np.testing.assert_array_equal(states.broken, [1, 0, 1])
    assert np.isfinite(states.qpos).all() and np.isfinite(states.qvel).all()
    assert not now.rewards[[0, 2]].any()
    states, now = host.reset_where(states, now.discount == 0)
    states, now = host.step(states, pulls(1, 1, 1))
    assert now.discount.all() and states.broken.sum() == 2
    assert not list(tmp_path.iterdir())  # MuJoCo would leave a log here


def test_bad_actions_and_options_are_named(host):
    states = host.init(np.arange(2, dtype=np.uint64))
    with pytest.raises(ValueError, match=r"shape \(2, 1, 1\), expected \(2, 2, 1\)"):
        host.step(states, np.zeros((2, 1, 1), np.float32))
    with pytest.raises(ValueError, match="lane 1: the action of player 0 is not finite"):
        host.step(states, pulls(0, np.nan))
    with pytest.raises(GameError, match="num_threads is 0"):
        MujocoHost(Sledge(), num_threads=0)
