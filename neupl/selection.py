"""Which population of a run is kept."""

import numpy as np

from neupl.evaluation import Evaluation
from neupl.training_state import Snapshot, TrainingState

# Standard errors by which an estimate must be greater to count as greater: one-sided 95 %.
SURE = 1.645


def keep_best(
    state: TrainingState, evaluation: Evaluation, *, exact: bool, newest: bool = False
) -> TrainingState:
    """Remembers the population if none before had a smaller NashConv, or always the `newest`
    (`training.keep`). Estimates decide only where
    they can: the newest population is kept unless its gain is shown to be greater than the best's.
    While nobody gets a new row an estimated gain is that of the same response, which has learned
    more since: the newest population is kept, as it is where nobody responds to anybody, and while
    a settled one learns to answer mixtures.
    """
    if newest or (state.hold.any() and not state.respond.any()):
        return state._replace(best=snapshot(state, evaluation))
    error = float(np.hypot(evaluation.gains_error, state.best.gains_error))
    unknown = not np.isfinite(evaluation.gains).all()
    goes_on = not exact and (unknown or np.array_equal(state.best.joint, state.joint))
    if evaluation.nash_conv - SURE * error >= state.best.gains.sum() and not goes_on:
        return state
    return state._replace(best=snapshot(state, evaluation))


def snapshot(state: TrainingState, evaluation: Evaluation) -> Snapshot:
    """The population as it is, with what was found of it."""
    errors = np.broadcast_to(evaluation.payoff_errors, evaluation.payoffs.shape)
    return Snapshot(
        params=state.learner.params,
        joint=state.joint,
        meta_strategy=evaluation.meta_strategy,
        gains=evaluation.gains,
        gains_error=np.float64(evaluation.gains_error),
        payoffs=evaluation.payoffs,
        payoff_errors=errors,
        running_payoffs=evaluation.payoffs,
        running_errors=errors,
        episodes=np.int64(0),
        num_admitted=state.num_admitted,
        step=np.int64(state.learner.step),
    )
