"""Interaction graphs: payoffs in, the mixture that every strategy responds to out (arXiv
2202.07415, figure 1).

A row is a distribution over the *joint* profiles of the co-players' strategies, `M = K ** (P - 1)`
of them in ascending seat order, last co-player fastest; for two players it is a mixture of the
opponent's strategies.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int

from neupl.config import GraphConfig
from solvers.meta.registry import MetaSolver
from solvers.types import SolverResult

# Graphs in which a strategy responds to earlier ones only: it can be admitted when those are ready.
GROUNDED = ("psro", "rectified", "fictitious_play", "first_quarter", "latest")

# Rows that agree to this are one strategy.
SAME_ROW = 1e-6


def graph_rows(
    config: GraphConfig, payoffs: Float[np.ndarray, "..."], *, solver: MetaSolver
) -> Float64[np.ndarray, "P K M"]:
    """All rows at once, for concurrent training; row 0 of a grounded graph is zero (the sink).

    Args:
      config: which graph.
      payoffs: `[K, ..., K, P]`, in game points.
      solver: the meta-solver of `psro` and `rectified`.
    """
    num_players, num_strategies = payoffs.shape[-1], payoffs.shape[0]
    rows = np.zeros((num_players, num_strategies, num_strategies ** (num_players - 1)))
    if config.kind in GROUNDED:
        for k in range(1, num_strategies):
            rows[:, k] = response_row(config, payoffs, range(k), solver=solver)
    else:
        for k in range(num_strategies):
            met = [(k + 1) % num_strategies] if config.kind == "strategic_cycle" else None
            members = met or range(num_strategies)
            rows[:, k] = _coplayer_rows(_uniform_joint(members, num_players), members, payoffs)
    return rows


def response_row(
    config: GraphConfig,
    payoffs: Float[np.ndarray, "..."],
    members: Sequence[int],
    *,
    solver: MetaSolver,
) -> Float64[np.ndarray, "P M"]:
    """What a new strategy of every seat responds to, given the strategies that are there.

    Args:
      config: a grounded graph.
      payoffs: `[K, ..., K, P]`, in game points; read on `members` only.
      members: indices of the strategies it may meet, ascending; the last one is its predecessor.
      solver: solves the payoffs of `members`.
    """
    num_players = payoffs.shape[-1]
    pool = _pool(config.kind, members)
    uniform_rows = _coplayer_rows(_uniform_joint(pool, num_players), pool, payoffs)
    if config.kind not in ("psro", "rectified"):
        return uniform_rows
    within = payoffs[np.ix_(*[list(members)] * num_players)]
    solution = solver(within)
    rows = _coplayer_rows(solution.joint, members, payoffs)
    if config.kind == "rectified":
        rows = _rectify(rows, payoffs, solution, members)
    return (1 - config.exploration) * rows + config.exploration * uniform_rows


def first_equal_row(rows: Float[np.ndarray, "P K M"]) -> Int[np.ndarray, "P K"]:
    """For every strategy the first of its seat with an equal row, so that equal rows are one
    strategy.
    """
    distance = np.abs(rows[:, :, None] - rows[:, None]).max(axis=-1)
    return np.argmax(distance <= SAME_ROW, axis=-1).astype(np.int32)


def effective_size(rows: Float[np.ndarray, "P K M"], num_admitted: int) -> int:
    """Number of distinct strategies among the admitted ones, of the seat that has most."""
    identity = first_equal_row(rows[:, :num_admitted])
    return max(len(np.unique(of_seat)) for of_seat in identity)


def row_returns(
    payoffs: Float[np.ndarray, "... P"], rows: Float[np.ndarray, "P K M"]
) -> Float64[np.ndarray, "P K"]:
    """What each strategy earns against its row, in game points; 0 against the empty row.

    Args:
      payoffs: `[K, ..., K, P]`, in game points.
      rows: over the joint of the co-players, `M = K ** (P - 1)`.
    """
    own = [np.moveaxis(payoffs[..., p], p, 0).reshape(rows[p].shape) for p in range(len(rows))]
    return np.einsum("pkm,pkm->pk", np.stack(own), rows)


def _pool(kind: str, members: Sequence[int]) -> Sequence[int]:
    """Those of the earlier strategies that are met, if all alike."""
    if kind == "latest":
        return members[-1:]
    if kind == "first_quarter":
        return members[: -(-len(members) // 4)]
    return members


def _uniform_joint(members: Sequence[int], num_players: int) -> Float64[np.ndarray, "..."]:
    return np.full((len(members),) * num_players, float(len(members)) ** -num_players)


def _coplayer_rows(
    joint: Float[np.ndarray, "..."], members: Sequence[int], payoffs: Float[np.ndarray, "..."]
) -> Float64[np.ndarray, "P M"]:
    """Per seat, the marginal of a joint over `members` on its co-players, spread over all `K`
    strategies.
    """
    num_players, num_strategies = payoffs.shape[-1], payoffs.shape[0]
    rows = np.zeros((num_players, *(num_strategies,) * (num_players - 1)))
    for player in range(num_players):
        rows[(player, *np.ix_(*[list(members)] * (num_players - 1)))] = joint.sum(axis=player)
    return rows.reshape(num_players, -1)


def _rectify(
    rows: Float[np.ndarray, "P M"],
    payoffs: Float[np.ndarray, "..."],
    solution: SolverResult,
    members: Sequence[int],
) -> Float64[np.ndarray, "P M"]:
    """Keeps the co-players that the predecessor does not lose to (after Balduzzi et al. 2019, arXiv
    1901.08106).

    Losing is meant relative to the value of the game between the members; where nobody is left the
    row stays.
    """
    predecessor, num_players = members[-1], payoffs.shape[-1]
    within = payoffs[np.ix_(*[list(members)] * num_players)]
    rectified = rows.copy()
    for player in range(num_players):
        value = float(np.sum(solution.joint * within[..., player]))
        against = np.take(payoffs[..., player], predecessor, axis=player).reshape(-1)
        kept = np.where(against >= value - 1e-9, rows[player], 0.0)
        if kept.sum() > 0:
            rectified[player] = kept / kept.sum()
    return rectified
