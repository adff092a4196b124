"""How strongly strategies are drawn to even play: the entropy weights of both population loops."""

import numpy as np
from jaxtyping import Float32

from neupl.config import Config
from neupl.training_state import TrainingState


def temperatures(
    config: Config, state: TrainingState, *, payoff_range: float
) -> Float32[np.ndarray, "K"]:
    """Entropy weights of all strategies, in game points per nat.

    Args:
      config: of the run.
      state: tells how many responses there were, and since when the newest one learns.
      payoff_range: of the game, in game points.
    """
    schedule = config.temperature
    falling = schedule.scale / np.maximum(state.response_number, 1) ** schedule.power
    left = schedule.final ** (int(state.learner.step) / config.training.steps)
    share = np.maximum(falling * left, schedule.floor)
    share[np.argmax(state.response_number)] += warmth_of_newest(config, state)
    return (share * payoff_range).astype(np.float32)


def warmth_of_newest(config: Config, state: TrainingState) -> float:
    """What the newest response has left of the warmth with which it began, as a share of the payoff
    range per nat.

    A response starts as its predecessor plays, and would else try little of what that one has given
    up. The first one starts from an untrained network, which tries everything, without.
    """
    if int(state.response_number.max()) <= 1:
        return 0.0
    return warmth_after(config, int(state.learner.step) - int(state.admitted_step))


def warmth_after(config: Config, steps: int) -> float:
    """Warmth of a response that began so many steps ago, as a share of the payoff range per nat; it
    falls linearly to 0.
    """
    schedule = config.temperature
    cooling = schedule.cooling or config.training.max_steps_per_row / 2
    return schedule.warmth * max(0.0, 1.0 - steps / cooling)
