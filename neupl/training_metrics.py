"""What a population run tells about itself at every evaluation."""

from typing import Any

import numpy as np

from neupl.evaluation import Evaluation
from neupl.interaction_graph import effective_size, row_returns
from neupl.training_state import TrainingState


def metrics_line(
    state: TrainingState, evaluation: Evaluation, learner_metrics: dict[str, Any], *, exact: bool
) -> dict[str, float]:
    """What is told of an evaluation.

    Args:
      state: as it was evaluated, with the payoffs of the evaluation before.
      evaluation: of its population.
      learner_metrics: of the last update.
      exact: whether the figures are those of a game tree.
    """
    line = {name: float(value) for name, value in learner_metrics.items()}
    if np.isfinite(evaluation.gains).all():
        line["eval/nash_conv" if exact else "eval/estimated_gain"] = evaluation.nash_conv
        line |= {f"eval/gain_{player}": float(g) for player, g in enumerate(evaluation.gains)}
    if exact:
        line["drift/payoff"] = _payoff_drift(state, evaluation)
    if evaluation.calibration is not None:
        agreement = evaluation.calibration._asdict()
        line |= {f"calibration/{name}": float(value) for name, value in agreement.items()}
    if len(evaluation.meta_strategy) == 1:
        line["eval/mean_return"] = float(evaluation.meta_strategy[0] @ evaluation.payoffs[:, 0])
    earned = row_returns(evaluation.payoffs, state.joint).mean(axis=0)
    for k in np.flatnonzero(state.response_number):
        line[f"eval/against_row_{k}"] = float(earned[k])
    return line | {
        "eval/payoff_over_first": _payoff_over_first(evaluation),
        "train/left": evaluation.left,
        "population/num_admitted": int(state.num_admitted),
        "population/num_responses": int(state.response_number.max()),
        "population/effective_size": effective_size(state.joint, int(state.num_admitted)),
        "population/member_distance": evaluation.member_distance,
    }


def _payoff_drift(state: TrainingState, evaluation: Evaluation) -> float:
    """Largest change since the evaluation before of a payoff between strategies that are older than
    the newest, in game points.
    """
    newest = int(np.argmax(state.response_number))
    earlier = [k for k in range(int(state.num_admitted)) if k != newest]
    change = np.abs(evaluation.payoffs - state.payoffs)
    return float(change[np.ix_(*[earlier] * (change.ndim - 1))].max(initial=0.0))


def _payoff_over_first(evaluation: Evaluation) -> float:
    """What a seat earns by the meta-strategy instead of strategy 0 while the others play strategy
    0, in game points; mean over seats.
    """
    players = len(evaluation.meta_strategy)
    more = 0.0
    for player, mixture in enumerate(evaluation.meta_strategy):
        alone = (0,) * player + (slice(None),) + (0,) * (players - 1 - player)
        own = evaluation.payoffs[..., player][alone]
        more += float(mixture @ own - own[0]) / players
    return more
