"""The redundancy audit: copies made and found, and what they move."""

import dataclasses

import numpy as np
import pytest

from evaluation.evaluation_game import evaluation_game
from evaluation.outcomes import win_counts
from evaluation.ratings import RatingOptions, rate
from evaluation.redundancy import (
    RATERS,
    audit,
    clone_stress,
    copy_stress,
    measured_noise,
    near_copies,
)
from evaluation.redundancy.audit import exact_copies
from evaluation.redundancy.copied import judged_anew, with_clones, with_prompt_copies
from evaluation.redundancy.copy_stress import extreme_prompts
from evaluation.types import Battles, DataError, Scores

from .conftest import battles_of, scores_of

BRADLEY_TERRY, WIN_RATE, CCE, CCE_GROUPED, CCE_FOUND = RATERS


def against_baseline(scores: Scores) -> Battles:
    """Battles of models 1, 2, ... with model 0, whose outcomes are the scores of the former."""
    num_prompts, num_models = scores.scores.shape
    prompt, model = np.divmod(np.arange(num_prompts * (num_models - 1)), num_models - 1)
    return Battles(
        scores.models,
        scores.prompts,
        (model + 1).astype(np.int32),
        np.zeros(len(model), np.int32),
        scores.scores[prompt, model + 1],
        prompt.astype(np.int32),
    )


def test_copies_turn_bradley_terry_around_and_leave_the_cce():
    """Ada wins two of three duels, odds 2 : 1; with three copies of the third two of six, 1 : 2.

    Odds of 2 are 400 log10(2) points between the two, half of it on either side of 1000.
    """
    table = scores_of([[1, 0], [1, 0], [0, 1]])
    raters = (BRADLEY_TERRY, WIN_RATE, CCE)
    curve = copy_stress(table, "model 0", order="worst", extras=[3], num_prompts=1, raters=raters)
    assert curve.prompts == ("prompt 2",)
    before, after = curve.of_rater("bradley_terry")
    points = 200 * np.log10(2)
    assert (before.rating, before.rank) == (pytest.approx(1000 + points), 1)
    assert (after.rating, after.rank) == (pytest.approx(1000 - points), 2)
    assert after.largest_change == pytest.approx(2 * points)
    before, after = curve.of_rater("win_rate")
    assert (before.rating, after.rating) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    before, after = curve.of_rater("cce")
    assert after.largest_change == 0
    assert before.rank == after.rank == 1


def test_exact_copies_are_found_and_nothing_else():
    """Prompts 0 and 3 order the models alike, models 1 and 4 have the same scores."""
    table = scores_of(
        [[1, 0, 2, 3, 0], [0, 1, 2, 3, 1], [3, 2, 1, 0, 2], [2, 0, 4, 5, 0], [1, 2, 0, 3, 2]]
    )
    found = exact_copies(evaluation_game(table))
    assert [(each.kind, each.members) for each in found] == [
        ("prompts", ("prompt 0", "prompt 3")),
        ("models", ("model 1", "model 4")),
    ]


def test_copies_of_battles_are_those_of_their_scores(small_scores):
    baseline = small_scores.scores.copy()
    baseline[:, 0] = 0.5
    table = dataclasses.replace(small_scores, scores=baseline)
    copied = [with_prompt_copies(each, [3, 7], 5) for each in (table, against_baseline(table))]
    assert copied[0].prompts == copied[1].prompts
    assert copied[0].prompts[-5:] == tuple(
        f"prompt {q} copy {k}" for k, q in enumerate((3, 7, 3, 7, 3), 1)
    )
    ratings = [rate(each, "win_rate").ratings for each in copied]
    np.testing.assert_allclose(ratings[0], ratings[1])
    np.testing.assert_array_equal(copied[0].scores[-5:], table.scores[[3, 7, 3, 7, 3]])


def test_a_copy_gets_a_name_that_is_free():
    table = Scores(("a", "b"), ("p", "p copy 1"), np.eye(2))
    assert with_prompt_copies(table, [0], 1).prompts == ("p", "p copy 1", "p copy 1'")


def test_clones_of_battles_fight_like_their_original_and_tie_with_it():
    battles = battles_of([("a", "b", 1.0), ("b", "c", 0.5), ("a", "c", 0.0), ("c", "b", 1.0)])
    wins = win_counts(with_clones(battles, 0, 2))
    np.testing.assert_array_equal(wins[3:, :3], [[0.5, 1, 0]] * 2)
    assert wins[3, 4] == wins[4, 3] == wins[0, 3] == 0.5
    np.testing.assert_array_equal(wins[:3, :3], win_counts(battles))


def test_clones_move_bradley_terry_and_not_the_cce(small_scores):
    raters = (BRADLEY_TERRY, CCE)
    points, game = clone_stress(small_scores, "model 0", clones=20, raters=raters)
    assert points.largest_change > 10
    assert points.clone_spread < 1e-6
    assert game.largest_change < 1e-12
    assert game.inversions == 0
    assert game.clone_spread == 0


def test_judging_anew_changes_that_share_of_the_copies_and_no_baseline():
    levels = np.random.default_rng(0).integers(5, size=(400, 20)) / 4
    levels[:, 3] = 0.5
    levels[7, 2] = np.nan
    table = scores_of(levels)
    changed = judged_anew(table, 0.3, np.random.default_rng(1), first=100).scores != levels
    # NaN is unequal to itself, and stays.
    assert changed[:100].sum() == 1
    assert not changed[:, 3].any()
    others = np.delete(changed[100:], 3, axis=1)
    # A fifth of the random levels are the old ones. Standard deviation .0057: seven of them.
    assert abs(others.mean() - 0.3 * 0.8) < 0.04


def test_noise_is_measured_on_repeated_verdicts():
    """20,000 cells with two verdicts, 20 % of these random; five standard deviations are .02."""
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=20_000) / 2
    verdicts = np.stack([truth, truth], axis=1)
    verdicts = np.where(rng.random(verdicts.shape) < 0.2, rng.integers(3, size=(20_000, 2)) / 2,
                        verdicts)  # fmt: skip
    prompt = np.repeat(np.arange(20_000, dtype=np.int32), 2)
    zeros = np.zeros(40_000, np.int32)
    names = tuple(map(str, range(20_000)))
    battles = Battles(("a", "b"), names, zeros, zeros + 1, verdicts.ravel(), prompt)
    assert measured_noise(battles) == pytest.approx(0.2, abs=0.02)
    assert measured_noise(battles.of_rows(np.arange(0, 40_000, 2))) is None


def test_near_copies_by_hand():
    """Prompts 0 and 1 differ in the order of models 0 and 1 only: 2 of 9 cells, each by 1."""
    table = scores_of([[0, 1, 2], [1, 0, 2], [2, 1, 0], [2, 1, 0]])
    part = near_copies(table, "prompts", noise=0.0)
    assert part.nearest[0].first == "prompt 0"
    assert part.nearest[0].second == "prompt 1"
    assert part.nearest[0].distance == pytest.approx(2 / 9)
    # Without noise only exact copies are within the floor, and those are told elsewhere.
    assert (part.floor, part.num_pairs, part.num_near) == (0, 0, 0)


def test_a_model_judged_again_is_near_its_original():
    rng = np.random.default_rng(0)
    levels = np.round(rng.random((300, 1)) * np.ones(6) * 2 + rng.random((300, 6)) * 4) / 4
    again = judged_anew(scores_of(levels), 0.1, rng).scores[:, :1]
    part = near_copies(scores_of(np.hstack([levels, again])), "models", noise=0.15)
    assert (part.nearest[0].first, part.nearest[0].second) == ("model 0", "model 6")
    assert part.num_pairs == 1
    assert part.nearest[0].noise == pytest.approx(0.1, abs=0.05)


def test_groups_hold_noisy_copies():
    rng = np.random.default_rng(0)
    skill = np.linspace(0, 1, 6)
    table = scores_of(np.round(2 * skill + rng.normal(size=(40, 6))))
    model = table.models[-1]
    curve = copy_stress(
        table, model, order="worst", extras=[80], noise=0.2, num_prompts=4,
        raters=(CCE, CCE_GROUPED), seed=3,
    )  # fmt: skip
    alone, grouped = curve.of_rater("cce")[1], curve.of_rater("cce_grouped")[1]
    assert grouped.largest_change < alone.largest_change / 3
    again = copy_stress(
        table, model, order="worst", extras=[80], noise=0.2, num_prompts=4,
        raters=(CCE, CCE_GROUPED), seed=3,
    )  # fmt: skip
    assert again == curve


def test_copies_join_the_group_of_their_original(small_scores):
    """Two groups of prompts stay two: exact copies inside one change nothing."""
    groups = {name: str(number % 2) for number, name in enumerate(small_scores.prompts)}
    curve = copy_stress(
        small_scores, "model 1", order="best", extras=[30], raters=(CCE,),
        options=RatingOptions(groups=groups),
    )  # fmt: skip
    assert curve.of_rater("cce")[1].largest_change < 1e-9


def test_audit_tells_what_it_found_and_is_the_same_again(small_scores):
    # Two of the twelve prompts happen to order the five models alike.
    table = with_prompt_copies(small_scores, [0], 2)
    steps = []
    found = audit(table, progress_fn=lambda done, total: steps.append((done, total)))
    assert found == audit(table)
    assert steps[-1][0] == steps[-1][1] == len(steps)
    assert found.findings[0].startswith("5 prompts form 2 classes of exact copies")
    assert found.findings[1] == "No two models are exact copies of each other."
    assert [part.kind for part in found.near] == ["prompts", "models"]
    exact = [curve for curve in found.curves if curve.noise == 0]
    assert [curve.order for curve in exact] == ["worst", "best", "best"]
    for curve in exact:
        assert all(point.largest_change < 1e-9 for point in curve.of_rater("cce"))
        assert curve.of_rater("bradley_terry")[-1].largest_change > 1
    assert any("by CCE no rating moves" in finding for finding in found.findings)


def test_methods_that_cannot_rate_are_left_out_and_told():
    """Each pair met on a prompt of its own, so that no prompt is complete."""
    rows = [("a", "b", 1.0), ("b", "c", 1.0), ("c", "a", 1.0), ("b", "a", 1.0)]
    battles = battles_of(rows)
    numbers = np.arange(4, dtype=np.int32)
    battles = dataclasses.replace(battles, prompts=tuple("pqrs"), prompt=numbers)
    found = audit(battles)
    assert {p.rater for curve in found.curves for p in curve.points} == {
        "bradley_terry",
        "win_rate",
    }
    assert found.near == found.copies == ()
    assert any(finding.startswith("CCE is not audited") for finding in found.findings)


def test_one_prompt_and_unknown_targets_are_refused(small_scores):
    with pytest.raises(DataError, match="at least two prompts"):
        audit(battles_of([("a", "b", 1.0), ("b", "a", 1.0)]))
    with pytest.raises(DataError, match="no model named 'zoe'"):
        audit(small_scores, targets=[("zoe", "best")])


def test_prompts_of_the_reference_experiments(arena_hard, anchors):
    """The ten prompts that the prototype of the experiments copied, in its order."""
    from evaluation.outcomes import scores_against_baseline

    table = scores_against_baseline(arena_hard, missing="tie")
    for line in anchors["redundancy"]:
        prompts = extreme_prompts(table, line["target"], order=line["order"])
        assert [table.prompts[q] for q in prompts] == line["prompts"]


def test_a_thousand_copies_on_arena_hard(arena_hard, anchors):
    """Bradley-Terry as in the reference numbers, and equilibrium ratings that stay."""
    from evaluation.outcomes import scores_against_baseline

    table = scores_against_baseline(arena_hard, missing="tie")
    lines = [line for line in anchors["redundancy"] if line["extra"] == 1000]
    for line in lines:
        raters = (BRADLEY_TERRY, CCE) if line["target"] == "gpt-4o" else (BRADLEY_TERRY,)
        curve = copy_stress(
            table, line["target"], order=line["order"], extras=[1000], raters=raters
        )
        last = curve.of_rater("bradley_terry")[-1]
        assert (last.rank, last.rating) == (line["bt_rank"], pytest.approx(line["bt"], abs=0.01))
        for point in curve.of_rater("cce"):
            assert point.largest_change <= 1e-6
            assert point.rank == line["mecce_cloneprior_rank"]
