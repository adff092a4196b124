"""Intervals: coverage on simulated battles, agreement of estimators, tied groups."""

import dataclasses

import numpy as np
import pytest

from evaluation.bradley_terry import ELO_SCALE
from evaluation.ratings import RatingOptions, rate
from evaluation.types import Battles, DataError, RatingResult
from evaluation.uncertainty import from_covariance, resample

from .conftest import scores_of

STRENGTHS = np.array([0.6, 0.2, 0.0, -0.8])


def simulated(rng: np.random.Generator, num_battles: int) -> Battles:
    """Battles of four models with known log-strengths, a fifth of them ties."""
    first = rng.integers(4, size=num_battles)
    second = (first + rng.integers(1, 4, size=num_battles)) % 4
    chance = 1 / (1 + np.exp(STRENGTHS[second] - STRENGTHS[first]))
    # A tie in place of a win or a loss alike leaves the mean outcome as it is only when it is as
    # often: shift the chance so that it is.
    won = rng.random(num_battles) < (chance - 0.1) / 0.8
    outcome = np.where(rng.random(num_battles) < 0.2, 0.5, won.astype(float))
    return Battles(
        ("a", "b", "c", "d"),
        ("all",),
        first.astype(np.int32),
        second.astype(np.int32),
        outcome,
        np.zeros(num_battles, np.int32),
    )


def test_sandwich_intervals_cover_the_truth_as_often_as_they_say():
    """400 evaluations of four ratings: 95 % of 1,600 intervals, with a false-alarm rate below 1e-6
    even if the four of an evaluation were one: five standard errors of 400 are 5.5 %.
    """
    rng = np.random.default_rng(0)
    truth = 1000 + ELO_SCALE * (STRENGTHS - STRENGTHS.mean())
    covered = []
    for _ in range(400):
        interval = from_covariance(rate(simulated(rng, 600), "bradley_terry"))
        covered.append((interval.low <= truth) & (truth <= interval.high))
    assert abs(np.mean(covered) - 0.95) < 0.055


def test_bootstrap_and_sandwich_agree():
    battles = simulated(np.random.default_rng(1), 4000)
    result = rate(battles, "bradley_terry")
    sandwich = from_covariance(result)
    bootstrap = resample(battles, result, num_draws=2000)
    assert bootstrap.high - bootstrap.low == pytest.approx(sandwich.high - sandwich.low, rel=0.12)
    assert bootstrap.draws.mean(axis=0) == pytest.approx(result.ratings, abs=1.0)
    assert bootstrap.tied_group.tolist() == sandwich.tied_group.tolist()


def test_bootstrap_draws_are_those_of_battles_written_out():
    """The same resampling done battle by battle, and refitted: spreads agree within a tenth."""
    rng = np.random.default_rng(2)
    battles = simulated(rng, 500)
    result = rate(battles, "davidson")
    slow = resample(battles, result, num_draws=300)
    half_wins = resample(battles, rate(battles, "bradley_terry"), num_draws=2000)
    # Davidson's scale is wider: compare what is free of it.
    ratios = slow.draws.std(axis=0) / half_wins.draws.std(axis=0)
    assert ratios / ratios.mean() == pytest.approx(np.ones(4), abs=0.2)


def test_scores_are_resampled_by_prompt_as_the_sandwich_takes_them():
    """The six duels that follow from the scores of one prompt are one observation."""
    rng = np.random.default_rng(3)
    table = scores_of(rng.integers(3, size=(60, 4)) / 2)
    result = rate(table, "bradley_terry")
    interval = resample(table, result, num_draws=1000)
    sandwich = from_covariance(result)
    assert interval.high - interval.low == pytest.approx(sandwich.high - sandwich.low, rel=0.15)
    assert "prompts, with replacement" in interval.how


def test_equilibrium_ratings_are_resampled_by_halves(small_scores):
    result = rate(small_scores, "cce")
    told = []
    interval = resample(small_scores, result, num_draws=12, progress_fn=told.append)
    assert "halves of the prompts" in interval.how
    assert told == list(range(1, 13))
    assert interval.draws.shape == (12, 5)
    assert np.all(interval.low <= interval.high) and interval.high.max() <= 1e-8
    again = resample(small_scores, result, num_draws=12)
    assert np.array_equal(again.draws, interval.draws)
    other = resample(small_scores, result, num_draws=12, seed=1)
    assert not np.array_equal(other.draws, interval.draws)


@pytest.mark.slow
def test_two_processes_rate_the_draws_of_one(small_scores):
    """The draws are made in order where they are asked for; only ratings are shared out."""
    from neupl.workers import Workers

    result = rate(small_scores, "cce")
    options = {"num_draws": 8, "seed": 5}
    here = resample(small_scores, result, **options)
    there = resample(small_scores, result, **options, make_map=Workers(number=2).map)
    assert np.array_equal(here.draws, there.draws) and here.how == there.how
    assert len(np.unique(here.draws[:, 0])) > 1


def test_outcomes_are_redrawn_within_pair_and_prompt():
    """A pair with one battle on a prompt keeps its outcome; one with two may change."""
    rows = [("p", 0, 1, 1.0), ("q", 0, 1, 1.0), ("q", 1, 0, 1.0)]
    battles = Battles(
        ("a", "b"),
        ("p", "q"),
        *(np.array([row[k] for row in rows], np.int32) for k in (1, 2)),
        np.array([row[3] for row in rows]),
        np.array([0, 1, 1], np.int32),
    )
    result = rate(battles, "win_rate")
    draws = resample(battles, result, num_draws=200, what="outcomes").draws[:, 0]
    assert set(np.round(draws, 6)) == {round(w / 3, 6) for w in (1, 2, 3)}


def test_groups_go_with_their_prompts(small_scores):
    groups = {name: name[-1] for name in small_scores.prompts}
    options = RatingOptions(groups=groups)
    interval = resample(small_scores, rate(small_scores, "cce", options), options, num_draws=4)
    assert np.isfinite(interval.draws).all()


def test_equilibria_are_not_bootstrapped_over_prompts(small_scores):
    with pytest.raises(DataError, match="cce ignores copies"):
        resample(small_scores, rate(small_scores, "cce"), num_draws=4, what="prompts")


def test_nothing_to_redraw_is_an_error(small_scores):
    result = rate(small_scores, "cce")
    with pytest.raises(DataError, match="nothing to redraw outcomes from"):
        resample(small_scores, result, num_draws=5, what="outcomes")
    with pytest.raises(DataError, match="scores are no battles"):
        resample(small_scores, rate(small_scores, "win_rate"), num_draws=5, what="battles")


def test_scores_with_deviations_are_redrawn(small_scores):
    noisy = dataclasses.replace(small_scores, errors=np.full(small_scores.scores.shape, 0.3))
    result = rate(noisy, "cce", RatingOptions(form="difference"))
    interval = resample(
        noisy, result, RatingOptions(form="difference"), num_draws=10, what="outcomes"
    )
    assert interval.draws.std(axis=0).max() > 0.01


def test_groups_follow_paired_differences():
    """Two ratings that vary together are apart though their intervals overlap; a third one that
    varies alone is not told apart from the second.
    """
    common = np.array([[25.0, 25.0, 0.0], [25.0, 25.0, 0.0], [0.0, 0.0, 25.0]])
    result = RatingResult(
        method="bradley_terry",
        models=("a", "b", "c"),
        ratings=np.array([1004.0, 1000.0, 996.0]),
        unit="Elo points",
        tolerance=0.0,
        status="",
        seconds=0.0,
        covariance=common + 0.01 * np.eye(3),
    )
    assert from_covariance(result).tied_group.tolist() == [0, 1, 1]
