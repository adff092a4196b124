"""How an iteration of responses from episodes goes: warm at first, over when little is missed, and
ties broken in what becomes of them.
"""

import dataclasses

import jax
import numpy as np
import pytest

from games.registry import load_tree
from neupl.jpsro.episode_magnet import make_episode_magnet
from neupl.jpsro.iteration import cooled, task_of
from neupl.jpsro.problem import make_joint_problem
from neupl.jpsro.training import initial_state
from neupl.population_actor import Seen

GAME = "kuhn_poker(players=3)"
PLAYERS = 3
# Of one iteration, in batches.
CAP = 8


@pytest.fixture(scope="module")
def problem(ppo_config):
    return make_joint_problem(ppo_config(), load_tree(GAME))


@pytest.fixture(scope="module")
def first(problem):
    return initial_state(problem)


def test_iterations_end_as_soon_as_little_is_missed(ppo_config, trained):
    """Whatever is missed is little: two inspections, one that decides and one that ends."""
    config = ppo_config(shortfall=1e9, drift=1e9)
    config = dataclasses.replace(
        config, training=dataclasses.replace(config.training, steps=CAP, evaluate_every=1)
    )
    problem = make_joint_problem(config, load_tree(GAME))
    found = trained(problem, initial_state(problem))
    assert [int(s.iteration) for s in found.states] == [1, 1, 2, 2, 3, 3, 4, 4, 5]


def test_what_may_be_missed_is_a_share_of_what_could_be_gained(problem, first):
    """Responses of a network that knows nothing, early in an iteration: all is missed, or most."""
    nothing = {"train/response_divergence": 1.0, "train/strategy_divergence": 1.0}

    def ready(shortfall):
        settings = dataclasses.replace(problem.config.jpsro, shortfall=shortfall)
        strict = dataclasses.replace(
            problem, config=dataclasses.replace(problem.config, jpsro=settings)
        )
        return strict.evaluator.inspect(strict, first, task_of(strict, first), nothing).ready

    found = problem.evaluator.inspect(problem, first, task_of(problem, first), nothing)
    missed = float((found.response_left / (first.best - first.follow)).max())
    assert 0.5 < missed < 2
    assert ready(missed * 1.01)
    assert not ready(missed * 0.99)


def test_responses_cool_down_until_they_become_strategies(problem, first):
    """By hand: 6 points of payoff range, 0.01 / iteration, and 0.02 more at the start of one."""
    state = first._replace(iteration=np.int64(2))
    assert problem.info.payoff_range == 6.0

    def temperature(waited, slot=-1):
        learner = state.learner._replace(step=state.started + waited)
        later = state._replace(learner=learner, slot=np.full(PLAYERS, slot))
        task, again = task_of(problem, later), cooled(problem, later, task_of(problem, state))
        np.testing.assert_array_equal(task.temperature, again.temperature)
        assert task.magnet_share == again.magnet_share
        return float(task.temperature[0, 0]), float(task.magnet_share)

    assert temperature(0) == pytest.approx((6 * (0.005 + 0.02), 0.2))
    assert temperature(CAP // 4) == pytest.approx((6 * (0.005 + 0.01), 1 / 3))
    assert temperature(CAP // 2) == pytest.approx((6 * 0.005, 1))
    assert temperature(CAP // 4, slot=1) == pytest.approx((6 * 0.005, 1))


@pytest.mark.slow
def test_strategies_are_taught_the_response_with_ties_broken(problem, first):
    """At a temperature at which responses stay even, the strategy follows the random policy."""
    tree = problem.tables.tree
    settings = dataclasses.replace(problem.config.jpsro, break_ties=1.0)
    config = dataclasses.replace(problem.config, jpsro=settings)
    broken = make_joint_problem(config, load_tree(GAME))
    state = first._replace(novel=np.bool_(True), slot=np.ones(PLAYERS, np.int64))
    task = task_of(broken, state)
    # Hot and hardly drawn: the response itself stays even.
    task = task._replace(temperature=np.full_like(np.asarray(task.temperature), 20.0))
    task = task._replace(magnet_share=np.float32(1e-3))
    seen = Seen(
        tree.observation, tree.legal_mask, tree.infoset_player,
        np.zeros((tree.num_infosets, PLAYERS), np.int32),
    )  # fmt: skip
    whole = task._replace(magnet_share=np.float32(1.0))
    random_policy = np.exp(make_episode_magnet(settings, PLAYERS)(whole, seen)) * tree.legal_mask

    def taught(problem, task):
        learner = state.learner
        for step in range(10):
            key = jax.random.fold_in(jax.random.key(1), step)
            experience = problem.learner.collect(learner.params, task, key)
            learner, _ = problem.learner.update(learner, experience, key)
        return np.asarray(problem.tables.policies(learner.params))[1]

    uniform = tree.uniform_policy()
    even = taught(problem, task)
    assert np.abs(even - uniform).mean() < 0.1
    cold = whole._replace(temperature=np.zeros_like(np.asarray(task.temperature)))
    # Without temperature the response is drawn nowhere on the paths it plays, the strategy is.
    following, free = taught(broken, cold), taught(problem, cold)
    assert np.abs(following - random_policy).mean() < 0.7 * np.abs(free - random_policy).mean()
