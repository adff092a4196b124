"""The check of joints against OpenSpiel: which way it goes, that it agrees, that it can fail."""

import dataclasses
import time

import numpy as np
import pyspiel
import pytest

from games.normal_form import NormalForm
from games.types import GameError
from solvers.correlated_gaps import correlated_gains
from solvers.open_spiel_joint import check_joint, predicted_seconds
from solvers.sequence_form import realization_plan

GAMES = (
    "kuhn_poker",
    "kuhn_poker(players=3)",
    "sheriff(num_rounds=1)",
    "trade_comm(num_items=2)",
    "matching_pennies_3p",
)


def pure_policies(tree, seed, num_policies):
    """Deterministic strategies, the first one twice."""
    weight = np.random.default_rng(seed).random((num_policies, *tree.legal_mask.shape))
    weight = np.where(tree.legal_mask, weight, 0.0)
    pure = (weight == weight.max(axis=2, keepdims=True)).astype(np.float64)
    pure[1] = pure[0]
    return pure


def joint_for(tree, seed, num_policies):
    size = num_policies**tree.num_players
    joint = np.random.default_rng(seed).dirichlet(np.full(size, 0.5))
    return joint.reshape((num_policies,) * tree.num_players)


@pytest.mark.parametrize("concept", ["cce", "ce"])
@pytest.mark.parametrize("name", GAMES)
def test_openspiel_agrees_by_distance(name, concept, tree_of):
    tree = tree_of(name)
    policies, joint = pure_policies(tree, 1, 3), joint_for(tree, 2, 3)
    check = check_joint(tree, [policies] * tree.num_players, joint, concept=concept)
    assert check.agrees
    assert check.method == "distance"
    assert check.checked_mass == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(check.best_values, check.openspiel_best_values, atol=1e-12)
    np.testing.assert_allclose(check.on_policy_values, check.openspiel_on_policy_values, atol=1e-12)
    copies_merged = 3 if concept == "cce" else 2
    assert check.num_profiles <= copies_merged**tree.num_players


@pytest.mark.parametrize("concept", ["cce", "ce"])
@pytest.mark.parametrize("name", ["kuhn_poker", "sheriff(num_rounds=1)", "leduc_poker"])
def test_two_players_beyond_the_time_limit_are_checked_by_aggregates(name, concept, tree_of):
    """On the whole joint, so the numbers are those of the distance."""
    tree = tree_of(name)
    policies, joint = pure_policies(tree, 3, 3), joint_for(tree, 4, 3)
    both = [
        check_joint(tree, [policies] * 2, joint, concept=concept, time_limit_s=limit)
        for limit in (60.0, 0.0)
    ]
    assert [check.method for check in both] == ["distance", "aggregated_coplayer"]
    for check in both:
        assert check.agrees
        assert check.checked_profiles == check.num_profiles
    np.testing.assert_allclose(
        both[0].openspiel_best_values, both[1].openspiel_best_values, atol=1e-10
    )


@pytest.mark.parametrize("concept", ["cce", "ce"])
def test_many_players_beyond_the_time_limit_are_checked_on_the_heaviest_profiles(concept, tree_of):
    tree = tree_of("kuhn_poker(players=3)")
    policies, joint = pure_policies(tree, 5, 3)[1:], joint_for(tree, 6, 2)
    limit = predicted_seconds(tree, 3)
    check = check_joint(tree, [policies] * 3, joint, concept=concept, time_limit_s=limit)
    assert check.agrees
    assert check.method == "heaviest_profiles"
    assert (check.num_profiles, check.checked_profiles) == (8, 3)
    heaviest = np.sort(joint, axis=None)[-3:]
    assert check.checked_mass == pytest.approx(heaviest.sum(), abs=1e-15)
    part = np.where(joint >= heaviest[0], joint, 0.0) / heaviest.sum()
    ours = correlated_gains(tree, [realization_plan(tree, policies)] * 3, part, concept=concept)
    np.testing.assert_allclose(check.best_values, ours.best_values, atol=1e-13)


@pytest.mark.parametrize("limit", [60.0, 0.0])
@pytest.mark.parametrize("name", ["kuhn_poker", "kuhn_poker(players=3)"])
def test_tampered_returns_are_noticed(name, limit, tree_of):
    tree = tree_of(name)
    returns = tree.terminal_returns.copy()
    returns *= 1.01
    wrong = dataclasses.replace(tree, terminal_returns=returns)
    policies, joint = pure_policies(tree, 7, 2), joint_for(tree, 8, 2)
    for concept in ("cce", "ce"):
        arguments = ([policies] * tree.num_players, joint)
        assert check_joint(tree, *arguments, concept=concept, time_limit_s=limit).agrees
        assert not check_joint(wrong, *arguments, concept=concept, time_limit_s=limit).agrees


def test_negative_gains_are_compared_although_openspiel_clips_them(tree_of):
    """A fair coin on which two seats agree: deciding beforehand loses 1/2."""
    table = np.stack([np.eye(2), np.eye(2)], axis=-1)
    tree = NormalForm(table).to_tree("some/coordination.nfg")
    policies = np.zeros((2, tree.num_infosets, 2))
    policies[0, :, 0] = policies[1, :, 1] = 1.0
    check = check_joint(tree, [policies] * 2, np.eye(2) / 2)
    assert check.agrees
    np.testing.assert_allclose(
        np.subtract(check.openspiel_best_values, check.openspiel_on_policy_values), [-0.5, -0.5]
    )


def test_prediction_is_not_far_below_what_cce_dist_takes(tree_of, turn_based, open_spiel_table):
    """Within a factor of 4, for a loaded machine; what matters is that 60 s are not an hour."""
    tree, game = tree_of("kuhn_poker(players=3)"), turn_based("kuhn_poker(players=3)")
    tables = [open_spiel_table(tree, policy) for policy in pure_policies(tree, 9, 20)]
    begin = time.process_time()
    pyspiel.cce_dist(game, [(0.05, table) for table in tables])
    assert time.process_time() - begin < 4 * predicted_seconds(tree, 20)
    assert predicted_seconds(tree, 200) > 20 * predicted_seconds(tree, 20)


def test_improper_input_is_refused(tree_of):
    tree = tree_of("kuhn_poker")
    policies, joint = pure_policies(tree, 10, 2), joint_for(tree, 11, 2)
    with pytest.raises(ValueError, match="sum to 1"):
        check_joint(tree, [0.7 * policies] * 2, joint)
    with pytest.raises(ValueError, match="joint must sum to 1"):
        check_joint(tree, [policies] * 2, 0.9 * joint)
    with pytest.raises(ValueError, match="joint has shape"):
        check_joint(tree, [policies] * 2, np.full((2, 3), 1 / 6))
    with pytest.raises(GameError, match="OpenSpiel cannot judge"):
        check_joint(dataclasses.replace(tree, name="my.game:make"), [policies] * 2, joint)
