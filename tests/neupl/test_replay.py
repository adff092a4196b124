"""What is kept of played episodes, against a slow loop over a trajectory."""

import jax
import numpy as np

from neupl.learners.replay import empty_replay, focal_episodes, keep, tasks_of
from neupl.matches import Matches
from neupl.rollout import Trajectory
from neupl.types import Objective, Rows

STEPS, LANES, PLAYERS, ACTIONS = 6, 40, 2, 3


def make_trajectory(rng):
    """Turn-based lanes in random order of seats, of different lengths, with rewards at any time."""
    length = rng.integers(1, STEPS + 1, LANES)
    live = np.arange(STEPS)[:, None] < length
    mover = rng.integers(0, PLAYERS, (STEPS, LANES))
    to_move = (mover[..., None] == np.arange(PLAYERS)) & live[..., None]
    shape = (STEPS, LANES, PLAYERS)
    rewards = rng.normal(size=shape) * live[..., None]
    return Trajectory(
        observation=rng.normal(size=(*shape, 4)).astype(np.float32),
        legal_mask=rng.random((*shape, ACTIONS)) < 0.7,
        to_move=to_move,
        action=rng.integers(0, ACTIONS, shape).astype(np.int32),
        log_prob=rng.normal(size=shape).astype(np.float32),
        value=np.zeros(shape, np.float32),
        rewards=rewards.astype(np.float32),
        discount=(np.arange(STEPS)[:, None] < length - 1).astype(np.float32),
        member=np.zeros(shape, np.int32),
    )


def make_rows(size=3, asked=2):
    rng = np.random.default_rng(1)
    joint = rng.dirichlet(np.ones(size), (PLAYERS, size)).astype(np.float32)
    asked = rng.dirichlet(np.ones(size), (PLAYERS, asked)).astype(np.float32)
    return Rows(joint, np.tile(np.arange(size, dtype=np.int32), (PLAYERS, 1)), asked)


def make_played(rng, *, longest=STEPS):
    trajectory = make_trajectory(rng)
    seat = rng.integers(0, PLAYERS, LANES).astype(np.int32)
    profile = rng.integers(0, 3, (LANES, PLAYERS)).astype(np.int32)
    profile[::5, 0] = 4
    temperature = rng.random(LANES)
    played = focal_episodes(
        trajectory, Matches(seat, profile), make_rows(), temperature,
        payoff_range=4.0, longest=longest,
    )  # fmt: skip
    return trajectory, seat, profile, temperature, played


def test_own_decisions_in_order_with_what_they_brought():
    """A decision brings what its seat receives from then until it decides again."""
    trajectory, seat, profile, temperature, played = make_played(np.random.default_rng(0))
    for lane in range(LANES):
        own = seat[lane]
        steps = [t for t in range(STEPS) if trajectory.to_move[t, lane, own]]
        assert played.decided[:, lane].tolist() == [d < len(steps) for d in range(STEPS)]
        for d, t in enumerate(steps):
            end = steps[d + 1] if d + 1 < len(steps) else STEPS
            brought = trajectory.rewards[t:end, lane, own].sum() / 4.0
            np.testing.assert_allclose(played.reward[d, lane], brought, rtol=1e-5, atol=1e-6)
            for name in ("observation", "legal_mask", "action", "log_prob"):
                mine = getattr(played, name)[d, lane]
                np.testing.assert_array_equal(mine, getattr(trajectory, name)[t, lane, own])
        assert (played.reward[len(steps) :, lane] == 0).all()
        assert played.profile[lane].tolist() == [profile[lane, own], profile[lane, 1 - own]]
        assert played.temperature[lane] == np.float32(temperature[lane]) / np.float32(4)


def test_the_oldest_batch_gives_way():
    rng = np.random.default_rng(2)
    batches = [make_played(rng)[-1] for _ in range(5)]
    replay = empty_replay(batches[0], 3)
    assert replay.batch.tolist() == [-1, -1, -1]
    for number, played in enumerate(batches):
        before = replay
        replay = keep(replay, played, number)
        assert before.batch[number % 3] != number, "a state is never changed"
    assert replay.batch.tolist() == [3, 4, 2]
    newest = jax.tree.map(lambda field: field[1], replay)._replace(batch=np.int32(-1))
    jax.tree.map(np.testing.assert_array_equal, newest, batches[4])


def test_strategies_with_another_row_neither_respond_nor_hold():
    """Strategy 1 responds and 2 is held; then 1 of seat 0 gets another row. Strategy 4 is a mixture
    that was asked about, and answers as long as any does.
    """
    played = make_played(np.random.default_rng(3))[-1]
    rows = played.rows
    respond, hold = np.zeros((PLAYERS, 5)), np.zeros((PLAYERS, 5))
    respond[:, 1], respond[:, 3:], hold[:, 2] = 2.0, 0.5, 1.0
    objective = Objective(rows, np.zeros((PLAYERS, 5)), respond, hold, None)
    strategy = played.profile[:, 0]
    responds, holds = tasks_of(played, objective)
    np.testing.assert_array_equal(responds, np.isin(strategy, (1, 4)))
    np.testing.assert_array_equal(holds, strategy == 2)
    joint = np.array(rows.joint)
    joint[0, 1] = joint[0, 1, ::-1]
    other = objective._replace(
        rows=rows._replace(joint=joint, asked=rows.asked[:, ::-1]), respond=respond * (hold == 0)
    )
    responds, _ = tasks_of(played, other)
    gone = (strategy == 1) & (played.seat == 0)
    assert gone.any()
    np.testing.assert_array_equal(responds, np.isin(strategy, (1, 4)) & ~gone)
    respond[:, 3:] = 0.0
    responds, _ = tasks_of(played, objective._replace(respond=respond))
    np.testing.assert_array_equal(responds, strategy == 1)
