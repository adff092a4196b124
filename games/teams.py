"""Teams: games in which a player has several seats, one for each member of its team.

The rules of a game know seats; who has strategies and is paid for them is a player. Every seat is a
player of its own unless `GameInfo.seat_players` says otherwise. A player plays one strategy in all
its seats, each by what that seat observes, and is paid the mean of what its seats are paid: where
the rules pay a team alike, that.
"""

from typing import Any

import numpy as np
from jaxtyping import Array, Float, Int32

from games.types import GameError, GameInfo


def two_teams(size: int) -> tuple[int, ...]:
    """`GameInfo.seat_players` of two teams of so many seats, those of the first one first."""
    return tuple(seat // size for seat in range(2 * size)) if size > 1 else ()


def players_of_seats(info: GameInfo) -> tuple[int, ...]:
    """The player that each seat belongs to."""
    return info.seat_players or tuple(range(info.num_players))


def player_seats(info: GameInfo) -> Int32[np.ndarray, "n P"]:
    """The seats of the players, in ascending order: row `j` is the `j`-th seat of every player.

    Raises:
      GameError: players have different numbers of seats, or seats of one player differ in what they
        observe or do.
    """
    players = np.array(players_of_seats(info))
    if len(players) != info.num_players:
        raise GameError(
            f"{info.name} has {info.num_players} seats, but seat_players tells of {len(players)}"
        )
    number, counts = np.unique(players, return_counts=True)
    if number.tolist() != list(range(len(number))) or len(set(counts.tolist())) != 1:
        raise GameError(
            f"{info.name}: seat_players is {info.seat_players}, but players 0, 1, ... must have as "
            "many seats each"
        )
    seats = np.argsort(players, kind="stable").reshape(len(number), -1).T
    for what in ("num_actions", "observation_size"):
        sizes = np.array(getattr(info, what))[seats]
        if (sizes != sizes[0]).any():
            raise GameError(
                f"{info.name}: the seats of a player differ in {what}, {getattr(info, what)}"
            )
    return seats.astype(np.int32)


def by_player(info: GameInfo) -> GameInfo:
    """The facts of a game with players in the place of seats; where every seat is a player of its
    own, the same ones. See `player_seats` for errors.
    """
    if not info.seat_players:
        return info
    first = player_seats(info)[0].tolist()
    return info._replace(
        num_players=len(first),
        num_actions=tuple(info.num_actions[seat] for seat in first),
        observation_size=tuple(info.observation_size[seat] for seat in first),
        seat_players=(),
    )


def player_returns(
    info: GameInfo, returns: Float[Array | np.ndarray, "*b S"]
) -> Float[Any, "*b P"]:
    """What players are paid, by what their seats are paid."""
    if not info.seat_players:
        return returns
    return returns[..., player_seats(info)].mean(axis=-2)
