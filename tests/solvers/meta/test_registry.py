"""Every meta-solver by name: distributions, honest gaps, one check of payoffs, descriptions."""

import numpy as np
import pytest

from solvers.meta.registry import META_SOLVER_NOTES, META_SOLVERS, meta_solver

EXACT = {"nash", "lle", "bimatrix", "mgcce", "mecce", "min_epsilon_mgcce", "mwcce", "rvcce"}
EXACT_SWAPS = {"mgce", "mece", "min_epsilon_mgce", "mwce", "rvce"}
SLOW = {"prd"}
ZERO_SUM_ONLY, TWO_PLAYERS_ONLY = {"nash"}, {"nash", "bimatrix"}


def slow_gains(payoffs, joint, *, swaps):
    """Gains from the best single deviation, or from the best swap of every strategy, by loops."""
    gains = []
    for player, size in enumerate(payoffs.shape[:-1]):
        table = np.zeros((size, size))
        for profile in np.ndindex(joint.shape):
            for played in range(size):
                other = (*profile[:player], played, *profile[player + 1 :])
                change = payoffs[(*other, player)] - payoffs[(*profile, player)]
                table[profile[player], played] += joint[profile] * change
        gains.append(table.max(axis=1).sum() if swaps else table.sum(axis=0).max())
    return np.array(gains)


def games(name):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(3, 4))
    yield np.stack([matrix, 2.0 - matrix], axis=-1)
    if name not in ZERO_SUM_ONLY:
        yield rng.normal(size=(3, 2, 2))
    if name not in TWO_PLAYERS_ONLY | SLOW:
        yield rng.normal(size=(2, 3, 2, 3))
        yield rng.normal(size=(3, 1))


@pytest.mark.parametrize("name", META_SOLVERS)
def test_every_solver_returns_a_distribution_and_an_honest_gap(name):
    for payoffs in games(name):
        result = meta_solver(name)(payoffs)
        assert result.joint.shape == payoffs.shape[:-1]
        assert (result.joint >= 0).all()
        assert result.joint.sum() == pytest.approx(1.0, abs=1e-12)
        gains = slow_gains(payoffs, result.joint, swaps=result.concept == "ce")
        assert result.gap == pytest.approx(np.maximum(gains, 0).sum(), abs=1e-9)
        if name in EXACT | EXACT_SWAPS:
            assert result.gap <= 1e-9 * np.ptp(payoffs)
        if name in EXACT_SWAPS:
            assert result.concept == "ce"
        if result.concept == "nash":
            marginals = result.marginals()
            product = marginals[0]
            for own in marginals[1:]:
                product = product[..., None] * own
            np.testing.assert_allclose(result.joint, product, atol=1e-12)


@pytest.mark.parametrize(
    ("payoffs", "message"),
    [
        (np.full((2, 2, 2), np.nan), "NaN"),
        (np.where(np.eye(2)[..., None] > 0, np.inf, np.zeros((2, 2, 2))), "infinite"),
        (np.zeros((2, 2, 3)), "one axis of strategies per player"),
        (np.zeros((2, 0, 2)), "expected"),
        (np.zeros((0,)), "expected"),
    ],
)
@pytest.mark.parametrize("name", META_SOLVERS)
def test_every_solver_refuses_bad_payoffs(name, payoffs, message):
    with pytest.raises(ValueError, match=message):
        meta_solver(name)(payoffs)


def test_every_solver_has_a_line_of_description():
    assert META_SOLVER_NOTES.keys() == META_SOLVERS.keys()
    assert all(note and "\n" not in note for note in META_SOLVER_NOTES.values())


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"did you mean 'nash'.*allowed: nash, lle, bimatrix"):
        meta_solver("nashh")
