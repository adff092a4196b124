"""The parts of `bench_population.py` that are ours, and CFR+, each in a process of its own.

`python population_ours.py REQUEST` prints a JSON object per line: `start` once libraries are
loaded, `point` with what a population was worth and when it was there, `end` after the last.
Seconds count from the start of the process.
"""

import contextlib
import functools
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_BEGIN_S = time.perf_counter()

# Iterations of OpenSpiel's CFR+ between two measurements.
CFR_STEPS = 50


def emit(kind: str, **content: Any) -> None:
    """Prints one line for the process that collects them."""
    print(json.dumps({"kind": kind} | content), flush=True)


def now() -> dict[str, float]:
    """Seconds of the process and of the clock on the wall."""
    return {"cpu_s": time.process_time(), "wall_s": time.perf_counter() - _BEGIN_S}


class _Enough(Exception):
    """The population is good enough."""


def run_training(request: Mapping[str, Any]) -> None:
    """Trains as `neupl train` does and tells when the populations that it kept were there.

    Exact runs stop at NashConv `until`. Sampled runs know no exact figure: theirs are computed when
    training is over, on a tree that is compiled only then.
    """
    from games.registry import load_tree
    from neupl.config import Config
    from neupl.config_io import load_config
    from neupl.problem import make_problem
    from neupl.training import initial_state, train

    changes = (f"seed={request['seed']}", *request["changes"])
    config = load_config(Config, Path(request["preset"]), changes)
    emit("start", **now())
    problem, _ = make_problem(config)
    evaluated_s: list[float] = []
    # Parameters need no copy: JAX arrays do not change.
    kept: list[tuple[dict[str, float], Any]] = []

    def on_evaluation(state: Any, _: object, metrics: Mapping[str, float]) -> None:
        evaluated_s.append(time.process_time())
        if "eval/best_nash_conv" in metrics:
            value = metrics["eval/best_nash_conv"]
            emit("point", **now(), step=int(state.best.step), nash_conv=value)
            if value <= request.get("until", -1.0):
                raise _Enough
        elif np.isfinite(state.best.gains).all() and (not kept or kept[-1][1] is not state.best):
            kept.append((now(), state.best))

    state = initial_state(problem)
    with contextlib.suppress(_Enough):
        state = train(problem, state, on_evaluation=on_evaluation)
    if problem.tables is None:
        # The last population has had its meta-strategy measured anew.
        kept.append((now(), state.best))
        measure = _measurement(load_tree(config.game), config)
        for when, best in kept:
            emit("point", **when, step=int(best.step), nash_conv=measure(best))
    # What the steps up to the first evaluation take longer than later ones is compilation.
    usual_s = float(np.median(np.diff(evaluated_s))) if len(evaluated_s) > 1 else None
    emit("end", first_cpu_s=evaluated_s[0], usual_cpu_s=usual_s)


def _measurement(tree: Any, config: Any) -> Callable[[Any], float]:
    """The exact NashConv of the mixture that a snapshot of a sampled run stands for."""
    from neupl.training_problem import rows_of
    from neupl.tree_population import TreePopulation
    from solvers.gaps import gains_of_plan
    from solvers.sequence_form import mix_plans, realization_plan

    tables = TreePopulation(tree, config, sink=tree.uniform_policy().astype(np.float32))

    def measure(best: Any) -> float:
        policies = np.asarray(tables.policies(best.params, rows_of(best.joint)), np.float64)
        # Networks give single precision.
        policies /= policies.sum(axis=-1, keepdims=True)
        plan = mix_plans(tree, realization_plan(tree, policies), best.meta_strategy)
        return float(gains_of_plan(tree, plan).sum())

    return measure


def run_psro(request: Mapping[str, Any]) -> None:
    """Exact PSRO from the name of the game to NashConv `until`: the first time, and once more with
    all compiled code loaded.
    """
    from games.open_spiel_tree import compile_open_spiel
    from solvers.jpsro import jpsro
    from solvers.meta.nash import solve_nash

    solver = functools.partial(solve_nash, maximum_entropy=False)
    emit("start", **now())
    for attempt in ("first", "loaded"):
        begin = time.process_time()
        tree = compile_open_spiel(request["game"], cache=False)
        tree_s = time.process_time() - begin
        state = jpsro(tree, meta_solver=solver, tolerance=request["until"])
        last = state.curve[-1]
        emit(
            "point",
            attempt=attempt,
            solver_s=time.process_time() - begin,
            tree_s=tree_s,
            **now(),
            nash_conv=last.gap,
            strategies=max(last.sizes),
        )
    emit("end", converged=state.converged)


def run_cfr(request: Mapping[str, Any]) -> None:
    """CFR+ to NashConv `until`, by our loops and by OpenSpiel's in C++; both are loaded before."""
    import pyspiel

    from games.open_spiel_tree import compile_open_spiel
    from solvers.regret import solve_cfr

    name, until = request["game"], request["until"]
    tree = compile_open_spiel(name, cache=False)
    solve_cfr(tree, iterations=1)
    emit("start", **now())
    begin = time.process_time()
    tree = compile_open_spiel(name, cache=False)
    tree_s = time.process_time() - begin
    found = solve_cfr(tree, tolerance=until, check_every=CFR_STEPS, iterations=100_000)
    taken = time.process_time() - begin
    emit(
        "point", side="ours", solver_s=taken, tree_s=tree_s, iterations=found.iterations,
        nash_conv=found.nash_conv,
    )  # fmt: skip
    game = pyspiel.load_game(name)
    solver, iterations, value, spent = None, 0, np.inf, 0.0
    while value > until:
        begin = time.process_time()
        solver = solver or pyspiel.CFRPlusSolver(game)
        for _ in range(CFR_STEPS):
            solver.evaluate_and_update_policy()
        spent += time.process_time() - begin
        iterations += CFR_STEPS
        value = pyspiel.nash_conv(game, solver.tabular_average_policy())
    emit("point", side="openspiel", solver_s=spent, iterations=iterations, nash_conv=value)
    emit("end")


RUNS = {"training": run_training, "psro": run_psro, "cfr": run_cfr}


def main() -> int:
    """Runs the part that the first argument asks for."""
    request = json.loads(sys.argv[1])
    RUNS[request["run"]](request)
    return 0


if __name__ == "__main__":
    sys.exit(main())
