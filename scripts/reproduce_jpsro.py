"""Runs exact JPSRO and PSRO beside OpenSpiel's JPSRO, and further where that one cannot go.

Per game up to four processes, one after another, each a Python process on one thread: our program
as the authors' (repeats weigh, unreached rows uniform), ours (repeats are dropped, ties go to the
lowest action), OpenSpiel's, and OpenSpiel's loop with our meta-solver. Nothing is drawn at random,
so there are no seeds. Writes `jpsro.md`, `jpsro.json` and figures, about the games that were asked
for. Exit code 1 if a full run misses a target.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jpsro_report as report
import jpsro_targets
from jpsro_cases import CASES, PSRO_TOLERANCE, ZERO_SUM_CASES
from jpsro_process import PEER_PACKAGES, peer_installed, run_part

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("numpy", "scipy", "numba", "open_spiel", *PEER_PACKAGES)
# More iterations than any process needs; the time limit is meant to end those that do not converge.
MANY = 100_000
QUICK = ("kuhn_2p", "sheriff_1r", "sheriff_3r", "psro_kuhn")
QUICK_LIMIT_S, QUICK_PEER_LIMIT_S = 5.0, 3.0


def requests_of(options: argparse.Namespace) -> list[dict[str, Any]]:
    """What is to be run, in order; plain JSON."""
    requests = []
    for name, case in CASES.items():
        if name not in options.only:
            continue
        base = {"name": name, "game": case.game, "num_players": case.num_players}
        base |= {"remembers": True} if case.remembers else {}
        ours = base | {"side": "ours", "limit_s": options.time_limit_s}
        requests.append(
            ours | {"process": "drop", "max_iterations": MANY, "tolerance": case.tolerance}
        )
        if not case.iterations:
            continue
        # Never stops for the gap: it may rise again.
        until = {"max_iterations": case.iterations, "tolerance": -1.0}
        processes = ("weigh", *(jpsro_targets.OTHER_TIES if case.ties else ()))
        requests += [ours | until | {"process": process} for process in processes]
        if options.peer and case.refused is None and not case.remembers:
            peer = base | {"side": "openspiel", "limit_s": options.peer_limit_s} | until
            requests += [peer | {"process": p} for p in ("openspiel", "openspiel_exact")]
    for name, case in ZERO_SUM_CASES.items():
        if name in options.only:
            requests.append(
                {"name": name, "game": case.game, "num_players": 2, "side": "ours"}
                | {"process": "psro", "limit_s": options.time_limit_s, "max_iterations": MANY}
                | {"tolerance": PSRO_TOLERANCE}
            )
    return requests


def measure(options: argparse.Namespace, runs: Path) -> dict[str, Any]:
    """Runs everything that was asked for, writes the report and returns its content."""
    from neupl.provenance import usable_cores, versions

    parts = [run_part(request, runs) for request in requests_of(options)]
    content = {
        "command": command_of(options),
        "quick": options.quick,
        "limits": {"ours_s": options.time_limit_s, "openspiel_s": options.peer_limit_s},
        "peer": options.peer,
        "parts": parts,
        "targets": jpsro_targets.judge(parts),
        "versions": versions(VERSIONS),
        "machine": {"processor": report.processor(), "cores": usable_cores()},
    }
    report.write(options.out, content)
    return content


def command_of(options: argparse.Namespace) -> str:
    """The command line that repeats a report, without where it was written."""
    parts = ["python scripts/reproduce_jpsro.py", *(["--quick"] if options.quick else [])]
    parts += [f"--time-limit-s {options.time_limit_s:g} --peer-limit-s {options.peer_limit_s:g}"]
    if tuple(options.only) != (QUICK if options.quick else (*CASES, *ZERO_SUM_CASES)):
        parts += ["--only", *options.only]
    return " ".join(parts)


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line; ends with code 2 where it cannot be followed."""
    known = (*CASES, *ZERO_SUM_CASES)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="under 50 s: a few small games")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results", help="report folder")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--only", nargs="+", choices=known, metavar="NAME", help=f"games: {', '.join(known)}"
    )
    parser.add_argument(
        "--time-limit-s", type=float, help="seconds for one process of ours (1800; quick: 5)"
    )
    parser.add_argument(
        "--peer-limit-s", type=float, help="CPU seconds for one of OpenSpiel (60; quick: 3)"
    )
    parser.add_argument(
        "--runs",
        type=Path,
        help="keep the results of parts here; those that are there are not repeated",
    )
    options = parser.parse_args(arguments)
    options.only = options.only or (QUICK if options.quick else known)
    defaults = (QUICK_LIMIT_S, QUICK_PEER_LIMIT_S) if options.quick else (1800.0, 60.0)
    for name, default in zip(("time_limit_s", "peer_limit_s"), defaults, strict=True):
        value = getattr(options, name)
        if value is None:
            setattr(options, name, default)
        elif not (value > 0 and math.isfinite(value)):
            flag = name.replace("_", "-")
            parser.error(f"--{flag} is {value:g}, expected a positive number of seconds")
    options.peer = peer_installed()
    return options


def main() -> int:
    """Runs the reproduction and prints where it is, or the whole of it as JSON."""
    options = parse_options()
    with tempfile.TemporaryDirectory(prefix="neupl-") as temporary:
        runs = (options.runs or Path(temporary)).resolve()
        runs.mkdir(parents=True, exist_ok=True)
        content = measure(options, runs)
    print(json.dumps(content) if options.json else report.summary(content))
    missed = [target for target in content["targets"] if not target["met"]]
    return int(bool(missed) and not options.quick)


if __name__ == "__main__":
    sys.exit(main())
