"""Evaluation of a population: worked numbers and the float64 definitions."""

import numpy as np
import pytest

from games.normal_form import NormalForm
from neupl.evaluation import evaluate_population, normalise
from solvers.gaps import gains
from solvers.meta.nash import solve_nash
from solvers.meta.uniform import solve_uniform
from solvers.sequence_form import mix
from solvers.values import expected_returns

ROCK, PAPER, SCISSORS = np.eye(3)
BEATS = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])


def rock_paper_scissors_tree():
    return NormalForm(np.stack([BEATS, -BEATS], axis=-1)).to_tree()


def random_policies(tree, num_policies, seed):
    rng = np.random.default_rng(seed)
    weight = np.where(
        tree.legal_mask, rng.gamma(0.5, size=(num_policies, *tree.legal_mask.shape)), 0.0
    )
    return (weight / weight.sum(axis=-1, keepdims=True)).astype(np.float32)


def test_rock_and_paper():
    """Paper beats rock, so the meta-strategy is paper, and scissors gains 1 in either seat."""
    tree = rock_paper_scissors_tree()
    policies = np.stack([[ROCK] * 2, [PAPER] * 2, [SCISSORS] * 2])
    found = evaluate_population(tree, policies, 2, solver=solve_nash)
    np.testing.assert_array_equal(found.payoffs, np.stack([BEATS, -BEATS], axis=-1))
    np.testing.assert_allclose(found.meta_strategy, [[0, 1, 0]] * 2, atol=1e-9)
    np.testing.assert_allclose(found.gains, [1, 1], atol=1e-9)
    assert found.nash_conv == pytest.approx(2)
    # Rock and paper never do the same.
    assert found.member_distance == pytest.approx(1)
    whole = evaluate_population(tree, policies, 3, solver=solve_nash)
    assert whole.nash_conv == pytest.approx(0, abs=1e-9)


def test_member_distance_is_the_mean_over_pairs_and_states():
    """Rock against an even mixture of rock and paper 1/2, in one seat of two: (1/2 + 0) / 2."""
    tree = rock_paper_scissors_tree()
    half = (ROCK + PAPER) / 2
    policies = np.stack([[ROCK, ROCK], [half, ROCK], [ROCK, ROCK]])
    two = evaluate_population(tree, policies, 2, solver=solve_nash)
    three = evaluate_population(tree, policies, 3, solver=solve_nash)
    alone = evaluate_population(tree, policies, 1, solver=solve_nash)
    assert two.member_distance == pytest.approx(0.25)
    assert three.member_distance == pytest.approx((0.25 + 0 + 0.25) / 3)
    assert alone.member_distance == 0


@pytest.mark.parametrize(
    ("game", "solver"), [("kuhn_poker", solve_nash), ("kuhn_poker(players=3)", solve_uniform)]
)
def test_against_the_definitions(game, solver, tree_of):
    tree = tree_of(game)
    policies = random_policies(tree, 4, 0)
    found = evaluate_population(tree, policies, 3, solver=solver)
    wide = normalise(policies)
    seat_of = tree.infoset_player
    for profile in np.ndindex(*(4,) * tree.num_players):
        played = wide[np.array(profile)[seat_of], np.arange(tree.num_infosets)]
        np.testing.assert_allclose(
            found.payoffs[profile], expected_returns(tree, played), atol=1e-12
        )
    assert not found.meta_strategy[:, 3].any()
    np.testing.assert_allclose(found.meta_strategy.sum(axis=1), 1, atol=1e-12)
    inside = found.payoffs[(slice(3),) * tree.num_players]
    np.testing.assert_allclose(found.meta_strategy[:, :3], solver(inside).marginals(), atol=1e-12)
    mixture = mix(tree, wide, found.meta_strategy)
    np.testing.assert_allclose(found.gains, gains(tree, mixture), atol=1e-12)
    assert found.nash_conv == pytest.approx(found.gains.sum())


def test_certificates_are_about_rows_that_sum_to_one(tree_of):
    tree = tree_of("kuhn_poker")
    policies = random_policies(tree, 2, 1) * np.float32(1.0000004)
    assert np.abs(policies.sum(axis=-1) - 1).max() > 1e-8
    np.testing.assert_allclose(normalise(policies).sum(axis=-1), 1, rtol=1e-15)


def test_a_network_that_plays_nan_is_not_evaluated(tree_of):
    tree = tree_of("kuhn_poker")
    policies = random_policies(tree, 2, 1)
    policies[1, 0, 0] = np.nan
    with pytest.raises(FloatingPointError, match="NaN"):
        evaluate_population(tree, policies, 2, solver=solve_nash)
