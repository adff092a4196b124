"""Items of work: a group's block of games, in all its seatings, from seeds that follow from the
item alone. So the games are the same for any number of workers, in any order.
"""

import dataclasses
import functools
import time
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from evaluation.match import play_match
from evaluation.players import Player
from evaluation.replay import Replay
from evaluation.tournament.types import Entrant, Group, arrangements
from evaluation.types import DataError
from games.registry import load_lanes
from games.teams import player_returns, players_of_seats
from games.types import HostGame


class Item(NamedTuple):
    """Games to be played.

    Attributes:
      group: who meets.
      block: number of the batch of seeds.
    """

    group: Group
    block: int


class GameForfeit(NamedTuple):
    """A forfeit in a block.

    Attributes:
      arrangement: number of the seating.
      lane: number of the game in it.
      seat: who forfeited; of teams the player.
      reason: `"illegal"`, `"crash"` or `"timeout"`.
      detail: what happened, in words.
    """

    arrangement: int
    lane: int
    seat: int
    reason: str
    detail: str


@dataclasses.dataclass(frozen=True, eq=False)
class ItemResult:
    """Games of an item.

    Attributes:
      item: which.
      returns: `[R, B, P]` of every seating, lane and seat, of teams player, in game points.
      decisions: made in all games.
      forfeits: of entrants.
      replays: of the first lanes of each seating.
      seconds: wall-clock time.
    """

    item: Item
    returns: Float64[np.ndarray, "R B P"]
    decisions: int
    forfeits: tuple[GameForfeit, ...]
    replays: tuple[Replay, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """A line of the log; replays are kept in files of their own."""
        return {
            "group": list(self.item.group),
            "block": self.item.block,
            # Exact: Python writes a float so that it is read to the same bits.
            "returns": [[_short(lane) for lane in seating] for seating in self.returns.tolist()],
            "decisions": self.decisions,
            "forfeits": [list(forfeit) for forfeit in self.forfeits],
            "seconds": round(self.seconds, 6),
        }


def _short(returns: list[float]) -> list[float]:
    return [int(paid) if paid == int(paid) else paid for paid in returns]


def result_of_json(content: Any) -> ItemResult:
    """The result of a line of the log.

    Raises:
      DataError: it is no such line.
    """
    try:
        returns = np.array(content["returns"], np.float64)
        if returns.ndim != 3 or not np.isfinite(returns).all():
            raise ValueError(f"returns have shape {returns.shape} or are not finite")
        return ItemResult(
            item=Item(tuple(map(int, content["group"])), int(content["block"])),
            returns=returns,
            decisions=int(content["decisions"]),
            forfeits=tuple(GameForfeit(*forfeit) for forfeit in content["forfeits"]),
            replays=(),
            seconds=float(content["seconds"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"not a block of games: {error!r}") from error


@dataclasses.dataclass(frozen=True)
class Setup:
    """What every item of a tournament needs; picklable.

    Attributes:
      game: what `games.load_lanes` accepts.
      entrants: in their order.
      seed: of the tournament.
      batch: games of each seating in an item.
      move_limit_s: seconds a decision may take; `None` for any.
      num_replays: games of each seating to be recorded, in a group's first block.
      max_nodes: largest tree that the game may have to be compiled.
    """

    game: str
    entrants: tuple[Entrant, ...]
    seed: int
    batch: int
    move_limit_s: float | None
    num_replays: int
    max_nodes: int

    @functools.cached_property
    def lanes(self) -> HostGame:
        """The game, loaded once per process."""
        return load_lanes(self.game, max_nodes=self.max_nodes)

    @functools.cached_property
    def _players(self) -> dict[tuple[int, int], Player]:
        return {}

    def player(self, entrant: int, seat: int) -> Player:
        """The player of an entrant in a seat, made once per process."""
        key = (entrant, seat)
        if key not in self._players:
            self._players[key] = self.entrants[entrant].make_player(seat, self.lanes)
        return self._players[key]

    def __getstate__(self) -> dict[str, Any]:
        # What was loaded stays in its process.
        own = {field.name for field in dataclasses.fields(self)}
        return {name: value for name, value in self.__dict__.items() if name in own}


def block_seeds(seed: int, item: Item, batch: int) -> np.ndarray:
    """The seeds of an item's games, `[B]` uint64, the same in all seatings."""
    sequence = np.random.SeedSequence(seed, spawn_key=(*item.group, item.block))
    return sequence.generate_state(batch, np.uint64)


def play_item(setup: Setup, item: Item) -> ItemResult:
    """Plays the games of an item."""
    start = time.perf_counter()
    seeds = block_seeds(setup.seed, item, setup.batch)
    returns, decisions, forfeits, replays = [], 0, [], []
    info = setup.lanes.info
    player_of = players_of_seats(info)
    for number, arrangement in enumerate(arrangements(item.group)):
        seated = [arrangement[player] for player in player_of]
        played = play_match(
            setup.lanes,
            [setup.player(entrant, seat) for seat, entrant in enumerate(seated)],
            seeds,
            names=[setup.entrants[entrant].name for entrant in seated],
            move_limit_s=setup.move_limit_s,
            num_replays=setup.num_replays if item.block == 0 else 0,
        )
        returns.append(player_returns(info, played.returns))
        decisions += int(played.length.sum())
        replays += played.replays
        forfeits += [
            GameForfeit(number, lane, player_of[lost.seat], lost.reason, lost.detail)
            for lane, lost in played.forfeits
        ]
    return ItemResult(
        item=item,
        returns=np.stack(returns),
        decisions=decisions,
        forfeits=tuple(forfeits),
        replays=tuple(replays),
        seconds=time.perf_counter() - start,
    )
