"""Measures regret minimisation and the sequence-form program against OpenSpiel's.

All times are CPU time of the process on one thread; rounds of ours and theirs alternate, and
medians over rounds are reported. Compilation of our loops by Numba is kept out (it is cached on
disk); what a first run costs otherwise, from the name of the game on, has rows of its own.
"""

import functools
import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Callable

# Read when NumPy and SciPy start, so it comes before their import.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import bench_report
import pyspiel

from games.game_tree import GameTree
from games.open_spiel_tree import compile_open_spiel, load_open_spiel
from solvers.regret import solve_cfr
from solvers.sequence_lp import solve_sequence_lp

# OpenSpiel's solvers in C++ by our name of the variant.
PEERS = {"cfr": pyspiel.CFRSolver, "cfr+": pyspiel.CFRPlusSolver}

# Target, and after how many iterations the two NashConvs are compared.
GAMES = {
    "kuhn_poker": (None, 1000),
    "kuhn_poker(players=3)": (None, 200),
    "leduc_poker": (100.0, 100),
    "goofspiel(imp_info=True,num_cards=5,points_order=descending)": (None, 30),
    "liars_dice(dice_sides=4)": (None, 100),
    "liars_dice": (100.0, 10),
}
EVERYTHING = (*(("cfr", name) for name in GAMES), *(("cfr+", name) for name in GAMES))
QUICK = (("cfr", "leduc_poker"), ("cfr+", "leduc_poker"), ("cfr+", "liars_dice"))
LP_GAMES = ("kuhn_poker", "leduc_poker", "liars_dice(dice_sides=4)")

ITERATIONS = "iterations per CPU-second"


def cpu_seconds(function: Callable[[], object]) -> float:
    """CPU time of one call."""
    begin = time.process_time()
    function()
    return time.process_time() - begin


def regret_rows(name: str, variant: str, *, rounds: int, round_s: float) -> list[dict]:
    """Speed of the iterations, of a first run, and NashConv after equal numbers of iterations."""
    game, tree = load_open_spiel(name).turn_based, compile_open_spiel(name)
    target, equal = GAMES[name]
    solver, run = PEERS[variant](game), OurRun(tree, variant)
    theirs_each = max(1, round(round_s / cpu_seconds(solver.evaluate_and_update_policy)))
    ours_each = 1
    while cpu_seconds(functools.partial(run.iterate, ours_each)) < round_s / 2:
        ours_each *= 2
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(theirs_each / cpu_seconds(functools.partial(iterate, solver, theirs_each)))
        ours.append(ours_each / cpu_seconds(functools.partial(run.iterate, ours_each)))
    fresh = PEERS[variant](game)
    iterate(fresh, equal)
    their_gap = pyspiel.nash_conv(game, fresh.tabular_average_policy())
    our_gap = solve_cfr(tree, variant=variant, iterations=equal, check_every=equal).nash_conv

    def our_first():
        fresh_tree = compile_open_spiel(name, cache=False)
        solve_cfr(fresh_tree, variant=variant, iterations=equal, check_every=equal)

    def their_first():
        iterate(PEERS[variant](load_open_spiel(name).turn_based), equal)

    once = tree.num_nodes > 100_000
    first = [(cpu_seconds(our_first), cpu_seconds(their_first)) for _ in range(1 if once else 5)]
    peer = f"OpenSpiel {PEERS[variant].__name__} (C++)"
    return [
        row(
            f"{name}_{variant}",
            statistics.median(ours),
            statistics.median(theirs),
            peer,
            ITERATIONS,
            target if variant == "cfr+" else None,
        ),
        row(
            f"{name}_{variant}_{equal}_iterations_from_the_name",
            statistics.median(seconds for seconds, _ in first),
            statistics.median(seconds for _, seconds in first),
            peer,
            "CPU-seconds",
            None,
        ),
        row(
            f"{name}_{variant}_nash_conv_after_{equal}",
            our_gap,
            their_gap,
            peer,
            "game points",
            None,
        ),
    ]


class OurRun:
    """A run of ours that goes on; the one measurement at the end of `iterate` is part of its
    time.
    """

    def __init__(self, tree: GameTree, variant: str):
        self._tree, self._variant = tree, variant
        # The first call compiles, or loads what Numba compiled before.
        self._state = solve_cfr(tree, variant=variant, iterations=1).state

    def iterate(self, iterations: int) -> None:
        """Makes that many more iterations."""
        stop = self._state.iteration + iterations
        self._state = solve_cfr(
            self._tree,
            variant=self._variant,
            iterations=stop,
            check_every=stop,
            state=self._state,
        ).state


def iterate(solver, iterations: int) -> None:
    """Makes iterations of a solver of OpenSpiel's."""
    for _ in range(iterations):
        solver.evaluate_and_update_policy()


def lp_row(name: str, *, rounds: int) -> dict:
    """Seconds to a full solution by one program, OpenSpiel's two programs by CVXPY beside it."""
    from open_spiel.python.algorithms import sequence_form_lp

    tree, game = compile_open_spiel(name), load_open_spiel(name).turn_based
    pairs = []
    for _ in range(rounds):
        ours = cpu_seconds(lambda: solve_sequence_lp(tree))
        pairs.append((ours, cpu_seconds(lambda: sequence_form_lp.solve_zero_sum_game(game))))
    return row(
        f"{name}_sequence_lp",
        statistics.median(ours for ours, _ in pairs),
        statistics.median(theirs for _, theirs in pairs),
        "OpenSpiel sequence_form_lp",
        "CPU-seconds",
        None,
    )


def row(name, ours, peer, peer_name, unit, target) -> dict:
    """One line of the report."""
    return bench_report.row(
        name,
        ours,
        peer,
        peer_name=peer_name,
        unit=unit,
        target=target,
        more_is_better=unit == ITERATIONS,
    )


def measure(*, quick: bool, seeds: int) -> list[dict]:
    """Runs the comparisons."""
    rounds, round_s = (5, 0.1) if quick else (5 + 2 * seeds, 1.0)
    rows = []
    for variant, name in QUICK if quick else EVERYTHING:
        rows += regret_rows(name, variant, rounds=rounds, round_s=round_s)
    if all(importlib.util.find_spec(package) for package in ("cvxpy", "ecos")):
        rows += [lp_row(name, rounds=rounds) for name in LP_GAMES[: 2 if quick else None]]
    return rows


def main() -> None:
    """Reads the command line, measures, prints and writes the report."""
    options = bench_report.parse_options(
        "bench_regret",
        description=__doc__,
        quick="two games, short rounds",
        seeds="adds two rounds each",
        default_seeds=3,
    )
    bench_report.finish(
        "bench_regret",
        options,
        measure(quick=options.quick, seeds=options.seeds),
        title="Regret minimisation and the sequence-form program",
        about=__doc__,
        packages=("open_spiel", "numpy", "scipy", "numba", "cvxpy", "ecos"),
    )


if __name__ == "__main__":
    sys.exit(main())
