"""`scripts/reproduce_ratings.py`: what it claims, and a real quick run."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from evaluation.redundancy import Recovery, StressCurve, StressPoint

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
    found = [
        Recovery("a", "worst", 500, noise, texts, 0, 0.9, merged, change)
        for noise, texts, merged, change in (
            (0.15, "withheld", 5, 0.019), (0.15, "reworded", 6, 0.0), (0.3, "withheld", 9, 0.1)
        )
    ]  # fmt: skip
    claims = reproduce.claims_of(exact, [*noisy, curve("a", (1, 1), 0.1, 0.05)], found)
    assert [claim["holds"] for claim in claims] == [True, False, True, False, True, False]
    assert claims[1]["measured"] == "rank 16 to 2"
    assert claims[3]["measured"] == "0.0040 to 0.0060 over 2 draws"
    assert reproduce.claims_of(exact, noisy[:1], found)[3]["holds"]


def test_submission_is_repeatable_and_selection_changes_it(reproduce):
    """The same start under both selections; entropies are those of five skills."""
    ends = {}
    for selection in reproduce.SELECTIONS:
        history = reproduce.simulate(selection, rounds=3, seed=1)
        again = reproduce.simulate(selection, rounds=3, seed=1)
        assert history.models.tolist() == again.models.tolist()
        assert len(history.models) == len(history.prompts) == 4
        assert min(history.models) > 0 and max(history.prompts) <= np.log(5)
        ends[selection] = history
    first, second = ends.values()
    assert first.models[0] == second.models[0] and first.prompts[0] == second.prompts[0]
    assert first.models[-1] != second.models[-1] or first.prompts[-1] != second.prompts[-1]


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
