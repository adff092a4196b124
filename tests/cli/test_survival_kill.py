"""SIGKILL at any moment costs nothing: a resumed run ends as the undisturbed one, bit for bit."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

# Python imports this module by itself before the program. It kills the process on the way into a
# chosen access to a file of the run: before it is made, renamed or removed.
KILLER = """
import os, signal, sys

def watch(event, arguments, left=[int(os.environ["KILL_AFTER"])]):
    if event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"):
        return
    path = os.path.abspath(arguments[0]) if isinstance(arguments[0], str) else ""
    if not path.startswith(os.environ["KILL_IN"]):
        return
    left[0] -= 1
    if left[0] < 0:
        os.write(2, f"killed in {event} of {path}\\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
"""

NUM_KILLS = 20


@pytest.fixture
def killing(tmp_path, tiny):
    """`killing(folder, n)`: the environment of a process to be killed at access `n` to `folder`."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(KILLER)
    search = os.pathsep.join([str(site), tiny.environment["PYTHONPATH"]])

    def environment(path: Path | str, after: int) -> dict[str, str]:
        return {"PYTHONPATH": search, "KILL_IN": str(path), "KILL_AFTER": str(after)}

    return environment


def killed_at(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == -signal.SIGKILL, done.stderr
    return re.search(r"killed in (.*)", done.stderr)[1]


def test_undisturbed_run_logs_every_evaluation(whole, tiny):
    steps = range(tiny.evaluate_every, tiny.steps + 1, tiny.evaluate_every)
    assert [line["step"] for line in whole["metrics"]] == list(steps)
    assert whole["metrics"][-1]["population/num_responses"] > 3
    assert {"learner/step", "payoffs", "teacher/params/hidden_0/kernel"} <= whole["state"].keys()
    assert any(name.startswith("learner/optimizer") for name in whole["state"])


def test_twenty_kills_change_nothing(whole, tiny, killing, tmp_path):
    """Twelve kills at a drawn access to a file of the run, seven at a drawn time after some new
    lines, one in the export; the first process trains, the others resume.
    """
    rng = np.random.default_rng(2)
    path = tmp_path / "run"
    by_access = rng.permutation(np.arange(NUM_KILLS - 1) < 12)
    places = []
    for number, at_access in enumerate(by_access):
        arguments = tiny.training(path) if number == 0 else ["resume", str(path)]
        if at_access:
            # A new run is one from its tenth access on.
            after = int(rng.integers(10, 40) if number == 0 else rng.integers(35))
            places.append(killed_at(tiny.run(*arguments, **killing(path, after))))
            continue
        before = 0
        if number > 0:
            before = int(re.search(r"step-(\d+)\.json", newest_manifest(path))[1])
        process = tiny.start(*arguments)
        new_lines = before // tiny.evaluate_every + int(rng.integers(1, 3))
        tiny.wait_for_lines(process, path, new_lines)
        try:
            process.wait(rng.uniform(0, 0.02))
        except subprocess.TimeoutExpired:
            process.kill()
        assert tiny.finish(process).returncode == -signal.SIGKILL
    inside_checkpoints = [place for place in places if "/checkpoints/" in place]
    assert len(inside_checkpoints) >= 4, places
    export = killing(path / "population", int(rng.integers(12)))
    assert "/population" in killed_at(tiny.run("resume", path, **export))

    done = tiny.run("resume", path)
    assert done.returncode == 0, done.stderr
    assert tiny.results(path) == whole
    assert list(path.rglob("*.partial*")) == []
    assert 1 < len(json.loads((path / "provenance.json").read_text())["resumed"]) <= NUM_KILLS


def newest_manifest(path: Path) -> str:
    return max((file.name for file in path.glob("checkpoints/*.json")), default="step-0.json")


def test_n_steps_kill_and_n_steps_are_two_n_steps(whole, tiny, killing, tmp_path):
    """The kill comes when the first checkpoint after half of the steps is about to be written."""
    path = tmp_path / "run"
    next_checkpoint = path / "checkpoints" / f"step-{tiny.steps // 2 + tiny.evaluate_every:09d}"
    place = killed_at(tiny.run(*tiny.training(path), **killing(next_checkpoint, 0)))
    assert place.startswith("open of")
    assert newest_manifest(path) == f"step-{tiny.steps // 2:09d}.json"
    assert tiny.run("resume", path).returncode == 0
    assert tiny.results(path) == whole


def test_same_seed_gives_the_same_run_and_says_so_to_people(whole, tiny, tmp_path):
    path = tmp_path / "run"
    done = tiny.run(*tiny.training(path, "--seed", "0"))
    assert tiny.results(path) == whole
    certified = f"{whole['certificate']['value']:.9f}"
    assert certified in done.stdout
    # Progress goes to stderr, and only there.
    assert "training kuhn_poker" in done.stderr
    assert "training kuhn_poker" not in done.stdout


def test_another_seed_gives_another_run(whole, tiny, tmp_path):
    path = tmp_path / "run"
    done = tiny.run(*tiny.training(path, "--seed", "1", "--json", "--quiet"))
    # Exactly one JSON object on stdout, or `loads` fails.
    report = json.loads(done.stdout)
    other = tiny.results(path)
    assert report["certificate"]["value"] == other["certificate"]["value"]
    assert report["steps"] == tiny.steps
    assert report["run"] == str(path)
    assert other["metrics"] != whole["metrics"]
    for name, array in whole["state"].items():
        if name.startswith("learner/params"):
            assert other["state"][name] != array, name
