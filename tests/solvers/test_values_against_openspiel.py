"""Every exact quantity on a tree against OpenSpiel's own, on games of all kinds."""

import itertools

import numpy as np
import pyspiel
import pytest

from solvers.best_response import best_response
from solvers.gaps import gains, nash_conv
from solvers.sequence_form import coplayer_reach, realization_plan
from solvers.values import expected_returns, payoffs

GAMES = (
    "kuhn_poker",
    "kuhn_poker(players=3)",
    "kuhn_poker(players=4)",
    "leduc_poker",
    "liars_dice(numdice=1,dice_sides=3)",
    "goofspiel(imp_info=True,num_cards=3,points_order=descending,returns_type=total_points)",
    "goofspiel(imp_info=True,num_cards=3,players=3,points_order=descending)",
    "sheriff(num_rounds=1)",
    "trade_comm(num_items=2)",
    "tiny_hanabi",
    "dark_hex(board_size=2)",
    "matrix_pd",
    "matrix_rps",
    "matching_pennies_3p",
)


@pytest.mark.parametrize("name", GAMES)
def test_returns_gains_and_nash_conv_agree_with_openspiel(
    name, tree_of, turn_based, random_policies, open_spiel_table, open_spiel_returns
):
    tree, game = tree_of(name), turn_based(name)
    policies = np.concatenate([random_policies(tree, 1, 4), tree.uniform_policy()[None]])
    batched_returns, batched_gains = expected_returns(tree, policies), gains(tree, policies)
    for k, policy in enumerate(policies):
        table = open_spiel_table(tree, policy)
        returns = open_spiel_returns(name, [table] * tree.num_players)
        np.testing.assert_allclose(batched_returns[k], returns, atol=1e-11)
        certificate = nash_conv(tree, policy)
        assert certificate.value == pytest.approx(pyspiel.nash_conv(game, table), abs=1e-10)
        np.testing.assert_allclose(batched_gains[k], certificate.per_player, atol=1e-12)
        root = game.new_initial_state()
        reach = coplayer_reach(tree, realization_plan(tree, policy))
        for player in range(tree.num_players):
            best = pyspiel.TabularBestResponse(game, player, table).value_from_state(root)
            assert best_response(tree, player, reach[player]).value == pytest.approx(
                best, abs=1e-11
            )
            assert certificate.per_player[player] == pytest.approx(
                best - returns[player], abs=1e-10
            )


@pytest.mark.parametrize("name", GAMES)
def test_payoff_tensor_agrees_with_openspiel_at_every_profile(
    name, tree_of, random_policies, open_spiel_table, open_spiel_returns
):
    tree = tree_of(name)
    policies = random_policies(tree, 2, 2)
    tables = [open_spiel_table(tree, policy) for policy in policies]
    tensor = payoffs(tree, policies)
    assert tensor.shape == (2,) * tree.num_players + (tree.num_players,)
    for profile in itertools.product(range(2), repeat=tree.num_players):
        expected = open_spiel_returns(name, [tables[k] for k in profile])
        np.testing.assert_allclose(tensor[profile], expected, atol=1e-11)


@pytest.mark.parametrize("name", ["kuhn_poker", "kuhn_poker(players=3)", "tiny_hanabi"])
def test_payoffs_of_unequal_populations_are_the_matching_part_of_the_full_tensor(
    name, tree_of, random_policies
):
    tree = tree_of(name)
    policies = random_policies(tree, 3, 4)
    sizes = (4, 2, 3)[: tree.num_players]
    part = payoffs(tree, [policies[:size] for size in sizes])
    whole = payoffs(tree, policies)
    np.testing.assert_allclose(part, whole[tuple(slice(s) for s in sizes)], atol=1e-14)


def test_payoffs_equal_the_returns_of_the_profile_as_one_table(
    tree_of, random_policies, profile_policy
):
    tree = tree_of("kuhn_poker(players=3)")
    policies = random_policies(tree, 4, 3)
    tensor = payoffs(tree, policies)
    for profile in itertools.product(range(3), repeat=3):
        table = profile_policy(tree, policies, profile)
        np.testing.assert_allclose(tensor[profile], expected_returns(tree, table), atol=1e-14)


def test_uniform_kuhn_poker_by_hand(tree_of):
    """Uniform play is worth 1/8 to the first player, and its NashConv is 11/12.

    By symmetry of the cards every showdown is worth 0, so only folds count. The first player bets
    (1/2) and is folded to (1/2): 1/4 of the pots, worth 1. It passes, is bet into and folds: 1/8 of
    the pots, worth -1. Together 1/4 - 1/8 = 1/8.
    """
    tree = tree_of("kuhn_poker")
    certificate = nash_conv(tree, tree.uniform_policy())
    assert certificate.value == pytest.approx(11 / 12, abs=1e-14)
    np.testing.assert_allclose(
        expected_returns(tree, tree.uniform_policy()), [1 / 8, -1 / 8], atol=1e-15
    )


def test_kuhn_equilibrium_family_has_no_gain(tree_of):
    """Kuhn (1950): for any alpha in [0, 1/3] a known pair is an equilibrium worth -1/18."""
    tree = tree_of("kuhn_poker")
    for alpha in (0.0, 0.1, 1 / 3):
        bet = {
            "0": alpha, "1": 0.0, "2": 3 * alpha,
            "0pb": 0.0, "1pb": alpha + 1 / 3, "2pb": 1.0,
            "0p": 1 / 3, "1p": 0.0, "2p": 1.0,
            "0b": 0.0, "1b": 1 / 3, "2b": 1.0,
        }  # fmt: skip
        policy = np.array([[1 - bet[name], bet[name]] for name in tree.infoset_name])
        assert nash_conv(tree, policy).value == pytest.approx(0.0, abs=1e-14)
        assert expected_returns(tree, policy)[0] == pytest.approx(-1 / 18, abs=1e-14)


def test_wrong_number_of_populations_is_refused(tree_of, random_policies):
    tree = tree_of("kuhn_poker")
    with pytest.raises(ValueError, match="3 arrays of policies for 2 players"):
        payoffs(tree, [random_policies(tree, 0, 2)] * 3)


def test_unnormalised_policy_is_refused(tree_of):
    """OpenSpiel accepts rows of 0.7 and 0.7; we do not."""
    tree = tree_of("kuhn_poker")
    with pytest.raises(ValueError, match="sum to 1"):
        nash_conv(tree, 1.4 * tree.uniform_policy())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([np.nan, 1.0, 0.0], "sum to 1"),
        ([np.inf, 0.0, 0.0], "sum to 1"),
        ([0.5, 0.6, -0.1], "sum to 1"),
        ([0.0, 0.999, 0.0], "sum to 1"),
        ([0.5, 0.0, 0.5], "legal actions"),
    ],
    ids=["nan", "infinite", "negative", "sum", "illegal"],
)
def test_improper_rows_are_named(row, message, tree_of):
    """At a state of Leduc poker where folding and calling are legal and a third raise is not."""
    tree = tree_of("leduc_poker")
    at = int(np.flatnonzero((tree.legal_mask == [True, True, False]).all(axis=1))[0])
    policy = tree.uniform_policy()
    policy[at] = row
    with pytest.raises(ValueError, match=message) as error:
        nash_conv(tree, policy)
    assert tree.infoset_name[at] in str(error.value)
    with pytest.raises(ValueError, match="policy has shape"):
        nash_conv(tree, policy[:, :2])


def test_policies_in_any_layout_have_the_same_gains(tree_of, random_policies):
    """Rows in single precision, or strided; a list of batches of batches."""
    tree = tree_of("kuhn_poker(players=3)")
    policies = random_policies(tree, 6, 6)
    expected = gains(tree, policies)
    np.testing.assert_array_equal(gains(tree, policies[::2]), expected[::2])
    shape = (2, 3, *policies.shape[1:])
    np.testing.assert_array_equal(gains(tree, policies.reshape(shape)).reshape(6, 3), expected)
    np.testing.assert_array_equal(gains(tree, np.asfortranarray(policies[0])), expected[0])
    np.testing.assert_allclose(gains(tree, policies.astype(np.float32)), expected, atol=1e-5)
