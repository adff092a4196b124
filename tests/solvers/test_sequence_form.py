"""Plans, exact mixtures and joint co-player behaviour against slow walks over the tree's nodes."""

import itertools

import numpy as np
import pytest

from games.types import CHANCE, TERMINAL
from solvers.best_response import coplayer_weights, respond_to_values
from solvers.correlated_gaps import correlated_gains
from solvers.gaps import gains, gains_of_plan
from solvers.sequence_form import (
    coplayer_reach,
    mix,
    policy_from_plan,
    realization_plan,
    seat_terminals,
    sequence_form,
    sequence_values,
    sum_by_sequence,
    values_against_plan,
)
from solvers.values import expected_returns, payoffs, payoffs_of_plans, returns_of_plan

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


@pytest.mark.parametrize("name", [*GAMES, "trade_comm(num_items=2)", "matrix_pd"])
def test_merged_terminals_are_the_terminals_summed_by_sequences(name, tree_of):
    tree = tree_of(name)
    form = sequence_form(tree)
    returns, probability = {}, {}
    for z, last in enumerate(map(tuple, tree.terminal_sequence.tolist())):
        expected = tree.terminal_probability[z] * tree.terminal_returns[z]
        returns[last] = returns.get(last, 0.0) + expected
        probability[last] = probability.get(last, 0.0) + tree.terminal_probability[z]
    assert list(map(tuple, form.all_last.tolist())) == sorted(probability)
    np.testing.assert_allclose(
        form.probability, [probability[last] for last in sorted(probability)], atol=1e-16
    )
    paying = [last for last in sorted(returns) if (returns[last] != 0).any()]
    assert list(map(tuple, form.last.tolist())) == paying
    np.testing.assert_allclose(form.pay, [returns[last] for last in paying], atol=1e-15)
    runs = [form.last[lo:hi, 0] for lo, hi in itertools.pairwise(form.run)]
    assert all(len(set(run.tolist())) == 1 for run in runs)
    np.testing.assert_array_equal(np.concatenate(runs), form.last[:, 0])
    for player in range(tree.num_players):
        own = seat_terminals(form, player)
        seats = [player, *(p for p in range(tree.num_players) if p != player)]
        rows = list(map(tuple, own.last.tolist()))
        assert rows == sorted(tuple(last[p] for p in seats) for last in paying)
        back = dict(zip(rows, own.pay.tolist(), strict=True))
        for last in paying:
            assert back[tuple(last[p] for p in seats)] == pytest.approx(
                returns[last][player], abs=1e-15
            )


def test_compiled_loops_are_never_given_other_shapes(tree_of):
    """They do not look where an array ends, so every way in does."""
    tree = tree_of("kuhn_poker")
    policy = tree.uniform_policy()
    plan = realization_plan(tree, policy)
    calls = [
        lambda: realization_plan(tree, policy[1:]),
        lambda: gains(tree, policy[1:]),
        lambda: gains_of_plan(tree, plan[1:]),
        lambda: expected_returns(tree, policy.T),
        lambda: returns_of_plan(tree, plan[None, 1:]),
        lambda: values_against_plan(tree, plan[1:]),
        lambda: sum_by_sequence(tree, 0, np.ones(tree.num_terminals - 1)),
        lambda: payoffs_of_plans(tree, [plan[None, 1:], plan[None, 1:]]),
        lambda: correlated_gains(tree, [plan[None, 1:], plan[None, 1:]], np.ones((1, 1))),
        lambda: respond_to_values(tree, 0, plan[1:], reach=plan[1:]),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"has shape .* expected \[\.\.\., "):
            call()


def test_trade_comm_pays_at_one_terminal_in_sixteen(tree_of):
    """With two items per seat there are 256 ways to hold, say and trade; both are paid in 16."""
    tree = tree_of("trade_comm(num_items=2)")
    form = sequence_form(tree)
    assert (tree.num_terminals, len(form.all_last), len(form.last)) == (256, 256, 16)
