"""Scripted players that show robots with a camera what to do, and know what these do not see.

As demonstrators (`learner.imitate: soccer.informed_bots:chaser`) they are shown what critics see: a
policy that sees by `soccer.vision` learns from one that knows where everything is (learning by
cheating, Chen et al. 2019, arXiv 1912.12294).
"""

from typing import Any

import numpy as np
from jaxtyping import Float32

from games.types import Policy
from soccer import bots, observations
from soccer.body import HUMANOID
from soccer.items import size_of

_STACKED = observations.HISTORY * size_of(HUMANOID.stacked)
# What critics see behind the observation of a match of two teams of two is longer than without
# team-mates, by the items of `TEAM` and the flags of what is seen.
_ALONE = size_of(observations.CURRENT)
_WITH_MATES = _ALONE + size_of(observations.TEAM)
_WIDTH_ALONE = _STACKED + _ALONE + 2 + size_of(observations.PRIVILEGED) + _ALONE


def known_observation(shown: Float32[np.ndarray, "B V"]) -> Float32[np.ndarray, "B O"]:
    """What a robot would observe without `vision=1`, of what critics see with it: its own senses,
    and the game exact.
    """
    game = _ALONE if shown.shape[-1] == _WIDTH_ALONE else _WITH_MATES
    return np.concatenate([shown[..., :_STACKED], shown[..., -game:]], axis=-1)


class Informed:
    """A policy of a task without vision that plays in the task with it.

    Attributes:
      reads_privileged: what demonstrators say that are to be shown what critics see.
    """

    reads_privileged = True

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.initial_memory = policy.initial_memory

    def act(self, memory: Any, observation: Any, mask: Any, key: Any) -> tuple[Any, Any, Any]:
        """See `games.types.Policy`; observations are those of `games.critic_view`."""
        return self._policy.act(memory, known_observation(np.asarray(observation)), mask, key)


def walker() -> Informed:
    """Goes to the ball."""
    return Informed(bots.Walker())


def chaser() -> Informed:
    """Goes behind the ball and dribbles it into the goal."""
    return Informed(bots.Chaser())
