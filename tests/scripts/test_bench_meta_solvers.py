"""`scripts/bench_meta_solvers.py`: a real quick run against the peers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "bench_meta_solvers.py", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_quick_run_reports_speed_gaps_and_agreement(tmp_path):
    for package in ("piqp", "clarabel", "cvxpy"):
        pytest.importorskip(package)
    done = bench("--quick", "--json", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report == json.loads((tmp_path / "bench_meta_solvers.json").read_text())
    for row in report["rows"]:
        assert row["gap"] <= 1e-9
        if row["peer"] is not None:
            assert row["ratio"] == pytest.approx(row["peer"] / row["ours"])
        if row["peer_name"] in ("PIQP", "Clarabel"):
            assert row["error"] <= 1e-7
        if row["target"] is not None:
            assert row["ratio"] >= row["target"]


def test_no_solves_are_refused():
    done = bench("--seeds", "0")
    assert done.returncode == 2
    assert "--seeds is 0, expected at least 1" in done.stderr
