"""A Nash equilibrium of any two-player game by the Lemke-Howson method.

Complementary pivoting on the two players' best-response polytopes (Lemke and Howson 1964), with
lexicographic ratio tests so that degenerate games cannot cycle (von Stengel 2002, section 2.6).
Each basis is inverted anew: rounding does not accumulate. It shares nothing with the linear program
of `solvers.meta.nash`, which it cross-checks on zero-sum games.
"""

import itertools
import time

import numpy as np
from jaxtyping import Float, Float64, Int

from solvers.meta.deviation import check_payoffs, deviation_gains, product_joint
from solvers.types import SolverError, SolverResult

# Accepted NashConv, as a share of the greatest payoff range of a player.
TOLERANCE = 1e-9
# Entries of a pivot column below this count as zero.
PIVOT = 1e-11


def solve_bimatrix(payoffs: Float[np.ndarray, "..."], *, max_pivots: int = 20_000) -> SolverResult:
    """Solves for one Nash equilibrium of a two-player general-sum game.

    The label that is dropped first decides which equilibrium is found; labels are tried in order,
    each with an equal part of the pivots that remain, until one ends.

    Args:
      payoffs: `[K_0, K_1, 2]`, in game points.
      max_pivots: bound on the pivots of all labels together.

    Returns:
      A `SolverResult` whose joint is a product; its gap is NashConv, at most 1e-9 of the payoff
      range.

    Raises:
      ValueError: payoffs are not finite, have a wrong shape or not two players.
      SolverError: no label led to an equilibrium within the bound; the message says how far the
        best one was.
    """
    start = time.perf_counter()
    payoffs = check_payoffs(payoffs)
    if payoffs.shape[-1] != 2:
        raise ValueError(f"Lemke-Howson is for 2 players, not {payoffs.shape[-1]}; use 'lle'")
    scale = max(float(np.ptp(payoffs[..., p])) for p in range(2))
    positive = [_positive(payoffs[..., p]) for p in range(2)]
    num_labels = sum(payoffs.shape[:2])
    pivots, best = 0, np.inf
    for label in range(num_labels):
        allowed = max((max_pivots - pivots) // (num_labels - label), 1)
        marginals, used = _lemke_howson(positive, label, allowed)
        pivots += used
        if marginals is None:
            continue
        joint = product_joint(marginals)
        gap = float(np.maximum(deviation_gains(payoffs, joint), 0).sum())
        best = min(best, gap)
        if gap <= TOLERANCE * scale:
            return SolverResult(
                joint=joint,
                concept="nash",
                gap=gap,
                status="solved",
                iterations=pivots,
                seconds=time.perf_counter() - start,
            )
    raise SolverError(
        f"Lemke-Howson found no equilibrium of the {'x'.join(map(str, payoffs.shape[:2]))} game in "
        f"{pivots} pivots; least NashConv {best:.3g}"
    )


def _positive(table):
    """The payoffs between 1 and 2: the same best responses."""
    spread = np.ptp(table)
    return 1 + (table - table.min()) / (spread if spread > 0 else 1.0)


def _lemke_howson(positive, label, max_pivots):
    """The strategies at the other end of the path that drops `label`, or `None`; the pivots.

    Labels `0 .. K_0 - 1` are the row player's strategies, the others the column player's. System 0
    holds `A y + r = 1`, system 1 `B^T x + s = 1`; in both, column `c` of the identity or of the
    matrix has the label that `_label` gives it.
    """
    num_rows, num_columns = positive[0].shape
    systems = [
        np.hstack([positive[0], np.eye(num_rows)]),
        np.hstack([positive[1].T, np.eye(num_columns)]),
    ]
    bases = [
        num_columns + np.arange(num_rows),
        num_rows + np.arange(num_columns),
    ]
    labels = [
        np.append(num_rows + np.arange(num_columns), np.arange(num_rows)),
        np.arange(num_rows + num_columns),
    ]
    entering, side = label, int(label < num_rows)
    for pivot in itertools.count(1):
        column = int(np.flatnonzero(labels[side] == entering)[0])
        row = _leaving_row(systems[side], bases[side], column)
        if row is None or pivot > max_pivots:
            return None, pivot
        left = int(labels[side][bases[side][row]])
        bases[side][row] = column
        if left == label:
            break
        entering, side = left, 1 - side
    column_player = _strategy(systems[0], bases[0], num_columns)
    row_player = _strategy(systems[1], bases[1], num_rows)
    if column_player is None or row_player is None:
        return None, pivot
    return (row_player, column_player), pivot


def _leaving_row(
    system: Float64[np.ndarray, "R C"], basis: Int[np.ndarray, "R"], column: int
) -> int | None:
    """The row whose basic variable first becomes zero when `column` grows, ties broken by what a
    tiny different increase of each right-hand side would decide.
    """
    try:
        inverse = np.linalg.inv(system[:, basis])
    except np.linalg.LinAlgError:
        return None
    direction = inverse @ system[:, column]
    candidates = np.flatnonzero(direction > PIVOT)
    ratios = np.hstack([inverse.sum(axis=1, keepdims=True), inverse])[candidates]
    ratios /= direction[candidates, None]
    for position in range(ratios.shape[1]):
        if len(candidates) <= 1:
            break
        values = ratios[:, position]
        least = values <= values.min() + 1e-12 * max(1.0, abs(values.min()))
        candidates, ratios = candidates[least], ratios[least]
    return int(candidates[0]) if len(candidates) else None


def _strategy(system, basis, size):
    """Normalised values of the first `size` columns in the basic solution."""
    values = np.zeros(system.shape[1])
    values[basis] = np.linalg.solve(system[:, basis], np.ones(len(basis)))
    strategy = np.maximum(values[:size], 0.0)
    return strategy / strategy.sum() if strategy.sum() > 0 else None
