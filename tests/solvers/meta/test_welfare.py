"""Greatest welfare and random vertices against dense linear programs."""

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

from solvers.meta.correlated import solve_correlated
from solvers.meta.welfare import solve_random_vertex, solve_welfare


def greatest(rows, worth, epsilon):
    """The greatest mean of `worth` over the equilibria, by a dense linear program."""
    found = scipy.optimize.linprog(
        -worth.reshape(-1),
        A_ub=rows,
        b_ub=np.full(len(rows), epsilon),
        A_eq=np.ones((1, worth.size)),
        b_eq=[1.0],
        method="highs",
    )
    return -found.fun


def test_chicken_by_hand(chicken):
    """Swerving together is worth 12 but dares a player; the best CE puts 1/2 there and 1/4 on each
    lone dare (Aumann 1987): worth 12/2 + 9/2 = 10.5.
    """
    result = solve_welfare(chicken, concept="ce")
    np.testing.assert_allclose(result.joint, [[0.5, 0.25], [0.25, 0.0]], atol=1e-9)
    assert np.vdot(result.joint, chicken.sum(axis=-1)) == pytest.approx(10.5)


def test_ties_are_shared():
    """Every profile of a constant-sum game is worth the same: the maximum-Gini equilibrium."""
    matrix = np.random.default_rng(0).normal(size=(4, 5))
    payoffs = np.stack([matrix, 1 - matrix], axis=-1)
    for concept in ("cce", "ce"):
        result = solve_welfare(payoffs, concept=concept)
        expected = solve_correlated(payoffs, concept=concept).joint
        np.testing.assert_allclose(result.joint, expected, atol=1e-7)


@pytest.mark.parametrize("concept", ["cce", "ce"])
@pytest.mark.parametrize("shape", [(5, 6), (3, 4, 2), (2, 2, 2, 2)])
@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_welfare_is_that_of_a_dense_program(shape, concept, epsilon, deviation_matrix):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        payoffs = rng.integers(-3, 4, size=(*shape, len(shape))).astype(float)
        worth = payoffs.sum(axis=-1)
        rows = deviation_matrix(payoffs, concept)
        expected = greatest(rows, worth, epsilon)
        for unique in (True, False):
            result = solve_welfare(payoffs, concept=concept, epsilon=epsilon, unique=unique)
            assert np.vdot(result.joint, worth) == pytest.approx(expected, abs=1e-7)
            assert (rows @ result.joint.reshape(-1)).max() <= epsilon + 1e-8
            assert result.status == ("solved" if unique else "solved by a vertex")


@given(seed=st.integers(0, 1000), concept=st.sampled_from(["cce", "ce"]))
def test_the_unique_answer_does_not_depend_on_the_order(seed, concept):
    rng = np.random.default_rng(seed)
    payoffs = rng.integers(-1, 2, size=(3, 4, 2)).astype(float)
    orders = [rng.permutation(3), rng.permutation(4)]
    joint = solve_welfare(payoffs, concept=concept).joint
    renamed = solve_welfare(payoffs[np.ix_(*orders)], concept=concept).joint
    np.testing.assert_allclose(renamed, joint[np.ix_(*orders)], atol=1e-5)


def test_random_vertices_differ_by_seed_and_are_extreme(deviation_matrix):
    """A vertex has no more profiles than independent binding constraints allow: the sum and the
    deviations that gain exactly nothing.
    """
    payoffs = np.random.default_rng(2).normal(size=(4, 4, 2))
    rows = deviation_matrix(payoffs, "cce")
    joints = [solve_random_vertex(payoffs, seed=seed).joint for seed in range(6)]
    assert len({tuple(np.round(j, 6).reshape(-1)) for j in joints}) > 1
    for joint in joints:
        binding = np.count_nonzero(np.abs(rows @ joint.reshape(-1)) < 1e-9)
        assert np.count_nonzero(joint > 1e-9) <= 1 + binding
    again = solve_random_vertex(payoffs, seed=0).joint
    np.testing.assert_array_equal(again, joints[0])


def test_negative_epsilon_is_refused(chicken):
    with pytest.raises(ValueError, match="at least 0"):
        solve_welfare(chicken, epsilon=-1.0)
