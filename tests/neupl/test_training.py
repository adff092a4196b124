"""The population loop: who is admitted when, what is frozen, what is kept, and that it repeats."""

import dataclasses
import logging

import jax
import numpy as np
import pytest

from neupl.errors import UserError
from neupl.evaluation import evaluate_population
from neupl.interaction_graph import graph_rows, response_row
from neupl.problem import make_problem
from neupl.training import TrainingError, initial_state
from neupl.training_problem import rows_of
from neupl.training_state import from_arrays, to_arrays


def steps_of(run):
    """`(state before, state after, evaluation, metrics)` of every evaluation."""
    return zip(run.states, run.states[1:], run.evaluations, run.lines, strict=False)


def policies_of(run, params, joint):
    return np.asarray(run.problem.tables.policies(params, rows_of(joint)))


def assert_same(state, other):
    arrays, others = to_arrays(state), to_arrays(other)
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name], err_msg=name)


def test_small_kuhn_poker_run_is_nearly_solved(kuhn_run):
    nash_conv = [evaluation.nash_conv for evaluation in kuhn_run.evaluations]
    assert min(nash_conv) < 0.05
    assert kuhn_run.lines[-1]["eval/best_nash_conv"] == min(nash_conv)


@pytest.mark.parametrize("fixture", ["kuhn_run", "three_player_run"])
def test_strategies_are_admitted_in_order_when_the_gate_opens(fixture, request):
    run = request.getfixturevalue(fixture)
    settings, size = run.problem.config.training, run.problem.config.population.size
    assert run.states[0].num_admitted == 2
    readmissions = 0
    for before, after, _, line in steps_of(run):
        step = int(after.learner.step)
        ready = line["train/left"] <= settings.gate
        overdue = step - before.admitted_step >= settings.max_steps_per_row
        changed = np.flatnonzero(after.response_number != before.response_number)
        assert len(changed) == (ready or overdue)
        if not len(changed):
            assert after.num_admitted == before.num_admitted
            continue
        (slot,) = changed
        assert after.admitted_step == step
        assert after.response_number[slot] == before.response_number.max() + 1
        if before.num_admitted < size:
            assert slot == before.num_admitted == after.num_admitted - 1
            # Everyone admitted so far goes on responding.
            np.testing.assert_array_equal(
                after.respond, (np.arange(size) > 0) & (np.arange(size) <= slot)
            )
            assert not after.hold.any()
        else:
            readmissions += 1
            np.testing.assert_array_equal(after.respond, np.arange(size) == slot)
            held = (np.arange(size) != slot) & (np.arange(size) > 0)
            np.testing.assert_array_equal(after.hold, held)
    assert run.states[-1].num_admitted == size
    assert readmissions >= 2


@pytest.mark.parametrize("fixture", ["kuhn_run", "three_player_run"])
def test_rows_are_frozen_between_admissions(fixture, request):
    run = request.getfixturevalue(fixture)
    for before, after, _, _ in steps_of(run):
        same = after.response_number == before.response_number
        np.testing.assert_array_equal(after.joint[:, same], before.joint[:, same])


def test_new_rows_answer_the_payoffs_of_the_moment(kuhn_run):
    """Every other readmission responds to the meta-strategy alone, the others explore."""
    config = kuhn_run.problem.config
    explored = set()
    for before, after, evaluation, _ in steps_of(kuhn_run):
        changed = np.flatnonzero(after.response_number != before.response_number)
        if not len(changed):
            continue
        (slot,), graph = changed, config.graph
        members = range(slot)
        if before.num_admitted == config.population.size:
            members = [k for k in range(config.population.size) if k != slot]
            odd = int(after.response_number[slot]) % 2
            explored.add(odd)
            graph = dataclasses.replace(graph, exploration=graph.exploration * odd)
        expected = response_row(graph, evaluation.payoffs, members, solver=kuhn_run.problem.solver)
        np.testing.assert_array_equal(after.joint[:, slot], expected)
        assert not after.joint[:, slot, slot].any()
    assert explored == {0, 1}


def test_least_used_strategy_is_readmitted(kuhn_run):
    for before, after, evaluation, _ in steps_of(kuhn_run):
        changed = np.flatnonzero(after.response_number != before.response_number)
        if before.num_admitted < len(before.respond) or not len(changed):
            continue
        weight = evaluation.meta_strategy.sum(axis=0)
        assert weight[changed[0]] <= weight[1:].min() + 1e-6


@pytest.mark.parametrize("fixture", ["kuhn_run", "three_player_run"])
def test_sink_is_neither_trained_nor_readmitted(fixture, request):
    run = request.getfixturevalue(fixture)
    uniform = run.problem.tables.tree.uniform_policy()
    for state in run.states:
        assert not state.joint[:, 0].any()
        assert state.respond[0] == state.hold[0] == state.response_number[0] == 0
    for state in run.states[:: len(run.states) - 1]:
        policies = policies_of(run, state.learner.params, state.joint)
        np.testing.assert_allclose(policies[0], uniform, atol=1e-7)
        assert np.abs(policies[1] - uniform).max() > 1e-3


def test_teacher_is_the_network_at_the_last_readmission(kuhn_run):
    for before, after, _, _ in steps_of(kuhn_run):
        readmitted = (
            before.num_admitted == len(before.respond)
            and after.admitted_step != before.admitted_step
        )
        expected = after.learner.params if readmitted else before.teacher
        jax.tree.map(np.testing.assert_array_equal, after.teacher, expected)


def test_three_players_meet_uniform_joints(three_player_run):
    """`auto` is the uniform meta-solver: strategy 2 meets the four profiles of 0 and 1 alike."""
    first = three_player_run.states[0]
    expected = np.zeros((3, 3))
    expected[0, 0] = 1
    np.testing.assert_array_equal(first.joint[:, 1].reshape(3, 3, 3), [expected] * 3)
    full = next(s for s in three_player_run.states if s.num_admitted == 3)
    expected[:2, :2] = 0.25
    np.testing.assert_allclose(full.joint[:, 2].reshape(3, 3, 3), [expected] * 3)
    losses = [evaluation.nash_conv for evaluation in three_player_run.evaluations]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("fixture", ["kuhn_run", "three_player_run"])
def test_best_snapshot_is_the_best_evaluation_and_can_be_repeated(fixture, request):
    run = request.getfixturevalue(fixture)
    best = run.states[-1].best
    values = [evaluation.nash_conv for evaluation in run.evaluations]
    first = int(np.argmin(values))
    assert best.gains.sum() == values[first]
    assert best.step == run.states[first + 1].learner.step
    again = evaluate_population(
        run.problem.tables.tree,
        policies_of(run, best.params, best.joint),
        int(best.num_admitted),
        solver=run.problem.solver,
    )
    np.testing.assert_array_equal(again.gains, best.gains)
    np.testing.assert_array_equal(again.meta_strategy, best.meta_strategy)
    np.testing.assert_array_equal(again.payoffs, best.payoffs)


def test_settled_run_keeps_its_best_population_to_the_last_bit(small_config, train_config):
    """While the critic still learns."""
    config = small_config("kuhn_poker", training={"steps": 400, "settle": 0.4})
    run = train_config(config)
    settled = [i for i, state in enumerate(run.states) if not state.respond.any()]
    assert settled[0] == 240 // config.training.evaluate_every
    best = run.states[-1].best
    assert best.step < 240, "the population must have been left for this to say something"
    for i in settled[1:]:
        assert run.evaluations[i - 1].nash_conv == best.gains.sum()
        np.testing.assert_array_equal(run.states[i].joint, best.joint)
        np.testing.assert_array_equal(
            policies_of(run, run.states[i].learner.params, best.joint),
            policies_of(run, best.params, best.joint),
        )
    critic = run.states[-1].learner.params["params"]["critic"]["kernel"]
    assert np.abs(critic - best.params["params"]["critic"]["kernel"]).max() > 0


def test_training_repeats_itself(kuhn_run, small_config, train_config):
    config = small_config("kuhn_poker")
    again = train_config(config, num_evaluations=6)
    assert_same(again.states[-1], kuhn_run.states[6])


def test_training_goes_on_from_a_checkpoint_bit_by_bit(kuhn_run, train_config):
    """From the middle, when there is a teacher and strategies are held."""
    start, end = 24, 32
    saved = kuhn_run.states[start]
    assert saved.hold.any()
    arrays = {name: array.copy() for name, array in to_arrays(saved).items()}
    restored = from_arrays(initial_state(kuhn_run.problem), arrays)
    assert_same(restored, saved)
    config = kuhn_run.problem.config
    again = train_config(config, state=restored, num_evaluations=end - start)
    assert_same(again.states[-1], kuhn_run.states[end])


def test_checkpoint_that_does_not_fit_is_refused(kuhn_run):
    template = kuhn_run.states[0]
    arrays = to_arrays(template)
    with pytest.raises(
        UserError, match=r"joint should be float64 \(2, 5, 5\), found .*\(2, 4, 4\)"
    ):
        from_arrays(template, arrays | {"joint": arrays["joint"][:, :4, :4]})
    with pytest.raises(UserError, match="respond should be float64"):
        from_arrays(template, arrays | {"respond": arrays["respond"].astype(np.float32)})
    missing = next(name for name in arrays if "index_embedding" in name)
    with pytest.raises(UserError, match="found nothing"):
        from_arrays(template, {n: a for n, a in arrays.items() if n != missing})


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("fictitious_play", marks=pytest.mark.slow),
        "psro",
        pytest.param("strategic_cycle", marks=pytest.mark.slow),
    ],
)
def test_concurrent_training_follows_the_graph(kind, small_config, train_config):
    sink = "none" if kind == "strategic_cycle" else "uniform"
    config = small_config(
        "matrix_rps",
        population={"size": 3, "sink": sink},
        graph={"kind": kind},
        training={"steps": 60, "admission": "concurrent"},
    )
    run = train_config(config)
    trained = [1, 1, 1] if sink == "none" else [0, 1, 1]
    for state in run.states:
        assert state.num_admitted == 3
        np.testing.assert_array_equal(state.respond, trained)
        assert not state.hold.any()
        assert sorted(state.response_number) == ([1, 2, 3] if sink == "none" else [0, 1, 2])
    for after, evaluation in zip(run.states[1:], run.evaluations, strict=True):
        rows = graph_rows(config.graph, evaluation.payoffs, solver=run.problem.solver)
        np.testing.assert_array_equal(after.joint, rows)


def test_seats_of_a_symmetric_game_share_their_strategies(small_config, train_config, tmp_path):
    """From a payoff file, in which no seat is told apart by what it sees."""
    matrix = np.array([[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-2.0, 1.0, 0.0]])
    np.save(tmp_path / "game.npy", np.stack([matrix, matrix.T], axis=-1))
    config = small_config(
        str(tmp_path / "game.npy"),
        population={"size": 3, "symmetric": True},
        training={"steps": 60},
    )
    run = train_config(config)
    state = run.states[-1]
    assert state.learner.params["params"]["row_embedding"].shape[0] == 1
    policies = policies_of(run, state.learner.params, state.joint)
    np.testing.assert_allclose(policies[:, 0], policies[:, 1], atol=1e-6)
    np.testing.assert_allclose(state.joint[0], state.joint[1], atol=1e-9)


def test_warns_when_all_strategies_play_alike(small_config, train_config, caplog):
    """A network that can hardly move plays like the uniform sink whatever it is told."""
    config = small_config(
        "kuhn_poker",
        learner={"learning_rate": 1e-7, "final_learning_rate": 1e-7},
        training={"max_steps_per_row": 20, "gate": 1e-3},
    )
    with caplog.at_level(logging.WARNING, logger="neupl.training"):
        run = train_config(config, num_evaluations=2)
    assert run.lines[-1]["population/member_distance"] < 0.02
    assert "although one could still gain" in caplog.messages[0]
    assert "play alike" not in caplog.messages[0]  # two strategies may be alike
    assert "all strategies play alike: the network ignores its conditioning" in caplog.messages[1]


def test_overdue_strategies_that_differ_do_not_raise_that_warning(
    small_config, train_config, caplog
):
    config = small_config("kuhn_poker", training={"max_steps_per_row": 40, "gate": 1e-9})
    with caplog.at_level(logging.WARNING, logger="neupl.training"):
        train_config(config, num_evaluations=4)
    assert len(caplog.messages) == 2
    assert not any("play alike" in message for message in caplog.messages)


def test_divergence_stops_training(small_config, train_config):
    """An embedding that has overflowed: the sink still plays, the others cannot."""
    config = small_config("matrix_rps", population={"size": 3}, training={"steps": 60})
    state = train_config(config, num_evaluations=1).states[-1]
    params = jax.tree.map(lambda x: x * np.float32(np.nan), state.learner.params)
    state = state._replace(learner=state.learner._replace(params=params))
    with pytest.raises(TrainingError, match="after 40 gradient steps; what was saved before"):
        train_config(config, state=state)


def test_temperature_zero_trains(small_config, train_config):
    """The gate cannot be met in temperatures of zero; strategies are admitted when overdue."""
    config = small_config(
        "matrix_rps",
        population={"size": 3},
        temperature={"scale": 0.0, "floor": 0.0},
        training={"steps": 60, "max_steps_per_row": 20},
    )
    run = train_config(config)
    assert run.states[-1].num_admitted == 3
    assert all(np.isfinite(line["train/left"]) for line in run.lines)


def test_problem_is_refused_where_symmetry_is_claimed_wrongly(small_config):
    config = small_config("kuhn_poker", population={"symmetric": True})
    with pytest.raises(UserError, match="not known to be a symmetric game"):
        make_problem(config)
