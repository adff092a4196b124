"""Which population is kept where gaps are estimates."""

import numpy as np
from jaxtyping import Float

from neupl.jpsro.state import JointSnapshot, JointState, KeptEstimates
from neupl.jpsro.types import JointProblem
from neupl.selection import SURE


def keep_newest(problem: JointProblem, state: JointState, candidate: JointSnapshot) -> JointState:
    """Keeps the newest population unless it is shown to be worse.

    Its gap must not be shown to be greater than the least gap of the run: selection by the estimate
    alone would favour the population whose response learned least. Where neither it nor the one
    kept before is shown to have a gap, greater welfare decides.
    """
    kept, (gap, error) = state.best_so_far, gap_estimate(candidate)
    least, least_error = float(state.estimates.least_gap), float(state.estimates.least_error)
    if gap - SURE * np.hypot(error, least_error) > least:
        return state
    nothing = problem.config.jpsro.tolerance * problem.info.payoff_range
    known, known_error = gap_estimate(kept)
    both_nothing = max(gap - SURE * error, known - SURE * known_error) <= nothing
    if both_nothing and candidate.values.sum() < kept.values.sum() - nothing:
        return state
    return state._replace(best_so_far=candidate)


def gap_estimate(best: JointSnapshot) -> tuple[float, float]:
    """Sum of the positive gains, and the standard error of the sum of all."""
    gap = float(np.maximum(best.gains, 0.0).sum())
    return gap, float(np.sqrt((best.estimated.gain_errors**2).sum()))


def snapshot_of(
    state: JointState,
    payoffs: Float[np.ndarray, "... P"],
    payoff_errors: Float[np.ndarray, "... P"],
    gains: Float[np.ndarray, "P"],
    errors: Float[np.ndarray, "P"],
    values: Float[np.ndarray, "P"],
) -> JointSnapshot:
    """The population whose joint was responded to in this iteration."""
    return JointSnapshot(
        params=state.frozen,
        sizes=state.sizes,
        joint=state.joint,
        judged=state.estimates.judged,
        payoffs=payoffs,
        gains=gains,
        values=values,
        mixtures=state.mixtures,
        iteration=state.iteration,
        step=np.int64(state.started),
        estimated=KeptEstimates(
            gain_errors=errors,
            payoff_errors=payoff_errors,
            running_payoffs=payoffs,
            running_errors=payoff_errors,
            episodes=np.int64(0),
        ),
    )
