"""A primal-dual interior-point method for the projection onto the set of correlated equilibria.

Mehrotra's predictor-corrector method (1992) whose linear systems are reduced to one row per
deviation, and whose matrices come from the structure of the game and never have a column per
profile. It needs no strictly feasible point, so that it solves the meta-games of zero-sum games,
where no distribution satisfies all rows with slack, in some dozens of steps.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float64, Int

from solvers.meta.projection import Projection

# Share of the way to the boundary that a step may go.
REACH = 0.995
# Steps without a better point before the method gives up.
PATIENCE = 80
# Merit from which on it is measured exactly, and numbers whose inverse squares stay finite.
NEAR, SMALLEST = 1e-4, 1e-150
# What the diagonal of a matrix is raised by, as shares of its mean, until it has a factor.
SHIFTS = (1e-14, 1e-13, 1e-12, 1e-11, 1e-10)


class InteriorPoint(NamedTuple):
    """Where the method ended.

    Attributes:
      joint: positive everywhere, `[K_0, ..., K_{P-1}]`.
      duals: `[R]`, zero outside the rows that were given.
      relief: 0 where the problem has none.
      merit: the greatest of the residuals that the method drives to zero.
      iterations: Newton steps.
    """

    joint: Float64[np.ndarray, "..."]
    duals: Float64[np.ndarray, "R"]
    relief: float
    merit: float
    iterations: int


class _Point(NamedTuple):
    """A point, or a move: joint, slack of the rows and relief, all positive; their prices, also
    positive; and the price of the sum of the joint. Equations have no slack, and any price.
    """

    joint: np.ndarray
    slack: np.ndarray
    relief: float
    joint_price: np.ndarray
    slack_price: np.ndarray
    relief_price: float
    level: float

    def moved(self, move: "_Point", length: float) -> "_Point":
        return _Point(*(own + length * change for own, change in zip(self, move, strict=True)))

    def positive(self, relief: bool, loose: np.ndarray) -> tuple[np.ndarray | float, ...]:
        parts = (self.joint, self.slack[loose], self.joint_price, self.slack_price[loose])
        return (*parts, self.relief, self.relief_price) if relief else parts

    def complementary(self) -> float:
        return float(
            np.vdot(self.joint, self.joint_price)
            + self.slack @ self.slack_price
            + self.relief * self.relief_price
        )


class _Gaps(NamedTuple):
    """What the optimality conditions lack at a point."""

    joint: np.ndarray
    rows: np.ndarray
    mass: float
    relief: float


class _System(NamedTuple):
    """The linear equations of a Newton step, factorised.

    Attributes:
      spread: how far each profile's share moves per unit of its price.
      along: gains of the spread, per row.
      matrix: of the equations for the rows' prices.
      factor: Cholesky factor of the matrix with a slightly greater diagonal.
      relieved: their answer to one unit of relief; `None` without relief.
    """

    spread: np.ndarray
    total: float
    along: np.ndarray
    matrix: np.ndarray
    factor: Any
    relieved: np.ndarray | None

    def solve(self, right: np.ndarray) -> np.ndarray:
        """The rows' prices, improved once: a greater diagonal would show at large prices."""
        result = scipy.linalg.cho_solve(self.factor, right, check_finite=False)
        left = right - self.matrix @ result
        return result + scipy.linalg.cho_solve(self.factor, left, check_finite=False)


def interior_point(
    problem: Projection, rows: Int[np.ndarray, "r"], *, tolerance: float, max_steps: int
) -> InteriorPoint:
    """Solves the problem with the constraints of the given rows only.

    Returns:
      The best point met.
    """
    unit = problem.divergence.unit
    rates = None if problem.relief_rates is None else problem.relief_rates[rows]
    loose = np.ones(len(rows), bool) if problem.tight is None else ~problem.tight[rows]
    point = _start(problem, rows, rates, loose)
    count = point.joint.size + int(loose.sum()) + (rates is not None)
    best, best_merit, best_step = point, np.inf, 0
    for step in range(max_steps + 1):
        gaps = _gaps(problem, rows, rates, point)
        merit = _merit(problem, rows, point, gaps)
        if merit < best_merit:
            best, best_merit, best_step = point, merit, step
        if not tolerance < merit < np.inf or step - best_step > PATIENCE:
            break
        positive = point.positive(rates is not None, loose)
        if min(float(np.min(own, initial=np.inf)) for own in positive) < SMALLEST:
            break
        system = _system(problem, rows, rates, loose, point)
        if system is None:
            break
        common = (problem, rows, rates, loose, point, gaps, system)
        affine = _move(*common, target=0.0, correction=None)
        before = point.complementary()
        after = point.moved(affine, _longest(point, affine, loose)).complementary()
        target = (after / before) ** 3 * before / count
        move = _move(*common, target=target, correction=affine)
        point = point.moved(move, REACH * _longest(point, move, loose))
    duals = np.zeros(len(problem.incentives.player))
    duals[rows] = best.slack_price / unit
    return InteriorPoint(best.joint, duals, best.relief, best_merit, step)


def _start(problem, rows, rates, loose):
    """The ideal joint, with prices for which only the rows and the slacks have gaps."""
    incentives, divergence, unit = problem.incentives, problem.divergence, problem.divergence.unit
    joint = divergence.ideal()
    slack = np.maximum(problem.allowance[rows] - incentives.gains(joint)[rows], 0.0) + 0.1
    slack, slack_price = np.where(loose, slack, 0.0), np.where(loose, 0.1, 0.0)
    relief = relief_price = 0.0
    if rates is not None:
        slack_price *= 20 * unit / rates.sum()
        relief, relief_price = 0.1 / float(rates.max()), unit
    joint_price = unit * divergence.slope(joint) + _prices(incentives, rows, slack_price)
    level = 1.0 - float(joint_price.min())
    return _Point(joint, slack, relief, joint_price + level, slack_price, relief_price, level)


def _gaps(problem, rows, rates, point):
    incentives, divergence, unit = problem.incentives, problem.divergence, problem.divergence.unit
    prices = _prices(incentives, rows, point.slack_price)
    joint = point.joint_price - unit * divergence.slope(point.joint) - prices - point.level
    row = problem.allowance[rows] - incentives.gains(point.joint)[rows] - point.slack
    relief = 0.0
    if rates is not None:
        row -= rates * point.relief
        relief = unit - float(rates @ point.slack_price) + point.relief_price
    return _Gaps(joint, row, 1.0 - float(point.joint.sum()), relief)


def _merit(problem, rows, point, gaps):
    """The greatest of the rows' gaps and of the objective's distance from its optimum."""
    divergence, unit = problem.divergence, problem.divergence.unit
    lost = point.complementary() + float(np.vdot(point.joint, np.abs(gaps.joint)))
    lost += float(np.abs(point.slack_price * gaps.rows).sum()) + point.relief * abs(gaps.relief)
    value = divergence.value(point.joint)
    lost /= unit * max(value, divergence.floor)
    if lost < NEAR:
        # Profiles of next to no mass hide wrong prices from the sums above, not from the link.
        prices = _prices(problem.incentives, rows, point.slack_price / unit)
        best, _ = divergence.link(prices)
        short = value - divergence.value(best) + float(np.vdot(prices, point.joint - best))
        lost = max(lost, abs(short) / max(value, divergence.floor))
    return max(float(np.abs(gaps.rows).max()), abs(gaps.mass), lost)


def _system(problem, rows, rates, loose, point):
    """The equations at a point, or `None` if they have no factor."""
    incentives, divergence = problem.incentives, problem.divergence
    bend = divergence.unit * divergence.bend(point.joint)
    spread = 1 / (bend + point.joint_price / point.joint)
    total = float(spread.sum())
    along = incentives.gains(spread)[rows]
    matrix = incentives.gram(spread, rows)
    matrix -= np.outer(along, along / total)
    diagonal = np.diag_indices(len(rows))
    size = float(np.trace(matrix)) / len(rows)
    matrix[diagonal] += np.divide(
        point.slack, point.slack_price, out=np.zeros(len(rows)), where=loose
    )
    if not (np.isfinite(size) and np.isfinite(matrix[diagonal]).all()):
        return None
    for shift in SHIFTS:
        raised = matrix.copy()
        raised[diagonal] += shift * size
        try:
            factor = scipy.linalg.cho_factor(
                raised, lower=True, overwrite_a=True, check_finite=False
            )
        except scipy.linalg.LinAlgError:
            continue
        system = _System(spread, total, along, matrix, factor, None)
        if rates is not None:
            system = system._replace(relieved=system.solve(rates))
        return system
    return None


def _move(problem, rows, rates, loose, point, gaps, system, *, target, correction):
    """The Newton step towards products of `target` between each variable and its price.

    Args:
      correction: a move whose products of changes are subtracted from the target, or `None`.
    """
    towards_joint = towards_slack = towards_relief = target
    if correction is not None:
        towards_joint = target - correction.joint * correction.joint_price
        towards_slack = target - correction.slack * correction.slack_price
        towards_relief = target - correction.relief * correction.relief_price
    push = gaps.joint + towards_joint / point.joint - point.joint_price
    drift = system.spread * push
    shift = (drift.sum() - gaps.mass) / system.total
    right = problem.incentives.gains(drift)[rows] - system.along * shift - gaps.rows
    slack_price = np.where(loose, point.slack_price, 1.0)
    wanted = np.where(loose, towards_slack / slack_price, 0.0) - point.slack
    right += wanted
    price_move = system.solve(right)
    relief = relief_price = 0.0
    if rates is not None:
        relief_push = gaps.relief + towards_relief / point.relief - point.relief_price
        stiffness = float(rates @ system.relieved) + point.relief_price / point.relief
        relief = (relief_push - float(rates @ price_move)) / stiffness
        relief_price = (towards_relief - point.relief_price * relief) / point.relief
        relief_price -= point.relief_price
        price_move += system.relieved * relief
    level = shift - float(system.along @ price_move) / system.total
    joint = drift - system.spread * (_prices(problem.incentives, rows, price_move) + level)
    joint_price = (towards_joint - point.joint_price * joint) / point.joint - point.joint_price
    slack = wanted - point.slack * price_move / slack_price
    return _Point(joint, slack, relief, joint_price, price_move, relief_price, level)


def _longest(point, move, loose):
    """The longest step, up to 1, after which nothing positive has become negative."""
    length = 1.0
    for own, change in zip(point.positive(True, loose), move.positive(True, loose), strict=True):
        own, change = np.atleast_1d(own), np.atleast_1d(change)
        shrinking = change < 0
        if shrinking.any():
            length = min(length, float((-own[shrinking] / change[shrinking]).min()))
    return length


def _prices(incentives, rows, duals):
    full = np.zeros(len(incentives.player))
    full[rows] = duals
    return incentives.prices(full)
