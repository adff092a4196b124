"""Ctrl-C, SIGTERM, and two processes on one run: the state is saved, and one clear line says so."""

import json
import os
import signal

import pytest


def test_ctrl_c_and_termination_save_the_state_and_resume_exactly(whole, tiny, tmp_path):
    """Trained until Ctrl-C, resumed until SIGTERM, resumed to the end."""
    path = tmp_path / "run"
    process = tiny.start(*tiny.training(path))
    tiny.wait_for_lines(path, 10)
    process.send_signal(signal.SIGINT)
    done = tiny.finish(process)
    assert done.returncode == 130
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("interrupted")]
    newest = max(path.glob("checkpoints/step-*.json")).stem.removeprefix("step-")
    assert message == (
        f"interrupted: saved at step {int(newest)} of {tiny.steps}; "
        f"continue with `neupl resume {path}`"
    )

    process = tiny.start("resume", path, "--json")
    tiny.wait_for_lines(path, int(newest) // tiny.evaluate_every + 5)
    process.send_signal(signal.SIGTERM)
    done = tiny.finish(process)
    assert done.returncode == 130
    report = json.loads(done.stdout)
    assert report["exit_code"] == 130
    assert f"interrupted: {report['error']}" in done.stderr
    assert report["error"].startswith("saved at step ")

    done = tiny.forked("resume", path, "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["certificate"]["value"] == whole["certificate"]["value"]
    assert tiny.results(path) == whole


def test_interrupt_while_certifying_keeps_the_trained_state(whole, tiny, half):
    """The signal comes after the last step, as soon as the population is exported."""
    pid = tiny.fork("resume", half)
    tiny.wait_until((half / "population" / "population.json").exists)
    os.kill(pid, signal.SIGINT)
    done = tiny.reap()
    assert done.returncode == 130, done.stderr
    assert f"saved at step {tiny.steps} of {tiny.steps}" in done.stderr
    assert tiny.forked("resume", half).returncode == 0
    assert tiny.results(half) == whole


@pytest.mark.slow
def test_second_process_on_a_run_is_refused_and_disturbs_nothing(whole, tiny, neupl, half):
    """The first is held still meanwhile, so that it certainly is at work."""
    path, num_lines = half, len((half / "metrics.jsonl").read_bytes().splitlines())
    pid = tiny.fork("resume", path)
    tiny.wait_for_lines(path, num_lines + 3)
    os.kill(pid, signal.SIGSTOP)
    before = snapshot(path)
    second, training = neupl("resume", path), neupl(*tiny.training(path), "--json")
    after = snapshot(path)
    os.kill(pid, signal.SIGCONT)
    assert tiny.reap().returncode == 0
    assert second.returncode == 2
    assert second.stdout == ""
    assert second.stderr == f"error: another process is writing to the run {path}\n"
    assert training.returncode == 2
    assert json.loads(training.stdout) == {
        "error": f"{path} already holds a run",
        "exit_code": 2,
    }
    assert f"`neupl resume {path}`" in training.stderr
    assert before == after
    assert tiny.results(path) == whole


@pytest.mark.parametrize("command", ["resume", "info", "verify"])
def test_folder_without_a_run_is_one_clear_error(command, tiny, tmp_path):
    done = tiny.forked(command, tmp_path, "--json")
    assert done.returncode == 2
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert str(tmp_path) in error
    assert json.loads(done.stdout) == {"error": error.removeprefix("error: "), "exit_code": 2}


def snapshot(path):
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
