"""Normal and categorical policies against SciPy and numerical integrals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from scipy.integrate import quad

from neupl.action_distribution import CATEGORICAL, FIRST_STD, GAUSSIAN, GREATEST_STD, LEAST_STD

NUMBER, ACTIONS = 5, 3
LEGAL = np.ones((NUMBER, ACTIONS), bool)


@pytest.fixture(scope="module")
def normals():
    """Means, standard deviations and parameters of two policies at five decisions."""
    rng = np.random.default_rng(0)
    outputs = rng.normal(0.0, 2.0, (2, NUMBER, 2 * ACTIONS)).astype(np.float32)
    parameters = np.asarray(GAUSSIAN.parameters(outputs, LEGAL), np.float64)
    return parameters[..., :ACTIONS], np.exp(parameters[..., ACTIONS:]), parameters


def test_density_and_entropy_are_those_of_scipy(normals):
    (mean, _), (std, _), (parameters, _) = normals
    action = np.random.default_rng(1).normal(0.0, 1.0, (NUMBER, ACTIONS))
    expected = scipy.stats.norm(mean, std)
    found = GAUSSIAN.log_prob(parameters, action), GAUSSIAN.entropy(parameters, LEGAL)
    np.testing.assert_allclose(found[0], expected.logpdf(action).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found[1], expected.entropy().sum(axis=1), rtol=1e-5, atol=1e-6)


def integrals(p, q):
    """Divergence of `q` from `p`, and Hellinger's distance."""
    ends = p.mean() - 12 * p.std(), p.mean() + 12 * p.std()
    overlap = quad(lambda x: np.sqrt(p.pdf(x) * q.pdf(x)), *ends, points=[q.mean()])[0]
    kl = quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), *ends)[0]
    return kl, np.sqrt(1 - overlap)


def test_divergence_and_distance_are_their_integrals(normals):
    means, stds, (one, other) = normals
    kl, hellinger = np.zeros((NUMBER, ACTIONS)), np.zeros((NUMBER, ACTIONS))
    for index in np.ndindex(NUMBER, ACTIONS):
        p, q = (scipy.stats.norm(m[index], s[index]) for m, s in zip(means, stds, strict=True))
        kl[index], hellinger[index] = integrals(p, q)
    np.testing.assert_allclose(GAUSSIAN.divergence(one, other, LEGAL), kl.sum(axis=1), rtol=1e-4)
    np.testing.assert_allclose(GAUSSIAN.distance(one, other), hellinger.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(GAUSSIAN.divergence(one, one, LEGAL), 0.0, atol=1e-5)


def test_means_and_deviations_stay_in_their_bounds():
    still = np.asarray(GAUSSIAN.parameters(np.zeros((1, 4)), LEGAL[:1, :2]))
    np.testing.assert_allclose(still, [[0, 0, np.log(FIRST_STD), np.log(FIRST_STD)]], rtol=1e-5)
    for sign in (-1, 1):
        wild = np.asarray(GAUSSIAN.parameters(np.full((1, 4), 100.0 * sign), LEGAL[:1, :2]))
        std = GREATEST_STD if sign > 0 else LEAST_STD
        np.testing.assert_allclose(wild, [[sign, sign, np.log(std), np.log(std)]], atol=1e-5)
    # That of numbers from -1 to 1, all alike.
    uniform = np.asarray(GAUSSIAN.uniform(jnp.asarray(LEGAL[:1, :1])))
    deviation = scipy.stats.uniform(-1, 2).std()
    np.testing.assert_allclose(uniform, [[0.0, np.log(deviation)]], rtol=1e-6)


def test_samples_have_mean_and_deviation(normals):
    """Of 20,000 draws; 5.5 standard errors of 15 means and deviations: false alarms below 1e-6."""
    (mean, _), (std, _), (parameters, _) = normals
    many = np.repeat(parameters, 20_000, axis=0).astype(np.float32)
    drawn = np.asarray(GAUSSIAN.sample(jnp.asarray(many), jax.random.key(0)), np.float64)
    drawn = drawn.reshape(NUMBER, -1, ACTIONS)
    error = 5.5 * std / np.sqrt(drawn.shape[1])
    assert (np.abs(drawn.mean(axis=1) - mean) < error).all()
    assert (np.abs(drawn.std(axis=1) - std) < error).all()


def test_categorical_policies_know_their_legal_actions():
    logits = np.random.default_rng(2).normal(0.0, 1.0, (2, NUMBER, ACTIONS)).astype(np.float32)
    legal = LEGAL.copy()
    legal[0, 1] = False
    one, other = (CATEGORICAL.parameters(jnp.asarray(own), legal) for own in logits)
    p, q = (np.asarray(CATEGORICAL.played(own, legal), np.float64) for own in (one, other))
    assert p[0, 1] == 0
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    entropy = [scipy.stats.entropy(row) for row in p]
    np.testing.assert_allclose(CATEGORICAL.entropy(one, legal), entropy, rtol=1e-5)
    kl = [scipy.stats.entropy(a[m], b[m]) for a, b, m in zip(p, q, legal, strict=True)]
    np.testing.assert_allclose(CATEGORICAL.divergence(one, other, legal), kl, rtol=1e-4, atol=1e-6)
    silenced = CATEGORICAL.silence(one, legal)
    drawn = CATEGORICAL.sample(jnp.tile(silenced[:1], (2000, 1)), jax.random.key(0))
    assert 1 not in np.asarray(drawn)
