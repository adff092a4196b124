"""What players of a normal-form game gain by deviating from a distribution over profiles."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64


def check_payoffs(payoffs: Float[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Returns `payoffs` in float64 after checking its shape `[K_0, ..., K_{P-1}, P]`.

    Raises:
      ValueError: fewer than one player, axes that do not fit the number of players, an empty axis,
        or entries that are not finite.
    """
    payoffs = np.asarray(payoffs, np.float64)
    if payoffs.ndim < 2 or payoffs.shape[-1] != payoffs.ndim - 1 or 0 in payoffs.shape:
        raise ValueError(
            f"payoffs have shape {payoffs.shape}, expected [K_0, ..., K_(P-1), P]: "
            "one axis of strategies per player, then the players"
        )
    if not np.isfinite(payoffs).all():
        raise ValueError(
            f"payoffs must be finite: {np.count_nonzero(~np.isfinite(payoffs))} of {payoffs.size} "
            "entries are NaN or infinite"
        )
    return payoffs


def product_joint(marginals: Sequence[Float[np.ndarray, "_"]]) -> Float64[np.ndarray, "..."]:
    """The joint distribution of independent players."""
    joint = np.ones(())
    for own in marginals:
        joint = joint[..., None] * own
    return joint


def own_tables(payoffs: Float[np.ndarray, "..."]) -> list[Float64[np.ndarray, "..."]]:
    """Each player's payoffs with its own strategies on the first axis, contiguous."""
    return [
        np.ascontiguousarray(np.moveaxis(payoffs[..., p], p, 0)) for p in range(payoffs.shape[-1])
    ]


def independent_values(
    tables: Sequence[Float[np.ndarray, "..."]], marginals: Sequence[Float[np.ndarray, "_"]]
) -> list[Float64[np.ndarray, "_"]]:
    """Payoff of each player's strategies against independent others; `tables` of `own_tables`."""
    values = []
    for player, table in enumerate(tables):
        for other in reversed(range(len(tables))):
            if other != player:
                table = table @ marginals[other]
        values.append(table)
    return values


def deviation_values(
    payoffs: Float[np.ndarray, "..."], joint: Float[np.ndarray, "..."], player: int
) -> Float64[np.ndarray, "_"]:
    """Payoff of each of `player`'s strategies while the others keep to their part of `joint`.

    Args:
      payoffs: `[K_0, ..., K_{P-1}, P]`, in game points.
      joint: `[K_0, ..., K_{P-1}]`, sums to 1.
      player: who deviates, before it learns what was drawn for it.
    """
    others = joint.sum(axis=player)
    table = np.moveaxis(payoffs[..., player], player, 0)
    return table.reshape(len(table), -1) @ others.reshape(-1)


def deviation_gains(
    payoffs: Float[np.ndarray, "..."], joint: Float[np.ndarray, "..."]
) -> Float64[np.ndarray, "P"]:
    """Each player's gain from its best fixed strategy over keeping to `joint`, in game points.

    Non-negative for independent players, where the sum is NashConv; may be negative for correlated
    ones.
    """
    return np.array(
        [
            deviation_values(payoffs, joint, player).max() - np.sum(payoffs[..., player] * joint)
            for player in range(payoffs.shape[-1])
        ]
    )


def swap_gains(
    payoffs: Float[np.ndarray, "..."], joint: Float[np.ndarray, "..."]
) -> Float64[np.ndarray, "P"]:
    """Each player's gain from replacing every strategy drawn for it by the best answer, in points.

    The sum over strategies `k` of the greatest gain from playing another one whenever `k` is drawn;
    never negative, and 0 for all players exactly at a correlated equilibrium.
    """
    gains = []
    for player in range(payoffs.shape[-1]):
        table = np.moveaxis(payoffs[..., player], player, 0)
        own = np.moveaxis(joint, player, 0)
        table, own = table.reshape(len(table), -1), own.reshape(len(own), -1)
        values = own @ table.T
        gains.append(np.sum(values.max(axis=1) - np.diagonal(values)))
    return np.array(gains)
