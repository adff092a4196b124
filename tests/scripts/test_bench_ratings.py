"""`scripts/bench_ratings.py`: its data, its rows, and a real quick run."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from evaluation.readers import read_evaluation

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """The script's module; scripts are no package, but import each other."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module("bench_ratings")
    finally:
        sys.path.remove(str(SCRIPTS))


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(SCRIPTS.parent), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, SCRIPTS / "bench_ratings.py", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.slow
def test_quick_run_reports_every_work_within_its_limit(tmp_path):
    done = run("--quick", "--json", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report == json.loads((tmp_path / "bench_ratings.json").read_text())
    names = [row["name"].split()[0] for row in report["rows"]]
    assert {"cce", "ce", "nash", "bradley_terry", "deviation"} <= set(names)
    for row in report["rows"]:
        assert 0 < row["ours"] <= row["limit"]
        assert row.get("gap", 0) <= 1e-8
        if row["peer"] is not None:
            assert row["ratio"] == pytest.approx(row["peer"] / row["ours"])


def test_a_part_is_measured_once(bench, tmp_path):
    made = []

    def make():
        made.append(1)
        yield {"name": "x", "ours": 1.0}

    rows = [bench.kept(tmp_path / "runs", "part", make) for _ in range(2)]
    assert rows[0] == rows[1] == [{"name": "x", "ours": 1.0}]
    assert len(made) == 1


def test_rows_without_a_peer_say_so(bench, monkeypatch, capsys):
    monkeypatch.setattr(bench.peers, "installed", lambda package: False)
    table = bench.generated_scores(12, 4)
    (row,) = bench.equilibria(table, {"cce": 1.0}, "ce_maxent", repeats=1)
    assert row["name"] == "cce 12 x 4"
    assert row["peer"] is row["peer_name"] is row["ratio"] is None
    assert row["gap"] <= 1e-9
    assert "polarix is not installed (pip install polarix)" in capsys.readouterr().err


def test_battles_are_read_as_written(bench, tmp_path):
    bench.write_battles(tmp_path / "battles.csv", 2000)
    battles = read_evaluation(tmp_path / "battles.csv")
    assert len(battles.first) == 2000
    assert len(battles.models) == 100
    # A fifth of them ties: seven standard deviations.
    assert abs(np.mean(battles.outcome == 0.5) - 0.2) < 0.063
