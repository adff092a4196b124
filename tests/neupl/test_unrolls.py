"""How a network with a memory learns from episodes, and a game that cannot do without."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neupl.interaction_graph import first_equal_row
from neupl.learners.advantages import lane_advantages
from neupl.learners.decisions import decisions_along
from neupl.learners.ppo import make_ppo_learner
from neupl.learners.unrolls import unrolled_memory
from neupl.networks import make_network
from neupl.population_actor import PopulationActor, apply_network, uniform_sink
from neupl.rollout import Trajectory
from neupl.types import Objective, Rows

_spec = importlib.util.spec_from_file_location("cue_game", Path(__file__).with_name("cue_game.py"))
cue_game = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cue_game)

SIZE = 2
NETWORK = {
    "memory_size": 8, "encoder_sizes": (8,), "hidden_sizes": (8,), "embedding_size": 4,
    "critic_hidden_size": 8,
}  # fmt: skip


def make_learner(small_config, *, memory, unroll):
    rates = {"learning_rate": 2e-2, "final_learning_rate": 2e-2, "max_gradient_norm": 10.0}
    config = small_config(
        "cue",
        population={"size": SIZE},
        network=NETWORK | {"memory": memory},
        learner=rates
        | {
            "kind": "ppo",
            "episodes": 128,
            "minibatch": 512,
            "unroll": unroll,
            "critic_weight": 0.5,
        },
    )
    game = cue_game.CueGame()
    network = make_network(config.network, 2)
    actor = PopulationActor(game.info, network, num_tables=2, sink=uniform_sink)
    return network, make_ppo_learner(game, actor, config)


def make_objective(params):
    """Strategy 1 of seat 0 responds to strategy 0."""
    joint = np.zeros((2, SIZE, SIZE), np.float32)
    joint[:, 1, 0] = 1.0
    respond = np.zeros((2, SIZE), np.float32)
    respond[0, 1] = 1.0
    return Objective(
        rows=Rows(joint, first_equal_row(joint)),
        temperature=np.full((2, SIZE), 0.01, np.float32),
        respond=respond,
        hold=np.zeros((2, SIZE), np.float32),
        teacher=params,
    )


def train(learner, updates):
    state = learner.init(jax.random.key(0))
    returns = []
    for number in range(updates):
        collect_key, update_key = jax.random.split(jax.random.key(1 + number))
        experience = learner.collect(state.params, make_objective(state.params), collect_key)
        state, metrics = learner.update(state, experience, update_key)
        assert np.isfinite(metrics["train/loss"])
        returns.append(experience.returns[:, 0].mean())
    return returns


@pytest.mark.slow
def test_cues_are_remembered(small_config):
    """By chance a return is 0 on average, with standard error 0.09 in a batch."""
    _, learner = make_learner(small_config, memory="gru", unroll=8)
    returns = train(learner, 60)
    assert abs(returns[0]) < 0.5
    assert np.mean(returns[-5:]) > 0.9


@pytest.mark.slow
def test_without_a_memory_nothing_is_won(small_config):
    _, learner = make_learner(small_config, memory="none", unroll=8)
    # Ten batches of 128 episodes of variance 1 at most: 6 standard errors.
    assert abs(np.mean(train(learner, 20)[-10:])) < 6 / np.sqrt(1280)


@pytest.mark.slow
def test_unrolls_start_from_what_was_remembered_when_they_were_played(small_config):
    """With parts of two steps, in lanes in which episodes end and begin: every decision is found as
    probable as it was when it was made.
    """
    network, learner = make_learner(small_config, memory="gru", unroll=2)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda x: rng.normal(0, 0.7, x.shape).astype(np.float32),
        learner.init(jax.random.key(0)).params,
    )
    experience = learner.collect(params, make_objective(params), jax.random.key(1))
    unrolls = experience.decisions
    assert unrolls.action.shape[1] == 2
    assert unrolls.fresh[:, 0].any() and unrolls.fresh[:, 1].any()
    assert (unrolls.previous[unrolls.fresh] == -1).all()
    played = (unrolls.counts > 0) & ~unrolls.fresh
    assert (unrolls.previous[played] >= 0).all()

    memory = unrolled_memory(network, params, jax.tree.map(jnp.asarray, unrolls), num_tables=2)
    decisions = decisions_along(unrolls)
    seen = decisions.seen._replace(remembered=memory.reshape(-1, memory.shape[-1]))
    rows = jax.tree.map(jnp.asarray, experience.rows)
    log_probs, value = apply_network(network, params, rows, seen, num_tables=2)
    chosen = np.take_along_axis(np.asarray(log_probs), np.asarray(decisions.action)[:, None], 1)
    counted = np.asarray(decisions.counts) > 0
    np.testing.assert_allclose(chosen[counted, 0], decisions.log_prob[counted], atol=1e-5)
    expected = np.asarray(decisions.target - decisions.advantage)
    np.testing.assert_allclose(np.asarray(value)[counted], expected[counted], atol=1e-5)
    # It matters: from an empty memory they would not be.
    empty = unrolls._replace(start=np.zeros_like(unrolls.start))
    other = unrolled_memory(network, params, jax.tree.map(jnp.asarray, empty), num_tables=2)
    assert np.abs(np.asarray(other) - np.asarray(memory)).max() > 1e-2


def test_advantages_of_several_episodes_in_a_lane():
    """Beside a loop over decisions written from the definition; the last episode may be cut off."""
    rng = np.random.default_rng(0)
    steps, lanes, trace, scale = 12, 40, 0.7, 4.0
    shape = (steps, lanes, 2)
    over = rng.random((steps, lanes)) < 0.25
    trajectory = Trajectory(
        observation=np.zeros((*shape, 1), np.float32),
        legal_mask=np.ones((*shape, 2), bool),
        to_move=rng.random(shape) < 0.7,
        action=np.zeros(shape, np.int32),
        log_prob=-rng.random(shape).astype(np.float32),
        value=rng.normal(size=shape).astype(np.float32),
        rewards=rng.normal(size=shape).astype(np.float32),
        discount=1 - over.astype(np.float32),
        member=np.zeros(shape, np.int32),
    )
    seat = rng.integers(0, 2, lanes).astype(np.int32)
    temperature = rng.random(lanes)
    found = lane_advantages(trajectory, seat, temperature, payoff_range=scale, trace=trace)
    for lane in range(lanes):
        moved, value, reward, log_prob = (
            field[:, lane, seat[lane]]
            for field in (
                trajectory.to_move, trajectory.value, trajectory.rewards, trajectory.log_prob
            )
        )  # fmt: skip
        ends = [*np.flatnonzero(over[:, lane]), steps - 1]
        start = 0
        for end in dict.fromkeys(ends):
            cut = not over[end, lane]
            when = [t for t in range(start, end + 1) if moved[t]]
            expected, later = {}, 0.0
            for number in reversed(range(len(when))):
                t = when[number]
                last = number == len(when) - 1
                if last and cut:
                    # It only tells what comes after the decision before it.
                    assert not found.counts[t, lane]
                    continue
                until = end + 1 if last else when[number + 1]
                after = 0.0
                if not last:
                    entropy = -temperature[lane] / scale * log_prob[until]
                    known = number + 2 == len(when) and cut
                    after = value[until] + (0.0 if known else entropy)
                delta = reward[t:until].sum() / scale + after - value[t]
                later = delta + trace * later
                expected[t] = later
            for t, advantage in expected.items():
                assert found.counts[t, lane]
                np.testing.assert_allclose(found.advantage[t, lane], advantage, atol=1e-5)
            start = end + 1
    assert not (found.counts & ~trajectory.to_move[:, np.arange(lanes), seat]).any()


@pytest.mark.parametrize("unroll", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_lanes_play_on_and_count_their_first_episode(small_config, unroll):
    _, learner = make_learner(small_config, memory="gru", unroll=unroll)
    state = learner.init(jax.random.key(0))
    experience = learner.collect(state.params, make_objective(state.params), jax.random.key(2))
    # One win or loss per lane, although lanes of short episodes play more than one.
    assert set(np.unique(experience.returns[:, 0])) == {-1.0, 1.0}
    assert experience.decisions.fresh[experience.decisions.counts > 0].sum() > 128
