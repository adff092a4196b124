"""`neupl train` of two teams: from the preset to a population whose matches are played and seen."""

import json
from pathlib import Path

import numpy as np
import pytest

from evaluation.replay import SUFFIX
from neupl.played_payoffs import played_payoffs
from neupl.stored_population import load_population

PRESET = Path(__file__).parents[2] / "configs" / "soccer" / "boxhead_team.yaml"
GAME = "soccer/team(body=boxhead,seconds=1)"
SMALL = (
    f"game={GAME}", "learner.game=soccer/team(body=boxhead,seconds=1,shaped=1)",
    "population.size=2", "network.hidden_sizes=[16]", "network.critic_hidden_size=8",
    "evaluation.response_s=1.0", "training.steps=6", "training.max_steps_per_row=4",
    "training.steps_of_first_rows=[4]",
)  # fmt: skip


def options(*settings):
    return [word for setting in settings for word in ("--set", setting)]


def finished(tiny, *arguments):
    """Runs a command with more patience than the tiny runs of others need."""
    with tiny.start(*arguments) as process:
        stdout, stderr = process.communicate(timeout=1200)
    assert process.returncode == 0, stderr
    return stdout


@pytest.mark.slow
def test_teams_are_trained_certified_and_play(tiny, tmp_path):
    pytest.importorskip("mujoco", reason="MuJoCo is not installed: the extra [soccer]")
    run = tmp_path / "run"
    told = finished(tiny, "train", PRESET, "--smoke", *options(*SMALL), "--out", run, "--json")
    certificate = json.loads(told)["certificate"]
    assert certificate["method"] == "trained_best_response" and certificate["game"] == GAME
    assert len(certificate["per_player"]) == 2 and np.isfinite(certificate["value"])
    assert (run / "report" / "index.html").is_file()
    population = load_population(run)
    # Two players with a table in common, each of two seats with 95 numbers to see.
    assert population.num_players == 2 and population.observation_size == 95
    assert population.payoffs.shape == (2, 2, 2) and not population.payoffs.sum(axis=-1).any()
    np.testing.assert_array_equal(population.payoffs[..., 0], -population.payoffs[..., 0].T)
    found = played_payoffs(population, 2, episodes=4, seed=0)
    np.testing.assert_array_equal(found.payoffs, -found.payoffs.T)

    folder = tmp_path / "tournament"
    entrants = (f"{run}#1", f"{run}#nash", "bot:chaser")
    told = finished(
        tiny, "tournament", *entrants, "--game", GAME, "--games", "2", "--batch", "2",
        "--replays", "1", "--out", folder, "--json",
    )  # fmt: skip
    assert np.array(json.loads(told)["mean_payoffs"]).shape == (3, 3)
    # Each pair in both seatings, and everybody with itself.
    replays = sorted(folder.rglob(f"*{SUFFIX}"))
    assert len(replays) == 2 * 3 + 3
    seats = [json.loads(path.read_text().splitlines()[0])["seats"] for path in replays]
    assert all(a == b and c == d for a, b, c, d in seats)
    assert finished(tiny, "replay", "--check", folder).count("nothing differs") == len(replays)


def test_a_joint_of_teams_is_refused(tiny, tmp_path):
    settings = options("graph.kind=jpsro", "learner.kind=ppo", "evaluation.payoffs=sampled")
    done = tiny.run(
        "train",
        "--game",
        "toy_soccer(team_size=2)",
        *settings,
        "--out",
        tmp_path / "run",
        "--quiet",
    )
    assert done.returncode == 2 and "have several seats each" in done.stderr
    assert "graph.kind=psro" in done.stderr and not (tmp_path / "run").exists()
