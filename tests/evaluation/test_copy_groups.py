"""Copies of prompts that were judged again: found, merged, and what is left of them in ratings."""

import numpy as np
import pytest

from evaluation.copy_groups import copies_in_groups, find_copies
from evaluation.merged_copies import merge_copies
from evaluation.outcomes import win_rates
from evaluation.ratings import RatingOptions, rate
from evaluation.redundancy import recovery
from evaluation.redundancy.copied import judged_anew, reworded, with_prompt_copies
from evaluation.types import Battles, DataError, Scores

from .conftest import scores_of

NUM, COPIED, EXTRA = 80, (3, 11, 40), 60


@pytest.fixture(scope="module")
def originals() -> Scores:
    """Twelve models on prompts of many difficulties, on five levels."""
    rng = np.random.default_rng(0)
    quality = rng.normal(size=12) + rng.normal(size=(2 * NUM, 1)) + rng.normal(size=(2 * NUM, 12))
    levels = np.round(4 / (1 + np.exp(-1.5 * quality))) / 4
    _, first = np.unique(levels, axis=0, return_index=True)
    return scores_of(levels[np.sort(first)[:NUM]])


def judged_again(table, noise, seed=0):
    copies = with_prompt_copies(table, COPIED, EXTRA)
    return judged_anew(copies, noise, np.random.default_rng(seed), first=NUM)


def sources():
    return np.resize(np.array(COPIED), EXTRA)


def test_noisy_copies_are_found_and_different_prompts_stay_apart(originals):
    group = find_copies(judged_again(originals, 0.15))
    assert np.mean(group[NUM:] == group[sources()]) >= 0.95
    assert len(np.unique(group[:NUM])) >= NUM - 1
    assert np.array_equal(group[group], group), "a group is named by its first prompt"


def test_nothing_is_found_where_nothing_was_copied(originals):
    assert np.array_equal(find_copies(originals), np.arange(NUM))


def test_copies_of_copies_change_nothing(originals):
    table = judged_again(originals, 0.15)
    again = table.of_prompts(np.append(np.arange(NUM + EXTRA), np.full(40, NUM + 5)))
    group = find_copies(table)
    assert np.array_equal(find_copies(again)[: NUM + EXTRA], group)
    merged, merged_again = (merge_copies(t, find_copies(t)) for t in (table, again))
    assert np.array_equal(merged.table.scores, merged_again.table.scores)


def test_texts_find_what_outcomes_cannot(originals):
    """Judged quite at random, with one word in five replaced."""
    rng = np.random.default_rng(1)
    words = np.array([f"w{k}" for k in range(400)])
    texts = [" ".join(rng.choice(words, size=15)) for _ in range(NUM)]
    copies = judged_again(originals, 1.0)
    known = [*texts, *reworded([texts[q] for q in sources()], 0.2, rng)]
    assert np.mean(np.array(known[NUM:]) == np.array(texts)[sources()]) < 0.2
    group = find_copies(copies, known)
    assert np.mean(group[NUM:] == group[sources()]) >= 0.95
    assert len(np.unique(group[:NUM])) == NUM
    assert len(np.unique(find_copies(copies)[NUM:])) > EXTRA / 2


def test_groups_that_are_given_may_be_noisier_and_may_hold_different_prompts(originals):
    table = judged_again(originals, 0.3)
    topics = [str(q // 2) for q in range(NUM)]
    leader = copies_in_groups(table, [*topics, *(topics[q] for q in sources())])
    assert np.mean(leader[NUM:] == sources()) >= 0.9
    assert np.array_equal(leader[:NUM], np.arange(NUM)), "two prompts of a topic are not one"


def test_pairs_of_models_are_compared_where_there_are_battles(originals):
    table = judged_again(originals, 0.1)
    rates = win_rates(table)
    prompt, first, second = np.nonzero(np.triu(np.ones(rates.shape[1:]), 1)[None] * rates >= -1)
    upper = first < second
    prompt, first, second = (part[upper].astype(np.int32) for part in (prompt, first, second))
    battles = Battles(
        table.models, table.prompts, first, second, rates[prompt, first, second], prompt
    )
    group = find_copies(battles)
    assert np.mean(group[NUM:] == group[sources()]) >= 0.8
    merged = merge_copies(battles, group)
    assert isinstance(merged.table, Battles)
    own = group == COPIED[0]
    distinct = np.unique(rates[own].reshape(own.sum(), -1), axis=0)
    place = merged.table.prompts.index(table.prompts[COPIED[0]])
    expected = np.median(distinct, axis=0).reshape(rates.shape[1:])
    assert np.array_equal(win_rates(merged.table)[place], expected)


def test_median_of_copies_is_the_original_and_exact_copies_count_once():
    table = scores_of([[0, 1, 0.5], [1, 1, 0.5], [0, 1, 0.5], [0, 1, 1], [1, 0, 0]])
    merged = merge_copies(table, np.array([0, 0, 0, 0, 4]))
    # The distinct copies are (0, 1, .5), (1, 1, .5) and (0, 1, 1).
    assert merged.table.scores.tolist() == [[0, 1, 0.5], [1, 0, 0]]
    assert merged.distinct == {"prompt 0": 3, "prompt 4": 1}
    assert "4 prompts are taken for 1 prompts" in merged.note


@pytest.mark.parametrize("how", ["given", "found"])
def test_ratings_are_those_without_copies_and_attributed_to_all(originals, how):
    base = rate(originals, "cce")
    table = judged_again(originals, 0.1)
    names = [*originals.prompts, *(originals.prompts[q] for q in sources())]
    options = RatingOptions(find_groups=True)
    if how == "given":
        options = RatingOptions(groups=dict(zip(table.prompts, names, strict=True)))
    result = rate(table, "cce", options)
    assert np.abs(result.ratings - base.ratings).max() < 0.01
    assert np.abs(rate(table, "cce").ratings - base.ratings).max() > 0.02
    made = result.attribution
    assert sorted(made.prompts) == sorted(table.prompts)
    assert made.contributions.sum(axis=0) == pytest.approx(result.ratings, abs=1e-9)
    assert made.prompt_masses.sum() == pytest.approx(1)
    assert any("judged again" in note for note in result.notes)


def test_recovery_measures_what_a_search_got_right(originals):
    found = recovery(originals, "model 0", order="worst", extra=100, noise=0.1)
    # Ten copies of each of ten prompts are less evidence than dozens.
    assert 0.5 <= found.found <= 1 and found.merged <= 2
    assert 0 <= found.largest_change < 0.1
    assert found.texts == "withheld"


def test_groups_are_given_or_found_and_texts_are_of_all_prompts(originals):
    with pytest.raises(DataError, match="given or found, not both"):
        rate(originals, "cce", RatingOptions(groups={q: q for q in originals.prompts},
                                             find_groups=True))  # fmt: skip
    with pytest.raises(DataError, match="80 of 80 prompts have no text"):
        rate(originals, "cce", RatingOptions(find_groups=True, texts={"x": "y"}))


def test_prompts_on_which_models_do_alike_are_not_taken_for_copies():
    """A saturated benchmark: half of the prompts are nearly solved by all."""
    rng = np.random.default_rng(3)
    levels = np.where(rng.random((NUM, 12)) < 0.9, 1.0, rng.integers(5, size=(NUM, 12)) / 4)
    levels[: NUM // 2] = rng.integers(5, size=(NUM // 2, 12)) / 4
    table = scores_of(levels)
    exact = np.unique(levels, axis=0)
    assert len(np.unique(find_copies(table))) == len(exact)
