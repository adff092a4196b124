"""Lanes that play on for a number of steps: episodes follow each other, and the last is cut off."""

import jax
import jax.numpy as jnp
import numpy as np

from games.open_spiel_host import OpenSpielHost
from neupl.action_distribution import CATEGORICAL
from neupl.learners.advantages import lane_advantages
from neupl.population_actor import sample_decision, seen_by_movers, uniform_sink
from neupl.rollout import Trajectory, make_actor_play

LANES = 64


class UniformActor:
    """Plays at random, and counts the decisions of each lane's episode."""

    def __init__(self, info):
        self._info = info

    def begin(self, context, batch):
        return jnp.zeros(batch, jnp.int32)

    def members(self, context, memory, batch):
        return jnp.zeros((batch, self._info.num_players), jnp.int32)

    def decide(self, context, memory, observation, now, key):
        profile = np.zeros(now.to_move.shape, np.int32)
        _, seen = seen_by_movers(self._info, profile, observation, now)
        log_probs = CATEGORICAL.silence(CATEGORICAL.of_sink(uniform_sink(seen)), seen.legal_mask)
        value = memory.astype(jnp.float32)
        return sample_decision(CATEGORICAL, log_probs, value, now, key), memory + 1


def play_kuhn(**options):
    game = OpenSpielHost("kuhn_poker", turn_based=True)
    play = make_actor_play(game, UniformActor(game.info), record=True, **options)
    return game.info, play(LANES, jax.random.key(0))


def test_first_episodes_are_those_of_lanes_that_wait():
    info, waiting = play_kuhn()
    _, going_on = play_kuhn(restart=True, steps=info.max_steps)
    np.testing.assert_array_equal(going_on.returns, waiting.returns)
    np.testing.assert_array_equal(going_on.length, waiting.length)
    assert going_on.trajectory.to_move[-1].any(axis=1).all()
    assert not waiting.trajectory.to_move[-1].any(axis=1).all()


def test_episodes_of_a_host_game_follow_each_other():
    """Kuhn poker: seat 0 begins, the payoffs of an episode are its last rewards, and the memory of
    an actor, told as its value here, starts over with each.
    """
    steps = 8
    _, episodes = play_kuhn(restart=True, steps=steps)
    trajectory = episodes.trajectory
    assert trajectory.rewards.shape == (steps, LANES, 2)
    age = np.zeros(LANES, np.int64)
    for t in range(steps):
        over = trajectory.discount[t] == 0
        moves = trajectory.to_move[t]
        assert (moves.sum(axis=1) == 1).all() and moves[age == 0, 0].all()
        np.testing.assert_array_equal(trajectory.value[t].sum(axis=1), age)
        assert (np.abs(trajectory.rewards[t]).sum(axis=1) > 0).tolist() == over.tolist()
        age = np.where(over, 0, age + 1)
    # Some lane was cut off in the middle of an episode, and some played three.
    assert (age > 0).any() and ((trajectory.discount == 0).sum(axis=0) >= 3).any()


def test_discounted_advantages_are_returns_less_values():
    """With lambda 1, by hand: lane 0 ends with its third step, lane 1 is cut off, so that the value
    of its last decision stands for what would have come.
    """
    rewards = np.array([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]], np.float32)[..., None]
    value = np.array([[0.5, 1.0], [0.25, 2.0], [0.75, 3.0]], np.float32)[..., None]
    shape = value.shape
    trajectory = Trajectory(
        observation=np.zeros((*shape, 1), np.float32),
        legal_mask=np.ones((*shape, 1), bool),
        to_move=np.ones(shape, bool),
        action=np.zeros(shape, np.int32),
        log_prob=np.zeros(shape, np.float32),
        value=value,
        rewards=rewards,
        discount=np.array([[1, 1], [1, 1], [0, 1]], np.float32),
        member=np.zeros(shape, np.int32),
    )
    half = 0.5
    found = lane_advantages(
        trajectory, np.zeros(2, np.int32), np.zeros(2), payoff_range=1.0, trace=1.0, discount=half
    )
    expected = np.array(
        [
            [1 + half * 2 + half**2 * 3 - 0.5, 4 + half * 5 + half**2 * 3 - 1],
            [2 + half * 3 - 0.25, 5 + half * 3 - 2],
            [3 - 0.75, 0],
        ]
    )
    np.testing.assert_allclose(found.advantage, expected, rtol=1e-6)
    np.testing.assert_array_equal(found.counts, [[True, True], [True, True], [True, False]])
