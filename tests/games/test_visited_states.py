"""The record of histories: draws against a scalar inverse CDF, edges, shared views, the bound."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from games.visited_states import ELSEWHERE, Outcomes, VisitedStates

NOTHING = [0.0, 0.0]
FIRST = (np.array([ELSEWHERE]), np.array([0]), np.zeros((1, 2), np.int64))


def empty(max_bytes=1 << 20, num_actions=6):
    return VisitedStates(
        num_players=2, num_actions=num_actions, observation_size=3, max_bytes=max_bytes
    )


def see(*observations):
    """What seats 0 and 1 see."""
    return lambda seat: list(observations[seat])


def test_outcomes_leave_out_the_impossible_and_draw_by_inverse_cdf():
    outcomes = Outcomes.of([(4, 0.0), (7, 0.25), (2, 0.0), (5, 0.75), (9, 0.0)])
    assert outcomes == Outcomes([7, 5], [0.25, 1.0])
    drawn = [outcomes.draw(uniform) for uniform in (0.0, 0.24, 0.25, 0.9999999999999999)]
    assert drawn == [7, 7, 5, 5]
    # Three thirds of 0.3: the draw is scaled to the total of 0.9.
    scaled = Outcomes.of([(0, 0.3), (1, 0.3), (2, 0.3)])
    assert [scaled.draw(uniform) for uniform in (0.1, 0.4, 0.7)] == [0, 1, 2]


@given(
    st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=40).filter(any), min_size=1),
    st.integers(0, 2**32 - 1),
)
def test_draws_of_many_lanes_are_those_of_one(events, seed):
    record, lists = empty(), []
    for weights in events:
        pairs = [(place + 3, weight / sum(weights)) for place, weight in enumerate(weights)]
        lists.append(Outcomes.of(pairs))
        record.add_chance(NOTHING, lists[-1])
    n = len(events)
    # All are made children of nothing: only their draws are of interest.
    record.commit(np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros((n, 2), np.int64))
    generator = np.random.default_rng(seed)
    which = generator.integers(0, n, 100)
    # Numbers on the very border between two outcomes are among them.
    borders = np.array([generator.choice(lists[event].cumulative) for event in which])
    uniform = np.where(generator.random(100) < 0.5, generator.random(100), borders % 1)
    edges, drawn = record.draw(which + 1, uniform)
    expected = [lists[event].draw(float(u)) for event, u in zip(which, uniform, strict=True)]
    assert drawn.tolist() == expected
    starts = np.cumsum([1] + [len(outcomes.actions) for outcomes in lists])
    places = [lists[event].actions.index(a) for event, a in zip(which, expected, strict=True)]
    np.testing.assert_array_equal(edges, starts[which] + places)


def test_every_combination_of_moves_is_an_edge_of_its_own():
    """Seat 0 has actions 1, 4 and 5, seat 1 has 0 and 2; then seat 1 alone has 3."""
    record = empty()
    both = record.add_decision(NOTHING, [(0, [1, 4, 5]), (1, [0, 2])], see((1, 0, 0), (0, 1, 0)))
    record.commit(*FIRST)
    moves = np.array(list(itertools.product([1, 4, 5], [0, 2])))
    edges = record.edges(np.full(6, both), moves)
    assert sorted(edges.tolist()) == list(range(1, 7))
    assert (record.follow(edges) == ELSEWHERE).all()
    alone = record.add_decision([1.0, 2.5], [(1, [3])], see((), (0, 0, 1)))
    record.commit(np.array([both]), edges[4:5], moves[4:5])
    np.testing.assert_array_equal(record.follow(edges), [0, 0, 0, 0, alone, 0])

    where = np.array([both, alone, ELSEWHERE])
    np.testing.assert_array_equal(record.to_move(where), [[1, 1], [0, 1], [0, 0]])
    np.testing.assert_array_equal(record.returns(where), [[0, 0], [1, 2.5], [0, 0]])
    legal = np.zeros((3, 2, 6), bool)
    legal[0, 0, [1, 4, 5]] = legal[0, 1, [0, 2]] = legal[1, 1, 3] = True
    legal[1, 0, 0] = legal[2, :, 0] = True
    np.testing.assert_array_equal(record.legal_mask(where), legal)
    seen = record.observe(where)
    np.testing.assert_array_equal(seen[0], [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(seen[1:], [[[0, 0, 0], [0, 0, 1]], np.zeros((2, 3))])

    # A terminal history leads back to itself, and so does no history.
    end = record.add_decision([0.0, 0.0], [], see())
    record.commit(np.array([alone]), record.edges(np.array([alone]), np.array([[0, 3]])), moves[:1])
    over = np.array([end, ELSEWHERE])
    np.testing.assert_array_equal(record.follow(record.edges(over, np.zeros((2, 2), int))), over)
    assert record.path(end, ELSEWHERE) == (both, [[5, 0], [1, 0]])
    assert record.path(end, alone) == (alone, [[1, 0]])
    assert record.path(end, end) == (end, [])


def test_equal_views_are_stored_once():
    """The memory taken tells: a view that differs in its legal actions alone is another one."""
    record, sizes = empty(), []
    for legal in ([0, 1], [0, 1], [1, 2]):
        before = record.num_bytes
        record.add_decision(NOTHING, [(0, legal)], see((1, 2, 3)))
        sizes.append(record.num_bytes - before)
    assert sizes[0] == sizes[2] > sizes[1]


def test_the_first_history_that_does_not_fit_closes_the_record():
    record = empty(max_bytes=2000)
    added = 0
    while record.add_decision(NOTHING, [(0, [0, 1])], see((added, 0, 0))) != ELSEWHERE:
        added += 1
    assert record.full and 3 <= added == len(record) and record.num_bytes <= 2000
    # What is small enough comes too late.
    assert record.add_decision(NOTHING, [], see()) == ELSEWHERE
    # A thousand moves of each seat at once are a million edges.
    wide = empty(num_actions=1000)
    moves = list(range(1000))
    assert wide.add_decision(NOTHING, [(0, moves), (1, moves)], see((), ())) == ELSEWHERE
    assert len(wide) == 0


def test_histories_that_were_never_committed_are_an_error():
    record = empty()
    record.add_decision(NOTHING, [(0, [0, 1])], see((1, 0, 0)))
    record.add_decision(NOTHING, [(0, [0, 1])], see((2, 0, 0)))
    with pytest.raises(RuntimeError, match=r"2 histories were added but 1 are.*make a new host"):
        record.commit(*FIRST)
