"""NeuPL-JPSRO from episodes alone: what is estimated is what the game tree says, up to the errors
that are told with it, and whoever stops goes on where it was.

Statistical tests have fixed seeds and allow 4 standard errors.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games.registry import load_tree
from neupl.config import (
    JPSRO_PPO_DEFAULTS,
    EvaluationConfig,
    LearnerConfig,
    NetworkConfig,
    PopulationConfig,
    TrainingConfig,
)
from neupl.frozen_mixture import frozen_mixture
from neupl.jpsro.export import export_played_joint
from neupl.jpsro.iteration import choose_slots, task_of
from neupl.jpsro.meta_game import measure_joint, plans_of
from neupl.jpsro.played_population import PlayedJointPopulation
from neupl.jpsro.policy_change import decisions, episode_weights, mean_change
from neupl.jpsro.problem import make_joint_problem, make_played_problem
from neupl.jpsro.profile_payoffs import LEAST_EPISODES
from neupl.jpsro.training import initial_state, train
from neupl.jpsro.verification import verify_played_joint
from neupl.population_actor import Seen
from neupl.stored_population import load_population
from neupl.training import TrainingError
from neupl.training_state import from_arrays, to_arrays
from solvers.values import payoffs_of_plans

# The command line trains such a run in `tests/cli/test_train_sampled_joint.py`.
pytestmark = pytest.mark.slow

GAME = "kuhn_poker(players=3)"
PLAYERS, SIZE = 3, 4
# Of one iteration, in batches; inspected four times.
CAP = 8
SURE = 4.0


class SampledRun(NamedTuple):
    """A few iterations.

    Attributes:
      problem: what was trained.
      states: the first one, after every evaluation, and what `train` returned.
      lines: metrics of every evaluation.
    """

    problem: Any
    states: list[Any]
    lines: list[dict[str, float]]


def small_config(game=GAME, payoffs="sampled", **jpsro):
    return dataclasses.replace(
        JPSRO_PPO_DEFAULTS,
        game=game,
        population=PopulationConfig(size=SIZE),
        network=NetworkConfig(hidden_sizes=(32, 32), embedding_size=16, critic_hidden_size=16),
        learner=LearnerConfig(
            kind="ppo", learning_rate=1e-2, final_learning_rate=1e-3,
            episodes=1024, minibatch=512, clip=0.5,
        ),
        evaluation=EvaluationConfig(
            payoffs=payoffs, episodes=1200, final_episodes=8000, window=2
        ),
        training=TrainingConfig(steps=4 * CAP, evaluate_every=2, max_steps_per_row=CAP),
        jpsro=dataclasses.replace(JPSRO_PPO_DEFAULTS.jpsro, **jpsro),
    )  # fmt: skip


def trained(problem, state):
    states, lines = [state], []

    def record(state, line):
        states.append(state)
        lines.append(line)

    last = train(problem, state, on_evaluation=record)
    return SampledRun(problem, [*states, last], lines)


@pytest.fixture(scope="module")
def run():
    problem = make_played_problem(small_config())
    assert problem.tables is None
    return trained(problem, initial_state(problem))


@pytest.fixture(scope="module")
def exact():
    """The same game with its tree, to know better."""
    return make_joint_problem(small_config(), load_tree(GAME))


@pytest.fixture(scope="module")
def deciding(run):
    """A state in the middle of an iteration, slots decided, and its inspection."""
    state = [s for s in run.states if s.iteration == 3 and (s.slot > 0).all()][-1]
    found = run.problem.evaluator.inspect(
        run.problem, state, task_of(run.problem, state), {"train/loss": 0.0}
    )
    return state, found


def exact_payoffs(exact, params):
    plans = plans_of(exact.tables.tree, np.asarray(exact.tables.policies(params)))
    return payoffs_of_plans(exact.tables.tree, [plans] * PLAYERS)


def exactly_inspected(exact, state):
    """The exact inspection of a state, and what the responses gain."""
    tree = exact.tables.tree
    plans = plans_of(tree, np.asarray(exact.tables.policies(state.frozen)))
    own = [plans[:size] for size in state.sizes]
    joint = state.joint[tuple(slice(size) for size in state.sizes)]
    measured = measure_joint(tree, own, payoffs_of_plans(tree, own), joint, concept="cce")
    best = np.array([d.best_values for d in measured.found.deviations])
    follow = best - np.array([d.gains for d in measured.found.deviations])
    state = state._replace(best=best, follow=follow)
    found = exact.evaluator.inspect(exact, state, task_of(exact, state), {})
    return found, exact.evaluator.gained(state, found), measured.found


def test_final_payoffs_are_those_of_the_tree(run, exact):
    best = run.states[-1].best_so_far
    inside = tuple(slice(size) for size in best.sizes)
    apart = (best.payoffs - exact_payoffs(exact, best.params))[inside]
    errors = best.estimated.payoff_errors[inside]
    assert (np.abs(apart) < SURE * errors).all()
    # Nor are the errors larger than they need to be.
    assert 0.5 < np.sqrt((apart**2).mean() / (errors**2).mean()) < 1.2
    assert best.estimated.episodes == run.problem.config.evaluation.final_episodes


def test_payoffs_in_training_are_those_of_the_frozen_strategies(run, exact):
    """Strategies that were held have moved a little since some of their episodes."""
    state = run.states[-2]
    inside = tuple(slice(size) for size in state.sizes)
    count = state.estimates.statistics.count[inside]
    assert (count >= LEAST_EPISODES - 1e-9).all()
    apart = (state.payoffs - exact_payoffs(exact, state.frozen))[inside]
    spread = run.problem.info.payoff_range / 2 / np.sqrt(count)
    assert (np.abs(apart) < SURE * spread[..., None] + 0.05).all()


def test_a_payoff_head_knows_the_payoffs_that_it_was_fitted_to(run, exact):
    """About as well as the mean returns do, of strategies that it never heard of before."""
    evaluator = make_played_problem(small_config(payoffs="learned")).evaluator
    state = run.states[-2]
    head = evaluator.begin(run.problem)[0].head
    statistics = state.estimates.statistics
    inside = tuple(slice(size) for size in state.sizes)
    expected = exact_payoffs(exact, state.frozen)[inside]
    apart = [evaluator._head.predict(head, state.mixtures)[inside] - expected]
    for _ in range(2):
        payoffs, errors, head = evaluator._payoffs(state, statistics, head)
        apart.append(payoffs[inside] - expected)
    first, fitted, again = (np.sqrt((off**2).mean()) for off in apart)
    means, _, _ = run.problem.evaluator._payoffs(state, statistics, ())
    of_means = np.sqrt(((means[inside] - expected) ** 2).mean())
    assert fitted < 0.5 * first
    assert again < 1.5 * of_means
    assert errors.shape == payoffs.shape


@pytest.mark.slow
def test_payoffs_from_a_head_train_a_population(exact):
    """The head is carried through iterations and checkpoints, and its payoffs are solved."""
    problem = make_played_problem(small_config(payoffs="learned"))
    found = trained(problem, initial_state(problem))
    state = found.states[-2]
    payoffs = problem.evaluator._head.predict(state.estimates.head, state.mixtures)
    np.testing.assert_array_equal(payoffs, state.payoffs)
    inside = tuple(slice(size) for size in state.sizes)
    apart = (state.payoffs - exact_payoffs(exact, state.frozen))[inside]
    assert np.sqrt((apart**2).mean()) < 0.2
    best = [line["eval/best_gap_estimate"] for line in found.lines if "eval/gap_estimate" in line]
    assert best[0] > 1.0 > best[-1]
    again = trained(problem, from_arrays(initial_state(problem), to_arrays(found.states[10])))
    expected, continued = to_arrays(found.states[-1]), to_arrays(again.states[-1])
    for name, array in expected.items():
        np.testing.assert_array_equal(continued[name], array, err_msg=name)


def test_gains_are_those_of_the_same_responses(deciding, exact):
    state, found = deciding
    _, gained, _ = exactly_inspected(exact, state)
    assert np.abs(gained).max() > 0.1
    assert (np.abs(found.gain - gained) < SURE * found.gain_error).all()
    assert found.gain_error.max() < 0.1


def test_what_strategies_miss_is_that_of_the_tree(deciding, exact):
    state, found = deciding
    exactly, _, _ = exactly_inspected(exact, state)
    missed = exactly.strategy_left - exactly.response_left[:, 0]
    assert (np.abs(found.strategy_left - missed) < SURE * found.strategy_error + 1e-6).all()


def test_gap_is_a_lower_bound_of_the_exact_one(run, exact):
    """Told at the end of each iteration, of the joint that it began with."""
    checked = 0
    for before, after, line in zip(run.states[:-2], run.states[1:-1], run.lines, strict=True):
        assert ("eval/gap_estimate" in line) == (after.iteration > before.iteration)
        if after.iteration == before.iteration:
            continue
        _, _, found = exactly_inspected(exact, before)
        for player, gain in enumerate(found.gains):
            error = line[f"eval/gain_error_{player}"]
            assert line[f"eval/gain_{player}"] < gain + SURE * error
            assert line[f"eval/value_{player}"] == pytest.approx(
                found.on_policy_values[player], abs=0.2
            )
        checked += 1
    assert checked >= 3
    best = [line["eval/best_gap_estimate"] for line in run.lines if "eval/gap_estimate" in line]
    assert best[0] > 1.0 > best[-1]


def test_importance_weights_tell_the_exact_change_of_payoffs(run, exact):
    """Of three strategies that were disturbed, from episodes of the undisturbed ones."""
    evaluator, state = run.problem.evaluator, run.states[-2]
    params = {"params": dict(state.frozen["params"])}
    params["params"]["policy"] = jax.tree.map(lambda x: 0.9 * x, params["params"]["policy"])
    state = state._replace(learner=state.learner._replace(params=params))
    profile = np.tile(np.array([[1, 2, 1]], np.int32), (3000, 1))
    mixtures = np.asarray(task_of(run.problem, state).mixtures)
    played = evaluator._played(evaluator._record, state, mixtures, profile, jax.random.key(5))
    where = decisions(played, np.ones(3000, bool))
    grown, _ = evaluator._compare.moved(state.frozen, params, played, where)
    expected = exact_payoffs(exact, params)[1, 2, 1] - exact_payoffs(exact, state.frozen)[1, 2, 1]
    assert np.abs(expected).max() > 1e-3
    for seat in range(PLAYERS):
        returns = played.returns[:, seat].astype(np.float64)
        weights = episode_weights(grown, where[1], len(returns))
        mean, error = mean_change(weights, returns, payoff_range=6.0)
        assert abs(mean - expected[seat]) < SURE * error
        # Two samples of as many episodes would not see it.
        assert error < 0.5 * returns.std() * np.sqrt(2 / 3000)


def test_held_strategies_stay_and_their_drift_is_no_more_than_that_of_the_tree(deciding, exact):
    state, found = deciding
    exactly, _, _ = exactly_inspected(exact, state)
    assert found.shown_drift < exactly.payoff_drift + 1e-3
    assert 0 < found.divergence.max() < 1
    held = np.asarray(task_of(exact, state).held) > 0
    assert not found.drift[~held].any()


def test_sequences_are_compared_as_on_the_tree(run, deciding, exact):
    """At most as far apart: not every sequence is come by."""
    state, found = deciding
    exactly, _, _ = exactly_inspected(exact, state)
    for player in range(PLAYERS):
        ask = dict(player=player, responder=0)
        seen = run.problem.evaluator.apart(run.problem, state, found, **ask)
        known = exact.evaluator.apart(exact, state, exactly, **ask)
        assert seen.shape == known.shape
        assert (seen < known + 1e-5).all() and (seen > 0.5 * known).all()


def test_a_response_that_repeats_a_strategy_refines_it(run, deciding):
    """Network and response play alike where both are even."""
    state, _ = deciding
    params = {"params": dict(state.learner.params["params"])}
    for head in ("policy", "response"):
        params["params"][head] = jax.tree.map(np.zeros_like, params["params"][head])
    even = state._replace(
        learner=state.learner._replace(params=params), slot=np.full(PLAYERS, -1, np.int64)
    )
    task = task_of(run.problem, even)
    found = run.problem.evaluator.inspect(run.problem, even, task, {"train/loss": 0.0})
    assert (choose_slots(run.problem, even, found).slot == 0).all()


def test_pairs_differ_in_the_response_alone(deciding):
    """By a draw of the joint, the same cards, and so a smaller variance than apart."""
    pairs = deciding[1].pairs
    lanes = np.arange(len(pairs.seat))
    followed, responded = pairs.followed, pairs.responded
    others = np.arange(PLAYERS) != pairs.seat[:, None]
    np.testing.assert_array_equal(followed.profile[others], responded.profile[others])
    assert (responded.profile[lanes, pairs.seat] == SIZE).all()
    np.testing.assert_array_equal(
        followed.trajectory.observation[0], responded.trajectory.observation[0]
    )
    apart = sum(p.returns[lanes, pairs.seat].var() for p in (followed, responded))
    assert pairs.gain.var() < 0.8 * apart


def test_iterations_are_gated_and_capped(run):
    for before, after in zip(run.states[:-2], run.states[1:-1], strict=True):
        waited = int(after.learner.step) - int(before.started)
        decided = (before.slot < 0).all() and (after.slot >= 0).all()
        if (after.slot < 0).all() and after.iteration == before.iteration:
            assert waited < CAP / 2
        if decided:
            assert waited >= 4 or waited >= CAP / 2
        assert waited <= CAP


def test_resumed_training_is_the_same_to_the_bit(run):
    saved = to_arrays(run.states[10])
    problem = make_played_problem(small_config())
    again = trained(problem, from_arrays(initial_state(problem), saved))
    expected, found = to_arrays(run.states[-1]), to_arrays(again.states[-1])
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("played") / "population"
    best, problem = run.states[-1].best_so_far, run.problem
    export_played_joint(
        folder, info=problem.info, config=problem.config, best=best, meta_solver="mgcce"
    )
    return folder


def test_exported_population_plays_what_the_network_plays(run, exact, exported):
    population, best = load_population(exported), run.states[-1].best_so_far
    assert isinstance(population, PlayedJointPopulation)
    assert population.sizes == tuple(best.sizes) and population.correlated
    tree = population.tree()
    tables = np.asarray(exact.tables.policies(best.params))
    for seat in range(PLAYERS):
        own, size = tree.infoset_player == seat, population.sizes[seat]
        asked = population.probabilities(seat, tree.observation[own], tree.legal_mask[own])
        np.testing.assert_allclose(asked, tables[:size, own], atol=1e-5)
        np.testing.assert_allclose(
            population.compiled(tree).policies[seat][:, own], tables[:size, own], atol=1e-5
        )
    member = np.arange(tree.num_infosets) % min(population.sizes)
    nobody = np.zeros((tree.num_infosets, PLAYERS), np.int32)
    legal = jnp.asarray(tree.legal_mask)
    seen = Seen(tree.observation, legal, tree.infoset_player, nobody)
    met = frozen_mixture(population).probabilities(seen, jnp.asarray(member, jnp.int32))
    np.testing.assert_allclose(met, tables[member, np.arange(len(member))], atol=1e-5)
    profile = population.draw_profile(np.random.default_rng(0))
    assert best.joint[profile] > 0


def test_exported_population_is_certified_on_the_tree(run, exact, exported):
    population, best = load_population(exported), run.states[-1].best_so_far
    found = verify_played_joint(population, population.tree(), name="a_run")
    before = next(s for s in run.states if s.iteration == best.iteration)
    _, _, known = exactly_inspected(exact, before)
    np.testing.assert_allclose(found.certificate.per_player, known.gains, atol=1e-5)
    assert found.certificate.openspiel_value == pytest.approx(found.certificate.value, abs=1e-6)
    assert found.payoffs["measured"].within_two > 0.9
    assert "estimate" in (exported / "MODEL_CARD.md").read_text()


def test_a_network_that_plays_nan_is_one_clear_error(run):
    state = run.states[0]
    broken = jax.tree.map(lambda leaf: leaf * np.nan, state.learner.params)
    state = state._replace(learner=state.learner._replace(params=broken))
    with pytest.raises(TrainingError, match="not finite after 2 gradient steps"):
        train(run.problem, state, on_evaluation=lambda state, line: None)


@pytest.mark.slow
def test_ce_hears_advice_before_it_responds():
    """Of matching pennies' relative: gains are those of all advice together."""
    config = small_config("matrix_sh", concept="ce", judge="none")
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, steps=CAP))
    problem = make_played_problem(config)
    found = trained(problem, initial_state(problem))
    assert found.states[-1].iteration >= 2
    assert found.states[-1].best_so_far.gains.max() < 1.0
