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


def test_the_scripted_robot_turns():
    """At most about what two feet turn it by, 0.22 rad each 2.04 times per second."""
    rate = protocols.turning_rate(bots.Walker(), SEEDS)
    assert (rate > 0.45).all() and (rate < 0.22 * 2 * 2.04 * 1.2).all()


def test_the_first_moment_is_counted_from_one_and_what_never_happens_is_nan():
    happened = np.array([[False, False], [True, False], [False, False]])
    np.testing.assert_array_equal(protocols._first(happened), [0.05, np.nan])
