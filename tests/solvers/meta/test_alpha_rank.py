"""Alpha-Rank against OpenSpiel and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import solvers.meta.alpha_rank as alpha_rank
from solvers.meta.alpha_rank import solve_alpha_rank
from solvers.types import SolverError


def openspiel(payoffs, **options):
    alpharank = pytest.importorskip(
        "open_spiel.python.egt.alpharank", exc_type=ImportError, reason="needs matplotlib"
    )
    tables = [payoffs[..., p] for p in range(payoffs.shape[-1])]
    return alpharank.compute(tables, **options)[2].reshape(payoffs.shape[:-1])


def test_better_replies_of_matching_pennies_go_round():
    matrix = np.array([[1.0, -1.0], [-1.0, 1.0]])
    result = solve_alpha_rank(np.stack([matrix, -matrix], axis=-1))
    np.testing.assert_allclose(result.joint, 0.25, atol=1e-12)
    assert result.status == "solved"


def test_a_dominant_profile_is_never_left():
    own = np.array([[3.0, 0.0], [5.0, 1.0]])
    result = solve_alpha_rank(np.stack([own, own.T], axis=-1))
    np.testing.assert_allclose(result.joint, [[0.0, 0.0], [0.0, 1.0]], atol=1e-12)
    assert result.gap == 0.0


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 3, 2)])
@pytest.mark.parametrize("alpha", [0.1, 1.0])
def test_finite_intensity_agrees_with_openspiel(shape, alpha):
    payoffs = np.random.default_rng(sum(shape)).normal(size=(*shape, len(shape)))
    expected = openspiel(payoffs, m=20, alpha=alpha)
    result = solve_alpha_rank(payoffs, alpha=alpha, population_size=20)
    np.testing.assert_allclose(result.joint, expected, atol=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_infinite_intensity_agrees_with_openspiels_noise(seed):
    """Where the limit is taken exactly, OpenSpiel's answer at noise 1e-7 is as near."""
    rng = np.random.default_rng(seed)
    payoffs = rng.integers(-3, 4, size=(3, 3, 2)).astype(float)
    expected = openspiel(payoffs, m=None, alpha=None, use_inf_alpha=True, inf_alpha_eps=1e-7)
    np.testing.assert_allclose(solve_alpha_rank(payoffs).joint, expected, atol=1e-5)


@given(seed=st.integers(0, 1000))
def test_renaming_strategies_and_units_of_payoffs(seed):
    rng = np.random.default_rng(seed)
    payoffs = rng.normal(size=(3, 4, 2))
    orders = [rng.permutation(3), rng.permutation(4)]
    changed = payoffs[np.ix_(*orders)] * rng.uniform(0.1, 10, size=2)
    joint = solve_alpha_rank(payoffs).joint
    np.testing.assert_allclose(solve_alpha_rank(changed).joint, joint[np.ix_(*orders)], atol=1e-6)


def test_options_and_sizes_out_of_range_are_refused(monkeypatch):
    payoffs = np.random.default_rng(0).normal(size=(3, 3, 2))
    with pytest.raises(ValueError, match="positive intensity"):
        solve_alpha_rank(payoffs, alpha=0.0)
    with pytest.raises(ValueError, match=r"between 0 and 0\.5"):
        solve_alpha_rank(payoffs, noise=0.7)
    monkeypatch.setattr(alpha_rank, "MAX_FACTORISED", 4)
    with pytest.raises(SolverError, match="9 recurrent profiles; at most 4"):
        solve_alpha_rank(payoffs, alpha=1.0)
