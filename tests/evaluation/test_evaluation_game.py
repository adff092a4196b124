"""The prompt-king-rebel game: worked payoffs, and a slow loop from the definition."""

import dataclasses
import math

import numpy as np
import pytest

from evaluation.evaluation_game import KING, PROMPT, REBEL, evaluation_game
from evaluation.outcomes import scores_against_baseline, win_counts, win_rates
from evaluation.types import Battles, DataError, Scores
from games.normal_form import NormalForm

from .conftest import scores_of


def test_payoffs_are_those_of_the_definition(small_scores):
    payoffs = evaluation_game(small_scores).game.payoffs
    for q, row in enumerate(small_scores.scores):
        for king, own in enumerate(row):
            for rebel, other in enumerate(row):
                won = 1.0 if own > other else 0.5 if own == other else 0.0
                assert payoffs[q, king, rebel].tolist() == [abs(2 * won - 1), won, 1 - won]


def test_difference_forms_scale_prompts_or_not():
    """Scores 0, 10 and 0, 4: king's differences 10 and 4, or 1 and 1 when prompts are scaled."""
    table = scores_of([[0.0, 10.0], [0.0, 4.0]])
    raw = evaluation_game(table, form="difference").game.payoffs
    assert raw[:, 1, 0].tolist() == [[10.0, 10.0, -10.0], [4.0, 4.0, -4.0]]
    scaled = evaluation_game(table, form="scaled_difference").game.payoffs
    assert scaled[:, 1, 0].tolist() == [[1.0, 1.0, -1.0], [1.0, 1.0, -1.0]]


def test_noisy_scores_win_with_the_probability_of_a_normal_draw():
    """Means 1 and 0 with deviations 0.6 and 0.8: Phi(1 / 1)."""
    table = dataclasses.replace(scores_of([[1.0, 0.0]]), errors=np.array([[0.6, 0.8]]))
    rates = win_rates(table)[0]
    wanted = (1 + math.erf(1 / math.sqrt(2))) / 2
    assert rates[0, 1] == pytest.approx(wanted, abs=1e-15)
    assert rates[0, 1] + rates[1, 0] == pytest.approx(1, abs=1e-15)
    assert rates[0, 0] == 0.5


def test_battles_of_a_pair_are_averaged_per_prompt_in_either_order():
    models, prompts = ("a", "b"), ("p", "q")
    battles = Battles(
        models,
        prompts,
        first=np.array([0, 1, 0], np.int32),
        second=np.array([1, 0, 1], np.int32),
        outcome=np.array([1.0, 0.5, 0.0]),
        prompt=np.array([0, 0, 1], np.int32),
    )
    rates = win_rates(battles)
    assert rates[:, 0, 1].tolist() == [0.75, 0.0]
    assert rates[:, 1, 0].tolist() == [0.25, 1.0]
    assert win_counts(battles).tolist() == [[0.0, 1.5], [1.5, 0.0]]


def star(outcomes: dict[tuple[str, str], float]) -> Battles:
    """Battles `(prompt, model)` against the model `base`."""
    models = tuple(sorted({model for _, model in outcomes} | {"base"}))
    prompts = tuple(sorted({prompt for prompt, _ in outcomes}))
    return Battles(
        models,
        prompts,
        first=np.array([models.index(model) for _, model in outcomes], np.int32),
        second=np.full(len(outcomes), models.index("base"), np.int32),
        outcome=np.array(list(outcomes.values())),
        prompt=np.array([prompts.index(prompt) for prompt, _ in outcomes], np.int32),
    )


def test_battles_against_one_baseline_are_scores():
    battles = star({("p", "a"): 1.0, ("p", "c"): 0.25, ("q", "a"): 0.0, ("q", "c"): 0.5})
    table = scores_against_baseline(battles)
    assert isinstance(table, Scores)
    assert table.models == ("a", "base", "c")
    assert table.scores.tolist() == [[1.0, 0.5, 0.25], [0.0, 0.5, 0.5]]
    assert "'base'" in table.notes[-1]


def test_missing_cells_are_left_out_or_counted_as_ties_and_told():
    battles = star({("p", "a"): 1.0, ("p", "c"): 0.25, ("q", "a"): 0.0})
    dropped = evaluation_game(battles)
    assert dropped.game.strategy_names[PROMPT] == ("p",)
    assert "1 of 2 prompts are left out" in dropped.notes[-1]
    tied = evaluation_game(battles, missing="tie")
    assert tied.game.payoffs[1, 2, 1].tolist() == [0.0, 0.5, 0.5]
    assert "1 missing battles count as ties" in tied.notes


def test_missing_scores_are_no_ties():
    table = scores_of([[1.0, np.nan], [0.0, 1.0]])
    assert evaluation_game(table).game.payoffs.shape == (1, 2, 2, 3)
    with pytest.raises(DataError, match="no tie"):
        evaluation_game(table, missing="tie")


def test_no_complete_prompt_is_an_error_that_names_a_way_out():
    table = scores_of([[1.0, np.nan, 0.0], [np.nan, 1.0, 0.0]])
    with pytest.raises(DataError, match=r"none of the 2 prompts.*bradley_terry"):
        evaluation_game(table)


def test_a_payoff_tensor_is_a_game_already():
    game = evaluation_game(NormalForm(np.zeros((2, 3, 2)), name="zeros"))
    assert (game.rated, game.prompts, game.models) == (0, 1, ("0", "1"))


def test_king_and_rebel_are_symmetric(small_scores):
    payoffs = evaluation_game(small_scores).game.payoffs
    assert np.array_equal(payoffs[..., KING], payoffs[..., REBEL].transpose(0, 2, 1))
    assert np.array_equal(payoffs[..., PROMPT], payoffs[..., PROMPT].transpose(0, 2, 1))


def test_more_duels_than_fit_are_an_error_and_not_a_dead_machine():
    models, prompts = (tuple(map(str, range(size))) for size in (40, 100_000))
    one = np.zeros(1, np.int32)
    battles = Battles(models, prompts, one, one + 1, np.ones(1), one)
    with pytest.raises(DataError, match=r"have 1.6e\+08 duels; at most 1e\+08 fit"):
        evaluation_game(battles)
    assert win_counts(battles)[0, 1] == 1.0


def test_several_outcomes_of_a_pair_on_a_prompt_are_told():
    twice = np.zeros(2, np.int32)
    battles = Battles(("a", "b"), ("p", "q"), twice, twice + 1, np.array([1.0, 0.0]), twice)
    assert "1 pairs on a prompt have several outcomes" in evaluation_game(battles).notes[0]
