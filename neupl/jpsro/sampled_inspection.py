"""What is known of an iteration that is measured by episodes, and what is carried on from it."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from neupl.jpsro.joint_episodes import Pairs
from neupl.payoff_head import HeadState
from neupl.payoff_statistics import PayoffStatistics
from neupl.sampled_gate import GateHistory
from neupl.selection import SURE


class JointEstimates(NamedTuple):
    """What is carried from one evaluation to the next.

    Attributes:
      statistics: of the payoffs of the frozen strategies.
      history: of the gate: what each response has gained, `[M, P, R]`.
      judged: whether the joint that is responded to is that of the judge.
      idle: whether no seat was shown to gain from the last joint.
      least_gap: the least gap that any joint of the run was estimated to have, in game points.
      least_error: its standard error.
      head: the payoff head; empty where payoffs are the mean returns.
    """

    statistics: PayoffStatistics
    history: GateHistory
    judged: np.ndarray
    idle: np.ndarray
    least_gap: np.ndarray
    least_error: np.ndarray
    head: HeadState | tuple[()] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class SampledInspection:
    """How far an iteration has come, by estimate; in game points.

    Attributes:
      pairs: with and without the responses.
      gain: `[P, R]` of each response, times the probability of its advice.
      gain_error: standard errors.
      strategy_left: `[P]` what the strategies earn less than the responses that they become.
      strategy_error: standard errors.
      drift: `[P, K]` how the payoffs of earlier strategies have changed.
      drift_error: standard errors; infinite where a strategy was not seen.
      divergence: `[P, K]` of earlier strategies from what they were, nats per decision.
      improving: greatest lower bound (95 %) of what a response has improved by over the gate's
        window, in payoff ranges; NaN until the window is full.
      ready: whether the responses are good enough to become strategies.
      over: whether the iteration is.
      estimates: what the evaluator carries on.
    """

    pairs: Pairs
    gain: Float64[np.ndarray, "P R"]
    gain_error: Float64[np.ndarray, "P R"]
    strategy_left: Float64[np.ndarray, "P"]
    strategy_error: Float64[np.ndarray, "P"]
    drift: Float64[np.ndarray, "P K"]
    drift_error: Float64[np.ndarray, "P K"]
    divergence: Float64[np.ndarray, "P K"]
    improving: float
    ready: bool
    over: bool
    estimates: JointEstimates

    @property
    def shown_drift(self) -> float:
        """Largest change of a payoff that is more than noise."""
        return float(np.maximum(np.abs(self.drift) - SURE * self.drift_error, 0.0).max())

    def metrics(self) -> dict[str, float]:
        """What is logged of it."""
        return {
            "train/response_gain": float(np.maximum(self.gain.sum(axis=1), 0.0).sum()),
            "train/response_gain_error": float(np.sqrt((self.gain_error**2).sum())),
            "train/strategy_left": float(self.strategy_left.max()),
            "train/left": self.improving,
            "drift/payoff": self.shown_drift,
            "drift/divergence": float(self.divergence.max()),
        }
