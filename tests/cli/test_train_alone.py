"""`neupl train` of a robot that plays alone: from the preset to a policy that is measured."""

import json
from pathlib import Path

import numpy as np
import pytest

from neupl.stored_population import load_population
from soccer import exhibition, tasks

pytest.importorskip("mujoco", reason="MuJoCo is not installed: the extra [soccer]")

PRESET = Path(__file__).parents[2] / "configs" / "soccer" / "walk_to_target.yaml"
SMALL = ("network.hidden_sizes=[16]", "network.critic_hidden_size=8", "learner.minibatch=256")


@pytest.mark.slow
def test_a_walker_is_trained_certified_and_plays(tiny, tmp_path):
    settings = [word for setting in SMALL for word in ("--set", setting)]
    run = tmp_path / "run"
    done = tiny.run("train", PRESET, "--smoke", *settings, "--out", run, "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    certificate = content["certificate"]
    low, high = certificate["interval"]
    assert certificate["quantity"] == "mean_return" and certificate["method"] == "sampled"
    assert low < certificate["value"] < high and content["steps"] == 4
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all(np.isfinite(line["eval/mean_return"]) for line in lines)
    assert Path(content["picture"]).read_bytes().startswith(b"\x89PNG")
    assert "mean return" in Path(content["page"]).read_text()
    assert "Mean return" in (run / "population" / "MODEL_CARD.md").read_text()
    population = load_population(run)
    # What the network observes is counted: 16 lanes of 32 steps in each batch, and their mirrors.
    count = population.params["normalisation"]["count"]
    assert 0.9 * 4 * 2 * 16 * 32 < count <= 4 * 2 * 16 * 32
    policy = population.policy(0, seat=0, likeliest=True)
    played = exhibition.play(
        tasks.walk_to_target(shaped=1), [policy], np.arange(2, dtype=np.uint64)
    )
    assert np.isfinite(played.returns).all() and (played.steps > 1).all()


def test_two_strategies_of_one_player_are_an_error(tiny, tmp_path):
    done = tiny.run(
        "train", PRESET, "--set", "population.size=2", "--out", tmp_path / "run", "--quiet"
    )
    assert done.returncode == 2 and "has one player, who meets nobody" in done.stderr
    assert "population.size=1" in done.stderr and not (tmp_path / "run").exists()
