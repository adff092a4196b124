"""Checkpoints: exact, atomic, self-checking; the last one survives what befalls the next."""

import json
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from neupl.checkpoint import load, save, saved_steps
from neupl.errors import UserError

ARRAYS = {
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "key": np.array([1, 2**32 - 1], np.uint32),
    "scalar": np.float64(0.1),
    "mask": np.array([True, False]),
    "empty": np.zeros((0, 4), np.int64),
}


def save_steps(folder: Path, *steps: int, keep: int = 9) -> None:
    for step in steps:
        save(folder, step=step, arrays={"x": np.full(100, step)}, manifest={"s": step}, keep=keep)


def tensors_of(folder: Path, step: int) -> Path:
    return next(folder.glob(f"step-{step:09d}-*.safetensors"))


def test_loads_what_was_saved_bit_for_bit(tmp_path):
    save(tmp_path, step=7, arrays=ARRAYS, manifest={"rows": [0, 3], "note": "a", "best": 0.1})
    checkpoint = load(tmp_path)
    assert checkpoint.step == 7
    assert checkpoint.manifest == {"rows": [0, 3], "note": "a", "best": 0.1}
    assert checkpoint.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        restored = checkpoint.arrays[name]
        assert restored.dtype == np.asarray(array).dtype
        assert restored.shape == np.shape(array)
        assert restored.tobytes() == np.asarray(array).tobytes()


def test_views_in_other_memory_orders_are_stored_by_value(tmp_path):
    matrix = np.arange(12.0).reshape(3, 4)
    save(tmp_path, step=0, arrays={"t": matrix.T, "s": matrix[:, ::2]}, manifest={})
    arrays = load(tmp_path).arrays
    np.testing.assert_array_equal(arrays["t"], matrix.T)
    np.testing.assert_array_equal(arrays["s"], matrix[:, ::2])


def test_same_state_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / name, step=1, arrays=ARRAYS, manifest={"n": 1})
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_keeps_only_the_newest(tmp_path):
    save_steps(tmp_path, 1, 2, 3, 4, keep=2)
    assert saved_steps(tmp_path) == [3, 4]
    assert len(list(tmp_path.iterdir())) == 4


def test_steps_sort_by_number_also_beyond_nine_digits(tmp_path):
    save_steps(tmp_path, 999_999_999, 1_000_000_000, 10_000_000_000)
    assert load(tmp_path).step == 10_000_000_000


def test_saving_a_step_again_replaces_it(tmp_path):
    save_steps(tmp_path, 5)
    save(tmp_path, step=5, arrays={"x": np.zeros(1)}, manifest={"second": True})
    assert load(tmp_path).manifest == {"second": True}
    assert len(list(tmp_path.iterdir())) == 2


def test_continuing_before_a_broken_checkpoint_removes_it(tmp_path):
    save_steps(tmp_path, 10, 20, 30)
    tensors_of(tmp_path, 30).write_bytes(b"")
    assert load(tmp_path).step == 20
    save_steps(tmp_path, 25, keep=2)
    assert saved_steps(tmp_path) == [20, 25]


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip_bit, truncate, Path.unlink])
@pytest.mark.parametrize("what", ["tensors", "manifest"])
def test_damaged_newest_checkpoint_gives_way_to_the_one_before(damage, what, tmp_path, caplog):
    save_steps(tmp_path, 1, 2)
    path = tensors_of(tmp_path, 2) if what == "tensors" else tmp_path / "step-000000002.json"
    damage(path)
    checkpoint = load(tmp_path)
    assert (checkpoint.step, checkpoint.arrays["x"][0]) == (1, 1)
    # A checkpoint whose manifest is gone never existed; every other defect is said.
    never_existed = what == "manifest" and damage is Path.unlink
    assert ("step-000000002.json is broken" in caplog.text) is not never_existed


def test_every_single_byte_of_a_manifest_matters(tmp_path):
    save_steps(tmp_path, 1)
    path = tmp_path / "step-000000001.json"
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        changed = bytearray(content)
        changed[position] = ord("7") if changed[position] != ord("7") else ord("8")
        if json.loads(content) == _parsed(changed):
            continue
        path.write_bytes(bytes(changed))
        with pytest.raises(UserError, match=r"step-000000001\.json"):
            load(tmp_path)


def _parsed(content: bytearray) -> object:
    try:
        return json.loads(bytes(content))
    except ValueError:
        return None


def test_no_intact_checkpoint_names_every_file_and_defect(tmp_path):
    save_steps(tmp_path, 1, 2)
    truncate(tensors_of(tmp_path, 1))
    (tmp_path / "step-000000002.json").write_text("{")
    with pytest.raises(UserError) as caught:
        load(tmp_path)
    assert "step-000000001.json" in str(caught.value)
    assert "bytes" in str(caught.value)
    assert "step-000000002.json" in str(caught.value)


def test_absent_checkpoint_is_a_clear_error(tmp_path):
    with pytest.raises(UserError, match="there is no checkpoint in"):
        load(tmp_path / "absent")


def test_checkpoint_of_another_schema_is_refused_by_its_number(tmp_path):
    save_steps(tmp_path, 1)
    path = tmp_path / "step-000000001.json"
    header = json.loads(path.read_text())
    path.write_text(json.dumps({**header, "schema_version": 99}))
    with pytest.raises(UserError, match="schema version 99"):
        load(tmp_path)


@pytest.mark.parametrize(
    "array", [np.array(["a"]), np.array([None]), np.zeros(1, complex), np.arange(3, dtype=">i4")]
)
def test_array_that_cannot_be_restored_is_refused(array, tmp_path):
    with pytest.raises(ValueError, match="array 'bad' has dtype"):
        save(tmp_path, step=0, arrays={"bad": array}, manifest={})
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_saves_are_removed(tmp_path):
    save_steps(tmp_path, 1)
    orphan = tmp_path / f"step-000000002-{'0' * 16}.safetensors"
    partial = tmp_path / "step-000000002.json.123.partial"
    stranger = tmp_path / "notes.txt"
    for path in (orphan, partial, stranger):
        path.write_text("x")
    save_steps(tmp_path, 3)
    assert not orphan.exists()
    assert not partial.exists()
    assert stranger.exists()
    assert saved_steps(tmp_path) == [1, 3]


def test_full_disk_keeps_the_previous_checkpoint(small_disk):
    folder = small_disk / "checkpoints"
    save_steps(folder, 1)
    with pytest.raises(UserError, match=r"No space left.*checkpoint of step 1 is intact"):
        save(folder, step=2, arrays={"x": np.zeros(100_000)}, manifest={})
    assert load(folder).step == 1
    assert len(list(folder.iterdir())) == 2


def test_file_size_limit_keeps_the_previous_checkpoint(tmp_path):
    save_steps(tmp_path, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(UserError, match="step 1 is intact"):
            save(tmp_path, step=2, arrays={"x": np.zeros(100_000)}, manifest={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert load(tmp_path).step == 1


def test_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write the checkpoint of step 3"):
        save_steps(tmp_path / "file" / "checkpoints", 3)


SAVER = """
    import sys
    from pathlib import Path
    import numpy as np
    from neupl.checkpoint import load, save, saved_steps
    folder = Path(sys.argv[1])
    step = load(folder).step if saved_steps(folder) else 0
    while True:
        step += 1
        save(folder, step=step, arrays={"x": np.full(50_000, step)}, manifest={"s": step})
        print(step, flush=True)
"""


def test_sigkill_at_any_moment_loses_nothing_that_was_saved(tmp_path):
    """Kills a process that saves without pause at seeded moments; most fall inside a save."""
    rng = np.random.default_rng(0)
    announced = 0
    for _ in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SAVER), str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        process.stdout.readline()
        try:
            process.wait(rng.uniform(0, 0.03))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().split()
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
        announced = max([announced, *map(int, lines)])
        checkpoint = load(tmp_path)
        assert checkpoint.step >= announced
        assert checkpoint.manifest == {"s": checkpoint.step}
        assert (checkpoint.arrays["x"] == checkpoint.step).all()
    assert announced > 10
