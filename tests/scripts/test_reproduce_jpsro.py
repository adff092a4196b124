"""`scripts/reproduce_jpsro.py`: a real short run, and what it reads off curves."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from games.open_spiel_tree import compile_open_spiel
from solvers.jpsro import jpsro

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
PROCESSES = ("drop", "weigh", "openspiel", "openspiel_exact")


def reproduce(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(SCRIPTS.parent), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, SCRIPTS / "reproduce_jpsro.py", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def targets() -> ModuleType:
    """The script's module on targets; scripts are no package, but import each other."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module("jpsro_targets")
    finally:
        sys.path.remove(str(SCRIPTS))


def part_of(gaps: list[float], seconds: list[float]) -> dict:
    return {"curve": {"gap": gaps, "cpu_s": seconds}}


@pytest.mark.slow
def test_quick_run_measures_a_game_and_says_which_one_is_refused(tmp_path):
    out, runs = tmp_path / "report", tmp_path / "runs"
    only = ("--only", "kuhn_2p", "goofspiel_4c_total", "psro_kuhn")
    arguments = ("--quick", *only, "--out", out, "--runs", runs, "--json")
    done = reproduce(*arguments)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content == json.loads((out / "jpsro.json").read_text())
    assert str(tmp_path) not in done.stdout, "a report belongs into a repository"
    parts = {(p["request"]["name"], p["request"]["process"]): p for p in content["parts"]}
    kuhn = {p: parts["kuhn_2p", p] for p in PROCESSES if ("kuhn_2p", p) in parts}
    assert set(kuhn) == set(PROCESSES if content["peer"] else PROCESSES[:2])
    # The curves are those of the processes that they are said to be.
    tree = compile_open_spiel("kuhn_poker")
    dropping = jpsro(tree, tolerance=1e-8)
    weighing = jpsro(
        tree, repeats="weigh", ties="lowest_if_reached", tolerance=-1.0, max_iterations=12
    )
    for process, state in (("drop", dropping), ("weigh", weighing)):
        curve = kuhn[process]["curve"]
        assert curve["gap"] == pytest.approx([p.gap for p in state.curve], abs=1e-9)
        assert curve["sizes"] == [list(p.sizes) for p in state.curve]
        assert curve["novel"] == [p.novel for p in state.curve]
        assert curve["repeated"] == [p.repeated for p in state.curve]
        assert all(a < b for a, b in zip(curve["cpu_s"], curve["cpu_s"][1:], strict=False))
        assert kuhn[process]["check"]["agrees"]
        assert 0 < kuhn[process]["end"]["peak_gib"] < 2
    for process in PROCESSES[2:] if content["peer"] else ():
        curve = kuhn[process]["curve"]
        recorded = [0.917, 0.833, 0.333, 0.272, 0.167, 0.103]
        assert curve["gap"][:6] == pytest.approx(recorded, abs=6e-4)
        assert curve["novel"][:6] == [2] * 6
        assert [a + b for a, b in zip(curve["novel"], curve["repeated"], strict=True)] == [2] * 12
    psro = parts["psro_kuhn", "psro"]
    assert psro["status"] == "converged"
    assert psro["check"]["gap"] == pytest.approx(0, abs=1e-8)
    assert {t["game"] for t in content["targets"]} == {"kuhn_2p", "psro_kuhn"}
    # The shortfall is told with its error, in full.
    refused = parts["goofspiel_4c_total", "weigh"]
    assert refused["status"] == "failed"
    assert "imperfect recall" in refused["error"]
    page = (out / "jpsro.md").read_text()
    assert "**goofspiel_4c_total: not reproduced.**" in page
    assert refused["error"] in page
    assert "quick run" in page
    assert ".917 .833 .333 .272 .167 .103 .020 0" in page
    names = {path.name for path in out.iterdir()}
    assert names == {
        "jpsro.md", "jpsro.json", "jpsro_against_openspiel.png", "jpsro_zero_sum.png",
    }  # fmt: skip
    for path in out.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
    # Finished parts are not run again.
    again = reproduce("--quick", "--only", "kuhn_2p", *arguments[-5:])
    assert json.loads(again.stdout)["parts"] == list(kuhn.values())
    assert "kuhn_2p" not in again.stderr


def test_recorded_digits_are_what_is_compared(targets):
    """1.50 was recorded to a hundredth, .103 to a thousandth, and 0 like .103."""
    recorded = targets.recorded_gaps("1.50 .103 0 12.4")
    assert [value for value, _ in recorded] == [1.5, 0.103, 0.0, 12.4]
    assert [t for _, t in recorded] == pytest.approx([0.006, 0.0006, 0.0006, 0.06])
    assert targets.leading_agreement([1.4951, 0.1034, 0.0001, 12.45, 3.0], recorded) == 4
    assert targets.leading_agreement([1.4951, 0.1034, 0.0009, 12.45], recorded) == 2
    assert targets.leading_agreement([1.4951], recorded) == 1
    assert targets.leading_agreement([1.48], recorded) == 0
    assert targets.same_start([1.0, 0.5, 1e-12, 0.2], [1.0005, 0.5, 0.0, 0.3, 0.1]) == 3


def test_first_and_lasting_zeros(targets):
    gaps = [0.1, 0.0, 0.2, 1e-12, 0.0]
    assert targets.milestone(gaps, "first") == 2
    assert targets.milestone(gaps, "from") == 4
    assert targets.milestone([*gaps, 0.1], "from") is None
    assert targets.milestone([0.0, 0.0], "from") == 1
    assert targets.milestone([0.3, 0.2], "first") is None
    assert targets.milestone(gaps, "from", below=0.15) == 4
    assert targets.milestone(gaps, "from", below=0.3) == 1


def test_speed_is_to_the_same_gap(targets):
    """Ours passes 0.02 at 0.2 s; OpenSpiel reaches it, its least, at 30 s and then rises."""
    ours = part_of([1.0, 0.5, 0.01, 0.3], [0.1, 0.15, 0.2, 0.4])
    peer = part_of([1.0, 0.02, 0.4], [10.0, 30.0, 50.0])
    found = targets.speed(None, ours, peer)
    assert (found["gap"], found["ours_s"], found["peer_s"]) == (0.02, 0.2, 30.0)
    assert found["ratio"] == pytest.approx(150)
    assert not found["bound"]
    cases = importlib.import_module("jpsro_cases")
    # To 0.015 OpenSpiel never got in 50 s.
    bound = targets.speed(cases.SpeedTarget(100, gap=0.015), ours, peer)
    assert bound["ratio"] == pytest.approx(250)
    assert bound["bound"]
    assert targets.speed(cases.SpeedTarget(100, gap=0.001), ours, peer) is None
    assert targets.speed(None, ours, part_of([], [])) is None


def test_a_part_that_failed_is_a_target_missed(targets):
    part = {
        "request": {"name": "kuhn_2p", "process": "drop", "side": "ours"},
        "end": None, "error": "SolverError: no", "status": "failed",
    }  # fmt: skip
    (missed,) = targets.judge([part])
    assert not missed["met"]
    assert missed["measured"] == "SolverError: no"
    # The error that a game is known for is a shortfall, reported elsewhere; any other is not.
    refused = part | {"request": part["request"] | {"name": "goofspiel_4c_total"}}
    assert not targets.judge([refused])[0]["met"]
    assert targets.judge([refused | {"error": "GameError: it has imperfect recall"}]) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only", "chess"), "invalid choice: 'chess'"),
        (("--time-limit-s", "0"), "--time-limit-s is 0, expected a positive number of seconds"),
        (("--peer-limit-s", "nan"), "--peer-limit-s is nan, expected a positive number"),
    ],
)
def test_bad_options_are_one_clear_error(arguments, words, tmp_path):
    done = reproduce(*arguments, "--out", tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_whole_quick_run(tmp_path):
    done = reproduce("--quick", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "jpsro.md").read_text()
    assert "## Where OpenSpiel does not go" in page
    assert "| sheriff_1r | drop | lowest | 5 | 5 | 5 |" in page
    assert (tmp_path / "jpsro_beyond_openspiel.png").exists()
