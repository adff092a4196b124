"""How warm responses are, by figures worked out by hand."""

import dataclasses

import numpy as np
import pytest

from neupl.admission import turn_is_over
from neupl.config import Config, TemperatureConfig, TrainingConfig
from neupl.evaluation import Evaluation
from neupl.temperature import temperatures, warmth_after
from neupl.training_state import TrainingState
from neupl.types import LearnerState

ZERO = np.zeros((2, 2, 2))
CONFIG = Config(
    temperature=TemperatureConfig(scale=0.1, floor=0.01, warmth=0.4),
    training=TrainingConfig(max_steps_per_row=40),
)


def state_of(response_number, *, waited):
    """A state `waited` steps after the newest response began."""
    return TrainingState(*[None] * len(TrainingState._fields))._replace(
        learner=LearnerState(None, None, np.int32(100 + waited)),
        response_number=np.array(response_number),
        admitted_step=np.int64(100),
    )


@pytest.mark.parametrize("steps, left", [(0, 0.4), (5, 0.3), (20, 0.0), (40, 0.0)])
def test_warmth_is_gone_after_half_of_the_steps(steps, left):
    assert warmth_after(CONFIG, steps) == pytest.approx(left)


def test_warmth_is_gone_after_the_steps_that_are_asked_for():
    warm = dataclasses.replace(CONFIG.temperature, cooling=8)
    config = dataclasses.replace(CONFIG, temperature=warm)
    assert [warmth_after(config, steps) for steps in (0, 6, 8)] == pytest.approx([0.4, 0.1, 0.0])


def test_the_newest_response_alone_is_warm():
    """5 of 20 steps leave three quarters of the warmth; the range is 2 points."""
    found = temperatures(CONFIG, state_of([0, 1, 2, 0], waited=5), payoff_range=2.0)
    np.testing.assert_allclose(found, [0.2, 0.2, 2 * (0.05 + 0.3), 0.2], rtol=1e-6)


def test_the_first_response_starts_from_an_untrained_network_without():
    found = temperatures(CONFIG, state_of([0, 1, 0, 0], waited=0), payoff_range=2.0)
    np.testing.assert_allclose(found, 0.2, rtol=1e-6)


@pytest.mark.parametrize("waited, over", [(19, False), (20, True)])
def test_a_response_that_is_ready_cools_first(waited, over):
    evaluation = Evaluation(
        payoffs=ZERO, meta_strategy=ZERO[0], gains=ZERO[0, 0], member_distance=0.0, ready=True
    )
    assert turn_is_over(CONFIG, state_of([0, 1, 2, 3], waited=waited), evaluation) == over
