"""Nash averaging, Alpha-Rank and voting: worked numbers, and OpenSpiel's own answers."""

import numpy as np
import pytest
from open_spiel.python.egt import alpharank

from evaluation.nash_averaging import average_over_agents, average_over_tasks
from evaluation.ratings import METHOD_NOTES, METHODS, rate
from evaluation.readers import read_evaluation
from evaluation.types import DataError
from evaluation.voting import elect, maximal_lottery
from solvers.meta.alpha_rank import rank_one_population

from .conftest import battles_of, scores_of

ADVANTAGE = np.array([[0.0, 0, 1], [0, 0, 0.2], [-1, -0.2, 0]])


@pytest.mark.parametrize(("num_copies", "rating"), [(0, -0.6), (1, -0.733333), (8, -0.92)])
def test_nash_averaging_counts_copies(num_copies, rating):
    """The equilibrium of greatest entropy is uniform over the first two and the copies of the
    first: the third is rated `-(1 * (1 + copies) + 0.2) / (2 + copies)`.
    """
    who = [0, 1, 2] + [0] * num_copies
    rates = (1 + ADVANTAGE[np.ix_(who, who)]) / 2
    models = tuple(map(str, range(len(who))))
    result = average_over_agents(models, rates)
    assert result.ratings[2] == pytest.approx(rating, abs=1e-6)
    assert result.ratings[:2] == pytest.approx([0, 0], abs=1e-9)
    assert result.certificate.value <= 1e-9


def test_nash_averaging_over_tasks_of_the_atari_study(shared_data):
    """Values of OpenSpiel's nash_averaging on the same table."""
    path = shared_data / "atari_agents" / "scores.csv.gz"
    table = read_evaluation(path, where={"table": "atari_agent57_table"})
    result = average_over_tasks(table)
    ratings = dict(zip(result.models, result.ratings, strict=True))
    assert ratings["muzero"] == pytest.approx(0.371447, abs=1e-6)
    assert ratings["human"] == pytest.approx(0.1381, abs=1e-4)
    assert ratings["random"] == pytest.approx(0.0052, abs=1e-4)


@pytest.mark.parametrize("alpha", [0.3, 5.0])
def test_alpha_rank_of_one_population_is_openspiels(alpha):
    payoffs = np.random.default_rng(0).normal(size=(5, 5))
    # OpenSpiel's members play against the resident population: a mutant's advantage is ours.
    _, _, theirs, *_ = alpharank.compute([payoffs], m=50, alpha=alpha)
    masses, status = rank_one_population(payoffs, alpha=alpha)
    assert status == "solved"
    assert masses == pytest.approx(theirs, abs=1e-9)


def test_alpha_rank_of_a_cycle_is_uniform_and_of_a_winner_pure():
    cycle = np.array([[0.5, 1, 0], [0, 0.5, 1], [1, 0, 0.5]])
    assert rank_one_population(cycle)[0] == pytest.approx([1 / 3] * 3, abs=1e-12)
    order = np.array([[0.5, 1, 1], [0, 0.5, 1], [0, 0, 0.5]])
    assert rank_one_population(order)[0].tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="finite square matrix"):
        rank_one_population(np.full((2, 2), np.nan))


def rates_of(levels: list[list[float]]) -> np.ndarray:
    scores = np.array(levels, float)
    return (np.sign(scores[:, :, None] - scores[:, None, :]) + 1) / 2


# Three voters a > b > c, two b > c > a, one with b and c tied before a.
VOTES = rates_of([[2, 1, 0]] * 3 + [[0, 2, 1]] * 2 + [[0, 1, 1]])


def test_voting_rules_by_hand():
    """Borda: a 3 * 2 = 6; b 3 * 1 + 2 * 2 + 1.5 = 8.5; c 2 * 1 + 1.5 = 3.5. Pairwise: a and b tie
    3 : 3, a and c tie, b beats c 5.5 : 0.5.
    """
    assert elect("borda", VOTES).tolist() == [6.0, 8.5, 3.5]
    assert elect("copeland", VOTES).tolist() == [1.0, 1.5, 0.5]
    for rule in ("schulze", "ranked_pairs"):
        scores = elect(rule, VOTES)
        assert scores[1] > scores[2]


def test_maximal_lottery_of_a_cycle_of_majorities():
    """Margins 1, 3, 5 around a cycle: probabilities are those of the opposite edges."""
    a, b, c = [2, 1, 0], [0, 2, 1], [1, 0, 2]
    rates = rates_of([a] * 4 + [b] * 3 + [c] * 2)
    # a beats b 6 : 3, b beats c 7 : 2, c beats a 5 : 4.
    assert maximal_lottery(rates) == pytest.approx(np.array([5, 1, 3]) / 9, abs=1e-9)


def test_missing_comparisons_are_no_votes():
    rates = VOTES.copy()
    rates[:, 0, :] = rates[:, :, 0] = np.nan
    scores = elect("borda", rates)
    assert scores.tolist() == [0.0, 5.5, 0.5]


# Elo follows battles in their order, and style control needs the lengths of answers.
@pytest.mark.parametrize("method", sorted(set(METHODS) - {"elo", "style_control"}))
def test_every_method_rates_a_clear_order_alike(method):
    table = scores_of([[3, 2, 1], [3, 2, 2], [3, 1, 2], [1, 2, 3]])
    result = rate(table, method)
    assert result.method == method and method in METHOD_NOTES
    assert result.ranks()[0] == 1
    assert np.isfinite(result.ratings).all()
    assert result.status


def test_methods_that_need_every_pair_say_which_is_missing():
    battles = battles_of([("a", "b", 1.0), ("b", "a", 1.0), ("b", "c", 0.5)])
    for method in ("nash_averaging", "alpha_rank"):
        with pytest.raises(DataError, match="'a' and 'c' never met"):
            rate(battles, method)
    with pytest.raises(DataError, match="elo rates battles in their order"):
        rate(scores_of([[1, 0]]), "elo")
