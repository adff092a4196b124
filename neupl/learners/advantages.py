"""How much better focal seats did than expected: generalised advantage estimation over their own
decisions (Schulman et al. 2016, arXiv 1506.02438).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32

from neupl.rollout import Trajectory


class LaneAdvantages(NamedTuple):
    """What focal seats did better than expected, in payoff ranges.

    Attributes:
      counts: where there is a decision to learn from.
      advantage: 0 elsewhere.
      value: as it was expected.
      temperature: of the lane.
    """

    counts: Bool[np.ndarray, "T B"]
    advantage: Float32[np.ndarray, "T B"]
    value: Float32[np.ndarray, "T B"]
    temperature: Float32[np.ndarray, "B"]


def lane_advantages(
    trajectory: Trajectory,
    seat: Int32[np.ndarray, "B"],
    temperature: Float[np.ndarray, "B"],
    *,
    payoff_range: float,
    trace: float,
    discount: float = 1.0,
    prior: Float[np.ndarray, "T B"] | None = None,
) -> LaneAdvantages:
    """Advantages over the seat's own decisions, of one or more episodes per lane. The return of a
    decision holds the entropies of the seat's decisions after it, each as the surprise `-log_prob`
    of what was done there. Where the last episode of a lane is cut off, its last decision only
    lends its value to those before.

    Args:
      trajectory: NumPy arrays, values in payoff ranges.
      seat: the focal seat of each lane.
      temperature: of each lane's focal seat, in game points per nat.
      payoff_range: of the game.
      trace: lambda of the estimator; 1 takes returns as they came.
      discount: of what comes after the seat's next decision, gamma; 1 for none.
      prior: log-probabilities that the focal seat's actions have under another policy, relative to
        which they surprise; by default 0.
    """
    lanes = np.arange(len(seat))
    moved = trajectory.to_move[:, lanes, seat]
    reward = trajectory.rewards[:, lanes, seat] / payoff_range
    value = trajectory.value[:, lanes, seat]
    advantage, counts = np.zeros(moved.shape, np.float32), moved.copy()
    temperature = np.asarray(temperature, np.float32) / np.float32(payoff_range)
    relative = trajectory.log_prob[:, lanes, seat] - (0.0 if prior is None else prior)
    surprise = -temperature * relative
    collected = np.zeros(len(lanes), np.float32)
    next_value, next_advantage = np.zeros_like(collected), np.zeros_like(collected)
    cut = trajectory.discount[-1] > 0
    for t in reversed(range(len(moved))):
        # The last row of an episode: what comes after belongs to another one.
        goes_on = trajectory.discount[t] > 0
        cut = cut & goes_on
        collected, next_value, next_advantage = (
            np.where(goes_on, part, np.float32(0))
            for part in (collected, next_value, next_advantage)
        )
        collected += reward[t]
        now = moved[t]
        counts[t] &= ~cut
        delta = collected + discount * next_value - value[t]
        advantage[t] = np.where(counts[t], delta + discount * trace * next_advantage, 0.0)
        next_advantage = np.where(now, advantage[t], next_advantage)
        next_value = np.where(now, value[t] + np.where(cut, 0, surprise[t]), next_value)
        collected = np.where(now, 0.0, collected)
        cut = cut & ~now
    return LaneAdvantages(counts, advantage, value, temperature)
