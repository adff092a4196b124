"""Results of solvers: a solution with its residual, and a certificate that says what it means."""

import dataclasses
from typing import Literal

import numpy as np
from jaxtyping import Float64

Quantity = Literal["nash_conv", "exploitability", "cce_gap", "ce_gap", "cce_gain", "mean_return"]
Method = Literal["exact", "sampled", "trained_best_response"]


class SolverError(RuntimeError):
    """A solver stopped short of its tolerance; the message carries the residual reached."""


@dataclasses.dataclass(frozen=True)
class SolverResult:
    """A solution of a normal-form (meta-)game.

    Attributes:
      joint: distribution over profiles `[K_0, ..., K_{P-1}]`.
      concept: the solution concept, e.g. `"nash"`, `"cce"`.
      gap: sum over players of the positive parts of their gains from deviating, in game points.
      status: `"solved"`, or what the solver did instead.
      iterations: iterations of the solver.
      seconds: wall-clock time.
    """

    joint: Float64[np.ndarray, "..."]
    concept: str
    gap: float
    status: str
    iterations: int
    seconds: float

    def marginals(self) -> tuple[Float64[np.ndarray, "K"], ...]:
        """Each player's own distribution over its strategies."""
        axes = range(self.joint.ndim)
        return tuple(self.joint.sum(axis=tuple(a for a in axes if a != p)) for p in axes)


@dataclasses.dataclass(frozen=True)
class Certificate:
    """A number about an object, with how it was obtained.

    Attributes:
      quantity: what was measured; `value` is the sum over players of the positive parts, in game
        points (for exploitability, that sum divided by the number of players). The mean return of a
        player alone is no gap, and has its own sign.
      value: the number.
      per_player: each player's gain from its best response, in game points; may be negative for a
        correlated object.
      object: what was measured, e.g. `"Nash mixture of RUN"`.
      method: exact, sampled, or a lower bound by a trained best response.
      interval: confidence interval of `value`, `None` when exact.
      openspiel_value: the same quantity by OpenSpiel, `None` when it was not asked.
      game: the game's name.
      seconds: wall-clock time of the measurement.
    """

    quantity: Quantity
    value: float
    per_player: tuple[float, ...]
    object: str
    method: Method
    interval: tuple[float, float] | None
    openspiel_value: float | None
    game: str
    seconds: float
