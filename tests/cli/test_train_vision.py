"""`neupl train` of a robot that sees by a camera; critic and teacher know what it does not."""

import json
from pathlib import Path

import numpy as np
import pytest

from games.registry import load_game
from neupl.stored_population import load_population
from soccer import exhibition, vision

pytest.importorskip("mujoco", reason="MuJoCo is not installed: the extra [soccer]")

PRESET = Path(__file__).parents[2] / "configs" / "soccer" / "score_vision.yaml"
SMALL = (
    "network.hidden_sizes=[8]", "network.encoder_sizes=[8]", "network.memory_size=8",
    "network.critic_hidden_size=8", "learner.minibatch=256",
)  # fmt: skip


@pytest.mark.slow
def test_a_robot_with_a_camera_is_trained_and_plays_without_what_its_critic_knew(tiny, tmp_path):
    settings = [word for setting in SMALL for word in ("--set", setting)]
    run = tmp_path / "run"
    done = tiny.run("train", PRESET, "--smoke", *settings, "--out", run, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["certificate"]["quantity"] == "mean_return"
    population = load_population(run)
    assert population.observation_size == 269
    assert population.params["normalisation"]["mean"].shape == (269,)
    (statistics,) = population.params["privileged_normalisation"].values()
    assert statistics["mean"].shape == (73,) and statistics["count"] > 0
    policy = population.policy(0, seat=0, likeliest=True)
    seeds = np.arange(2, dtype=np.uint64)
    played = exhibition.play(load_game(population.game), [policy], seeds, record=2)
    found = vision.looking(vision.ball_in_view(played.recording[:-1]), played.steps)
    assert 0 <= found.share <= 1
