"""`scripts/reproduce_ratings.py`: what it claims, and a real quick run."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from evaluation.redundancy import StressCurve, StressPoint

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def reproduce() -> ModuleType:
    """The script's module; scripts are no package, but import each other."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module("reproduce_ratings")
    finally:
        sys.path.remove(str(SCRIPTS))


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(SCRIPTS.parent), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, SCRIPTS / "reproduce_ratings.py", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


def curve(target: str, ranks: tuple[int, int], change: float, noise: float = 0.0) -> StressCurve:
    """A curve of two points whose CCE ratings change so much."""
    points = [StressPoint("bradley_terry", extra, 1000.0, rank, 9.0)
              for extra, rank in zip((0, 1000), ranks, strict=True)]  # fmt: skip
    points += [StressPoint(name, 500, 0.0, 1, change) for name in ("cce", "cce_grouped")]
    return StressCurve(target, "worst", ("p",), noise, 0, tuple(points))


def test_claims_hold_or_not_by_what_was_measured(reproduce):
    exact = [curve("a", (1, 16), 1e-7), curve("b", (16, 2), 0.0)]
    noisy = [curve("a", (1, 1), change, 0.3) for change in (0.004, 0.006)]
    claims = reproduce.claims_of(exact, [*noisy, curve("a", (1, 1), 0.1, 0.05)])
    assert [claim["holds"] for claim in claims] == [True, False, True, False]
    assert claims[1]["measured"] == "rank 16 to 2"
    assert claims[3]["measured"] == "0.0040 to 0.0060 over 2 draws"
    assert reproduce.claims_of(exact, noisy[:1])[3]["holds"]


def test_without_data_there_is_one_clear_error(reproduce, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["reproduce_ratings.py", "--data", str(tmp_path)])
    assert reproduce.main() == 1
    assert "give its folder by --data" in capsys.readouterr().err


@pytest.mark.slow
def test_quick_run_reproduces_the_exact_claims(reproduce, tmp_path):
    if reproduce.arena_hard(None)[0] is None:
        pytest.skip("no real evaluations beside the repository")
    pytest.importorskip("matplotlib")
    done = run("--quick", "--json", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content == json.loads((tmp_path / "ratings.json").read_text())
    assert all(claim["holds"] for claim in content["claims"][:3])
    page = (tmp_path / "ratings.md").read_text()
    assert "16 (851.6)" in page
    assert "quick run" in page
    assert str(tmp_path) not in done.stdout, "a report belongs into a repository"
    assert (tmp_path / "ratings_copy_stress.png").read_bytes().startswith(b"\x89PNG")
