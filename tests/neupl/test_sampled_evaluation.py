"""Estimated payoffs against exact ones, gains against loops, and what is forgotten when."""

import dataclasses
import itertools

import numpy as np
import pytest

from games.normal_form import NormalForm
from games.tree_game import TreeGame
from neupl.config import EvaluationConfig
from neupl.evaluation import member_distance
from neupl.learners.ppo import PPOExperience
from neupl.matches import Matches, draw_matches
from neupl.payoff_calibration import calibration
from neupl.payoff_statistics import PayoffStatistics, means, standard_errors
from solvers.meta.registry import meta_solver

KUHN, THREE_PLAYERS = "kuhn_poker", "kuhn_poker(players=3)"
SIZE = 3


@pytest.mark.parametrize(("name", "solver"), [(KUHN, "nash"), (THREE_PLAYERS, "uniform")])
def test_payoffs_converge_to_the_exact_ones(case_of, name, solver):
    """From training episodes and from those of the evaluations: all within 5.5 standard errors
    (false alarms below 1e-6 each), and no closer than their errors say.
    """
    case = case_of(name, solver)
    carried = case.evaluator.begin()
    for round_ in range(6):
        carried = case.evaluator.observe(carried, case.play_batch(seed=round_))
        evaluation, carried = case.evaluate(carried, key=round_)
    exact, range_ = case.exact_payoffs(), case.tables.tree.payoff_range
    statistics = carried.statistics
    assert statistics.count.sum() == 6 * (1000 + 2000)
    prior = statistics.total.sum(axis=tuple(range(exact.shape[-1]))) / statistics.count.sum()
    errors = standard_errors(statistics, prior, range_)
    estimates = means(statistics, prior)
    assert (np.abs(estimates - exact) <= 5.5 * errors).all()
    # One seat's payoffs follow from the others' in a zero-sum game.
    free = [part[..., :-1].ravel() for part in (estimates, errors, exact)]
    found = calibration(*free, np.zeros(free[0].size))
    assert found.within_two > 0.8 and found.root_mean_square_error > 0.4 * found.expected_error
    assert errors.max() < 0.1 * range_ and np.ptp(exact) > 5 * errors.max()
    np.testing.assert_allclose(evaluation.payoffs, estimates, atol=1e-6)


def test_payoffs_of_two_player_zero_sum_games_are_antisymmetric_to_the_bit(case_of):
    evaluation, _ = case_of().evaluate(case_of().evaluator.begin())
    np.testing.assert_array_equal(evaluation.payoffs[..., 0], -evaluation.payoffs[..., 1])
    assert evaluation.payoffs[..., 0].any()


def test_evaluations_repeat_themselves_and_keys_matter(case_of):
    case = case_of()
    first, again, other = (
        case.evaluate(case.evaluator.begin(), key=key)[0].payoffs for key in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def slow_gain(payoffs, mixtures, player, newest):
    """By a loop over all profiles: what `newest` gets against the others' mixtures, less what the
    player's own mixture gets.
    """
    sizes = payoffs.shape[:-1]
    deviating = following = 0.0
    for profile in itertools.product(*map(range, sizes)):
        met = np.prod([mixtures[q][k] for q, k in enumerate(profile) if q != player])
        if profile[player] == newest:
            deviating += met * payoffs[profile][player]
        following += met * mixtures[player][profile[player]] * payoffs[profile][player]
    return max(deviating - following, 0.0)


@pytest.mark.parametrize(("name", "solver"), [(KUHN, "nash"), (THREE_PLAYERS, "uniform")])
@pytest.mark.parametrize("newest", [1, 2])
def test_gains_are_those_of_the_newest_over_the_mixture_of_the_others(
    case_of, name, solver, newest
):
    """With payoffs from a million episodes each, so that both responses gain something."""
    case, num_players = case_of(name, solver), case_of(name, solver).tables.tree.num_players
    rng = np.random.default_rng(8)
    given = rng.normal(size=(*(SIZE,) * num_players, num_players))
    given -= given.mean(axis=-1, keepdims=True)
    counts = np.full(given.shape[:-1], 1e6)
    known = PayoffStatistics(counts, 1e6 * given, 1e6 * (given**2 + 1))
    carried = case.evaluator.begin()._replace(statistics=known)
    evaluation, _ = case.evaluate(carried, newest=newest)
    payoffs = evaluation.payoffs
    np.testing.assert_allclose(payoffs, given, atol=0.01)
    others = [k for k in range(SIZE) if k != newest]
    solution = meta_solver(solver)(payoffs[np.ix_(*[others] * num_players)])
    mixtures = np.zeros((num_players, SIZE))
    mixtures[:, others] = np.stack(solution.marginals())
    expected = [slow_gain(payoffs, mixtures, p, newest) for p in range(num_players)]
    np.testing.assert_allclose(evaluation.gains, expected, atol=1e-9)
    assert max(expected) > 0.1
    everybody = np.stack(meta_solver(solver)(payoffs).marginals())
    np.testing.assert_allclose(evaluation.meta_strategy, everybody, atol=1e-12)


def test_gains_are_unknown_without_a_response(case_of):
    case = case_of()
    evaluation, carried = case.evaluate(case.evaluator.begin(), num_admitted=1, newest=0)
    np.testing.assert_array_equal(evaluation.gains, [np.inf, np.inf])
    np.testing.assert_array_equal(evaluation.meta_strategy, [[1, 0, 0]] * 2)
    assert evaluation.member_distance == 0
    # All episodes are between the sinks.
    assert carried.statistics.count[0, 0] == 2000 == carried.statistics.count.sum()


def test_strategies_outside_are_neither_played_nor_mixed(case_of):
    case = case_of()
    evaluation, carried = case.evaluate(case.evaluator.begin(), num_admitted=2, newest=1)
    count = carried.statistics.count
    assert not count[2].any() and not count[:, 2].any() and (count[:2, :2] >= 16).all()
    assert not evaluation.meta_strategy[:, 2].any()
    np.testing.assert_allclose(evaluation.meta_strategy.sum(axis=1), 1)


def test_batches_of_training_are_added_up(case_of):
    """By a loop over the lanes of two batches."""
    case = case_of()
    carried = case.evaluator.begin()
    count, total, square = np.zeros((3, 2, SIZE))
    cells, sums = np.zeros((SIZE, SIZE)), np.zeros((SIZE, SIZE, 2))
    for seed in (1, 2):
        batch = case.play_batch(seed=seed)
        carried = case.evaluator.observe(carried, batch)
        for seat, profile, returns in zip(*batch.matches, batch.returns, strict=True):
            own = seat, profile[seat]
            count[own] += 1
            total[own] += returns[seat]
            square[own] += returns[seat] ** 2
            cells[tuple(profile)] += 1
            sums[tuple(profile)] += returns
    np.testing.assert_array_equal(carried.focal_count, count)
    np.testing.assert_allclose(carried.focal_total, total)
    np.testing.assert_allclose(carried.focal_square, square)
    np.testing.assert_array_equal(carried.statistics.count, cells)
    np.testing.assert_allclose(carried.statistics.total, sums)


def test_new_rows_start_from_nothing(case_of):
    """In every seat; the others keep all they have."""
    case = case_of()
    carried = case.evaluator.observe(case.evaluator.begin(), case.play_batch())
    _, carried = case.evaluate(carried)
    restarted = case.evaluator.restart(carried, 1)
    kept = np.ix_([0, 2], [0, 2])
    for before, after in zip(carried.statistics, restarted.statistics, strict=True):
        assert not after[1].any() and not after[:, 1].any()
        np.testing.assert_array_equal(after[kept], before[kept])
    assert np.isnan(restarted.history.values[..., 1]).all()
    np.testing.assert_array_equal(
        restarted.history.values[..., [0, 2]], carried.history.values[..., [0, 2]]
    )
    assert np.isfinite(carried.history.values[-1]).all()


def test_memory_of_profiles_by_hand(case_of):
    """Strategy 2 responds and keeps 0.6 of its past, the others 1 - 0.4 / 10 = 0.96; a profile
    keeps the product.
    """
    case = case_of(memory=0.6)
    carried = case.evaluator.observe(case.evaluator.begin(), case.play_batch())
    _, after = case.evaluate(carried)
    share = np.outer([0.96, 0.96, 0.6], [0.96, 0.96, 0.6])
    whole = after.statistics.count / share
    # Before: those of training and those of the evaluation, every one of them whole.
    np.testing.assert_allclose(whole, np.round(whole), atol=1e-9)
    assert whole.sum() == pytest.approx(1000 + 2000)
    assert (whole >= carried.statistics.count - 1e-9).all()
    assert not after.focal_count.any() and not after.focal_total.any()


def earn(case, mean, *, seed, lanes=400):
    """A batch in which every focal strategy earns `mean` points on average, now one more and now
    one less.
    """
    joint = np.asarray(case.objective.rows.joint)
    rng = np.random.default_rng(seed)
    matches = draw_matches(rng, joint, np.ones(joint.shape[:2]), lanes=lanes)
    mine = mean + np.where(np.arange(lanes) % 2, 1.0, -1.0)
    returns = np.tile(mine[:, None], (1, 2)).astype(np.float32)
    return PPOExperience(case.objective.rows, None, None, None, matches, returns)


@pytest.mark.parametrize(("rise", "ready"), [(0.0, True), (0.6, False)])
def test_gate_waits_for_strategies_that_still_improve(case_of, rise, ready):
    """Over three evaluations; values rise by 2 `rise` points, worth waiting for from 0.04. The
    standard error of a value is about 1 / sqrt(67) = 0.12 points.
    """
    case = case_of()
    carried, found = case.evaluator.begin(), []
    for round_ in range(3):
        carried = case.evaluator.observe(carried, earn(case, rise * round_, seed=round_))
        evaluation, carried = case.evaluate(carried, key=round_)
        found.append(evaluation.ready)
    assert found == [False, False, ready]
    values, errors = carried.history.values, carried.history.standard_errors
    np.testing.assert_allclose(values[2] - values[0], 2 * rise, atol=0.6)
    assert ((errors > 0.1) & (errors < 0.15)).all()
    # In payoff ranges, of which one is 4 points: the lower bound of the improvement.
    slope = (values[2] - values[0])[:, 2]
    bound = slope - 1.6449 * np.hypot(errors[2], errors[0])[:, 2]
    assert evaluation.left == pytest.approx(bound.max() / 4, abs=1e-4)


def test_focal_values_and_errors_by_hand(case_of):
    """Returns 1, 2 and 6: mean 3, variance (4 + 1 + 9) / 3, error of the mean sqrt(14 / 3 / 2)."""
    case = case_of()
    profile = np.array([[1, 0], [1, 2], [1, 1]], np.int32)
    batch = PPOExperience(
        None, None, None, None,
        Matches(np.zeros(3, np.int32), profile),
        np.array([[1.0, 0.0], [2.0, 0.0], [6.0, 0.0]], np.float32),
    )  # fmt: skip
    _, carried = case.evaluate(case.evaluator.observe(case.evaluator.begin(), batch))
    assert carried.history.values[-1, 0, 1] == pytest.approx(3)
    assert carried.history.standard_errors[-1, 0, 1] == pytest.approx(np.sqrt(14 / 3 / 2))
    rest = np.ones((2, SIZE), bool)
    rest[0, 1] = False
    assert np.isnan(carried.history.values[-1][rest]).all()


def test_seats_of_symmetric_games_share_their_episodes(small_config, make_case):
    """Payoffs of exchanged profiles are one estimate, and only ascending profiles are played."""
    matrix = np.array([[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-2.0, 1.0, 0.0]])
    tree = NormalForm(np.stack([matrix, matrix.T], axis=-1)).to_tree("cyclic")
    game = TreeGame(tree)
    config = small_config("x", population={"size": SIZE, "symmetric": True})
    config = dataclasses.replace(config, evaluation=EvaluationConfig(memory=1.0, episodes=3000))
    case = make_case(config, game, tree, "uniform")
    evaluation, carried = case.evaluate(case.evaluator.begin())
    np.testing.assert_array_equal(
        evaluation.payoffs[..., 1], np.swapaxes(evaluation.payoffs[..., 0], 0, 1)
    )
    assert not carried.statistics.count[np.tril_indices(SIZE, -1)].any()
    assert np.abs(evaluation.payoffs - case.exact_payoffs()).max() < 0.25


def test_distance_between_strategies_is_measured_in_all_seats(case_of):
    """Near that at the 12 information states of the tree, met as often as episodes meet them; the
    first moves of seat 0 alone would be 3 of them.
    """
    case = case_of()
    evaluation, _ = case.evaluate(case.evaluator.begin())
    tables = np.asarray(case.tables.policies(case.params, case.objective.rows))
    first = case.tables.tree.infoset_player == 0
    per_seat = [member_distance(tables[:, own]) for own in (first, ~first)]
    assert min(per_seat) < evaluation.member_distance < max(per_seat)
