"""Trains populations from episodes alone, and the baselines on the same budget; measures both."""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from neupl_command import ROOT, run_command
from sampled_cases import (
    AIM_FACTOR,
    COMPARED,
    LEARNED,
    METHODS,
    MUST_FACTOR,
    RANGE_SHARE,
    TARGETS,
    TOO_BIG,
)

from neupl.durable_files import write_durably

# What the time of a step is logged as; solving is part of evaluating.
PARTS = ("collect", "update", "evaluate", "solve")
# NashConv that CFR+ is run to as the anchor, in game points.
ANCHOR = 5e-4


def names() -> tuple[str, ...]:
    """The parts of the report, for `--only`: targets, learned payoffs, games with their methods."""
    compared = (f"{game}/{method}" for game in COMPARED for method in METHODS)
    return (*TARGETS, *LEARNED, *TOO_BIG, *compared)


def measure(options: argparse.Namespace, runs: Path) -> dict[str, Any]:
    """Runs what was asked for; returns the content of the report."""

    def train_all(names: Sequence[str], jobs: int) -> dict[str, list[dict[str, Any]]]:
        tasks = [(name, seed) for name in names for seed in range(options.seeds)]
        pool = ThreadPoolExecutor(jobs)
        try:
            found = [
                pool.submit(train_once, *task, runs=runs, smoke=options.quick, single_core=jobs > 1)
                for task in tasks
            ]
            results = iter([one.result() for one in found])
        finally:
            pool.shutdown(cancel_futures=True)
        return {name: [next(results) for _ in range(options.seeds)] for name in names}

    # Whoever is judged by the clock shares it with no other run.
    timed = [name for name in options.only if name in TARGETS and TARGETS[name].limit_s < np.inf]
    others = [name for name in options.only if name not in timed]
    trained = train_all(timed, 1) | train_all(others, options.jobs)
    of_name = {name: trained[name] for name in options.only}
    rows = [assess_target(name, of_name[name]) for name in of_name if name in TARGETS]
    sources = [
        assess_payoffs(name, of_name[name])
        for name in of_name
        if name in LEARNED or name in LEARNED.values()
    ]
    bounds = [assess_bound(name, of_name[name]) for name in of_name if name in TOO_BIG]
    methods = [assess_method(name, of_name[name]) for name in of_name if "/" in name]
    games = sorted({row["game"] for row in (*rows, *methods)})
    return {
        "rows": rows,
        "payoffs": sources,
        "bounds": bounds,
        "methods": methods,
        "anchors": [anchor(game) for game in games],
    }


def train_once(
    name: str, seed: int, *, runs: Path, smoke: bool, single_core: bool
) -> dict[str, Any]:
    """Trains one population by the command line; returns its results as plain JSON.

    What an earlier call left in `runs` is not measured again: a long report can be continued.
    """
    path = runs / f"{name.replace('/', '-').replace(':', '-')}-ppo-{seed}"
    result_path = runs / f"{path.name}.result.json"
    if result_path.exists():
        return json.loads(result_path.read_text())
    what, changes = _what(name)
    trained, wall_s, cpu_s = run_command(
        [
            *("train", *what, "--out", path.name, "--seed", str(seed), "--json", "--quiet"),
            *(["--smoke"] if smoke else []),
            *(part for change in changes for part in ("--set", change)),
        ],
        runs=runs,
        log=f"{path.name}.train",
        single_core=single_core,
    )
    certificate = trained["certificate"]
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    print(f"{name}, seed {seed}: {certificate['value']:.4g} in {wall_s:.0f} s", file=sys.stderr)
    result = {
        "seed": seed,
        "game": certificate["game"],
        "nash_conv": certificate["value"],
        "openspiel": certificate["openspiel_value"],
        "interval": certificate["interval"],
        "payoffs": trained.get("payoffs"),
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "steps": lines[-1]["step"],
        "num_strategies": lines[-1]["population/num_admitted"],
        "parameters": num_parameters(path),
        "seconds_of": {
            part: sum(line.get(f"time/{part}_s", 0.0) for line in lines) for part in PARTS
        },
        "episodes_per_step": _episodes_of(path),
        "curve": {
            "step": [line["step"] for line in lines],
            "elapsed_s": [line["time/elapsed_s"] for line in lines],
            "nash_conv": [line.get("eval/nash_conv") for line in lines],
        },
    }
    write_durably(result_path, json.dumps(result).encode())
    return result


def _what(name: str) -> tuple[list[str], Sequence[str]]:
    """Arguments of `neupl train`, and changes of its configuration."""
    if name in LEARNED:
        what, _ = _what(LEARNED[name])
        return what, ("evaluation.payoffs=learned",)
    if "/" not in name:
        target = (TARGETS | TOO_BIG)[name]
        if target.preset is None:
            return ["--game", target.game], ("learner.kind=ppo", *target.changes)
        return [str(ROOT / "configs" / target.preset)], target.changes
    game, method = name.split("/")
    # Selection by the exact NashConv, for all alike: how good each is at its best.
    return [str(ROOT / "configs" / TARGETS[game].preset)], (
        "evaluation.payoffs=exact",
        *METHODS[method].changes,
    )


def num_parameters(path: Path) -> int:
    """Floats of the networks of an exported population."""
    from safetensors.numpy import load_file

    arrays = load_file(path / "population" / "arrays.safetensors")
    return sum(array.size for name, array in arrays.items() if name.startswith("network/"))


def _episodes_of(path: Path) -> int:
    from neupl.config import Config
    from neupl.config_io import load_config

    return load_config(Config, path / "config.yaml", ()).learner.episodes


def assess_target(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Adds the exact reference at the same size, and what was met in the worst seed."""
    from games.registry import load_tree
    from solvers.psro import best_reference

    target, size = TARGETS[name], runs[0]["num_strategies"]
    tree = load_tree(runs[0]["game"])
    reference = best_reference(tree, num_strategies=size).nash_conv
    must, aim = (
        min(max(factor * reference, RANGE_SHARE * tree.payoff_range), limit)
        for factor, limit in ((MUST_FACTOR, target.must), (AIM_FACTOR, target.aim))
    )
    columns = _columns(runs, ("nash_conv", "wall_s", "cpu_s"))
    worst = {key: max(values) for key, values in columns.items()}
    in_time = worst["wall_s"] <= target.limit_s
    return {
        "name": name,
        "preset": target.preset,
        "changes": list(target.changes),
        "game": runs[0]["game"],
        "beyond_reach": target.beyond_reach,
        "num_strategies": size,
        "payoff_range": tree.payoff_range,
        "reference": reference,
        "must": must,
        "aim": aim,
        "limit_s": target.limit_s if target.limit_s != float("inf") else None,
        "median": {key: statistics.median(values) for key, values in columns.items()},
        "worst": worst,
        "met": {
            # What is asked for relative to exact PSRO alone has no limit of time.
            "must": (in_time or target.must == float("inf")) and worst["nash_conv"] <= must,
            "aim": in_time and worst["nash_conv"] <= aim,
        },
        "runs": runs,
    }


def assess_payoffs(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """How far estimated payoffs of the populations that are kept are off the exact ones."""
    columns = {
        f"{kind}_{figure}": [run["payoffs"][kind][figure] for run in runs]
        for kind in ("running", "measured")
        for figure in ("root_mean_square_error", "expected_error", "within_two")
    }
    columns["nash_conv"] = [run["nash_conv"] for run in runs]
    return {
        "name": name,
        "game": runs[0]["game"],
        "payoffs": "learned" if name in LEARNED else "sampled",
        "median": {key: statistics.median(values) for key, values in columns.items()},
        "worst": {
            key: (min if key.endswith("within_two") else max)(values)
            for key, values in columns.items()
        },
        "runs": runs,
    }


def assess_bound(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What is known of populations for a game without a tree: a lower bound, by seed."""
    return {
        "name": name,
        "preset": TOO_BIG[name].preset,
        "game": runs[0]["game"],
        "num_strategies": runs[0]["num_strategies"],
        "median": {key: statistics.median(run[key] for run in runs) for key in ("wall_s", "cpu_s")},
        "worst": {key: max(run[key] for run in runs) for key in ("wall_s", "cpu_s")},
        "runs": runs,
    }


def assess_method(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """How good a method was at its best and over its last third, and when it was good enough."""
    game, method = name.split("/")
    for run in runs:
        run |= _curve_figures(run["curve"], threshold=COMPARED[game])
    columns = _columns(runs, ("nash_conv", "last_third", "wall_s", "cpu_s"))
    return {
        "name": name,
        "game": runs[0]["game"],
        "method": METHODS[method].title,
        "changes": list(METHODS[method].changes),
        "threshold": COMPARED[game],
        "parameters": runs[0]["parameters"],
        "median": {key: statistics.median(values) for key, values in columns.items()},
        "worst": {key: max(values) for key, values in columns.items()},
        "runs": runs,
    }


def _curve_figures(curve: Mapping[str, list[float]], *, threshold: float) -> dict[str, Any]:
    last = curve["step"][-1]
    late = [
        value
        for step, value in zip(curve["step"], curve["nash_conv"], strict=True)
        if step > 2 / 3 * last
    ]
    reached = [i for i, value in enumerate(curve["nash_conv"]) if value <= threshold]
    return {
        "last_third": statistics.median(late),
        "threshold_step": curve["step"][reached[0]] if reached else None,
        "threshold_s": curve["elapsed_s"][reached[0]] if reached else None,
    }


def _columns(runs: list[dict[str, Any]], keys: Sequence[str]) -> dict[str, list[float]]:
    return {key: [run[key] for run in runs] for key in keys}


def anchor(game: str) -> dict[str, Any]:
    """What CFR+ takes on the same game: for small games the exact solver is the one to beat."""
    from games.registry import load_tree
    from solvers.regret import solve_cfr

    found = solve_cfr(
        load_tree(game), variant="cfr+", iterations=20_000, tolerance=ANCHOR, check_every=50
    )
    return {
        "game": game,
        "nash_conv": found.nash_conv,
        "iterations": found.iterations,
        "seconds": found.curve[-1].seconds,
    }
