"""Simplex-NeuPL: which mixtures are asked about, and what a trained population answers to them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games.tree_game import TreeGame
from neupl.config import Config, GraphConfig, NetworkConfig
from neupl.errors import UserError
from neupl.learners.focal_lanes import lane_weights
from neupl.matches import draw_matches
from neupl.networks import make_network
from neupl.population import Population
from neupl.population_actor import Seen, apply_network
from neupl.problem import make_problem
from neupl.rollout import make_play
from neupl.simplex_sampling import ask_mixtures, distinct, draw_mixtures
from neupl.stored_population import load_population
from neupl.training_problem import rows_of
from neupl.types import Objective
from solvers.best_response import best_response, coplayer_weights, objective
from solvers.sequence_form import mix

SIZE = 4


def make_objective(*, hold=0.0):
    """Four strategies of two seats: strategy 2 repeats the row of strategy 1, 3 is not admitted."""
    joint = np.zeros((2, SIZE, SIZE))
    joint[:, 1, 0] = joint[:, 2, 0] = 1.0
    respond = np.zeros((2, SIZE), np.float32)
    respond[:, 1] = 1.0
    return Objective(
        rows=rows_of(joint),
        temperature=np.tile(np.array([4.0, 3.0, 2.0, 1.0], np.float32), (2, 1)),
        respond=respond,
        hold=np.full((2, SIZE), hold, np.float32) * (np.arange(SIZE) == 2),
        teacher=None,
    )


def ask(task, *, share=0.5, number=6, symmetric=False):
    rng = np.random.default_rng(0)
    return ask_mixtures(task, rng, share=share, number=number, num_admitted=3, symmetric=symmetric)


def test_equal_rows_and_strategies_that_are_not_admitted_are_no_vertices():
    assert distinct(np.array([0, 1, 1, 0]), 3).tolist() == [True, True, False, False]
    assert distinct(np.arange(4), 2).tolist() == [True, True, False, False]


def test_mixtures_are_uniform_on_the_simplex_of_the_vertices():
    """Moments of Dirichlet(1) with 3 categories: mean 1/3, variance 1/18; 20,000 draws, 6 standard
    errors.
    """
    vertices = np.array([True, False, True, True])
    drawn = draw_mixtures(np.random.default_rng(1), vertices, 20_000)
    assert (drawn[:, 1] == 0).all()
    np.testing.assert_allclose(drawn.sum(axis=1), 1.0)
    error = np.sqrt(1 / 18 / 20_000)
    assert np.abs(drawn[:, vertices].mean(axis=0) - 1 / 3).max() < 6 * error
    assert np.abs(drawn[:, vertices].var(axis=0) - 1 / 18).max() < 6 * error


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_mixtures_get_their_share_of_the_lanes_that_respond(share):
    task = ask(make_objective(hold=1.0), share=share)
    weights = lane_weights(task)
    assert weights.shape == (2, SIZE + 6)
    # A quarter of the lanes is for the strategy that is held.
    np.testing.assert_allclose(weights[:, SIZE:].sum(), 0.75 * share, rtol=1e-5)
    np.testing.assert_allclose(weights[:, 1].sum(), 0.75 * (1 - share), rtol=1e-5)
    np.testing.assert_allclose(weights[:, 2].sum(), 0.25, rtol=1e-5)
    assert (task.temperature[:, SIZE:] == 2.0).all()
    # Of a population that has settled, of what is held.
    held = make_objective(hold=1.0)
    settled = ask(held._replace(respond=np.zeros_like(held.respond)), share=share)
    np.testing.assert_allclose(settled.respond.sum(axis=1), share / (1 - share), rtol=1e-5)


def test_only_vertices_are_met():
    task = ask(make_objective())
    weights = lane_weights(task)
    matches = draw_matches(
        np.random.default_rng(2),
        np.asarray(task.rows.every),
        weights,
        lanes=4000,
        num_strategies=SIZE,
    )
    focal = matches.profile[np.arange(4000), matches.seat]
    met = matches.profile[np.arange(4000), 1 - matches.seat]
    assert set(np.unique(met)) == {0, 1}
    assert set(np.unique(focal)) == {1, *range(SIZE, SIZE + 6)}
    # Whom the first mixture meets: 4000 / (2 * 2 * 6) lanes, 6 standard errors.
    lanes = (focal == SIZE) & (matches.seat == 0)
    expected = task.rows.asked[0, 0, 1]
    assert abs((met[lanes] == 1).mean() - expected) < 6 * 0.5 / np.sqrt(lanes.sum())


def test_seats_with_one_table_share_the_mixtures():
    together = ask(make_objective(), symmetric=True).rows.asked
    apart = ask(make_objective()).rows.asked
    assert (together[0] == together[1]).all()
    assert (apart[0] != apart[1]).any()


def test_asking_leaves_strategies_as_they_are_and_a_row_without_index_answers_as_asked():
    """What strategies do hangs on nothing that is asked; an asked mixture differs from a strategy
    with that row by the index alone.
    """
    config = NetworkConfig(hidden_sizes=(8,), embedding_size=4, critic_hidden_size=8)
    task = ask(make_objective())
    answers, rng = {}, np.random.default_rng(3)
    for use_index in (False, True):
        network = make_network(dataclasses.replace(config, use_index=use_index), 3)
        seen = Seen(
            rng.normal(size=(SIZE + 6, 5)).astype(np.float32),
            np.ones((SIZE + 6, 3), bool),
            np.zeros(SIZE + 6, np.int32),
            np.stack([np.arange(SIZE + 6), np.ones(SIZE + 6, int)], axis=1).astype(np.int32),
        )
        rows = task.rows._replace(asked=np.tile(task.rows.joint[:, 1:2], (1, 6, 1)))
        seen, rows = jax.tree.map(jnp.asarray, (seen, rows))
        params = network.init(
            jax.random.key(0),
            jnp.asarray(seen.observation),
            jnp.ones((SIZE + 6, 2)),
            jax.tree.map(jnp.asarray, task.rows._replace(asked=None)),
            profile=jnp.zeros((SIZE + 6, 2, SIZE)),
        )
        params = jax.tree.map(lambda x: rng.normal(0, 0.5, x.shape).astype(np.float32), params)
        log_probs, _ = apply_network(network, params, rows, seen, num_tables=2)
        few = jax.tree.map(lambda x: x[:SIZE], seen)
        alone, _ = apply_network(network, params, rows._replace(asked=None), few, num_tables=2)
        np.testing.assert_allclose(log_probs[:SIZE], alone, rtol=1e-5, atol=1e-6)
        same = seen._replace(
            observation=jnp.tile(seen.observation[:1], (SIZE + 6, 1)),
        )
        answers[use_index], _ = apply_network(network, params, rows, same, num_tables=2)
    np.testing.assert_allclose(answers[False][SIZE], answers[False][1], rtol=1e-5, atol=1e-6)
    assert np.abs(answers[True][SIZE] - answers[True][1]).max() > 1e-2


@pytest.mark.slow
def test_told_the_mixture_the_network_does_better_than_untold_or_by_any_one_strategy(
    small_config, train_config, export_run, tree_of, tmp_path
):
    """Mean gaps to the exact best response of Kuhn poker, over mixtures that nobody trained on; and
    the population plays the answer as it tells its probabilities. For the last part of the run the
    population stays what it was, and answers to mixtures go on being learned.
    """
    config = small_config(
        "kuhn_poker",
        graph={"simplex_share": 0.5, "simplex_mixtures": 8},
        training={"steps": 600, "max_steps_per_row": 40, "settle": 0.4},
    )
    run = train_config(config)
    settled = [state for state in run.states if not state.respond.any()]
    assert len(settled) == 240 // config.training.evaluate_every + 1
    before, after = settled[0].teacher, settled[-1].best
    assert after.step == 600, "what has learned the answers is kept"
    rows = rows_of(after.joint)
    kept, learned = (run.problem.tables.policies(p, rows) for p in (before, after.params))
    assert np.abs(np.asarray(kept) - np.asarray(learned)).max() < 0.1
    assert run.evaluations[-1].nash_conv < settled[0].best.gains.sum() + 0.02
    export_run(run, tmp_path / "population")
    population = load_population(tmp_path / "population")
    assert population.simplex_share == 0.5
    tree, tables = tree_of("kuhn_poker"), population.tabulate()
    size = population.num_strategies
    rng = np.random.default_rng(5)
    gaps = []
    for seat, weights in zip([0, 1] * 8, rng.dirichlet(np.ones(size), 16), strict=True):
        reach = coplayer_weights(tree, tables, seat, weights)
        best = best_response(tree, seat, reach).value
        uniform = np.full(size, 1 / size)
        told = [answer_table(population, tree, about, seat) for about in (weights, uniform)]
        nash = mix(tree, tables, population.meta_strategy)
        values = [objective(tree, seat, table, weights=reach) for table in (*told, nash, *tables)]
        gaps.append([best - value for value in values])
    informed, uninformed, nash, *members = np.mean(gaps, axis=0)
    assert informed < 0.95 * min(uninformed, nash, *members)

    drawn, likeliest = (
        answer_table(population, tree, weights, 0, alone) for alone in (False, True)
    )
    own = tree.infoset_player == 0
    np.testing.assert_array_equal(likeliest[own].argmax(axis=-1), drawn[own].argmax(axis=-1))
    assert (np.sort(likeliest[own])[:, -1] == 1).all() and (drawn[own].max(axis=-1) < 1).any()

    play = make_play(
        TreeGame(tree),
        [population.best_response_to(weights, seat=0), population.policy("nash", seat=1)],
    )
    returns = np.asarray(play(4000, jax.random.key(0)).returns)[:, 0]
    against = coplayer_weights(tree, tables, 0, population.meta_strategy[1])
    expected = objective(tree, 0, answer_table(population, tree, weights, 0), weights=against)
    assert abs(returns.mean() - expected) < 6 * returns.std() / np.sqrt(4000)


def answer_table(population, tree, weights, seat, likeliest=False):
    own = tree.infoset_player == seat
    table = tree.uniform_policy()
    table[own] = population.response_probabilities(
        weights,
        seat=seat,
        observation=tree.observation[own],
        mask=tree.legal_mask[own],
        likeliest=likeliest,
    )
    return table


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.array([0.5, 0.5]), "3 finite weights"),
        (np.array([0.5, 0.6, -0.1]), "at least 0"),
        (np.array([0.5, 0.6, 0.1]), "sum to 1"),
        (np.array([0.5, np.nan, 0.5]), "finite"),
    ],
)
def test_what_is_no_mixture_is_refused(weights, message):
    joint = np.zeros((2, 3, 3))
    joint[:, 1, 0] = 1.0
    population = Population(
        game="kuhn_poker", num_players=2, num_actions=2, symmetric=False, sink="uniform",
        network=NetworkConfig(), params=None, joint=joint, meta_strategy=np.full((2, 3), 1 / 3),
        payoffs=np.zeros((3, 3, 2)), step=0, num_nodes=None, max_nodes=1000,
    )  # fmt: skip
    with pytest.raises(ValueError, match=message):
        population.best_response_to(weights, seat=0)
    with pytest.raises(ValueError, match="seats 0 to 1"):
        population.best_response_to(np.full(3, 1 / 3), seat=2)


def test_a_share_that_cannot_be_asked_for_is_refused():
    with pytest.raises(ValueError, match=r"graph\.simplex_share"):
        Config(graph=GraphConfig(simplex_share=1.0))
    with pytest.raises(ValueError, match=r"network\.kind"):
        Config(graph=GraphConfig(simplex_share=0.5), network=NetworkConfig(kind="separate"))
    config = Config(game="kuhn_poker(players=3)", graph=GraphConfig(simplex_share=0.5))
    with pytest.raises(UserError, match="3 players"):
        make_problem(config)


def test_answers_to_mixtures_are_learned_from_episodes_and_count_for_no_payoff(small_config):
    config = small_config(
        "kuhn_poker",
        population={"size": 3},
        graph={"simplex_share": 0.5, "simplex_mixtures": 3, "temperature": 0.01},
        learner={"kind": "ppo", "episodes": 64, "minibatch": 64},
        evaluation={"episodes": 64},
        training={"steps": 2, "evaluate_every": 1, "max_steps_per_row": 1},
    )
    problem, _ = make_problem(config)
    state = problem.learner.init(jax.random.key(0))
    joint = np.zeros((2, 3, 3))
    joint[:, 1, 0] = 1.0
    task = Objective(
        rows=rows_of(joint),
        temperature=np.full((2, 3), 0.1, np.float32),
        respond=np.tile(np.array([0, 1, 0], np.float32), (2, 1)),
        hold=np.zeros((2, 3), np.float32),
        teacher=state.params,
    )
    task = ask_mixtures(
        task, np.random.default_rng(0), share=0.5, number=3, num_admitted=2, symmetric=False
    )
    experience = problem.learner.collect(state.params, task, jax.random.key(1))
    asked = (experience.matches.profile >= 3).any(axis=1)
    assert 20 < asked.sum() < 44
    state, metrics = problem.learner.update(state, experience, jax.random.key(2))
    assert np.isfinite(metrics["train/loss"])
    carried = problem.evaluator.observe(problem.evaluator.begin(), experience)
    assert carried.statistics.count.sum() == (~asked).sum() == carried.focal_count.sum()
