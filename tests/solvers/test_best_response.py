"""Deterministic and entropy-regularised best responses against brute force from the definitions."""

import itertools

import numpy as np
import pytest
import scipy.optimize

from solvers.best_response import (
    best_response,
    coplayer_weights,
    information_state_reach,
    objective,
)
from solvers.sequence_form import coplayer_reach, realization_plan
from solvers.values import expected_returns

SMALL = ("kuhn_poker", "kuhn_poker(players=3)", "tiny_hanabi", "sheriff(num_rounds=1)")


def reach_of(tree, policy, player):
    return coplayer_reach(tree, realization_plan(tree, policy))[player]


def objective_by_nodes(tree, policy, player, temperature):
    """E[return] plus the entropy of every own decision met, by walking the nodes in order."""
    reach, value = np.ones(tree.num_nodes), 0.0
    for node in range(tree.num_nodes):
        if node:
            parent = tree.node_parent[node]
            reach[node] = reach[parent] * tree.node_probability[node]
            if tree.node_infoset[parent] >= 0:
                reach[node] *= policy[tree.node_infoset[parent], tree.node_action[node]]
        if tree.node_player[node] == player:
            own = policy[tree.node_infoset[node]]
            positive = own[own > 0]
            value -= temperature * reach[node] * (positive * np.log(positive)).sum()
        elif tree.node_terminal[node] >= 0:
            value += reach[node] * tree.terminal_returns[tree.node_terminal[node], player]
    return value


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("temperature", [0.0, 0.3])
def test_objective_is_return_plus_entropy_of_the_decisions_met(
    name, temperature, tree_of, random_policies
):
    tree = tree_of(name)
    for policy in random_policies(tree, 1, 4):
        for player in range(tree.num_players):
            value = objective(
                tree,
                player,
                policy,
                weights=reach_of(tree, policy, player),
                temperature=temperature,
            )
            expected = objective_by_nodes(tree, policy, player, temperature)
            assert value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["kuhn_poker", "tiny_hanabi"])
def test_deterministic_response_is_the_best_of_all_pure_strategies(name, tree_of, random_policies):
    tree = tree_of(name)
    for policy, player in itertools.product(random_policies(tree, 2, 3), range(2)):
        own = np.flatnonzero(tree.infoset_player == player)
        best = -np.inf
        for actions in itertools.product(*(np.flatnonzero(tree.legal_mask[s]) for s in own)):
            pure = policy.copy()
            pure[own] = np.eye(tree.num_actions)[list(actions)]
            best = max(best, expected_returns(tree, pure)[player])
        response = best_response(tree, player, reach_of(tree, policy, player))
        assert response.value == pytest.approx(best, abs=1e-12)
        played = np.where((tree.infoset_player == player)[:, None], response.policy, policy)
        tree.check_policy(played)
        assert set(np.unique(response.policy)) <= {0.0, 1.0}
        assert expected_returns(tree, played)[player] == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("name", ["kuhn_poker", "tiny_hanabi"])
@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_soft_response_beats_numerical_optimisation_and_matches_it(
    name, temperature, tree_of, random_policies
):
    """Maximises the definition over bounded logits of all own information states."""
    tree = tree_of(name)
    policy = random_policies(tree, 3, 2)[0]
    for player in range(tree.num_players):
        own = tree.infoset_player == player
        response = best_response(
            tree, player, reach_of(tree, policy, player), temperature=temperature
        )

        def loss(logits, own=own, player=player):
            played = policy.copy()
            rows = np.exp(logits.reshape(own.sum(), -1))
            played[own] = rows / rows.sum(axis=1, keepdims=True)
            return -objective_by_nodes(tree, played, player, temperature)

        start = np.zeros(int(own.sum()) * tree.num_actions)
        numeric = scipy.optimize.minimize(
            loss, start, method="L-BFGS-B", bounds=[(-9, 9)] * len(start), options={"ftol": 1e-13}
        )
        assert response.value >= -numeric.fun - 1e-9
        assert response.value == pytest.approx(-numeric.fun, abs=1e-4)
        played = np.where(own[:, None], response.policy, policy)
        assert objective_by_nodes(tree, played, player, temperature) == pytest.approx(
            response.value, abs=1e-12
        )


def test_soft_response_of_one_decision_by_hand(tree_of):
    """Rock-paper-scissors against (1/2, 1/2, 0) at temperature 1/2.

    Rock earns -1/2, paper 1/2, scissors 0, so the response is the softmax of (-1, 1, 0) and its
    value is half the logarithm of e^-1 + e + 1.
    """
    tree = tree_of("matrix_rps")
    policy = np.tile([0.5, 0.5, 0.0], (2, 1))
    response = best_response(tree, 0, reach_of(tree, policy, 0), temperature=0.5)
    total = np.exp(-1) + np.exp(1) + 1
    np.testing.assert_allclose(
        response.policy[tree.infoset_player == 0][0],
        [np.exp(-1) / total, np.exp(1) / total, 1 / total],
        atol=1e-15,
    )
    assert response.value == pytest.approx(0.5 * np.log(total), abs=1e-15)


def test_ties_go_to_the_lowest_action_also_off_path(tree_of):
    """Against uniform rock-paper-scissors all actions tie; in Kuhn an opponent that never bets
    leaves the states after a bet unreached."""
    tree = tree_of("matrix_rps")
    response = best_response(tree, 0, reach_of(tree, tree.uniform_policy(), 0))
    np.testing.assert_array_equal(response.policy[tree.infoset_player == 0], [[1.0, 0.0, 0.0]])
    tree = tree_of("kuhn_poker")
    never = np.tile([1.0, 0.0], (tree.num_infosets, 1))
    rows = [tree.infoset_name.index(name) for name in ("0pb", "1pb", "2pb")]
    hard = best_response(tree, 0, reach_of(tree, never, 0))
    np.testing.assert_array_equal(hard.policy[rows], [[1.0, 0.0]] * 3)
    soft = best_response(tree, 0, reach_of(tree, never, 0), temperature=0.1)
    np.testing.assert_array_equal(soft.policy[rows], [[0.5, 0.5]] * 3)


@pytest.mark.parametrize("name", SMALL)
def test_uniform_ties_are_all_the_best_actions_and_worth_the_same(name, tree_of, random_policies):
    """Against pure co-players, where most of the tree is never reached.

    An action counts as best if playing it, and best responses after it, loses nothing wherever the
    seat arrives; only such actions may be played, each with the same probability.
    """
    tree = tree_of(name)
    policy = random_policies(tree, 9, 2)[-1]
    for player in range(tree.num_players):
        reach = reach_of(tree, policy, player)
        lowest = best_response(tree, player, reach)
        uniform = best_response(tree, player, reach, ties="uniform")
        assert uniform.value == lowest.value
        own = tree.infoset_player == player
        played = np.where(own[:, None], uniform.policy, policy)
        tree.check_policy(played)
        assert expected_returns(tree, played)[player] == pytest.approx(lowest.value, abs=1e-12)
        chosen = uniform.policy[own] > 0
        np.testing.assert_array_equal(chosen.argmax(axis=1), lowest.policy[own].argmax(axis=1))
        np.testing.assert_allclose(
            uniform.policy[own], chosen / chosen.sum(axis=1, keepdims=True), atol=1e-16
        )
        unreached = own & (information_state_reach(tree, player, reach) == 0)
        np.testing.assert_array_equal(uniform.policy[unreached], tree.uniform_policy()[unreached])
        for row in np.flatnonzero(own):
            for action in np.flatnonzero(tree.legal_mask[row]):
                other = played.copy()
                other[row] = np.eye(tree.num_actions)[action]
                lost = lowest.value - expected_returns(tree, other)[player]
                if uniform.policy[row, action]:
                    assert lost == pytest.approx(0.0, abs=1e-12)
                elif realization_plan(tree, played)[tree.infoset_parent_sequence[row]] > 0:
                    assert lost > 1e-12


def test_soft_response_approaches_the_deterministic_one(tree_of, random_policies):
    tree = tree_of("leduc_poker")
    reach = reach_of(tree, random_policies(tree, 4, 3)[0], 1)
    hard = best_response(tree, 1, reach).value
    values = best_response(
        tree, 1, np.stack([reach] * 4), temperature=np.array([1.0, 0.1, 0.01, 0.001])
    ).value
    assert (np.diff(values) < 0).all()
    # A player of Leduc poker decides at most 4 times between 3 actions.
    assert hard <= values[-1] <= hard + 0.001 * 4 * np.log(3)


def test_batched_responses_equal_single_ones(tree_of, random_policies):
    tree = tree_of("kuhn_poker(players=3)")
    policies = random_policies(tree, 5, 3)
    joints = np.random.default_rng(6).dirichlet(np.ones(9), size=(2, 4)).reshape(2, 4, 3, 3)
    weights = coplayer_weights(tree, policies, 1, joints)
    temperatures = np.linspace(0.1, 1, 8).reshape(2, 4)
    for temperature in (0.0, temperatures):
        together = best_response(tree, 1, weights, temperature=temperature)
        for index in np.ndindex(2, 4):
            alone = best_response(
                tree,
                1,
                weights[index],
                temperature=np.broadcast_to(temperature, (2, 4))[index],
            )
            np.testing.assert_allclose(together.policy[index], alone.policy, atol=1e-13)
            assert together.value[index] == pytest.approx(float(alone.value), abs=1e-13)


def test_response_to_a_correlated_pair_uses_the_correlation(tree_of, random_policies):
    """Its value is what it earns on average over joint profiles, and no strategy earns more."""
    tree = tree_of("kuhn_poker(players=3)")
    policies = random_policies(tree, 7, 3)
    joint = np.random.default_rng(8).dirichlet(np.full(9, 0.2)).reshape(3, 3)
    weights = coplayer_weights(tree, policies, 0, joint)
    response = best_response(tree, 0, weights)
    values = []
    for own in (*policies, response.policy):
        value = 0.0
        for profile in itertools.product(range(3), repeat=2):
            seats = np.stack([own, policies[profile[0]], policies[profile[1]]])
            table = seats[tree.infoset_player, np.arange(tree.num_infosets)]
            value += joint[profile] * expected_returns(tree, table)[0]
        values.append(value)
    assert values[-1] == pytest.approx(float(response.value), abs=1e-12)
    assert max(values[:-1]) < values[-1]


@pytest.mark.parametrize("temperature", [-1.0, np.nan, np.array([0.0, 1.0])])
def test_meaningless_temperatures_are_refused(temperature, tree_of):
    tree = tree_of("kuhn_poker")
    reach = np.stack([reach_of(tree, tree.uniform_policy(), 0)] * 2)
    with pytest.raises(ValueError, match="temperature"):
        best_response(tree, 0, reach, temperature=temperature)
