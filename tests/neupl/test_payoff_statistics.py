"""Payoff statistics: worked estimates, loops over episodes, what decays and what is shared, and
whether the intervals hold.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from neupl.checkpoint import load, save
from neupl.payoff_statistics import (
    PayoffStatistics,
    add,
    antisymmetric,
    decay,
    empty,
    forget,
    means,
    pool_permutations,
    standard_deviations,
    standard_errors,
)

SEEDS = st.integers(0, 2**32 - 1)


def random_episodes(seed, num_strategies=3, num_players=2, num_episodes=200):
    rng = np.random.default_rng(seed)
    profiles = rng.integers(num_strategies, size=(num_episodes, num_players)).astype(np.int32)
    return profiles, rng.normal(1.0, 2.0, (num_episodes, num_players)).astype(np.float32)


def statistics_of(profiles, returns, num_strategies=3):
    return add(empty(num_strategies, profiles.shape[1]), profiles, returns)


def test_one_profile_by_hand():
    """Returns 1, 1 and 4 to seat 0; prior 0, range 10: imagined episodes at -5 and 5.

    Sum 6 of 5, mean 1.2; squares 18 + 50 = 68, variance 68 / 5 - 1.44 = 12.16; error
    sqrt(12.16 / 5). A profile without episodes has mean 0, deviation 5 and error 5 / sqrt(2).
    """
    profiles = np.array([[0, 1], [0, 1], [0, 1]], np.int32)
    returns = np.array([[1, -1], [1, -1], [4, -4]], np.float32)
    statistics = statistics_of(profiles, returns, num_strategies=2)
    np.testing.assert_array_equal(statistics.count, [[0, 3], [0, 0]])
    np.testing.assert_allclose(means(statistics, 0.0)[0, 1], [1.2, -1.2])
    np.testing.assert_allclose(standard_deviations(statistics, 0.0, 10.0)[0, 1, 0] ** 2, 12.16)
    np.testing.assert_allclose(standard_errors(statistics, 0.0, 10.0)[0, 1, 0] ** 2, 12.16 / 5)
    assert means(statistics, 0.0)[1, 1, 0] == 0
    assert standard_deviations(statistics, 0.0, 10.0)[1, 1, 0] == 5
    np.testing.assert_allclose(standard_errors(statistics, 0.0, 10.0)[1, 1, 0], 5 / np.sqrt(2))


@pytest.mark.parametrize("successes", [0, 1, 7, 20])
def test_wins_and_losses_give_the_interval_of_agresti_and_caffo(successes):
    """`p = (x + 1) / (n + 2)`, error `sqrt(p (1 - p) / (n + 2))`, as published."""
    returns = (np.arange(20) < successes).astype(np.float32)[:, None].repeat(2, axis=1)
    statistics = statistics_of(np.zeros((20, 2), np.int32), returns, num_strategies=1)
    share = (successes + 1) / 22
    np.testing.assert_allclose(means(statistics, 0.5)[0, 0], share)
    expected = np.sqrt(share * (1 - share) / 22)
    np.testing.assert_allclose(standard_errors(statistics, 0.5, 1.0)[0, 0], expected)


@pytest.mark.parametrize("num_players", [2, 3])
def test_estimates_are_those_of_the_sample_with_two_imagined_episodes(num_players):
    """A list of returns per profile, with NumPy's mean and deviation, in several batches."""
    profiles, returns = random_episodes(3, num_players=num_players)
    prior = np.random.default_rng(4).normal(size=(3,) * num_players + (num_players,))
    statistics = empty(3, num_players)
    for batch in (slice(70), slice(70, 71), slice(71, None)):
        statistics = add(statistics, profiles[batch], returns[batch])
    for profile in itertools.product(range(3), repeat=num_players):
        played = returns[(profiles == profile).all(axis=1)].astype(np.float64)
        assert statistics.count[profile] == len(played)
        for seat in range(num_players):
            centre = prior[profile][seat]
            sample = np.array([*played[:, seat], centre - 4.0, centre + 4.0])
            found = (
                means(statistics, prior)[profile][seat],
                standard_deviations(statistics, prior, 8.0)[profile][seat],
                standard_errors(statistics, prior, 8.0)[profile][seat],
            )
            error = sample.std() / np.sqrt(len(sample))
            np.testing.assert_allclose(found, (sample.mean(), sample.std(), error))


@pytest.mark.parametrize("num_episodes", [0, 1, 2, 10, 1000])
@pytest.mark.parametrize("payoff", [-5.0, 0.0, 3.0, 5.0])
def test_errors_cover_the_pull_of_the_prior_on_a_payoff_without_noise(payoff, num_episodes):
    profiles = np.zeros((num_episodes, 2), np.int32)
    statistics = statistics_of(profiles, np.full((num_episodes, 2), payoff, np.float32), 1)
    distance = np.abs(means(statistics, 0.0) - payoff) / standard_errors(statistics, 0.0, 10.0)
    assert distance.max() <= np.sqrt((num_episodes + 2) / (num_episodes + 1)) * (1 + 1e-12)


@given(seed=SEEDS, factor=st.floats(1e-3, 1e3))
def test_payoffs_in_another_unit_are_estimates_in_that_unit(seed, factor):
    profiles, returns = random_episodes(seed)
    wide = returns.astype(np.float64)
    statistics = statistics_of(profiles, wide)
    scaled = statistics_of(profiles, factor * wide)
    np.testing.assert_allclose(means(scaled, factor * 0.5), factor * means(statistics, 0.5))
    np.testing.assert_allclose(
        standard_errors(scaled, factor * 0.5, factor * 9.0),
        factor * standard_errors(statistics, 0.5, 9.0),
    )


@given(seed=SEEDS, order=st.permutations(range(4)))
def test_renumbering_the_strategies_renumbers_the_estimates(seed, order):
    profiles, returns = random_episodes(seed, num_strategies=4)
    statistics = statistics_of(profiles, returns, 4)
    renumbered = statistics_of(np.argsort(order)[profiles], returns, 4)
    np.testing.assert_array_equal(
        means(renumbered, 0.5), means(statistics, 0.5)[np.ix_(order, order)]
    )


@given(seed=SEEDS)
def test_keeping_everything_changes_nothing(seed):
    statistics = statistics_of(*random_episodes(seed))
    for kept, before in zip(decay(statistics, np.ones(3)), statistics, strict=True):
        np.testing.assert_array_equal(kept, before)


def test_decay_is_the_product_over_seats():
    statistics = statistics_of(*random_episodes(5, num_players=3, num_episodes=900))
    keep = np.array([[1.0, 0.5, 0.0], [0.25, 1.0, 1.0], [1.0, 1.0, 0.8]])
    after = decay(statistics, keep)
    for profile in itertools.product(range(3), repeat=3):
        share = np.prod([keep[seat, k] for seat, k in enumerate(profile)])
        for kept, before in zip(after, statistics, strict=True):
            np.testing.assert_allclose(kept[profile], share * before[profile])
    for same, per_seat in zip(
        decay(statistics, keep[0]), decay(statistics, np.tile(keep[0], (3, 1))), strict=True
    ):
        np.testing.assert_array_equal(same, per_seat)


def test_what_has_decayed_away_is_the_prior_again():
    statistics = statistics_of(*random_episodes(6))
    for _ in range(60):
        statistics = decay(statistics, np.full(3, 0.5))
    np.testing.assert_allclose(means(statistics, 0.7), 0.7)
    np.testing.assert_allclose(standard_errors(statistics, 0.7, 8.0), 4.0 / np.sqrt(2))


def test_a_new_strategy_starts_over_in_every_seat():
    statistics = statistics_of(*random_episodes(7, num_players=3, num_episodes=900))
    after = forget(statistics, 1)
    for profile in itertools.product(range(3), repeat=3):
        for kept, before in zip(after, statistics, strict=True):
            expected = np.zeros_like(before[profile]) if 1 in profile else before[profile]
            np.testing.assert_array_equal(kept[profile], expected)
    assert statistics.count.sum() == 900


@pytest.mark.parametrize("num_players", [2, 3])
def test_pooling_is_a_list_of_returns_per_strategy_and_rivals(num_players):
    """One estimate per own strategy and multiset of the others', from whatever seat; seats that
    play the same strategy count with their average.
    """
    profiles, returns = random_episodes(8, num_players=num_players, num_episodes=400)
    pooled = pool_permutations(statistics_of(profiles, returns))
    for profile in itertools.product(range(3), repeat=num_players):
        played = [
            (met, earned)
            for met, earned in zip(profiles, returns.astype(np.float64), strict=True)
            if sorted(met) == sorted(profile)
        ]
        assert pooled.count[profile] == len(played)
        for seat in range(num_players):
            own = [earned[met == profile[seat]] for met, earned in played]
            total = sum(part.mean() for part in own)
            square = sum((part**2).mean() for part in own)
            np.testing.assert_allclose(pooled.total[profile][seat], total)
            np.testing.assert_allclose(pooled.square[profile][seat], square)


def test_pooled_zero_sum_payoffs_are_antisymmetric_to_the_bit():
    profiles, returns = random_episodes(9, num_episodes=2000)
    returns[:, 1] = -returns[:, 0]
    payoffs = antisymmetric(means(pool_permutations(statistics_of(profiles, returns)), 0.0))
    np.testing.assert_array_equal(payoffs[..., 1], -payoffs[..., 0])
    np.testing.assert_array_equal(payoffs[..., 0], -payoffs[..., 0].T)
    assert np.abs(payoffs).max() > 0


def test_antisymmetric_takes_half_the_difference():
    payoffs = np.array([[[1.0, -3.0], [0.1, -0.1]]])
    np.testing.assert_array_equal(antisymmetric(payoffs), [[[2.0, -2.0], [0.1, -0.1]]])


def returns_of_cells(rng, payoffs, num_episodes):
    """Two-point returns of -1 or 1 with given means `[C]`, `num_episodes` each, as one game."""
    num_cells = len(payoffs)
    profiles = np.repeat(np.arange(num_cells), num_episodes)[:, None].astype(np.int32)
    won = rng.random(len(profiles)) < (1 + payoffs[profiles[:, 0]]) / 2
    return profiles, np.where(won, 1.0, -1.0)[:, None]


@pytest.mark.parametrize("num_episodes", [1, 4, 16, 64, 1000])
def test_intervals_cover_what_they_promise(num_episodes):
    """4000 payoffs uniform in the range, returns of -1 and 1: 95 % intervals hold 93 % to 99 %.

    A share of 4000 has a standard error of 0.34 %; if it was 95 % it would leave these bounds with
    probability below 1e-8. Intervals of few episodes may be wider than they need be.
    """
    rng = np.random.default_rng(num_episodes)
    payoffs = rng.uniform(-1, 1, 4000)
    statistics = add(empty(4000, 1), *returns_of_cells(rng, payoffs, num_episodes))
    distance = np.abs(means(statistics, 0.0)[:, 0] - payoffs)
    covered = (distance <= 1.96 * standard_errors(statistics, 0.0, 2.0)[:, 0]).mean()
    assert 0.93 <= covered <= 0.99


def test_intervals_under_decay_are_at_most_the_root_of_two_too_wide():
    """Forty batches of 8 with keep 0.8 and policies that do not move: errors sqrt(1.8) too wide,
    so that 95 % intervals hold 99.1 %; of 4000, between 98.3 % and 99.8 % (five deviations).
    """
    rng = np.random.default_rng(12)
    payoffs = rng.uniform(-0.5, 0.5, 4000)
    statistics = empty(4000, 1)
    for _ in range(40):
        statistics = decay(statistics, np.full(4000, 0.8))
        statistics = add(statistics, *returns_of_cells(rng, payoffs, 8))
    np.testing.assert_allclose(statistics.count, 40.0, rtol=1e-3)
    distance = np.abs(means(statistics, 0.0)[:, 0] - payoffs)
    covered = (distance <= 1.96 * standard_errors(statistics, 0.0, 2.0)[:, 0]).mean()
    expected = 2 * ndtr(1.96 * np.sqrt(1.8)) - 1
    assert abs(covered - expected) < 5 * np.sqrt(expected * (1 - expected) / 4000)


def test_survives_a_checkpoint_as_plain_arrays(tmp_path):
    statistics = decay(statistics_of(*random_episodes(11)), np.array([1.0, 0.3, 0.9]))
    save(tmp_path, step=1, arrays=statistics._asdict(), manifest={})
    restored = PayoffStatistics(**load(tmp_path).arrays)
    np.testing.assert_array_equal(
        standard_errors(restored, 0, 8), standard_errors(statistics, 0, 8)
    )


@pytest.mark.parametrize("strategy", [-1, 3])
def test_profiles_outside_the_population_are_refused(strategy):
    profiles = np.array([[0, 1], [strategy, 2]], np.int32)
    with pytest.raises(ValueError, match="allowed are 0 to 2"):
        add(empty(3, 2), profiles, np.zeros((2, 2)))


def test_returns_that_are_not_finite_are_refused():
    with pytest.raises(FloatingPointError, match="NaN"):
        add(empty(3, 2), np.zeros((1, 2), np.int32), np.array([[0.0, np.nan]]))


@pytest.mark.parametrize("share", [-0.1, 1.1, np.nan])
def test_shares_that_are_none_are_refused(share):
    with pytest.raises(ValueError, match="from 0 to 1"):
        decay(empty(3, 2), np.array([1.0, share, 1.0]))
