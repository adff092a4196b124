"""The run folder: whole files, one writer, metrics that a resumed run repeats exactly."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from neupl import checkpoint
from neupl.errors import UserError
from neupl.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    created = Run.create(tmp_path / "run", config_text="game: a\n", command=["neupl"], seed=3)
    with created:
        yield created


def scalars_of(run: Run, tag: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_new_run_holds_configuration_and_provenance(run):
    assert run.config_path.read_text() == "game: a\n"
    origin = run.read_json("provenance.json")
    assert (origin["command"], origin["seed"], origin["resumed"]) == (["neupl"], 3, [])
    assert origin["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert origin["versions"]["numpy"] == np.__version__
    assert origin["device"]["backend"] == "cpu"


def test_folder_that_holds_a_run_is_refused_and_resume_suggested(run):
    with pytest.raises(UserError, match="already holds a run") as caught:
        Run.create(run.path, config_text="other", command=[], seed=0)
    assert f"neupl resume {run.path}" in caught.value.hint
    assert run.config_path.read_text() == "game: a\n"


def test_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="not empty"):
        Run.create(tmp_path, config_text="", command=[], seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_file_in_the_way_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UserError, match="cannot create the run folder"):
            Run.create(path, config_text="", command=[], seed=0)


def test_full_disk_at_creation_is_a_clear_error(small_disk):
    (small_disk / "ballast").write_bytes(bytes(250 * 1024))
    with pytest.raises(UserError, match="No space left on device"):
        Run.create(small_disk / "run", config_text="x" * 20_000, command=[], seed=0)


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir, Path.touch])
def test_opening_what_is_not_a_run_is_a_clear_error(make, tmp_path):
    make(tmp_path / "absent")
    with pytest.raises(UserError, match="there is no run at"):
        Run.open(tmp_path / "absent")


def test_metrics_are_strict_json_of_plain_numbers(run):
    run.log(1, {"a/float": np.float32(0.1), "a/int": np.int64(7), "note": "x", "a/bad": np.nan})
    line = (run.path / "metrics.jsonl").read_text()
    assert line.count("\n") == 1
    assert json.loads(line, parse_constant=pytest.fail) == {
        "step": 1, "a/float": float(np.float32(0.1)), "a/int": 7, "note": "x", "a/bad": None,
    }  # fmt: skip


def test_tensorboard_shows_numbers_and_not_text(run):
    for step in range(3):
        run.log(step, {"train/loss": step / 2, "note": "x", "eval/gap": float("inf")})
    assert scalars_of(run, "train/loss") == [(0, 0.0), (1, 0.5), (2, 1.0)]
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    assert events.Tags()["scalars"] == ["train/loss"]


def test_rewind_makes_metrics_equal_those_of_an_uninterrupted_run(tmp_path):
    def log(run: Run, steps: range) -> None:
        for step in steps:
            run.log(step, {"x": step**0.5})

    whole = Run.create(tmp_path / "whole", config_text="", command=[], seed=0)
    log(whole, range(8))
    broken = Run.create(tmp_path / "broken", config_text="", command=[], seed=0)
    log(broken, range(6))
    broken.close()
    resumed = Run.open(tmp_path / "broken")
    resumed.rewind(3)
    log(resumed, range(4, 8))
    whole.close()
    resumed.close()
    name = "metrics.jsonl"
    assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert scalars_of(resumed, "x") == scalars_of(whole, "x")


def test_tensorboard_forgets_what_was_rewound(run):
    for step in range(6):
        run.log(step, {"x": 0.0})
    run.rewind(2)
    run.log(3, {"x": 1.0})
    assert scalars_of(run, "x") == [(0, 0.0), (1, 0.0), (2, 0.0), (3, 1.0)]


@pytest.mark.parametrize("torn", [b'{"step": 3, "x"', b'{"step": 1, "x": 1}', b"\x00\x00"])
def test_rewind_drops_a_torn_last_line(torn, run):
    for step in range(3):
        run.log(step, {"x": step})
    run.close()
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(torn)
    assert [line["step"] for line in run.metrics()] == [0, 1, 2]
    run.rewind(2)
    run.log(3, {"x": 3})
    assert [line["step"] for line in run.metrics()] == [0, 1, 2, 3]


def test_rewind_records_the_command_that_resumed(run):
    run.rewind(0, command=["neupl", "resume", "run"])
    run.rewind(5, command=["again"])
    resumed = run.read_json("provenance.json")["resumed"]
    assert [(r["step"], r["command"]) for r in resumed] == [
        (0, ["neupl", "resume", "run"]), (5, ["again"]),
    ]  # fmt: skip


def test_only_one_process_writes_to_a_run(run):
    code = f"from neupl.run import Run; Run.open({str(run.path)!r}).rewind(0)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "another process is writing to the run" in other.stderr
    assert Run.open(run.path).metrics() == []
    run.close()
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_checkpoint_of_a_run_is_found_again(run):
    run.log(4, {"x": 1})
    run.save_checkpoint(4, arrays={"x": np.ones(2)}, manifest={"rows": 1})
    assert checkpoint.load(run.checkpoints_path).manifest == {"rows": 1}


def test_json_files_are_replaced_whole_and_nothing_is_left_beside_them(run):
    run.write_json("certificate.json", {"certificate": {"value": 1}})
    run.write_json("report/numbers.json", [1])
    with pytest.raises(TypeError):
        run.write_json("certificate.json", {"certificate": object()})
    assert run.read_json("certificate.json") == {"certificate": {"value": 1}}
    assert run.read_json("report/numbers.json") == [1]
    assert not list(run.path.rglob("*.partial"))


def test_broken_or_absent_json_is_a_clear_error(run):
    with pytest.raises(UserError, match=r"has no certificate\.json"):
        run.read_json("certificate.json")
    (run.path / "certificate.json").write_text("{")
    with pytest.raises(UserError, match=r"certificate\.json is not valid JSON"):
        run.read_json("certificate.json")


def test_writing_to_a_folder_that_vanished_is_an_error_with_the_path(run):
    run.close()
    os.rename(run.path, run.path.with_name("moved"))
    with pytest.raises(FileNotFoundError, match="run"):
        run.log(0, {"x": 1})
