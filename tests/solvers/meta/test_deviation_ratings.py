"""Deviation ratings: worked games, the full linear programs, invariances."""

import numpy as np
import pytest
import scipy.optimize

from solvers.meta.deviation import deviation_values
from solvers.meta.deviation_ratings import solve_deviation_ratings


def full_programs(payoffs: np.ndarray) -> list[np.ndarray]:
    """The definition: all profiles in one linear program per level, frozen where duals are
    positive.
    """
    shape = payoffs.shape[:-1]
    rows, owners = [], []
    for player in range(len(shape)):
        for k in range(shape[player]):
            utility = payoffs[..., player]
            rows.append((np.take(utility, [k], axis=player) - utility).reshape(-1))
            owners.append(player)
    rows, rating = np.array(rows), np.full(len(rows), np.nan)
    size = rows.shape[1]
    while np.isnan(rating).any():
        rated = ~np.isnan(rating)
        result = scipy.optimize.linprog(
            np.append(np.zeros(size), 1.0),
            A_ub=np.hstack([rows[~rated], -np.ones((np.count_nonzero(~rated), 1))]),
            b_ub=np.zeros(np.count_nonzero(~rated)),
            A_eq=np.hstack(
                [
                    np.vstack([rows[rated], np.ones(size)]),
                    np.zeros((np.count_nonzero(rated) + 1, 1)),
                ]
            ),
            b_eq=np.append(rating[rated], 1.0),
            bounds=[(0, None)] * size + [(None, None)],
        )
        assert result.status == 0
        tight = np.flatnonzero(~rated)[-result.ineqlin.marginals > 1e-6]
        rating[tight] = result.fun
    return [rating[np.array(owners) == player] for player in range(len(shape))]


@pytest.mark.parametrize("shape", [(3, 4), (5, 5), (3, 2, 3), (2, 2, 2, 2)])
def test_ratings_are_those_of_the_full_programs(shape):
    payoffs = np.random.default_rng(sum(shape)).normal(size=(*shape, len(shape)))
    result = solve_deviation_ratings(payoffs)
    for ours, theirs in zip(result.ratings, full_programs(payoffs), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)
    assert result.gap <= 1e-9
    assert result.residual <= 1e-6


def test_the_joint_attains_the_ratings():
    payoffs = np.random.default_rng(0).normal(size=(4, 5, 2))
    result = solve_deviation_ratings(payoffs)
    for player, ratings in enumerate(result.ratings):
        gains = deviation_values(payoffs, result.joint, player)
        gains = gains - np.sum(payoffs[..., player] * result.joint)
        assert gains == pytest.approx(ratings, abs=1e-8)


def test_copies_and_offsets_move_nothing_and_scales_scale():
    payoffs = np.random.default_rng(1).normal(size=(3, 3, 3, 3))
    base = solve_deviation_ratings(payoffs)
    copied = solve_deviation_ratings(payoffs[[0, 1, 2, 1, 1]][:, :, [0, 1, 2, 0]])
    assert copied.ratings[0] == pytest.approx(base.ratings[0][[0, 1, 2, 1, 1]], abs=1e-7)
    assert copied.ratings[1] == pytest.approx(base.ratings[1], abs=1e-7)
    offset = payoffs.copy()
    offset[..., 0] += np.random.default_rng(2).normal(size=(1, 3, 3))
    assert solve_deviation_ratings(offset).ratings[0] == pytest.approx(base.ratings[0], abs=1e-7)
    scaled = solve_deviation_ratings(100 * payoffs).ratings[2]
    assert scaled == pytest.approx(100 * base.ratings[2], abs=1e-5)


def test_stops_once_the_player_is_rated():
    payoffs = np.random.default_rng(3).normal(size=(2, 12, 2))
    whole, part = solve_deviation_ratings(payoffs), solve_deviation_ratings(payoffs, player=0)
    assert part.ratings[0] == pytest.approx(whole.ratings[0], abs=1e-8)
    assert part.levels <= whole.levels
