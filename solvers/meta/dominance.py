"""Strategies that survive the iterated elimination of strictly dominated ones."""

import numpy as np
from jaxtyping import Float, Int


def undominated(payoffs: Float[np.ndarray, "..."]) -> tuple[Int[np.ndarray, "_"], ...]:
    """The strategies of each player that no other pure strategy beats in every profile.

    Eliminating them one after the other, in any order, ends in the same game.

    Args:
      payoffs: `[K_0, ..., K_{P-1}, P]`.

    Returns:
      The surviving strategies of each player in ascending order, never none.
    """
    num_players = payoffs.shape[-1]
    kept = [np.arange(k) for k in payoffs.shape[:-1]]
    changed = True
    while changed:
        changed = False
        for player in range(num_players):
            table = np.moveaxis(payoffs[np.ix_(*kept)][..., player], player, 0)
            table = table.reshape(len(table), -1)
            beaten = np.array([np.any(np.all(own < table, axis=1)) for own in table])
            if beaten.any():
                kept[player] = kept[player][~beaten]
                changed = True
    return tuple(kept)
