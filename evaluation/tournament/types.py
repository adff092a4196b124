"""What tournaments are made of: entrants, groups of them, and the seats that a group can take."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64

from evaluation.players import Player
from games.types import HostGame

# Entrants that meet, ascending; one that meets itself is named as often as it plays.
Group = tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Entrant:
    """Whoever takes part, in any seat.

    Attributes:
      name: unique in a tournament.
      make_player: makes the player of a seat of a game; picklable, for worker processes.
      table: what it plays on the game's tree `[S, A]`, rows of all seats; `None` where it is no
        table or the game no tree.
      source: the population that it is a member of; its own name where it stands alone.
    """

    name: str
    make_player: Callable[[int, HostGame], Player]
    table: Float64[np.ndarray, "S A"] | None = None
    source: str = ""


def all_groups(num_entrants: int, num_players: int) -> list[Group]:
    """Every group of a round robin, those of an entrant with itself included."""
    return list(itertools.combinations_with_replacement(range(num_entrants), num_players))


def arrangements(group: Group) -> list[tuple[int, ...]]:
    """The different ways to seat a group: entrant by seat, or by player where these have several
    seats (`games.teams`).
    """
    return sorted(set(itertools.permutations(group)))


def places_of(group: Group, arrangement: Sequence[int]) -> list[int]:
    """By seat, the place in the group of the entrant that sits there."""
    left = {entrant: [q for q, e in enumerate(group) if e == entrant] for entrant in set(group)}
    return [left[entrant].pop(0) for entrant in arrangement]
