"""What trained best responses gain, from sums over episodes: means, their errors, a lower bound."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64

from solvers.types import Certificate

# Standard errors of a 95 % interval.
Z_95 = 1.959964


class Returns(NamedTuple):
    """Sums over episodes: their number, returns `[P]`, and products of returns `[P, P]`."""

    count: int
    total: Float64[np.ndarray, "P"]
    products: Float64[np.ndarray, "P P"]

    def plus(self, returns: Float[np.ndarray, "B P"]) -> "Returns":
        """With more episodes."""
        more = np.asarray(returns, np.float64)
        return Returns(
            self.count + len(more), self.total + more.sum(axis=0), self.products + more.T @ more
        )

    @property
    def mean(self) -> Float64[np.ndarray, "P"]:
        """Mean return of every seat."""
        return self.total / self.count

    @property
    def covariance(self) -> Float64[np.ndarray, "P P"]:
        """Of those means; at least 2 episodes."""
        spread = self.products / self.count - np.outer(self.mean, self.mean)
        return spread / (self.count - 1)


def no_returns(num_players: int) -> Returns:
    """Before the first episode."""
    return Returns(0, np.zeros(num_players), np.zeros((num_players, num_players)))


def pooled(parts: Sequence[Returns]) -> Returns:
    """Episodes of several parts as one; at least one part."""
    return Returns(*(sum(column[1:], column[0]) for column in zip(*parts, strict=True)))


@dataclasses.dataclass(frozen=True)
class SeatResponse:
    """A seat's response as measured; returns in game points, with standard errors.

    Attributes:
      response: which candidate was chosen: a snapshot, by the share of the training that it had
        seen, as trained or with its likeliest actions; or the mixture itself.
      gain: mean return of the response minus that of the mixture; 0 where that was chosen.
      gain_error: of the gain.
      response_return: of the response against the mixture.
      response_error: of that mean.
      mixture_return: of the mixture itself in this seat.
      mixture_error: of that mean.
      episodes: of the response.
    """

    response: str
    gain: float
    gain_error: float
    response_return: float
    response_error: float
    mixture_return: float
    mixture_error: float
    episodes: int


@dataclasses.dataclass(frozen=True)
class TrainedResponses:
    """A lower bound and what is behind it.

    Attributes:
      certificate: sum of the positive gains, with a 95 % interval (`lower_bound`).
      seats: one response per seat.
      restarts: trainings from different random numbers.
      batches: training batches of all restarts.
      training_episodes: episodes of all training batches.
      seconds: wall-clock time of all stages.
    """

    certificate: Certificate
    seats: tuple[SeatResponse, ...]
    restarts: int
    batches: int
    training_episodes: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The certificate, and the responses."""
        content = dataclasses.asdict(self)
        return {"certificate": content.pop("certificate"), "trained_best_response": content}


def seat_response(seat: int, name: str, response: Returns | None, mixture: Returns) -> SeatResponse:
    """A seat's figures.

    Args:
      seat: which one.
      name: of its response.
      response: what came of it; `None` where the seat is best served by the mixture.
      mixture: what came of the mixture itself.
    """
    own = mixture if response is None else response
    variance, of_mixture = own.covariance[seat, seat], mixture.covariance[seat, seat]
    gain_variance = 0.0 if response is None else variance + of_mixture
    return SeatResponse(
        response=name,
        gain=float(own.mean[seat] - mixture.mean[seat]),
        gain_error=float(np.sqrt(gain_variance)),
        response_return=float(own.mean[seat]),
        response_error=float(np.sqrt(variance)),
        mixture_return=float(mixture.mean[seat]),
        mixture_error=float(np.sqrt(of_mixture)),
        episodes=own.count,
    )


def lower_bound(
    gains: Float64[np.ndarray, "P"],
    response_variance: Float64[np.ndarray, "P"],
    mixture_covariance: Float64[np.ndarray, "P P"],
    *,
    responding: Bool[np.ndarray, "P"],
) -> tuple[float, tuple[float, float]]:
    """Sum of the positive gains, and a 95 % interval of what the responses truly gain in all.

    The mean returns are taken as normal. Those of the mixture are from the same episodes for all
    seats, hence the covariance: in a zero-sum game they cancel from the sum.

    Args:
      gains: of the responses, in game points.
      response_variance: of the mean returns of the responses.
      mixture_covariance: of the mean returns of the mixture.
      responding: `[P]` which seats have a response other than the mixture.
    """
    value = float(np.maximum(gains, 0.0).sum())
    taken = responding.astype(np.float64)
    variance = taken @ response_variance + taken @ mixture_covariance @ taken
    reach = Z_95 * float(np.sqrt(max(variance, 0.0)))
    return value, (max(float(gains @ taken) - reach, 0.0), value + reach)
