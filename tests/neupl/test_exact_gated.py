"""PPO on episodes with gate, payoffs and selection from the game tree: they are the tree's, and the
population says so.
"""

import dataclasses

import jax
import numpy as np
import pytest

from neupl.errors import UserError
from neupl.export import CompiledParts, export_population
from neupl.population_actor import PopulationActor, Seen, uniform_sink
from neupl.population_files import MODEL_CARD_FILE
from neupl.problem import make_problem
from neupl.stored_population import load_population
from neupl.training import initial_state, train
from neupl.training_problem import objective_of, rows_of
from neupl.verification import verify_population
from solvers.gaps import gains
from solvers.sequence_form import mix
from solvers.values import payoffs


@pytest.fixture(scope="module")
def gated_config(small_config):
    """`(**sections)`: a short run on Kuhn poker."""

    def make(**sections):
        config = small_config(
            "kuhn_poker",
            **{
                "population": {"size": 3},
                "learner": {"kind": "ppo", "episodes": 256, "minibatch": 512, "epochs": 1},
                "evaluation": {"payoffs": "exact"},
            }
            | sections,
        )
        changed = {"steps": 12, "evaluate_every": 2, "max_steps_per_row": 4, "settle": 0.4}
        training = dataclasses.replace(config.training, **changed)
        return dataclasses.replace(config, training=training)

    return make


@pytest.fixture(scope="module")
def run(gated_config):
    """The problem, and the states, evaluations and metrics of a run."""
    problem, sink = make_problem(gated_config())
    assert sink is None
    states, evaluations, lines = [initial_state(problem)], [], []

    def record(state, evaluation, line):
        states.append(state)
        evaluations.append(evaluation)
        lines.append(line)

    states.append(train(problem, states[0], on_evaluation=record))
    return problem, states, evaluations, lines


def policies_of(problem, params, joint):
    tables = np.asarray(problem.tables.policies(params, rows_of(joint)), np.float64)
    return tables / tables.sum(axis=-1, keepdims=True)


def test_tree_shows_the_policies_that_play(run):
    """The network on the tree and the actor of the episodes are one function of the parameters."""
    problem, states, _, _ = run
    tree, state = problem.tables.tree, states[-1]
    actor = PopulationActor(problem.info, problem.tables.network, num_tables=2, sink=uniform_sink)
    nobody = np.zeros((tree.num_infosets, 2), np.int32)
    seen = Seen(tree.observation, tree.legal_mask, tree.infoset_player, nobody)
    played = actor.every_strategy(state.learner.params, rows_of(state.joint), seen)
    found = policies_of(problem, state.learner.params, state.joint)
    np.testing.assert_allclose(played, found, atol=1e-6)
    assert np.abs(found[1] - found[2]).max() > 0.01


def test_payoffs_and_gains_are_those_of_the_tree(run):
    """The state after an evaluation has the parameters that were evaluated."""
    problem, states, evaluations, lines = run
    tree = problem.tables.tree
    assert problem.evaluator.exact and len(lines) == 6
    for before, after, evaluation, line in zip(
        states[:-2], states[1:-1], evaluations, lines, strict=True
    ):
        policies = policies_of(problem, after.learner.params, before.joint)
        np.testing.assert_allclose(evaluation.payoffs, payoffs(tree, policies), atol=1e-6)
        exact = gains(tree, mix(tree, policies, evaluation.meta_strategy))
        np.testing.assert_allclose(evaluation.gains, exact, atol=1e-6)
        assert line["eval/nash_conv"] == evaluation.nash_conv
        assert evaluation.gains_error == 0 and evaluation.calibration is None
        assert {"time/collect_s", "time/update_s", "time/evaluate_s"} <= line.keys()
        assert not any(name.startswith("calibration/") for name in line)
    kept = [line["eval/best_nash_conv"] for line in lines]
    assert kept == list(np.minimum.accumulate([line["eval/nash_conv"] for line in lines]))


def test_gate_is_the_largest_gain_left_in_temperatures(run):
    problem, states, evaluations, _ = run
    for before, after, evaluation in zip(states[:-2], states[1:-1], evaluations, strict=True):
        objective = objective_of(problem, before._replace(learner=after.learner))
        gain = np.asarray(problem.tables.row_gain(after.learner.params, objective))
        left = (gain / objective.temperature * objective.respond).max()
        assert evaluation.left == pytest.approx(left, rel=1e-4)
        assert evaluation.ready == (evaluation.left <= problem.config.training.gate)


def test_nobody_settles(run):
    """Of a best population that is known exactly there is no need to go back to it."""
    _, states, _, _ = run
    assert states[-1].respond.any()
    moved = jax.tree.map(
        lambda a, b: np.abs(np.asarray(a) - np.asarray(b)).max(),
        states[-3].learner.params,
        states[-2].learner.params,
    )
    assert moved["params"]["policy"]["kernel"] > 0


def test_population_is_labelled_and_certified(run, tmp_path):
    problem, states, _, _ = run
    best = states[-1].best
    policies = np.asarray(problem.tables.policies(best.params, rows_of(best.joint)))
    compiled = CompiledParts(problem.tables.tree, None, policies)
    folder = tmp_path / "population"
    export_population(
        folder, info=problem.info, config=problem.config, best=best, compiled=compiled
    )
    card = (folder / MODEL_CARD_FILE).read_text()
    assert "PPO on episodes, exact-gated: the game tree gave payoffs, gate and selection" in card
    assert "of 12 batches" in card and "game points, exact" in card
    population = load_population(folder)
    assert population.method == "PPO on episodes, exact-gated" and population.estimates is None
    verification = verify_population(population, problem.tables.tree, name="a_run")
    assert verification.certificate.value == pytest.approx(best.gains.sum(), abs=1e-6)
    content = verification.to_json()
    assert content["method"] == "PPO on episodes, exact-gated" and "payoffs" not in content


def test_what_does_not_fit_is_explained(gated_config):
    with pytest.raises(UserError, match=r"population.sink is 'runs/other#0', but a run that only"):
        make_problem(gated_config(population={"size": 3, "sink": "runs/other#0"}))
