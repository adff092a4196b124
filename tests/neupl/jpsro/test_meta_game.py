"""The meta-game: mixtures that advice leaves, and gaps that another path confirms."""

import numpy as np
import pytest

from games.registry import load_tree
from neupl.jpsro.meta_game import (
    MeasuredJoint,
    advice_mixtures,
    better,
    plans_of,
    product_of_marginals,
    rank,
    solve_meta_game,
)
from solvers.correlated_gaps import CorrelatedGains, cce_gap, ce_gap
from solvers.meta.registry import meta_solver
from solvers.types import SolverError

GAME = "kuhn_poker(players=3)"


def random_policies(tree, count, rng):
    tables = np.where(tree.legal_mask, rng.random((count, *tree.legal_mask.shape)), 0.0)
    return tables / tables.sum(axis=-1, keepdims=True)


def measured(gap, values):
    """A joint of two seats, the first of which gains `gap`."""
    values = np.array(values, float)
    found = CorrelatedGains("cce", values + np.array([gap, -1.0]), values, ())
    return MeasuredJoint(np.ones((1, 1)), found)


def test_advice_of_a_two_by_two_joint():
    """Rows of `joint` are seat 0's strategies. Told 0, seat 0 meets strategy 1 of seat 1 with
    probability .3 / .4; told nothing, with the column sums.
    """
    joint = np.array([[0.1, 0.3], [0.6, 0.0]])
    mixtures, heard = advice_mixtures(joint, concept="cce")
    np.testing.assert_allclose(mixtures, [[[0.7, 0.3]], [[0.4, 0.6]]])
    np.testing.assert_allclose(heard, 1.0)
    mixtures, heard = advice_mixtures(joint, concept="ce")
    np.testing.assert_allclose(mixtures[0], [[0.25, 0.75], [1.0, 0.0]])
    np.testing.assert_allclose(mixtures[1], [[1 / 7, 6 / 7], [1.0, 0.0]])
    np.testing.assert_allclose(heard, [[0.4, 0.6], [0.7, 0.3]])


def test_advice_that_is_never_given_leaves_nothing():
    mixtures, heard = advice_mixtures(np.array([[0.0, 0.0], [0.5, 0.5]]), concept="ce")
    assert heard[0, 0] == 0
    assert not mixtures[0, 0].any()


def test_correlation_of_the_coplayers_is_kept(rng):
    joint = rng.random((2, 2, 2))
    joint /= joint.sum()
    mixtures, _ = advice_mixtures(joint, concept="cce")
    np.testing.assert_allclose(mixtures[1, 0], joint.sum(axis=1).reshape(-1))


@pytest.mark.parametrize(("concept", "gap"), [("cce", cce_gap), ("ce", ce_gap)])
def test_gaps_are_those_of_the_policies(concept, gap, rng):
    """Plans, payoffs and the joint are put together as the certificate does from tables."""
    tree = load_tree(GAME)
    policies = random_policies(tree, 3, rng)
    sizes = np.array([3, 1, 2])
    game = solve_meta_game(
        tree, plans_of(tree, policies), sizes,
        concept=concept, solver=meta_solver("uniform"), judge=meta_solver("mwcce"),
    )  # fmt: skip
    for found in (game.solved, game.judged):
        assert found.joint.shape == (3, 1, 2)
        own = [policies[:size] for size in sizes]
        certificate = gap(tree, own, found.joint)
        assert found.gap == pytest.approx(certificate.value, abs=1e-12)
    assert game.payoffs.shape == (3, 1, 2, 3)


def test_product_of_marginals():
    """Two seats that always choose alike, and that choose alike by chance."""
    together = np.array([[0.5, 0.0], [0.0, 0.5]])
    np.testing.assert_allclose(product_of_marginals(together), np.full((2, 2), 0.25))
    alone = np.multiply.outer(np.multiply.outer([0.2, 0.8], [0.5, 0.5]), [0.9, 0.1])
    np.testing.assert_allclose(product_of_marginals(alone), alone)


def test_policies_that_are_not_finite_are_refused(rng):
    tree = load_tree(GAME)
    policies = random_policies(tree, 2, rng)
    policies[1, 3, 0] = np.nan
    with pytest.raises(FloatingPointError, match="NaN"):
        plans_of(tree, policies)


def test_the_smaller_gap_wins_and_welfare_decides_between_equilibria():
    wide, narrow = measured(0.5, [9, 9]), measured(0.2, [0, 0])
    assert better(wide, narrow, nothing=0.01) is narrow
    poor, rich = measured(0.004, [1, 1]), measured(0.009, [2, 2])
    assert better(poor, rich, nothing=0.01) is rich
    assert better(poor, rich, nothing=0.005) is poor
    assert better(poor, None, nothing=0.01) is poor
    # One seat's loss does not pay for another's gain.
    assert rank(measured(0.3, [0, 0]), nothing=0.1)[0] == -0.3
    alike, better_kept = measured(0.004, [1, 1]), measured(0.001, [1, 1])
    assert better(alike, better_kept, nothing=0.01) is better_kept


def test_the_judge_stands_in_where_the_meta_solver_fails(rng):
    tree = load_tree(GAME)
    plans, sizes = plans_of(tree, random_policies(tree, 2, rng)), np.array([2, 2, 2])

    def fails(payoffs):
        raise SolverError("no equilibrium within 1e-8")

    judge = meta_solver("mwcce")
    game = solve_meta_game(tree, plans, sizes, concept="cce", solver=fails, judge=judge)
    assert game.solved is game.judged
    np.testing.assert_allclose(game.solved.joint.sum(), 1)
    with pytest.raises(SolverError, match="within 1e-8"):
        solve_meta_game(tree, plans, sizes, concept="cce", solver=fails, judge=None)
    with pytest.raises(SolverError, match="within 1e-8"):
        solve_meta_game(tree, plans, sizes, concept="cce", solver=fails, judge=fails)
