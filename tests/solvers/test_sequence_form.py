"""Plans, exact mixtures and joint co-player behaviour against slow walks over the tree's nodes."""

import itertools

import numpy as np
import pytest

from games.types import CHANCE, TERMINAL
from solvers.best_response import coplayer_weights
from solvers.sequence_form import (
    coplayer_reach,
    mix,
    policy_from_plan,
    realization_plan,
    sequence_values,
    values_against_plan,
)
from solvers.values import expected_returns, payoffs

GAMES = ("kuhn_poker", "kuhn_poker(players=3)", "sheriff(num_rounds=1)", "leduc_poker")


def own_reach_by_nodes(tree, policy, player):
    """Probability that `player` alone brings about each terminal, by walking the nodes in order."""
    reach = np.ones(tree.num_nodes)
    for node in range(1, tree.num_nodes):
        parent = tree.node_parent[node]
        reach[node] = reach[parent]
        if tree.node_player[parent] == player:
            reach[node] *= policy[tree.node_infoset[parent], tree.node_action[node]]
    terminal = np.empty(tree.num_terminals)
    at_end = tree.node_player == TERMINAL
    terminal[tree.node_terminal[at_end]] = reach[at_end]
    return terminal


@pytest.mark.parametrize("name", GAMES)
def test_plan_at_terminals_is_the_product_of_own_probabilities(name, tree_of, random_policies):
    tree = tree_of(name)
    policies = random_policies(tree, 5, 3)
    plans = realization_plan(tree, policies)
    np.testing.assert_array_equal(plans[:, : tree.num_players], 1.0)
    for k, player in itertools.product(range(3), range(tree.num_players)):
        expected = own_reach_by_nodes(tree, policies[k], player)
        np.testing.assert_allclose(
            plans[k, tree.terminal_sequence[:, player]], expected, atol=1e-14
        )


@pytest.mark.parametrize("name", GAMES)
def test_policy_comes_back_from_its_plan_where_its_owner_arrives(name, tree_of, random_policies):
    tree = tree_of(name)
    for policy in random_policies(tree, 6, 4):
        plan = realization_plan(tree, policy)
        back = policy_from_plan(tree, plan)
        arrives = plan[tree.infoset_parent_sequence] > 0
        np.testing.assert_allclose(back[arrives], policy[arrives], atol=1e-12)
        np.testing.assert_array_equal(back[~arrives], tree.uniform_policy()[~arrives])
        tree.check_policy(back, tolerance=1e-15 * tree.num_actions)


@pytest.mark.parametrize("name", GAMES)
def test_mixture_earns_what_drawing_a_strategy_before_the_game_earns(
    name, tree_of, random_policies
):
    """The defining property: returns are the payoff tensor averaged over independent draws."""
    tree = tree_of(name)
    policies = random_policies(tree, 7, 4)
    weights = np.random.default_rng(8).dirichlet(np.ones(4), size=(5, tree.num_players))
    weights[0, 0] = [0, 1, 0, 0]
    mixtures = mix(tree, policies, weights)
    tensor = payoffs(tree, policies)
    for draw, mixture in zip(weights, mixtures, strict=True):
        expected = tensor
        for own in draw:
            expected = np.tensordot(own, expected, axes=(0, 0))
        np.testing.assert_allclose(expected_returns(tree, mixture), expected, atol=1e-12)


def test_pure_mixture_of_kuhn_strategies_by_hand(tree_of):
    """Half always-bet, half never-bet for the first player with the jack.

    After passing and facing a bet only the never-bet strategy is left, so the mixture folds for
    sure there, while it bets with probability 1/2 at the start. Averaging the two tables would
    wrongly call half of the time.
    """
    tree = tree_of("kuhn_poker")
    always = np.tile([0.0, 1.0], (tree.num_infosets, 1))
    never = np.tile([1.0, 0.0], (tree.num_infosets, 1))
    mixture = mix(tree, np.stack([always, never]), np.full((2, 2), 0.5))
    first, second = tree.infoset_name.index("0"), tree.infoset_name.index("0pb")
    np.testing.assert_allclose(mixture[first], [0.5, 0.5], atol=1e-15)
    np.testing.assert_allclose(mixture[second], [1.0, 0.0], atol=1e-15)


@pytest.mark.parametrize("name", GAMES)
def test_values_of_sequences_times_the_plan_are_the_returns(name, tree_of, random_policies):
    tree = tree_of(name)
    policies = random_policies(tree, 9, 3)
    plans = realization_plan(tree, policies)
    together = values_against_plan(tree, plans)
    reach = coplayer_reach(tree, plans)
    returns = expected_returns(tree, policies)
    owner = np.append(np.arange(tree.num_players), tree.infoset_player[tree.sequence_infoset])
    owner = owner[tree.num_players :]
    owner[: tree.num_players] = np.arange(tree.num_players)
    for player in range(tree.num_players):
        alone = sequence_values(tree, player, reach[:, player])
        np.testing.assert_allclose((alone * plans).sum(axis=1), returns[:, player], atol=1e-12)
        np.testing.assert_allclose(np.where(owner == player, together, 0.0), alone, atol=1e-13)


@pytest.mark.parametrize("name", ["kuhn_poker", "kuhn_poker(players=3)", "kuhn_poker(players=4)"])
def test_joint_coplayer_behaviour_is_the_average_over_profiles(name, tree_of, random_policies):
    tree = tree_of(name)
    policies = random_policies(tree, 10, 3)
    shape = (3,) * (tree.num_players - 1)
    rng = np.random.default_rng(11)
    joint = rng.dirichlet(np.full(3 ** (tree.num_players - 1), 0.3), size=2).reshape(2, *shape)
    for player in range(tree.num_players):
        others = [p for p in range(tree.num_players) if p != player]
        own = [[own_reach_by_nodes(tree, policy, p) for policy in policies] for p in others]
        expected = np.zeros((2, tree.num_terminals))
        for profile in itertools.product(range(3), repeat=len(others)):
            product = tree.terminal_probability.copy()
            for seat, k in enumerate(profile):
                product *= own[seat][k]
            expected += joint[(slice(None), *profile)][:, None] * product
        weights = coplayer_weights(tree, policies, player, joint)
        np.testing.assert_allclose(weights, expected, atol=1e-15)
        np.testing.assert_allclose(
            coplayer_weights(tree, policies, player, joint[0]), expected[0], atol=1e-15
        )


def test_joint_behaviour_of_two_coplayers_is_not_the_product_of_marginals(tree_of, random_policies):
    tree = tree_of("kuhn_poker(players=3)")
    policies = random_policies(tree, 12, 2)
    correlated = np.array([[0.5, 0.0], [0.0, 0.5]])
    product = np.full((2, 2), 0.25)
    joint = coplayer_weights(tree, policies, 0, correlated)
    assert np.abs(joint - coplayer_weights(tree, policies, 0, product)).max() > 1e-3


def test_wrong_shapes_and_weights_are_refused(tree_of, random_policies):
    tree = tree_of("kuhn_poker(players=3)")
    policies = random_policies(tree, 0, 2)
    with pytest.raises(ValueError, match=r"expected \[..., 2, 2\]"):
        coplayer_weights(tree, policies, 0, np.full((2, 3), 1 / 6))
    with pytest.raises(ValueError, match="sum to 1"):
        coplayer_weights(tree, policies, 0, np.full((2, 2), 0.3))
    with pytest.raises(ValueError, match="one row per seat"):
        mix(tree, policies, np.full((2, 2), 0.5))
    with pytest.raises(ValueError, match="non-negative"):
        mix(tree, policies, np.array([[1.5, -0.5]] * 3))


def test_chance_is_part_of_every_reach(tree_of):
    """Summed over the terminals of one's own pure plan, reach by chance and co-players is 1."""
    tree = tree_of("kuhn_poker(players=3)")
    assert (tree.node_player == CHANCE).any()
    plan = realization_plan(tree, tree.uniform_policy())
    reach = coplayer_reach(tree, plan)
    for player in range(3):
        total = (reach[player] * plan[tree.terminal_sequence[:, player]]).sum()
        assert total == pytest.approx(1.0, abs=1e-14)
