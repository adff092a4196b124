"""Baselines train as what they are named after: who learns, who stays, and where from."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

from neupl.config import Config, GraphConfig, NetworkConfig, PopulationConfig
from neupl.networks import make_network
from neupl.population_actor import PopulationActor
from neupl.problem import make_problem
from neupl.temperature import temperatures
from neupl.training import initial_state, train
from neupl.training_problem import objective_of

SIZE, TABLES = 4, 2
LEARNER = {"kind": "ppo", "episodes": 128, "minibatch": 256, "epochs": 1}
TRAINING = {"steps": 12, "evaluate_every": 2, "max_steps_per_row": 2}


def run(config):
    """The problem, and the states after every evaluation, the initial one first."""
    problem, _ = make_problem(config)
    state = initial_state(problem)
    states = [state]

    def record(state, evaluation, line):
        states.append(state)

    states.append(train(problem, state, on_evaluation=record))
    return problem, states


@pytest.fixture(scope="module")
def baseline(small_config):
    """`(**sections)`: a short run on Kuhn poker."""

    def make(**sections):
        defaults = {
            "population": {"size": SIZE},
            "learner": LEARNER,
            "evaluation": {"episodes": 64, "final_episodes": 500, "window": 2},
        }
        training = TRAINING | sections.pop("training", {})
        for name, section in defaults.items():
            sections[name] = section | sections.get(name, {})
        config = small_config("kuhn_poker", **sections)
        training = dataclasses.replace(config.training, **training)
        return dataclasses.replace(config, training=training)

    return make


def networks(params):
    """`[K, floats]`: all numbers of the networks of each strategy."""
    leaves = [
        np.asarray(leaf).reshape(TABLES, SIZE, -1).swapaxes(0, 1).reshape(SIZE, -1)
        for leaf in jax.tree.leaves(params)
    ]
    return np.concatenate(leaves, axis=1)


@pytest.mark.parametrize("kind", ["separate", pytest.param("continued", marks=pytest.mark.slow)])
def test_psro_trains_the_newest_network_alone(baseline, kind):
    """What an earlier strategy plays stays to the bit, through admissions and readmissions."""
    config = baseline(network={"kind": kind}, training={"rehearse": False})
    _, states = run(config)
    readmitted = False
    for before, after in itertools.pairwise(states[:-1]):
        (slot,) = np.flatnonzero(before.respond)
        assert not before.hold.any()
        trained = before.learner.params
        moved = (networks(after.learner.params) != networks(trained)).any(axis=1)
        restarted = after.response_number != before.response_number
        assert moved[slot]
        assert not moved[~restarted & (np.arange(SIZE) != slot)].any()
        if not restarted.any():
            continue
        (new,) = np.flatnonzero(restarted)
        readmitted |= before.num_admitted == SIZE
        if new != slot:
            now = networks(after.learner.params)
            assert (now[new] == now[slot]).all() == (kind == "continued")
    assert readmitted


def test_held_strategies_have_a_teacher_where_the_network_is_shared(baseline):
    config = baseline(training={"rehearse": False, "steps": 4})
    _, states = run(config)
    last = states[-2]
    assert last.num_admitted == 4 and last.respond.tolist() == [0, 0, 0, 1]
    assert last.hold.tolist() == [0, 1, 1, 0]
    jax.tree.map(np.testing.assert_array_equal, last.teacher, last.learner.params)


def test_self_play_is_one_strategy_that_meets_itself(baseline):
    config = baseline(
        population={"size": 1, "sink": "none"},
        graph={"kind": "self_play"},
        temperature={"final": 0.25},
    )
    problem, states = run(config)
    final = states[-1]
    np.testing.assert_array_equal(final.joint, np.ones((2, 1, 1)))
    # Nobody responds to it: what it can lose is not known, and the last one is kept.
    assert final.best.step == TRAINING["steps"] and np.isinf(final.best.gains).all()
    jax.tree.map(np.testing.assert_array_equal, final.best.params, final.learner.params)
    np.testing.assert_array_equal(final.best.meta_strategy, np.ones((2, 1)))
    # A quarter of the temperature is left at the end, half of it half way.
    scale = problem.info.payoff_range
    first, half, end = (
        temperatures(problem.config, states[i], payoff_range=scale)[0] for i in (0, 3, 6)
    )
    assert first == pytest.approx(0.154 * 4)
    assert half == pytest.approx(first / 2)
    assert end == pytest.approx(first / 4)


@pytest.mark.slow
def test_mirror_descent_stays_near_the_policy_that_played(baseline):
    """The heavier the divergence weighs, the less the strategy moves in a step."""

    def distance(mirror):
        config = baseline(
            population={"size": 1, "sink": "none"},
            graph={"kind": "self_play"},
            learner={**LEARNER, "epochs": 4, "mirror": mirror, "learning_rate": 2e-2},
        )
        problem, _ = make_problem(config)
        state = initial_state(problem)
        objective = objective_of(problem, state)
        experience = problem.learner.collect(state.learner.params, objective, jax.random.key(1))
        after, _ = problem.learner.update(state.learner, experience, jax.random.key(2))
        seen = experience.decisions.seen
        actor_probabilities = _probabilities(problem, config)
        old, new = (actor_probabilities(p, objective.rows, seen) for p in (
            state.learner.params, after.params))  # fmt: skip
        return np.abs(old - new).sum(axis=-1).mean()

    assert distance(0.0) > 2 * distance(30.0)


def _probabilities(problem, config):
    network = make_network(config.network, problem.info.num_actions[0])
    actor = PopulationActor(problem.info, network, num_tables=TABLES, sink=None)
    return lambda params, rows, seen: np.asarray(actor.every_strategy(params, rows, seen))[0]


def test_one_strategy_is_enough_only_in_self_play():
    alone = PopulationConfig(size=1, sink="none")
    assert Config(population=alone, graph=GraphConfig(kind="self_play")).population.size == 1
    for population, graph in (
        (alone, GraphConfig()),
        (PopulationConfig(size=1), GraphConfig(kind="self_play")),
    ):
        with pytest.raises(ValueError, match=r"population\.size is 1: it must be at least 2"):
            Config(population=population, graph=graph)


def test_self_play_with_early_snapshots_needs_a_network_per_strategy():
    """Its rows repeat; to a conditional network strategies of equal rows are one."""
    graph = GraphConfig(kind="first_quarter")
    Config(network=NetworkConfig(kind="continued"), graph=graph)
    with pytest.raises(ValueError, match=r"graph\.kind is 'first_quarter': it must be another"):
        Config(graph=graph)
