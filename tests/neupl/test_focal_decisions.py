"""What PPO learns from: the focal seats' decisions with advantages from their definition, in
minibatches.
"""

import jax
import numpy as np
import pytest

from neupl.learners.decisions import Decisions, focal_decisions, minibatches
from neupl.matches import Matches
from neupl.population_actor import Seen
from neupl.rollout import Trajectory
from neupl.types import Objective, Rows


def random_trajectory(rng, *, steps, lanes, players, size=4, actions=3):
    """Seats move at arbitrary steps, several at once or none, and are paid at any step."""
    shape = (steps, lanes, players)
    to_move = rng.random(shape) < 0.4
    numbers = rng.integers(0, 9, shape).astype(np.float32)
    return Trajectory(
        observation=rng.normal(size=(*shape, size)).astype(np.float32),
        legal_mask=rng.random((*shape, actions)) < 0.7,
        to_move=to_move,
        action=rng.integers(0, actions, shape).astype(np.int32),
        log_prob=-rng.random(shape).astype(np.float32),
        value=np.where(to_move, rng.normal(size=shape), 0).astype(np.float32),
        rewards=numbers - 4,
        discount=np.repeat([1, 0], [steps - 1, 1])
        .astype(np.float32)[:, None]
        .repeat(lanes, axis=1),
        member=np.zeros(shape, np.int32),
    )


def slow_advantages(trajectory, lane, seat, *, payoff_range, trace, temperature):
    """`{step: advantage}`: the sum of `trace ** j` times the j-th temporal difference from it on,
    the rewards between two decisions of the seat taken together, and with what the second one's
    surprise is worth.
    """
    times = [t for t in range(len(trajectory.to_move)) if trajectory.to_move[t, lane, seat]]
    differences = []
    for i, t in enumerate(times):
        end = times[i + 1] if i + 1 < len(times) else len(trajectory.to_move)
        paid = sum(float(trajectory.rewards[s, lane, seat]) for s in range(t, end)) / payoff_range
        after = 0.0
        if i + 1 < len(times):
            after = float(trajectory.value[end, lane, seat])
            after -= temperature / payoff_range * float(trajectory.log_prob[end, lane, seat])
        differences.append(paid + after - float(trajectory.value[t, lane, seat]))
    return {
        t: sum(trace**j * d for j, d in enumerate(differences[i:])) for i, t in enumerate(times)
    }


def random_task(rng, players, size):
    weights = rng.random((3, players, size)).astype(np.float32)
    rows = Rows(np.zeros((players, size, size ** (players - 1)), np.float32), np.zeros((1, 1), int))
    respond = np.where(weights[1] < 0.5, 0, weights[1])
    return Objective(rows, weights[0], respond, weights[2], teacher=None)


@pytest.mark.parametrize("trace", [0.0, 0.7, 1.0])
def test_advantages_are_those_of_the_definition(trace):
    """Three seats, episodes in which the focal seat moves now and then or never."""
    rng = np.random.default_rng(0)
    trajectory = random_trajectory(rng, steps=9, lanes=40, players=3)
    trajectory.to_move[:, 7] = False
    matches = Matches(
        rng.integers(0, 3, 40).astype(np.int32), rng.integers(0, 4, (40, 3)).astype(np.int32)
    )
    task = random_task(rng, 3, 4)
    found = focal_decisions(trajectory, matches, task, payoff_range=5.0, trace=trace)
    n = 0
    slow = [
        slow_advantages(
            trajectory, lane, seat, payoff_range=5.0, trace=trace,
            temperature=task.temperature[seat, matches.profile[lane, seat]],
        )
        for lane, seat in enumerate(matches.seat)
    ]  # fmt: skip
    for t in range(9):
        for lane, seat in enumerate(matches.seat):
            if not trajectory.to_move[t, lane, seat]:
                continue
            own, others = matches.profile[lane, seat], np.delete(matches.profile[lane], seat)
            assert found.advantage[n] == pytest.approx(slow[lane][t], abs=1e-5)
            value = trajectory.value[t, lane, seat]
            assert found.target[n] == pytest.approx(slow[lane][t] + value, abs=1e-5)
            np.testing.assert_array_equal(
                found.seen.observation[n], trajectory.observation[t, lane, seat]
            )
            np.testing.assert_array_equal(
                found.seen.legal_mask[n], trajectory.legal_mask[t, lane, seat]
            )
            assert found.seen.seat[n] == seat
            np.testing.assert_array_equal(found.seen.profile[n], [own, *others])
            assert found.action[n] == trajectory.action[t, lane, seat]
            assert found.log_prob[n] == trajectory.log_prob[t, lane, seat]
            assert found.temperature[n] == pytest.approx(task.temperature[seat, own] / 5.0)
            assert found.respond[n] == (task.respond[seat, own] > 0)
            assert found.hold[n] == (task.hold[seat, own] > 0)
            n += 1
    assert n == len(found.action) > 100
    np.testing.assert_array_equal(found.counts, np.ones(n))


def test_advantages_of_two_decisions_by_hand():
    """Seat 1 decides at steps 1 and 3 of 5, values 0.5 and 0.25; in payoff ranges (of 4 points) it
    receives 1/4 at step 0, which nobody decided, 2/4 at step 2 and -1/4 at step 4. What it does at
    step 3 has probability exp(-0.5), at a temperature of 0.8 points: its surprise is worth 0.1.

    The temporal differences are 2/4 + 0.25 + 0.1 - 0.5 = 0.35 and -1/4 - 0.25 = -0.5, the
    advantages with trace 1/2 are 0.35 - 0.25 = 0.1 and -0.5; with trace 1 the returns to go,
    1/4 + 0.1 and -1/4, less the values: -0.15 and -0.5.
    """
    rng = np.random.default_rng(0)
    trajectory = random_trajectory(rng, steps=5, lanes=1, players=2)
    trajectory.to_move[:, 0, 1] = [False, True, False, True, False]
    trajectory.value[:, 0, 1] = [0, 0.5, 0, 0.25, 0]
    trajectory.rewards[:, 0, 1] = [1, 0, 2, 0, -1]
    matches = Matches(np.array([1], np.int32), np.zeros((1, 2), np.int32))
    trajectory.log_prob[3, 0, 1] = -0.5
    temperature = np.array([[9.0, 9.0], [0.8, 9.0]], np.float32)
    task = random_task(rng, 2, 2)._replace(temperature=temperature)
    for trace, expected in [(0.5, [0.1, -0.5]), (1.0, [-0.15, -0.5])]:
        found = focal_decisions(trajectory, matches, task, payoff_range=4.0, trace=trace)
        np.testing.assert_allclose(found.advantage, expected, atol=1e-7)
        np.testing.assert_allclose(found.target, np.add(expected, [0.5, 0.25]), atol=1e-7)


def numbered(count):
    """Decisions that can be told apart by their advantage."""
    number = np.arange(count, dtype=np.float32)
    seen = Seen(number[:, None], np.ones((count, 2), bool), np.zeros(count, int),
                np.zeros((count, 2), int))  # fmt: skip
    return Decisions(seen, number.astype(np.int32), *[number] * 6, np.ones(count, np.float32))


@pytest.mark.parametrize(("count", "size"), [(10, 3), (9, 3), (2, 5), (1, 1)])
def test_minibatches_hold_every_decision_once(count, size):
    parts = list(minibatches(numbered(count), size, np.random.default_rng(0)))
    assert all(len(part.advantage) == size for part in parts)
    assert len(parts) == -(-count // size)
    kept = np.concatenate([part.advantage[part.counts > 0] for part in parts])
    np.testing.assert_array_equal(np.sort(kept), np.arange(count))
    for part in parts:
        # Fields stay together.
        np.testing.assert_array_equal(part.seen.observation[:, 0], part.advantage)
        np.testing.assert_array_equal(part.action, part.advantage)
        assert set(part.counts.tolist()) <= {0.0, 1.0}
    orders = [
        np.concatenate([p.advantage for p in minibatches(numbered(40), 8, rng)])
        for rng in map(np.random.default_rng, (1, 1, 2))
    ]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any() and (orders[0] != np.sort(orders[0])).any()


@pytest.mark.parametrize(("count", "size"), [(9, 8), (100, 99), (4100, 4096)])
def test_no_minibatch_is_left_with_a_few_decisions(count, size):
    """Adam would take a whole step by them."""
    sizes = [
        part.counts.sum() for part in minibatches(numbered(count), size, np.random.default_rng(0))
    ]
    assert sum(sizes) == count and np.ptp(sizes) <= 1


def test_temperatures_keep_their_meaning_whatever_the_game_pays():
    """Eight times the payoffs at eight times the temperatures: the same decisions to the bit."""
    rng = np.random.default_rng(1)
    trajectory = random_trajectory(rng, steps=6, lanes=20, players=2)
    matches = Matches(
        rng.integers(0, 2, 20).astype(np.int32), rng.integers(0, 3, (20, 2)).astype(np.int32)
    )
    task = random_task(rng, 2, 3)
    small = focal_decisions(trajectory, matches, task, payoff_range=5.0, trace=0.9)
    large = focal_decisions(
        trajectory._replace(rewards=8 * trajectory.rewards),
        matches,
        task._replace(temperature=8 * task.temperature),
        payoff_range=40.0,
        trace=0.9,
    )
    jax.tree.map(np.testing.assert_array_equal, small, large)
    assert small.temperature.min() > 0 and np.ptp(small.advantage) > 1
