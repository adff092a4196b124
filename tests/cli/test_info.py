"""`neupl info`: what a run folder says about itself, at every stage of its life."""

import json
from pathlib import Path

import numpy as np
import pytest

from neupl.config import Config
from neupl.config_io import dump_config
from neupl.run import Run

CERTIFICATE = {
    "quantity": "nash_conv",
    "value": 0.0123,
    "per_player": [0.01, 0.0023],
    "object": "Nash mixture of run",
    "method": "exact",
    "interval": None,
    "openspiel_value": 0.0123,
    "game": "leduc_poker",
    "seconds": 0.1,
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    text = dump_config(Config(game="leduc_poker", seed=4))
    created = Run.create(tmp_path / "run", config_text=text, command=["neupl", "train"], seed=4)
    created.close()
    return created


def info(neupl, *arguments: str) -> dict:
    done = neupl("info", "run", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_new_run_has_no_steps_and_no_certificate(neupl, run):
    found = info(neupl)
    assert (found["game"], found["seed"], found["command"]) == (
        "leduc_poker",
        4,
        ["neupl", "train"],
    )
    assert found["steps_logged"] is None
    assert found["checkpoints"] == []
    assert found["certificate"] is None
    assert found["finished"] is False
    assert found["config"]["training"]["steps"] == Config().training.steps
    text = neupl("info", "run").stdout
    assert "neupl resume" in text
    assert "training.steps" in text


def test_finished_run_shows_steps_checkpoints_certificate_and_files(neupl, run):
    run.log(10, {"eval/nash_conv": 0.5})
    run.log(20, {"eval/nash_conv": 0.25, "eval/best_nash_conv": 0.125})
    run.save_checkpoint(20, arrays={"x": np.zeros(100)}, manifest={})
    run.write_json("certificate.json", {"certificate": CERTIFICATE})
    run.close()
    found = info(neupl)
    assert found["steps_logged"] == 20
    assert found["last_metrics"]["eval/nash_conv"] == 0.25
    assert found["best_nash_conv"] == 0.125
    assert found["checkpoints"] == [20]
    assert found["certificate"] == CERTIFICATE
    assert found["finished"] is True
    assert found["files"]["metrics.jsonl"] == (run.path / "metrics.jsonl").stat().st_size
    assert found["files"]["checkpoints/"] > 800
    text = neupl("info", "run").stdout
    for expected in (
        "leduc_poker",
        "nash_conv 0.0123 (exact), by OpenSpiel 0.0123",
        "NashConv 0.125",
    ):
        assert expected in text


def test_resumptions_are_counted_and_a_torn_line_is_ignored(neupl, run):
    run.log(1, {"x": 1})
    run.rewind(1)
    run.close()
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "x"')
    found = info(neupl)
    assert (found["resumed"], found["steps_logged"]) == (1, 1)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda path: (path / "provenance.json").write_text("{"), "provenance.json is not valid"),
        (lambda path: (path / "provenance.json").unlink(), "has no provenance.json"),
        (lambda path: (path / "config.yaml").unlink(), "has no config.yaml"),
        (lambda path: (path / "config.yaml").write_text("a: [b"), "config.yaml"),
        (lambda path: (path / "config.yaml").write_text("- a"), "config.yaml"),
        (lambda path: (path / "metrics.jsonl").write_text("{]\n"), "metrics.jsonl"),
    ],
)
def test_broken_run_is_one_clear_error(damage, expected, neupl, run):
    damage(run.path)
    done = neupl("info", "run")
    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_reading_a_run_that_is_being_written_works(neupl, run):
    run.log(1, {"x": 1})
    assert info(neupl)["steps_logged"] == 1
    run.close()
