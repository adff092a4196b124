"""A game as its critics see it: what the players observe, and behind it what they may not.

Critics are asked while a policy is trained, in simulation, where everything is known; the policy
that comes of it sees the observation alone (asymmetric actor-critic, Pinto et al. 2018, arXiv
1710.06542). A game says so by `info.privileged_size` and `observe_privileged`.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from games.types import Game, GameError, GameInfo, HostGame, Mirror, TimeStep


def with_critic_view(game: Game | HostGame) -> Game | HostGame:
    """The same game with observations of `observation_size + privileged_size` numbers.

    Raises:
      GameError: critics may not see more of it than players do.
    """
    if not game.info.privileged_size:
        raise GameError(f"{game.info.name} shows critics no more than players")
    # Protocols are told apart by names alone, and a host game has all those of a `Game`.
    return _HostView(game) if isinstance(game, HostGame) else _JaxView(game)


@dataclasses.dataclass(frozen=True, eq=False)
class _View:
    """What both kinds of games share."""

    game: Any

    @property
    def info(self) -> GameInfo:
        """Of the game, with the sizes of what is shown."""
        info = self.game.info
        wide = tuple(size + info.privileged_size for size in info.observation_size)
        return info._replace(observation_size=wide)

    @property
    def mirror(self) -> Mirror | None:
        """Of what is shown."""
        mirror: Mirror | None = getattr(self.game, "mirror", None)
        if mirror is None:
            return None
        behind = len(mirror.observation_order) + mirror.privileged_order
        return mirror._replace(
            observation_order=np.concatenate([mirror.observation_order, behind]),
            observation_sign=np.concatenate([mirror.observation_sign, mirror.privileged_sign]),
        )


class _JaxView(_View):
    """See `games.types.Game`."""

    def init(self, key: Any) -> Any:
        return self.game.init(key)

    def restart(self, state: Any) -> TimeStep:
        return self.game.restart(state)

    def step(self, state: Any, actions: Any, key: Any) -> tuple[Any, TimeStep]:
        return self.game.step(state, actions, key)

    def observe(self, state: Any, player: Any) -> Any:
        shown = (self.game.observe(state, player), self.game.observe_privileged(state, player))
        return jnp.concatenate(shown)


class _HostView(_View):
    """See `games.types.HostGame`."""

    def init(self, seeds: np.ndarray) -> Any:
        return self.game.init(seeds)

    def restart(self, states: Any) -> TimeStep:
        return self.game.restart(states)

    def step(self, states: Any, actions: np.ndarray) -> tuple[Any, TimeStep]:
        return self.game.step(states, actions)

    def reset_where(self, states: Any, done: np.ndarray) -> tuple[Any, TimeStep]:
        return self.game.reset_where(states, done)

    def observe(self, states: Any) -> np.ndarray:
        shown = (self.game.observe(states), self.game.observe_privileged(states))
        return np.concatenate(shown, axis=-1)
