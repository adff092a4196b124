"""Equilibrium ratings: worked games, reference values, and copies that move nothing."""

import dataclasses

import numpy as np
import pytest

from evaluation.equilibrium_ratings import CONCEPTS, rate_by_equilibrium
from evaluation.evaluation_game import EvaluationGame, evaluation_game
from evaluation.outcomes import scores_against_baseline
from evaluation.prior import class_prior
from evaluation.ratings import RatingOptions, rate
from evaluation.types import Scores
from games.normal_form import NormalForm
from solvers.types import SolverError

from .conftest import scores_of

# Concepts at which the best models lose nothing.
SELECTED = [concept for concept in CONCEPTS if concept != "deviation"]

CHICKEN = np.array([[0.0, -1.0], [1.0, -12.0]])


def symmetric_game(matrix: np.ndarray) -> EvaluationGame:
    """A two-player game in which both players face the same matrix."""
    payoffs = np.stack([matrix, matrix.T], axis=-1)
    return EvaluationGame(NormalForm(payoffs, name="matrix"), rated=0, prompts=1)


def with_copies(table: Scores, prompts: list[int], models: list[int]) -> Scores:
    """The evaluation with these prompts and models there once more."""
    scores = np.vstack([table.scores, table.scores[prompts]])
    scores = np.hstack([scores, scores[:, models]])
    return Scores(
        table.models + tuple(f"copy {k} of {table.models[m]}" for k, m in enumerate(models)),
        table.prompts + tuple(f"copy {k} of {table.prompts[q]}" for k, q in enumerate(prompts)),
        scores,
    )


@pytest.mark.parametrize("copies", [[0, 1], [0, 1, 1]])
@pytest.mark.parametrize("concept", ["cce", "ce"])
def test_chicken_rates_going_straight_the_same_however_often_it_is_there(concept, copies):
    """The correlated equilibrium of greatest entropy, computed by two other libraries: -3.375445;
    counting the copy of going straight as another strategy they find -4.1783.
    """
    result = rate_by_equilibrium(symmetric_game(CHICKEN[np.ix_(copies, copies)]), concept)
    assert result.ratings[0] == pytest.approx(0, abs=1e-7)
    assert result.ratings[1:] == pytest.approx(-3.375445, abs=1e-6)


def test_nash_of_chicken_is_mixed():
    """Swerving with probability 11/12 makes both choices equal: ratings 0."""
    result = rate_by_equilibrium(symmetric_game(CHICKEN), "nash")
    assert result.attribution.model_masses == pytest.approx([11 / 12, 1 / 12], abs=1e-9)
    assert result.ratings == pytest.approx([0, 0], abs=1e-9)


def test_chicken_by_deviation_ratings():
    """Always swerving loses 0.5, always going straight 5.5, with the second copied or not."""
    for copies in ([0, 1], [0, 1, 1]):
        game = symmetric_game(CHICKEN[np.ix_(copies, copies)])
        result = rate_by_equilibrium(game, "deviation")
        assert result.ratings == pytest.approx([-0.5, -5.5, -5.5][: len(copies)], abs=1e-8)


@pytest.mark.parametrize("concept", SELECTED)
def test_rock_paper_scissors_with_rock_twice(concept):
    wins = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    twice = [0, 0, 1, 2]
    result = rate_by_equilibrium(symmetric_game(wins[np.ix_(twice, twice)] + 0.0), concept)
    assert result.ratings == pytest.approx([0, 0, 0, 0], abs=1e-8)
    assert result.attribution.model_masses == pytest.approx([1 / 6, 1 / 6, 1 / 3, 1 / 3], abs=1e-7)
    assert set(result.ranks()) == {1}


def test_correlated_equilibrium_of_the_game_that_introduces_polarix():
    """Five agents on three tasks, with standard deviations; by polarix 0.1.2, to its tolerance."""
    scores = np.array([[6, 3, 1, 3, 5], [4, 5, 3, 4, 4], [3, 2, 7, 3, 5]], float)
    table = dataclasses.replace(scores_of(scores), errors=np.full(scores.shape, 0.1))
    result = rate(table, "ce")
    assert result.ratings == pytest.approx([-0.0261, -0.1030, -0.1075, -0.1550, 0], abs=1e-4)


@pytest.mark.parametrize("concept", CONCEPTS)
def test_copies_of_prompts_and_models_move_nothing(small_scores, concept):
    before = rate_by_equilibrium(evaluation_game(small_scores), concept)
    copied = with_copies(small_scores, prompts=[3] * 20 + [1] * 5, models=[2, 2, 4])
    after = rate_by_equilibrium(evaluation_game(copied), concept)
    assert after.ratings[:5] == pytest.approx(before.ratings, abs=1e-9)
    assert after.ratings[5:] == pytest.approx(before.ratings[[2, 2, 4]], abs=1e-9)
    assert after.attribution.model_masses.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("concept", CONCEPTS)
def test_ratings_are_the_losses_from_deviating_and_add_up_over_prompts(small_scores, concept):
    game = evaluation_game(small_scores)
    result = rate_by_equilibrium(game, concept)
    assert result.ratings.max() <= 1e-8
    assert concept == "deviation" or result.ratings.max() >= -1e-8
    assert result.certificate.value <= 1e-8
    attribution = result.attribution
    assert attribution.contributions.sum(axis=0) == pytest.approx(result.ratings, abs=1e-12)
    assert attribution.prompt_masses.sum() == pytest.approx(1, abs=1e-12)
    assert attribution.prompt_ratings.max() <= 1e-8


@pytest.mark.parametrize("concept", CONCEPTS)
def test_king_and_rebel_are_rated_alike(small_scores, concept):
    game = evaluation_game(small_scores)
    king = rate_by_equilibrium(game, concept)
    rebel = rate_by_equilibrium(dataclasses.replace(game, rated=2), concept)
    assert king.ratings == pytest.approx(rebel.ratings, abs=1e-8)


def test_groups_weigh_alike_then_their_classes_then_members():
    """Group x has two copies of one prompt and another prompt, group y a third copy: shares
    1/8, 1/8, 1/4 and 1/2; the class of the copies 1/8 + 1/8 + 1/2.
    """
    table = scores_of([[0, 1, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]])
    prior = class_prior(evaluation_game(table), groups=["x", "x", "x", "y"])
    assert prior.weights[0] == pytest.approx([3 / 4, 1 / 4], abs=1e-15)
    assert prior.shares[0] == pytest.approx([1 / 6, 1 / 6, 1, 2 / 3], abs=1e-15)
    assert prior.weights[1] == pytest.approx([1 / 3, 1 / 3, 1 / 3], abs=1e-15)


def test_copies_within_a_group_move_nothing(small_scores):
    groups = [f"g{q % 4}" for q in range(12)]
    before = rate_by_equilibrium(evaluation_game(small_scores), groups=groups)
    copied = evaluation_game(with_copies(small_scores, prompts=[3] * 20, models=[]))
    after = rate_by_equilibrium(copied, groups=[*groups, *["g3"] * 20])
    assert after.ratings == pytest.approx(before.ratings, abs=1e-9)


def test_a_soft_kernel_of_tiny_variance_is_the_prior_of_exact_classes(small_scores):
    game = evaluation_game(small_scores)
    soft = rate_by_equilibrium(game, affinity_variance=1e-9)
    assert soft.ratings == pytest.approx(rate_by_equilibrium(game).ratings, abs=1e-6)


def test_no_ranking_beyond_the_largest_gap(small_scores, monkeypatch):
    monkeypatch.setattr("evaluation.equilibrium_ratings.MAX_GAP", -1.0)
    with pytest.raises(SolverError, match="no ranking"):
        rate_by_equilibrium(evaluation_game(small_scores))


@pytest.mark.parametrize(
    ("form", "reference"),
    [("winrate", "mecce_winrate_rating"), ("difference", "mecce_diff_rating")],
)
def test_arena_hard_is_rated_as_by_an_independent_solver(arena_hard, anchors, form, reference):
    known = anchors["arena_hard_gpt4o_2024-08-06"]
    result = rate(arena_hard, "cce", RatingOptions(missing="tie", form=form))
    ratings = dict(zip(result.models, result.ratings, strict=True))
    assert [ratings[name] for name in known["models"]] == pytest.approx(known[reference], abs=1e-6)
    assert result.certificate.value <= 1e-8


def test_a_thousand_copies_of_ten_prompts_move_no_model(arena_hard, anchors):
    """They move gpt-4o from the first place to the sixteenth under Bradley-Terry."""
    table = scores_against_baseline(arena_hard, missing="tie")
    case = next(c for c in anchors["redundancy"] if c["extra"] == 1000 and c["target"] == "gpt-4o")
    where = [table.prompts.index(name) for name in case["prompts"]]
    copied = with_copies(table, prompts=where * 100, models=[])
    before, after = (rate(t, "cce").ratings for t in (table, copied))
    assert np.abs(after - before).max() <= 1e-6
    elo = rate(copied, "bradley_terry")
    target = table.models.index("gpt-4o")
    assert elo.ratings[target] == pytest.approx(case["bt"], abs=0.01)
    assert elo.ranks()[target] == case["bt_rank"] == 16


def test_noisy_copies_in_the_group_of_their_original_hardly_move_a_model(arena_hard, anchors):
    """500 copies of gpt-4o's ten worst prompts, one cell in twenty judged anew at random."""
    table = scores_against_baseline(arena_hard, missing="tie")
    case = next(c for c in anchors["redundancy"] if c["extra"] == 500 and c["target"] == "gpt-4o")
    where = [table.prompts.index(name) for name in case["prompts"]]
    copied = with_copies(table, prompts=where * 50, models=[])
    rng = np.random.default_rng(0)
    noisy = np.where(
        rng.random(copied.scores.shape) < 0.05,
        rng.integers(5, size=copied.scores.shape) / 4,
        copied.scores,
    )
    scores = np.vstack([table.scores, noisy[500:]])
    scores[:, table.models.index("gpt-4-0314")] = 0.5
    groups = dict(zip(copied.prompts, [*table.prompts, *case["prompts"] * 50], strict=True))
    noisy_table = dataclasses.replace(copied, scores=scores)
    before = rate(table, "cce").ratings
    after = rate(noisy_table, "cce", RatingOptions(groups=groups)).ratings
    assert np.abs(after - before).max() <= 0.005
    alone = rate(noisy_table, "cce").ratings
    assert np.abs(alone - before).max() > 0.05


def test_deviation_ratings_of_sixty_prompts_are_those_of_another_solver(arena_hard, anchors):
    """Another program with columns, whose tolerances of 1e-9 a level add up to some 1e-6."""
    known = anchors["deviation_rating_60"]
    table = scores_against_baseline(arena_hard, missing="tie")
    chosen = np.array([table.prompts.index(name) for name in known["prompts"]])
    result = rate(table.of_prompts(chosen), "deviation")
    models = anchors["arena_hard_gpt4o_2024-08-06"]["models"]
    ratings = dict(zip(result.models, result.ratings, strict=True))
    assert [ratings[name] for name in models] == pytest.approx(known["model_ratings"], abs=3e-6)


# Ratings by the correlated equilibrium of greatest entropy that polarix 0.1.2 finds for Arena-Hard
# in 6,000 steps, to a gap of 3.8e-6.
POLARIX = {
    "gpt-4o": 0.0,
    "claude-3-5-sonnet-20240620": 0.0,
    "gpt-4o-mini": -0.0008,
    "mistral-large-2407": -0.0069,
    "gemini-1.5-pro-api-0514": -0.0186,
    "llama3_1_70b": -0.0494,
    "llama-3.1-405b-instruct": -0.0856,
    "gpt-4-0314": -0.2400,
    "mixtral-8x22b-instruct-v0.1": -0.2551,
    "gpt-3.5-turbo-0125": -0.3589,
}


@pytest.mark.slow
def test_correlated_equilibrium_of_arena_hard_is_polarix(arena_hard):
    result = rate(arena_hard, "ce", RatingOptions(missing="tie"))
    assert result.certificate.value <= 1e-8
    ratings = dict(zip(result.models, result.ratings, strict=True))
    assert [ratings[name] for name in POLARIX] == pytest.approx(list(POLARIX.values()), abs=3e-4)
