"""How good estimated payoffs are: against fresh episodes, or against exact payoffs.

A standardised error is the difference over the root of both squared errors; for estimates whose
errors are what they say it is standard normal.
"""

from typing import NamedTuple

import numpy as np
import scipy.special
from jaxtyping import Bool, Float


class Calibration(NamedTuple):
    """Agreement of estimates with observations.

    Attributes:
      num: how many estimates were compared.
      bias: mean of prediction minus observation, in game points.
      root_mean_square_error: of the same difference, in game points, the noise of the observations
        included.
      expected_error: what that should be if both standard errors are right, in game points.
      within_one: share of differences within one standard error (68 % if calibrated).
      within_two: share within two (95 % if calibrated).
      coverage_error: mean over all confidence levels of how far the share of observations inside
        the central interval of that level is off it; 0 if calibrated, 1/2 if every interval holds
        its observation in the centre or none does, about `0.3 / sqrt(num)` by chance.
    """

    num: int
    bias: float
    root_mean_square_error: float
    expected_error: float
    within_one: float
    within_two: float
    coverage_error: float

    def describe(self) -> str:
        """The figures in words."""
        return (
            f"{self.root_mean_square_error:.3g} points (root mean square of {self.num} payoffs; "
            f"{self.expected_error:.3g} expected), {self.within_two:.0%} within two standard errors"
        )


class PayoffEstimates(NamedTuple):
    """What a population's payoffs were estimated to be; arrays `[K, ..., K, P]`, in game points.

    Attributes:
      payoffs: from episodes of the finished policies, if there were any; else the running ones.
      errors: their standard errors.
      running: as training had them when the population was kept.
      running_errors: their standard errors.
      apart: which of them are estimates of their own; see `estimated_apart`.
      episodes: of the finished policies; 0 where the run had not come to that.
    """

    payoffs: Float[np.ndarray, "..."]
    errors: Float[np.ndarray, "..."]
    running: Float[np.ndarray, "..."]
    running_errors: Float[np.ndarray, "..."]
    apart: Bool[np.ndarray, "..."]
    episodes: int

    def against_fresh_episodes(self) -> Calibration | None:
        """The running estimates beside those of the finished policies; `None` without these."""
        if not (self.episodes and self.apart.any()):
            return None
        return self._compare(self.running, self.running_errors, self.payoffs, self.errors)

    def against_exact(self, exact: Float[np.ndarray, "..."]) -> dict[str, Calibration]:
        """Estimates beside exact payoffs: `running`, and `measured` by the finished policies."""
        if not self.apart.any():
            return {}
        certain = np.zeros_like(exact)
        found = {"running": self._compare(self.running, self.running_errors, exact, certain)}
        if self.episodes:
            found["measured"] = self._compare(self.payoffs, self.errors, exact, certain)
        return found

    def _compare(self, *given: Float[np.ndarray, "..."]) -> Calibration:
        return calibration(*(part[self.apart] for part in given))


def calibration(
    predicted: Float[np.ndarray, "N"],
    standard_error: Float[np.ndarray, "N"],
    observed: Float[np.ndarray, "N"],
    observed_error: Float[np.ndarray, "N"],
) -> Calibration:
    """Compares estimates with independent observations of the same payoffs.

    Args:
      predicted: estimated payoffs, in game points.
      standard_error: their standard errors, in game points.
      observed: the payoffs from other episodes, or exact ones, in game points.
      observed_error: their standard errors, in game points; 0 where exact.

    Raises:
      ValueError: there is nothing to compare, a value is not finite, or an error is negative.
    """
    if not len(predicted):
        raise ValueError("calibration needs at least one estimate")
    given = np.stack([predicted, standard_error, observed, observed_error]).astype(np.float64)
    if not np.isfinite(given).all() or (given[[1, 3]] < 0).any():
        raise ValueError("calibration needs finite payoffs and finite errors >= 0")
    difference = given[0] - given[2]
    scale = np.hypot(given[1], given[3])
    # Where both claim to be exact they agree perfectly or not at all.
    exact = np.where(difference == 0, 0.0, np.inf)
    distance = np.divide(np.abs(difference), scale, out=exact, where=scale > 0)
    return Calibration(
        num=len(difference),
        bias=float(difference.mean()),
        root_mean_square_error=float(np.sqrt((difference**2).mean())),
        expected_error=float(np.sqrt((scale**2).mean())),
        within_one=float((distance < 1).mean()),
        within_two=float((distance < 2).mean()),
        coverage_error=_coverage_error(distance),
    )


def estimated_apart(
    num_players: int,
    num_strategies: int,
    num_admitted: int,
    *,
    zero_sum: bool,
    symmetric: bool,
) -> Bool[np.ndarray, "... P"]:
    """Which payoffs `[K, ..., K, P]` are estimates of their own: of admitted strategies, and not
    what others already say.

    In a zero-sum game the last seat gets what is left. With seats that share one table, profiles
    that differ only in who sits where are one, with its strategies in ascending order; and in a
    two-player zero-sum game a strategy gets nothing from itself.

    Args:
      num_players: number of seats `P`.
      num_strategies: per seat, `K`.
      num_admitted: the first so many are in the population.
      zero_sum: whether payoffs add up to zero.
      symmetric: whether all seats share one table of strategies.
    """
    profiles = np.indices((num_strategies,) * num_players)
    chosen = (profiles < num_admitted).all(axis=0)
    if symmetric:
        steps = np.diff(profiles, axis=0)
        chosen &= (steps > 0 if zero_sum and num_players == 2 else steps >= 0).all(axis=0)
    seats = np.arange(num_players) < num_players - zero_sum
    return chosen[..., None] & seats


def _coverage_error(distance: Float[np.ndarray, "N"]) -> float:
    """The integral over all levels of `|share of observations inside - level|`.

    An observation is inside the intervals whose level is at least `erf(distance / sqrt(2))`. The
    area between the distribution of these levels and the diagonal is the same along either axis;
    along the shares every level is compared with its own stretch of length `1 / N`.
    """
    level = np.sort(scipy.special.erf(distance / np.sqrt(2)))
    edges = np.linspace(0.0, 1.0, len(level) + 1)
    above, below = level - edges[:-1], edges[1:] - level
    return float((above * np.abs(above) + below * np.abs(below)).sum() / 2)
