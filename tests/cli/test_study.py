"""Studies by the real command line: several seeds, a sweep, interruptions, failures."""

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from neupl.study import swept

SWEEP = ("--seeds", "2", "--sweep", "learner.learning_rate=0.01,0.02")


def study_options(tiny, path: Path) -> list[str]:
    return [*tiny.training(path), "--set=training.steps=40", "--seed=3"]


@pytest.fixture(scope="module")
def study_path(tiny, tmp_path_factory):
    """A study of four runs that was killed twice on its way."""
    path = tmp_path_factory.mktemp("studies") / "study"
    arguments = [*study_options(tiny, path), *SWEEP]
    done = tiny.forked(*arguments, kill=(path, 60))
    assert done.returncode == -signal.SIGKILL, done.stderr
    done = tiny.forked("resume", path, "--quiet", kill=(path, 90))
    assert done.returncode == -signal.SIGKILL, done.stderr
    done = tiny.forked("resume", path, "--quiet", "--json")
    assert done.returncode == 0, done.stderr
    (path / "printed.json").write_text(done.stdout)
    return path


@pytest.mark.slow
def test_a_killed_study_ends_in_one_report(study_path):
    content = json.loads((study_path / "study.json").read_text())
    printed = json.loads((study_path / "printed.json").read_text())
    assert printed.pop("incidents") == {"lost": 0, "over_limit": 0, "repeated": 0}
    assert printed == content
    assert content["quantity"] == "NashConv" and content["failed"] == 0
    names = [variant["name"] for variant in content["variants"]]
    assert names == ["learner.learning_rate=0.01", "learner.learning_rate=0.02"]
    for variant in content["variants"]:
        values = []
        for run in variant["runs"]:
            folder = study_path / run["path"]
            certificate = json.loads((folder / "certificate.json").read_text())["certificate"]
            assert run["value"] == certificate["value"] > 0
            assert run["method"] == "exact" and run["steps"] == 40
            values.append(run["value"])
        assert [run["seed"] for run in variant["runs"]] == [3, 4]
        own = variant["statistics"]
        assert own["median"] == own["iqm"] == pytest.approx(np.mean(values))
        assert own["worst"] == max(values)
    page = (study_path / "study.html").read_text()
    assert all(name in page for name in names) and "page-data" in page
    assert (study_path / "study.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_run_of_a_study_is_the_run_that_a_single_command_makes(tiny, study_path, tmp_path):
    alone = tmp_path / "alone"
    options = [o for o in study_options(tiny, alone) if not o.startswith("--seed")]
    done = tiny.forked(*options, "--set=learner.learning_rate=0.02", "--seed=4", "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads((study_path / "study.json").read_text())
    run = content["variants"][1]["runs"][1]
    assert json.loads(done.stdout)["certificate"]["value"] == run["value"]
    kept = [p / "population" / "arrays.safetensors" for p in (alone, study_path / run["path"])]
    assert kept[0].read_bytes() == kept[1].read_bytes()


@pytest.mark.slow
def test_finished_runs_are_left_alone_and_a_second_study_is_refused(tiny, study_path):
    runs = study_path / "runs"
    before = {file: file.stat().st_mtime_ns for file in runs.rglob("*") if file.is_file()}
    done = tiny.forked("resume", study_path, "--quiet")
    assert done.returncode == 0 and "IQM" in done.stdout, done.stderr
    after = {file: file.stat().st_mtime_ns for file in runs.rglob("*") if file.is_file()}
    assert after == before
    done = tiny.forked(*study_options(tiny, study_path), *SWEEP)
    assert done.returncode == 2 and "already holds a study" in done.stderr


def test_a_run_that_fails_does_not_take_the_others_with_it(tiny, tmp_path):
    path = tmp_path / "study"
    done = tiny.forked(
        *study_options(tiny, path), "--set=training.steps=20",
        "--sweep", "learner.learning_rate=0.01,1e30", "--json",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "1 of 2 runs failed" in done.stderr and "gradient steps" in done.stderr
    content = json.loads(done.stdout)
    first, second = content["variants"]
    assert first["statistics"]["count"] == 1 and first["statistics"]["iqm_interval"] is None
    assert second["statistics"] is None and "gradient steps" in second["runs"][0]["error"]
    assert "failed: " in (path / "study.html").read_text()


@pytest.mark.slow
def test_two_workers_make_the_same_study_and_stop_when_asked(tiny, study_path, tmp_path):
    path = tmp_path / "study"
    arguments = [*study_options(tiny, path), *SWEEP, "--workers", "2"]
    process = tiny.start(*arguments)
    while not list(path.glob("runs/*/*/metrics.jsonl")):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130 and "runs are finished; continue with" in errors
    done = tiny.run("resume", path, "--quiet", "--workers", "2")
    assert done.returncode == 0, done.stderr
    one, two = (json.loads((p / "study.json").read_text()) for p in (study_path, path))
    for first, second in zip(one["variants"], two["variants"], strict=True):
        assert first["statistics"] == second["statistics"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--seeds", "0"), "--seeds is 0"),
        (("--sweep", "learner.learning_rate"), "expected KEY=VALUE,VALUE"),
        (("--sweep", "learner.rate=1,2"), "learner.rate"),
        (("--sweep", "seed=1,2"), "swept already"),
        (("--workers", "2"), "is one piece of work"),
        (("--ray", "auto"), "--seeds N, --sweep KEY=A,B,C"),
        (("--seeds", "2", "--workers", "0"), "--workers is 0"),
        (("--seeds", "2", "--smoke"), "--smoke is of a single run"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tiny, tmp_path, options, words):
    path = tmp_path / "study"
    done = tiny.forked(*study_options(tiny, path), *options)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr
    assert not path.exists()


def test_sweeps_are_all_combinations_and_lists_are_single_values():
    assert swept([]) == [()]
    assert swept(["a.b=1, 2", "c=[8,8],[4]"]) == [
        ("a.b=1", "c=[8,8]"),
        ("a.b=1", "c=[4]"),
        ("a.b=2", "c=[8,8]"),
        ("a.b=2", "c=[4]"),
    ]
    assert swept(["game='goofspiel(a=1,b=2)',kuhn_poker"]) == [
        ("game='goofspiel(a=1,b=2)'",),
        ("game=kuhn_poker",),
    ]
