"""Linear programs over the set of correlated or coarse correlated equilibria.

Marginals of the co-players and own payoffs are variables of their own, which keeps the matrix of
the coarse program sparse: about three entries per player and profile instead of one per deviation
and profile.
"""

import numpy as np
import scipy.optimize
import scipy.sparse
from jaxtyping import Float64

from solvers.meta.incentives import Concept, Incentives, incentives, own_first
from solvers.types import SolverError


def best_joint(
    payoffs: Float64[np.ndarray, "..."],
    objective: Float64[np.ndarray, "..."],
    *,
    concept: Concept,
    epsilon: float = 0.0,
) -> tuple[Float64[np.ndarray, "..."], int]:
    """The equilibrium at which the mean of `objective` is greatest, a vertex of the set.

    Args:
      payoffs: `[K_0, ..., K_{P-1}, P]`, in game points.
      objective: worth of each profile, `[K_0, ..., K_{P-1}]`.
      concept: `"cce"` or `"ce"`.
      epsilon: largest gain of a deviation, in game points.

    Returns:
      The joint and the number of simplex iterations.

    Raises:
      SolverError: the linear program failed.
    """
    operator = incentives(payoffs, concept)
    build = _coarse_rows if concept == "cce" else _swap_rows
    rows, equalities, num_extra = build(operator)
    size = objective.size
    simplex = scipy.sparse.csr_array(
        (np.ones(size), (np.zeros(size, int), np.arange(size))), shape=(1, size + num_extra)
    )
    allowance = (epsilon / operator.scale[operator.player])[operator.binds]
    spread = max(float(np.ptp(objective)), np.finfo(float).tiny)
    cost = np.append(-(objective.reshape(-1) - objective.min()) / spread, np.zeros(num_extra))
    bounds = np.full((size + num_extra, 2), (0.0, np.inf))
    bounds[size:, 0] = -np.inf
    for presolve, tolerance in ((True, 1e-10), (False, 1e-10), (False, 1e-7)):
        result = scipy.optimize.linprog(
            cost,
            A_ub=rows if rows.shape[0] else None,
            b_ub=allowance if rows.shape[0] else None,
            A_eq=scipy.sparse.vstack([simplex, equalities]),
            b_eq=np.append(1.0, np.zeros(equalities.shape[0])),
            bounds=bounds,
            method="highs-ds",
            options={
                "presolve": presolve,
                "primal_feasibility_tolerance": tolerance,
                "dual_feasibility_tolerance": tolerance,
            },
        )
        if result.status == 0:
            joint = np.maximum(result.x[:size], 0.0).reshape(objective.shape)
            return joint / joint.sum(), int(result.nit)
    raise SolverError(f"linear program over the set of {concept} failed: {result.message}")


def _coarse_rows(operator: Incentives):
    """`T_p marginal_p - value_p <= 0` per player; marginals and values are extra variables."""
    shape = operator.shape
    size = int(np.prod(shape))
    players = np.unique(operator.player[operator.binds]).tolist()
    sizes = [size // shape[p] for p in players]
    num_extra = sum(sizes) + len(players)
    profile = np.arange(size).reshape(shape)
    rows, equalities, first = [], [], size
    for index, (p, others) in enumerate(zip(players, sizes, strict=True)):
        value = size + sum(sizes) + index
        utility = operator.utilities[p]
        table = own_first(utility, p)
        width = size + num_extra
        own = scipy.sparse.lil_array((len(table), width))
        own[:, first : first + others] = table
        own[:, value] = -1.0
        rows.append(own.tocsr())
        marginal = np.arange(others)
        position = np.broadcast_to(
            np.expand_dims(marginal.reshape(shape[:p] + shape[p + 1 :]), p), shape
        ).reshape(-1)
        equalities.append(
            scipy.sparse.csr_array(
                (
                    np.append(np.ones(size), -np.ones(others)),
                    (
                        np.append(position, marginal),
                        np.append(profile.reshape(-1), first + marginal),
                    ),
                ),
                shape=(others, width),
            )
        )
        equalities.append(
            scipy.sparse.csr_array(
                (
                    np.append(utility.reshape(-1), -1.0),
                    (np.zeros(size + 1, int), np.append(profile.reshape(-1), value)),
                ),
                shape=(1, width),
            )
        )
        first += others
    if not rows:
        return _nothing(size), _nothing(size), 0
    return scipy.sparse.vstack(rows), scipy.sparse.vstack(equalities), num_extra


def _swap_rows(operator: Incentives):
    """One row per swap that binds, over the profiles in which the strategy is drawn."""
    shape = operator.shape
    size = int(np.prod(shape))
    profile = np.arange(size).reshape(shape)
    rows = []
    for p, utility in enumerate(operator.utilities):
        table, where = own_first(utility, p), own_first(profile, p)
        binds = operator.binds[operator.player == p].reshape(len(table), -1)
        for k in range(len(table)):
            gain = table[binds[k]] - table[k]
            if len(gain):
                columns = np.broadcast_to(where[k], gain.shape)
                lines = np.broadcast_to(np.arange(len(gain))[:, None], gain.shape)
                rows.append(
                    scipy.sparse.csr_array(
                        (gain.reshape(-1), (lines.reshape(-1), columns.reshape(-1))),
                        shape=(len(gain), size),
                    )
                )
    return (scipy.sparse.vstack(rows) if rows else _nothing(size)), _nothing(size), 0


def _nothing(size):
    return scipy.sparse.csr_array((0, size))
