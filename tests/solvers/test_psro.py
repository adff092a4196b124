"""Exact PSRO: known end points, its own bookkeeping, and the reference grid."""

import dataclasses
import math

import numpy as np
import pyspiel
import pytest

from solvers.best_response import best_response
from solvers.gaps import gains
from solvers.meta.uniform import solve_uniform
from solvers.psro import best_reference, psro, reference_grid
from solvers.sequence_form import coplayer_reach, mix, realization_plan
from solvers.values import payoffs


def test_kuhn_poker_is_solved_by_seven_strategies(tree_of):
    result = psro(tree_of("kuhn_poker"), num_strategies=9)
    assert result.nash_conv[0] == pytest.approx(11 / 12)
    assert (result.nash_conv[6:] < 1e-9).all()
    assert result.nash_conv[5] > 0.01
    row, column = result.nash[-1]
    assert row @ result.payoffs @ column == pytest.approx(-1 / 18, abs=1e-9)


@pytest.mark.parametrize("temperature", [0.0, 0.4])
def test_bookkeeping_matches_its_own_population(temperature, tree_of, turn_based, open_spiel_table):
    tree = tree_of("leduc_poker")
    result = psro(tree, num_strategies=5, temperature_fn=lambda k: temperature, exploration=0.25)
    np.testing.assert_allclose(result.payoffs, payoffs(tree, result.policies)[..., 0], atol=1e-12)
    np.testing.assert_array_equal(result.policies[0], tree.uniform_policy())
    assert (np.diff(result.seconds) > 0).all()
    for k in range(5):
        mixture = mix(tree, result.policies, result.nash[k])
        np.testing.assert_allclose(gains(tree, mixture), result.gains[k], atol=1e-11)
        assert not result.nash[k, :, k + 1 :].any()
        if k:
            uniform = np.append(np.full(k, 1 / k), np.zeros(5 - k))
            expected = 0.75 * result.nash[k - 1] + 0.25 * uniform
            np.testing.assert_allclose(result.targets[k], expected, atol=1e-12)
            against = mix(tree, result.policies, result.targets[k])
            reach = coplayer_reach(tree, realization_plan(tree, against))
            for player in range(2):
                response = best_response(tree, player, reach[player], temperature=temperature)
                own = tree.infoset_player == player
                np.testing.assert_allclose(result.policies[k][own], response.policy[own], atol=1e-7)
    table = open_spiel_table(tree, mix(tree, result.policies, result.nash[-1]))
    assert result.nash_conv[-1] == pytest.approx(
        pyspiel.nash_conv(turn_based("leduc_poker"), table), abs=1e-9
    )


def test_uniform_meta_solver_is_fictitious_play(tree_of):
    """On rock-paper-scissors with ties to the lowest action: uniform, then rock, then paper ..."""
    tree = tree_of("matrix_rps")
    result = psro(tree, num_strategies=4, meta_solver=solve_uniform)
    np.testing.assert_array_equal(result.policies[1], [[1, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(result.policies[2], [[0, 1, 0], [0, 1, 0]])
    np.testing.assert_allclose(result.targets[3], [[1 / 3, 1 / 3, 1 / 3, 0]] * 2)


def test_reference_grid_in_units_of_the_payoff_range():
    """In Leduc poker, whose range is 26 chips, the constants are those of the schedule."""
    hard, fast, slow = reference_grid(26.0)
    assert [hard.temperature_fn(k) for k in (1, 5)] == [0.0, 0.0]
    assert fast.temperature_fn(8) == pytest.approx(0.5)
    assert slow.temperature_fn(4) == pytest.approx(1.0)
    assert [v.exploration for v in (hard, fast, slow)] == [0.01, 0.5, 0.5]
    for chips, points in zip(reference_grid(26.0), reference_grid(4.0), strict=True):
        assert points.temperature_fn(3) == pytest.approx(chips.temperature_fn(3) * 4 / 26)


def test_best_reference_on_leduc_poker_reaches_the_published_band(tree_of):
    """Eight strategies: about 0.65 with either schedule, 3.2 with deterministic responses."""
    reference = best_reference(tree_of("leduc_poker"), num_strategies=8)
    hard, fast, slow = reference.by_variant.values()
    assert 3.0 < hard < 3.5
    assert 0.5 < fast < 0.75
    assert 0.5 < slow < 0.75
    assert reference.nash_conv == min(fast, slow)
    assert reference.by_variant[reference.variant] == reference.nash_conv


def test_reference_scales_with_the_payoffs(tree_of):
    """Multiplying every return by a constant multiplies the NashConv and changes nothing else."""
    tree = tree_of("kuhn_poker")
    scaled = dataclasses.replace(
        tree,
        terminal_returns=tree.terminal_returns * 50,
        min_return=tree.min_return * 50,
        max_return=tree.max_return * 50,
    )
    ours = best_reference(tree, num_strategies=5).by_variant
    theirs = best_reference(scaled, num_strategies=5).by_variant
    for name, value in ours.items():
        assert theirs[name] == pytest.approx(50 * value, rel=1e-6)
    assert all(math.isfinite(v) for v in theirs.values())


@pytest.mark.parametrize("name", ["kuhn_poker(players=3)", "tiny_hanabi"])
def test_games_that_are_not_zero_sum_are_refused(name, tree_of):
    with pytest.raises(ValueError, match="two-player zero-sum"):
        psro(tree_of(name), num_strategies=2)


def test_options_out_of_range_are_refused(tree_of):
    with pytest.raises(ValueError, match="share between 0 and 1"):
        psro(tree_of("kuhn_poker"), num_strategies=2, exploration=1.5)
