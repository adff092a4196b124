"""Averaged joints of simultaneous regret minimisers, and their exact CCE gaps."""

import itertools

import numpy as np
import pyspiel
import pytest

from solvers.gaps import gains_of_plan
from solvers.regret import solve_cfr
from solvers.regret_cce import cce_by_regret
from solvers.regret_state import RULES
from solvers.sequence_form import policy_from_plan, realization_plan
from solvers.values import expected_returns

GOOFSPIEL_3P = "goofspiel(imp_info=True,num_cards=3,points_order=descending,players=3)"


@pytest.mark.parametrize("name", ["kuhn_poker", "tiny_hanabi", "sheriff(num_rounds=1)"])
@pytest.mark.parametrize("variant", sorted(RULES))
def test_gap_is_the_definition_by_enumeration(name, variant, tree_of):
    """Every pure plan of the deviator, every iteration, every terminal."""
    tree = tree_of(name)
    result = cce_by_regret(tree, variant=variant, iterations=5, first_averaged=2, keep_joint=True)
    joint = result.joint
    weights = np.arange(2.0, 6.0) ** RULES[variant].gamma
    np.testing.assert_allclose(joint.weights, weights / weights.sum(), rtol=1e-15)
    for player in range(tree.num_players):
        best = max(
            sum(
                weight * returns_of_plans(tree, np.where(own, deviation, plan))[player]
                for weight, plan in zip(joint.weights, joint.plans, strict=True)
            )
            for own, deviation in pure_plans(tree, player)
        )
        kept = sum(
            weight * returns_of_plans(tree, plan)[player]
            for weight, plan in zip(joint.weights, joint.plans, strict=True)
        )
        assert result.returns[player] == pytest.approx(kept, abs=1e-12)
        assert result.certificate.per_player[player] == pytest.approx(best - kept, abs=1e-12)
    assert result.certificate.value == sum(max(g, 0.0) for g in result.certificate.per_player)


def returns_of_plans(tree, plan):
    reach = tree.terminal_probability * plan[tree.terminal_sequence].prod(axis=1)
    return reach @ tree.terminal_returns


def pure_plans(tree, player):
    """Yields the seat's sequences as a mask, and each pure plan that differs in what it reaches."""
    own = np.zeros(tree.num_sequences, bool)
    own[player] = True
    infosets = np.flatnonzero(tree.infoset_player == player)
    own[np.isin(tree.sequence_infoset, infosets)] = True
    seen = set()
    choices = [np.flatnonzero(tree.legal_mask[i]) for i in infosets]
    for actions in itertools.product(*choices):
        policy = tree.uniform_policy()
        policy[infosets] = np.eye(tree.num_actions)[list(actions)]
        plan = realization_plan(tree, policy)
        key = plan[own].tobytes()
        if key not in seen:
            seen.add(key)
            yield own, plan


@pytest.mark.parametrize(
    "name", ["kuhn_poker(players=3)", "sheriff(num_rounds=2)", GOOFSPIEL_3P, "leduc_poker"]
)
def test_gap_is_openspiels(name, tree_of, turn_based, open_spiel_table):
    """Per player, before the positive part: OpenSpiel clips only the gains."""
    tree = tree_of(name)
    result = cce_by_regret(tree, variant="cfr+", iterations=4, keep_joint=True)
    policies = policy_from_plan(tree, result.joint.plans)
    mixture = [
        (weight, open_spiel_table(tree, policy))
        for weight, policy in zip(result.joint.weights, policies, strict=True)
    ]
    theirs = pyspiel.cce_dist(turn_based(name), mixture)
    np.testing.assert_allclose(result.returns, theirs.on_policy_values, atol=1e-10)
    np.testing.assert_allclose(
        result.returns + result.certificate.per_player, theirs.best_response_values, atol=1e-10
    )
    assert result.certificate.value == pytest.approx(sum(theirs.deviation_incentives), abs=1e-10)


@pytest.mark.parametrize("variant", sorted(RULES))
def test_zero_sum_gains_add_up_to_nash_conv_of_the_averages(variant, tree_of):
    """For two seats and zero sum the returns cancel, and a deviator only sees the other's average
    plan, so the signed gains of the joint add up to NashConv of the two average plans.
    """
    tree = tree_of("leduc_poker")
    result = cce_by_regret(tree, variant=variant, iterations=60, keep_joint=True)
    average = result.joint.weights @ result.joint.plans
    assert sum(result.certificate.per_player) == pytest.approx(
        gains_of_plan(tree, average).sum(), abs=1e-10
    )


@pytest.mark.parametrize(
    "name, iterations, gap",
    [
        ("kuhn_poker(players=3)", 4000, 1e-4),
        ("sheriff(num_rounds=2)", 6000, 1e-3),
        (GOOFSPIEL_3P, 2000, 1e-4),
        ("goofspiel(imp_info=True,num_cards=4,points_order=descending,players=3)", 2000, 1e-4),
        ("tiny_bridge_2p", 300, 1e-3),
    ],
)
def test_gap_goes_to_zero_beyond_two_player_zero_sum(name, iterations, gap, tree_of):
    result = cce_by_regret(tree_of(name), iterations=iterations)
    assert result.certificate.value < gap
    assert result.curve[0].gap > 100 * gap


def test_product_of_averages_is_another_object(tree_of):
    """What is certified must be the joint: the seats' policies move together over time."""
    tree = tree_of("sheriff(num_rounds=2)")
    result = cce_by_regret(tree, variant="cfr", iterations=500, keep_joint=True)
    average = result.joint.weights @ result.joint.plans
    product = expected_returns(tree, policy_from_plan(tree, average))
    assert np.abs(product - result.returns).max() > 1e-3
    gain = gains_of_plan(tree, average)
    assert np.abs(gain - result.certificate.per_player).max() > 1e-3


def test_window_and_tolerance_name_the_object_that_is_returned(tree_of):
    tree = tree_of("kuhn_poker(players=3)")
    whole = cce_by_regret(tree, iterations=64, keep_joint=True)
    window = cce_by_regret(tree, iterations=64, first_averaged=33, keep_joint=True)
    np.testing.assert_array_equal(window.joint.plans, whole.joint.plans[32:])
    assert window.certificate.object == (
        "joint of the profiles played at iterations 33 to 64, weighted by iteration^2"
    )
    assert [point.iteration for point in window.curve] == [64]
    stopped = cce_by_regret(tree, iterations=10_000, tolerance=0.01, keep_joint=True, check_every=8)
    assert stopped.certificate.value <= 0.01 < stopped.curve[-2].gap
    assert len(stopped.joint.plans) == len(stopped.joint.weights) == stopped.iterations < 10_000
    assert stopped.joint.weights.sum() == pytest.approx(1.0)
    assert cce_by_regret(tree, iterations=4).joint is None


@pytest.mark.parametrize("variant", sorted(RULES))
def test_resumed_run_is_the_uninterrupted_one_bit_for_bit(variant, tree_of):
    tree = tree_of(GOOFSPIEL_3P)
    whole = cce_by_regret(tree, variant=variant, iterations=50)
    part = cce_by_regret(tree, variant=variant, iterations=17)
    before = part.state.gradient.copy()
    resumed = cce_by_regret(tree, variant=variant, iterations=50, state=part.state)
    np.testing.assert_array_equal(part.state.gradient, before)
    np.testing.assert_array_equal(resumed.returns, whole.returns)
    assert resumed.certificate.per_player == whole.certificate.per_player
    np.testing.assert_array_equal(resumed.state.gradient, whole.state.gradient)
    np.testing.assert_array_equal(resumed.state.regrets.regret, whole.state.regrets.regret)


def test_an_average_may_begin_where_an_earlier_run_stopped(tree_of):
    tree = tree_of("kuhn_poker(players=3)")
    whole = cce_by_regret(tree, iterations=64, first_averaged=33, keep_joint=True)
    state = cce_by_regret(tree, iterations=32).state
    resumed = cce_by_regret(tree, iterations=64, first_averaged=33, keep_joint=True, state=state)
    np.testing.assert_array_equal(resumed.joint.plans, whole.joint.plans)
    assert resumed.certificate.per_player == whole.certificate.per_player
    with pytest.raises(ValueError, match="first_averaged is 5, expected more than 32, or 1"):
        cce_by_regret(tree, iterations=64, first_averaged=5, state=state)
    with pytest.raises(ValueError, match=r"without its profiles.*expected more than 32$"):
        cce_by_regret(tree, iterations=64, keep_joint=True, state=state)


def test_first_iteration_is_uniform_play(tree_of):
    tree = tree_of("kuhn_poker(players=3)")
    first = cce_by_regret(tree, iterations=1)
    uniform = solve_cfr(tree, iterations=1)
    np.testing.assert_allclose(first.certificate.per_player, uniform.gains, atol=1e-12)
    assert first.certificate.value == pytest.approx(2.0625)


@pytest.mark.parametrize("first_averaged", [0, 11])
def test_windows_outside_the_run_are_refused(first_averaged, tree_of):
    with pytest.raises(ValueError, match=f"first_averaged is {first_averaged}, expected 1 to 10"):
        cce_by_regret(tree_of("kuhn_poker"), iterations=10, first_averaged=first_averaged)


@pytest.mark.slow
def test_three_player_leduc_reaches_a_hundredth_of_its_uniform_gap(tree_of):
    result = cce_by_regret(tree_of("leduc_poker(players=3)"), iterations=300)
    assert result.certificate.value < 0.01 * result.curve[0].gap
