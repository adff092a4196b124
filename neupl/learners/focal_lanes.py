"""Who learns in the lanes of a batch of episodes."""

import numpy as np
from jaxtyping import Float, Float32

from neupl.errors import UserError
from neupl.matches import Matches
from neupl.types import Objective

# Share of the lanes that strategies which are held get, where others respond. They are to stay
# where they are: that takes fewer episodes than to learn something.
HELD_SHARE = 0.25


def lane_weights(objective: Objective) -> Float[np.ndarray, "P K"]:
    """How many lanes each strategy gets, relative to the others: those that are held `HELD_SHARE`
    of all and those that respond the rest, where there are both; every strategy with a row alike
    where there is neither.
    """
    met = np.asarray(objective.rows.every).sum(axis=-1) > 0
    shares = ((objective.respond, 1 - HELD_SHARE), (objective.hold, HELD_SHARE))
    parts = [(np.asarray(part) * met, share) for part, share in shares]
    parts = [(part / part.sum(), share) for part, share in parts if part.sum() > 0]
    return sum(part * share for part, share in parts) if parts else met.astype(np.float64)


def focal_task(matches: Matches, objective: Objective) -> tuple[Float32[np.ndarray, "B"], ...]:
    """Of each lane, the temperature of the focal seat's strategy in game points per nat, and
    whether it responds and whether it is held, 1 or 0.
    """
    strategy = matches.profile[np.arange(len(matches.seat)), matches.seat]
    temperature, respond, hold = (
        np.asarray(table, np.float32)[matches.seat, strategy]
        for table in (objective.temperature, objective.respond, objective.hold)
    )
    return temperature, np.sign(respond), np.sign(hold)


def one_size(sizes: tuple[int, ...], what: str) -> int:
    """The size that all seats have.

    Raises:
      UserError: they have different ones.
    """
    if len(set(sizes)) != 1:
        raise UserError(
            f"the seats have different numbers of {what}, {sizes}: one network for all "
            "of them needs equal ones"
        )
    return sizes[0]
