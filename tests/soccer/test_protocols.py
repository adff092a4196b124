"""Protocols: a robot that stands does nothing of it; the scripted one does it at known rates."""

import numpy as np
import pytest

from soccer import bots, protocols

pytest.importorskip("mujoco", reason="MuJoCo is not installed: the extra [soccer]")

SEEDS = np.arange(2, dtype=np.uint64)


@pytest.mark.slow
def test_who_stands_neither_walks_nor_gets_up():
    stand = bots.Stand()
    np.testing.assert_allclose(protocols.walking_speed(stand, SEEDS), 0, atol=5e-3)
    assert np.isnan(protocols.get_up_seconds(stand, SEEDS, on_back=True)).all()
    assert np.isnan(protocols.kick_speed(stand, SEEDS)).all()


def test_the_ball_of_a_kick_is_as_fast_as_what_touches_it():
    """The chaser walks into it at 0.4 m/s with feet that swing twice as fast."""
    speed = protocols.kick_speed(bots.Chaser(), SEEDS)
    assert (speed > 0.2).all() and (speed < 2.0).all()


def test_a_kick_is_much_faster_than_a_step_and_the_robot_stays_up(monkeypatch):
    """The chaser's ball gets 0.5 m/s; the paper's scripted kick 2.07 m/s."""
    monkeypatch.setattr(protocols, "KICK_WITHIN_S", 3.0)
    kicker = Watched()
    speed = protocols.kick_speed(kicker, np.arange(4, dtype=np.uint64))
    assert speed.mean() > 1.5 and (speed < 3.0).all()
    assert (kicker.gravity[:, 2] < -0.9).all()


class Watched(bots.Kicker):
    """A kicker whose last sense of gravity is kept."""

    def kicks(self, observation):
        self.gravity = observation[:, 26:29]
        return super().kicks(observation)


def test_the_scripted_robot_turns():
    """At most about what two feet turn it by, 0.22 rad each 2.04 times per second."""
    rate = protocols.turning_rate(bots.Walker(), SEEDS)
    assert (rate > 0.45).all() and (rate < 0.22 * 2 * 2.04 * 1.2).all()


def test_the_fastest_ball_is_that_of_a_kick_and_not_of_a_throw_in():
    """Ball 0 rolls with 1 m/s, then with 2 m/s for 0.1 s; ball 1 is put 1 m away."""
    steps = np.full((20, 2), 0.025)
    steps[8:12, 0], steps[10, 1] = 0.05, 1.0
    places = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    speed = protocols.fastest(np.stack([places, 0 * places], axis=2))
    np.testing.assert_allclose(speed, [1.5, 1.0])


@pytest.mark.slow
def test_who_stands_up_and_dribbles_touches_the_ball_and_who_lies_does_not():
    shots = protocols.get_up_and_shoot(bots.Chaser(), SEEDS)
    assert (shots.touch_s > 3.0).all() and not (shots.goal_s < shots.touch_s).any()
    lies = protocols.get_up_and_shoot(bots.Stand(), SEEDS)
    assert np.isnan(lies.touch_s).all() and np.isnan(lies.goal_s).all()


def test_the_first_moment_is_counted_from_one_and_what_never_happens_is_nan():
    happened = np.array([[False, False], [True, False], [False, False]])
    np.testing.assert_array_equal(protocols._first(happened), [0.05, np.nan])
