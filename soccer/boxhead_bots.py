"""Scripted boxheads: the same wishes as those of scripted humanoids, on a wheel.

Each is a `games.Policy` on NumPy arrays, deterministic, of `soccer/duel(body=boxhead)` and
`soccer/team(body=boxhead)`.
"""

from typing import Any

import numpy as np
from jaxtyping import Float32

from soccer import bots, observations
from soccer.bots import Wish
from soccer.boxhead import BOXHEAD

# Turn per radian of the way, and against the present turn; speed per metre of the way, which is
# greatest at 1, and against the present speed.
TURN_GAIN, TURN_DAMPING = 2.0, 0.15
SPEED_GAIN, SPEED_DAMPING = 4.0, 0.5
# Standard deviation of scripts as strategy 0 of a population, the least of a policy.
SINK_STD = 0.05

_PLACE = {name: place for name, _, place in observations.layout(body=BOXHEAD)}
_SPIN, _VELOCITY = _PLACE["angular_velocity[0]"], _PLACE["velocity[0]"]
# What is observed once comes last and is the same for all bodies.
_FIRST_CURRENT = _PLACE["ball"].start
_HUMANOIDS_FIRST_CURRENT = observations.NUM_OBSERVATIONS - observations.size_of(
    observations.CURRENT
)


def stand_still(observation: Any, legal_mask: Any) -> Any:
    """No motion as strategy 0 of a population (`population.sink:
    soccer.boxhead_bots:stand_still`): means `[3]` of 0, then log standard deviations of 0.05.
    """
    import jax.numpy as jnp

    nothing = jnp.zeros(BOXHEAD.num_actions)
    return jnp.concatenate([nothing, nothing + np.log(SINK_STD)])


def chase(observation: Any, legal_mask: Any) -> Any:
    """The chaser as strategy 0 of a population (`population.sink: soccer.boxhead_bots:chase`):
    means and log standard deviations likewise.
    """
    import jax.numpy as jnp

    means = _commands(Chaser.wishes, observation[None])[0]
    return jnp.concatenate([means, jnp.full(len(means), np.log(SINK_STD))])


class Stand:
    """Does nothing."""

    def initial_memory(self, batch: int) -> tuple:
        """See `games.types.Policy`."""
        return ()

    def act(self, memory: tuple, observation: Any, mask: Any, key: Any) -> tuple[Any, Any, tuple]:
        """See `games.types.Policy`; consumes nothing."""
        batch = len(observation)
        return np.zeros((batch, BOXHEAD.num_actions), np.float32), np.zeros(batch, np.float32), ()


class ScriptedBoxhead:
    """Drives to where a scripted humanoid would walk; subclasses say which."""

    wishes: bots.ScriptedRobot

    def initial_memory(self, batch: int) -> tuple:
        """See `games.types.Policy`."""
        return ()

    def act(
        self, memory: tuple, observation: Any, mask: Any, key: Any
    ) -> tuple[Float32[np.ndarray, "B 3"], Float32[np.ndarray, "B"], tuple]:
        """See `games.types.Policy`; consumes nothing."""
        seen = np.asarray(observation)
        actions = _commands(self.wishes, seen)
        return actions.astype(np.float32), np.zeros(len(seen), np.float32), ()


class Chaser(ScriptedBoxhead):
    """Goes behind the ball and pushes it into the goal."""

    wishes = bots.Chaser()


class Keeper(ScriptedBoxhead):
    """Stays between the ball and the own goal, looking at the ball."""

    wishes = bots.Keeper()


BOTS = {"stand": Stand, "chaser": Chaser, "keeper": Keeper}


# Arrays from here on are NumPy's, or JAX's where a script is strategy 0.


def _commands(wishes: bots.ScriptedRobot, seen: Any) -> Any:
    """What a script that wishes so does, `[B, 3]`, at observations `[B, O]`."""
    wish = wishes.wish(_as_humanoids_see(seen))
    return _drive(wish, spin=seen[:, _SPIN][:, 2], speed=seen[:, _VELOCITY][:, 0])


def _as_humanoids_see(observation: Any) -> Any:
    """The places of ball, goals and others where humanoids have them; nothing of a body."""
    xp = observation.__array_namespace__()
    own = xp.zeros((len(observation), _HUMANOIDS_FIRST_CURRENT), np.float32)
    return xp.concatenate([own, observation[:, _FIRST_CURRENT:]], axis=1)


def _drive(wish: Wish, *, spin: Any, speed: Any) -> Any:
    """Turns to the place, or there to where to look, and drives the faster the straighter."""
    xp = wish.place.__array_namespace__()
    distance = xp.linalg.norm(wish.place, axis=1)
    there = distance < wish.near
    way = xp.where(there[:, None], wish.face, wish.place)
    angle = xp.arctan2(way[:, 1], way[:, 0])
    straight = xp.maximum(xp.cos(angle), 0.0) ** 2
    ahead = xp.where(there, 0.0, xp.minimum(SPEED_GAIN * distance, 1.0) * straight)
    actions = xp.stack(
        [
            ahead - SPEED_DAMPING * speed * (1 - straight),
            TURN_GAIN * angle - TURN_DAMPING * spin,
            xp.zeros_like(ahead),
        ],
        axis=1,
    )
    return xp.clip(actions, -1, 1)
