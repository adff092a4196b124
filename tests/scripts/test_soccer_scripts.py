"""`bench_soccer`, `film_soccer` and the pictures of soccer."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from soccer.drawing import write_gif

pytest.importorskip("mujoco", reason="MuJoCo is not installed: the extra [soccer]")

SCRIPTS = Path(__file__).parents[2] / "scripts"


def film(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPTS / "film_soccer.py"), *arguments],
        capture_output=True, text=True,
        env={**os.environ, "MUJOCO_GL": "egl", "PYTHONPATH": str(SCRIPTS.parent)},
    )  # fmt: skip


def test_bench_times_the_same_steps_with_and_without_all_but_physics(monkeypatch):
    """The physics that is timed leaves the matches where they were."""
    monkeypatch.syspath_prepend(SCRIPTS)
    bench = importlib.import_module("bench_soccer")
    states = np.zeros(3)
    calls = []

    def simulate():
        states[:] += 100
        calls.append("simulate")

    def play():
        states[:] += 1
        calls.append("play")

    def restore(saved):
        states[:] = saved

    rates = bench._rates(4, 2, simulate, play, states.copy, restore)
    assert states.tolist() == [5.0] * 3 and calls == ["play"] + ["simulate", "play"] * 4
    assert rates.full > 0 and rates.physics > 0
    monkeypatch.setattr(bench, "LANES", 2)
    assert bench.ours("soccer/duel(shaped=1)", 1, 0).full > 0


def test_a_film_is_written_whole_and_reports_the_match(tmp_path):
    picture = tmp_path / "match.png"
    done = film("walker", "--game", "soccer/get_up", "--width", "64", "--out", str(picture))
    if done.returncode == 2 and "cannot render" in done.stderr:
        pytest.skip("nothing renders here without a window: EGL is missing")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("10.0 s, 0:0, returns [0.")
    from PIL import Image

    with Image.open(picture) as image:
        assert image.size == (3 * 64, 4 * 36)
        assert len(np.unique(np.asarray(image).reshape(-1, 3), axis=0)) > 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stand", "--out", "match.mov"], "expected a name that ends in .gif or .png"),
        (["stand", "--out", "a.png"], "2 seats, but there are 1 policies"),
    ],
)
def test_a_film_that_cannot_be_made_says_why(arguments, message, tmp_path):
    done = film(*arguments[:-1], str(tmp_path / arguments[-1]))
    assert done.returncode == 2 and message in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_animation_has_all_frames_and_leaves_nothing_else(tmp_path):
    from PIL import Image

    frames = [np.full((8, 8, 3), shade, np.uint8) for shade in (0, 100, 200)]
    write_gif(frames, tmp_path / "a.gif", seconds_per_frame=0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 3 and image.info["duration"] == 100
