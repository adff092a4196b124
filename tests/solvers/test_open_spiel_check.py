"""The check against OpenSpiel passes where we are right and fails on numbers tampered with."""

import dataclasses

import numpy as np
import pyspiel
import pytest

from games.normal_form import NormalForm
from games.types import GameError
from solvers.open_spiel_check import (
    check_mixture,
    find_judge,
    policy_from_table,
    query_policy_on_live_states,
)

GAMES = (
    "kuhn_poker",
    "kuhn_poker(players=3)",
    "leduc_poker",
    "goofspiel(imp_info=True,num_cards=3,points_order=descending,returns_type=total_points)",
    "sheriff(num_rounds=1)",
    "matrix_rps",
    "tiny_hanabi",
)


def uniform(player, tensor, mask):
    return mask / mask.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", GAMES)
def test_openspiel_agrees_on_mixture_and_gaps(name, tree_of, random_policies):
    tree = tree_of(name)
    policies = random_policies(tree, 1, 4)
    weights = np.random.default_rng(2).dirichlet(np.ones(4), size=tree.num_players)
    weights[0] = [0.5, 0.0, 0.0, 0.5]
    check = check_mixture(tree, policies, weights)
    assert check.agrees
    assert check.largest_policy_difference <= 1e-9
    assert check.nash_conv == pytest.approx(check.openspiel_nash_conv, abs=1e-9)
    np.testing.assert_allclose(check.per_player, check.openspiel_per_player, atol=1e-9)
    assert check.nash_conv > 0.01


@pytest.mark.parametrize("shape", [(3, 4, 2), (2, 3, 2, 3)])
def test_payoff_files_are_judged_as_tensor_games(shape, random_policies):
    tree = NormalForm(np.random.default_rng(3).normal(size=shape)).to_tree("some/game.nfg")
    policies = random_policies(tree, 4, 3)
    weights = np.full((tree.num_players, 3), 1 / 3)
    check = check_mixture(tree, policies, weights)
    assert check.agrees
    table = query_policy_on_live_states(tree, uniform)
    np.testing.assert_array_equal(policy_from_table(tree, table), tree.uniform_policy())


def test_tampered_returns_are_noticed(tree_of, random_policies):
    tree = tree_of("kuhn_poker")
    returns = tree.terminal_returns.copy()
    returns[3] *= 1.01
    wrong = dataclasses.replace(tree, terminal_returns=returns)
    policies, weights = random_policies(tree, 5, 2), np.full((2, 2), 0.5)
    assert check_mixture(tree, policies, weights).agrees
    assert not check_mixture(wrong, policies, weights).agrees


def test_rows_under_wrong_names_are_noticed(tree_of, random_policies):
    """Two information states exchanged: OpenSpiel mixes other rows than we do."""
    tree = tree_of("kuhn_poker")
    first, second = tree.infoset_name.index("0"), tree.infoset_name.index("2pb")
    names = list(tree.infoset_name)
    names[first], names[second] = names[second], names[first]
    wrong = dataclasses.replace(tree, infoset_name=tuple(names))
    check = check_mixture(wrong, random_policies(tree, 6, 3), np.full((2, 3), 1 / 3))
    assert not check.agrees
    assert check.largest_policy_difference > 1e-3


@pytest.mark.parametrize("name", GAMES)
def test_live_states_show_the_tensors_the_tree_was_compiled_with(name, tree_of):
    """A policy of the tensor alone gives the same table on live states and on the tree."""
    tree = tree_of(name)
    direction = np.random.default_rng(7).normal(
        size=(tree.observation.shape[1] + 1, tree.num_actions)
    )

    def policy_fn(player, tensor, mask):
        seat = np.full((len(tensor), 1), player)
        weight = np.exp(np.tanh(np.hstack([tensor, seat]) @ direction)) * mask
        return weight / weight.sum(axis=1, keepdims=True)

    table = query_policy_on_live_states(tree, policy_fn, batch_size=7)
    assert len(table) == tree.num_infosets
    expected = np.empty((tree.num_infosets, tree.num_actions))
    for player in range(tree.num_players):
        own = tree.infoset_player == player
        expected[own] = policy_fn(player, tree.observation[own], tree.legal_mask[own])
    np.testing.assert_allclose(policy_from_table(tree, table), expected, atol=1e-6)


@pytest.mark.parametrize(
    "policy_fn",
    [
        lambda player, tensor, mask: 1.4 * uniform(player, tensor, mask),
        lambda player, tensor, mask: np.full(mask.shape, 1 / mask.shape[1]),
        lambda player, tensor, mask: np.full(mask.shape, np.nan),
        lambda player, tensor, mask: uniform(player, tensor, mask)[:, :1],
    ],
    ids=["unnormalised", "illegal", "nan", "shape"],
)
def test_improper_answers_are_refused(policy_fn, tree_of):
    with pytest.raises(ValueError, match=r"policy at|returned shape"):
        query_policy_on_live_states(tree_of("leduc_poker"), policy_fn)


def test_incomplete_table_is_refused(tree_of):
    tree = tree_of("kuhn_poker")
    table = query_policy_on_live_states(tree, uniform)
    del table["0pb"]
    with pytest.raises(ValueError, match=r"1 information states of kuhn_poker are missing.*'0pb'"):
        policy_from_table(tree, table)


def test_game_that_openspiel_does_not_know_is_refused(tree_of):
    tree = dataclasses.replace(tree_of("kuhn_poker"), name="my_package.my_game:make")
    with pytest.raises(GameError, match="OpenSpiel cannot judge my_package"):
        find_judge(tree)


def test_unnormalised_policies_are_refused_although_openspiel_accepts_them(tree_of, turn_based):
    tree = tree_of("kuhn_poker")
    wrong = 1.4 * tree.uniform_policy()
    table = {name: [(0, 0.7), (1, 0.7)] for name in tree.infoset_name}
    assert np.isfinite(pyspiel.nash_conv(turn_based("kuhn_poker"), table))
    with pytest.raises(ValueError, match="sum to 1"):
        check_mixture(tree, wrong[None], np.ones((2, 1)))
