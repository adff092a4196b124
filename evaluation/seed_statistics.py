"""What several seeds say of one method: median, interquartile mean and the worst, with intervals.

The interquartile mean and its percentile bootstrap over runs are those of Agarwal et al. 2021
(arXiv 2108.13264), "Deep Reinforcement Learning at the Edge of the Statistical Precipice", and of
their program rliable, for one task: the mean of the middle half of the runs, which an outlier moves
less than the mean and which varies less than the median.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import scipy.stats
from jaxtyping import Float64

LEVEL = 0.95
DRAWS = 10_000
Interval = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class SeedStatistics:
    """Figures of a number that every run has, where less is better.

    Attributes:
      count: of runs.
      median: of them.
      iqm: interquartile mean.
      median_interval: 95 % percentile bootstrap; `None` from one run.
      iqm_interval: likewise.
      best: least.
      worst: greatest.
    """

    count: int
    median: float
    iqm: float
    median_interval: Interval | None
    iqm_interval: Interval | None
    best: float
    worst: float


def seed_statistics(
    values: Sequence[float], *, draws: int = DRAWS, seed: int = 0
) -> SeedStatistics:
    """The statistics of a number.

    Args:
      values: one of each run, at least one, finite.
      draws: bootstrap draws.
      seed: of the draws.

    Raises:
      ValueError: there are none, or one is not finite.
    """
    runs = np.asarray(values, np.float64)
    if runs.ndim != 1 or not len(runs) or not np.isfinite(runs).all():
        raise ValueError(f"values are {runs.tolist()}: expected at least one, all finite")
    return SeedStatistics(
        count=len(runs),
        median=float(np.median(runs)),
        iqm=float(interquartile_mean(runs)),
        median_interval=_interval(runs, np.median, draws, seed),
        iqm_interval=_interval(runs, interquartile_mean, draws, seed),
        best=float(runs.min()),
        worst=float(runs.max()),
    )


def interquartile_mean(
    runs: Float64[np.ndarray, "*B n"], axis: int = -1
) -> Float64[np.ndarray, "*B"] | np.float64:
    """Mean of what is left when a quarter of the runs, rounded down, is cut from either end."""
    return scipy.stats.trim_mean(runs, 0.25, axis=axis)


def _interval(
    runs: Float64[np.ndarray, "n"], statistic: Callable, draws: int, seed: int
) -> Interval | None:
    if len(runs) < 2:
        return None
    found = scipy.stats.bootstrap(
        (runs,),
        statistic,
        n_resamples=draws,
        vectorized=True,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)
