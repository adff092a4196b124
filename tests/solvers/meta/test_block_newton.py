"""Newton's method in blocks against the methods that treat all rows at once."""

import numpy as np
import pytest

from solvers.meta import projector
from solvers.meta.block_newton import block_newton
from solvers.meta.correlated import solve_correlated
from solvers.meta.divergence import RelativeEntropy
from solvers.meta.incentives import incentives
from solvers.meta.projection import Projection


def problem_of(payoffs: np.ndarray, target: np.ndarray | None = None) -> Projection:
    operator = incentives(payoffs, "ce")
    if target is None:
        target = np.full(operator.shape, 1 / np.prod(operator.shape))
    return Projection(operator, RelativeEntropy(target), np.zeros(len(operator.player)))


@pytest.mark.parametrize("shape", [(9, 3), (3, 8), (12, 3, 3), (2, 7, 3), (2, 2, 2, 5)])
def test_the_equilibrium_is_that_of_the_other_methods(shape):
    rng = np.random.default_rng(sum(shape))
    payoffs = rng.normal(size=(*shape, len(shape)))
    target = rng.dirichlet(np.ones(np.prod(shape))).reshape(shape) + 1e-3
    target /= target.sum()
    problem = problem_of(payoffs, target)
    found = block_newton(problem, np.zeros(len(problem.allowance)), tolerance=1e-10, max_steps=80)
    wanted = solve_correlated(payoffs, concept="ce", maximise="entropy", target=target)
    assert found.residual <= 1e-8
    assert found.joint == pytest.approx(wanted.joint, abs=1e-5)
    assert RelativeEntropy(target).value(found.joint) == pytest.approx(-wanted.objective, abs=1e-7)


def test_copies_of_a_strategy_are_no_obstacle():
    payoffs = np.random.default_rng(0).normal(size=(6, 3, 2))[[0, 1, 2, 3, 4, 5, 5, 5, 2]]
    problem = problem_of(payoffs)
    found = block_newton(problem, np.zeros(len(problem.allowance)), tolerance=1e-10, max_steps=80)
    wanted = solve_correlated(payoffs, concept="ce", maximise="entropy")
    assert found.joint == pytest.approx(wanted.joint, abs=1e-6)


def test_many_pairs_are_solved_in_blocks(monkeypatch):
    """A small game is treated as if it had many."""
    payoffs = np.random.default_rng(1).normal(size=(12, 3, 3, 3))
    plain = solve_correlated(payoffs, concept="ce", maximise="entropy")
    monkeypatch.setattr(projector, "MANY_ROWS", 10)
    blocks = solve_correlated(payoffs, concept="ce", maximise="entropy")
    assert blocks.status == "solved"
    assert blocks.joint == pytest.approx(plain.joint, abs=1e-6)
    again = solve_correlated(payoffs, concept="ce", maximise="entropy", duals=blocks.duals)
    assert again.iterations <= 1
