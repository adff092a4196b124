"""Calibration of estimated payoffs: worked numbers, the definition level by level, simulations."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neupl.payoff_calibration import PayoffEstimates, calibration, estimated_apart

SEEDS = st.integers(0, 2**32 - 1)


def test_by_hand():
    """Errors 3 and 4 make 5: differences 2.5, -5 and 20 are 0.5, 1 and 4 of them.

    They are inside the intervals of level 0.3829, 0.6827 and 0.99994 and up. The shares 0 to 1/3
    belong to the first, at a mean distance of 0.3829 - 1/6 = 0.2162; those to 2/3 to the second, at
    0.6827 - 1/2 = 0.1827; the last are at 1/6. The mean of the three is 0.1885.
    """
    predicted = np.array([2.5, -5.0, 20.0])
    found = calibration(predicted, np.full(3, 3.0), np.zeros(3), np.full(3, 4.0))
    assert found.num == 3
    np.testing.assert_allclose(found.bias, 17.5 / 3)
    np.testing.assert_allclose(found.root_mean_square_error, np.sqrt((6.25 + 25 + 400) / 3))
    assert found.expected_error == 5
    np.testing.assert_allclose((found.within_one, found.within_two), (1 / 3, 2 / 3))
    np.testing.assert_allclose(found.coverage_error, 0.1885, atol=1e-4)


@given(seed=SEEDS, num=st.integers(1, 30))
def test_coverage_error_is_the_mean_over_levels(seed, num):
    """Every level in turn: its interval around the prediction, the share of observations inside."""
    rng = np.random.default_rng(seed)
    predicted, observed = rng.normal(size=(2, num))
    error, observed_error = rng.random((2, num)) + 0.1
    gaps = []
    levels = (np.arange(2000) + 0.5) / 2000
    for level in levels:
        width = NormalDist().inv_cdf((1 + level) / 2) * np.sqrt(error**2 + observed_error**2)
        gaps.append(abs((abs(predicted - observed) <= width).mean() - level))
    found = calibration(predicted, error, observed, observed_error)
    np.testing.assert_allclose(found.coverage_error, np.mean(gaps), atol=1e-3)


def test_estimates_with_honest_errors_are_calibrated():
    """20 000 estimates: shares within five deviations, coverage error below 0.02 (by chance 0.002;
    Kolmogorov's bound on that much is 1e-6).
    """
    rng = np.random.default_rng(0)
    truth, errors = rng.normal(size=20_000), rng.uniform(0.1, 2.0, (2, 20_000))
    predicted, observed = truth + errors * rng.normal(size=(2, 20_000))
    found = calibration(predicted, errors[0], observed, errors[1])
    assert abs(found.within_one - 0.6827) < 0.0165
    assert abs(found.within_two - 0.9545) < 0.0074
    assert found.coverage_error < 0.02
    np.testing.assert_allclose(found.root_mean_square_error, found.expected_error, rtol=0.05)
    assert abs(found.bias) < 5 * found.expected_error / np.sqrt(20_000)


@pytest.mark.parametrize(("factor", "expected"), [(0.5, 0.2048), (2.0, 0.2048)])
def test_errors_off_by_a_factor_of_two_are_seen(factor, expected):
    """The area between the levels of `z` and of `2 z`; halves and doubles mirror each other.

    With `z` standard normal, `|erf(2 z / sqrt(2)) - erf(z / sqrt(2))|` averages
    `(2 / pi) (atan(2) - atan(1)) = 0.2048`; the sample's error is about 0.002.
    """
    observed = np.random.default_rng(1).normal(size=20_000)
    zeros = np.zeros(20_000)
    found = calibration(zeros, np.full(20_000, factor), observed, zeros)
    np.testing.assert_allclose(found.coverage_error, expected, atol=0.015)


def test_no_doubt_and_no_difference_is_perfect_agreement():
    exact = calibration(np.ones(4), np.zeros(4), np.ones(4), np.zeros(4))
    assert (exact.within_one, exact.root_mean_square_error, exact.coverage_error) == (1, 0, 0.5)
    wrong = calibration(np.ones(4), np.zeros(4), np.zeros(4), np.zeros(4))
    assert (wrong.within_two, wrong.bias, wrong.coverage_error) == (0, 1, 0.5)


@given(seed=SEEDS, factor=st.floats(1e-3, 1e3))
def test_only_the_figures_in_points_depend_on_the_unit(seed, factor):
    rng = np.random.default_rng(seed)
    given_values = rng.random((4, 20)) + 0.01
    plain, scaled = calibration(*given_values), calibration(*(factor * given_values))
    for name in ("bias", "root_mean_square_error", "expected_error"):
        expected = factor * getattr(plain, name)
        np.testing.assert_allclose(getattr(scaled, name), expected, atol=1e-12 * factor)
    for name in ("within_one", "within_two", "coverage_error"):
        np.testing.assert_allclose(getattr(scaled, name), getattr(plain, name), atol=1e-9)


@pytest.mark.parametrize(
    ("place", "value", "match"),
    [(0, np.nan, "finite"), (2, np.inf, "finite"), (1, -0.1, ">= 0"), (3, -0.1, ">= 0")],
)
def test_values_that_mean_nothing_are_refused(place, value, match):
    given_values = np.ones((4, 3))
    given_values[place, 1] = value
    with pytest.raises(ValueError, match=match):
        calibration(*given_values)


def test_nothing_to_compare_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        calibration(*np.ones((4, 0)))


def apart(num_players, num_admitted, **facts):
    facts = {"zero_sum": False, "symmetric": False} | facts
    return estimated_apart(num_players, 3, num_admitted, **facts)


def test_payoffs_that_are_estimates_of_their_own():
    """Three strategies, of which two are admitted, counted by hand."""
    assert apart(2, 2).sum() == 4 * 2
    assert not apart(2, 2)[2].any() and not apart(2, 2)[:, 2].any()
    zero_sum = apart(2, 3, zero_sum=True)
    assert zero_sum[..., 0].all() and not zero_sum[..., 1].any()
    assert apart(3, 2, zero_sum=True).sum(axis=(0, 1, 2)).tolist() == [8, 8, 0]
    # (0, 0), (0, 1) and (1, 1); where what one gets the other loses, (0, 1) alone.
    expected = np.zeros((3, 3), bool)
    expected[[0, 0, 1], [0, 1, 1]] = True
    np.testing.assert_array_equal(apart(2, 2, symmetric=True)[..., 1], expected)
    both = np.argwhere(apart(2, 2, symmetric=True, zero_sum=True))
    np.testing.assert_array_equal(both, [[0, 1, 0]])


def test_estimates_beside_better_ones_by_hand():
    """Of two payoffs, one is 3 points off and the other 4; measured ones are exact to the bit."""
    exact = np.array([1.0, 2.0])
    estimates = PayoffEstimates(
        payoffs=exact,
        errors=np.array([3.0, 3.0]),
        running=exact + np.array([3.0, -4.0]),
        running_errors=np.array([4.0, 4.0]),
        apart=np.array([True, True]),
        episodes=10,
    )
    fresh = estimates.against_fresh_episodes()
    assert fresh.num == 2 and fresh.bias == -0.5
    assert fresh.root_mean_square_error == pytest.approx(np.sqrt(12.5))
    assert fresh.expected_error == 5 and fresh.within_one == 1
    found = estimates.against_exact(exact)
    assert found["running"].expected_error == 4 and found["running"].within_one == 0.5
    assert found["measured"].root_mean_square_error == 0
    one = estimates._replace(apart=np.array([True, False])).against_fresh_episodes()
    assert one.num == 1 and one.bias == 3


def test_what_was_not_measured_is_not_compared():
    one = np.ones(1)
    estimates = PayoffEstimates(one, one, one, one, np.array([True]), episodes=0)
    assert estimates.against_fresh_episodes() is None
    assert set(estimates.against_exact(one)) == {"running"}
    nothing = estimates._replace(apart=np.array([False]), episodes=5)
    assert nothing.against_fresh_episodes() is None and nothing.against_exact(one) == {}
