"""Meta-solvers by name."""

import numpy as np
import pytest

from solvers.meta.registry import META_SOLVERS, meta_solver


@pytest.mark.parametrize("name", META_SOLVERS)
def test_every_solver_returns_a_distribution_and_an_honest_gap(name):
    payoffs = np.random.default_rng(0).normal(size=(3, 4))
    payoffs = np.stack([payoffs, -payoffs], axis=-1)
    result = meta_solver(name)(payoffs)
    row, column = result.marginals()
    np.testing.assert_allclose(result.joint, np.outer(row, column), atol=1e-12)
    gap = (payoffs[..., 0] @ column).max() + (row @ payoffs[..., 1]).max()
    assert result.gap == pytest.approx(gap, abs=1e-9)


@pytest.mark.parametrize("name", META_SOLVERS)
def test_every_solver_refuses_missing_payoffs(name):
    with pytest.raises(ValueError, match="NaN"):
        meta_solver(name)(np.full((2, 2, 2), np.nan))


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"did you mean 'nash'.*allowed: nash, uniform, prd"):
        meta_solver("nashh")
