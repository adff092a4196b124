"""`scripts/bench_population.py`: what is read off runs, and real short runs of both sides."""

import importlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
PEER_PACKAGES = ("cvxpy", "ecos", "networkx")


def run_script(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, SCRIPTS / name, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


def import_script(name: str) -> ModuleType:
    """A module of the scripts, which are no package but import each other."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return import_script("bench_population")


@pytest.fixture(scope="module")
def parts_module() -> ModuleType:
    return import_script("population_parts")


def part_of(nash_conv: list[float], cpu_s: list[float], **lines: dict) -> dict:
    pairs = zip(cpu_s, nash_conv, strict=True)
    points = [{"cpu_s": s, "nash_conv": value} for s, value in pairs]
    return {"lines": {"point": points} | {kind: [line] for kind, line in lines.items()}}


def peer_run(request: dict) -> dict[str, list[dict]]:
    for package in PEER_PACKAGES:
        pytest.importorskip(package)
    done = run_script("openspiel_psro.py", json.dumps({"seed": 0} | request))
    assert done.returncode == 0, done.stderr
    lines: dict[str, list[dict]] = {}
    for line in map(json.loads, done.stdout.splitlines()):
        lines.setdefault(line.pop("kind"), []).append(line)
    return lines


def test_time_is_to_the_best_that_the_peer_came_to(bench):
    """The peer's bests are 0.5 (first within 0.1 % of it at 20 s) and 0.7 (at 40 s): 0.6 at 30 s in
    the median. Ours are at most 0.6 after 4 and 8 s; of two commands one is not. At its very best,
    0.5, only one of ours ever is. Start and compilation are 2 and 3 s of theirs, of which 1 s would
    be usual."""
    peers = [
        part_of([0.9, 0.5002, 0.8, 0.5], [10, 20, 30, 60]) | {"who": "openspiel_pg_small"},
        part_of([0.8, 0.7], [10, 40]) | {"who": "openspiel_pg_small"},
    ]
    ours = [
        part_of([0.9, 0.6, 0.2], [2, 4, 6], end={"first_cpu_s": 2, "usual_cpu_s": 1}),
        part_of([0.9, 0.55], [3, 8], end={"first_cpu_s": 3, "usual_cpu_s": 1}),
    ]
    commands = [{"cpu_s": s, "lines": {"end": [{"value": v}]}} for s, v in ((9, 0.2), (8, 0.7))]
    rows = bench.learned_rows(
        "g", {"openspiel_pg_small": peers, "ours_ppo": ours, "ours_ppo_command": commands}
    )
    kept, training, command, best = rows
    assert (kept["ours"], kept["peer"], kept["ratio"], kept["nash_conv"]) == (6, 30, 5, 0.6)
    assert (training["ours_least"], training["ours_greatest"]) == (3, 6)
    assert (kept["ours_least"], kept["ours_greatest"]) == (4, 8)
    assert (kept["peer_least"], kept["peer_greatest"]) == (20, 40)
    assert (best["ours_runs"], best["peer_runs"]) == (2, 1)
    assert (command["ours"], command["ours_least"], command["ratio"]) == (None, 9, None)
    assert (best["nash_conv"], best["peer"], best["ours_least"]) == (0.5, 20, 6)
    assert best["ours"] is best["ratio"] is None


def test_exact_rows_tell_start_and_compilation_apart(bench):
    """OpenSpiel: 50 s, or 52 s with its start. PSRO: 0.5 s loaded, 2 s as a process. Training is at
    most 1.0 after 12 s, of which 8 until the first evaluation, where 1 s would be usual: 5 s."""
    peer = part_of([3.0, 0.9], [20, 50], start={"cpu_s": 2.0})
    psro = {"lines": {"point": [{"cpu_s": 2.0, "solver_s": 1.5}, {"cpu_s": 2.5, "solver_s": 0.5}]}}
    trained = part_of([2.0, 1.0], [8, 12], end={"first_cpu_s": 8.0, "usual_cpu_s": 1.0})
    by_who = {"openspiel_br_nash": [peer], "ours_psro": [psro], "ours_exact": [trained]}
    rows = {row["name"]: row for row in bench.exact_rows("g", by_who, until=1.0)}
    ratios = {name.removeprefix("g_to_1_beside_nash, "): row["ratio"] for name, row in rows.items()}
    assert ratios == {
        "psro, code loaded": 100,
        "psro, whole process": 26,
        "neupl, whole process": pytest.approx(52 / 12),
        "neupl, without start and compilation": 10,
    }


def test_an_error_of_a_run_is_told_unless_its_time_was_up(bench):
    """An exception that stops NumPy inside of a conversion comes back as an error of NumPy's."""

    def ended(cpu_s: float) -> str:
        end = {"reason": "ValueError: x", "cpu_s": cpu_s, "unsolved_programs": 0, "check": None}
        part = part_of([0.9], [10], end=end) | {"game": "g", "who": "w", "run": 0}
        part["lines"]["point"][0]["wall_s"] = 10
        request = {"program": "openspiel_psro.py", "limit_s": 60.0}
        (entry,) = bench.table_of_runs([part | {"request": request, "cpu_s": 70, "wall_s": 80}])
        return entry["ended_by"]

    assert (ended(60.1), ended(30.0)) == ("limit", "ValueError: x")


def test_the_page_says_which_runs_there_are_not(bench, parts_module):
    requests = [parts_module.Request("g", who, run, {}) for who in ("a", "b") for run in (0, 1)]
    parts = [{"game": "g", "who": "a"}, {"game": "g", "who": "b"}, {"game": "g", "who": "b"}]
    assert "none: `g-a` (1 of 2). All" in bench.runs_text(requests, parts)
    assert "All runs" in bench.runs_text(requests, [*parts, parts[0]])


def test_finished_parts_are_not_repeated_unless_they_are_others(parts_module, tmp_path, capfd):
    content = {"program": "population_ours.py", "run": "psro", "game": "kuhn_poker", "until": 0.5}
    request = parts_module.Request("kuhn_poker", "ours_psro", 0, content)
    first = parts_module.run_part(request, tmp_path)
    assert first["error"] is None
    points = first["lines"]["point"]
    assert [point["attempt"] for point in points] == ["first", "loaded"]
    assert all(0 < point["tree_s"] < point["solver_s"] < first["cpu_s"] for point in points)
    assert points[0]["nash_conv"] == points[1]["nash_conv"] == pytest.approx(1 / 3)
    assert "ours_psro-0: done" in capfd.readouterr().err
    assert parts_module.run_part(request, tmp_path) == first
    assert parts_module.finished([request], tmp_path) == [first]
    assert capfd.readouterr().err == ""
    wrong = parts_module.Request("kuhn_poker", "ours_psro", 0, content | {"game": "no_such_game"})
    assert parts_module.finished([wrong], tmp_path) == []
    failed = parts_module.run_part(wrong, tmp_path)
    assert "no_such_game" in failed["error"]
    assert parts_module.finished([wrong], tmp_path) == []


def test_openspiel_measures_what_we_measure():
    """Uniform play of Kuhn poker has NashConv 11/12. What comes after is up to its episodes."""
    lines = peer_run(
        {"game": "kuhn_poker", "oracle": "br", "meta": "nash", "sims": 100}
        | {"limit_s": 60, "iterations": 4}
    )
    points, (end,) = lines["point"], lines["end"]
    assert points[0]["nash_conv"] == pytest.approx(11 / 12)
    assert len(points) == 5
    assert all(a["cpu_s"] < b["cpu_s"] for a, b in itertools.pairwise(points))
    assert end["reason"] == "iterations"
    assert end["check"]["agrees"]
    assert end["check"]["nash_conv"] == pytest.approx(points[-1]["nash_conv"], abs=1e-12)
    # Loading and measuring is not the solver's time.
    assert points[-1]["cpu_s"] == end["cpu_s"] < end["process_cpu_s"] - lines["start"][0]["cpu_s"]


def test_openspiel_is_stopped_inside_of_an_iteration():
    lines = peer_run(
        {"game": "kuhn_poker", "oracle": "br", "meta": "uniform", "sims": 2000, "limit_s": 1.0}
    )
    (end,) = lines["end"]
    assert end["reason"] == "limit"
    assert lines["point"][-1]["cpu_s"] <= 1.0 <= end["cpu_s"] < 2.0
    assert end["check"]["agrees"]


def test_an_unsolved_meta_game_is_solved_by_us(monkeypatch):
    """OpenSpiel goes on with nothing where its solver fails: matching pennies is one half each."""
    for package in PEER_PACKAGES:
        pytest.importorskip(package)
    import cvxpy

    peer = import_script("openspiel_psro")

    class Solver:
        def get_meta_game(self):
            return [np.array([[1.0, -1.0], [-1.0, 1.0]]), np.array([[-1.0, 1.0], [1.0, -1.0]])]

    def fail(*_, **__):
        raise cvxpy.SolverError("no")

    monkeypatch.setattr(cvxpy.Problem, "solve", fail)
    failures = [0]
    marginals, joint = peer.nash_method(failures)(Solver(), return_joint=True)
    assert failures == [1]
    np.testing.assert_allclose(marginals, np.full((2, 2), 0.5), atol=1e-9)
    np.testing.assert_allclose(joint, np.full(4, 0.25), atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds", "0"], "--seeds is 0, expected at least 1"),
        (["--limit-s", "-1"], "--limit-s is -1, expected a positive number of seconds"),
        (["--only", "chess*"], "--only 'chess*' matches no part; there are kuhn_poker-ours_ppo"),
    ],
)
def test_options_that_cannot_be_followed_are_refused(bench, capsys, arguments, words):
    with pytest.raises(SystemExit) as stopped:
        bench.parse_options(arguments)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_quick_run_reports_both_sides(tmp_path):
    for package in (*PEER_PACKAGES, "haiku", "rlax"):
        pytest.importorskip(package)
    arguments = ("--quick", "--json", "--out", tmp_path / "out", "--parts", tmp_path / "parts")
    done = run_script("bench_population.py", *arguments)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report == json.loads((tmp_path / "out" / "bench_population.json").read_text())
    assert str(tmp_path) not in done.stdout
    assert len(report["runs"]) == 5
    peers = [run for run in report["runs"] if run["who"].startswith("openspiel")]
    assert [run["openspiel_agrees"] for run in peers] == ["true", "true"]
    psro = {row["name"]: row for row in report["rows"]}[
        "leduc_poker_to_4_beside_nash, psro, code loaded"
    ]
    assert psro["ratio"] == pytest.approx(psro["peer"] / psro["ours"])
    assert psro["ratio"] > 5
    # The network of a learned response is asked state by state: its plan is what OpenSpiel mixes.
    again = run_script("bench_population.py", *arguments, "--only")
    assert json.loads(again.stdout) == report
