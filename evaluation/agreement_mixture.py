"""Copies, look-alikes and strangers around a prompt, told apart by how much they share with it.

How many features (cells, or words) the prompts of a list share with one of them is a mixture: of
copies the number is binomial, of strangers and of look-alikes beta-binomial. Mixtures are fitted to
many centres at once, by expectation maximisation on the histogram of shared features.
"""

from typing import NamedTuple

import numpy as np
import scipy.special
from jaxtyping import Float64, Int

# Least share of cells or words that copies have in common with their original.
LEAST_AGREEMENT, MOST_AGREEMENT = 0.65, 0.995
# Around prompts whose look-alikes agree in more cells than this, outcomes tell no copies.
MOST_CHANCE = 0.7
# Greatest correlation of a stranger's agreement in two features: more would put strangers into two
# heaps, of which one may be the copies.
MOST_ALIKE = 0.25
# How alike look-alikes are to each other: strength of the beta distribution of their agreement.
ALIKE_STRENGTH = 9.0
# Parts of a feature that counts are rounded to.
FINENESS = 4
# Steps of expectation maximisation.
STEPS = 30


class Agreement(NamedTuple):
    """How many features each prompt of a list shares with each of some centres.

    Attributes:
      counts: shared features, rarer ones counting more, in steps of a quarter, `[C, Q]`.
      num: features of each centre, `[C]`.
      chance: share of features in which a look-alike of each centre agrees; 0 if there are none,
        `[C]`.
    """

    counts: Float64[np.ndarray, "C Q"]
    num: Int[np.ndarray, "C"]
    chance: Float64[np.ndarray, "C"]

    def around(self, centres, prompts) -> "Agreement":
        """Of some prompts with some centres."""
        counts = self.counts[np.ix_(centres, prompts)]
        return Agreement(counts, self.num[centres], self.chance[centres])


class Mixture(NamedTuple):
    """Copies, look-alikes and strangers around each of some centres; every entry `[C]`.

    Attributes:
      copies: share of copies.
      agreement: chance that a copy has a feature of its original.
      alike: share of look-alikes among those that are no copies.
      alpha: first parameter of the beta-binomial of the strangers.
      beta: second one.
    """

    copies: Float64[np.ndarray, "C"]
    agreement: Float64[np.ndarray, "C"]
    alike: Float64[np.ndarray, "C"]
    alpha: Float64[np.ndarray, "C"]
    beta: Float64[np.ndarray, "C"]


def fit_without_copies(agreement: Agreement) -> Mixture:
    """Look-alikes and strangers alone; the share and agreement of copies are where a fit begins."""
    return _without_copies(_grid(agreement))


def fit_around_each(agreement: Agreement) -> tuple[Mixture, Float64[np.ndarray, "C"]]:
    """The mixtures around the prompts themselves, and what copies gain in them, in nats.

    Args:
      agreement: of a list of prompts with each other; a prompt is not counted around itself.
    """
    grid = _grid(agreement, exclude_self=True)
    total = grid.histogram.sum(axis=1)
    mixture = _without_copies(grid)
    alike, strange = grid.others(mixture)
    others = np.logaddexp(alike, strange)
    alone = np.sum(grid.histogram * others, axis=1)
    for _ in range(STEPS):
        odds = np.log(mixture.copies) - np.log1p(-mixture.copies)
        own = grid.histogram * scipy.special.expit(odds[:, None] + grid.copies(mixture) - others)
        rest = grid.histogram - own
        look_alikes = rest * scipy.special.expit(alike - strange)
        mass, left = own.sum(axis=1), np.maximum(rest.sum(axis=1), 1e-300)
        agreed = (own @ grid.shared) / np.maximum(mass * grid.num, 1e-300)
        mixture = Mixture(
            np.clip(mass / total, 1e-9, 0.9),
            np.clip(agreed, LEAST_AGREEMENT, MOST_AGREEMENT),
            np.clip(look_alikes.sum(axis=1) / left, 0.0, 0.95),
            *_beta_binomial(grid, rest - look_alikes),
        )
        alike, strange = grid.others(mixture)
        others = np.logaddexp(alike, strange)
    log_copies = np.log(mixture.copies)[:, None] + grid.copies(mixture)
    log_others = np.log1p(-mixture.copies)[:, None] + others
    value = np.sum(grid.histogram * np.logaddexp(log_copies, log_others), axis=1)
    return mixture, value - alone


def log_odds(mixture: Mixture, agreement: Agreement) -> Float64[np.ndarray, "C Q"]:
    """The odds that each prompt is a copy of each centre, in nats."""
    odds = np.log(mixture.copies) - np.log1p(-mixture.copies)
    return odds[:, None] + log_ratio(mixture, agreement)


def log_ratio(mixture: Mixture, agreement: Agreement) -> Float64[np.ndarray, "C Q"]:
    """How much likelier each prompt's agreement is of a copy than of another prompt, in nats."""
    shared = agreement.counts
    rest = np.maximum(agreement.num[:, None] - shared, 0)
    log_alike = _log_alike(shared, rest, agreement)
    others = np.logaddexp(*_others(mixture, shared, rest, agreement.num, log_alike))
    ratio = _log_copies(mixture, shared, rest) - others
    # Where cells tell nothing, words may.
    return np.where(agreement.chance[:, None] > MOST_CHANCE, 0.0, ratio)


class _Grid(NamedTuple):
    """How many prompts share so many features with each centre, for all numbers that occur.

    Attributes:
      histogram: numbers of prompts, `[C, U]`.
      shared: numbers of features, `[U]`.
      rest: features of each centre that are not shared, `[C, U]`.
      num: features of each centre, `[C]`.
      has_alike: whether a centre has look-alikes, `[C]`.
      log_alike: log-probability that a look-alike shares so many, `[C, U]`.
    """

    histogram: Float64[np.ndarray, "C U"]
    shared: Float64[np.ndarray, "U"]
    rest: Float64[np.ndarray, "C U"]
    num: Int[np.ndarray, "C"]
    has_alike: np.ndarray
    log_alike: Float64[np.ndarray, "C U"]

    def copies(self, mixture: Mixture) -> Float64[np.ndarray, "C U"]:
        return _log_copies(mixture, self.shared, self.rest)

    def others(self, mixture: Mixture):
        return _others(mixture, self.shared, self.rest, self.num, self.log_alike)


def _grid(agreement: Agreement, *, exclude_self: bool = False) -> _Grid:
    width = int(agreement.num.max()) * FINENESS + 1
    size = len(agreement.counts)
    cells = np.arange(size)[:, None] * width + (agreement.counts * FINENESS).astype(int)
    histogram = np.bincount(cells.ravel(), minlength=size * width).reshape(-1, width).astype(float)
    if exclude_self:
        histogram[np.arange(size), agreement.num * FINENESS] -= 1
    used = np.flatnonzero(histogram.any(axis=0))
    shared = used / FINENESS
    rest = np.maximum(agreement.num[:, None] - shared, 0)
    log_alike = _log_alike(shared, rest, agreement)
    has_alike = agreement.chance > 0
    return _Grid(histogram[:, used], shared, rest, agreement.num, has_alike, log_alike)


def _without_copies(grid: _Grid) -> Mixture:
    size = len(grid.histogram)
    total = np.maximum(grid.histogram.sum(axis=1), 1e-300)
    mixture = Mixture(
        np.full(size, 0.02),
        np.full(size, 0.9),
        np.where(grid.has_alike, 0.05, 0.0),
        *_beta_binomial(grid, grid.histogram),
    )
    for _ in range(STEPS):
        alike, strange = grid.others(mixture)
        own = grid.histogram * scipy.special.expit(alike - strange)
        mixture = mixture._replace(alike=np.clip(own.sum(axis=1) / total, 0.0, 0.95))
        alpha, beta = _beta_binomial(grid, grid.histogram - own)
        mixture = mixture._replace(alpha=alpha, beta=beta)
    return mixture


def _log_copies(mixture, shared, rest):
    """Log-probability that a copy shares so many of a centre's features, up to a constant."""
    agreement = mixture.agreement[:, None]
    return shared * np.log(agreement) + rest * np.log1p(-agreement)


def _others(mixture, shared, rest, num, log_alike):
    """The same of look-alikes and of strangers, with their shares among the prompts."""
    strange = _log_beta_binomial(shared, rest, num, mixture.alpha, mixture.beta)
    with np.errstate(divide="ignore"):
        return (
            np.log(mixture.alike)[:, None] + log_alike,
            np.log1p(-mixture.alike)[:, None] + strange,
        )


def _log_alike(shared, rest, agreement):
    chance = np.clip(agreement.chance, 1e-3, 1 - 1e-3)
    alpha, beta = chance * ALIKE_STRENGTH, (1 - chance) * ALIKE_STRENGTH
    return _log_beta_binomial(shared, rest, agreement.num, alpha, beta)


def _log_beta_binomial(shared, rest, num, alpha, beta):
    """`log B(shared + alpha, rest + beta) / B(alpha, beta)`; `betaln` would take twice as long."""
    gammaln, betaln = scipy.special.gammaln, scipy.special.betaln
    constant = gammaln(num + alpha + beta) + betaln(alpha, beta)
    found = gammaln(shared + alpha[:, None]) + gammaln(rest + beta[:, None])
    return found - constant[:, None]


def _beta_binomial(grid, histogram):
    """Parameters of the beta-binomial of the same mean and variance."""
    shared, num = grid.shared, np.maximum(grid.num, 1)
    total = np.maximum(histogram.sum(axis=1), 1e-300)
    mean = np.clip(histogram @ shared / total / num, 1e-3, 1 - 1e-3)
    off = shared[None, :] / num[:, None] - mean[:, None]
    variance = np.sum(histogram * off**2, axis=1) / total
    spread = variance / (mean * (1 - mean))
    # Of independent features the spread is 1 / num, of one and the same it is 1.
    correlation = np.clip((spread - 1 / num) / np.maximum(1 - 1 / num, 1e-9), 1e-3, MOST_ALIKE)
    strength = 1 / correlation - 1
    return mean * strength, (1 - mean) * strength
