"""Who meets whom: shares of lanes to the last one, co-players from the row, seats in place."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neupl.matches import draw_matches, seat_order


def random_rows(rng, num_players, num_strategies):
    """Rows of which some entries and one whole row are zero."""
    shape = (num_players, num_strategies, num_strategies ** (num_players - 1))
    joint = rng.gamma(0.5, size=shape) * (rng.random(shape) < 0.8)
    joint[..., 0] += 1e-3
    joint /= joint.sum(axis=-1, keepdims=True)
    joint[0, 1] = 0.0
    return joint.astype(np.float32)


def expected_lanes(joint, weight, lanes):
    """Every profile of every focal seat by a loop: `{(seat, profile): lanes}`."""
    num_players, num_strategies, _ = joint.shape
    share = {}
    for seat in range(num_players):
        others = [q for q in range(num_players) if q != seat]
        for own in range(num_strategies):
            met = itertools.product(range(num_strategies), repeat=num_players - 1)
            for entry, strategies in enumerate(met):
                profile = [0] * num_players
                profile[seat] = own
                for q, strategy in zip(others, strategies, strict=True):
                    profile[q] = strategy
                probability = float(weight[seat, own]) * float(joint[seat, own, entry])
                share[seat, tuple(profile)] = probability
    total = sum(share.values())
    return {case: lanes * part / total for case, part in share.items()}


def counted(matches):
    cases = zip(matches.seat.tolist(), map(tuple, matches.profile.tolist()), strict=True)
    found = {}
    for case in cases:
        found[case] = found.get(case, 0) + 1
    return found


@pytest.mark.parametrize(("num_players", "num_strategies"), [(2, 2), (2, 5), (3, 3), (4, 2)])
def test_every_profile_gets_its_share_to_the_last_lane(num_players, num_strategies):
    """Also every focal strategy and every seat: their cells lie side by side."""
    rng = np.random.default_rng(num_players * 10 + num_strategies)
    joint = random_rows(rng, num_players, num_strategies)
    weight = rng.random((num_players, num_strategies))
    weight[-1, -1] = 0.0
    lanes = 997
    matches = draw_matches(rng, joint, weight, lanes=lanes)
    expected, found = expected_lanes(joint, weight, lanes), counted(matches)
    assert sum(found.values()) == lanes
    for case, number in expected.items():
        assert abs(found.get(case, 0) - number) < 1 + 1e-6
        assert number > 0 or case not in found
    focal_expected, focal_found = np.zeros_like(weight), np.zeros_like(weight)
    for (seat, profile), number in expected.items():
        focal_expected[seat, profile[seat]] += number
        focal_found[seat, profile[seat]] += found.get((seat, profile), 0)
    assert (np.abs(focal_found - focal_expected) < 1 + 1e-6).all()
    assert (np.abs((focal_found - focal_expected).sum(axis=1)) < 1 + 1e-6).all()
    assert focal_found[-1, -1] == focal_found[0, 1] == 0


def test_three_seats_by_hand():
    """Seat 1 plays strategy 2, the others are strategies 0 (seat 0) and 1 (seat 2)."""
    joint = np.zeros((3, 3, 9), np.float32)
    joint[1, 2, 0 * 3 + 1] = 1.0
    weight = np.zeros((3, 3))
    weight[1, 2] = 0.1
    matches = draw_matches(np.random.default_rng(0), joint, weight, lanes=4)
    np.testing.assert_array_equal(matches.seat, [1] * 4)
    np.testing.assert_array_equal(matches.profile, [[0, 2, 1]] * 4)
    assert matches.seat.dtype == matches.profile.dtype == np.int32


def test_single_lanes_follow_the_shares():
    """Rounding is by chance: one lane at a time, counts are multinomial. The chi-square statistic
    with 5 degrees of freedom exceeds 36.1 with probability below 1e-6.
    """
    joint = np.array([[[0, 0, 0], [1, 0, 0]], [[0, 0, 0], [1, 0, 0]]], np.float32)[..., :2]
    joint[:, 1] = [0.3, 0.7]
    joint[1, 0] = [0.6, 0.4]
    weight, number = np.array([[1.0, 2.0], [1.0, 1.0]]), 6000
    rng = np.random.default_rng(1)
    found = {}
    for _ in range(number):
        ((case, _),) = counted(draw_matches(rng, joint, weight, lanes=1)).items()
        found[case] = found.get(case, 0) + 1
    expected = {c: n for c, n in expected_lanes(joint, weight, number).items() if n > 0}
    assert len(expected) == 6 and found.keys() <= expected.keys()
    assert sum((found.get(c, 0) - n) ** 2 / n for c, n in expected.items()) < 36.1


def test_lanes_are_in_random_order():
    """Lanes 0 to 499 hold about half of each seat: sorted lanes would hold one seat alone. The
    count is hypergeometric with standard deviation 7.9; 5 of them have probability below 1e-6.
    """
    joint = np.full((2, 2, 2), 0.5, np.float32)
    matches = draw_matches(np.random.default_rng(2), joint, np.ones((2, 2)), lanes=1000)
    assert (matches.seat == 0).sum() == 500
    assert abs(int((matches.seat[:500] == 0).sum()) - 250) < 40


def test_the_generator_fixes_the_lanes_and_is_used_up():
    joint = random_rows(np.random.default_rng(3), 2, 3)
    rng, again = np.random.default_rng(4), np.random.default_rng(4)
    first, other = (draw_matches(rng, joint, np.ones((2, 3)), lanes=64) for _ in range(2))
    repeated = draw_matches(again, joint, np.ones((2, 3)), lanes=64)
    np.testing.assert_array_equal(first.profile, repeated.profile)
    np.testing.assert_array_equal(first.seat, repeated.seat)
    assert (first.profile != other.profile).any()


def test_nobody_to_meet_is_an_error():
    joint = np.zeros((2, 2, 2), np.float32)
    joint[0, 1] = 0.5
    for rows, weight in [(0 * joint, np.ones((2, 2))), (joint, np.eye(2)[::-1] * [[0, 0], [1, 1]])]:
        with pytest.raises(ValueError, match="no strategy with somebody to meet has any weight"):
            draw_matches(np.random.default_rng(0), rows, weight, lanes=8)


@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-30, 1e-3, 1.0, 1e30]),
    lanes=st.integers(1, 300),
)
def test_only_what_has_a_share_is_drawn(seed, scale, lanes):
    """Whatever the size of the weights, and although the last cells have none."""
    rng = np.random.default_rng(seed)
    joint = random_rows(rng, 2, 4)
    joint[1, 2:] = 0.0
    weight = scale * rng.gamma(0.2, size=(2, 4)) * (rng.random((2, 4)) < 0.6)
    weight[0, 2] += scale
    matches = draw_matches(rng, joint, weight, lanes=lanes)
    lane = np.arange(lanes)
    own = matches.profile[lane, matches.seat]
    met = matches.profile[lane, 1 - matches.seat]
    assert (weight[matches.seat, own] > 0).all()
    assert (joint[matches.seat, own, met] > 0).all()


def test_seat_order_by_hand():
    np.testing.assert_array_equal(seat_order(3), [[0, 1, 2], [1, 0, 2], [2, 0, 1]])
