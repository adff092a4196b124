"""Correlated and coarse correlated equilibria of greatest Gini impurity or entropy.

Among the many equilibria the one nearest to an ideal joint is unique: the maximum-Gini (Marris et
al. 2021, arXiv 2106.09435), maximum-entropy (Ortiz et al. 2007) or minimum-relative-entropy one,
also with deviations allowed to gain `epsilon`, or with the least epsilon. Newton's method on the
dual solves games in general position; an interior-point method, followed by Newton steps, the
degenerate meta-games of real populations. Every answer is checked.
"""

import dataclasses
import time
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Real

from solvers.meta.deviation import check_payoffs, deviation_gains, swap_gains
from solvers.meta.divergence import Divergence, Gini, RelativeEntropy
from solvers.meta.dominance import undominated
from solvers.meta.incentives import Concept, Incentives, incentives
from solvers.meta.projection import Projection
from solvers.meta.projector import ACCEPTED, project
from solvers.types import SolverResult


@dataclasses.dataclass(frozen=True)
class CorrelatedResult(SolverResult):
    """A selected correlated equilibrium.

    Attributes:
      epsilon: the gain that deviations were allowed, in game points; for the least epsilon the one
        found, at most 0.
      objective: the Gini impurity `1 - sum of joint^2 / copies`, or minus the relative entropy to
        the target, in nats.
      residual: how far the optimality conditions are from being met (`projection.answer`).
      duals: multipliers of the deviations, a start for a game that differs little.
    """

    epsilon: float
    objective: float
    residual: float
    duals: Float64[np.ndarray, "R"]


def solve_correlated(
    payoffs: Float[np.ndarray, "..."],
    *,
    concept: str = "cce",
    maximise: str = "gini",
    epsilon: float | str = 0.0,
    target: Float[np.ndarray, "..."] | None = None,
    repeats: Sequence[Sequence[int] | Real[np.ndarray, "_"]] | None = None,
    duals: Float64[np.ndarray, "R"] | None = None,
) -> CorrelatedResult:
    """Solves for the (coarse) correlated equilibrium of greatest Gini impurity or entropy.

    Args:
      payoffs: utility of each profile to each player, `[K_0, ..., K_{P-1}, P]`, in game points.
      concept: `"cce"`: no player gains more than epsilon by committing to a strategy before the
        draw; `"ce"`: nor by playing another one whenever some strategy is drawn for it.
      maximise: `"gini"`: `1 - sum of squares`; `"entropy"`: the entropy, or minus the relative
        entropy to `target`.
      epsilon: largest gain of a deviation, in game points, at least 0; `"min"` asks for the best
        `impurity - 2 epsilon` with an epsilon of at most 0 shared by all deviations, among
        undominated strategies (the min-epsilon equilibrium of Marris et al.); `"approx"` is their
        hundredth of the greatest gain of a deviation from uniform play.
      target: the ideal joint `[K_0, ..., K_{P-1}]`, positive, sums to 1; only with entropy; uniform
        by default.
      repeats: per player how many copies each strategy stands for, positive; copies share
        probability as separate strategies would. The answer holds the sums over copies.
      duals: multipliers to start from, as returned for a similar game (`extend_duals`).

    Returns:
      A `CorrelatedResult`. Its status is `"solved"`, or says how far its objective may be from the
      best where multipliers are too large for the digits of a float to tell. Its gap is that of the
      joint itself: at most 1e-9 of the payoff range when epsilon is 0 or `"min"`.

    Raises:
      ValueError: payoffs contain NaN or have a wrong shape, or an option is out of range.
      SolverError: what was found is no equilibrium to 1e-10 of the payoff range, or far from the
        selected one; the message carries the residual reached.
    """
    start = time.perf_counter()
    payoffs = check_payoffs(payoffs)
    copies = _check_repeats(repeats, payoffs.shape[:-1])
    _check_options(payoffs, maximise, epsilon, target)
    if epsilon == "min" and concept == "ce":
        kept = undominated(payoffs)
        if any(len(k) < n for k, n in zip(kept, payoffs.shape, strict=False)):
            return _within(payoffs, kept, maximise=maximise, copies=copies, start=start)
    operator = incentives(payoffs, concept)
    divergence = _divergence(maximise, target, copies)
    share = _row_copies(operator, concept, copies) / operator.scale[operator.player]
    allowed, relief_rates = 0.0, None
    if epsilon == "min":
        relief_rates = share
    elif epsilon == "approx":
        uniform = np.full(operator.shape, 1 / np.prod(operator.shape))
        gains = operator.gains(uniform) * operator.scale[operator.player]
        allowed = 0.01 * max(float(gains.max()), 0.0)
    else:
        allowed = float(epsilon)
    problem = Projection(operator, divergence, allowed * share, relief_rates)
    found = project(problem, duals)
    gains = (deviation_gains if concept == "cce" else swap_gains)(payoffs, found.joint)
    value = divergence.value(found.joint)
    return CorrelatedResult(
        joint=found.joint,
        concept=concept,
        gap=float(np.maximum(gains, 0).sum()),
        status=_status(found.residual),
        iterations=found.iterations,
        seconds=time.perf_counter() - start,
        epsilon=allowed - found.relief,
        objective=1 - 2 * value if maximise == "gini" else -value,
        residual=found.residual,
        duals=found.duals,
    )


def extend_duals(
    duals: Float64[np.ndarray, "R"],
    concept: Concept,
    *,
    shape: tuple[int, ...],
    new_shape: tuple[int, ...],
) -> Float64[np.ndarray, "R2"]:
    """The multipliers of a game as a start for the game with strategies appended.

    Args:
      duals: of the game of `shape`.
      concept: what the duals belong to.
      shape: strategies per player.
      new_shape: no smaller for any player.
    """
    result, first = [], 0
    for before, after in zip(shape, new_shape, strict=True):
        dimensions = 1 if concept == "cce" else 2
        part = duals[first : first + before**dimensions].reshape((before,) * dimensions)
        result.append(np.pad(part, (0, after - before)).reshape(-1))
        first += before**dimensions
    return np.concatenate(result)


def _status(residual):
    if residual <= ACCEPTED:
        return "solved"
    return f"an equilibrium; its objective is within {residual:.1g} of the best, relatively"


def _within(payoffs, kept, *, maximise, copies, start):
    """The least-epsilon correlated equilibrium of the game of the kept strategies."""
    inner = solve_correlated(
        payoffs[np.ix_(*kept)],
        concept="ce",
        maximise=maximise,
        epsilon="min",
        repeats=[c[k] for c, k in zip(copies, kept, strict=True)],
    )
    joint = np.zeros(payoffs.shape[:-1])
    joint[np.ix_(*kept)] = inner.joint
    duals = []
    first = 0
    for own, size in zip(kept, joint.shape, strict=True):
        full = np.zeros((size, size))
        count = len(own) ** 2
        full[np.ix_(own, own)] = inner.duals[first : first + count].reshape(len(own), -1)
        duals.append(full.reshape(-1))
        first += count
    return dataclasses.replace(
        inner,
        joint=joint,
        duals=np.concatenate(duals),
        gap=float(np.maximum(swap_gains(payoffs, joint), 0).sum()),
        seconds=time.perf_counter() - start,
    )


def _divergence(maximise, target, copies) -> Divergence:
    weights = np.ones(())
    for own in copies:
        weights = weights[..., None] * own
    if maximise == "gini":
        return Gini(weights)
    return RelativeEntropy(weights / weights.sum() if target is None else np.array(target, float))


def _row_copies(operator: Incentives, concept, copies):
    """How many rows of the game with copies written out each row stands for."""
    if concept == "cce":
        return np.ones(len(operator.player))
    return np.concatenate([np.repeat(own, len(own)) for own in copies])


def _check_repeats(repeats, shape):
    if repeats is None:
        return [np.ones(k) for k in shape]
    copies = [np.asarray(own, np.float64) for own in repeats]
    if [own.shape for own in copies] != [(k,) for k in shape] or not all(
        np.all(own > 0) and np.isfinite(own).all() for own in copies
    ):
        raise ValueError(
            f"repeats must be positive numbers, {' and '.join(map(str, shape))} of them for the "
            f"{len(shape)} players; got {[own.tolist() for own in copies]}"
        )
    return copies


def _check_options(payoffs, maximise, epsilon, target):
    if maximise not in ("gini", "entropy"):
        raise ValueError(f"maximise={maximise!r} is neither 'gini' nor 'entropy'")
    if isinstance(epsilon, str):
        if epsilon not in ("min", "approx"):
            raise ValueError(f"epsilon={epsilon!r} is neither a number, 'min' nor 'approx'")
    elif not (np.isfinite(epsilon) and epsilon >= 0):
        raise ValueError(f"epsilon={epsilon} must be finite and at least 0 game points")
    if target is None:
        return
    if maximise != "entropy":
        raise ValueError("a target needs maximise='entropy'")
    target = np.asarray(target)
    if (
        target.shape != payoffs.shape[:-1]
        or not np.all(target > 0)
        or not abs(target.sum() - 1) < 1e-9
    ):
        raise ValueError(
            f"target must be a positive distribution of shape {payoffs.shape[:-1]}; got shape "
            f"{target.shape}, least entry {target.min(initial=np.inf):.3g}, sum {target.sum():.9g}"
        )
