"""Two policies as one: one gets up, the other plays.

Haarnoja et al. 2024 (arXiv 2304.13653) distil their teachers by a set U of upright states: in it
the soccer teacher is followed, outside it the one that gets up. Here the teachers themselves play
like that, without distillation, which is the least that a distilled policy has to reach.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int, Int64

from games.types import Policy
from soccer import observations
from soccer.bots import DOWN_TILT
from soccer.rewards import UPRIGHT_TILT

# A robot that was down is up again once it has been upright for so many control steps.
STEADY = 4

# Who learns from both teachers remembers nothing: to it a robot is down that has tilted by more
# than this, radians, at any of the moments that it is shown.
DOWN_LATELY = 0.3

_GRAVITIES = [place for name, _, place in observations.layout() if name.startswith("gravity[")]
_GRAVITY = _GRAVITIES[0]


class Memory(NamedTuple):
    """What a chain remembers, by lane.

    Attributes:
      down: whether the robot gets up.
      upright: control steps for which it has been upright.
      gets_up: memory of the policy that gets up.
      plays: of the one that plays.
    """

    down: Bool[np.ndarray, "B"]
    upright: Int64[np.ndarray, "B"]
    gets_up: Any
    plays: Any


class Chained:
    """Gets up by one policy where the robot is down, plays by the other where it is not.

    A robot is down from a tilt of `DOWN_TILT` on, until it has tilted less than `UPRIGHT_TILT` for
    `STEADY` control steps. Whoever takes over begins as at the start of an episode.
    """

    def __init__(self, gets_up: Policy, plays: Policy) -> None:
        self._gets_up, self._plays = gets_up, plays

    def initial_memory(self, batch: int) -> Memory:
        """See `games.types.Policy`."""
        return Memory(
            np.zeros(batch, bool),
            np.zeros(batch, np.int64),
            self._gets_up.initial_memory(batch),
            self._plays.initial_memory(batch),
        )

    def act(
        self, memory: Memory, observation: Any, mask: Any, key: Any
    ) -> tuple[Float32[np.ndarray, "B 20"], Float32[np.ndarray, "B"], Memory]:
        """See `games.types.Policy`; both are given the key."""
        gravity = np.asarray(observation)[:, _GRAVITY]
        tilt = np.arccos(np.clip(-gravity[:, 2], -1, 1))
        upright = np.where(tilt < UPRIGHT_TILT, memory.upright + 1, 0)
        down = np.where(memory.down, upright < STEADY, tilt > DOWN_TILT)
        up_action, up_likely, gets_up = self._gets_up.act(memory.gets_up, observation, mask, key)
        action, likely, plays = self._plays.act(memory.plays, observation, mask, key)
        fresh = self.initial_memory(len(down))
        after = Memory(
            down,
            upright,
            _where(down, gets_up, fresh.gets_up),
            _where(down, fresh.plays, plays),
        )
        chosen = np.where(down[:, None], np.asarray(up_action), np.asarray(action))
        return chosen, np.where(down, np.asarray(up_likely), np.asarray(likely)), after


def by_being_down(observation: Float[Array | np.ndarray, "O"]) -> Int[Array, ""]:
    """Which of two teachers holds, by an observation of any task: 0 where the robot is down or was
    so lately, who gets up, else 1, who plays.

    `learner.teacher_choice` asks for a function of what is observed alone. That is five steps, in
    which the tilt of a robot on its feet stays below `DOWN_LATELY`.
    """
    upward = jnp.stack([-observation[place.start + 2] for place in _GRAVITIES])
    return (upward.min() > jnp.cos(DOWN_LATELY)).astype(jnp.int32)


def _where(mask: Bool[np.ndarray, "B"], one: Any, other: Any) -> Any:
    """Memories of some lanes from one, of the rest from the other."""

    def pick(a: Any, b: Any) -> np.ndarray:
        a = np.asarray(a)
        return np.where(mask.reshape(-1, *(1,) * (a.ndim - 1)), a, np.asarray(b))

    return jax.tree.map(pick, one, other)
