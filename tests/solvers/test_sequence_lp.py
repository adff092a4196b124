"""The sequence-form program: published values, OpenSpiel, random returns, and what it refuses."""

import dataclasses
import functools

import numpy as np
import pyspiel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from games.open_spiel_tree import compile_open_spiel
from solvers.sequence_lp import solve_sequence_lp
from solvers.types import SolverError
from solvers.values import expected_returns

compiled = functools.cache(functools.partial(compile_open_spiel, cache=False))


def with_returns(tree, own):
    """The zero-sum game with the same moves and other returns of seat 0."""
    return dataclasses.replace(
        tree,
        terminal_returns=np.stack([own, -own], axis=1),
        min_return=-float(abs(own).max()),
        max_return=float(abs(own).max()),
    )


@pytest.mark.parametrize(
    "name, value",
    [
        ("kuhn_poker", -1 / 18),
        ("leduc_poker", -0.085606424078),
        ("liars_dice(dice_sides=4)", 0.0625),
        ("liars_dice(dice_sides=5)", 0.008),
        ("goofspiel(imp_info=True,num_cards=4,points_order=descending)", 0.0),
        ("goofspiel(imp_info=True,num_cards=5,points_order=descending)", 0.0),
        ("matrix_rps", 0.0),
        ("dark_hex(board_size=2)", 1.0),
    ],
)
def test_known_values_with_plans_that_are_an_equilibrium(
    name, value, tree_of, turn_based, open_spiel_table
):
    tree = tree_of(name)
    result = solve_sequence_lp(tree)
    assert result.value == pytest.approx(value, abs=1e-11)
    assert result.nash_conv <= 1e-12 * tree.payoff_range
    assert expected_returns(tree, result.policy)[0] == pytest.approx(value, abs=1e-11)
    tree.check_policy(result.policy, tolerance=1e-15)
    theirs = pyspiel.nash_conv(turn_based(name), open_spiel_table(tree, result.policy))
    assert theirs == pytest.approx(0.0, abs=1e-12 * tree.payoff_range)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), degenerate=st.booleans())
def test_any_returns_are_solved(seed, degenerate):
    """Small whole numbers tie in many ways, so the polytope of equilibria is large."""
    rng = np.random.default_rng(seed)
    tree = compiled("goofspiel(imp_info=True,num_cards=3,points_order=descending)")
    own = rng.normal(size=tree.num_terminals)
    if degenerate:
        own = np.round(own)
    game = with_returns(tree, own)
    result = solve_sequence_lp(game)
    assert result.nash_conv <= 1e-11
    assert expected_returns(game, result.policy)[0] == pytest.approx(result.value, abs=1e-11)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_matrix_game_is_solved_as_by_the_plain_program(seed):
    """Rock-paper-scissors with other numbers: maximise the least column of x' A by itself."""
    rng = np.random.default_rng(seed)
    tree = compiled("matrix_rps")
    matrix = rng.integers(-5, 6, (3, 3)).astype(float)
    row, column = tree.sequence_action[tree.terminal_sequence].T
    game = with_returns(tree, matrix[row, column])
    plain = linprog(
        [0, 0, 0, -1],
        A_ub=np.c_[-matrix.T, np.ones(3)],
        b_ub=np.zeros(3),
        A_eq=[[1, 1, 1, 0]],
        b_eq=[1],
        bounds=[(0, 1)] * 3 + [(None, None)],
    )
    result = solve_sequence_lp(game)
    assert result.value == pytest.approx(-plain.fun, abs=1e-10)
    assert result.nash_conv <= 1e-11


def test_openspiels_program_has_the_same_value(tree_of, turn_based):
    pytest.importorskip("cvxpy")
    sequence_form_lp = pytest.importorskip("open_spiel.python.algorithms.sequence_form_lp")
    for name in ("kuhn_poker", "liars_dice(dice_sides=2)"):
        theirs = sequence_form_lp.solve_zero_sum_game(turn_based(name))[0]
        assert solve_sequence_lp(tree_of(name)).value == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("name", ["kuhn_poker(players=3)", "sheriff(num_rounds=1)"])
def test_other_games_are_refused(name, tree_of):
    with pytest.raises(ValueError, match="needs a two-player zero-sum game"):
        solve_sequence_lp(tree_of(name))


def test_giving_up_is_an_error_that_says_why(tree_of):
    with pytest.raises(SolverError, match=r"program of liars_dice.*[Tt]ime limit"):
        solve_sequence_lp(tree_of("liars_dice(dice_sides=5)"), time_limit_s=1e-4)
    with pytest.raises(SolverError, match="ended at a NashConv of"):
        solve_sequence_lp(tree_of("leduc_poker"), tolerance=0.0)
