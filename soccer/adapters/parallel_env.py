"""Games with continuous actions as PettingZoo environments, for learners that are not ours.

`parallel_env("soccer/duel")` is a `pettingzoo.ParallelEnv` of one lane: agents `player_0`,
`player_1` and so on are the seats of the game, observations and actions are its own.
"""

import functools
from typing import Any

import numpy as np

from games.registry import load_lanes
from games.types import GameError, HostGame

INSTALL = "pip install -c constraints.txt -e '.[soccer]'"

try:
    import gymnasium
    import pettingzoo
except ImportError as error:
    raise GameError(f"adapters to PettingZoo need it ({INSTALL}): {error}") from None

Observations = dict[str, np.ndarray]
Infos = dict[str, dict[str, Any]]


def parallel_env(name: str) -> "GameParallelEnv":
    """The environment of a game by its name, such as `soccer/duel(body=boxhead)` or `toy_soccer`.

    Raises:
      GameError: nothing of that name, or its actions are not continuous.
    """
    return GameParallelEnv(load_lanes(name))


class GameParallelEnv(pettingzoo.ParallelEnv):
    """One lane of a `games.types.HostGame`.

    The episode ends for all agents at once: `truncated` at the game's limit of steps, else
    `terminated`. Rewards are those of the game, in game points; there are no infos.
    """

    def __init__(self, game: HostGame) -> None:
        """Starts nothing yet.

        Raises:
          GameError: the game's actions are not continuous, or its seats take turns.
        """
        info = game.info
        if not info.continuous or info.turn_based:
            raise GameError(
                f"{info.name} is not played with continuous actions by all seats at once: it is no "
                "ParallelEnv"
            )
        self.game = game
        self.metadata = {"name": info.name, "render_modes": [], "is_parallelizable": True}
        self.render_mode = None
        self.possible_agents = [f"player_{seat}" for seat in range(info.num_players)]
        self.agents: list[str] = []
        self._states: Any = None
        self._steps = 0
        self._seeds = np.random.default_rng()

    # The spaces of an agent must be the same objects whenever they are asked for.
    @functools.cache  # noqa: B019
    def observation_space(self, agent: str) -> gymnasium.spaces.Box:
        """What an agent sees: any numbers, as many as the game's observation has."""
        size = self.game.info.observation_size[self.possible_agents.index(agent)]
        return gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)

    @functools.cache  # noqa: B019
    def action_space(self, agent: str) -> gymnasium.spaces.Box:
        """What an agent can do: numbers from -1 to 1."""
        size = self.game.info.num_actions[self.possible_agents.index(agent)]
        return gymnasium.spaces.Box(-1.0, 1.0, (size,), np.float32)

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, Infos]:
        """Starts an episode.

        Args:
          seed: of this episode and all that follow until another is given; without one ever, they
            are drawn anew.
          options: not read.
        """
        if seed is not None:
            self._seeds = np.random.default_rng(seed)
        drawn = self._seeds.integers(2**64, size=1, dtype=np.uint64)
        self._states, self._steps = self.game.init(drawn), 0
        self.agents = list(self.possible_agents)
        return self._observed(), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, np.ndarray]
    ) -> tuple[Observations, dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Applies the actions of all agents.

        Raises:
          ValueError: the episode is over, an action is missing, of another shape or not finite.
        """
        if not self.agents:
            raise ValueError("the episode is over, or none was begun: reset first")
        missing = [agent for agent in self.agents if agent not in actions]
        if missing:
            raise ValueError(f"there is no action of {', '.join(missing)}")
        joint = np.stack([np.asarray(actions[agent], np.float32) for agent in self.agents])
        self._states, now = self.game.step(self._states, joint[None])
        self._steps += 1
        agents, over = self.agents, not now.discount[0]
        truncated = over and self._steps >= self.game.info.max_steps
        seen = self._observed()
        if over:
            self.agents = []
        return (
            seen,
            {agent: float(reward) for agent, reward in zip(agents, now.rewards[0], strict=True)},
            dict.fromkeys(agents, over and not truncated),
            dict.fromkeys(agents, truncated),
            {agent: {} for agent in agents},
        )

    def _observed(self) -> Observations:
        seen = self.game.observe(self._states)[0]
        return dict(zip(self.agents, seen, strict=True))
