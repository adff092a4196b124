"""Runs that only play: they learn, repeat themselves, go on where they stopped, and never see a
tree.
"""

import contextlib
import dataclasses
import itertools
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from neupl.errors import UserError
from neupl.evaluation import evaluate_population
from neupl.interaction_graph import graph_rows, response_row
from neupl.problem import make_problem
from neupl.training import TrainingError, initial_state, train
from neupl.training_problem import rows_of
from neupl.training_state import from_arrays, to_arrays
from neupl.tree_population import TreePopulation
from solvers.gaps import gains
from solvers.meta.registry import meta_solver
from solvers.meta.regularised_nash import solve_regularised_nash

LEARNER = {"kind": "ppo", "episodes": 256, "minibatch": 512, "epochs": 1}
TRAINING = {"steps": 24, "evaluate_every": 2, "max_steps_per_row": 4}


class Run(NamedTuple):
    """What a run leaves in memory.

    Attributes:
      problem: what was trained.
      states: the initial state, those after every evaluation, and what `train` returned.
      evaluations: every evaluation.
      lines: the metrics of every evaluation.
    """

    problem: Any
    states: list
    evaluations: list
    lines: list


class Enough(Exception):
    """Ends a run after the evaluations that a test needs."""


def run_from(problem, state, *, num_evaluations=None):
    run = Run(problem, [state], [], [])

    def record(state, evaluation, line):
        run.states.append(state)
        run.evaluations.append(evaluation)
        run.lines.append(line)
        if len(run.lines) == num_evaluations:
            raise Enough

    with contextlib.suppress(Enough):
        run.states.append(train(problem, state, on_evaluation=record))
    return run


@pytest.fixture(scope="module")
def sampled_config(small_config):
    """`(game, **sections)`: a short sampled run of a population of three."""

    def make(game="kuhn_poker", *, training=None, **sections):
        defaults = {
            "population": {"size": 3},
            "learner": LEARNER,
            "evaluation": {"episodes": 128, "window": 2},
        }
        for name, section in defaults.items():
            sections[name] = section | sections.get(name, {})
        config = small_config(game, **sections)
        # Last: how often to evaluate depends on the learner.
        changed = dataclasses.replace(config.training, **TRAINING | (training or {}))
        return dataclasses.replace(config, training=changed)

    return make


@pytest.fixture(scope="module")
def kuhn(sampled_config):
    """A gated run on Kuhn poker that fills the population and readmits."""
    problem, sink = make_problem(sampled_config())
    assert sink is None and problem.tables is None and not problem.evaluator.exact
    return run_from(problem, initial_state(problem))


def assert_same(state, other):
    arrays, others = to_arrays(state), to_arrays(other)
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name], err_msg=name)


def test_training_goes_on_from_a_checkpoint_bit_by_bit(kuhn, sampled_config):
    """In another problem, whose game remembers nothing of what was visited: states, metrics and
    evaluations are the same.
    """
    start = 5
    saved = kuhn.states[start]
    assert saved.hold.any() and saved.estimates.statistics.count.any()
    arrays = {name: array.copy() for name, array in to_arrays(saved).items()}
    problem, _ = make_problem(sampled_config())
    restored = from_arrays(initial_state(problem), arrays)
    assert_same(restored, saved)
    again = run_from(problem, restored)
    assert len(again.lines) == len(kuhn.lines) - start > 4
    for state, expected in zip(again.states, kuhn.states[start:], strict=True):
        assert_same(state, expected)
    for line, expected in zip(again.lines, kuhn.lines[start:], strict=True):
        assert line.keys() == expected.keys()
        kept = [name for name in line if not name.startswith("time/")]
        np.testing.assert_array_equal([line[k] for k in kept], [expected[k] for k in kept])


@pytest.mark.slow
def test_payoff_heads_go_on_from_a_checkpoint_bit_by_bit(sampled_config):
    """From before a new row and after: what the head has learned, and its momentum, are saved."""
    config = sampled_config(evaluation={"payoffs": "learned"}, training={"steps": 8})
    problem, _ = make_problem(config)
    whole = run_from(problem, initial_state(problem))
    saved, after = whole.states[1:3]
    slot = int(saved.num_admitted)
    assert after.num_admitted == slot + 1
    moments = saved.estimates.head.optimizer
    assert any(np.asarray(leaf).any() for leaf in jax.tree.leaves(moments.mu))
    arrays = {name: array.copy() for name, array in to_arrays(saved).items()}
    again = run_from(problem, from_arrays(initial_state(problem), arrays))
    assert len(again.lines) == 3
    for state, expected in zip(again.states, whole.states[1:], strict=True):
        assert_same(state, expected)
    # The payoffs are the head's, and the strategy with a new row has no index in it.
    estimates, payoffs = whole.states[-2].estimates, whole.evaluations[-1].payoffs
    known = estimates.statistics.total[..., 0] / np.maximum(estimates.statistics.count, 1)
    assert 0 < np.abs(payoffs[..., 0] - known).max() < 1
    index = np.asarray(after.estimates.head.params["params"]["index_embedding"])
    assert not index[:, slot].any() and index[:, slot - 1].any()


def test_population_that_is_kept_is_measured_afresh(kuhn):
    """Its payoffs as training had them stay beside the measured ones."""
    best, last = kuhn.states[-1].best, kuhn.states[-2].best
    (kept,) = (
        evaluation
        for state, evaluation in zip(kuhn.states[1:-1], kuhn.evaluations, strict=True)
        if state.learner.step == best.step
    )
    for found in (best, last):
        np.testing.assert_array_equal(found.running_payoffs, kept.payoffs)
        np.testing.assert_array_equal(found.running_errors, kept.payoff_errors)
    assert last.episodes == 0 and best.episodes == kuhn.problem.config.evaluation.final_episodes
    np.testing.assert_array_equal(last.payoffs, last.running_payoffs)
    admitted = np.ix_(range(best.num_admitted), range(best.num_admitted))
    assert (best.payoff_errors[admitted] < best.running_errors[admitted]).all()
    assert (best.payoffs != best.running_payoffs)[admitted].any()


def test_metrics_tell_how_well_episodes_were_foretold(kuhn):
    for evaluation, line in zip(kuhn.evaluations, kuhn.lines, strict=True):
        found = evaluation.calibration
        assert line["calibration/root_mean_square_error"] == found.root_mean_square_error
        assert line["calibration/num"] == found.num > 0


def test_strategies_are_admitted_when_ready_or_overdue(kuhn):
    settings = kuhn.problem.config.training
    steps = list(
        zip(kuhn.states[:-2], kuhn.states[1:-1], kuhn.evaluations, kuhn.lines, strict=True)
    )
    kinds = set()
    for before, after, evaluation, line in steps:
        step = int(after.learner.step)
        overdue = step - before.admitted_step >= settings.max_steps_per_row
        changed = np.flatnonzero(after.response_number != before.response_number)
        assert len(changed) == (evaluation.ready or overdue)
        assert line["train/left"] == evaluation.left or np.isnan(evaluation.left)
        same = after.response_number == before.response_number
        np.testing.assert_array_equal(after.joint[:, same], before.joint[:, same])
        if not len(changed):
            continue
        (slot,) = changed
        full = before.num_admitted == 3
        kinds.add(full)
        # What was known of the old strategy is forgotten.
        for part in after.estimates.statistics:
            assert not part[slot].any() and not part[:, slot].any()
        assert np.isnan(after.estimates.history.values[..., slot]).all()
        if not full:
            expected = response_row(
                kuhn.problem.config.graph,
                evaluation.payoffs,
                range(slot),
                solver=kuhn.problem.solver,
            )
            np.testing.assert_array_equal(after.joint[:, slot], expected)
        else:
            jax.tree.map(np.testing.assert_array_equal, after.teacher, after.learner.params)
            np.testing.assert_array_equal(after.respond, np.arange(3) == slot)
    assert kinds == {False, True}
    # Nothing settles: which population is best is only estimated.
    assert kuhn.states[-1].respond.any()


@pytest.mark.slow
def test_rows_are_made_again_when_payoffs_have_caught_up(sampled_config):
    """Halfway through a turn of eight batches, from the payoffs of that evaluation; once, and with
    nothing known of the strategy as it was. Both of a strategy that is admitted and of one that
    takes the place of another. In the closing steps all learn, and no row changes.
    """
    training = {
        "rehearse": False, "steps": 34, "closing_steps": 4, "max_steps_per_row": 8,
        "renew_row": 0.5,
    }  # fmt: skip
    # With so much entropy every row hangs on all payoffs.
    graph, evaluation = {"temperature": 0.5}, {"window": 9}
    problem, _ = make_problem(sampled_config(graph=graph, evaluation=evaluation, training=training))
    run = run_from(problem, initial_state(problem))
    renewed = []
    for before, after, evaluation in zip(
        run.states[:-2], run.states[1:-1], run.evaluations, strict=True
    ):
        step = int(after.learner.step)
        slot, response = int(np.argmax(after.response_number)), int(after.response_number.max())
        if step >= 34:
            np.testing.assert_array_equal(after.respond, [0, 1, 1])
            assert not after.hold.any()
            np.testing.assert_array_equal(after.joint, before.joint)
            continue
        if step - after.admitted_step != 4:
            same = after.response_number == before.response_number
            np.testing.assert_array_equal(after.joint[:, same], before.joint[:, same])
            continue
        members = [k for k in range(3 if response > 2 else slot) if k != slot]
        graph = dataclasses.replace(
            problem.config.graph,
            exploration=problem.config.graph.exploration * (response < 3 or response % 2),
        )
        expected = response_row(graph, evaluation.payoffs, members, solver=problem.solver)
        np.testing.assert_array_equal(after.joint[:, slot], expected)
        if (after.joint != before.joint).any():
            renewed.append(response)
            assert not after.estimates.statistics.count[slot].any()
            assert np.isnan(after.estimates.history.values[..., slot]).all()
            assert after.respond[slot] and after.num_admitted == before.num_admitted
        others = np.arange(3) != slot
        np.testing.assert_array_equal(after.joint[:, others], before.joint[:, others])
    # The first response meets strategy 0 whatever the payoffs.
    assert renewed == [2, 3, 4] and run.states[-1].learner.step == 38


def test_strategies_admitted_earlier_are_held_where_nobody_rehearses(sampled_config):
    """Where they were at the admission, while the newest one responds."""
    training = {"rehearse": False, "steps": 8, "evaluate_every": 1, "max_steps_per_row": 2}
    problem, _ = make_problem(sampled_config(population={"size": 4}, training=training))
    run = run_from(problem, initial_state(problem))
    admitted = []
    for before, after in itertools.pairwise(run.states[:-1]):
        newest = int(after.num_admitted) - 1
        if newest == before.num_admitted:
            admitted.append(newest)
            np.testing.assert_array_equal(after.respond, np.arange(4) == newest)
            np.testing.assert_array_equal(after.hold, (np.arange(4) > 0) & (np.arange(4) < newest))
            jax.tree.map(np.testing.assert_array_equal, after.teacher, after.learner.params)
    assert admitted == [2, 3]


def test_meta_strategy_is_regularised_in_payoff_ranges(sampled_config):
    """Kuhn poker pays -2 to 2."""
    problem, _ = make_problem(sampled_config(graph={"temperature": 0.1}))
    first = np.random.default_rng(0).normal(size=(3, 3))
    payoffs = np.stack([first, -first], axis=-1)
    expected = solve_regularised_nash(payoffs, temperature=0.4).joint
    np.testing.assert_allclose(problem.solver(payoffs).joint, expected, atol=1e-12)


def test_best_population_is_one_whose_response_had_its_time(kuhn):
    """The newest of them whose estimated gain is not shown to be greater than the one kept."""
    settings, least, error, step = kuhn.problem.config.training, np.inf, 0.0, None
    for before, after, evaluation in zip(
        kuhn.states[:-2], kuhn.states[1:-1], kuhn.evaluations, strict=True
    ):
        waited = int(after.learner.step) - int(before.admitted_step)
        if not (evaluation.ready or waited >= settings.max_steps_per_row):
            assert after.best.step == before.best.step
            continue
        doubt = 1.645 * np.hypot(evaluation.gains_error, error)
        if evaluation.nash_conv - doubt < least:
            least, error = evaluation.nash_conv, evaluation.gains_error
            step = int(after.learner.step)
        assert after.best.step == step and after.best.gains.sum() == least
    assert step is not None


def test_runs_too_short_for_any_response_still_end_with_one(sampled_config):
    config = sampled_config(training={"steps": 2, "max_steps_per_row": 100})
    problem, _ = make_problem(config)
    run = run_from(problem, initial_state(problem))
    assert np.isinf(run.states[-2].best.gains).all()
    assert np.isfinite(run.states[-1].best.gains).all()
    assert run.states[-1].best.step == 2 and run.states[-1].best.num_admitted == 2


@pytest.mark.parametrize("kind", ["psro", "strategic_cycle"])
def test_concurrent_training_follows_the_estimated_payoffs(kind, sampled_config):
    sink = "none" if kind == "strategic_cycle" else "uniform"
    config = sampled_config(
        "matrix_rps",
        population={"sink": sink},
        graph={"kind": kind},
        training={"steps": 4, "admission": "concurrent"},
    )
    problem, _ = make_problem(config)
    run = run_from(problem, initial_state(problem))
    for after, evaluation in zip(run.states[1:-1], run.evaluations, strict=True):
        rows = graph_rows(config.graph, evaluation.payoffs, solver=problem.solver)
        np.testing.assert_array_equal(after.joint, rows)
        assert after.num_admitted == 3 and not after.hold.any()
        assert evaluation.payoffs.any() and np.isfinite(evaluation.gains).all()


@pytest.mark.slow
def test_three_players_train(sampled_config):
    """`auto` is the uniform meta-solver; rows are over pairs of co-players."""
    config = sampled_config("kuhn_poker(players=3)", training={"steps": 6})
    problem, _ = make_problem(config)
    run = run_from(problem, initial_state(problem))
    state = run.states[-1]
    assert state.num_admitted == 3 and state.joint.shape == (3, 3, 9)
    np.testing.assert_allclose(state.joint[:, 1:].sum(axis=-1), 1)
    for evaluation in run.evaluations:
        np.testing.assert_allclose(evaluation.payoffs.sum(axis=-1), 0, atol=1e-6)


def test_divergence_stops_training(kuhn):
    state = kuhn.states[2]
    params = jax.tree.map(lambda x: x * np.float32(np.nan), state.learner.params)
    state = state._replace(learner=state.learner._replace(params=params))
    with pytest.raises(TrainingError, match="gradient steps; what was saved before"):
        run_from(kuhn.problem, state)


@pytest.mark.slow
def test_population_of_kuhn_poker_is_hard_to_exploit(sampled_config, tree_of):
    """The exact NashConv of what episodes alone chose; strategy 0 alone loses 0.9."""
    config = sampled_config(
        population={"size": 6},
        learner={"episodes": 2048, "minibatch": 2048, "epochs": 2},
        training={"steps": 300, "evaluate_every": 5, "max_steps_per_row": 25},
        evaluation={"episodes": 2048, "window": 4},
    )
    problem, _ = make_problem(config)
    best = run_from(problem, initial_state(problem)).states[-1].best
    tree = tree_of("kuhn_poker")
    tables = TreePopulation(tree, config, sink=tree.uniform_policy().astype(np.float32))
    policies = np.asarray(tables.policies(best.params, rows_of(best.joint)))
    exact = evaluate_population(tree, policies, int(best.num_admitted), solver=meta_solver("nash"))
    assert exact.nash_conv < 0.4 < 0.9 < gains(tree, tree.uniform_policy()).sum()


def test_what_does_not_fit_is_explained(sampled_config):
    cases = [
        ({"sink": "runs/other#0"}, r"population.sink is 'runs/other#0', but a run that only plays"),
        ({"sink": "none"}, "population.sink is 'none', but graph.kind 'psro' starts from a fixed"),
        (
            {"symmetric": True},
            "population.symmetric is true, but kuhn_poker is not known to be a symmetric",
        ),
    ]
    for population, message in cases:
        with pytest.raises(UserError, match=message):
            make_problem(sampled_config(population=population))
