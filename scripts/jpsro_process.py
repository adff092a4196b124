"""A part of `jpsro_parts.py` as a process, and what it printed as a record that is kept."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reproduction_report import number

from neupl.durable_files import write_durably

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent
# What OpenSpiel's own JPSRO needs besides OpenSpiel.
PEER_PACKAGES = ("cvxpy", "cvxopt", "ecos")


def peer_installed() -> bool:
    """Whether OpenSpiel's JPSRO can run here."""
    return all(importlib.util.find_spec(name) for name in PEER_PACKAGES)


def run_part(request: Mapping[str, Any], runs: Path) -> dict[str, Any]:
    """Runs one process on one game, or reads what an earlier call with the same request left.

    Returns:
      The request, what the process printed (`start`, `curve` as columns, `end`, `welfare` and
      `check`), how it ended (`status`, `error`), and its CPU seconds.
    """
    path = runs / f"{request['name']}.{request['process']}.json"
    if path.exists():
        earlier = json.loads(path.read_text())
        if earlier["request"] == request and earlier["status"] != "failed":
            return earlier
    command = [sys.executable, str(SCRIPTS / "jpsro_parts.py"), json.dumps(request)]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    log_path, output_path = path.with_suffix(".log"), path.with_suffix(".jsonl")
    begin = time.perf_counter()
    with output_path.open("wb") as output, log_path.open("wb") as errors:
        process = subprocess.Popen(command, cwd=runs, stdout=output, stderr=errors, env=environment)
        # `wait4` is what tells the CPU time of this child alone.
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = code = os.waitstatus_to_exitcode(status)
    result = {
        "request": dict(request),
        **_collect(output_path.read_text()),
        "error": None if code == 0 else _last_words(log_path),
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "wall_s": time.perf_counter() - begin,
    }
    result["status"] = _status(code, result)
    write_durably(path, json.dumps(result).encode())
    gaps = result["curve"]["gap"]
    print(
        f"{request['name']}, {request['process']}: {result['status']}, "
        f"{len(gaps)} iterations, gap {number(gaps[-1]) if gaps else '-'}, "
        f"{result['cpu_s']:.1f} CPU seconds",
        file=sys.stderr,
    )
    return result


def _collect(printed: str) -> dict[str, Any]:
    """What a part printed; the last line may have been cut off."""
    columns = ("cpu_s", "gap", "sizes", "novel", "repeated")
    found: dict[str, Any] = {"start": None, "curve": {name: [] for name in columns}}
    found |= {"end": None, "welfare": None, "check": None}
    for line in printed.splitlines():
        try:
            content = json.loads(line)
        except json.JSONDecodeError:
            continue
        kind = content.pop("kind")
        if kind == "point":
            for name in columns:
                found["curve"][name].append(content[name])
        else:
            found[kind] = content
    return found


def _last_words(log_path: Path) -> str:
    lines = log_path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no words"


def _status(code: int, result: Mapping[str, Any]) -> str:
    """How a part ended: `converged`, `stuck` without a new strategy, at its number of `iterations`
    or its `time`, `stopped` inside a call, or `failed`."""
    if code < 0 and result["end"] is None:
        return "stopped"
    if code > 0 or result["end"] is None:
        return "failed"
    if result["end"]["converged"]:
        return "converged"
    if len(result["curve"]["gap"]) >= result["request"]["max_iterations"]:
        return "iterations"
    drops = result["request"]["process"].startswith(("drop", "psro"))
    return "stuck" if drops and result["curve"]["novel"][-1:] == [0] else "time"
