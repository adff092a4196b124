"""Proximal policy optimisation of a population: advantages from their definition, and what the
updates converge to.
"""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from games.normal_form import NormalForm
from games.tree_game import TreeGame
from neupl.errors import UserError
from neupl.interaction_graph import first_equal_row
from neupl.learners.focal_lanes import lane_weights
from neupl.learners.ppo import (
    make_ppo_learner,
)
from neupl.networks import make_network
from neupl.population_actor import PopulationActor, Seen, uniform_sink
from neupl.types import Objective, Rows

# Coordination with a bias, not symmetric and not zero-sum; no action dominates another.
BIMATRIX = np.stack(
    [
        [[3.0, 0.0, 1.0], [0.0, 2.0, 4.0], [1.0, 3.0, 0.0]],
        [[1.0, 4.0, 0.0], [2.0, 0.0, 3.0], [0.0, 1.0, 2.0]],
    ],
    axis=-1,
)
SIZE = 3


class Setting(NamedTuple):
    """A learner of a one-shot game, and what asks its network.

    Attributes:
      learner: the learner.
      info: of the game.
      probabilities: `(params, rows) -> [P, K, A]`.
    """

    learner: Any
    info: Any
    probabilities: Any


def make_setting(small_config):
    learner = {"episodes": 4096, "minibatch": 4096, "epochs": 1, "critic_weight": 0.5}
    rates = {"learning_rate": 2e-2, "final_learning_rate": 1e-3}
    config = small_config(
        "a bimatrix game",
        population={"size": SIZE},
        learner=learner | rates,
        training={"steps": 150},
    )
    game = TreeGame(NormalForm(BIMATRIX).to_tree("bimatrix"))
    network = make_network(config.network, game.info.num_actions[0])
    actor = PopulationActor(game.info, network, num_tables=2, sink=uniform_sink)

    def probabilities(params, rows):
        seen = Seen(
            np.ones((2, 1), np.float32),
            np.ones((2, 3), bool),
            np.arange(2),
            np.zeros((2, 2), np.int32),
        )
        return np.asarray(actor.every_strategy(params, rows, seen), np.float64).swapaxes(0, 1)

    return Setting(make_ppo_learner(game, actor, config), game.info, probabilities)


def make_objective(setting, *, temperature, respond=(), hold=(), teacher=None):
    """Strategy 1 meets the sink, strategy 2 meets strategy 1 three times in four."""
    joint = np.zeros((2, SIZE, SIZE), np.float32)
    joint[:, 1, 0], joint[:, 2, :2] = 1.0, [0.25, 0.75]
    weights = np.zeros((2, 2, SIZE), np.float32)
    weights[0][:, list(respond)] = 1.0
    weights[1][:, list(hold)] = 1.0
    return Objective(
        rows=Rows(joint, first_equal_row(joint)),
        temperature=np.full((2, SIZE), temperature * setting.info.payoff_range, np.float32),
        respond=weights[0],
        hold=weights[1],
        teacher=teacher if teacher is not None else initial(setting).params,
    )


def initial(setting):
    return setting.learner.init(jax.random.key(0))


def run_updates(setting, objective, number, *, state=None, seed=1):
    state = initial(setting) if state is None else state
    for update in range(number):
        collect_key, update_key = jax.random.split(jax.random.key(1000 * seed + update))
        experience = setting.learner.collect(state.params, objective, collect_key)
        state, metrics = setting.learner.update(state, experience, update_key)
    assert np.isfinite(list(metrics.values())).all()
    return state


def logit_response(policies, objective, seat, strategy, temperature):
    """`softmax(expected payoffs / temperature)` against the row, as it is played now."""
    table = BIMATRIX[..., seat] if seat == 0 else BIMATRIX[..., seat].T
    mixture = np.asarray(objective.rows.joint[seat, strategy], np.float64) @ policies[1 - seat]
    odds = np.exp(table @ mixture / temperature)
    return odds / odds.sum()


def distance(one, other):
    return 0.5 * np.abs(one - other).sum(axis=-1)


@pytest.fixture(scope="module")
def setting(small_config):
    """The learner of the bimatrix game."""
    return make_setting(small_config)


@pytest.fixture(scope="module")
def trained(setting):
    """Both strategies after training at a temperature of 0.2 payoff ranges (0.8 points)."""
    objective = make_objective(setting, temperature=0.2, respond=(1, 2))
    return objective, run_updates(setting, objective, 150)


def test_responses_converge_to_the_logit_of_their_own_row(setting, trained):
    objective, state = trained
    policies = setting.probabilities(state.params, objective.rows)
    start = setting.probabilities(initial(setting).params, objective.rows)
    expected = np.zeros((2, SIZE, 3))
    for seat, strategy in np.ndindex(2, SIZE):
        expected[seat, strategy] = logit_response(policies, objective, seat, strategy, 0.8)
    assert distance(policies, expected)[:, 1:].max() < 0.03
    assert distance(start, expected)[:, 1:].min() > 0.1
    # The two rows ask for different things.
    assert distance(expected[:, 1], expected[:, 2]).min() > 0.1


def test_held_strategies_stay_while_another_moves(setting, trained):
    """At a temperature of 0.02 strategy 2 leaves its logit at 0.2; shared layers would take
    strategy 1 along.
    """
    objective, start = trained
    policies = setting.probabilities(start.params, objective.rows)
    divergence = {}
    for hold in ((), (1,)):
        task = make_objective(
            setting, temperature=0.02, respond=(2,), hold=hold, teacher=start.params
        )
        state = run_updates(setting, task, 60, state=initial(setting)._replace(
            params=start.params))  # fmt: skip
        found = setting.probabilities(state.params, task.rows)
        kl = (policies * np.log(policies / found)).sum(axis=-1)
        divergence[hold] = kl[:, 1].max()
        assert distance(found, policies)[:, 2].min() > 0.2
        expected = [logit_response(found, task, seat, 2, 0.08) for seat in (0, 1)]
        assert distance(found[:, 2], np.stack(expected)).max() < 0.1
    assert divergence[1,] < 2e-3 < 0.05 < divergence[()]


def test_strategies_are_drawn_to_another_teacher(setting, trained):
    """Held strategies only: they go where the teacher is, and payoffs do not matter."""
    objective, taught = trained
    task = make_objective(setting, temperature=0.2, hold=(1, 2), teacher=taught.params)
    state = run_updates(setting, task, 60)
    expected = setting.probabilities(taught.params, objective.rows)
    found = setting.probabilities(state.params, objective.rows)
    start = setting.probabilities(initial(setting).params, objective.rows)
    assert distance(found, expected)[:, 1:].max() < 0.05 < distance(start, expected)[:, 1:].min()


def test_training_repeats_itself_and_keys_matter(setting):
    objective = make_objective(setting, temperature=0.1, respond=(1, 2))
    first, again, other = (
        run_updates(setting, objective, 2, seed=seed).params for seed in (1, 1, 2)
    )
    jax.tree.map(np.testing.assert_array_equal, first, again)
    policy = [params["params"]["policy"]["kernel"] for params in (first, other)]
    assert np.abs(np.asarray(policy[0] - policy[1])).max() > 0


def test_only_strategies_in_training_have_their_embeddings_trained(setting):
    objective = make_objective(setting, temperature=0.1, respond=(1,))
    start = initial(setting).params["params"]["index_embedding"]
    end = run_updates(setting, objective, 2).params["params"]["index_embedding"]
    np.testing.assert_array_equal(end[:, [0, 2]], start[:, [0, 2]])
    assert np.abs(np.asarray(end - start)[:, 1]).min() > 0


@pytest.mark.parametrize(("step", "rate"), [(0, 2e-2), (75, 1.05e-2), (150, 1e-3), (400, 1e-3)])
def test_learning_rate_falls_linearly_over_the_run(setting, step, rate):
    """Adam's first step changes a parameter by the learning rate, whatever the gradient."""
    state = initial(setting)._replace(step=np.int32(step))
    objective = make_objective(setting, temperature=0.1, respond=(1, 2))
    after = run_updates(setting, objective, 1, state=state)
    change = [
        np.abs(np.asarray(b, np.float64) - np.asarray(a)).max()
        for a, b in zip(*map(jax.tree.leaves, (state.params, after.params)), strict=True)
    ]
    assert max(change) == pytest.approx(rate, rel=1e-3)
    assert int(after.step) == step + 1


def test_critic_learns_what_profiles_pay(setting, trained):
    """Values of decisions, in payoff ranges, against the drawn co-player and not the row."""
    objective, state = trained
    policies = setting.probabilities(state.params, objective.rows)
    experience = setting.learner.collect(state.params, objective, jax.random.key(5))
    decisions = experience.decisions
    value = decisions.target - decisions.advantage
    exact = np.zeros(len(value))
    for n, (seat, (own, met)) in enumerate(
        zip(decisions.seen.seat, decisions.seen.profile, strict=True)
    ):
        table = BIMATRIX[..., seat] if seat == 0 else BIMATRIX[..., seat].T
        exact[n] = policies[seat, own] @ table @ policies[1 - seat, met] / 4.0
    assert np.abs(value - exact).max() < 0.05 and np.ptp(exact) > 0.1


def test_lanes_go_to_those_that_respond_and_a_quarter_to_those_held(setting):
    """And only to strategies with a row."""
    rate = {"respond": (1,), "hold": (0, 2)}
    task = make_objective(setting, temperature=0.1, **rate)
    np.testing.assert_allclose(lane_weights(task), [[0, 0.375, 0.125]] * 2)
    only_held = task._replace(respond=np.zeros((2, SIZE), np.float32))
    np.testing.assert_allclose(lane_weights(only_held), [[0, 0, 0.125]] * 2)
    nobody = only_held._replace(hold=np.zeros((2, SIZE), np.float32))
    np.testing.assert_allclose(lane_weights(nobody), [[0, 1, 1]] * 2)


def test_padding_changes_nothing(setting):
    """3000 decisions fill a minibatch of 4096 with copies of the first one: whichever that is."""
    start = initial(setting)
    objective = make_objective(
        setting, temperature=0.1, respond=(1,), hold=(2,), teacher=start.params
    )
    experience = setting.learner.collect(start.params, objective, jax.random.key(1))
    assert len(experience.decisions.action) == 4096
    params = []
    for shift in (0, 1, 1500):
        part = jax.tree.map(
            lambda field, shift=shift: np.roll(field[:3000], shift, axis=0), experience.decisions
        )
        state, _ = setting.learner.update(
            start, experience._replace(decisions=part), jax.random.key(2)
        )
        params.append(state.params)
    close = functools.partial(np.testing.assert_allclose, atol=2e-4)
    jax.tree.map(close, params[0], params[1])
    jax.tree.map(close, params[0], params[2])


def test_seats_of_different_sizes_are_refused(small_config):
    game = TreeGame(NormalForm(BIMATRIX).to_tree("bimatrix"))
    network = make_network(small_config("x").network, 3)
    actor = PopulationActor(game.info, network, num_tables=2, sink=uniform_sink)
    for field in ("num_actions", "observation_size"):
        game.info = game.info._replace(num_actions=(3, 3), observation_size=(1, 1))
        game.info = game.info._replace(**{field: (1, 2)})
        with pytest.raises(UserError, match=r"different numbers of .* \(1, 2\)"):
            make_ppo_learner(game, actor, small_config("x"))
