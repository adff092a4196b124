"""NeuPL-JPSRO from episodes alone through the command line: no tree where it trains, a certificate
from elsewhere.
"""

import json
import subprocess
import sys

import pytest

# Trains while no game tree can be made, and says how many there are at the end.
WITHOUT_TREES = """
import gc, json, sys
from games.game_tree import GameTree

def refuse(self, *arguments, **fields):
    raise AssertionError("a run that only plays has made a game tree")

GameTree.__init__ = refuse

from neupl.cli import main

code = main()
trees = sum(isinstance(thing, GameTree) for thing in gc.get_objects())
print(json.dumps({"code": code, "trees": trees}), file=sys.stderr)
sys.exit(code)
"""

GAME = "kuhn_poker(players=3)"
SETTINGS = {
    "learner.kind": "ppo",
    "learner.episodes": 512,
    "learner.minibatch": 512,
    "evaluation.episodes": 300,
    "evaluation.final_episodes": 3000,
    "evaluation.window": 2,
    "evaluation.response_s": 1,
    "population.size": 3,
    "network.hidden_sizes": "[16]",
    "network.embedding_size": 8,
    "network.critic_hidden_size": 8,
    "training.steps": 24,
    "training.evaluate_every": 4,
    "training.max_steps_per_row": 8,
    "training.checkpoint_every_s": 0,
}


def training(path, *more, **changes):
    settings = [f"--set={key}={value}" for key, value in (SETTINGS | changes).items()]
    command = ["train", "--game", GAME, "--out", str(path), "--quiet", "--json"]
    return [*command, *more, *settings]


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    """A smoke run that was trained where no tree can be made, and what its command printed."""
    path = tmp_path_factory.mktemp("joint") / "run"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TREES, *training(path, "--smoke")],
        env=tiny.environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stderr.splitlines()[-1]) == {"code": 0, "trees": 0}
    return path, json.loads(done.stdout)


def test_training_makes_no_tree_and_another_process_certifies(finished):
    path, report = finished
    assert "kind: jpsro" in (path / "config.yaml").read_text()
    assert report["method"] == "NeuPL-JPSRO (CCE), PPO on episodes"
    certificate = report["certificate"]
    assert certificate["method"] == "exact" and certificate["quantity"] == "cce_gap"
    assert certificate["value"] == pytest.approx(certificate["openspiel_value"], abs=1e-6)
    assert set(report["payoffs"]) == {"running", "measured"}
    assert report["payoffs"]["measured"]["within_two"] > 0.8
    assert (path / "report" / "summary.png").read_bytes().startswith(b"\x89PNG")


def test_metrics_are_called_estimates(finished):
    path, _ = finished
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    concluded = [line for line in lines if "eval/gap_estimate" in line]
    assert len(concluded) >= 3 and not any("eval/gap" in line for line in lines)
    for line in concluded:
        assert line["eval/gap_error"] > 0 and line["evaluation/payoff_episodes"] > 0
        assert line["eval/best_gap_estimate"] >= 0


def test_other_commands_know_the_run(tiny, finished, tmp_path):
    path, report = finished
    told = tiny.forked("info", path, "--json")
    assert told.returncode == 0, told.stderr
    content = json.loads(told.stdout)
    assert content["method"] == report["method"]
    assert content["best_gap"] is None and content["best_gap_estimate"] >= 0
    assert content["payoff_calibration"]["num"] > 0
    bound = tiny.forked("verify", path, "--method", "trained-br", "--batches", "1", "--json")
    assert bound.returncode == 0, bound.stderr
    certificate = json.loads(bound.stdout)["certificate"]
    assert certificate["quantity"] == "cce_gap" and certificate["method"] != "exact"
    assert certificate["value"] < report["certificate"]["value"] + 0.5
    exported = tiny.forked("export", path, "--out", tmp_path / "mine", "--json")
    assert exported.returncode == 0, exported.stderr
    for file in (tmp_path / "mine").iterdir():
        assert file.read_bytes() == (path / "population" / file.name).read_bytes()
