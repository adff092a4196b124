"""Meta-solvers by name: payoffs `[K_0, ..., K_{P-1}, P]` in, `SolverResult` out."""

import difflib
from collections.abc import Callable

import numpy as np

from solvers.meta.dynamics import solve_prd
from solvers.meta.nash import solve_nash
from solvers.meta.uniform import solve_uniform
from solvers.types import SolverResult

MetaSolver = Callable[[np.ndarray], SolverResult]

META_SOLVERS: dict[str, MetaSolver] = {
    "nash": solve_nash,
    "uniform": solve_uniform,
    "prd": solve_prd,
}


def meta_solver(name: str) -> MetaSolver:
    """Looks up a meta-solver.

    Raises:
      ValueError: no solver has this name; the message lists all of them.
    """
    try:
        return META_SOLVERS[name]
    except KeyError:
        close = difflib.get_close_matches(name, META_SOLVERS, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(
            f"unknown meta-solver {name!r}{hint}; allowed: {', '.join(META_SOLVERS)}"
        ) from None
