"""Nash equilibrium of a two-player zero-sum normal-form game, the one of maximum entropy.

A linear program gives the value and one equilibrium. The optimal strategies of a player form a
polytope, and among them the one of greatest entropy is unique: it treats copies of a strategy alike
and does not depend on the order of the strategies, which the vertex that a simplex method happens
to end in does (the choice of Ortiz et al. 2007, used as "Nash averaging" by Balduzzi et al. 2018,
arXiv 1806.02643). All steps stay inside the polytope: first a point of its relative interior, which
tells exactly what must be zero or tight, then Newton's method along its directions.
"""

import time
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize
from jaxtyping import Bool, Float, Float64

from solvers.meta.deviation import check_payoffs
from solvers.types import SolverError, SolverResult

# Payoffs are scaled to a range of 1 inside; numbers below this count as zero, and it bounds the
# certified gap.
TOLERANCE = 1e-9
# Weights of the logarithmic barrier; the entropy ends within the last one times the number of
# columns of its maximum.
BARRIERS = tuple(10.0**-k for k in range(2, 14))
MAX_NEWTON_STEPS = 30
# Probabilities and slacks whose inverse squares stay finite.
SMALLEST = 1e-150


def solve_nash(payoffs: Float[np.ndarray, "..."], *, maximum_entropy: bool = True) -> SolverResult:
    """Solves a two-player zero-sum game.

    Args:
      payoffs: the row player's payoffs `[K_0, K_1]`, or both players' `[K_0, K_1, 2]` adding up to
        a constant, in game points.
      maximum_entropy: select the equilibrium in which each player's entropy is greatest; otherwise
        whatever vertex the linear program ends in.

    Returns:
      A `SolverResult` whose joint is the product of the two strategies. Its gap is at most 1e-9 of
      the payoff range. The status is `"solved"`, or says that an equilibrium was found but its
      entropy could not be maximised.

    Raises:
      ValueError: payoffs are not finite, have a wrong shape, more than two players, or are not
        zero-sum.
      SolverError: no equilibrium within tolerance was found; the message carries the gap reached.
    """
    start = time.perf_counter()
    matrix = zero_sum_matrix(payoffs)
    low, high = matrix.min(), matrix.max()
    scaled = _scaled(matrix)
    row, column, iterations = _equilibrium(scaled)
    status = "solved"
    if maximum_entropy:
        try:
            best_row, row_steps = _most_even(scaled, row, column)
            best_column, column_steps = _most_even(-scaled.T, column, best_row)
            if _gap(scaled, best_row, best_column) > TOLERANCE:
                raise SolverError("left the set of equilibria")
            row, column = best_row, best_column
            iterations += row_steps + column_steps
        except (SolverError, np.linalg.LinAlgError) as error:
            status = f"solved by a vertex; entropy not maximised: {error}"
    gap = _gap(scaled, row, column)
    if not gap <= TOLERANCE:
        raise SolverError(
            f"no Nash equilibrium of the {matrix.shape[0]}x{matrix.shape[1]} game within "
            f"{TOLERANCE:g} of its payoff range; reached {gap:.3g} of the range"
        )
    return SolverResult(
        joint=np.outer(row, column),
        concept="nash",
        gap=float(gap * (high - low)),
        status=status,
        iterations=iterations,
        seconds=time.perf_counter() - start,
    )


class OptimalSet(NamedTuple):
    """The optimal strategies of a player of a zero-sum game.

    Attributes:
      inner: one inside: it uses all that any of them uses, `[K]`.
      used: whether it uses a strategy, `[K]`.
      tight: opposing strategies against which all of them earn exactly the value, `[L]`.
    """

    inner: Float64[np.ndarray, "K"]
    used: Bool[np.ndarray, "K"]
    tight: Bool[np.ndarray, "L"]


def optimal_sets(matrix: Float64[np.ndarray, "K0 K1"]) -> tuple[OptimalSet, OptimalSet]:
    """The optimal strategies of the row and of the column player of a zero-sum game.

    Args:
      matrix: the row player's payoffs, in game points.

    Raises:
      SolverError: a linear program failed.
    """
    scaled = _scaled(matrix)
    row, column, _ = _equilibrium(scaled)
    inner_row, row_used, row_tight, _ = _relative_interior(scaled, row, column)
    inner_column, column_used, column_tight, _ = _relative_interior(-scaled.T, column, row)
    # What one side uses is tight for the other, though it seemed to lose next to nothing.
    row_tight, column_tight = row_tight | column_used, column_tight | row_used
    inner_row = _polished(scaled, inner_row, row_used, row_tight)
    inner_column = _polished(-scaled.T, inner_column, column_used, column_tight)
    return (
        OptimalSet(inner_row, row_used, row_tight),
        OptimalSet(inner_column, column_used, column_tight),
    )


def _polished(matrix, inner, used, tight):
    """The strategy with what it earns against the tight columns made equal to the last digits."""
    # Unknowns: changes of the used probabilities, then of the value.
    part = matrix[np.ix_(used, tight)]
    equations = np.ones((part.shape[1] + 1, part.shape[0] + 1))
    equations[:-1, :-1], equations[:-1, -1], equations[-1, -1] = part.T, -1.0, 0.0
    inner = np.where(used, inner, 0.0)
    earned = inner[used] @ part
    wanted = np.append(earned.mean() - earned, 1.0 - inner.sum())
    result = inner.copy()
    result[used] += np.linalg.lstsq(equations, wanted, rcond=TOLERANCE)[0][:-1]
    return result if result.min() >= 0 else inner


def _scaled(matrix):
    """The matrix with entries from 0 to 1."""
    low, high = matrix.min(), matrix.max()
    return (matrix - low) / (high - low) if high > low else np.zeros_like(matrix)


def zero_sum_matrix(payoffs: Float[np.ndarray, "..."]) -> Float64[np.ndarray, "K0 K1"]:
    payoffs = np.asarray(payoffs, np.float64)
    if payoffs.ndim == 2:
        payoffs = np.stack([payoffs, -payoffs], axis=-1)
    payoffs = check_payoffs(payoffs)
    num_players = payoffs.shape[-1]
    alternatives = "use the meta-solver 'prd' or 'uniform'"
    if num_players != 2:
        raise ValueError(
            f"Nash by linear programming is for 2 players, not {num_players}; {alternatives}"
        )
    total = payoffs.sum(axis=-1)
    scale = max(np.abs(payoffs).max(), np.finfo(np.float64).tiny)
    if np.ptp(total) > 1e-7 * scale:
        raise ValueError(
            "Nash by linear programming needs a zero-sum game; here the payoffs add up to between "
            f"{total.min():.6g} and {total.max():.6g}; {alternatives}"
        )
    # Half the difference: the same game for both players also where their sums are constant up to
    # rounding only.
    return (payoffs[..., 0] - payoffs[..., 1]) / 2


def _gap(matrix, row, column):
    return max((matrix @ column).max() - (row @ matrix).min(), 0.0)


def _equilibrium(matrix):
    """One equilibrium of a matrix with entries in [0, 1].

    One program is enough for most games. On nearly degenerate ones dual values are less exact than
    primal ones, and the other player's program, or an interior-point method, supplies the better
    strategy.
    """
    rows, columns, iterations = [], [], 0
    for transposed, method in ((False, "highs-ds"), (True, "highs-ds"), (False, "highs-ipm")):
        one, other, steps = _vertex(-matrix.T if transposed else matrix, method)
        rows.append(other if transposed else one)
        columns.append(one if transposed else other)
        row = max(rows, key=lambda own: (own @ matrix).min())
        column = min(columns, key=lambda own: (matrix @ own).max())
        iterations += steps
        if _gap(matrix, row, column) <= TOLERANCE / 10:
            break
    return row, column, iterations


def _linear_program(cost, *, greater, bound, sums, bounds, method="highs-ds"):
    """Minimises `cost x` subject to `greater x >= bound`, `sums x = 1` and bounds on `x`."""
    # On nearly degenerate payoffs presolve or a tight tolerance fails where the plain method works.
    for presolve, tolerance in ((True, 1e-10), (False, 1e-10), (False, 1e-7)):
        result = scipy.optimize.linprog(
            cost,
            A_ub=-greater,
            b_ub=-bound,
            A_eq=sums[None],
            b_eq=[1.0],
            bounds=bounds,
            method=method,
            options={
                "presolve": presolve,
                "primal_feasibility_tolerance": tolerance,
                "dual_feasibility_tolerance": tolerance,
            },
        )
        if result.status == 0:
            return result
    raise SolverError(f"linear program of the Nash equilibrium failed: {result.message}")


def _vertex(matrix, method):
    """The row player's optimal strategy by a linear program, the column player's by its dual."""
    num_rows, num_columns = matrix.shape
    # Variables: the row player's strategy, then the value.
    result = _linear_program(
        np.append(np.zeros(num_rows), -1.0),
        greater=np.hstack([matrix.T, -np.ones((num_columns, 1))]),
        bound=np.zeros(num_columns),
        sums=np.append(np.ones(num_rows), 0.0),
        bounds=[*([(0.0, 1.0)] * num_rows), (None, None)],
        method=method,
    )
    row = np.maximum(result.x[:-1], 0.0)
    column = np.maximum(-result.ineqlin.marginals, 0.0)
    if not (row.sum() > 0 and column.sum() > 0):
        raise SolverError("linear program returned an empty strategy")
    return row / row.sum(), column / column.sum(), int(result.nit)


def _most_even(matrix, own, other):
    """The row player's optimal strategy of greatest entropy, from an optimal pair; the steps."""
    inner, used, tight, rounds = _relative_interior(matrix, own, other)
    point, steps = _maximise_entropy(matrix[used], inner[used], tight)
    result = np.zeros(len(own))
    result[used] = point
    return result, rounds + steps


def _relative_interior(matrix, own, other):
    """A row strategy with the largest support and fewest binding columns among the optimal ones.

    Complementary slackness settles most strategies at once. The rest are asked for by linear
    programs that reward being used (or slack) up to a cap, so that one program finds many; the last
    program proves that there are no more.

    Returns:
      The strategy, its support, the columns against which every optimal strategy gets exactly the
      value, and the number of linear programs.
    """
    value = own @ matrix @ other
    never_used = matrix @ other < value - TOLERANCE
    always_tight = other > TOLERANCE
    found, used, loose = [own], own > TOLERANCE, own @ matrix > value + TOLERANCE
    while True:
        unused = np.flatnonzero(~used & ~never_used)
        untested = np.flatnonzero(~loose & ~always_tight)
        if not len(unused) + len(untested):
            return np.mean(found, axis=0), used, ~loose, len(found) - 1
        strategy = _rewarded(matrix, value, never_used, unused, untested)
        newly_used = strategy > TOLERANCE
        newly_loose = strategy @ matrix > value + TOLERANCE
        if not (newly_used[unused].any() or newly_loose[untested].any()):
            return np.mean(found, axis=0), used, ~loose, len(found)
        # Rounds end: each one settles a row or a column for good.
        used, loose = used | newly_used, loose | newly_loose
        found.append(strategy)


def _rewarded(matrix, value, never_used, unused, untested):
    """An optimal strategy that uses the `unused` rows and leaves the `untested` columns slack."""
    num_rows, num_columns = matrix.shape
    cap = 0.5 / (len(unused) + len(untested))
    # Variables: ordinary and rewarded shares of rows, then the rewarded slacks.
    plain = [(0.0, 0.0 if never else 1.0) for never in never_used]
    slacks = np.zeros((num_columns, len(untested)))
    slacks[untested, np.arange(len(untested))] = 1.0
    result = _linear_program(
        np.append(np.zeros(num_rows), -np.ones(len(unused) + len(untested))),
        greater=np.hstack([matrix.T, matrix[unused].T, -slacks]),
        bound=np.full(num_columns, value - 1e-14),
        sums=np.append(np.ones(num_rows + len(unused)), np.zeros(len(untested))),
        bounds=plain + [(0.0, cap)] * (len(unused) + len(untested)),
    )
    strategy = result.x[:num_rows].copy()
    strategy[unused] += result.x[num_rows : num_rows + len(unused)]
    strategy = np.maximum(strategy, 0.0)
    return strategy / strategy.sum()


def _maximise_entropy(matrix, inner, tight):
    """Maximises the entropy over a face of optimal strategies by a barrier method inside the face.

    Args:
      matrix: the used strategies' payoffs.
      inner: an optimal strategy, positive everywhere, with slack in every column that is not tight.
      tight: columns in which every optimal strategy earns exactly the value.

    Returns:
      The strategy and the number of Newton steps.
    """
    # Moves within the face keep the sum and the differences between tight columns.
    binding = matrix[:, tight]
    equalities = np.vstack([np.ones(len(inner)), (binding - binding[:, :1]).T])
    directions = scipy.linalg.null_space(equalities, rcond=TOLERANCE)
    if directions.shape[1] == 0:
        return inner, 0
    loose = (matrix[:, ~tight] - binding[:, :1]).T
    along = loose @ directions
    point, steps = inner, 0
    for barrier in BARRIERS if len(loose) else BARRIERS[-1:]:
        for _ in range(MAX_NEWTON_STEPS):
            slack = loose @ point
            if not min(point.min(), slack.min(initial=1.0)) > SMALLEST:
                raise SolverError("payoffs differ by so little that the set of optima is blurred")
            gradient = directions.T @ np.log(point) - barrier * along.T @ (1 / slack)
            hessian = (directions.T / point) @ directions
            hessian += barrier * (along.T / slack**2) @ along
            step = -scipy.linalg.cho_solve(scipy.linalg.cho_factor(hessian), gradient)
            descent = -gradient @ step
            if not descent > 1e-20:
                break
            steps += 1
            length = _step_length(point, directions @ step, slack, along @ step, barrier)
            if length == 0.0:
                break
            point = point + length * (directions @ step)
    return point / point.sum(), steps


def _step_length(point, move, slack, slack_move, barrier):
    """Length of a step that stays inside and flattens the slope along it; 0 where none does.

    Slopes, not function values, are compared: near the optimum they keep their digits.
    """
    length = 1.0
    for position, change in ((point, move), (slack, slack_move)):
        falling = change < 0
        if falling.any():
            length = min(length, 0.99 * (-position[falling] / change[falling]).min())

    def slope(t):
        return move @ np.log(point + t * move) - barrier * np.sum(
            slack_move / (slack + t * slack_move)
        )

    start = abs(slope(0.0))
    while length > 1e-10:
        if abs(slope(length)) <= 0.9 * start:
            return length
        length /= 2
    return 0.0
