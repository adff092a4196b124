"""The read-out of the opponent's identity against Bayes' rule."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neupl.config import Config, GraphConfig, NetworkConfig
from neupl.errors import UserError
from neupl.opponent_readout import divergence_from_bayes, log_posterior
from neupl.problem import make_problem
from neupl.simplex_sampling import ask_mixtures
from neupl.stored_population import load_population
from neupl.training_problem import rows_of
from neupl.types import Objective
from solvers.best_response import coplayer_weights, information_state_reach


def test_posterior_is_prior_times_likelihood():
    """Likelihoods 0.2 and 0.6 under prior (3/4, 1/4, 0): 0.15 and 0.15, a posterior of one half
    each; what has no prior has no posterior however likely.
    """
    log_likelihood = jnp.log(jnp.array([0.2, 0.6, 0.9])) + 5.0
    found = jnp.exp(log_posterior(log_likelihood, jnp.array([0.75, 0.25, 0.0])))
    np.testing.assert_allclose(found, [0.5, 0.5, 0.0], atol=1e-6)


def test_divergence_from_bayes_by_hand():
    """Exact posterior (1/4, 3/4), read out as (1/2, 1/2): ln 2 minus the entropy of (1/4, 3/4); 0
    for what is right up to a factor, and where nothing can be seen.
    """
    prior, likelihood = jnp.array([0.5, 0.5]), jnp.array([0.1, 0.3])
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    wrong = divergence_from_bayes(jnp.zeros(2), likelihood, prior)
    assert float(wrong) == pytest.approx(np.log(2) - entropy, abs=1e-6)
    right = divergence_from_bayes(jnp.log(likelihood) - 3.0, likelihood, prior)
    assert float(right) == pytest.approx(0.0, abs=1e-6)
    unseen = divergence_from_bayes(jnp.ones(2), jnp.zeros(2), prior)
    assert float(unseen) == 0.0
    slope = jax.grad(lambda x: divergence_from_bayes(x, jnp.array([0.1, 0.0]), prior))(jnp.zeros(2))
    np.testing.assert_allclose(slope, [-0.5, 0.5], atol=1e-6)


@pytest.mark.slow
def test_read_out_of_a_trained_population_is_near_the_exact_posterior(
    small_config, train_config, export_run, tree_of, tmp_path
):
    """Kuhn poker, mixtures that nobody trained on: total variation to Bayes' rule on the game tree,
    weighted by how likely an information state is, beside that of the prior.
    """
    config = small_config(
        "kuhn_poker",
        network={"readout_sizes": (32,)},
        graph={"simplex_share": 0.5, "simplex_mixtures": 4},
        training={"steps": 400, "max_steps_per_row": 20, "settle": 0.5},
    )
    run = train_config(config)
    assert 0 <= run.lines[-1]["train/readout_divergence"] < 0.005
    export_run(run, tmp_path / "population")
    population = load_population(tmp_path / "population")
    tree, tables = tree_of("kuhn_poker"), population.tabulate()
    size = population.num_strategies
    read, unread = [], []
    rng = np.random.default_rng(0)
    for seat, prior in zip([0, 1] * 8, rng.dirichlet(np.ones(size), 16), strict=True):
        alone = coplayer_weights(tree, tables, seat, np.eye(size))
        joint = (prior[:, None] * information_state_reach(tree, seat, alone)).T
        own = (tree.infoset_player == seat) & (joint.sum(axis=1) > 0)
        joint = joint[own]
        exact = joint / joint.sum(axis=1, keepdims=True)
        found = population.opponent_posterior(prior, seat=seat, seen=tree.observation[own])
        for distances, posterior in ((read, found), (unread, prior)):
            apart = 0.5 * np.abs(posterior - exact).sum(axis=1)
            distances.append(np.average(apart, weights=joint.sum(axis=1)))
    assert np.mean(unread) > 0.03
    assert np.mean(read) < 0.25 * np.mean(unread)


@pytest.mark.parametrize("memory", ["none", pytest.param("gru", marks=pytest.mark.slow)])
def test_read_out_is_learned_from_episodes(small_config, memory):
    """Against mixtures of the uniform strategy and two that learn: after some steps the read-out is
    less surprised by the opponent drawn than the prior is, with which it begins.
    """
    config = small_config(
        "kuhn_poker",
        population={"size": 3},
        network={"memory": memory, "memory_size": 16, "encoder_sizes": (16,),
                 "readout_sizes": (32,)},
        graph={"simplex_share": 0.5, "simplex_mixtures": 3, "temperature": 0.01},
        learner={"kind": "ppo", "episodes": 512, "minibatch": 256, "epochs": 2},
        evaluation={"episodes": 64},
        training={"steps": 12, "evaluate_every": 1, "max_steps_per_row": 1},
    )  # fmt: skip
    problem, _ = make_problem(config)
    state = problem.learner.init(jax.random.key(0))
    joint = np.zeros((2, 3, 3))
    joint[:, 1, 0] = 1.0
    joint[:, 2, :2] = 0.5
    task = Objective(
        rows=rows_of(joint),
        temperature=np.full((2, 3), 0.01, np.float32),
        respond=np.tile(np.array([0, 1, 1], np.float32), (2, 1)),
        hold=np.zeros((2, 3), np.float32),
        teacher=state.params,
    )
    task = ask_mixtures(
        task, np.random.default_rng(0), share=0.5, number=3, num_admitted=3, symmetric=False
    )
    learned = []
    for step in range(12):
        keys = jax.random.split(jax.random.key(step))
        experience = problem.learner.collect(state.params, task, keys[0])
        state, metrics = problem.learner.update(state, experience, keys[1])
        decisions = experience.decisions
        seen = decisions if memory == "gru" else decisions.seen
        weight = decisions.counts.sum(axis=1) if memory == "gru" else decisions.counts
        prior = np.asarray(task.rows.every)[seen.seat, seen.profile[:, 0], seen.profile[:, 1]]
        surprise = np.average(-np.log(prior), weights=weight)
        learned.append(surprise - metrics["train/readout_surprise"])
    assert np.mean(learned[-4:]) > 0.01


def test_a_read_out_that_cannot_be_is_refused():
    sizes = NetworkConfig(readout_sizes=(8,))
    with pytest.raises(ValueError, match=r"network\.readout_sizes"):
        Config(network=dataclasses.replace(sizes, kind="separate"))
    with pytest.raises(ValueError, match=r"network\.readout_sizes"):
        Config(network=sizes, graph=GraphConfig(kind="jpsro"))
    with pytest.raises(UserError, match="3 players"):
        make_problem(Config(game="kuhn_poker(players=3)", network=sizes))
