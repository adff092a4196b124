"""Comparisons of populations, by worked numbers and by a linear program."""

import numpy as np
import pytest
import scipy.optimize

from evaluation.relative_performance import (
    Cycle,
    effective_diversity,
    effective_number,
    performance_between,
    relative_performance,
    three_cycles,
    transitivity,
)

ROCK_PAPER_SCISSORS = np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]])


def test_rock_paper_scissors_by_hand():
    """The Nash mixture is uniform; it earns 1 in a third of the profiles: diversity 1/3."""
    assert effective_diversity(ROCK_PAPER_SCISSORS) == pytest.approx(1 / 3)
    found = transitivity(ROCK_PAPER_SCISSORS)
    assert found.transitive == 0 and found.cyclic == 1
    # 0 beats 2, 2 beats 1, 1 beats 0.
    assert three_cycles(ROCK_PAPER_SCISSORS) == [Cycle((0, 2, 1), 1.0)]
    assert three_cycles(ROCK_PAPER_SCISSORS, margin=1.0) == []


def test_ratings_explain_a_transitive_comparison_entirely():
    strength = np.array([3.0, 1.0, -4.0])
    found = transitivity(strength[:, None] - strength[None, :])
    assert found.transitive == pytest.approx(1.0)
    np.testing.assert_allclose(found.ratings, strength - strength.mean())
    assert three_cycles(strength[:, None] - strength[None, :]) == []
    assert effective_diversity(strength[:, None] - strength[None, :]) == pytest.approx(0.0)


def test_a_population_without_rock_loses_to_one_with_all():
    """Against {paper, scissors} the whole population can play scissors and rock: by hand, rock
    with weight 1/3 and scissors with 2/3 earn 1/3 against either.
    """
    found = relative_performance(ROCK_PAPER_SCISSORS[:, 1:])
    assert found.value == pytest.approx(1 / 3)
    np.testing.assert_allclose(found.first, [1 / 3, 0, 2 / 3], atol=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_relative_performance_is_the_value_of_a_linear_program(seed):
    payoffs = np.random.default_rng(seed).normal(size=(4, 6))
    # Maximise v with p' A >= v, p a distribution.
    answer = scipy.optimize.linprog(
        [0, 0, 0, 0, -1],
        A_ub=np.hstack([-payoffs.T, np.ones((6, 1))]),
        b_ub=np.zeros(6),
        A_eq=[[1, 1, 1, 1, 0]],
        b_eq=[1],
        bounds=[(0, None)] * 4 + [(None, None)],
    )
    assert relative_performance(payoffs).value == pytest.approx(-answer.fun, abs=1e-8)
    assert relative_performance(-payoffs.T).value == pytest.approx(answer.fun, abs=1e-8)


def test_effective_number_counts_equal_shares():
    assert effective_number(np.array([0.25, 0.25, 0, 0.25, 0.25])) == pytest.approx(4)
    assert effective_number(np.array([1.0, 0.0])) == 1


def test_error_of_a_performance_is_that_of_the_mixtures_found():
    """Matching pennies: both mix evenly, so that a quarter of each error adds up in squares."""
    errors = np.array([[0.1, 0.2], [0.3, 0.4]])
    value, error = performance_between(np.array([[1.0, -1.0], [-1.0, 1.0]]), errors)
    assert value == pytest.approx(0, abs=1e-9)
    assert error == pytest.approx(np.sqrt((errors**2).sum()) / 4)
