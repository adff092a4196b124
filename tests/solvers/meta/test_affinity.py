"""Affinity entropy: clone identities, and distances in closed form against their definition."""

import numpy as np
import pytest
import scipy.optimize

from solvers.meta.affinity import (
    affinity_entropy,
    affinity_kernel,
    max_affinity_entropy,
    payoff_distances,
)

CLONES = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])


@pytest.mark.parametrize(
    ("order", "entropy"), [(0, 1.0296530), (0.25, 0.8951156), (0.5, 0.7853742), (1, 0.62)]
)
def test_copies_only_add_up(order, entropy):
    """Masses (.2, .3, .5), the last split over two copies, have the entropy of three strategies."""
    whole = affinity_entropy(np.eye(3), np.array([0.2, 0.3, 0.5]), order=order)
    split = affinity_entropy(CLONES, np.array([0.2, 0.3, 0.1, 0.4]), order=order)
    assert whole == pytest.approx(entropy, abs=1e-7)
    assert split == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize("order", [0, 0.5, 1])
def test_pure_strategies_have_no_entropy(order):
    kernel = affinity_kernel(np.abs(np.subtract.outer(np.arange(4.0), np.arange(4))) ** 2, 1.0)
    for k in range(4):
        assert affinity_entropy(kernel, np.eye(4)[k], order=order) == pytest.approx(0, abs=1e-12)


def test_distances_are_means_over_random_opponents():
    """A sum over all pairs of opponents' profiles with the second moments of the Dirichlet."""
    payoffs = np.random.default_rng(0).normal(size=(3, 2, 4, 3))

    def moments(k):
        return (np.eye(k) + 1) / (k * (k + 1))

    expected = np.zeros((3, 3))
    for a in range(3):
        for b in range(3):
            difference = payoffs[a] - payoffs[b]
            for p in range(3):
                d = difference[..., p]
                expected[a, b] += (
                    np.einsum("jl,mn,jm,ln->", d, d, moments(2), moments(4), optimize=True) / 3
                )
    assert payoff_distances(payoffs, 0) == pytest.approx(expected, abs=1e-12)


def test_distances_agree_with_sampled_opponents():
    """100,000 samples: a standard error below 1 %, so that 6 % is a false alarm once in 1e8."""
    rng = np.random.default_rng(1)
    payoffs = rng.normal(size=(4, 3, 2, 3))
    x, y = rng.dirichlet(np.ones(4), 100_000), rng.dirichlet(np.ones(2), 100_000)
    mean = np.einsum("akcp,na,nc->nkp", payoffs, x, y, optimize=True)
    sampled = np.mean((mean[:, 0] - mean[:, 1]) ** 2)
    assert payoff_distances(payoffs, 1)[0, 1] == pytest.approx(sampled, rel=0.06)


def test_greatest_entropy_is_what_scipy_finds():
    rng = np.random.default_rng(2)
    distances = payoff_distances(rng.normal(size=(6, 5, 2)), 0)
    kernel = affinity_kernel(distances, float(np.median(distances)))
    best = max_affinity_entropy(kernel)

    def loss(logits):
        weights = np.exp(logits - logits.max())
        return -affinity_entropy(kernel, weights / weights.sum())

    found = scipy.optimize.minimize(loss, np.zeros(6), tol=1e-14)
    assert affinity_entropy(kernel, best) >= -found.fun - 1e-9
    assert best.sum() == pytest.approx(1)


def test_strangers_weigh_alike_and_near_copies_together():
    assert max_affinity_entropy(np.eye(5)) == pytest.approx(np.full(5, 0.2))
    near = np.array([[1, 0.999, 0], [0.999, 1, 0], [0, 0, 1.0]])
    assert max_affinity_entropy(near) == pytest.approx([1 / 4, 1 / 4, 1 / 2], abs=1e-3)


def test_variance_must_be_positive():
    with pytest.raises(ValueError, match="variance=0 must be positive"):
        affinity_kernel(np.zeros((2, 2)), 0)
