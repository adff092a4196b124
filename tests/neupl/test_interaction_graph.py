"""Interaction graphs: worked rows, the shape of every kind, joints of several co-players."""

import itertools

import numpy as np
import pytest

from neupl.config import GraphConfig
from neupl.interaction_graph import (
    GROUNDED,
    effective_size,
    first_equal_row,
    graph_rows,
    response_row,
)
from solvers.meta.nash import solve_nash
from solvers.meta.uniform import solve_uniform
from solvers.types import SolverResult

ROCK, PAPER, SCISSORS = np.eye(3)
BEATS = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
THIRD = 1 / 3


def zero_sum(matrix):
    """`[K, K, 2]` of the first seat's payoffs."""
    return np.stack([matrix, -matrix], axis=-1)


def rock_paper_scissors(strategies):
    strategies = np.array(strategies)
    return zero_sum(strategies @ BEATS @ strategies.T)


def graph(kind, exploration=0.0):
    return GraphConfig(kind=kind, exploration=exploration)


def correlated_solver(joint):
    """A meta-solver that has one answer."""

    def solve(payoffs):
        assert payoffs.shape[:-1] == joint.shape
        return SolverResult(joint, "given", 0.0, "solved", 0, 0.0)

    return solve


def random_payoffs(num_players, num_strategies, seed):
    shape = (num_strategies,) * num_players + (num_players,)
    return np.random.default_rng(seed).normal(size=shape)


def nash_of_distinct_strategies(payoffs):
    """The Nash equilibrium in which a copy of an earlier strategy gets no weight."""
    _, first = np.unique(payoffs[..., 0].round(9), axis=0, return_index=True)
    first = np.sort(first)
    joint = np.zeros(payoffs.shape[:-1])
    joint[np.ix_(first, first)] = solve_nash(payoffs[np.ix_(first, first)]).joint
    return SolverResult(joint, "nash", 0.0, "solved", 0, 0.0)


def test_psro_nash_of_rock_paper_scissors_from_a_rock_sink():
    """Paper answers rock, scissors answers paper; from then on every row is the uniform mixture.

    The weights of later rows still change under the maximum-entropy Nash, which splits the share of
    rock among its copies (rows 4 and 5), so they stay distinct rows.
    """
    strategies = np.array([ROCK, PAPER, SCISSORS, ROCK, ROCK, ROCK])
    rows = graph_rows(graph("psro"), rock_paper_scissors(strategies), solver=solve_nash)
    expected = [
        [0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
        [THIRD, THIRD, THIRD, 0, 0, 0],
        [THIRD / 2, THIRD, THIRD, THIRD / 2, 0, 0],
        [THIRD / 3, THIRD, THIRD, THIRD / 3, THIRD / 3, 0],
    ]
    np.testing.assert_allclose(rows, [expected] * 2, atol=1e-9)
    np.testing.assert_allclose(rows[:, 3:] @ strategies, np.full((2, 3, 3), THIRD), atol=1e-9)
    assert effective_size(rows, 6) == 6


def test_effective_size_of_rock_paper_scissors_stops_at_four():
    """Where copies get no weight, all rows after that of the fourth strategy equal it."""
    payoffs = rock_paper_scissors([ROCK, PAPER, SCISSORS, ROCK, PAPER, ROCK])
    rows = graph_rows(graph("psro"), payoffs, solver=nash_of_distinct_strategies)
    assert [effective_size(rows, k) for k in range(1, 7)] == [1, 2, 3, 4, 4, 4]
    np.testing.assert_array_equal(first_equal_row(rows), [[0, 1, 2, 3, 3, 3]] * 2)


def test_fictitious_play():
    rows = graph_rows(graph("fictitious_play"), random_payoffs(2, 4, 0), solver=solve_nash)
    expected = [[0, 0, 0, 0], [1, 0, 0, 0], [0.5, 0.5, 0, 0], [THIRD, THIRD, THIRD, 0]]
    np.testing.assert_allclose(rows, [expected] * 2)


def test_self_play_with_early_snapshots_and_with_the_latest():
    """Of five earlier strategies the first quarter are two."""
    payoffs = random_payoffs(3, 6, 0)
    for kind, met in (
        ("first_quarter", [[0], [0], [0], [0], [0, 1]]),
        ("latest", [[0], [1], [2], [3], [4]]),
    ):
        rows = graph_rows(graph(kind), payoffs, solver=solve_nash)
        assert not rows[:, 0].any()
        for k, members in enumerate(met, start=1):
            expected = np.zeros((6, 6))
            expected[np.ix_(members, members)] = len(members) ** -2.0
            np.testing.assert_allclose(rows[:, k].reshape(3, 6, 6), [expected] * 3)


def test_strategic_cycle():
    rows = graph_rows(graph("strategic_cycle"), random_payoffs(2, 3, 0), solver=solve_nash)
    np.testing.assert_array_equal(rows, [[[0, 1, 0], [0, 0, 1], [1, 0, 0]]] * 2)


def test_strategic_cycle_of_three_players_meets_both_neighbours_of_the_same_index():
    rows = graph_rows(graph("strategic_cycle"), random_payoffs(3, 3, 0), solver=solve_nash)
    for k, met in enumerate((1, 2, 0)):
        expected = np.zeros((3, 3))
        expected[met, met] = 1
        np.testing.assert_array_equal(rows[:, k].reshape(3, 3, 3), [expected] * 3)


def test_self_play():
    rows = graph_rows(graph("self_play"), random_payoffs(3, 2, 0), solver=solve_nash)
    np.testing.assert_allclose(rows, np.full((3, 2, 4), 0.25))


def test_rectified_response_to_rock_paper_scissors():
    """The Nash is uniform and worth 0; scissors, the last one, loses to rock alone."""
    payoffs = rock_paper_scissors([ROCK, PAPER, SCISSORS, ROCK])
    row = response_row(graph("rectified"), payoffs, range(3), solver=solve_nash)
    np.testing.assert_allclose(row, [[0, 0.5, 0.5, 0]] * 2, atol=1e-9)


def test_rectified_losing_is_relative_to_the_value_of_the_game():
    """Seat 0 always gets 5 more: without the game's value nobody would ever lose in its place."""
    payoffs = rock_paper_scissors([ROCK, PAPER, SCISSORS]) + np.array([5.0, -5.0])
    row = response_row(graph("rectified"), payoffs, range(3), solver=solve_nash)
    np.testing.assert_allclose(row, [[0, 0.5, 0.5]] * 2, atol=1e-9)


def test_rectified_stays_where_it_is_when_the_predecessor_loses_to_all():
    """Strategy 1 loses to strategy 0, the whole Nash: the row is not emptied."""
    payoffs = zero_sum(np.array([[0.0, 1.0], [-1.0, 0.0]]))
    row = response_row(graph("rectified"), payoffs, range(2), solver=solve_nash)
    np.testing.assert_allclose(row, [[1, 0]] * 2, atol=1e-9)


def test_rectified_with_three_players_keeps_profiles():
    """Strategy 1 of seat 0 of seat 0 earns 1, 1, 1, -3 against the four profiles of the others.

    Strategy 0 earns -1 throughout, so the uniform joint is worth (4 * -1 + 3 - 3) / 8 = -0.5 to it,
    and the profile worth -3 goes. To the other seats everything is worth 0: they keep all.
    """
    payoffs = np.zeros((2, 2, 2, 3))
    payoffs[0, ..., 0] = -1.0
    payoffs[1, ..., 0] = [[1.0, 1.0], [1.0, -3.0]]
    row = response_row(graph("rectified"), payoffs, range(2), solver=solve_uniform)
    np.testing.assert_allclose(row[0], [THIRD, THIRD, THIRD, 0])
    np.testing.assert_allclose(row[1:], np.full((2, 4), 0.25))


@pytest.mark.parametrize("num_players", [2, 3])
@pytest.mark.parametrize("kind", GROUNDED)
def test_grounded_graphs_meet_earlier_strategies_only(kind, num_players):
    solver = solve_nash if num_players == 2 else solve_uniform
    payoffs = random_payoffs(num_players, 4, 7)
    if num_players == 2:
        payoffs[..., 1] = -payoffs[..., 0]
    rows = graph_rows(graph(kind, exploration=0.3), payoffs, solver=solver)
    assert not rows[:, 0].any()
    for k in range(1, 4):
        cube = rows[:, k].reshape(num_players, *(4,) * (num_players - 1)).copy()
        np.testing.assert_allclose(rows[:, k].sum(axis=-1), 1, atol=1e-12)
        cube[(slice(None), *(slice(k),) * (num_players - 1))] = 0
        assert not cube.any()


def test_grounded_rows_do_not_depend_on_later_payoffs():
    payoffs = zero_sum(np.random.default_rng(8).normal(size=(5, 5)))
    changed = payoffs.copy()
    changed[3:] = [9.0, -9.0]
    changed[:, 3:] = [-9.0, 9.0]
    rows = [graph_rows(graph("psro"), p, solver=solve_nash)[:, :4] for p in (payoffs, changed)]
    np.testing.assert_array_equal(*rows)


def test_rows_keep_the_correlation_of_the_co_players():
    """A joint of three seats in which seats 1 and 2 always do the same, whatever seat 0 does.

    Seat 0 must meet (0, 0) and (1, 1) with 0.4 and 0.6; the product of their marginals would have
    it meet (0, 1) with 0.24.
    """
    joint = np.zeros((2, 2, 2))
    joint[0, 0, 0], joint[1, 0, 0], joint[0, 1, 1] = 0.1, 0.3, 0.6
    row = response_row(
        graph("psro"), random_payoffs(3, 2, 1), range(2), solver=correlated_solver(joint)
    )
    np.testing.assert_allclose(row[0], [0.4, 0, 0, 0.6])
    # The others meet (seat 0, seat 2) and (seat 0, seat 1), the last co-player fastest.
    np.testing.assert_allclose(row[1], [0.1, 0.6, 0.3, 0])
    np.testing.assert_allclose(row[2], [0.1, 0.6, 0.3, 0])


@pytest.mark.parametrize("num_players", [2, 3, 4])
def test_rows_are_marginals_of_the_joint(num_players):
    """Against a loop over profiles, on members that are not the first ones."""
    members, num_strategies = [0, 2, 3], 4
    rng = np.random.default_rng(num_players)
    joint = rng.dirichlet(np.full(3**num_players, 0.2)).reshape((3,) * num_players)
    payoffs = random_payoffs(num_players, num_strategies, 2)
    row = response_row(graph("psro"), payoffs, members, solver=correlated_solver(joint))
    for player in range(num_players):
        expected = np.zeros((num_strategies,) * (num_players - 1))
        for profile in itertools.product(range(3), repeat=num_players):
            others = tuple(members[k] for p, k in enumerate(profile) if p != player)
            expected[others] += joint[profile]
        np.testing.assert_allclose(row[player], expected.reshape(-1), atol=1e-15)
    np.testing.assert_allclose(row.sum(axis=-1), 1)


@pytest.mark.parametrize("kind", ["psro", "rectified"])
def test_members_are_solved_on_their_own_payoffs(kind):
    """Leaving strategy 1 out of rock, paper, scissors, paper gives the row of the other three."""
    payoffs = rock_paper_scissors([ROCK, PAPER, PAPER, SCISSORS])
    row = response_row(graph(kind), payoffs, [0, 2, 3], solver=solve_nash)
    expected = {"psro": [THIRD, 0, THIRD, THIRD], "rectified": [0, 0, 0.5, 0.5]}[kind]
    np.testing.assert_allclose(row, [expected] * 2, atol=1e-9)


def test_reordering_the_strategies_reorders_the_row():
    payoffs = zero_sum(np.random.default_rng(3).normal(size=(5, 5)))
    order = np.array([3, 0, 4, 2, 1])
    row = response_row(graph("psro", 0.25), payoffs, range(5), solver=solve_nash)
    reordered = response_row(
        graph("psro", 0.25), payoffs[np.ix_(order, order)], range(5), solver=solve_nash
    )
    np.testing.assert_allclose(reordered, row[:, order], atol=1e-7)


def test_reordering_the_seats_reorders_the_rows():
    """Seats 0 and 2 change places; what seat 1 meets is transposed, the others change rows."""
    joint = np.random.default_rng(4).dirichlet(np.ones(8)).reshape(2, 2, 2)
    payoffs = random_payoffs(3, 2, 4)
    row = response_row(graph("psro"), payoffs, range(2), solver=correlated_solver(joint))
    exchanged = response_row(
        graph("psro"),
        payoffs.transpose(2, 1, 0, 3)[..., [2, 1, 0]],
        range(2),
        solver=correlated_solver(joint.transpose(2, 1, 0)),
    )
    transposed = row.reshape(3, 2, 2).transpose(0, 2, 1).reshape(3, 4)
    np.testing.assert_allclose(exchanged, transposed[[2, 1, 0]])


@pytest.mark.parametrize("kind", ["psro", "rectified"])
def test_exploration_is_the_share_of_the_uniform_mixture(kind):
    payoffs = zero_sum(np.random.default_rng(5).normal(size=(4, 4)))
    pure = response_row(graph(kind, 0.0), payoffs, range(3), solver=solve_nash)
    mixed = response_row(graph(kind, 0.3), payoffs, range(3), solver=solve_nash)
    uniform = np.array([THIRD, THIRD, THIRD, 0])
    np.testing.assert_allclose(mixed, 0.7 * pure + 0.3 * uniform, atol=1e-12)
    every = response_row(graph(kind, 1.0), payoffs, range(3), solver=solve_nash)
    np.testing.assert_allclose(every, [uniform] * 2, atol=1e-12)


def test_first_equal_row_is_per_seat_and_ignores_rounding():
    rows = np.zeros((2, 4, 4))
    rows[0, 1:, 0], rows[1, 1, 0], rows[1, 2, 1], rows[1, 3, 0] = 1, 1, 1, 1
    rows[0, 2, :2] = 1 - 1e-9, 1e-9
    np.testing.assert_array_equal(first_equal_row(rows), [[0, 1, 1, 1], [0, 1, 2, 1]])
    assert effective_size(rows, 4) == 3
    assert effective_size(rows, 2) == 2
    rows[0, 3, :2] = 1 - 1e-4, 1e-4
    assert first_equal_row(rows)[0, 3] == 3
