"""`scripts/bench_regret.py`: a real quick run against OpenSpiel."""

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
        [sys.executable, ROOT / "scripts" / "bench_regret.py", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_quick_run_reports_speed_and_the_same_quality(tmp_path):
    done = bench("--quick", "--json", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report == json.loads((tmp_path / "bench_regret.json").read_text())
    rows = {row["name"]: row for row in report["rows"]}
    for name in ("leduc_poker_cfr+", "liars_dice_cfr+"):
        assert rows[name]["ratio"] == pytest.approx(rows[name]["ours"] / rows[name]["peer"])
        assert rows[name]["ratio"] >= rows[name]["target"] == 100
    for name, row in rows.items():
        if "_nash_conv_after_" in name:
            assert row["ours"] == pytest.approx(row["peer"], abs=1e-9)


def test_no_rounds_are_refused():
    done = bench("--seeds", "0")
    assert done.returncode == 2
    assert "--seeds is 0, expected at least 1" in done.stderr
