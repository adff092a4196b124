"""Who meets whom: a focal strategy per lane, and co-players drawn from its row for a whole episode.

The co-players are one draw from the row's joint distribution, made before the episode and hidden
from the focal seat, which is what the row means; only the focal seat learns from the episode.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int32


class Matches(NamedTuple):
    """`B` lanes. Where players have several seats (`games.teams`) all of it is by player.

    Attributes:
      seat: `[B]` focal seat.
      profile: `[B, P]` the strategy that every seat plays.
    """

    seat: Int32[np.ndarray, "B"]
    profile: Int32[np.ndarray, "B P"]

    def along(self, lanes: int) -> "Matches":
        """The same matches in as many lanes: those of teams have one for each of their seats."""
        return Matches(*(side_by_side(part, lanes) for part in self))


def draw_matches(
    rng: np.random.Generator,
    joint: Float[np.ndarray, "P K M"],
    weight: Float[np.ndarray, "P K"],
    *,
    lanes: int,
    num_strategies: int | None = None,
) -> Matches:
    """Draws the lanes of one batch.

    Each focal strategy gets its share of the lanes up to rounding, and its co-players are spread
    over its row as evenly as lanes can be (systematic resampling): batches differ by less than by
    independent draws.

    Args:
      rng: consumed.
      joint: rows of the interaction graph over joint profiles of the co-players, in ascending seat
        order, last fastest.
      weight: how many lanes each strategy gets, relative to the others.
      lanes: `B`.
      num_strategies: strategies of a co-player; by default as many as there are rows. Rows behind
        those of strategies are of mixtures that are asked about.

    Raises:
      ValueError: no strategy with a row has weight.
    """
    num_players, num_rows, _ = joint.shape
    met_size = num_rows if num_strategies is None else num_strategies
    # In float64, and only where there is somebody to meet.
    share = (weight[:, :, None] * np.asarray(joint, np.float64)).reshape(-1)
    total = share.sum()
    if not total > 0:
        raise ValueError("no strategy with somebody to meet has any weight")
    ends = np.cumsum(share) / total
    points = (rng.random() + np.arange(lanes)) / lanes
    cell = np.minimum(np.searchsorted(ends, points, side="right"), len(ends) - 1)
    # Rounding at the end of the sum may point behind the last cell of positive share.
    cell = np.minimum(cell, np.flatnonzero(share)[-1])
    seat, strategy, met = np.unravel_index(cell, joint.shape)
    others = ()
    if num_players > 1:
        others = np.unravel_index(met, (met_size,) * (num_players - 1))
    profile = np.empty((lanes, num_players), np.int32)
    order = seat_order(num_players)[seat]
    np.put_along_axis(profile, order, np.column_stack([strategy, *others]), axis=1)
    shuffled = rng.permutation(lanes)
    return Matches(seat[shuffled].astype(np.int32), profile[shuffled])


def side_by_side(of_matches: Any, lanes: int) -> Any:
    """`[lanes, ...]` from `[B, ...]`, of NumPy or JAX: what every lane of an episode shares, where
    teams have several lanes in a row; see `neupl.team_lanes`.
    """
    number = lanes // len(of_matches)
    return of_matches if number == 1 else of_matches.repeat(number, axis=0)


def seat_order(num_players: int) -> Int32[np.ndarray, "P P"]:
    """Row p: seat p, then the others in ascending order, as rows and networks list them."""
    seats = range(num_players)
    return np.array([[p, *(q for q in seats if q != p)] for p in seats], np.int32)
