"""`neupl train --workers` of one run: a learner that is killed, resumed by whoever is there."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import command_environment
from tests.neupl.ppo_run import PATIENCE_S, arrays_of, ppo_run, wait_for_step


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "neupl", *map(str, arguments)],
        env=command_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str | Path) -> dict:
    process = start(*arguments)
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    return json.loads(output)


@pytest.mark.slow
def test_a_killed_learner_is_resumed_by_any_number_of_workers(tmp_path):
    whole, path = tmp_path / "whole", tmp_path / "killed"
    expected = run("train", *ppo_run(60), "--out", whole, "--workers", "1")
    learner = start("train", *ppo_run(60), "--out", path, "--workers", "2")
    for step, workers in ((2, "3"), (30, "1")):
        wait_for_step(learner, path, step)
        learner.send_signal(signal.SIGKILL)
        learner.communicate()
        learner = start("resume", path, "--workers", workers, "--quiet", "--json")
    output, errors = learner.communicate(timeout=PATIENCE_S)
    assert learner.returncode == 0, errors
    found = json.loads(output)
    assert arrays_of(path) == arrays_of(whole)
    assert found["certificate"]["value"] == expected["certificate"]["value"]
    assert found["incidents"] == {"lost": 0, "over_limit": 0, "repeated": 0}
    resumed = json.loads((path / "provenance.json").read_text())["resumed"]
    assert len(resumed) == 2


@pytest.mark.slow
def test_a_run_that_is_one_piece_says_what_can_be_shared_out(tmp_path):
    """Nothing is left behind."""
    process = start("train", *ppo_run(2), "--out", tmp_path / "run", "--workers", "2", "--json",
                    "--set", "learner.blocks=1")  # fmt: skip
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2 and not (tmp_path / "run").exists()
    assert "learner.blocks is 1" in json.loads(output)["error"]
