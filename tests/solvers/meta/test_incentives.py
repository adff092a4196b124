"""The structured operators against the dense matrix written from the definition."""

import numpy as np
import pytest

from solvers.meta.incentives import incentives


def dense_rows(operator, payoffs, deviation_matrix):
    """The dense matrix in the operator's units and rows; a swap for itself is a row of zeros."""
    shape, concept = payoffs.shape[:-1], type(operator).__name__
    if concept == "CoarseIncentives":
        return deviation_matrix(payoffs, "cce") / operator.scale[operator.player][:, None]
    dense = deviation_matrix(payoffs, "ce")
    rows = np.zeros((len(operator.player), dense.shape[1]))
    line = first = 0
    for size in shape:
        for played in range(size):
            for drawn in range(size):
                if drawn != played:
                    rows[first + drawn * size + played] = dense[line]
                    line += 1
        first += size * size
    return rows / operator.scale[operator.player][:, None]


@pytest.mark.parametrize("shape", [(4,), (3, 5), (5, 1), (3, 2, 4), (2, 3, 2, 3)])
@pytest.mark.parametrize("concept", ["cce", "ce"])
def test_operators_are_the_matrix_of_the_definition(shape, concept, deviation_matrix):
    rng = np.random.default_rng(len(shape))
    payoffs = rng.normal(size=(*shape, len(shape))) * 10.0 ** np.arange(len(shape))
    operator = incentives(payoffs, concept)
    dense = dense_rows(operator, payoffs, deviation_matrix)
    joint, weights = rng.random(shape), rng.random(shape)
    duals = rng.random(len(operator.player))
    np.testing.assert_allclose(operator.gains(joint), dense @ joint.reshape(-1), atol=1e-12)
    np.testing.assert_allclose(operator.prices(duals).reshape(-1), duals @ dense, atol=1e-12)
    rows = np.flatnonzero(rng.random(len(dense)) < 0.7)
    expected = (dense[rows] * weights.reshape(-1)) @ dense[rows].T
    np.testing.assert_allclose(operator.gram(weights, rows), expected, atol=1e-11)


def test_units_make_gains_at_most_one():
    payoffs = 1e6 * np.random.default_rng(0).normal(size=(4, 4, 2))
    for concept in ("cce", "ce"):
        operator = incentives(payoffs, concept)
        pure = np.zeros((4, 4))
        pure[1, 2] = 1.0
        assert np.abs(operator.gains(pure)).max() <= 1.0


def test_a_player_without_influence_has_no_constraints():
    payoffs = np.zeros((3, 2, 2))
    payoffs[..., 0] = [[1.0, 5.0]] * 3
    payoffs[..., 1] = [[0.0, 1.0]] * 3
    for concept in ("cce", "ce"):
        operator = incentives(payoffs, concept)
        assert not operator.binds[operator.player == 0].any()
        assert operator.binds[operator.player == 1].any()


def test_swaps_that_always_lose_are_no_constraints():
    payoffs = np.zeros((2, 2, 2))
    payoffs[1, :, 0] = 1.0
    operator = incentives(payoffs, "ce")
    assert operator.binds.reshape(2, 2, 2)[0].tolist() == [[False, True], [False, False]]


def test_unknown_concept_is_refused():
    with pytest.raises(ValueError, match="neither 'cce' nor 'ce'"):
        incentives(np.zeros((2, 2, 2)), "nash")
