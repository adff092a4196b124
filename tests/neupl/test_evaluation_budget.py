"""Evaluation budgets: worked shares, brute force, SciPy's optimum, what the weights stand for."""

import itertools

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

from neupl.evaluation_budget import allocate, importance

SEEDS = st.integers(0, 2**32 - 1)


def single(values):
    """A game of one seat: its profiles are a list."""
    return np.asarray(values, np.float64)[:, None]


def variance(standard_deviation, count, weights, new):
    """The objective from its definition, as a loop; profiles that weigh nothing cost nothing."""
    total = 0.0
    for profile in itertools.product(*map(range, count.shape)):
        for seat in range(weights.shape[-1]):
            curve = (weights[profile][seat] * standard_deviation[profile][seat]) ** 2
            if curve:
                total += curve / (count[profile] + new[profile])
    return total


def test_neyman_shares_of_new_profiles():
    """Deviations 1, 2 and 3 with equal weights share 60 episodes as 10, 20 and 30."""
    new = allocate(single([1, 2, 3]), np.zeros(3), single([1, 1, 1]), 60, least=1)
    np.testing.assert_array_equal(new, [10, 20, 30])


def test_episodes_already_played_are_counted():
    """The same with 25 episodes of the first: of the other 60, shared 2 to 3, it gets none."""
    new = allocate(single([1, 2, 3]), np.array([25.0, 0, 0]), single([1, 1, 1]), 60, least=1)
    np.testing.assert_array_equal(new, [0, 24, 36])


def test_least_comes_first():
    """The profile without noise is brought to 5 in all; the other gets what is left."""
    new = allocate(single([0, 1]), np.array([2.5, 0]), single([1, 1]), 20, least=5)
    np.testing.assert_array_equal(new, [3, 17])


def test_a_budget_too_small_for_all_goes_to_those_with_fewest():
    """Six episodes raise 0, 2 and 7 to 4, 4 and 7, whatever they weigh."""
    new = allocate(single([1, 9, 1]), np.array([0.0, 2, 7]), single([1, 9, 1]), 6, least=10)
    np.testing.assert_array_equal(new, [4, 2, 0])


def test_fewer_episodes_than_new_profiles():
    new = allocate(single(np.ones(5)), np.zeros(5), single(np.ones(5)), 3, least=1)
    np.testing.assert_array_equal(new, [1, 1, 1, 0, 0])


def test_where_every_return_is_known_counts_are_levelled():
    new = allocate(single([0, 0, 0]), np.array([9.0, 1, 4]), single([1, 1, 0]), 10, least=1)
    np.testing.assert_array_equal(new, [1, 9, 0])


@pytest.mark.parametrize("seed", range(40))
def test_no_other_integers_do_better(seed):
    """All ways of giving nine episodes to four profiles of two seats, fractional counts."""
    rng = np.random.default_rng(seed)
    deviation, weights = rng.random((2, 2, 2, 2)) ** 2
    count = rng.choice([1.0, 1.5, 3.25, 8.0], (2, 2))
    new = allocate(deviation, count, weights, 9, least=1)
    best = min(
        variance(deviation, count, weights, np.reshape(candidate, (2, 2)))
        for candidate in itertools.product(range(10), repeat=4)
        if sum(candidate) == 9
    )
    np.testing.assert_allclose(variance(deviation, count, weights, new), best, rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_large_budgets_reach_the_continuous_optimum(seed):
    """SciPy's optimum over real numbers bounds it from below; rounding costs next to nothing."""
    rng = np.random.default_rng(seed)
    deviation, weights = rng.random((2, 3, 3, 2))
    count = rng.uniform(1, 3000, (3, 3))
    new = allocate(deviation, count, weights, 5000, least=1)
    curvature = ((deviation * weights) ** 2).sum(axis=-1).reshape(-1)
    old = count.reshape(-1)
    solution = scipy.optimize.minimize(
        lambda n: 1e4 * (curvature / (old + n)).sum(),
        np.full(9, 5000 / 9),
        jac=lambda n: -1e4 * curvature / (old + n) ** 2,
        bounds=[(0, None)] * 9,
        constraints={"type": "eq", "fun": lambda n: n.sum() - 5000, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    np.testing.assert_allclose(new.reshape(-1), solution.x, atol=2.0)
    assert variance(deviation, count, weights, new) <= solution.fun / 1e4 * (1 + 1e-6)


@given(
    seed=SEEDS,
    episodes=st.integers(0, 10_000),
    least=st.integers(1, 40),
    spread=st.floats(0, 8),
)
def test_budget_is_spent_to_the_episode_and_least_is_kept(seed, episodes, least, spread):
    rng = np.random.default_rng(seed)
    deviation = 10.0 ** rng.uniform(-spread, spread, (4, 4, 2)) * (rng.random((4, 4, 2)) < 0.8)
    count = np.round(10.0 ** rng.uniform(0, 4, (4, 4)), 1) * (rng.random((4, 4)) < 0.5)
    weights = importance(rng.dirichlet(np.ones(4), 2), 3, 0.01)
    new = allocate(deviation, count, weights, episodes, least=least)
    assert new.sum() == episodes
    assert new.min() >= 0
    assert not new[3].any() and not new[:, 3].any()
    missing = np.ceil(np.maximum(least - count[:3, :3], 0)).sum()
    if missing <= episodes:
        assert (count + new)[:3, :3].min() >= least
    else:
        assert new[count >= least].sum() == 0


@given(seed=SEEDS, factor=st.sampled_from([2.0**-20, 0.5, 1024.0]))
def test_the_unit_of_payoffs_and_weights_does_not_matter(seed, factor):
    rng = np.random.default_rng(seed)
    deviation, weights = rng.random((2, 5, 5, 2))
    count = rng.uniform(0, 50, (5, 5))
    new = allocate(deviation, count, weights, 300, least=2)
    np.testing.assert_array_equal(allocate(factor * deviation, count, weights, 300, least=2), new)
    np.testing.assert_array_equal(allocate(deviation, count, factor * weights, 300, least=2), new)


@given(seed=SEEDS, order=st.permutations(range(4)))
def test_renumbering_the_strategies_renumbers_the_episodes(seed, order):
    rng = np.random.default_rng(seed)
    deviation, weights = rng.random((2, 4, 4, 2))
    count = rng.uniform(0, 50, (4, 4))
    new = allocate(deviation, count, weights, 300, least=2)
    chosen = np.ix_(order, order)
    renumbered = allocate(deviation[chosen], count[chosen], weights[chosen], 300, least=2)
    np.testing.assert_array_equal(renumbered, new[chosen])


def test_importance_by_hand():
    """Row player half, half, nothing; column player all on strategy 2; strategy 3 is outside.

    Seat 0's payoffs count where the column plays 2, seat 1's by the row's weights.
    """
    meta_strategy = np.array([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    weights = importance(meta_strategy, 3, 0.1)
    np.testing.assert_allclose(weights[:3, :3, 0], [[0.1, 0.1, 1.0]] * 3)
    np.testing.assert_allclose(weights[:3, :3, 1], [[0.5] * 3, [0.5] * 3, [0.1] * 3])
    assert not weights[3].any() and not weights[:, 3].any()


def test_weighted_variance_is_that_of_all_deviation_payoffs():
    """Three seats, 20 000 noisy payoff tensors: the summed variance of every strategy's payoff
    against the others' mixtures is the objective without a floor.

    Over 27 independent squares of 20 000 draws its relative error is below 1 %: 5 % is beyond five
    deviations.
    """
    rng = np.random.default_rng(0)
    meta_strategy = rng.dirichlet(np.ones(3), 3)
    deviation, count = rng.random((3, 3, 3, 3)), rng.integers(1, 9, (3, 3, 3)).astype(float)
    noise = rng.normal(size=(20_000, 3, 3, 3, 3)) * deviation / np.sqrt(count)[..., None]
    one, two, three = meta_strategy
    earned = [
        np.einsum("zijk,j,k->zi", noise[..., 0], two, three),
        np.einsum("zijk,i,k->zj", noise[..., 1], one, three),
        np.einsum("zijk,i,j->zk", noise[..., 2], one, two),
    ]
    weights = importance(meta_strategy, 3, 0.0)
    expected = variance(deviation, count, weights, np.zeros((3, 3, 3)))
    np.testing.assert_allclose(sum(seat.var(axis=0).sum() for seat in earned), expected, rtol=0.05)


@pytest.mark.parametrize("num_players", [2, 3])
def test_profiles_that_share_episodes_are_one_claim(num_players):
    """Only ascending profiles are played, and as if the game listed each of them once."""
    rng = np.random.default_rng(num_players)
    shape = (3,) * num_players
    deviation, weights = rng.random((2, *shape, num_players))
    ascending = list(itertools.combinations_with_replacement(range(3), num_players))
    count = rng.uniform(1, 20, shape)
    new = allocate(deviation, count, weights, 500, least=1, symmetric=True)
    claims = [
        np.sqrt(
            sum(
                ((deviation[profile] * weights[profile]) ** 2).sum()
                for profile in set(itertools.permutations(members))
            )
        )
        for members in ascending
    ]
    old = np.array([count[members] for members in ascending])
    listed = allocate(single(claims), old, single(np.ones(len(old))), 500, least=1)
    np.testing.assert_array_equal([new[members] for members in ascending], listed)
    assert new.sum() == 500


@pytest.mark.parametrize(
    ("episodes", "least", "weight", "match"),
    [(-1, 1, 1.0, "episodes=-1"), (5, 0, 1.0, "least=0"), (5, 1, 0.0, "greatest is 0")],
)
def test_budgets_that_cannot_be_spent_are_refused(episodes, least, weight, match):
    with pytest.raises(ValueError, match=match):
        allocate(single([1, 1]), np.zeros(2), single([weight] * 2), episodes, least=least)
