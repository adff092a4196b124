"""Measures the meta-solvers against OpenSpiel's, PIQP and Clarabel on the same payoffs, in one run.

Milliseconds of CPU time on one thread, the median of several solves (one of those that take more
than a second). `error` is how far the peer's objective is from ours, relative to ours, and `gap`
how far our answer is from equilibrium, as a share of the payoff range. Payoffs are Gaussian, or
those of populations that exact PSRO and JPSRO grow, which are of low rank.
"""

import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import bench_report
import numpy as np
import scipy.sparse

from games.open_spiel_tree import compile_open_spiel
from solvers.correlated_gaps import correlated_gains
from solvers.meta.bimatrix import solve_bimatrix
from solvers.meta.correlated import solve_correlated
from solvers.meta.incentives import own_first
from solvers.meta.logit import solve_logit
from solvers.meta.welfare import solve_welfare
from solvers.psro import psro
from solvers.sequence_form import realization_plan
from solvers.values import payoffs_of_plans

UNIT = "milliseconds of CPU"


def random_game(*shape: int) -> np.ndarray:
    """Independent Gaussian payoffs."""
    return np.random.default_rng(0).normal(size=(*shape, len(shape)))


def leduc_population(num_strategies: int) -> np.ndarray:
    """Payoffs of an exact PSRO population of Leduc poker."""
    matrix = psro(compile_open_spiel("leduc_poker"), num_strategies=num_strategies).payoffs
    return np.stack([matrix, -matrix], axis=-1)


def kuhn_population(rounds: int) -> np.ndarray:
    """Payoffs of a three-player Kuhn population of responses to its maximum-Gini CCEs."""
    tree = compile_open_spiel("kuhn_poker(players=3)")
    plans = [[realization_plan(tree, tree.uniform_policy())] for _ in range(3)]
    for _ in range(rounds):
        stacked = [np.stack(own) for own in plans]
        joint = solve_correlated(payoffs_of_plans(tree, stacked)).joint
        found = correlated_gains(tree, stacked, joint, responses="uniform")
        for player, deviations in enumerate(found.deviations):
            own = (tree.infoset_player == player)[:, None]
            policy = np.where(own, deviations.policies[0], tree.uniform_policy())
            plans[player].append(realization_plan(tree, policy))
    return payoffs_of_plans(tree, [np.stack(own) for own in plans])


def coarse_rows(payoffs: np.ndarray) -> np.ndarray:
    """The dense matrix of gains from coarse deviations, `[rows, profiles]`, largest entry 1."""
    rows = []
    for player, size in enumerate(payoffs.shape[:-1]):
        table = payoffs[..., player]
        for played in range(size):
            rows.append((np.take(table, [played], axis=player) - table).reshape(-1))
    rows = np.array(rows)
    return rows / np.abs(rows).max()


def piqp_mgcce(payoffs: np.ndarray) -> np.ndarray:
    """Maximum-Gini CCE by PIQP at its tightest useful tolerance."""
    import piqp

    rows = coarse_rows(payoffs)
    size = rows.shape[1]
    solver = piqp.SparseSolver()
    solver.settings.eps_abs = solver.settings.eps_duality_gap_abs = 1e-9
    solver.settings.eps_rel = solver.settings.eps_duality_gap_rel = 0.0
    solver.settings.max_iter = 250
    solver.setup(
        scipy.sparse.csc_matrix(scipy.sparse.eye(size) * size),
        np.zeros(size),
        scipy.sparse.csc_matrix(np.ones((1, size))),
        np.ones(1),
        scipy.sparse.csc_matrix(rows),
        None,
        np.zeros(len(rows)),
        np.zeros(size),
        None,
    )
    solver.solve()
    return solver.result.x


def clarabel_mgcce(payoffs: np.ndarray) -> np.ndarray:
    """Maximum-Gini CCE by Clarabel."""
    import clarabel

    rows = coarse_rows(payoffs)
    num_rows, size = rows.shape
    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_iter = False, 500
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-9
    matrix = scipy.sparse.vstack([np.ones((1, size)), rows, -scipy.sparse.eye(size)])
    cones = [clarabel.ZeroConeT(1), clarabel.NonnegativeConeT(num_rows + size)]
    solver = clarabel.DefaultSolver(
        scipy.sparse.csc_matrix(scipy.sparse.eye(size) * size),
        np.zeros(size),
        scipy.sparse.csc_matrix(matrix),
        np.append(1.0, np.zeros(num_rows + size)),
        cones,
        settings,
    )
    return np.array(solver.solve().x)


def open_spiel_joint(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """OpenSpiel's JPSRO meta-solver on its default path: CVXOPT, then OSQP."""
    from open_spiel.python.algorithms import jpsro

    def solve(payoffs: np.ndarray) -> np.ndarray:
        tables = np.moveaxis(payoffs, -1, 0)
        repeats = [np.ones(k) for k in payoffs.shape[:-1]]
        return getattr(jpsro, name)(tables, repeats)[0]

    return solve


def cpu_ms(solve: Callable[[], object], *, repeats: int) -> tuple[float, object]:
    """Median CPU milliseconds of a solve, and its last result; slow ones are not repeated."""
    times, result = [], None
    for _ in range(repeats):
        begin = time.process_time()
        result = solve()
        times.append(1e3 * (time.process_time() - begin))
        if times[-1] > 1e3:
            break
    return statistics.median(times), result


def gap_share(payoffs: np.ndarray, joint: np.ndarray) -> float:
    """Sum of the positive gains of all players from coarse deviations, over the payoff range."""
    total = 0.0
    for player in range(payoffs.shape[-1]):
        table, own = own_first(payoffs[..., player], player), own_first(joint, player)
        total += max(float((table @ own.sum(axis=0)).max() - np.vdot(table, own)), 0.0)
    return total / float(np.ptp(payoffs))


def compare(name, payoffs, ours_fn, peers, objective_fn, *, repeats, target) -> list[dict]:
    """One line per peer, or one without a peer; a peer that fails has no time."""
    ours, result = cpu_ms(lambda: ours_fn(payoffs), repeats=repeats)
    worth = objective_fn(result.joint)
    figures = {
        "gap": gap_share(payoffs, result.joint),
        "residual": getattr(result, "residual", None),
    }
    if not peers:
        return [
            bench_report.row(name, ours, None, peer_name=None, unit=UNIT, error=None, **figures)
        ]
    rows = []
    for peer_name, peer_fn in peers.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                peer, answer = cpu_ms(lambda fn=peer_fn: fn(payoffs), repeats=repeats)
            error = abs(objective_fn(np.reshape(answer, result.joint.shape)) - worth) / abs(worth)
        except Exception as problem:  # a peer's failure is a finding of the comparison
            print(f"{name}: {peer_name} failed: {problem}", file=sys.stderr)
            peer = error = None
        goal = target if peer_name == "PIQP" else None
        if peer_name == "OpenSpiel" and target is not None:
            goal = 1000.0
        rows.append(
            bench_report.row(
                name,
                ours,
                peer,
                peer_name=peer_name,
                unit=UNIT,
                target=goal,
                error=error,
                **figures,
            )
        )
    return rows


def squares(joint: np.ndarray) -> float:
    """The sum of squares that maximum Gini impurity minimises."""
    return float(np.sum(joint**2))


def measure(*, quick: bool, repeats: int) -> list[dict]:
    """Runs every comparison."""
    piqp, clarabel = {"PIQP": piqp_mgcce}, {"Clarabel": clarabel_mgcce}
    open_spiel = {"OpenSpiel": open_spiel_joint("_mgcce")}
    games = [
        ("random 10x10", random_game(10, 10), piqp | clarabel | open_spiel, None),
        ("random 50x50", random_game(50, 50), piqp | ({} if quick else clarabel | open_spiel), 20),
        ("random 20x20x20", random_game(20, 20, 20), piqp, None),
        ("random 100x100", random_game(100, 100), {} if quick else piqp, None),
        ("kuhn 3p population", kuhn_population(10), piqp | ({} if quick else open_spiel), None),
        ("leduc population 25x25", leduc_population(25), piqp | clarabel | open_spiel, None),
        ("leduc population 60x60", leduc_population(60), {} if quick else piqp | clarabel, None),
        ("leduc population 132x132", leduc_population(132), {}, None),
    ]
    if not quick:
        games.append(("leduc population 250x250", leduc_population(250), {}, None))
    rows = []
    for name, payoffs, peers, target in games:
        rows += compare(
            f"mgcce {name}", payoffs, solve_correlated, peers, squares,
            repeats=repeats, target=target,
        )  # fmt: skip
    for name, payoffs, _, _ in games:
        if name != "random 10x10":
            rows += compare(
                f"mecce {name}", payoffs, lambda p: solve_correlated(p, maximise="entropy"), {},
                squares, repeats=repeats, target=None,
            )  # fmt: skip
    for name, payoffs, _, _ in games[:1] + games[5:7]:
        rows += compare(
            f"mgce {name}", payoffs, lambda p: solve_correlated(p, concept="ce"),
            {"OpenSpiel": open_spiel_joint("_mgce")} if "random" in name else {},
            squares, repeats=repeats, target=None,
        )  # fmt: skip
        rows += compare(
            f"min_epsilon_mgcce {name}", payoffs, lambda p: solve_correlated(p, epsilon="min"),
            {"OpenSpiel": open_spiel_joint("_min_epsilon_mgcce")} if "random" in name else {},
            squares, repeats=repeats, target=None,
        )  # fmt: skip
    payoffs = random_game(50, 50)
    rows += compare(
        "mwcce random 50x50", payoffs, solve_welfare,
        {"OpenSpiel": open_spiel_joint("_mwcce")},
        lambda joint: float(np.vdot(joint, payoffs.sum(axis=-1))), repeats=repeats, target=None,
    )  # fmt: skip
    for name, solver in (("bimatrix", solve_bimatrix), ("lle", solve_logit)):
        rows += compare(
            f"{name} random 50x50", payoffs, solver, {}, squares, repeats=repeats, target=None
        )
    return rows


def main() -> None:
    """Reads the command line, measures, prints and writes the report."""
    options = bench_report.parse_options(
        "bench_meta_solvers",
        description=__doc__,
        quick="without slow peers",
        seeds="solves per median",
        default_seeds=5,
    )
    rows = measure(quick=options.quick, repeats=3 if options.quick else options.seeds)
    bench_report.finish(
        "bench_meta_solvers",
        options,
        rows,
        title="Meta-solvers",
        about=__doc__,
        packages=("numpy", "scipy", "open_spiel", "piqp", "clarabel"),
    )


if __name__ == "__main__":
    sys.exit(main())
