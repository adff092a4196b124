"""Full disk, broken files, diverging training: one clear error, and the last good state stays."""

import json
import re
import shutil
from pathlib import Path

import pytest


def error_of(errors: str) -> str:
    """The one error that a command printed."""
    assert "Traceback" not in errors
    (error,) = re.findall(r"^error: (.*)$", errors, re.MULTILINE)
    return error


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def steps_saved(path: Path) -> list[int]:
    return sorted(int(file.stem.removeprefix("step-")) for file in path.glob("checkpoints/*.json"))


def test_full_disk_stops_the_run_and_more_space_continues_it(whole, tiny, half, small_disk):
    """The disk fills up with metrics and events; then the run moves to a larger one."""
    half.rename(half.with_name("as it was"))
    shutil.copytree(half.with_name("as it was"), small_disk / "run")
    (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free - 34 * 1024))
    done = tiny.forked("resume", small_disk / "run", "--json")
    assert done.returncode == 2
    assert "No space left on device" in error_of(done.stderr)
    assert "hint: free disk space" in done.stderr
    assert json.loads(done.stdout) == {"error": error_of(done.stderr), "exit_code": 2}
    shutil.copytree(small_disk / "run", half)
    assert tiny.steps // 2 < steps_saved(half)[-1] < tiny.steps
    assert tiny.forked("resume", half).returncode == 0
    assert tiny.results(half) == whole


@pytest.mark.slow
def test_failed_resumptions_leave_a_run_that_ends_like_the_undisturbed_one(whole, tiny, half):
    """A file that may not grow, then training that diverges, then nothing wrong any more."""
    saved = steps_saved(half)

    done = tiny.run("resume", half, file_kib=4)
    assert done.returncode == 2
    assert "File too large" in error_of(done.stderr)
    assert steps_saved(half) == saved

    config = half / "config.yaml"
    original = config.read_text()
    changed = re.sub(r"( learning_rate): .*", r"\1: 1.0e+30", original)
    assert changed != original
    config.write_text(changed)
    done = tiny.run("resume", half, "--json")
    assert done.returncode == 2
    error = error_of(done.stderr)
    assert re.search(r"not finite|NaN", error)
    assert "what was saved before is intact" in error
    assert "hint: a smaller learner.learning_rate" in done.stderr
    assert json.loads(done.stdout) == {"error": error, "exit_code": 2}
    assert steps_saved(half) == saved

    config.write_text(original)
    assert tiny.forked("resume", half).returncode == 0
    assert tiny.results(half) == whole


def test_damaged_newest_checkpoint_and_torn_metrics_cost_nothing(whole, tiny, half):
    before, newest = steps_saved(half)
    flip_bit(next(half.glob(f"checkpoints/step-{newest:09d}-*.safetensors")))
    with (half / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 99999, "eval/na')
    done = tiny.forked("resume", half)
    assert done.returncode == 0, done.stderr
    (warning,) = [line for line in done.stderr.splitlines() if "broken" in line]
    assert warning.startswith("WARNING: checkpoint ")
    assert f"step-{newest:09d}.json is broken" in warning
    assert json.loads((half / "provenance.json").read_text())["resumed"][0]["step"] == before
    assert tiny.results(half) == whole


@pytest.mark.parametrize(
    ("pattern", "damage"), [("*.safetensors", truncate), ("*.json", flip_bit)], ids=["cut", "flip"]
)
def test_no_intact_checkpoint_is_an_error_that_names_each(pattern, damage, tiny, half):
    for path in half.glob(f"checkpoints/{pattern}"):
        damage(path)
    before = {path: path.read_bytes() for path in half.rglob("*.*") if path.is_file()}
    done = tiny.forked("resume", half)
    assert done.returncode == 2
    assert "no checkpoint in" in error_of(done.stderr)
    for step in steps_saved(half):
        assert f"step-{step:09d}.json: " in error_of(done.stderr)
    assert {path: path.read_bytes() for path in half.rglob("*.*") if path.is_file()} == before


def test_file_in_place_of_the_checkpoints_is_said_twice(tiny, half):
    """A warning that the run starts again, and an error as nothing can be saved."""
    shutil.rmtree(half / "checkpoints")
    (half / "checkpoints").write_text("in the way")
    done = tiny.forked("resume", half)
    assert done.returncode == 2
    assert "holds no checkpoint: the run starts again" in done.stderr
    assert f"cannot write the checkpoint of step {tiny.evaluate_every}" in error_of(done.stderr)


def test_garbage_among_the_metrics_is_an_error_with_its_line(tiny, half):
    lines = (half / "metrics.jsonl").read_text().splitlines(keepends=True)
    (half / "metrics.jsonl").write_text("".join([*lines[:3], "garbage\n", *lines[3:]]))
    done = tiny.forked("resume", half)
    assert done.returncode == 2
    assert "metrics.jsonl, line 4 is not a metric line" in error_of(done.stderr)
    assert "garbage" in (half / "metrics.jsonl").read_text()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("arrays.safetensors", truncate),
        ("arrays.safetensors", Path.unlink),
        ("population.json", truncate),
        ("population.json", lambda path: path.write_text("[]")),
    ],
)
def test_damaged_population_is_not_verified(name, damage, whole, tiny, tmp_path):
    folder = tmp_path / "population"
    folder.mkdir()
    for file, content in whole["population"].items():
        (folder / file).write_bytes(content)
    damage(folder / name)
    done = tiny.forked("verify", folder, "--json")
    assert done.returncode == 2
    error = error_of(done.stderr)
    assert f"the population at {folder} is broken" in error
    assert json.loads(done.stdout) == {"error": error, "exit_code": 2}


def test_intact_population_is_verified_without_the_run(whole, neupl, tmp_path):
    for file, content in whole["population"].items():
        (tmp_path / file).write_bytes(content)
    done = neupl("verify", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    certificate = json.loads(done.stdout)["certificate"]
    assert certificate["value"] == whole["certificate"]["value"]
    assert certificate["openspiel_value"] == pytest.approx(certificate["value"], abs=1e-6)
