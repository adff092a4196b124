"""Newton's method on the dual of the projection onto the set of correlated equilibria.

The dual has one variable per deviation instead of one per profile. Each step solves the quadratic
model over non-negative multipliers exactly, by block principal pivoting (Portugal, Judice and
Vicente 1994); Levenberg damping copes with the singular models of duplicated or irrelevant
strategies. It ends in a handful of steps on games in general position, and from a good start; on
degenerate games `solvers.meta.interior_point` goes the distance.
"""

import numpy as np
import scipy.linalg
from jaxtyping import Float64

from solvers.meta.projection import Answer, Projection, answer, worst_rows

# Rows up to this number are all in every model; beyond it only used and most violated ones.
MAX_MODEL_ROWS = 400
# Levenberg damping relative to the mean curvature.
LEAST_DAMPING, GREATEST_DAMPING = 1e-15, 1e2
# Mean curvature, as a share of that of one profile, below which there is no model.
FLAT = 1e-20
# Exchanges of pivots per model, and those without progress before one index at a time is exchanged.
MAX_PIVOTS, BLOCK_TRIALS = 50, 3


def dual_newton(
    problem: Projection,
    duals: Float64[np.ndarray, "R"],
    *,
    tolerance: float,
    max_steps: int,
) -> Answer:
    """Maximises the dual from `duals`, `[R]` and non-negative but for equations, without relief.

    Returns:
      The best point met; whether it is good enough says its residual.
    """
    incentives, divergence = problem.incentives, problem.divergence
    tight = np.zeros(len(duals), bool) if problem.tight is None else problem.tight
    few = np.flatnonzero(incentives.binds | tight)
    few = few if len(few) <= MAX_MODEL_ROWS else None
    duals = np.where(incentives.binds | tight, duals, 0.0)
    joint, curvature = divergence.link(incentives.prices(duals))
    slack = incentives.gains(joint) - problem.allowance
    damping, best = 1e-10, None
    for step in range(max_steps + 1):
        here = _cheap_residual(problem, joint, duals, slack)
        if best is None or here < best[0]:
            best = (here, joint, duals)
        if here <= tolerance or step == max_steps:
            break
        rows = few
        if rows is None:
            rows = np.union1d(
                np.flatnonzero(tight | (duals != 0)), worst_rows(problem, slack, least=0.0)
            )
        if not len(rows):
            break
        along = incentives.gains(curvature)[rows]
        model = incentives.gram(curvature, rows)
        model -= np.outer(along, along / curvature.sum())
        size = float(np.trace(model)) / len(rows)
        # A joint with all mass on one profile does not bend.
        if not size > FLAT * curvature.sum():
            break
        moved = False
        while not moved and damping <= GREATEST_DAMPING:
            trial = _step(model, damping * size, duals[rows], slack[rows], tight[rows])
            if trial is not None:
                new_duals = duals.copy()
                new_duals[rows] = trial
                new_joint, new_curvature = divergence.link(incentives.prices(new_duals))
                new_slack = incentives.gains(new_joint) - problem.allowance
                change = new_duals - duals
                # The dual is concave: its slope along the step falls, and must not turn steep.
                moved = change @ new_slack >= -0.5 * (change @ slack)
            damping = max(damping / 10, LEAST_DAMPING) if moved else damping * 100
        if not moved:
            break
        duals, joint, curvature, slack = new_duals, new_joint, new_curvature, new_slack
    return answer(problem, best[1], best[2], iterations=step)


def _cheap_residual(problem, joint, duals, slack):
    """The residual of `projection.answer` for a joint that is the link of its duals."""
    lost = np.abs(duals * slack).sum() / max(
        problem.divergence.value(joint), problem.divergence.floor
    )
    return max(problem.violation(slack), lost)


def _step(model, damping, duals, slack, tight):
    """New multipliers: the maximiser of the damped quadratic model, or `None` if it has no
    factorisation.
    """
    damped = model.copy()
    damped[np.diag_indices(len(damped))] += damping
    linear = damped @ duals + slack
    used = (duals > 0) | (slack > 0) | tight
    fewest, trials = len(duals) + 1, BLOCK_TRIALS
    result = np.zeros(len(duals))
    for _ in range(MAX_PIVOTS):
        index = np.flatnonzero(used)
        result[:] = 0.0
        try:
            factor = scipy.linalg.cho_factor(damped[np.ix_(index, index)], check_finite=False)
        except scipy.linalg.LinAlgError:
            return None
        result[index] = scipy.linalg.cho_solve(factor, linear[index], check_finite=False)
        wrong = np.where(used, result < 0, linear - damped @ result > 1e-14) & ~tight
        count = int(np.count_nonzero(wrong))
        if count == 0:
            return result
        if count < fewest:
            fewest, trials = count, BLOCK_TRIALS
        elif trials:
            trials -= 1
        else:
            wrong = np.arange(len(wrong)) == np.flatnonzero(wrong)[-1]
        used = used ^ wrong
    return np.where(tight, result, np.maximum(result, 0.0))
