"""A game of teams as lanes of a game of its players.

What decides for players, and learns, knows no seats. So an episode of a game in which every player
has `n` seats is shown to it as `n` lanes, side by side: lane `j` has the `j`-th seat of every
player. Each seat is asked by what it observes itself and carries a memory of its own; all lanes of
an episode have the same strategies and end together, and in each a player is paid what it is paid
in the game (`games.teams`).
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from games.teams import player_returns, player_seats
from games.types import GameInfo, TimeStep


class TeamLanes:
    """The seats of `B` episodes as `B * n` lanes of `P` players each, and back."""

    def __init__(self, info: GameInfo) -> None:
        """Takes the facts of a game of teams."""
        self._info, self._seats = info, player_seats(info)
        # Where the lanes of an episode, in a row, have each seat.
        self._place = np.argsort(self._seats.reshape(-1))
        self.number = len(self._seats)

    def of_seats(self, array: Any) -> Any:
        """`[B * n, P, *rest]` from `[B, S, *rest]`."""
        seen = array[:, self._seats]
        return seen.reshape(-1, *seen.shape[2:])

    def to_seats(self, array: Any) -> Any:
        """`[B, S, *rest]` from `[B * n, P, *rest]`."""
        return array.reshape(-1, self._seats.size, *array.shape[2:])[:, self._place]

    def of_episodes(self, array: Any) -> Any:
        """`[B * n, *rest]`, the same in all lanes of an episode, from `[B, *rest]`."""
        return array.repeat(self.number, axis=0)

    def paid(self, rewards: Any) -> Any:
        """`[B * n, P]` from what seats are paid, `[B, S]`."""
        return self.of_episodes(player_returns(self._info, rewards))

    def parted(self, memory: Any) -> Any:
        """`[B, n, *rest]` from `[B * n, *rest]`, of every array."""
        return jax.tree.map(lambda x: x.reshape(-1, self.number, *x.shape[1:]), memory)

    def joined(self, memory: Any) -> Any:
        """The other way round."""
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), memory)


class TeamActor:
    """An actor of players as one of seats; see `neupl.rollout.Actor`. Between two decisions its
    memory has an entry for every episode, and in that one for every lane.
    """

    def __init__(self, actor: Any, lanes: TeamLanes) -> None:
        """Takes who decides for players."""
        self._actor, self._lanes = actor, lanes

    def begin(self, context: Any, batch: int) -> Any:
        """See `Actor`."""
        lanes = self._lanes
        return lanes.parted(self._actor.begin(context, batch * lanes.number))

    def decide(
        self, context: Any, memory: Any, observation: Any, now: TimeStep, key: Any
    ) -> tuple[Any, Any]:
        """See `Actor`."""
        lanes = self._lanes
        of_players = TimeStep(
            rewards=lanes.paid(now.rewards),
            discount=lanes.of_episodes(now.discount),
            to_move=lanes.of_seats(now.to_move),
            legal_mask=lanes.of_seats(now.legal_mask),
        )
        decision, memory = self._actor.decide(
            context, lanes.joined(memory), lanes.of_seats(observation), of_players, key
        )
        return jax.tree.map(lanes.to_seats, decision), lanes.parted(memory)

    def members(self, context: Any, memory: Any, batch: int) -> Array | np.ndarray:
        """See `Actor`."""
        lanes = self._lanes
        found = self._actor.members(context, lanes.joined(memory), batch * lanes.number)
        return lanes.to_seats(found)


def played_by_teams(play: Callable[..., Any], info: GameInfo) -> Callable[..., Any]:
    """A `neupl.rollout.Play` of seats as one of players: `[B, P]` returns, and a trajectory of
    `B * n` lanes.
    """
    lanes = TeamLanes(info)

    def by_step(change: Callable[[Any], Any], array: Any) -> Any:
        changed = change(array.reshape(-1, *array.shape[2:]))
        return changed.reshape(len(array), -1, *changed.shape[1:])

    def play_teams(batch: int, key: Any, context: Any = ()) -> Any:
        episodes = play(batch, key, context)
        found = episodes.trajectory
        if found is not None:
            changes = {"rewards": lanes.paid, "discount": lanes.of_episodes}
            fields = {
                name: by_step(changes.get(name, lanes.of_seats), field)
                for name, field in found._asdict().items()
                if name != "memory"
            }
            memory = jax.tree.map(lambda x: x.reshape(len(x), -1, *x.shape[3:]), found.memory)
            found = found._replace(**fields, memory=memory)
        return episodes._replace(returns=player_returns(info, episodes.returns), trajectory=found)

    return play_teams
