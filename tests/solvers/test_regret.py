"""Regret minimisation against OpenSpiel's solvers, a loop over the nodes, and known end points."""

import dataclasses
import math

import numpy as np
import pyspiel
import pytest
from open_spiel.python.algorithms import discounted_cfr

from games.types import CHANCE
from solvers.gaps import gains
from solvers.regret import current_policy, solve_cfr
from solvers.regret_state import RULES, Rule
from solvers.values import expected_returns

GOOFSPIEL = "goofspiel(imp_info=True,num_cards=4,points_order=descending)"


def policy_table(tree, probabilities_fn):
    """The table `[S, A]` of a function from a name to pairs of an action and a probability."""
    table = np.zeros((tree.num_infosets, tree.num_actions))
    for row, name in enumerate(tree.infoset_name):
        for action, probability in probabilities_fn(name):
            table[row, action] = probability
    return table


@pytest.mark.parametrize(
    "name, iterations",
    [
        ("kuhn_poker", 200),
        ("kuhn_poker(players=3)", 100),
        ("leduc_poker", 12),
        ("liars_dice(dice_sides=3)", 20),
        (GOOFSPIEL, 10),
        ("sheriff(num_rounds=2)", 20),
        ("tiny_hanabi", 20),
    ],
)
@pytest.mark.parametrize(
    "variant, peer", [("cfr", pyspiel.CFRSolver), ("cfr+", pyspiel.CFRPlusSolver)]
)
def test_average_policy_is_openspiels(name, iterations, variant, peer, tree_of, turn_based):
    tree, solver = tree_of(name), peer(turn_based(name))
    made = 0
    for stop in (1, 2, iterations):
        for _ in range(stop - made):
            solver.evaluate_and_update_policy()
        made = stop
        theirs = solver.tabular_average_policy()
        table = policy_table(tree, theirs.policy_table().__getitem__)
        result = solve_cfr(tree, variant=variant, iterations=stop)
        np.testing.assert_allclose(result.policy, table, atol=1e-9)
        assert result.nash_conv == pytest.approx(
            pyspiel.nash_conv(turn_based(name), theirs), abs=1e-9
        )


def test_only_regrets_of_zero_part_ways_with_openspiel(tree_of, turn_based):
    """After its first update, seat 0 plays otherwise only where no action of ours has any regret:
    OpenSpiel's rounding gives one 1e-17.
    """
    name = "goofspiel(imp_info=True,num_cards=5,points_order=descending)"
    tree, solver = tree_of(name), pyspiel.CFRSolver(turn_based(name))
    solver.evaluate_and_update_policy()
    theirs = solver.tabular_current_policy().policy_table()
    table = policy_table(tree, theirs.__getitem__)
    state = solve_cfr(tree, variant="cfr", iterations=1).state
    differ = np.abs(current_policy(tree, state) - table).max(axis=1) > 1e-9
    differ &= tree.infoset_player == 0
    assert 0 < differ.sum() < 0.05 * tree.infosets_per_player[0]
    largest = np.zeros(tree.num_infosets)
    own = slice(tree.num_players, None)
    np.maximum.at(largest, tree.sequence_infoset[own], np.abs(state.regret[own]))
    assert largest[differ].max() < 1e-15 < largest.max()


@pytest.mark.parametrize("name, iterations", [("kuhn_poker", 40), ("liars_dice(dice_sides=2)", 15)])
@pytest.mark.parametrize(
    "variant, peer", [("dcfr", discounted_cfr.DCFRSolver), ("lcfr", discounted_cfr.LCFRSolver)]
)
def test_discounted_average_policy_is_openspiels(
    name, iterations, variant, peer, tree_of, turn_based
):
    tree, solver = tree_of(name), peer(turn_based(name))
    for _ in range(iterations):
        solver.evaluate_and_update_policy()
    average = solver.average_policy()
    table = np.zeros((tree.num_infosets, tree.num_actions))
    for row, info_state in enumerate(tree.infoset_name):
        table[row] = average.policy_for_key(info_state)
    result = solve_cfr(tree, variant=variant, iterations=iterations)
    np.testing.assert_allclose(result.policy, table, atol=1e-9)


@pytest.mark.parametrize("variant", sorted(RULES))
@pytest.mark.parametrize(
    "name", ["kuhn_poker", "kuhn_poker(players=3)", "sheriff(num_rounds=1)", "tiny_hanabi"]
)
def test_every_variant_is_its_definition_on_the_nodes(name, variant, tree_of):
    tree = tree_of(name)
    policy, current = regret_minimisation_on_nodes(tree, RULES[variant], iterations=9)
    result = solve_cfr(tree, variant=variant, iterations=9)
    np.testing.assert_allclose(result.policy, policy, atol=1e-10)
    np.testing.assert_allclose(current_policy(tree, result.state), current, atol=1e-9)


def regret_minimisation_on_nodes(tree, rule, *, iterations):
    """Average and next policy by visiting every node for every seat in every iteration."""
    regret = np.zeros((tree.num_infosets, tree.num_actions))
    last, average = np.zeros_like(regret), np.zeros_like(regret)
    policy = tree.uniform_policy()
    children = [np.flatnonzero(tree.node_parent == node) for node in range(tree.num_nodes)]

    def visit(node, reach, player, gain, played):
        if tree.node_terminal[node] >= 0:
            return tree.terminal_returns[tree.node_terminal[node], player]
        mover, infoset, value = tree.node_player[node], tree.node_infoset[node], 0.0
        child_value = {}
        for child in children[node]:
            action, further = tree.node_action[child], reach.copy()
            probability = (
                tree.node_probability[child] if mover == CHANCE else policy[infoset, action]
            )
            further[mover] *= probability
            child_value[action] = visit(child, further, player, gain, played)
            value += probability * child_value[action]
        if mover == player:
            others = np.prod(np.delete(reach, player))
            for action, worth in child_value.items():
                gain[infoset, action] += others * (worth - value)
            played[infoset] = reach[player] * policy[infoset]
        return value

    def kept(t, exponent):
        return {math.inf: 1.0, -math.inf: 0.0}.get(exponent, t**exponent / (t**exponent + 1))

    for t in range(1, iterations + 1):
        for player in range(tree.num_players):
            gain, played = np.zeros_like(regret), np.zeros_like(regret)
            visit(0, np.ones(tree.num_players + 1), player, gain, played)
            average += t**rule.gamma * played
            own = tree.infoset_player == player
            total = regret[own] + gain[own]
            regret[own] = total * np.where(total > 0, kept(t, rule.alpha), kept(t, rule.beta))
            last[own] = gain[own]
            positive = np.maximum(regret, 0.0)
            if rule.predictive:
                positive = np.maximum(positive + last, 0.0)
            policy[own] = normalised(tree, positive)[own]
    return normalised(tree, average), policy


def normalised(tree, weight):
    total = weight.sum(axis=1, keepdims=True)
    return np.where(total > 0, weight / np.where(total > 0, total, 1.0), tree.uniform_policy())


@pytest.mark.parametrize("variant", sorted(RULES))
def test_resumed_run_is_the_uninterrupted_one_bit_for_bit(variant, tree_of):
    tree = tree_of("leduc_poker")
    whole = solve_cfr(tree, variant=variant, iterations=40, check_every=7)
    part = solve_cfr(tree, variant=variant, iterations=13)
    before = part.state.regret.copy()
    resumed = solve_cfr(tree, variant=variant, iterations=40, state=part.state)
    np.testing.assert_array_equal(part.state.regret, before)
    np.testing.assert_array_equal(resumed.policy, whole.policy)
    for name in ("regret", "last_regret", "plan_sum"):
        np.testing.assert_array_equal(getattr(resumed.state, name), getattr(whole.state, name))


@pytest.mark.parametrize("variant", sorted(RULES))
@pytest.mark.parametrize("name", ["kuhn_poker(players=3)", "leduc_poker", "sheriff(num_rounds=2)"])
def test_units_of_the_returns_do_not_matter(name, variant, tree_of):
    """Doubling is exact in binary, so the policies agree to the last bit and gains double."""
    tree = tree_of(name)
    doubled = dataclasses.replace(tree, terminal_returns=2 * tree.terminal_returns)
    one = solve_cfr(tree, variant=variant, iterations=16)
    two = solve_cfr(doubled, variant=variant, iterations=16)
    np.testing.assert_array_equal(one.policy, two.policy)
    np.testing.assert_allclose(2 * one.gains, two.gains, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "name, value",
    [
        ("kuhn_poker", -1 / 18),
        ("leduc_poker", -0.085606424078),
        ("liars_dice(dice_sides=4)", 0.0625),
    ],
)
@pytest.mark.parametrize("variant", ["cfr+", "dcfr", "pcfr+"])
def test_two_player_zero_sum_games_are_solved(name, value, variant, tree_of):
    tree = tree_of(name)
    result = solve_cfr(tree, variant=variant, iterations=2000)
    assert result.nash_conv < 1e-4 * tree.payoff_range
    # The value lies between what the two seats guarantee, and so does this policy's.
    returns = expected_returns(tree, result.policy)
    assert returns[0] == pytest.approx(value, abs=result.nash_conv + 1e-12)
    np.testing.assert_array_equal(result.gains, gains(tree, result.policy))


@pytest.mark.parametrize("variant", sorted(RULES))
@pytest.mark.parametrize("name", ["kuhn_poker", GOOFSPIEL])
def test_gap_stays_below_the_regret_bound(name, variant, tree_of):
    """With CFR a seat's average regret is at most the payoff range times the sum over its
    information states of sqrt(number of actions / T) (Zinkevich et al. 2007); no variant is worse.
    """
    tree = tree_of(name)
    root = np.sqrt(tree.legal_mask.sum(axis=1)).sum() * tree.payoff_range
    result = solve_cfr(tree, variant=variant, iterations=3000, check_every=100)
    assert all(point.gap <= root / math.sqrt(point.iteration) for point in result.curve)
    assert result.curve[-1].gap < 0.2 * result.curve[0].gap


def test_measurements_happen_when_asked(tree_of):
    tree, seen = tree_of("kuhn_poker"), []
    result = solve_cfr(tree, iterations=20, on_check=seen.append)
    assert [point.iteration for point in seen] == [1, 2, 4, 8, 16, 20]
    assert tuple(seen) == result.curve
    assert result.curve[0].gap == pytest.approx(11 / 12)
    every = solve_cfr(tree, iterations=20, check_every=8)
    assert [point.iteration for point in every.curve] == [8, 16, 20]
    resumed = solve_cfr(tree, iterations=30, check_every=8, state=every.state)
    assert [point.iteration for point in resumed.curve] == [24, 30]


def test_tolerance_stops_the_run(tree_of):
    result = solve_cfr(tree_of("kuhn_poker"), iterations=100_000, tolerance=1e-3, check_every=10)
    assert result.nash_conv <= 1e-3 < result.curve[-2].gap
    assert result.iterations == result.state.iteration == result.curve[-1].iteration < 1000


def test_a_rule_of_ones_own(tree_of):
    tree = tree_of("kuhn_poker")
    named = solve_cfr(tree, variant="dcfr", iterations=50)
    own = solve_cfr(tree, variant=Rule(1.5, 0.0, 2.0), iterations=50)
    np.testing.assert_array_equal(named.policy, own.policy)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"variant": "cfr++"}, "variant is 'cfr\\+\\+', expected one of cfr, cfr\\+, "),
        ({"variant": Rule(math.nan, 0.0, 0.0)}, "expected numbers"),
        ({"iterations": 0}, "iterations is 0, expected more than the 0 made"),
        ({"tolerance": -1.0}, "tolerance is -1.0, expected a number >= 0"),
        ({"check_every": 0}, "check_every is 0, expected at least 1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message, tree_of):
    with pytest.raises(ValueError, match=message):
        solve_cfr(tree_of("kuhn_poker"), **arguments)


def test_foreign_states_are_refused(tree_of):
    state = solve_cfr(tree_of("kuhn_poker"), iterations=3).state
    with pytest.raises(ValueError, match="state has 26 sequences, leduc_poker has 2186"):
        solve_cfr(tree_of("leduc_poker"), iterations=9, state=state)
    with pytest.raises(ValueError, match="cannot be resumed by"):
        solve_cfr(tree_of("kuhn_poker"), iterations=9, state=state, variant="cfr")
    with pytest.raises(ValueError, match="iterations is 3, expected more than the 3"):
        solve_cfr(tree_of("kuhn_poker"), iterations=3, state=state)
