"""SIGKILL at any moment costs nothing: a resumed run ends as the undisturbed one, bit for bit."""

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def killed_at(tiny: Any, *arguments: str | Path, kill: tuple[Path, int]) -> str:
    """Runs a command that is to be killed; returns the access to a file at which it was."""
    done = tiny.forked(*arguments, kill=kill)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return re.search(r"killed in (.*)", done.stderr)[1]


def newest_step(path: Path) -> int:
    """Step of the newest checkpoint of a run, 0 without one."""
    names = (file.stem for file in path.glob("checkpoints/step-*.json"))
    return max((int(name.removeprefix("step-")) for name in names), default=0)


def test_undisturbed_run_logs_every_evaluation(whole, tiny):
    steps = range(tiny.evaluate_every, tiny.steps + 1, tiny.evaluate_every)
    assert [line["step"] for line in whole["metrics"]] == list(steps)
    assert whole["metrics"][-1]["population/num_responses"] > 3
    assert {"learner/step", "payoffs", "teacher/params/hidden_0/kernel"} <= whole["state"].keys()
    assert any(name.startswith("learner/optimizer") for name in whole["state"])


@pytest.mark.parametrize(
    ("at_files", "at_times"), [(2, 1), pytest.param(12, 7, marks=pytest.mark.slow)]
)
def test_many_kills_change_nothing(at_files, at_times, whole, tiny, tmp_path):
    """Kills at a drawn access to a file of the run, others at a drawn time after some new lines,
    one in the export; the first process trains, the others resume.
    """
    rng = np.random.default_rng(2)
    path = tmp_path / "run"
    places = []
    for number, at_access in enumerate(rng.permutation(np.arange(at_files + at_times) < at_files)):
        arguments = tiny.training(path) if number == 0 else ["resume", path]
        if at_access:
            # A new run can be resumed from its tenth access on.
            after = int(rng.integers(10, 40) if number == 0 else rng.integers(30))
            places.append(killed_at(tiny, *arguments, kill=(path, after)))
            continue
        known_lines = newest_step(path) // tiny.evaluate_every
        pid = tiny.fork(*arguments)
        tiny.wait_for_lines(path, known_lines + int(rng.integers(2, 4)))
        time.sleep(rng.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        assert tiny.reap().returncode == -signal.SIGKILL
    assert sum("/checkpoints/" in place for place in places) >= at_files // 3, places
    in_export = (path / "population", int(rng.integers(12)))
    assert "/population" in killed_at(tiny, "resume", path, kill=in_export)

    done = tiny.run("resume", path)
    assert done.returncode == 0, done.stderr
    assert tiny.results(path) == whole
    assert list(path.rglob("*.partial*")) == []
    resumed = json.loads((path / "provenance.json").read_text())["resumed"]
    assert len({origin["step"] for origin in resumed}) > (at_files + at_times) // 3


def test_n_steps_kill_and_n_steps_are_two_n_steps(whole, tiny, tmp_path):
    """The kill comes when the first checkpoint after half of the steps is about to be written."""
    path, half = tmp_path / "run", tiny.steps // 2
    next_checkpoint = path / "checkpoints" / f"step-{half + tiny.evaluate_every:09d}"
    place = killed_at(tiny, *tiny.training(path), kill=(next_checkpoint, 0))
    assert place.startswith("open of")
    assert newest_step(path) == half
    assert tiny.forked("resume", path).returncode == 0
    assert tiny.results(path) == whole


def test_same_seed_gives_the_same_run(whole, tiny, tmp_path):
    path = tmp_path / "run"
    assert tiny.forked(*tiny.training(path, "--seed", "0")).returncode == 0
    assert tiny.results(path) == whole


@pytest.mark.slow
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
