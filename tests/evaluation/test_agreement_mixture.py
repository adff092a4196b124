"""The mixture of copies, look-alikes and strangers, against SciPy's distributions."""

import numpy as np
import pytest
import scipy.stats

from evaluation.agreement_mixture import (
    ALIKE_STRENGTH,
    Agreement,
    Mixture,
    fit_around_each,
    log_odds,
    log_ratio,
)


def test_odds_are_those_of_the_binomial_against_two_beta_binomials():
    counts = np.array([[0.0, 3.0, 9.0, 12.0], [1.0, 2.0, 4.0, 5.0]])
    num, chance = np.array([12, 5]), np.array([0.5, 0.3])
    mixture = Mixture(*np.array([[0.1, 0.2], [0.9, 0.8], [0.25, 0.4], [2.0, 3.0], [5.0, 1.5]]))
    expected = np.empty((2, 4))
    for k in range(2):
        alike = scipy.stats.betabinom.pmf(
            counts[k], num[k], ALIKE_STRENGTH * chance[k], ALIKE_STRENGTH * (1 - chance[k])
        )
        strange = scipy.stats.betabinom.pmf(counts[k], num[k], mixture.alpha[k], mixture.beta[k])
        others = mixture.alike[k] * alike + (1 - mixture.alike[k]) * strange
        expected[k] = np.log(
            scipy.stats.binom.pmf(counts[k], num[k], mixture.agreement[k]) / others
        )
    agreement = Agreement(counts, num, chance)
    np.testing.assert_allclose(log_ratio(mixture, agreement), expected, rtol=1e-10)
    prior = np.log(mixture.copies / (1 - mixture.copies))[:, None]
    np.testing.assert_allclose(log_odds(mixture, agreement), expected + prior, rtol=1e-10)


def test_share_and_agreement_of_copies_are_those_that_were_drawn():
    """Sixty copies of one prompt among four hundred, whose strangers are of no other kind."""
    rng = np.random.default_rng(0)
    size, copies, num = 400, 60, 40
    shared = scipy.stats.betabinom.rvs(num, 6, 14, size=(size, size), random_state=rng)
    shared = np.tril(shared, -1) + np.tril(shared, -1).T
    shared[0, 1 : copies + 1] = rng.binomial(num, 0.9, size=copies)
    np.fill_diagonal(shared, num)
    agreement = Agreement(shared.astype(float), np.full(size, num), np.zeros(size))
    mixture, gain = fit_around_each(agreement)
    assert mixture.copies[0] == pytest.approx(copies / (size - 1), rel=0.05)
    assert mixture.agreement[0] == pytest.approx(0.9, abs=0.01)
    assert mixture.alpha[0] / (mixture.alpha[0] + mixture.beta[0]) == pytest.approx(0.3, abs=0.02)
    assert gain[0] > 50 and gain[0] > 10 * gain[1:].max()
    # The gain is a difference of two log-likelihoods on the same data.
    others = np.delete(np.arange(size), 0)
    ratio = log_ratio(
        Mixture(*(values[:1] for values in mixture)), agreement.around(np.arange(1), others)
    )
    share = mixture.copies[0]
    assert np.sum(np.logaddexp(np.log(share) + ratio, np.log1p(-share))) >= gain[0] - 1e-6
