"""Trains populations by NeuPL-JPSRO and compares them with exact JPSRO.

Every game is trained through the command line as a user would (`neupl train`), a few seeds each;
what the last certificate says is set beside exact JPSRO with at most as many strategies, over its
ways of breaking ties. Ablations change one thing of a preset at a time. Writes `neupl_jpsro.md`,
`neupl_jpsro.json` and a figure, about the parts that were asked for.

Exit code 1 if a full run misses a target.
"""

import argparse
import contextlib
import fnmatch
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joint_report
import reproduction_report as report
from joint_adaptation import adaptation_of
from joint_cases import ABLATED, ABLATIONS, ALLOWED, CASES, QUICK
from jpsro_process import PEER_PACKAGES, peer_installed, run_part
from neupl_command import ROOT, CommandFailed, run_command

from neupl.durable_files import write_durably
from neupl.stored_population import load_population

# Exact JPSRO stops after so many seconds on a game, OpenSpiel's after so many CPU seconds.
REFERENCE_S, PEER_S = 120.0, 100.0


def names() -> list[str]:
    """What `--only` can match: games, and `GAME/ABLATION`."""
    ablated = [f"{game}/{what}" for game in ABLATED for what in ABLATIONS if ABLATIONS[what]]
    return [*CASES, *ablated]


def train_once(name: str, seed: int, *, runs: Path, smoke: bool, single_core: bool) -> dict:
    """Trains one population and reads what it left; an earlier result is not measured again."""
    game, _, ablation = name.partition("/")
    case = CASES[game]
    path = runs / f"{name.replace('/', '.').replace(' ', '_')}-{seed}"
    result_path = runs / f"{path.name}.result.json"
    if result_path.exists():
        return json.loads(result_path.read_text())
    what = ["--game", case.game] if case.preset is None else [str(ROOT / "configs" / case.preset)]
    changed = (*case.changes, *ABLATIONS.get(ablation, ()))
    changes = [word for change in changed for word in ("--set", change)]
    trained, wall_s, cpu_s = run_command(
        ["train", *what, *changes, "--out", path.name, "--seed", str(seed), "--json", "--quiet",
         *(["--smoke"] if smoke else [])],
        runs=runs,
        log=f"{path.name}.train",
        single_core=single_core,
    )  # fmt: skip
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    # What episodes alone tell of a gap is an estimate, and called so.
    kind = "gap_estimate" if case.oracle == "sampled" else "gap"
    ends = [line for line in lines if f"eval/{kind}" in line]
    manifest = json.loads((path / "population" / "population.json").read_text())
    certificate = trained["certificate"]
    print(f"{name}, seed {seed}: {certificate['value']:.4g} in {wall_s:.0f} s", file=sys.stderr)
    result = {
        "seed": seed,
        "gap": certificate["value"],
        "welfare": sum(trained["values"]),
        "openspiel": certificate["openspiel_value"],
        "checked": trained["checked"],
        "meta_solver": manifest["meta_solver"],
        "sizes": trained["sizes"],
        "iteration": manifest["iteration"],
        "iterations": len(ends) + 1,
        "drift": statistics.median(line["drift/payoff"] for line in ends),
        "worst_drift": max(line["drift/payoff"] for line in ends),
        # The response head is measured against exact responses where the run had the tree.
        "adaptation": {} if case.oracle == "sampled" else adaptation_of(load_population(path)),
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "curve": {
            "seconds": [line["time/elapsed_s"] for line in ends],
            "gap": [line[f"eval/{kind}"] for line in ends],
            "best": [line[f"eval/best_{kind}"] for line in ends],
            "drift": [line["drift/payoff"] for line in ends],
        },
    }
    write_durably(result_path, json.dumps(result).encode())
    return result


def reference_of(game: str, size: int, folder: Path) -> dict[str, Any]:
    """The least gap of exact JPSRO with at most `size` strategies of every seat.

    Over both of its ways to break ties, and over the joints of `mgcce` and `mwcce`, as ours is.
    """
    from games.registry import load_tree
    from solvers.correlated_gaps import correlated_gains
    from solvers.jpsro import jpsro
    from solvers.meta.registry import meta_solver
    from solvers.types import SolverError

    stem = "".join(c if c.isalnum() else "_" for c in game)
    path = folder / f"reference-{stem}-{size}.json"
    if path.exists():
        return json.loads(path.read_text())
    tree = load_tree(game)
    curve: list[dict[str, Any]] = []

    def look(ties):
        def record(state, point):
            # The point is of the population before its responses joined, the state of that after.
            curve.append({"ties": ties, "size": max(point.sizes), "gap": point.gap})
            if max(state.sizes) > size:
                raise _Enough
            with contextlib.suppress(SolverError):
                joint = meta_solver("mwcce")(state.payoffs).joint
                judged = correlated_gains(tree, state.plans, joint / joint.sum())
                curve.append({"ties": ties, "size": max(state.sizes), "gap": judged.gap})

        return record

    for ties in ("lowest", "uniform"):
        with contextlib.suppress(_Enough, SolverError):
            jpsro(
                tree,
                ties=ties,
                time_limit_s=REFERENCE_S,
                on_iteration=look(ties),
                max_iterations=4 * size,
            )
    found = {
        "gap": min(point["gap"] for point in curve),
        "payoff_range": tree.payoff_range,
        "curve": curve,
    }
    write_durably(path, json.dumps(found).encode())
    return found


def openspiel_of(game: str, folder: Path, *, limit_s: float = PEER_S) -> dict[str, Any]:
    """How far OpenSpiel's own JPSRO comes with maximum-Gini CCEs, as its authors' example runs it.

    Returns:
      The gaps that were the least so far (`curve`) over CPU seconds once its libraries are loaded;
      of how many iterations; how it ended (`status`).
    """
    if not peer_installed():
        needed = f"it needs {', '.join(PEER_PACKAGES)} (pip install 'neupl[bench]')"
        return {
            "curve": {"cpu_s": [], "gap": [], "sizes": []},
            "iterations": 0,
            "status": "not run",
            "error": needed,
        }
    request = {
        "name": "openspiel-" + "".join(c if c.isalnum() else "_" for c in game),
        "game": game,
        "side": "openspiel",
        "process": "openspiel",
        "limit_s": limit_s,
        "max_iterations": 10_000,
    }
    found = run_part(request, folder)
    curve, gaps = found["curve"], found["curve"]["gap"]
    lower = [k for k, gap in enumerate(gaps) if gap < min(gaps[:k], default=float("inf"))]
    return {
        "curve": {name: [curve[name][k] for k in lower] for name in ("cpu_s", "gap", "sizes")},
        "iterations": len(gaps),
        "status": found["status"],
        "error": found["error"],
    }


class _Enough(Exception):
    """Exact JPSRO has as many strategies as ours."""


def assess(name: str, own: Sequence[dict[str, Any]], *, runs: Path) -> dict[str, Any]:
    """A row: medians, worst seeds, the reference, and what was met in all seeds."""
    game, _, ablation = name.partition("/")
    case = CASES[game]
    row = {
        "name": name,
        "game": case.game,
        "preset": case.preset,
        "oracle": case.oracle,
        "runs": list(own),
    }
    for quantity in ("gap", "welfare", "wall_s", "cpu_s", "drift"):
        values = [run[quantity] for run in own]
        worst = min(values) if quantity == "welfare" else max(values)
        row[quantity] = {"median": statistics.median(values), "worst": worst}
    size = max(max(run["sizes"]) for run in own)
    reference = reference_of(case.game, size, runs)
    factor, share = ALLOWED[case.oracle]
    relative = max(factor * reference["gap"], share * reference["payoff_range"])
    target = case.gap if case.preset else min(case.gap, relative)
    row |= {
        "size": size,
        "payoff_range": reference["payoff_range"],
        "reference": reference["gap"],
        "relative": relative,
        "target": {
            "gap": _finite(target),
            "welfare": _finite(case.welfare),
            "limit_s": _finite(case.limit_s),
        },
        "within_reference": row["gap"]["worst"] <= relative,
    }
    row["met"] = (
        None
        if ablation
        else bool(
            row["gap"]["worst"] <= min(case.gap, float("inf"))
            and row["welfare"]["worst"] >= case.welfare
            and row["cpu_s"]["worst"] <= case.limit_s
            and row["within_reference"]
        )
    )
    return row


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None


def _command(options: argparse.Namespace) -> str:
    """The command line that repeats a report, without where it was written."""
    parts = ["python scripts/reproduce_neupl_jpsro.py", *(["--quick"] if options.quick else [])]
    parts += [f"--seeds {options.seeds} --jobs {options.jobs}"]
    if options.only != ["*"]:
        parts += ["--only", *(f"'{pattern}'" for pattern in options.only)]
    return " ".join(parts)


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line; ends with code 2 where it cannot be followed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="under 50 s: one smoke run")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of every game")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, a core each")
    parser.add_argument("--runs", type=Path, help="keep the run folders here and continue them")
    parser.add_argument("--out", type=Path, help="folder for the page, its data and its figures")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--only", nargs="*", default=["*"], metavar="PATTERN",
        help=f"parts by name: {', '.join(CASES)}, or GAME/ABLATION",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if options.seeds < 1 or options.jobs < 1:
        parser.error("--seeds and --jobs must be at least 1")
    for pattern in options.only:
        if not fnmatch.filter(names(), pattern):
            parser.error(f"--only {pattern!r} matches none of {', '.join(names())}")
    return options


def main() -> int:
    """Trains, compares, reports."""
    options = parse_options()
    chosen = [n for n in names() if any(fnmatch.fnmatch(n, p) for p in options.only)]
    if options.quick:
        chosen = [name for name in chosen if name in QUICK]
    seeds = 1 if options.quick else options.seeds
    with tempfile.TemporaryDirectory(prefix="neupl-") as temporary:
        runs = (options.runs or Path(temporary)).resolve()
        runs.mkdir(parents=True, exist_ok=True)

        def train(job: tuple[str, int]) -> tuple[str, dict[str, Any] | str]:
            name, seed = job
            try:
                return name, train_once(
                    name, seed, runs=runs, smoke=options.quick, single_core=options.jobs > 1
                )
            except CommandFailed as error:
                print(f"{name}, seed {seed}: {error}", file=sys.stderr)
                return name, str(error)

        with ThreadPoolExecutor(options.jobs) as pool:
            jobs = [(name, seed) for name in chosen for seed in range(seeds)]
            found = list(pool.map(train, jobs))
        failures = [{"name": name, "error": e} for name, e in found if isinstance(e, str)]
        rows = []
        for name in chosen:
            own = [run for who, run in found if who == name and not isinstance(run, str)]
            if own:
                rows.append(assess(name, own, runs=runs))
        for row in rows:
            if "/" not in row["name"] and not options.quick:
                row["openspiel"] = openspiel_of(row["game"], runs)
    options.seeds = seeds
    content = report.described(_command(options), options) | {"rows": rows, "failures": failures}
    if options.out is not None:
        joint_report.write(options.out, content)
    print(json.dumps(content) if options.json else joint_report.summary(content))
    missed = failures or any(row["met"] is False for row in rows)
    return 1 if missed and not options.quick else 0


if __name__ == "__main__":
    sys.exit(main())
