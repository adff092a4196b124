"""Solves the projection onto a set of correlated equilibria by whatever method gets there.

Newton's method on the dual solves games in general position; an interior-point method, followed by
Newton steps, degenerate ones; where there are tens of thousands of rows, Newton's method in blocks.
Two-player games that are zero-sum for all that matters are first
reduced to the face that holds all their equilibria.
"""

import dataclasses

import numpy as np
from jaxtyping import Float64

from solvers.meta.block_newton import block_newton
from solvers.meta.divergence import RelativeEntropy
from solvers.meta.dual_newton import dual_newton
from solvers.meta.face import lifted, reduced, zero_sum_face
from solvers.meta.incentives import SwapIncentives
from solvers.meta.interior_point import interior_point
from solvers.meta.projection import Answer, Projection, answer, worst_rows
from solvers.types import SolverError

# Largest accepted residual (see `projection.answer`), and the one aimed at.
ACCEPTED, AIM = 1e-8, 1e-12
# Multipliers of some thousands or millions turn the rounding of slacks into doubt about which of
# the equilibria is the best. So much of it is accepted of an equilibrium to so many digits, and
# told by the status.
EQUILIBRIUM, DOUBT = 1e-10, 0.1
MAX_NEWTON_STEPS, MAX_INTERIOR_STEPS, MAX_POLISHING_STEPS = 12, 250, 4
# With more pairs of strategies than this their rows are treated in blocks, if they can be.
MANY_ROWS, MAX_BLOCK_STEPS = 10_000, 60
# How sure the selection on a face must be to try nothing else.
SETTLED = 1e-5
FIRST_PAIR_STEPS, PROMISING = 4, 1e-2
# With more rows than this the interior-point method starts from some and adds violated ones.
MAX_INTERIOR_ROWS, MAX_ROUNDS = 500, 30


def project(
    problem: Projection,
    duals: Float64[np.ndarray, "R"] | None = None,
    *,
    newton_steps: int = MAX_NEWTON_STEPS,
) -> Answer:
    """Solves the projection onto the set of equilibria, from multipliers `duals` where given.

    Newton's method may take `newton_steps` before the interior-point method is called.

    Raises:
      ValueError: the number of duals is wrong or one is negative.
      SolverError: the residual reached is greater than 1e-8, and not for doubt about the selection
        alone.
    """
    operator = problem.incentives
    if duals is None:
        duals = np.zeros(len(operator.player))
    elif len(duals) != len(operator.player) or not np.all(duals >= 0):
        raise ValueError(
            f"duals to start from must be {len(operator.player)} non-negative numbers, one per "
            f"deviation; got {len(duals)}"
        )
    if not operator.binds.any():
        ideal = problem.divergence.ideal()
        return answer(dataclasses.replace(problem, relief_rates=None), ideal, 0 * duals)
    best = _on_face(problem, newton_steps)
    if best is None or not (best.violation <= EQUILIBRIUM and best.residual <= SETTLED):
        other = _search(problem, duals, newton_steps)
        best = other if best is None or other.residual < best.residual else best
    told = best.violation <= EQUILIBRIUM and best.residual <= DOUBT
    if not (best.residual <= ACCEPTED or told):
        raise SolverError(
            f"no correlated equilibrium of the {'x'.join(map(str, operator.shape))} game within "
            f"{ACCEPTED:g}; reached a residual of {best.residual:.3g}"
        )
    return best


def _on_face(problem, newton_steps):
    """The answer by way of the face of all equilibria, `None` where none is known."""
    if problem.allowance.any():
        return None
    face = zero_sum_face(problem.incentives)
    if face is None:
        return None
    # The rows' weighted sum is not negative: no relief makes all of them so.
    problem = dataclasses.replace(problem, relief_rates=None)
    # Multipliers of another game lead astray: the rows' weights may be in them any number of times.
    start = np.zeros(len(problem.allowance))
    return lifted(problem, face, _search(reduced(problem, face), start, newton_steps))


def _search(problem, duals, newton_steps) -> Answer:
    """The best answer of all methods, the first that is good enough."""
    operator, tried = problem.incentives, []
    if problem.relief_rates is None:
        # With a row for every pair of strategies, a bad beginning seldom comes to a good end.
        pairs = len(operator.group_starts) < len(operator.player)
        if _in_blocks(problem):
            tried.append(
                block_newton(problem, duals, tolerance=ACCEPTED / 3, max_steps=MAX_BLOCK_STEPS)
            )
            if tried[-1].residual <= ACCEPTED:
                return tried[-1]
        first = min(newton_steps, FIRST_PAIR_STEPS) if pairs else newton_steps
        tried.append(dual_newton(problem, duals, tolerance=AIM, max_steps=first))
        if first < newton_steps and 10 * AIM < tried[-1].residual <= PROMISING:
            more = dual_newton(
                problem, tried[-1].duals, tolerance=AIM, max_steps=newton_steps - first
            )
            tried.append(more._replace(iterations=more.iterations + tried[-1].iterations))
        if tried[-1].residual <= 10 * AIM:
            return tried[-1]
        duals = tried[-1].duals
    inner = _interior(problem, duals)
    tried.append(inner)
    polished = dual_newton(
        problem.without_relief(inner.relief),
        inner.duals,
        tolerance=AIM,
        max_steps=MAX_POLISHING_STEPS,
    )
    tried.append(answer(problem, polished.joint, polished.duals, relief=inner.relief))
    best = min(tried, key=lambda one: one.residual)
    return best._replace(iterations=inner.iterations + polished.iterations)


def _in_blocks(problem):
    """Whether the rows are too many for one matrix, and fall into blocks."""
    return (
        isinstance(problem.incentives, SwapIncentives)
        and isinstance(problem.divergence, RelativeEntropy)
        and problem.tight is None
        and not problem.allowance.any()
        and len(problem.allowance) > MANY_ROWS
    )


def _interior(problem, duals):
    """The interior-point method on all rows, or on a growing part of many rows."""
    operator = problem.incentives
    rows = np.flatnonzero(operator.binds)
    rounds = 1
    if len(rows) > MAX_INTERIOR_ROWS:
        joint, _ = problem.divergence.link(operator.prices(duals))
        slack = operator.gains(joint) - problem.allowance
        used = duals != 0 if problem.tight is None else problem.tight | (duals != 0)
        rows = np.union1d(np.flatnonzero(used), worst_rows(problem, slack, least=-np.inf))
        rounds = MAX_ROUNDS
    best, iterations = None, 0
    for _ in range(rounds):
        point = interior_point(problem, rows, tolerance=AIM, max_steps=MAX_INTERIOR_STEPS)
        iterations += point.iterations
        found = answer(problem, point.joint / point.joint.sum(), point.duals, relief=point.relief)
        if best is None or found.residual < best.residual:
            best = found
        slack = operator.gains(found.joint) - problem.without_relief(found.relief).allowance
        added = np.setdiff1d(worst_rows(problem, slack, least=AIM), rows)
        if not len(added):
            break
        rows = np.union1d(rows, added)
    return best._replace(iterations=iterations)
