"""The loop: gaps that fall and are what they are said to be, drift that is measured, resumption to
the same bits.
"""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

from games.registry import load_tree
from neupl.evaluation import normalise
from neupl.jpsro.exact_learner import importance_of, make_response_learner
from neupl.jpsro.iteration import choose_slots, task_of
from neupl.jpsro.population import own_tables
from neupl.jpsro.problem import make_joint_problem
from neupl.jpsro.training import conclude, initial_state, train
from neupl.training import TrainingError
from neupl.training_state import from_arrays, to_arrays
from solvers.best_response import best_response, coplayer_weights
from solvers.correlated_gaps import cce_gap

# Strategies per seat of the runs.
SIZE = 6


def policies_of(problem, params):
    return normalise(np.asarray(problem.tables.policies(params)))


def test_the_gap_falls_by_a_factor(joint_run):
    """From 2.06 with strategy 0 alone; seeds are fixed, the bound is five times what was seen."""
    first = joint_run.states[0].best_so_far
    last = joint_run.states[-1].best_so_far
    assert np.maximum(first.gains, 0).sum() == pytest.approx(2.0625, abs=1e-6)
    assert np.maximum(last.gains, 0).sum() < 0.5
    assert last.sizes.max() == SIZE


def test_what_is_kept_is_what_its_network_plays(joint_run):
    problem, best = joint_run.problem, joint_run.states[-1].best_so_far
    tree = problem.tables.tree
    tables = own_tables(tree, policies_of(problem, best.params), best.sizes)
    joint = best.joint[tuple(slice(size) for size in best.sizes)]
    certificate = cce_gap(tree, tables, joint)
    np.testing.assert_allclose(certificate.per_player, best.gains, atol=1e-9)
    assert joint.sum() == pytest.approx(1)


def test_best_gap_never_grows(joint_run):
    gaps = [line["eval/best_gap"] for line in joint_run.lines if "eval/best_gap" in line]
    assert len(gaps) >= 4
    assert all(after <= before for before, after in itertools.pairwise(gaps))
    assert gaps[-1] < gaps[0]


def test_co_players_stand_still_during_an_iteration(joint_run):
    """Strategies of the frozen copy are those of the network when the iteration began."""
    for before, after in itertools.pairwise(joint_run.states):
        same = jax.tree.map(np.array_equal, before.frozen, after.frozen)
        assert all(jax.tree.leaves(same)) == (before.iteration == after.iteration)


def test_responses_are_measured_against_exact_best_responses(joint_run):
    """`left` is the value of the best response, found by another solver, minus the response's."""
    problem, state = joint_run.problem, joint_run.states[-1]
    tree = problem.tables.tree
    task = task_of(problem, state)
    found = problem.evaluator.inspect(problem, state, task, joint_run.lines[-1])
    frozen = policies_of(problem, state.frozen)
    for player in range(tree.num_players):
        mixture = np.asarray(task.mixtures)[player, 0].astype(np.float64)
        mixture = mixture.reshape((SIZE,) * 2) / mixture.sum()
        weights = coplayer_weights(tree, frozen, player, mixture)
        best = float(best_response(tree, player, weights).value)
        assert state.best[player, 0] == pytest.approx(best, abs=1e-6)
        plan = found.responses[0][tree.terminal_sequence[:, player]]
        earned = float(weights @ (plan * tree.terminal_returns[:, player]))
        left = found.response_left[player, 0]
        assert left == pytest.approx(best - earned, abs=1e-5)
        assert left > -1e-9


def test_responding_to_the_product_of_marginals_is_another_task(joint_run):
    """The mixture of two co-players is then the product of what each of them plays by itself."""
    problem, state = joint_run.problem, joint_run.states[-1]
    config = dataclasses.replace(
        problem.config, jpsro=dataclasses.replace(problem.config.jpsro, coplayers="product")
    )
    found = problem.evaluator.inspect(problem, state, task_of(problem, state), joint_run.lines[-1])
    both = [
        conclude(dataclasses.replace(problem, config=c), state, found)[0]
        for c in (problem.config, config)
    ]
    joint, product = (np.asarray(after.joint) for after in both)
    for seat in range(3):
        others = tuple(q for q in range(3) if q != seat)
        marginal = joint.sum(axis=others)
        np.testing.assert_allclose(product.sum(axis=others), marginal, atol=1e-9)
    one, other = joint.sum(axis=(0, 2)), joint.sum(axis=(0, 1))
    np.testing.assert_allclose(product.sum(axis=0), np.outer(one, other), atol=1e-9)
    assert np.abs(product - joint).max() > 1e-3
    # What is kept and reported is the joint, not what is responded to.
    np.testing.assert_array_equal(both[0].best_so_far.joint, both[1].best_so_far.joint)


def test_drift_is_seen_and_rehearsal_keeps_it_small(joint_run):
    """Without rehearsal the same steps move payoffs of earlier strategies several times as far."""
    problem = joint_run.problem
    config = dataclasses.replace(
        problem.config, jpsro=dataclasses.replace(problem.config.jpsro, hold_weight=0.0)
    )
    free = make_joint_problem(config, problem.tables.tree)
    start = next(s for s in joint_run.states if s.iteration == 4)

    def drift_of(problem):
        stop = dataclasses.replace(
            problem.config.training, steps=int(start.learner.step) + 100, max_steps_per_row=10_000
        )
        changed = dataclasses.replace(problem.config, training=stop)
        lines = []
        train(
            dataclasses.replace(problem, config=changed),
            start,
            on_evaluation=lambda state, line: lines.append(line),
        )
        return lines[-1]["drift/payoff"]

    assert drift_of(free) > 4 * drift_of(problem)


def test_a_response_that_repeats_a_strategy_refines_it(joint_run):
    problem, state = joint_run.problem, joint_run.states[-1]
    task = task_of(problem, state)
    found = problem.evaluator.inspect(problem, state, task, joint_run.lines[-1])
    like_two = dataclasses.replace(found, responses=found.plans[2:3] * (1 - 0.01))
    few = state._replace(sizes=np.full(3, 4))
    assert (choose_slots(problem, few, like_two).slot == 2).all()


def test_a_new_response_gets_the_next_free_strategy_or_that_of_least_weight(joint_run):
    problem, state = joint_run.problem, joint_run.states[-1]
    found = problem.evaluator.inspect(problem, state, task_of(problem, state), joint_run.lines[-1])
    other = dataclasses.replace(found, responses=1 - found.plans[1:2])
    few = state._replace(sizes=np.array([2, 3, 4]))
    assert choose_slots(problem, few, other).slot.tolist() == [2, 3, 4]
    joint = np.zeros((SIZE,) * 3)
    joint[2, 3, 1] = joint[0, 0, 0] = 0.5
    full = state._replace(sizes=np.full(3, SIZE), joint=joint)
    chosen = choose_slots(problem, full, other).slot
    # Strategy 0 plays by no network, and those with weight stay.
    assert chosen.tolist() == [1, 1, 2]


def test_resumed_training_is_the_same_to_the_bit(joint_run):
    problem = joint_run.problem
    middle = len(joint_run.states) // 2
    saved = to_arrays(joint_run.states[middle])
    restored = from_arrays(initial_state(problem), saved)
    states = []
    train(problem, restored, on_evaluation=lambda state, line: states.append(state))
    expected, found = to_arrays(joint_run.states[-1]), to_arrays(states[-1])
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.slow
def test_drawn_information_states_say_what_all_of_them_say(joint_run):
    """A gradient step on many draws estimates responding, distilling and what is rehearsed."""
    problem = joint_run.problem
    # In the middle of an iteration, with something to distil and to rehearse.
    state = next(s for s in joint_run.states if (s.slot > 0).all() and (s.sizes > 3).all())
    task, key, said = task_of(problem, state), jax.random.key(1), []
    for sample in (0, 30_000):
        settings = dataclasses.replace(problem.config.learner, sample=sample, updates_per_target=1)
        config = dataclasses.replace(problem.config, learner=settings)
        learner = make_response_learner(problem.tables, config, 1)
        experience = learner.collect(state.frozen, task, key)
        # Parameters that are not those of the frozen copy, from which nothing has drifted.
        said.append(learner.update(state.learner, experience, key)[1])
    assert said[0]["train/strategy_divergence"] > 1e-5
    for name, value in said[0].items():
        assert said[1][name] == pytest.approx(value, rel=0.05), name


def test_strategies_count_where_their_own_play_leads_and_a_share_everywhere(joint_run):
    """Whoever always bets never decides a second time; a share of `off_path` counts that too."""
    tables = joint_run.problem.tables
    tree, seat = tables.tree, np.asarray(tables.seat)
    bets = np.zeros((*tree.legal_mask.shape, 1), np.float32)
    bets[:, 1] = 1.0
    first = tree.sequence_infoset[tree.infoset_parent_sequence] < 0

    def importance(off_path):
        return np.asarray(importance_of(tables.passes, bets, seat, off_path=off_path))[:, 0]

    def even_on(states):
        return states / (seat @ (seat.T @ states))

    np.testing.assert_allclose(importance(0.0), even_on(1.0 * first), rtol=1e-6)
    np.testing.assert_allclose(importance(1.0), even_on(np.ones(len(seat))), rtol=1e-6)
    mixed = 0.7 * even_on(1.0 * first) + 0.3 * even_on(np.ones(len(seat)))
    np.testing.assert_allclose(importance(0.3), mixed, rtol=1e-5)


def test_ce_run_closes_its_gap(joint_config):
    """One response per recommendation on the game of chicken's relative, the stag hunt's tree."""
    config = joint_config("matrix_sh", concept="ce", judge="none")
    problem = make_joint_problem(config, load_tree(config.game))
    state = train(problem, initial_state(problem), on_evaluation=lambda state, line: None)
    assert np.maximum(state.best_so_far.gains, 0).sum() < 0.01


def test_a_network_that_plays_nan_is_one_clear_error(joint_run):
    problem, state = joint_run.problem, joint_run.states[0]
    broken = jax.tree.map(lambda leaf: leaf * np.nan, state.learner.params)
    state = state._replace(learner=state.learner._replace(params=broken))
    with pytest.raises(TrainingError, match="NaN after 20 gradient steps"):
        train(problem, state, on_evaluation=lambda state, line: None)
