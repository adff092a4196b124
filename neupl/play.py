"""A person at the table: a player that asks in the terminal, and the games it plays."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt64

from evaluation.known_state import known_text
from evaluation.match import play_match
from evaluation.players import Choice, Player, Turn
from evaluation.replay import Replay
from evaluation.tournament.items import Item, block_seeds
from evaluation.tournament.types import Entrant
from games.registry import load_lanes
from games.tree_lanes import TreeLanes
from games.types import GameError, HostGame
from neupl.entrants import make_entrants
from neupl.errors import UserError
from neupl.stored_population import load_population


class Quit(BaseException):
    """The person stops; no exception of a player, which would be its loss."""


@dataclasses.dataclass
class Person:
    """Asks in words what to do, one game at a time; see `evaluation.players.Player`.

    Attributes:
      lanes: the game.
      seat: where the person sits.
      ask: shows a text and returns the answer.
    """

    lanes: HostGame
    seat: int
    ask: Callable[[str], str]

    def begin(self, seeds: UInt64[np.ndarray, "B"]) -> None:
        """See `Player`."""

    def choose(self, turn: Turn) -> Choice:
        """See `Player`."""
        words, names = self._told(turn)
        legal = np.flatnonzero(turn.legal[0]).tolist()
        options = ", ".join(f"{number} {names[a]}" for number, a in enumerate(legal, start=1))
        answer = self.ask(f"\n{words}\nYour move ({options}; q to stop): ")
        while True:
            chosen = answer.strip().lower()
            if chosen in ("q", "quit", "exit"):
                raise Quit
            if chosen.isdigit() and 1 <= int(chosen) <= len(legal):
                return Choice(np.array([legal[int(chosen) - 1]]), None)
            meant = [a for a in legal if names[a].lower().startswith(chosen)] if chosen else []
            if len(meant) == 1:
                return Choice(np.array(meant), None)
            answer = self.ask(f"{answer.strip()!r} is none of these: {options}. Your move: ")

    def _told(self, turn: Turn) -> tuple[str, dict[int, str]]:
        legal = np.flatnonzero(turn.legal[0]).tolist()
        try:
            state = turn.state(int(turn.lanes[0]))
        except (TypeError, GameError):
            words = self.lanes.tree.infoset_name[int(turn.infoset[0])]
            return words, {a: f"action {a}" for a in legal}
        words = known_text(self.lanes.info.name, state, self.seat)
        return words, {a: state.action_to_string(self.seat, a) for a in legal}


def load_opponent(path: str, member: str) -> tuple[HostGame, Entrant]:
    """The game of a run and the member of its population to play against.

    Raises:
      UserError: there is no such member, or the game cannot be played by a person here.
    """
    population = load_population(path)
    lanes = load_lanes(population.game, max_nodes=population.max_nodes)
    entrants = make_entrants((f"{path}#{member}",), population.game, lanes)
    if len(entrants) != 1:
        raise UserError(f"--member {member} is several; name one strategy, or nash")
    if not isinstance(lanes, TreeLanes) and not hasattr(lanes, "state_of"):
        raise UserError(
            f"{population.game} cannot be told in words",
            hint="`neupl tournament` plays it, and `neupl replay` shows it",
        )
    return lanes, entrants[0]


def play_games(
    lanes: HostGame,
    opponent: Entrant,
    *,
    seat: int,
    ask: Callable[[str], str],
    seed: int,
) -> Iterator[Replay]:
    """Plays game after game until the person stops; the opponent sits in all other seats.

    Raises:
      UserError: there is no such seat.
      Quit: the person stops.
    """
    seats = range(lanes.info.num_players)
    if seat not in seats:
        raise UserError(f"--seat is {seat}, allowed are 0 to {len(seats) - 1}")
    players: list[Player] = [opponent.make_player(s, lanes) for s in seats]
    players[seat] = Person(lanes, seat, ask)
    names = [opponent.name] * len(seats)
    names[seat] = "you"
    number = 0
    while True:
        seeds = block_seeds(seed, Item((), number), 1)
        yield play_match(lanes, players, seeds, names=names, num_replays=1).replays[0]
        number += 1


def opponents_of(path: str, lanes: TreeLanes) -> Mapping[str, Float[np.ndarray, "S A"]]:
    """The tables of a population that a page offers: its mixture, then every strategy.

    Raises:
      UserError: its network has a memory.
    """
    population = load_population(path)
    correlated = getattr(population, "correlated", False)
    names = (f"{path}#all",) if correlated else (f"{path}#nash", f"{path}#all")
    found: dict[str, Any] = {}
    for entrant in make_entrants(names, population.game, lanes):
        if entrant.table is None:
            raise UserError(
                f"{path} has a memory, and a page holds tables alone", hint="play in the terminal"
            )
        member = entrant.name.rpartition("#")[2]
        found["the mixture" if member == "nash" else f"strategy {member}"] = entrant.table
    return found


def title_of(path: str, lanes: HostGame) -> str:
    """What a page of a run is called."""
    return f"Play {lanes.info.name} against {Path(path).resolve().name}"
