"""The exact learner against float64: targets, gradients, gains, and what it leaves alone."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neupl.config import Config
from neupl.evaluation import normalise
from neupl.interaction_graph import first_equal_row
from neupl.learner_config import LearnerConfig
from neupl.learners.drawn_states import draw_states
from neupl.problem import make_problem
from neupl.tree_population import TreePopulation
from neupl.types import Learner, Objective, Rows
from solvers.best_response import (
    best_response,
    coplayer_weights,
    information_state_reach,
    objective,
)
from solvers.sequence_form import realization_plan

KUHN, THREE_PLAYERS = "kuhn_poker", "kuhn_poker(players=3)"
# A learner whose gradient steps see some information states, as often as episodes come by.
DRAWN = {"importance": "play", "sample": 48}


class Case(NamedTuple):
    """A learner with parameters far from the start and a random task.

    Attributes:
      tree: the game.
      tables: the population on it.
      learner: the learner.
      params: network parameters.
      task: random rows (correlated for three players), temperatures and weights.
      policies: `[K, S, A]` float64, what the parameters play.
      weights: `[P, K, Z]` reach of the terminals by chance and the row of each strategy.
    """

    tree: object
    tables: TreePopulation
    learner: Learner
    params: object
    task: Objective
    policies: np.ndarray
    weights: np.ndarray


def scattered(params, seed, scale=0.4):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: x + scale * rng.normal(size=x.shape).astype(np.float32), params)


def make_case(config):
    problem, _ = make_problem(config)
    tables, learner = problem.tables, problem.learner
    tree = tables.tree
    num_players, num_strategies = tree.num_players, config.population.size
    rng = np.random.default_rng(0)
    joint = rng.gamma(0.3, size=(num_players, num_strategies, num_strategies ** (num_players - 1)))
    joint /= joint.sum(axis=-1, keepdims=True)
    rows = Rows(joint.astype(np.float32), first_equal_row(joint))
    shape = (num_players, num_strategies)
    params = scattered(learner.init(jax.random.key(0)).params, 1)
    task = Objective(
        rows=rows,
        temperature=(tree.payoff_range * rng.uniform(0.02, 0.1, shape)).astype(np.float32),
        respond=rng.uniform(0.5, 1.0, shape).astype(np.float32),
        hold=np.zeros(shape, np.float32),
        teacher=params,
    )
    policies = normalise(np.asarray(tables.policies(params, rows)))
    cube = (num_strategies,) * (num_players - 1)
    weights = np.array(
        [
            coplayer_weights(tree, policies, player, own.reshape(num_strategies, *cube))
            for player, own in enumerate(joint)
        ]
    )
    return Case(tree, tables, learner, params, task, policies, weights)


@pytest.fixture(scope="module")
def case(small_config):
    """Cases by game and rule, each compiled once."""
    made = {}

    def get(game=KUHN, rule="soft_improvement", **learner):
        name = (game, rule, *learner.items())
        if name not in made:
            config = small_config(game, population={"size": 3}, learner={"rule": rule, **learner})
            made[name] = make_case(config)
        return made[name]

    return get


def exact_objectives(case, player, k, policies):
    """What strategy k of a seat gets from each of `[N, S, A]` policies of its own, `[N]`."""
    weights = case.weights[player, k]
    return objective(
        case.tree,
        player,
        policies,
        weights=np.broadcast_to(weights, (len(policies), len(weights))),
        temperature=float(case.task.temperature[player, k]),
    )


def with_row(policy, s, row):
    changed = policy.copy()
    changed[s] = row
    return changed


def reach_of_states(case, player, k):
    """`[S]` reach by chance and co-players, and `[S]` reach by the owner itself."""
    coplayers = information_state_reach(case.tree, player, case.weights[player, k])
    own = realization_plan(case.tree, case.policies[k])[case.tree.infoset_parent_sequence]
    return coplayers, own


@pytest.mark.parametrize("game", [KUHN, THREE_PLAYERS])
def test_targets_are_soft_greedy_in_the_current_action_values(game, case):
    """Differences of action values show in the objective when one action is forced."""
    case = case(game)
    tree = case.tree
    experience = case.learner.collect(case.params, case.task, jax.random.key(1))
    pure = np.eye(tree.num_actions)
    checked = 0
    for player, k in np.ndindex(*case.task.temperature.shape):
        coplayers, own = reach_of_states(case, player, k)
        states = np.flatnonzero((tree.infoset_player == player) & (coplayers * own > 1e-4))
        cells = [(s, a) for s in states for a in np.flatnonzero(tree.legal_mask[s])]
        forced = np.array([with_row(case.policies[k], s, pure[a]) for s, a in cells])
        scaled = np.full(tree.legal_mask.shape, -np.inf)
        scaled[tuple(np.transpose(cells))] = exact_objectives(case, player, k, forced)
        scaled = scaled[states] / (coplayers * own)[states, None]
        scaled /= case.task.temperature[player, k]
        expected = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        expected /= expected.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(experience.signal[states, :, k], expected, atol=2e-3)
        checked += len(states)
    assert checked > 20


@pytest.mark.parametrize("game", [KUHN, THREE_PLAYERS])
def test_states_weigh_as_often_as_chance_and_co_players_allow(game, case):
    case = case(game)
    experience = case.learner.collect(case.params, case.task, jax.random.key(1))
    for player, k in np.ndindex(*case.task.temperature.shape):
        own = case.tree.infoset_player == player
        reach, _ = reach_of_states(case, player, k)
        expected = reach[own] / reach[own].sum() * case.task.respond[player, k]
        np.testing.assert_allclose(experience.weight[own, k], expected, rtol=1e-4, atol=1e-6)
        assert np.sum(experience.value_weight[own, k]) == pytest.approx(1, abs=1e-5)


def test_states_weigh_as_often_as_episodes_come_by(case):
    """`importance=play`: half of the episodes by the strategy itself, half uniformly."""
    case = case(**DRAWN)
    experience = case.learner.collect(case.params, case.task, jax.random.key(1))
    at_random = realization_plan(case.tree, case.tree.uniform_policy())
    for player, k in np.ndindex(*case.task.temperature.shape):
        seat = case.tree.infoset_player == player
        coplayers, own = reach_of_states(case, player, k)
        expected = coplayers * (own + at_random[case.tree.infoset_parent_sequence])
        expected *= case.task.respond[player, k] / expected[seat].sum()
        np.testing.assert_allclose(experience.weight[seat, k], expected[seat], rtol=1e-4)


def test_states_are_drawn_by_their_weight():
    """Shares of 0.3, 0.1 and 0.6 of 10 draws, none of what has no weight; of 7: 2.1, 0.7, 4.2."""
    weight = jnp.array([[0.0, 3.0], [1.0, 0.0], [0.0, 6.0], [0.0, 0.0]])
    draw = jax.jit(draw_states, static_argnums=2)
    for number, fewest in ((10, [3, 1, 6]), (7, [2, 0, 4])):
        for seed in range(5):
            state, strategy = draw(jax.random.key(seed), weight, number)
            found = np.zeros((4, 2), int)
            np.add.at(found, (np.asarray(state), np.asarray(strategy)), 1)
            assert found.sum() == number and (found[np.asarray(weight) == 0] == 0).all()
            some = found[np.asarray(weight) > 0] - fewest
            assert some.min() >= 0 and some.max() <= (number % 10 > 0)


@pytest.mark.parametrize("game", [KUHN, THREE_PLAYERS])
def test_drawn_states_are_told_what_all_are(game, case):
    case = case(game)
    tables, rows = case.tables, jax.tree.map(jnp.asarray, case.task.rows)
    coplayers = case.learner.collect(case.params, case.task, jax.random.key(1)).coplayers
    log_probs, value = jax.jit(tables.forward)(case.params, rows, coplayers)
    state = jnp.arange(case.tree.num_infosets)
    strategy = state % 3
    found = jax.jit(tables.forward_drawn)(case.params, rows, coplayers, state, strategy)
    np.testing.assert_allclose(found[0], log_probs[state, :, strategy], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], value[state, strategy], rtol=1e-4, atol=1e-5)


def test_policy_gradient_is_the_gradient_of_the_regularised_return(case):
    """By finite differences in the logits of every information state.

    The gradient at an information state has the owner's own reach as a factor. The learner leaves
    it out, so that states which the owner avoids are trained like the others.
    """
    case = case(KUHN, "policy_gradient")
    tree = case.tree
    experience = case.learner.collect(case.params, case.task, jax.random.key(1))
    step, steepest = 1e-4, 0.0
    for player, k in itertools.product(range(tree.num_players), (1, 2)):  # 0 is not the network's
        coplayers, own = reach_of_states(case, player, k)
        states = np.flatnonzero(tree.infoset_player == player)
        cells = [(s, a) for s in states for a in np.flatnonzero(tree.legal_mask[s])]
        values = []
        for sign in (1, -1):
            moved = []
            for s, action in cells:
                row = case.policies[k, s].copy()
                row[action] *= np.exp(sign * step)
                moved.append(with_row(case.policies[k], s, row / row.sum()))
            values.append(exact_objectives(case, player, k, np.array(moved)))
        slope = (values[0] - values[1]) / (2 * step)
        signal = np.asarray(experience.signal[..., k], np.float64) * tree.payoff_range
        found = (coplayers * own)[:, None] * case.policies[k] * signal
        np.testing.assert_allclose(
            found[tuple(np.transpose(cells))], slope, rtol=1e-3, atol=1e-5 * tree.payoff_range
        )
        steepest = max(steepest, np.abs(slope).max())
        np.testing.assert_allclose((case.policies[k] * signal)[states].sum(axis=1), 0, atol=1e-5)
    assert steepest > 1e-2


@pytest.mark.parametrize("game", [KUHN, THREE_PLAYERS])
def test_row_gain_is_the_regularised_gap(game, case):
    case = case(game)
    found = case.tables.row_gain(case.params, case.task)
    for player, k in np.ndindex(*found.shape):
        best = best_response(
            case.tree,
            player,
            case.weights[player, k],
            temperature=float(case.task.temperature[player, k]),
        )
        expected = best.value - exact_objectives(case, player, k, case.policies[k][None])[0]
        assert expected > 1e-3
        assert float(found[player, k]) == pytest.approx(expected, abs=1e-5)


def test_critic_is_taught_the_value_against_a_pure_profile(case):
    case = case(THREE_PLAYERS)
    tree = case.tree
    experience = case.learner.collect(case.params, case.task, jax.random.key(1))
    coplayers = np.asarray(experience.coplayers, np.float64)
    assert set(np.unique(coplayers)) == {0.0, 1.0}
    np.testing.assert_array_equal(coplayers.sum(axis=-1), 1)
    for player, k in np.ndindex(*case.task.temperature.shape):
        weights = coplayer_weights(tree, case.policies, player, coplayers[player, k].reshape(3, 3))
        exact = float(objective(tree, player, case.policies[k], weights=weights))
        # The first decision of a seat is met on every way: reach times value adds up to the game's.
        first = (tree.infoset_player == player) & (tree.infoset_depth == 0)
        reach = information_state_reach(tree, player, weights)
        value = np.asarray(experience.value[:, k], np.float64)
        assert reach[first].sum() == pytest.approx(1, abs=1e-9)
        assert (reach * value)[first].sum() * tree.payoff_range == pytest.approx(exact, abs=1e-4)


def run_updates(case, task, num_updates, params=None):
    state = case.learner.init(jax.random.key(0))
    if params is not None:
        state = state._replace(params=params)
    for update in range(num_updates):
        collect_key, update_key = jax.random.split(jax.random.key(update))
        experience = case.learner.collect(state.params, task, collect_key)
        state, metrics = case.learner.update(state, experience, update_key)
    assert np.isfinite(float(metrics["train/loss"]))
    return state


def only(shape, *strategies):
    weights = np.zeros(shape, np.float32)
    weights[:, list(strategies)] = 1
    return weights


@pytest.mark.parametrize(
    ("rule", "learner"),
    [
        ("soft_improvement", {}),
        ("soft_improvement", DRAWN),
        ("policy_gradient", {}),
    ],
)
def test_responding_closes_the_gap(rule, learner, case):
    """Strategies 1 and 2 of Kuhn poker against the sink and against a mixture of the sink and 1."""
    case = case(KUHN, rule, **learner)
    joint = np.zeros((2, 3, 3), np.float32)
    joint[:, 1, 0], joint[:, 2, :2] = 1, 0.5
    shape = (2, 3)
    task = case.task._replace(
        rows=Rows(joint, first_equal_row(joint)),
        temperature=np.full(shape, 0.05 * case.tree.payoff_range, np.float32),
        respond=only(shape, 1, 2),
    )
    before = np.asarray(case.tables.row_gain(case.learner.init(jax.random.key(0)).params, task))
    state = run_updates(case, task, 80 if rule == "soft_improvement" else 300)
    after = np.asarray(case.tables.row_gain(state.params, task))
    assert before[:, 1:].min() > 0.02 * case.tree.payoff_range
    assert after[:, 1:].max() < 0.02 * case.tree.payoff_range


def test_update_counts_gradient_steps(case):
    case = case()
    assert int(run_updates(case, case.task, 3).step) == 3 * 4


@pytest.mark.parametrize("learner", [{}, pytest.param(DRAWN, marks=pytest.mark.slow)])
def test_holding_keeps_strategies_where_the_teacher_has_them(learner, case):
    """While strategy 1 learns a new response, strategy 2 drifts with the shared layers, or not."""
    case = case(KUHN, **learner)
    teacher = case.params
    shape = (2, 3)
    moved = {}
    for held in (False, True):
        task = case.task._replace(
            respond=only(shape, 1), hold=only(shape, 2) * held, teacher=teacher
        )
        state = run_updates(case, task, 60, params=teacher)
        policies = np.asarray(case.tables.policies(state.params, task.rows))
        moved[held] = 0.5 * np.abs(policies - case.policies).sum(axis=-1).mean(axis=-1)
    assert moved[True][2] < 0.03 < moved[False][2]
    assert moved[True][1] > 0.1


def test_holding_pulls_towards_another_teacher(case):
    case = case()
    teacher = scattered(case.learner.init(jax.random.key(0)).params, 9)
    taught = np.asarray(case.tables.policies(teacher, case.task.rows))
    task = case.task._replace(respond=only((2, 3)), hold=only((2, 3), 1, 2), teacher=teacher)
    experience = case.learner.collect(case.params, task, jax.random.key(0))
    np.testing.assert_allclose(np.moveaxis(experience.teacher, -1, 0), taught, atol=1e-6)
    state = run_updates(case, task, 120, params=case.params)
    found = np.asarray(case.tables.policies(state.params, task.rows))
    before = np.abs(case.policies - taught)[1:].mean()
    assert np.abs(found - taught)[1:].mean() < 0.1 * before


def test_strategies_without_weight_are_not_trained_directly(case):
    """Their own embeddings get no gradient, be it from the policy, the teacher or the critic."""
    case = case()
    task = case.task._replace(respond=only((2, 3), 1))
    start = case.learner.init(jax.random.key(0)).params["params"]["index_embedding"]
    end = run_updates(case, task, 3).params["params"]["index_embedding"]
    np.testing.assert_array_equal(end[:, [0, 2]], start[:, [0, 2]])
    assert np.abs(np.asarray(end - start)[:, 1]).min() > 0


def test_fixed_sink_ignores_the_network(case):
    case = case()
    policies = case.tables.policies(scattered(case.params, 5), case.task.rows)
    np.testing.assert_allclose(policies[0], case.tree.uniform_policy(), atol=1e-7)
    assert np.abs(np.asarray(policies[1]) - case.tree.uniform_policy()).max() > 0.05


def test_learner_repeats_itself(case):
    case = case()
    once, twice = (run_updates(case, case.task, 2) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, once, twice)


@pytest.mark.parametrize(
    ("kind", "changed"),
    [("ppo", {"sample": 8}), ("ppo", {"importance": "play"}), ("exact", {"sample": -1})],
)
def test_drawn_states_are_of_the_exact_learner_alone(kind, changed):
    with pytest.raises(ValueError, match=f"learner.{next(iter(changed))} is"):
        Config(learner=LearnerConfig(kind=kind, **changed))
