"""`scripts/bench_report.py`: what a ratio means, and what is written."""

import argparse
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench_report.py"


@pytest.fixture(scope="module")
def bench_report() -> ModuleType:
    """The module; scripts are no package."""
    specification = importlib.util.spec_from_file_location("bench_report", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_ratio_above_one_means_ours_is_better(bench_report):
    faster = bench_report.row("a", 2.0, 6.0, peer_name="p", unit="seconds")
    more = bench_report.row("a", 6.0, 2.0, peer_name="p", unit="per second", more_is_better=True)
    assert faster["ratio"] == more["ratio"] == 3.0


@pytest.mark.parametrize("peer", [None, 0.0])
def test_no_ratio_without_a_peer_or_over_nothing(bench_report, peer):
    line = bench_report.row("a", 0.0, peer, peer_name=None, unit="points", more_is_better=True)
    assert line["ratio"] is None


def test_report_is_written_as_json_and_as_a_page(bench_report, tmp_path, capsys):
    options = argparse.Namespace(quick=True, seeds=2, out=tmp_path / "new", json=True, note="Busy.")
    rows = [
        bench_report.row("first", 12345.678, 2.0, peer_name="p", unit="s", target=1.0, error=1e-9),
        bench_report.row("second", 0.5, None, peer_name=None, unit="s"),
    ]
    bench_report.finish(
        "bench_x", options, rows, title="X", about="What.", packages=("numpy", "no-such"),
        floors=[{"name": "first", "bytes": 8}],
    )  # fmt: skip
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "new" / "bench_x.json").read_text())
    assert printed["rows"] == rows
    assert printed["versions"]["no-such"] is None
    page = (tmp_path / "new" / "bench_x.md").read_text()
    assert "| first | s | 12,346 | p | 2 | 0.000162 | 1 | 1e-09 |" in page
    assert "| second | s | 0.5 | - | - | - | - | - |" in page
    assert "| name | bytes |" in page and "\n\nBusy.\n\nWhat." in page
    assert "bench_x.py --quick --seeds 2" in page
    assert "no-such" not in page
