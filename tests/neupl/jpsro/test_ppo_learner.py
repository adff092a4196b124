"""Responses learned from episodes: who meets whom, what each decision is worth, what is kept as it
was, and that responses gain.
"""

import dataclasses

import jax
import numpy as np
import pytest

from games.registry import load_simulator, load_tree
from neupl.config import (
    JPSRO_DEFAULTS,
    JPSRO_PPO_DEFAULTS,
    Config,
)
from neupl.config_io import load_config
from neupl.errors import UserError
from neupl.jpsro.iteration import task_of
from neupl.jpsro.problem import make_joint_problem, make_playing_response_learner
from neupl.jpsro.response_actor import DecidingNetwork, Meeting, ResponseActor
from neupl.jpsro.response_matches import draw_response_matches
from neupl.jpsro.trainer import JointTrainer
from neupl.jpsro.training import initial_state
from neupl.population_actor import Seen
from neupl.rollout import make_actor_play
from neupl.training_state import from_arrays, to_arrays

GAME = "kuhn_poker(players=3)"
PLAYERS, SIZE = 3, 5
# Of one iteration, in batches; inspected twice.
CAP = 8


@pytest.fixture(scope="module")
def run(ppo_config, trained):
    problem = make_joint_problem(ppo_config(), load_tree(GAME))
    return trained(problem, initial_state(problem))


def task_with_mixture(run, weights):
    """The task of the last iteration, in which seats meet these profiles of strategies."""
    state = run.states[-1]
    joint = np.zeros((SIZE,) * PLAYERS)
    for profile, weight in weights.items():
        joint[profile] = weight
    held = np.zeros((PLAYERS, SIZE), np.float32)
    held[:, 1:3] = 1
    return task_of(run.problem, state._replace(joint=joint))._replace(held=held)


@pytest.fixture(scope="module")
def episodes(run):
    """A batch against a correlated mixture: the co-players play (1, 1, 1) or (2, 2, 0)."""
    task = task_with_mixture(run, {(1, 1, 1): 0.25, (2, 2, 0): 0.75})
    params = run.states[-1].learner.params
    return run.problem.learner.collect(params, task, jax.random.key(3))


def test_a_batch_is_its_blocks_with_those_lanes_first_in_which_a_response_learns(run):
    """Who plays them is told of no tree."""
    config = dataclasses.replace(
        run.problem.config, learner=dataclasses.replace(run.problem.config.learner, blocks=2)
    )
    blocks = make_playing_response_learner(config).blocks
    task = task_with_mixture(run, {(1, 1, 1): 0.25, (2, 2, 0): 0.75})
    params, told = run.states[-1].learner.params, blocks.told(task)
    assert told.on_tree is None and task.on_tree is not None
    played = [blocks.play(params, told, key) for key in blocks.keys(jax.random.key(3))]
    found = blocks.join(params, task, played)
    assert len(found.matches.focal.seat) == 2 * len(played[0].matches.focal.seat) == 768
    for own, lanes in (("focal", slice(0, 768)), ("rehearsal", slice(768, None))):
        cut = slice(0, 384) if own == "focal" else slice(384, None)
        for part, which in ((played[0], 0), (played[1], 1)):
            half = np.split(np.arange(1024)[lanes], 2)[which]
            np.testing.assert_array_equal(found.returns[half], part.returns[cut])
            np.testing.assert_array_equal(found.matches.profile[half], part.matches.profile[cut])
    # Every strategy that is held is rehearsed alike, in whichever block it decides.
    strategy = found.held.seat * SIZE + found.held.profile[:, 0]
    shares = np.bincount(strategy, found.held_share)
    np.testing.assert_allclose(shares[shares > 0], 1 / (shares > 0).sum())
    assert len(found.held_share) == sum(len(part.held.seat) for part in played)


def test_co_players_are_drawn_from_the_joint_together(episodes):
    """Systematic draws: shares are exact but for one lane per seat and profile."""
    focal = episodes.matches.focal
    lanes = np.arange(len(focal.seat))
    assert (focal.profile[lanes, focal.seat] == SIZE).all()
    for seat in range(PLAYERS):
        own = focal.profile[focal.seat == seat]
        assert abs(len(own) - len(lanes) / PLAYERS) <= 2
        others = np.delete(own, seat, axis=1)
        of_first = np.delete([1, 1, 1], seat)
        of_second = np.delete([2, 2, 0], seat)
        first = (others == of_first).all(axis=1)
        second = (others == of_second).all(axis=1)
        assert (first | second).all()
        assert abs(first.sum() - len(own) / 4) <= 2


def test_nobody_learns_to_respond_where_strategies_are_rehearsed(episodes):
    decisions, size = episodes.decisions, SIZE
    assert (decisions.seen.profile[:, 0] == size).all()
    learning = decisions.respond > 0
    assert not decisions.advantage[~learning].any()
    assert decisions.advantage[learning].std() > 0
    # Focal lanes give each focal seat at least one decision at most times; all of them count.
    focal = episodes.matches.focal
    of_seat = np.bincount(decisions.seen.seat[learning], minlength=PLAYERS)
    assert (of_seat >= np.bincount(focal.seat, minlength=PLAYERS) * 0.5).all()
    # Co-players of learning decisions are those of the mixture, no response among them.
    assert (decisions.seen.profile[learning, 1:] < size).all()
    # Rehearsed profiles hold everything: sink, strategies that are held, responses.
    assert set(np.unique(episodes.matches.rehearsal)) == {0, 1, 2, size}


def test_held_strategies_are_rehearsed_alike_and_no_others(episodes):
    held = episodes.held
    assert set(np.unique(held.profile[:, 0])) == {1, 2}
    assert episodes.held_share.sum() == pytest.approx(1)
    for seat in range(PLAYERS):
        for strategy in (1, 2):
            own = (held.seat == seat) & (held.profile[:, 0] == strategy)
            assert episodes.held_share[own].sum() == pytest.approx(1 / (2 * PLAYERS))


def test_every_seat_plays_its_strategy_of_the_profile_at_all_of_its_decisions(run):
    """By the log-probabilities of what was done, against the tables of the same networks: the
    frozen one for strategies, uniform for strategy 0, the present one for responses.
    """
    state, tables, tree = run.states[-2], run.problem.tables, run.problem.tables.tree
    task = task_of(run.problem, state)
    profile = np.random.default_rng(0).choice([0, 1, 2, SIZE], size=(200, PLAYERS))
    profile = profile.astype(np.int32)
    game = load_simulator(GAME)
    play = make_actor_play(game, ResponseActor(game.info, tables.network), record=True)
    params = state.learner.params
    meeting = Meeting(params, task.frozen_params, task.mixtures, profile)
    found = play(200, jax.random.key(4), meeting).trajectory
    policies = np.asarray(tables.policies(state.frozen))
    response = np.asarray(tables.responses(params, task.mixtures))
    assert np.abs(policies[1] - np.asarray(tables.policies(params))[1]).max() > 1e-4
    probabilities = np.concatenate([policies, response])
    rows = {
        (int(player), seen.tobytes()): row
        for row, (player, seen) in enumerate(
            zip(tree.infoset_player, tree.observation, strict=True)
        )
    }
    assert len(rows) == tree.num_infosets
    decisions = list(zip(*np.nonzero(found.to_move), strict=True))
    assert len(decisions) > 600
    for t, lane, seat in decisions:
        row = rows[int(seat), np.asarray(found.observation[t, lane, seat]).tobytes()]
        chance = probabilities[profile[lane, seat], row, found.action[t, lane, seat]]
        assert found.log_prob[t, lane, seat] == pytest.approx(np.log(chance), abs=1e-3)


def test_strategies_that_are_not_admitted_are_not_met(run):
    task = task_with_mixture(run, {(1, 1, 1): 1.0})
    matches = draw_response_matches(np.random.default_rng(0), task, lanes=4000)
    assert matches.profile.shape == (4000, PLAYERS)
    assert set(np.unique(matches.profile)) == {0, 1, 2, SIZE}


def test_frozen_strategies_teach_and_what_they_teach_is_kept(run):
    """A network whose strategies were disturbed comes back to the frozen one by rehearsal alone."""
    problem, state = run.problem, run.states[-1]
    task = task_with_mixture(run, {(1, 1, 1): 0.5, (2, 2, 2): 0.5})
    params = {"params": dict(state.learner.params["params"])}
    params["params"]["policy"] = jax.tree.map(lambda x: 0.1 * x, params["params"]["policy"])
    learner = state.learner._replace(params=params)
    tables = problem.tables
    frozen = np.asarray(tables.policies(state.frozen))

    def apart(learner):
        return np.abs(np.asarray(tables.policies(learner.params)) - frozen)[1:3].mean()

    before = apart(learner)
    for step in range(6):
        key = jax.random.fold_in(jax.random.key(5), step)
        experience = problem.learner.collect(learner.params, task, key)
        learner, _ = problem.learner.update(learner, experience, key)
    assert before > 0.1
    assert apart(learner) < before / 4


def test_responses_gain_nearly_all_there_is(run):
    """Against strategy 0 alone, after one iteration: the bound is several times what was seen."""
    problem = run.problem
    first = run.states[0]
    gain = (first.best - first.follow).max()
    concluded = next(i for i, s in enumerate(run.states) if s.iteration == 2)
    left = run.lines[concluded - 1]["train/response_left"]
    assert gain > 0.5
    assert left < 0.35 * gain
    assert (
        run.states[-1].best_so_far.gains.clip(0).sum()
        < np.clip(first.best_so_far.gains, 0, None).sum()
    )
    assert problem.learner.steps_per_update == 1


def test_iterations_take_the_batches_that_they_are_given(run):
    """Slots are chosen at half of `max_steps_per_row`, whatever has been learned."""
    for state, line in zip(run.states[1:], run.lines, strict=True):
        step = int(state.learner.step)
        assert (step % CAP == 0) == ("eval/gap" in line)
        if step % CAP:
            assert (state.slot > 0).all()
    assert [int(s.iteration) for s in run.states] == [1, 1, 2, 2, 3, 3, 4]


def test_what_is_kept_has_the_responses_that_were_learned(run):
    """The next ones start from nothing, those of the population that is kept do not."""
    last = run.states[-1]
    assert not np.any(last.learner.params["params"]["response"]["kernel"])
    kept = last.best_so_far
    assert np.any(kept.params["params"]["response"]["kernel"])
    concluded = next(s for s in run.states if int(s.iteration) == int(kept.iteration))
    for name in ("policy", "embedding"):
        for one, other in zip(
            jax.tree.leaves(kept.params["params"][name]),
            jax.tree.leaves(concluded.learner.params["params"][name]),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)


def test_random_ties_are_broken_alike_in_an_iteration_and_otherwise_in_the_next(run):
    """A novel task teaches responses that differ from those of even ties, by its key."""
    problem, state = run.problem, run.states[0]
    novel = state._replace(novel=np.bool_(True))
    task = task_of(problem, novel)
    other = task_of(problem, novel._replace(iteration=np.int64(2)))

    def response(task):
        learner = state.learner
        for step in range(4):
            key = jax.random.fold_in(jax.random.key(1), step)
            experience = problem.learner.collect(learner.params, task, key)
            learner, _ = problem.learner.update(learner, experience, key)
        return np.asarray(problem.tables.responses(learner.params, task.mixtures))

    hot = np.full_like(np.asarray(task.temperature), 20.0)
    first, again, second = (response(t._replace(temperature=hot)) for t in (task, task, other))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - second).mean() > 0.05
    even = response(task_of(problem, state)._replace(temperature=hot))
    assert np.abs(even - problem.tables.tree.uniform_policy()).mean() < 0.05
    assert np.abs(first - problem.tables.tree.uniform_policy()).mean() > 0.1


def test_resumed_training_is_the_same_to_the_bit(run, trained):
    saved = to_arrays(run.states[3])
    restored = from_arrays(initial_state(run.problem), saved)
    again = trained(run.problem, restored)
    expected, found = to_arrays(run.states[-1]), to_arrays(again.states[-1])
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_single_decisions_are_those_of_the_tables(run):
    """Both ways to ask the network, on every information state."""
    problem, state = run.problem, run.states[-1]
    tables, tree = problem.tables, problem.tables.tree
    task = task_of(problem, state)
    params = state.learner.params
    asked = DecidingNetwork(tables.network)
    profile = np.full((tree.num_infosets, PLAYERS), 2, np.int32)
    seen = Seen(tree.observation, tree.legal_mask, tree.infoset_player, profile)
    found = np.exp(np.asarray(asked.strategy(params, seen, profile[:, 0])))
    expected = np.asarray(tables.policies(params))[2]
    np.testing.assert_allclose(np.where(tree.legal_mask, found, 0), expected, atol=1e-5)
    responding = seen._replace(profile=np.where(np.arange(PLAYERS) == 0, SIZE, profile))
    found = np.exp(np.asarray(asked.response(params, responding, task.mixtures)[0]))
    expected = np.asarray(tables.responses(params, task.mixtures))[0]
    np.testing.assert_allclose(np.where(tree.legal_mask, found, 0), expected, atol=1e-5)


def test_inspection_ignores_divergences_of_samples(run):
    problem, state = run.problem, run.states[1]
    early = state._replace(started=np.int64(int(state.learner.step) - 1))
    nothing = {"train/response_divergence": 0.0, "train/strategy_divergence": 0.0}
    found = problem.evaluator.inspect(problem, early, task_of(problem, early), nothing)
    assert not found.ready
    assert not found.over


def test_ce_learns_a_response_per_recommendation(ppo_config):
    """Lanes of the seat are shared by the recommendations that are given."""
    config = ppo_config("matrix_sh", concept="ce", judge="none")
    problem = make_joint_problem(config, load_tree(config.game))
    state = initial_state(problem)
    joint = np.zeros((SIZE, SIZE))
    joint[1, 2], joint[2, 1] = 0.25, 0.75
    task = task_of(problem, state._replace(joint=joint))
    matches = draw_response_matches(np.random.default_rng(0), task, lanes=400).focal
    lanes = np.arange(len(matches.seat))
    advice = matches.profile[lanes, matches.seat] - SIZE
    assert set(advice.tolist()) == {1, 2}
    met = matches.profile[lanes, 1 - matches.seat]
    assert (met == 3 - advice).all()
    assert abs((advice == 1).sum() - len(lanes) / 2) <= 3


def test_such_runs_start_from_defaults_of_their_own():
    given = ["graph.kind=jpsro", "learner.kind=ppo"]
    assert load_config(Config, None, given) == JPSRO_PPO_DEFAULTS
    assert load_config(Config, None, given[:1]) == JPSRO_DEFAULTS


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("learner.mirror=0.5", "takes 0 alone"),
        ("max_nodes=50", "50 nodes"),
    ],
)
def test_what_such_runs_do_not_do_is_refused(setting, says):
    given = ["graph.kind=jpsro", "learner.kind=ppo", f"game={GAME}", setting]
    with pytest.raises(UserError, match=says):
        JointTrainer(load_config(Config, None, given))
