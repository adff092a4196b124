"""The index arrays of regret minimisation against sums over the terminals of the tree."""

import dataclasses
import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from games.open_spiel_tree import compile_open_spiel
from solvers import regret_kernels
from solvers.regret_form import MAX_SIDE, slot_form
from solvers.regret_state import RULES

GAMES = (
    "kuhn_poker",
    "kuhn_poker(players=3)",
    "kuhn_poker(players=4)",
    "liars_dice(dice_sides=3)",
    "goofspiel(imp_info=True,num_cards=4,points_order=descending)",
    "goofspiel(imp_info=True,num_cards=3,points_order=descending,players=3)",
    "sheriff(num_rounds=1)",
    "first_sealed_auction",
    "trade_comm(num_items=2)",
    "matrix_rps",
)

compiled = functools.cache(functools.partial(compile_open_spiel, cache=False))


def values_of_terminals(tree, plan):
    """Values of every sequence at the terminals right after it, one terminal at a time."""
    values = np.zeros(tree.num_sequences)
    for last, probability, returns in zip(
        tree.terminal_sequence, tree.terminal_probability, tree.terminal_returns, strict=True
    ):
        for player in range(tree.num_players):
            others = np.prod(np.delete(plan[last], player))
            values[last[player]] += probability * others * returns[player]
    return values


def values_of_form(tree, plan):
    """The same by the compiled loops: what one simultaneous iteration adds to its gradient."""
    slots = slot_form(tree)
    regret, last_regret, plan_sum, policy, gradient = np.zeros((5, tree.num_sequences))
    in_slots = np.empty(tree.num_sequences)
    in_slots[slots.slot_of_sequence] = plan
    regret_kernels.run_simultaneous(
        slots.form,
        RULES["cfr"].numbers(),
        regret,
        last_regret,
        plan_sum,
        policy,
        in_slots,
        0,
        1,
        1,
        gradient,
        np.zeros(tree.num_players),
        np.empty((0, tree.num_sequences)),
    )
    return gradient[slots.slot_of_sequence]


@given(name=st.sampled_from(GAMES), seed=st.integers(0, 2**32 - 1), dense=st.booleans())
def test_values_are_sums_over_terminals(name, seed, dense):
    """With any returns, also such that most terminals are worth nothing to most seats."""
    rng = np.random.default_rng(seed)
    tree = compiled(name)
    returns = rng.normal(size=tree.terminal_returns.shape)
    if not dense:
        returns *= rng.random(returns.shape) < 0.1
    tree = dataclasses.replace(tree, terminal_returns=returns)
    plan = rng.random(tree.num_sequences)
    np.testing.assert_allclose(
        values_of_form(tree, plan), values_of_terminals(tree, plan), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("name", [*GAMES, "leduc_poker"])
def test_slots_keep_seats_together_and_parents_first(name, tree_of):
    tree = tree_of(name)
    form, slot_of_sequence = slot_form(tree)
    np.testing.assert_array_equal(np.sort(slot_of_sequence), np.arange(tree.num_sequences))
    assert (form.parent_slot < form.first_slot[:-1]).all()
    infoset_owner = tree.infoset_player[tree.sequence_infoset[tree.num_players :]]
    owner = np.append(np.arange(tree.num_players), infoset_owner)
    for player in range(tree.num_players):
        lo, hi = form.infoset_start[player], form.infoset_start[player + 1]
        own = np.arange(form.first_slot[lo], form.first_slot[hi])
        assert (owner[np.argsort(slot_of_sequence)[own]] == player).all()


def test_dice_endings_share_their_matrices(tree_of):
    """One block per public ending and seat; the loser of a call depends on the dice alone, so few
    matrices are distinct.
    """
    form = slot_form(tree_of("liars_dice(dice_sides=4)")).form
    assert len(form.entry_amount) == 0
    assert len(form.block_matrix) > 10 * len(np.unique(form.block_matrix))


def test_wide_groups_stay_sparse(tree_of):
    """Every bid of one bidder meets every bid of the other: a group wider than a block may be."""
    tree = tree_of("first_sealed_auction(max_value=12)")
    form = slot_form(tree).form
    assert np.bincount(tree.terminal_sequence[:, 0]).size > MAX_SIDE
    assert len(form.block_matrix) == 0
    assert len(form.entry_amount) > 0
