"""Statistics over seeds: worked numbers, and a bootstrap whose distribution can be listed."""

import itertools

import numpy as np
import pytest

from evaluation.seed_statistics import interquartile_mean, seed_statistics


def test_a_quarter_is_cut_from_either_end_rounded_down():
    """Of eight runs two are cut on each side; of seven one, as rliable does."""
    assert interquartile_mean(np.array([100.0, 1, 2, 3, 4, 5, 6, 50])) == (3 + 4 + 5 + 6) / 4
    assert interquartile_mean(np.array([100.0, 1, 2, 3, 4, 5, -9])) == (1 + 2 + 3 + 4 + 5) / 5
    assert interquartile_mean(np.array([7.0, 1, 2])) == pytest.approx(10 / 3)


def test_figures_of_five_runs():
    found = seed_statistics([5.0, 1.0, 2.0, 30.0, 3.0])
    assert (found.count, found.median, found.best, found.worst) == (5, 3.0, 1.0, 30.0)
    assert found.iqm == pytest.approx((2 + 3 + 5) / 3)
    low, high = found.iqm_interval
    assert 1 <= low < found.iqm < high <= 30
    assert found == seed_statistics([5.0, 1.0, 2.0, 30.0, 3.0])


def test_intervals_are_percentiles_of_all_resamples():
    """All 4^4 resamples of four runs have equal chances; 40,000 draws find their percentiles. The
    statistics are continuous mixtures of few values, so neighbours of a percentile are allowed.
    """
    runs = np.array([1.0, 2.0, 4.0, 8.0])
    resamples = np.array(list(itertools.product(runs, repeat=4)))
    found = seed_statistics(runs.tolist(), draws=40_000)
    for interval, statistic in (
        (found.median_interval, np.median(resamples, axis=1)),
        (found.iqm_interval, interquartile_mean(resamples)),
    ):
        # The share of resamples below an end is 2.5 % up to five standard errors of the draws.
        reach = 5 * np.sqrt(0.025 * 0.975 / 40_000)
        low, high = interval
        assert np.mean(statistic < low) <= 0.025 + reach <= np.mean(statistic <= low) + 2 * reach
        assert np.mean(statistic > high) <= 0.025 + reach <= np.mean(statistic >= high) + 2 * reach


def test_one_run_has_no_interval():
    found = seed_statistics([2.5])
    assert (found.median, found.iqm, found.best, found.worst) == (2.5,) * 4
    assert found.median_interval is None and found.iqm_interval is None


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_impossible_values_are_refused(values):
    with pytest.raises(ValueError, match="at least one, all finite"):
        seed_statistics(values)
