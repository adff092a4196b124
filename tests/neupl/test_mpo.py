"""MPO: its targets against rlax, its E-step against the dual, and that it learns."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from neupl.config import MPO_DEFAULTS, Config, LearnerConfig, NetworkConfig
from neupl.learners.mpo_steps import find_eta, improved_log_weights, next_alpha, retrace
from neupl.learners.replay import Played
from neupl.problem import make_problem
from neupl.training_problem import rows_of
from neupl.types import Objective
from solvers.best_response import best_response, coplayer_weights, objective

D, LANES, ACTIONS = 5, 7, 3


def make_episodes(rng, *, temperature):
    """Episodes of random lengths of a policy, and another policy with values to judge them by."""
    length = rng.integers(1, D + 1, LANES)
    decided = np.arange(D)[:, None] < length
    legal = rng.random((D, LANES, ACTIONS)) < 0.7
    action = rng.integers(0, ACTIONS, (D, LANES))
    np.put_along_axis(legal, action[..., None], True, axis=2)
    old, new = (
        jax.nn.log_softmax(jnp.where(legal, rng.normal(size=legal.shape), -1e9)) for _ in range(2)
    )
    batch = Played(
        rows=None, observation=None, legal_mask=jnp.asarray(legal), action=jnp.asarray(action),
        log_prob=jnp.take_along_axis(old, action[..., None], axis=2)[..., 0],
        reward=jnp.asarray(np.where(decided, rng.normal(size=(D, LANES)), 0), jnp.float32),
        decided=jnp.asarray(decided), temperature=jnp.full(LANES, temperature),
        seat=None, profile=None, batch=None,
    )  # fmt: skip
    values = jnp.asarray(rng.normal(size=legal.shape), jnp.float32)
    return length, batch, new, values


@pytest.mark.parametrize("temperature", [0.0, 0.3])
def test_targets_are_those_of_rlax(temperature):
    """Lane by lane; values of the policy hold its entropy at a temperature."""
    rlax = pytest.importorskip("rlax")
    rng = np.random.default_rng(0)
    length, batch, log_probs, values = make_episodes(rng, temperature=temperature)
    reference = jax.jit(rlax.general_off_policy_returns_from_q_and_v)
    legal = np.asarray(batch.legal_mask)
    policy = np.where(legal, np.exp(log_probs), 0.0)
    paid = np.where(legal, values - temperature * log_probs, 0.0)
    value = (policy * paid).sum(axis=2)
    done, chosen = (
        jnp.take_along_axis(table, batch.action[..., None], axis=2)[..., 0]
        for table in (values, log_probs)
    )
    ratios = jnp.exp(chosen - batch.log_prob)
    found = jax.jit(partial(retrace, trace=0.8))(
        jnp.asarray(value), done, ratios, batch.reward, batch.decided
    )
    for lane, steps in enumerate(length):
        t = np.arange(steps)
        action = np.asarray(batch.action)[t, lane]
        ratio = np.exp(np.asarray(log_probs)[t, lane, action] - np.asarray(batch.log_prob)[t, lane])
        discount = np.ones(steps)
        discount[-1] = 0.0
        expected = reference(
            q_t=jnp.asarray(np.asarray(values)[t, lane, action][1:], jnp.float32),
            v_t=jnp.asarray(np.append(value[t, lane][1:], 0.0), jnp.float32),
            r_t=jnp.asarray(np.asarray(batch.reward)[t, lane], jnp.float32),
            discount_t=jnp.asarray(discount, jnp.float32),
            c_t=jnp.asarray(0.8 * np.minimum(1.0, ratio)[1:], jnp.float32),
        )
        np.testing.assert_allclose(found[t, lane], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, 0.2])
def test_e_step_solves_its_dual(temperature):
    """Of all actions. The multiplier minimises eta * bound + (eta + tau) * log sum exp((Q + eta log
    pi) / (eta + tau)), by SciPy; then the mean divergence is the bound.
    """
    rng = np.random.default_rng(1)
    values = rng.normal(size=(50, ACTIONS))
    log_probs = np.array(jax.nn.log_softmax(jnp.asarray(rng.normal(size=values.shape))))
    legal, weight, bound = np.ones(values.shape, bool), rng.random(50), 0.1

    def dual(log_eta):
        eta = np.exp(log_eta)
        scale = eta + temperature
        best = scale * np.log(np.exp((values + eta * log_probs) / scale).sum(axis=1))
        return eta * bound + np.average(best, weights=weight)

    expected = scipy.optimize.minimize_scalar(
        dual, bounds=(-4, 4), method="bounded", options={"xatol": 1e-8}
    )
    weight, tau = jnp.asarray(weight, jnp.float32), jnp.float32(temperature)
    worth = values - temperature * log_probs
    arrays = [jnp.asarray(a, jnp.float32) for a in (log_probs, worth)] + [tau, jnp.asarray(legal)]
    eta = jax.jit(partial(find_eta, bound=bound))(*arrays, weight=weight)
    assert np.log(float(eta)) == pytest.approx(expected.x, abs=2e-3)
    improved = np.asarray(jax.jit(improved_log_weights)(*arrays, eta))
    apart = (np.exp(improved) * (improved - log_probs)).sum(axis=1)
    assert np.average(apart, weights=weight) == pytest.approx(bound, abs=1e-3)


def test_multiplier_of_the_m_step_follows_the_movement():
    grown = next_alpha(jnp.float32(1.0), jnp.float32(0.05), bound=0.01)
    fallen = next_alpha(jnp.float32(1.0), jnp.float32(0.0), bound=0.01)
    assert float(fallen) < 1.0 < float(grown)
    assert float(next_alpha(jnp.float32(1.0), jnp.float32(0.01), bound=0.01)) == 1.0


def test_a_strategy_comes_near_the_best_response_to_its_row(tree_of):
    """Kuhn poker, both seats against the uniform strategy, whose best responses gain 0.5 and 5/12 a
    game more than an even game; what is left of it after 25 batches of 512 episodes.
    """
    config = dataclasses.replace(
        MPO_DEFAULTS,
        game="kuhn_poker",
        network=NetworkConfig(hidden_sizes=(32,), embedding_size=8, critic="action_values"),
        population=dataclasses.replace(MPO_DEFAULTS.population, size=2),
        learner=dataclasses.replace(
            MPO_DEFAULTS.learner, episodes=512, minibatch=256, learning_rate=1e-2
        ),
        training=dataclasses.replace(MPO_DEFAULTS.training, steps=40),
        evaluation=dataclasses.replace(MPO_DEFAULTS.evaluation, payoffs="exact"),
    )
    problem, _ = make_problem(config)
    state = problem.learner.init(jax.random.key(0))
    joint = np.zeros((2, 2, 2))
    joint[:, 1, 0] = 1.0
    task = Objective(
        rows=rows_of(joint),
        temperature=np.zeros((2, 2), np.float32),
        respond=np.tile(np.array([0, 1], np.float32), (2, 1)),
        hold=np.zeros((2, 2), np.float32),
        teacher=state.params,
    )
    ages = []
    for step in range(25):
        collect_key, update_key = jax.random.split(jax.random.key(step))
        experience = problem.learner.collect(state.params, task, collect_key)
        state, metrics = problem.learner.update(state, experience, update_key)
        ages.append(metrics["replay/age"])
    assert ages[0] == 0.0
    assert 0.5 < np.mean(ages[4:]) < 2.5, "four batches are kept, all drawn alike"
    tree = tree_of("kuhn_poker")
    tables = np.asarray(problem.tables.policies(state.params, task.rows))
    tables = tables / tables.sum(axis=-1, keepdims=True)
    for seat in (0, 1):
        weights = coplayer_weights(tree, tables, seat, np.array([1.0, 0.0]))
        best = best_response(tree, seat, weights).value
        before = objective(tree, seat, tables[0], weights=weights)
        after = objective(tree, seat, tables[1], weights=weights)
        assert best - after < 0.1 * (best - before)


def test_a_learner_that_cannot_be_is_refused():
    mpo, critic = LearnerConfig(kind="mpo"), NetworkConfig(critic="action_values")
    with pytest.raises(ValueError, match=r"network\.critic"):
        Config(learner=mpo)
    with pytest.raises(ValueError, match=r"network\.critic"):
        Config(network=critic)
    with pytest.raises(ValueError, match=r"learner\.replay"):
        Config(learner=dataclasses.replace(mpo, replay=0), network=critic)
