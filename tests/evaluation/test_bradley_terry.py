"""Bradley-Terry, Davidson and Elo: worked numbers, SciPy's optimiser, golden values of evalica."""

import numpy as np
import pytest
import scipy.optimize

from evaluation.bradley_terry import (
    ELO_SCALE,
    elo_points,
    fit_bradley_terry,
    fit_davidson,
    refit,
)
from evaluation.elo import elo_ratings
from evaluation.ratings import RatingOptions, rate
from evaluation.readers import read_evaluation
from evaluation.types import DataError

from .conftest import battles_of


def test_two_models_have_the_odds_of_their_wins():
    """Three wins to one: log 3 apart, 400 log10 3 = 190.85 Elo points."""
    fit = fit_bradley_terry(np.array([[0.0, 3.0], [1.0, 0.0]]))
    assert fit.strengths == pytest.approx([np.log(3) / 2, -np.log(3) / 2], abs=1e-12)
    points = elo_points(fit.strengths)
    assert points[0] - points[1] == pytest.approx(400 * np.log10(3), abs=1e-9)


def test_davidson_of_two_models_in_closed_form():
    """6 wins, 3 losses, 4 ties: s_1 / s_2 = 2, and nu = 4 / sqrt(6 * 3)."""
    wins, ties = np.array([[0.0, 6.0], [3.0, 0.0]]), np.array([[0.0, 4.0], [4.0, 0.0]])
    fit = fit_davidson(wins, ties)
    assert fit.strengths[0] - fit.strengths[1] == pytest.approx(np.log(2), abs=1e-9)
    assert fit.tie == pytest.approx(4 / np.sqrt(18), abs=1e-9)


@pytest.fixture
def table() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    wins, ties = rng.integers(1, 9, size=(6, 6)), rng.integers(5, size=(6, 6))
    np.fill_diagonal(wins, 0)
    np.fill_diagonal(ties, 0)
    return wins.astype(float), (ties + ties.T).astype(float)


def test_fits_maximise_the_likelihood_of_the_definition(table):
    """SciPy minimises minus the likelihood, written as a loop over pairs."""
    wins, ties = table

    def loss(point, *, tie_model):
        strengths, nu = np.exp(point[:6]), np.exp(point[6])
        total = 1e-9 * np.sum(point[:6]) ** 2
        for i in range(6):
            for j in range(i):
                a, b, t = strengths[i], strengths[j], nu * np.sqrt(strengths[i] * strengths[j])
                if not tie_model:
                    total -= (wins[i, j] + ties[i, j] / 2) * np.log(a / (a + b))
                    total -= (wins[j, i] + ties[i, j] / 2) * np.log(b / (a + b))
                else:
                    for count, weight in ((wins[i, j], a), (wins[j, i], b), (ties[i, j], t)):
                        total -= count * np.log(weight / (a + b + t))
        return total

    for tie_model in (False, True):
        found = scipy.optimize.minimize(
            lambda x, tie_model=tie_model: loss(x, tie_model=tie_model), np.zeros(7), tol=1e-12
        ).x
        fit = fit_davidson(wins, ties) if tie_model else fit_bradley_terry(wins + ties / 2)
        assert fit.strengths == pytest.approx(found[:6] - found[:6].mean(), abs=1e-5)
        assert not tie_model or fit.tie == pytest.approx(np.exp(found[6]), abs=1e-5)


def test_refits_are_fits_and_nan_where_there_is_none(table):
    wins, _ = table
    other = wins + np.triu(np.ones((6, 6)), 1)
    unbeaten = wins.copy()
    unbeaten[:, 0] = 0
    fits = refit(np.stack([wins, other, unbeaten]), fit_bradley_terry(wins).strengths)
    assert fits[0] == pytest.approx(fit_bradley_terry(wins).strengths, abs=1e-9)
    assert fits[1] == pytest.approx(fit_bradley_terry(other).strengths, abs=1e-7)
    assert np.isnan(fits[2]).all()


def test_who_never_lost_has_no_finite_rating_and_is_named():
    battles = battles_of([("a", "b", 1.0), ("b", "c", 1.0), ("c", "b", 1.0)])
    with pytest.raises(DataError, match="'a' never lost to"):
        rate(battles, "bradley_terry")
    apart = battles_of([("a", "b", 0.5), ("c", "d", 0.5)])
    with pytest.raises(DataError, match="never met"):
        rate(apart, "bradley_terry")


def test_elo_by_hand():
    """Equal ratings: a win is worth K / 2 = 2 points; then 1002 beats 998 for a little less."""
    ratings = elo_ratings(battles_of([("a", "b", 1.0), ("a", "b", 1.0)]))
    gain = 4 * (1 - 1 / (1 + 10 ** (-4 / 400)))
    assert ratings == pytest.approx([1002 + gain, 998 - gain], abs=1e-12)


def test_bradley_terry_of_arena_hard(arena_hard, anchors):
    known = anchors["arena_hard_gpt4o_2024-08-06"]
    result = rate(arena_hard, "bradley_terry", RatingOptions(missing="tie"))
    ratings = dict(zip(result.models, result.ratings, strict=True))
    assert [ratings[name] for name in known["models"]] == pytest.approx(
        known["bt_elo_scale_mean1000"], abs=6e-4
    )


# Elo (K = 4, start 1000) and Bradley-Terry (log-strengths at 400 / ln 10 points, mean 1000) of the
# human votes of llmfao by evalica 0.4.2, with its tolerance set to 1e-14.
EVALICA = {
    "GPT 4": (1095.5935481722963, 1172.1325564024403),
    "Claude v2": (1042.110471785795, 1070.2302640052078),
    "command": (1094.5450516632357, 1110.1690320673895),
    "Luminous Extended": (862.0700432264198, 888.8951116749628),
    "Dolly v2 (12B)": (848.2319470303108, 910.8815807968539),
}


def test_elo_and_bradley_terry_are_evalicas_on_human_votes(shared_data):
    path = shared_data / "llmfao" / "pairwise.csv.gz"
    battles = read_evaluation(path, where={"judge": "crowd"})
    # Log-strengths within 1e-9 nats.
    for method, place, most in (("elo", 0, 1e-9), ("bradley_terry", 1, 1e-9 * ELO_SCALE)):
        result = rate(battles, method)
        ratings = dict(zip(result.models, result.ratings, strict=True))
        assert [ratings[name] for name in EVALICA] == pytest.approx(
            [known[place] for known in EVALICA.values()], rel=0, abs=most
        )
