"""Trains populations on exact game trees, or from episodes alone, and compares them with exact
PSRO.

`--learner exact`, two parts: NashConv against a target on four presets and six games without one,
through the command line as a user would (`neupl train`, then `neupl verify` on the run folder);
and rock-paper-scissors under four interaction graphs. Writes `neupl.md`, `neupl.json` and two
figures, about the parts that were asked for.

`--learner ppo`, two parts: NashConv against a target, chosen without a game tree; and baselines on
the same budget of episodes: a network per strategy, PSRO, self-play, magnetic mirror descent.
Writes `neupl_ppo.md`, `neupl_ppo.json` and a figure, or files of another name: `--page`.

Exit code 1 if a full run misses a target or an expected fact.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import reproduction_report as report
import rock_paper_scissors
import sampled_report
import sampled_reproduction
from neupl_cases import CASES, NFG_FILE, write_random_nfg
from neupl_command import ROOT, CommandFailed, run_command
from sampled_cases import TARGETS, TOO_BIG

from neupl.durable_files import write_durably

# What a population may lose at most: see `target_of`.
REFERENCE_FACTOR, RANGE_SHARE = 1.3, 0.005


RPS = "rock_paper_scissors"

# What `--only` can name, and what `--quick` runs.
PARTS = {"exact": (*CASES, RPS), "ppo": sampled_reproduction.names()}
QUICK = {"exact": ("kuhn_poker", RPS), "ppo": ("kuhn_poker",)}


def train_once(
    name: str, seed: int, *, runs: Path, smoke: bool, single_core: bool
) -> dict[str, Any]:
    """Trains and verifies one population; returns its results as plain JSON.

    What an earlier call left in `runs` is not measured again: a long report can be continued.
    """
    case, path = CASES[name], runs / f"{name}-{seed}"
    result_path = runs / f"{path.name}.result.json"
    if result_path.exists():
        return json.loads(result_path.read_text())
    if case.preset is not None:
        what = [str(ROOT / "configs" / case.preset)]
    else:
        what = ["--game", case.game or NFG_FILE]
    options = ["--out", path.name, "--seed", str(seed), "--json", "--quiet"]
    trained, wall_s, cpu_s = run_command(
        ["train", *what, *options, *(["--smoke"] if smoke else [])],
        runs=runs,
        log=f"{path.name}.train",
        single_core=single_core,
    )
    verified, _, _ = run_command(
        ["verify", path.name, "--json", "--quiet"],
        runs=runs,
        log=f"{path.name}.verify",
        single_core=single_core,
    )
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    steps, values = [line["step"] for line in lines], [line["eval/nash_conv"] for line in lines]
    settles_at = settling_step(path / "config.yaml")

    def late_median(last: float) -> float:
        return statistics.median(
            v for s, v in zip(steps, values, strict=True) if 2 / 3 * last < s <= last
        )

    certificate = verified["certificate"]
    print(f"{name}, seed {seed}: {certificate['value']:.4g} in {wall_s:.0f} s", file=sys.stderr)
    result = {
        "seed": seed,
        "best": certificate["value"],
        "final": trained["final_nash_conv"],
        "last_third": late_median(steps[-1]),
        "before_settling": late_median(settles_at),
        "openspiel": certificate["openspiel_value"],
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "steps": steps[-1],
        "certificate": certificate,
        "curve": {"step": steps, "nash_conv": values},
    }
    write_durably(result_path, json.dumps(result).encode())
    return result


def settling_step(config_path: Path) -> int:
    """The gradient step at which a gated run goes back to its best population."""
    from neupl.config import Config
    from neupl.config_io import load_config

    training = load_config(Config, config_path, ()).training
    return round((1 - training.settle) * training.steps)


def assess(name: str, runs_of_case: list[dict[str, Any]], *, runs: Path) -> dict[str, Any]:
    """Adds the exact reference at the same size, the target, and what was met in the worst seed."""
    from games.registry import load_tree
    from neupl.config import Config
    from neupl.config_io import load_config
    from solvers.psro import best_reference

    case = CASES[name]
    config = load_config(Config, runs / f"{name}-{runs_of_case[0]['seed']}" / "config.yaml", ())
    tree = load_tree(str(runs / NFG_FILE) if config.game == NFG_FILE else config.game)
    reference = best_reference(tree, num_strategies=config.population.size)
    target = target_of(reference.nash_conv, tree.payoff_range, limit=case.limit)
    measured = ("best", "final", "last_third", "before_settling", "wall_s", "cpu_s")
    columns = {quantity: [run[quantity] for run in runs_of_case] for quantity in measured}
    worst = {quantity: max(values) for quantity, values in columns.items()}
    in_time = worst["wall_s"] <= case.limit_s
    return {
        "name": name,
        "game": config.game,
        "preset": case.preset,
        "beyond_reach": case.beyond_reach,
        "num_strategies": config.population.size,
        "payoff_range": tree.payoff_range,
        "reference": dataclasses.asdict(reference),
        "target": target,
        "limit_s": case.limit_s if np.isfinite(case.limit_s) else None,
        "median": {quantity: statistics.median(values) for quantity, values in columns.items()},
        "worst": worst,
        "met": {q: in_time and worst[q] <= target for q in ("best", "final", "last_third")},
        "runs": runs_of_case,
    }


def target_of(reference: float, payoff_range: float, *, limit: float) -> float:
    """NashConv to reach, in game points."""
    return min(max(REFERENCE_FACTOR * reference, RANGE_SHARE * payoff_range), limit)


def measure(options: argparse.Namespace, runs: Path) -> dict[str, Any]:
    """Runs everything that was asked for, writes the report and returns its content."""
    if options.learner == "ppo":
        content = _described(options) | sampled_reproduction.measure(options, runs)
        sampled_report.write(options.out, content, options.page)
        return content
    names = [name for name in CASES if name in options.only]
    if "random_nfg" in names:
        write_random_nfg(runs / NFG_FILE)
    tasks = [(name, seed) for name in names for seed in range(options.seeds)]

    def work(task: tuple[str, int]) -> dict[str, Any]:
        return train_once(*task, runs=runs, smoke=options.quick, single_core=options.jobs > 1)

    pool = ThreadPoolExecutor(options.jobs)
    try:
        results = list(pool.map(work, tasks))
    finally:
        pool.shutdown(cancel_futures=True)
    rows = [
        assess(name, results[i * options.seeds : (i + 1) * options.seeds], runs=runs)
        for i, name in enumerate(names)
    ]
    facts, drawn = [], {}
    if RPS in options.only:
        facts, drawn = rock_paper_scissors.train_and_check(
            seeds=options.seeds, runs=runs, quick=options.quick
        )
    content = _described(options) | {"rows": rows, "rock_paper_scissors": facts}
    report.write(options.out, content, trajectories=drawn)
    return content


def _described(options: argparse.Namespace) -> dict[str, Any]:
    """What a report says of itself."""
    return report.described(command_of(options), options)


def command_of(options: argparse.Namespace) -> str:
    """The command line that repeats a report, without where it was written."""
    parts = ["python scripts/reproduce_neupl.py", *(["--quick"] if options.quick else [])]
    parts += ["--learner ppo"] if options.learner == "ppo" else []
    parts += [f"--seeds {options.seeds} --jobs {options.jobs}"]
    if len(options.only) < len(PARTS[options.learner]):
        parts += ["--only", *options.only]
    parts += [f"--page {options.page}"] if options.page != sampled_report.NAME else []
    return " ".join(parts)


def parse_options() -> argparse.Namespace:
    """Reads the command line; ends with code 2 where it cannot be followed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="under 50 s: a few steps of Kuhn poker, less of the rest",
    )
    parser.add_argument("--seeds", type=int, default=None, help="runs per game (3; quick: 1)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results", help="report folder")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--learner", choices=tuple(PARTS), default="exact", help="which report: exact or ppo"
    )
    parser.add_argument(
        "--page",
        default=sampled_report.NAME,
        metavar="NAME",
        help=f"ppo: name of the report's files ({sampled_report.NAME})",
    )
    known = "; ".join(f"{learner}: {', '.join(parts)}" for learner, parts in PARTS.items())
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"parts. {known}")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, a core each")
    parser.add_argument(
        "--runs",
        type=Path,
        help="keep the run folders here; finished ones that are there are not repeated",
    )
    options = parser.parse_args()
    known = PARTS[options.learner]
    options.only = tuple(options.only or (QUICK[options.learner] if options.quick else known))
    for name in options.only:
        if name not in known:
            parser.error(f"argument --only: invalid choice: {name!r} (choose from {known})")
    if options.page != sampled_report.NAME and options.learner != "ppo":
        parser.error("--page goes with --learner ppo")
    if options.page != Path(options.page).name:
        parser.error(f"--page is {options.page!r}, expected a name without a folder")
    if options.seeds is None:
        options.seeds = 1 if options.quick else 3
    for name in ("seeds", "jobs"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} is {getattr(options, name)}, expected at least 1")
    cases = CASES if options.learner == "exact" else TARGETS | TOO_BIG
    for preset in (cases[name].preset for name in options.only if name in cases):
        if preset and not (ROOT / "configs" / preset).is_file():
            parser.error(f"configs/{preset} does not exist; leave it out with --only")
    return options


def main() -> int:
    """Runs the reproduction and prints where it is, or the whole of it as JSON."""
    options = parse_options()
    with tempfile.TemporaryDirectory(prefix="neupl-") as temporary:
        runs = (options.runs or Path(temporary)).resolve()
        runs.mkdir(parents=True, exist_ok=True)
        try:
            content = measure(options, runs)
        except CommandFailed as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    written = report if options.learner == "exact" else sampled_report
    print(json.dumps(content) if options.json else written.summary(content))
    judged = [row for row in content["rows"] if row["beyond_reach"] is None]
    if options.learner == "exact":
        missed = [row for row in judged if not all(row["met"].values())]
        missed += [fact for fact in content["rock_paper_scissors"] if not fact["holds"]]
    else:
        missed = [row for row in judged if not row["met"]["must"]]
    return int(bool(missed) and not options.quick)


if __name__ == "__main__":
    sys.exit(main())
