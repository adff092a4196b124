"""The sampled gate: worked slopes, the generic least squares, what opens it and what does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neupl.checkpoint import load, save
from neupl.sampled_gate import GateHistory, empty, improvement, is_open, record, restart

SEEDS = st.integers(0, 2**32 - 1)


def history_of(values, errors):
    """One after the other, as in a run; `values` is `[M, P, K]`."""
    history = empty(*values.shape)
    for value, error in zip(values, np.broadcast_to(errors, values.shape), strict=True):
        history = record(history, value, error)
    return history


def curve(*values):
    """The history of one strategy of one seat."""
    return np.array(values, np.float64)[:, None, None]


def test_improvement_by_hand():
    """Values 0, 1, 5 with errors 1, 2, 3: slope (5 - 0) / 2, improvement 5, error sqrt(1 + 9).

    The 95 % bound is 1.6449 errors lower.
    """
    estimate, lower = improvement(history_of(curve(0, 1, 5), curve(1, 2, 3)))
    assert estimate == 5
    np.testing.assert_allclose(lower, 5 - 1.6448536 * np.sqrt(10), atol=1e-6)


@given(seed=SEEDS, window=st.integers(2, 12))
def test_improvement_is_the_least_squares_line_from_end_to_end(seed, window):
    """Against `polyfit`; the error by perturbing each value by its own error."""
    rng = np.random.default_rng(seed)
    values, errors = rng.normal(size=(window, 2, 3)), rng.random((window, 2, 3))
    history = history_of(values, errors)
    estimate, lower = improvement(history, 0.9)

    def rise(series):
        return np.polyfit(np.arange(window), series, 1)[0] * (window - 1)

    for seat, k in np.ndindex(2, 3):
        series = values[:, seat, k]
        np.testing.assert_allclose(estimate[seat, k], rise(series), atol=1e-9)
        shifts = [rise(series + shift) - rise(series) for shift in np.diag(errors[:, seat, k])]
        expected = rise(series) - 1.2815516 * np.linalg.norm(shifts)
        np.testing.assert_allclose(lower[seat, k], expected, atol=1e-7)


@given(seed=SEEDS, slope=st.floats(-3, 3))
def test_a_steady_improvement_is_found_whatever_the_errors(seed, slope):
    errors = np.random.default_rng(seed).random((6, 1, 1))
    estimate, _ = improvement(history_of(curve(*(2 + slope * np.arange(6))), errors))
    np.testing.assert_allclose(estimate, 5 * slope, atol=1e-12)


@given(seed=SEEDS, factor=st.floats(1e-3, 1e3), shift=st.floats(-10, 10))
def test_improvement_has_the_unit_of_payoffs_and_no_origin(seed, factor, shift):
    rng = np.random.default_rng(seed)
    values, errors = rng.normal(size=(5, 2, 3)), rng.random((5, 2, 3))
    plain = improvement(history_of(values, errors))
    scaled = improvement(history_of(factor * (values + shift), factor * errors))
    for ours, theirs in zip(scaled, plain, strict=True):
        np.testing.assert_allclose(ours, factor * theirs, atol=1e-12 * factor)


def test_line_is_better_than_the_difference_of_halves():
    """On noise alone, eight evaluations: variances 7/6 and, scaled to the same span, 49/32.

    Both sample variances of 20 000 have a relative error of 1 %.
    """
    values = np.random.default_rng(1).normal(size=(8, 1, 20_000))
    estimate, _ = improvement(history_of(values, 1.0))
    halves = (values[4:].mean(axis=0) - values[:4].mean(axis=0)) * 7 / 4
    np.testing.assert_allclose(estimate.var(), 7 / 6, rtol=0.05)
    np.testing.assert_allclose(halves.var(), 49 / 32, rtol=0.05)


def test_lower_bound_holds_as_often_as_it_says():
    """20 000 curves that rise by 0.35 in all: the bound is above it in 5 % +- 0.77 % (five
    deviations, errors of unequal size).
    """
    rng = np.random.default_rng(2)
    errors = rng.uniform(0.5, 2.0, (8, 1, 20_000))
    values = 0.05 * np.arange(8)[:, None, None] + errors * rng.normal(size=errors.shape)
    _, lower = improvement(history_of(values, errors))
    assert abs((lower > 0.35).mean() - 0.05) < 0.0077


def test_gate_is_shut_by_chance_equally_often_in_every_population():
    """Nobody improves: 2000 times 20 strategies of two seats keep it shut in 5 % (+- 2.5 %)."""
    rng = np.random.default_rng(3)
    shut = 0
    for _ in range(2000):
        history = GateHistory(rng.normal(size=(6, 2, 20)), np.ones((6, 2, 20)))
        shut += not is_open(history, np.ones(20), 0.0)
    assert abs(shut / 2000 - 0.05) < 0.025


def test_opens_at_the_threshold():
    """Without noise, a rise of 0.5 over the history: 0.5 opens the gate, 0.49 does not."""
    history = history_of(curve(0, 0.25, 0.5), 0.0)
    assert is_open(history, np.ones(1), 0.5)
    assert not is_open(history, np.ones(1), 0.49)


def test_noise_opens_the_gate_early():
    values = curve(0, 1, 2, 3)
    assert not is_open(history_of(values, 0.1), np.ones(1), 0.5)
    assert is_open(history_of(values, 2.0), np.ones(1), 0.5)


def test_a_falling_return_is_no_improvement():
    assert is_open(history_of(curve(5, 3, 0), 0.1), np.ones(1), 0.0)


def test_one_strategy_of_one_seat_keeps_it_shut():
    values = np.zeros((4, 2, 3))
    values[:, 1, 2] = np.arange(4)
    history = history_of(values, 0.1)
    assert not is_open(history, np.array([0.0, 1.0, 1.0]), 0.5)
    assert is_open(history, np.array([0.0, 1.0, 0.0]), 0.5)


def test_all_must_have_a_full_history_since_they_started():
    history = empty(3, 2, 2)
    level, error = np.zeros((2, 2)), np.full((2, 2), 0.1)
    opened = []
    for evaluation in range(8):
        if evaluation == 4:
            history = restart(history, 1)
        history = record(history, level, error)
        opened.append((is_open(history, np.ones(2), 0.1), is_open(history, np.eye(2)[0], 0.1)))
    both, first = zip(*opened, strict=True)
    assert both == (False, False, True, True, False, False, True, True)
    assert first == (False, False, True, True, True, True, True, True)


def test_a_strategy_that_was_not_evaluated_keeps_it_shut_and_others_do_not_matter():
    values = np.zeros((3, 1, 2))
    values[1, 0, 1] = np.nan
    history = history_of(values, 0.1)
    assert not is_open(history, np.ones(2), 0.1)
    assert is_open(history, np.array([1.0, 0.0]), 0.1)
    assert is_open(history, np.zeros(2), 0.1)


def test_history_keeps_the_newest():
    history = history_of(curve(1, 2, 3), 0.1)
    history = record(history, np.full((1, 1), 4.0), np.full((1, 1), 0.4))
    np.testing.assert_array_equal(history.values, curve(2, 3, 4))
    np.testing.assert_array_equal(history.standard_errors, curve(0.1, 0.1, 0.4))


def test_survives_a_checkpoint_as_plain_arrays(tmp_path):
    history = record(empty(3, 2, 2), np.ones((2, 2)), np.full((2, 2), 0.1))
    save(tmp_path, step=1, arrays=history._asdict(), manifest={})
    restored = GateHistory(**load(tmp_path).arrays)
    for ours, theirs in zip(restored, history, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert np.isnan(restored.values[:2]).all()


def test_a_history_too_short_to_improve_is_refused():
    with pytest.raises(ValueError, match="window must be >= 2"):
        empty(1, 2, 3)
