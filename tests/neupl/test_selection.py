"""Which population of a run is kept, by figures worked out by hand."""

import numpy as np
import pytest

from neupl.config import TrainingConfig
from neupl.evaluation import Evaluation
from neupl.selection import keep_best
from neupl.training_state import Snapshot, TrainingState
from neupl.types import LearnerState

OLD, NEW = "old parameters", "new parameters"
ZERO = np.zeros((2, 2, 2))


def after_evaluation(gain, *, exact, same_rows, error=0.0, newest=False):
    """Whose parameters are kept where the old population could lose 1 point, the new one `gain`."""
    joint = np.zeros((2, 2, 2))
    joint[:, 1, 0] = 1.0
    best = Snapshot(
        params=OLD, joint=joint if same_rows else 0 * joint, meta_strategy=ZERO[0],
        gains=np.array([0.5, 0.5]), gains_error=np.float64(0), payoffs=ZERO, payoff_errors=ZERO,
        running_payoffs=ZERO, running_errors=ZERO, episodes=np.int64(0), num_admitted=np.int64(2),
        step=np.int64(1),
    )  # fmt: skip
    state = TrainingState(
        learner=LearnerState(NEW, None, np.int32(2)), teacher=None, joint=joint,
        response_number=np.array([0, 1]), respond=np.array([0, 1]), hold=np.zeros(2),
        num_admitted=np.int64(2), admitted_step=np.int64(0), payoffs=ZERO, estimates=None,
        best=best,
    )  # fmt: skip
    evaluation = Evaluation(
        payoffs=ZERO, meta_strategy=ZERO[0], gains=np.full(2, gain / 2), member_distance=0.0,
        gains_error=error, payoff_errors=ZERO,
    )  # fmt: skip
    return keep_best(state, evaluation, exact=exact, newest=newest).best.params


@pytest.mark.parametrize("same_rows", [False, True])
def test_exact_gains_decide(same_rows):
    assert after_evaluation(0.9, exact=True, same_rows=same_rows) == NEW
    assert after_evaluation(1.1, exact=True, same_rows=same_rows) == OLD


def test_estimated_gains_decide_where_they_can():
    """A difference of 1 point is shown by a standard error of 0.5, not by one of 0.7."""
    assert after_evaluation(2.0, exact=False, same_rows=False, error=0.5) == OLD
    assert after_evaluation(2.0, exact=False, same_rows=False, error=0.7) == NEW


def test_a_response_that_goes_on_learning_is_kept_although_it_gains_more():
    assert after_evaluation(9.0, exact=False, same_rows=True) == NEW


def test_newest_is_kept_whatever_it_gains_where_it_is_asked_for():
    assert after_evaluation(9.0, exact=True, same_rows=False, newest=True) == NEW


def test_first_rows_have_a_time_of_their_own():
    training = TrainingConfig(max_steps_per_row=7, steps_of_first_rows=(3, 5))
    assert [training.most_steps(response) for response in (1, 2, 3, 9)] == [3, 5, 7, 7]
