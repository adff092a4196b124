"""Meta-solvers by name: payoffs `[K_0, ..., K_{P-1}, P]` in, `SolverResult` out.

Names follow OpenSpiel's JPSRO where it has the solver.
"""

import difflib
import functools
from collections.abc import Callable

import numpy as np

from solvers.meta.alpha_rank import solve_alpha_rank
from solvers.meta.bimatrix import solve_bimatrix
from solvers.meta.correlated import solve_correlated
from solvers.meta.dynamics import solve_prd
from solvers.meta.learning import solve_fictitious_play, solve_regret_matching
from solvers.meta.logit import solve_logit
from solvers.meta.nash import solve_nash
from solvers.meta.uniform import solve_random_joint, solve_uniform
from solvers.meta.welfare import solve_random_vertex, solve_welfare
from solvers.types import SolverResult

MetaSolver = Callable[[np.ndarray], SolverResult]

_ENTRIES: dict[str, tuple[MetaSolver, str]] = {
    "nash": (solve_nash, "two-player zero-sum: the Nash equilibrium of greatest entropy"),
    "lle": (solve_logit, "limiting logit equilibrium: one Nash equilibrium, any players"),
    "bimatrix": (solve_bimatrix, "two players: a Nash equilibrium by Lemke-Howson"),
    "mgcce": (
        functools.partial(solve_correlated, concept="cce"),
        "coarse correlated equilibrium of greatest Gini impurity",
    ),
    "mgce": (
        functools.partial(solve_correlated, concept="ce"),
        "correlated equilibrium of greatest Gini impurity",
    ),
    "mecce": (
        functools.partial(solve_correlated, concept="cce", maximise="entropy"),
        "coarse correlated equilibrium of greatest entropy",
    ),
    "mece": (
        functools.partial(solve_correlated, concept="ce", maximise="entropy"),
        "correlated equilibrium of greatest entropy",
    ),
    "min_epsilon_mgcce": (
        functools.partial(solve_correlated, concept="cce", epsilon="min"),
        "mgcce in which deviating loses as much as Gini impurity allows",
    ),
    "min_epsilon_mgce": (
        functools.partial(solve_correlated, concept="ce", epsilon="min"),
        "mgce in which deviating loses as much as Gini impurity allows",
    ),
    "approx_mgcce": (
        functools.partial(solve_correlated, concept="cce", epsilon="approx"),
        "mgcce with deviations allowed 0.01 of the greatest gain from uniform play",
    ),
    "approx_mgce": (
        functools.partial(solve_correlated, concept="ce", epsilon="approx"),
        "mgce with deviations allowed 0.01 of the greatest gain from uniform play",
    ),
    "mwcce": (
        functools.partial(solve_welfare, concept="cce"),
        "coarse correlated equilibrium of greatest summed payoff, the most even one",
    ),
    "mwce": (
        functools.partial(solve_welfare, concept="ce"),
        "correlated equilibrium of greatest summed payoff, the most even one",
    ),
    "rvcce": (
        functools.partial(solve_random_vertex, concept="cce"),
        "random vertex of the coarse correlated equilibria",
    ),
    "rvce": (
        functools.partial(solve_random_vertex, concept="ce"),
        "random vertex of the correlated equilibria",
    ),
    "uniform": (solve_uniform, "every strategy alike"),
    "rj": (solve_random_joint, "one profile drawn uniformly"),
    "prd": (solve_prd, "projected replicator dynamics, averaged over time"),
    "alpharank": (solve_alpha_rank, "stationary distribution of evolving populations"),
    "regret_matching": (solve_regret_matching, "time-averaged joint of regret matching"),
    "fictitious_play": (solve_fictitious_play, "empirical frequencies of fictitious play"),
}

META_SOLVERS: dict[str, MetaSolver] = {name: solver for name, (solver, _) in _ENTRIES.items()}

# One line per meta-solver, for listings.
META_SOLVER_NOTES: dict[str, str] = {name: note for name, (_, note) in _ENTRIES.items()}


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
