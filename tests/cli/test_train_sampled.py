"""`neupl train` with PPO: from the command line to a certificate that another process found."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from games.registry import load_tree
from neupl.stored_population import load_population
from solvers.values import payoffs

STEPS = 8
SETTINGS = {
    "learner.kind": "ppo",
    "learner.episodes": 256,
    "learner.minibatch": 512,
    "learner.epochs": 1,
    "evaluation.episodes": 128,
    "evaluation.window": 2,
    "population.size": 3,
    "network.hidden_sizes": "[8]",
    "network.embedding_size": 4,
    "network.critic_hidden_size": 4,
    "training.steps": STEPS,
    "training.evaluate_every": 2,
    "training.max_steps_per_row": 2,
    "training.checkpoint_every_s": 0,
}

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


def training(game, path, **changes):
    settings = [f"--set={key}={value}" for key, value in (SETTINGS | changes).items()]
    return ["train", "--game", game, "--out", str(path), "--quiet", "--json", *settings]


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    """A run that was trained where no tree can be made, and what its command printed."""
    path = tmp_path_factory.mktemp("sampled") / "run"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TREES, *training("kuhn_poker", path)],
        env=tiny.environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stderr.splitlines()[-1]) == {"code": 0, "trees": 0}
    return path, json.loads(done.stdout)


def test_mixture_is_chosen_against_responses_without_a_tree(tiny, tmp_path):
    """What they gained and how the mixture was chosen is told with the run."""
    path = tmp_path / "run"
    changes = {
        "evaluation.responses": 2,
        "evaluation.response_batches": 2,
        "evaluation.final_episodes": 2000,
    }
    command = training("kuhn_poker", path, **changes)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TREES, *command],
        env=tiny.environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stderr.splitlines()[-1]) == {"code": 0, "trees": 0}
    named = "PPO on episodes, mixture chosen against trained responses"
    assert json.loads((path / "certificate.json").read_text())["method"] == named
    assert named in (path / "population" / "MODEL_CARD.md").read_text()
    told = json.loads((path / "responses.json").read_text())
    assert len(told["gains"]) == len(told["errors"]) == 2 and min(told["errors"]) > 0
    shown = tiny.forked("info", path).stdout
    assert f"gained {told['gains'][0]:.4g} ± " in shown and "in the first of 2 rounds" in shown
    population = load_population(path)
    np.testing.assert_allclose(population.meta_strategy.sum(axis=1), 1)


def test_training_makes_no_tree_and_another_process_certifies(tiny, finished):
    path, report = finished
    certificate = report["certificate"]
    assert certificate["method"] == "exact" and certificate["quantity"] == "nash_conv"
    assert certificate["value"] == pytest.approx(certificate["openspiel_value"], abs=1e-6)
    assert report["openspiel"]["agrees"] and report["steps"] == STEPS
    assert report["final_nash_conv"] is None
    assert json.loads((path / "certificate.json").read_text())["certificate"] == certificate
    again = tiny.forked("verify", path, "--json")
    assert again.returncode == 0, again.stderr
    repeated = json.loads(again.stdout)["certificate"]
    assert repeated["value"] == certificate["value"]
    assert repeated["per_player"] == certificate["per_player"]


def test_metrics_are_called_estimates(finished):
    path, _ = finished
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    assert not any("eval/nash_conv" in line for line in lines)
    assert all(line["eval/estimated_gain"] >= 0 for line in lines)
    # Unknown until the history is full.
    assert lines[0]["train/left"] is None


def test_population_says_that_its_gains_are_estimates(finished):
    path, _ = finished
    manifest = json.loads((path / "population" / "population.json").read_text())
    assert manifest["gains_are"] == "estimated" and manifest["num_nodes"] is None
    card = (path / "population" / "MODEL_CARD.md").read_text()
    assert "estimated from episodes" in card and "PPO on episodes" in card
    assert "never compiled" in card
    population = load_population(path)
    assert population.num_strategies == 3 and population.payoffs.any()
    np.testing.assert_allclose(population.meta_strategy.sum(axis=1), 1)


def test_estimated_payoffs_are_compared_with_exact_ones(finished):
    """Afterwards, where the run is certified: from what was exported, profile by profile."""
    path, report = finished
    population = load_population(path)
    exact = payoffs(load_tree("kuhn_poker"), population.tabulate())
    admitted = np.ix_(range(3), range(3))
    told = json.loads((path / "certificate.json").read_text())
    assert told["payoffs"] == report["payoffs"] and told["method"] == "PPO on episodes"
    estimates = population.estimates
    for name, estimated in (("running", estimates.running), ("measured", estimates.payoffs)):
        difference = (estimated - exact)[admitted][..., 0]
        found = told["payoffs"][name]
        assert found["num"] == 9
        assert found["root_mean_square_error"] == pytest.approx(np.sqrt((difference**2).mean()))
    assert found["root_mean_square_error"] < 3 * found["expected_error"]
    # Not of those outside, of whom nothing is known.
    assert estimates.errors[admitted].max() < 0.2 and estimates.episodes == 400_000


def test_strategies_are_rated_on_exact_payoffs_where_there_is_a_tree(tiny, finished):
    """The trained payoffs are estimates; the gains of the joint are recomputed from the tree's."""
    path, _ = finished
    done = tiny.run("rate", path, "--method", "cce,nash", "--seat", "1", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert "payoffs are exact, computed on the game's tree" in content["notes"]
    assert {entry["name"] for entry in content["ratings"]} == {f"seat 1 #{k}" for k in range(3)}
    tensor = payoffs(load_tree("kuhn_poker"), load_population(path).tabulate())
    against = [content["prompt_masses"][f"seat 0 #{k}"] for k in range(3)]
    earned = np.array(against) @ tensor[..., 1]
    # Against the marginal of seat 0 the ratings are what deviating earns, up to a constant.
    ratings = [entry["rating"] for entry in sorted(content["ratings"], key=lambda e: e["name"])]
    assert np.ptp(np.array(ratings) - earned) < 1e-9


def test_model_card_tells_how_far_off_payoffs_were(finished):
    path, _ = finished
    manifest = json.loads((path / "population" / "population.json").read_text())
    error = manifest["payoff_calibration"]["root_mean_square_error"]
    estimates = load_population(path).estimates
    difference = (estimates.running - estimates.payoffs)[:3, :3, 0]
    assert error == pytest.approx(np.sqrt((difference**2).mean()))
    card = (path / "population" / "MODEL_CARD.md").read_text()
    assert f"off the measured ones by {error:.3g} points" in card
    assert manifest["payoffs_are"] == "sampled"


@pytest.mark.parametrize("source", ["exact", pytest.param("learned", marks=pytest.mark.slow)])
def test_other_payoffs_are_named_wherever_a_run_is_shown(tiny, tmp_path, source):
    path = tmp_path / "run"
    words = {"exact": "PPO on episodes, exact-gated", "learned": "PPO on episodes, payoffs learned"}
    settings = {"training.steps": 4, "evaluation.payoffs": source}
    done = tiny.forked(*training("kuhn_poker", path, **settings))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["method"] == words[source]
    told = tiny.forked("info", path)
    verified = tiny.forked("verify", path, "--json")
    certificate = json.loads((path / "certificate.json").read_text())
    card = (path / "population" / "MODEL_CARD.md").read_text()
    assert words[source] in told.stdout and words[source] in card
    assert certificate["method"] == json.loads(verified.stdout)["method"] == words[source]
    assert ("payoffs" in certificate) == (source == "learned")
    exact = certificate["certificate"]
    assert exact["method"] == "exact"
    assert exact["value"] == pytest.approx(exact["openspiel_value"], abs=1e-6)
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert all(("eval/nash_conv" in line) == (source == "exact") for line in lines)


def test_info_and_export(tiny, finished, tmp_path):
    path, _ = finished
    told = tiny.forked("info", path, "--json")
    assert told.returncode == 0, told.stderr
    content = json.loads(told.stdout)
    assert content["game"] == "kuhn_poker" and content["method"] == "PPO on episodes"
    assert content["best_estimated_gain"] >= 0 and content["best_nash_conv"] is None
    assert content["payoff_calibration"]["num"] == 9
    assert set(content["payoffs_against_exact"]) == {"running", "measured"}
    exported = tiny.forked("export", path, "--out", tmp_path / "mine", "--json")
    assert exported.returncode == 0, exported.stderr
    ours, theirs = tmp_path / "mine", path / "population"
    assert sorted(f.name for f in ours.iterdir()) == sorted(f.name for f in theirs.iterdir())
    for file in ours.iterdir():
        assert file.read_bytes() == (theirs / file.name).read_bytes()


def test_stopped_run_is_resumed_bit_by_bit(tiny, finished, tmp_path):
    """Killed on the way into its second checkpoint."""
    path = tmp_path / "run"
    killed = tiny.forked(*training("kuhn_poker", path), kill=(path / "checkpoints", 9))
    assert killed.returncode < 0 and list(path.glob("checkpoints/*.safetensors"))
    logged = len((path / "metrics.jsonl").read_text().splitlines())
    assert 1 <= logged < 4
    done = tiny.forked("resume", path, "--quiet", "--json")
    assert done.returncode == 0, done.stderr
    found = []
    for run in (finished[0], path):
        (newest,) = run.glob(f"checkpoints/step-{STEPS:09d}-*.safetensors")
        arrays = {k: (v.dtype, v.tobytes()) for k, v in load_file(newest).items()}
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        kept = [{k: v for k, v in line.items() if not re.match("time/|rate/", k)} for line in lines]
        certificate = json.loads((run / "certificate.json").read_text())["certificate"]
        found.append((arrays, kept, certificate["value"]))
    assert found[0] == found[1]


@pytest.mark.slow
def test_simultaneous_moves_are_trained_and_certified(tiny, tmp_path):
    game = "goofspiel(imp_info=True,num_cards=3,points_order=descending)"
    done = tiny.forked(*training(game, tmp_path / "run", **{"training.steps": 2}))
    assert done.returncode == 0, done.stderr
    certificate = json.loads(done.stdout)["certificate"]
    assert certificate["method"] == "exact" and certificate["game"] == game
    assert certificate["value"] == pytest.approx(certificate["openspiel_value"], abs=1e-6)


def test_bad_input_is_explained_and_leaves_nothing_behind(tiny, tmp_path):
    cases = [
        (training("kuhn_poker", tmp_path / "a", **{"population.sink": "other#0"}),
         "a run that only plays knows no information states"),
        (training("kuhn_pokr", tmp_path / "a"), "unknown OpenSpiel game 'kuhn_pokr'"),
        (training("kuhn_poker", tmp_path / "a", **{"learner.kind": "pqo"}), "learner.kind"),
        (training("kuhn_poker", tmp_path / "a", **{"evaluation.window": 1}), "evaluation.window"),
        (training("kuhn_poker", tmp_path / "a", **{"learner.teachers": "[other#0]"}),
         "learner.teachers are given, but kuhn_poker has 2 players"),
    ]  # fmt: skip
    for arguments, message in cases:
        done = tiny.forked(*arguments)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr and len(done.stderr.strip().splitlines()) <= 2
        assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_games_too_big_to_compile_end_with_an_estimate(tiny, tmp_path):
    """Connect four has 10 ** 13 positions: the other process gives up at 5 million nodes."""
    path = tmp_path / "run"
    done = tiny.run(*training("connect_four", path, **{"training.steps": 2}))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    certificate = report["certificate"]
    assert certificate["method"] == "sampled" and certificate["openspiel_value"] is None
    assert "newest response" in certificate["object"] and "openspiel" not in report
    assert certificate["value"] == pytest.approx(sum(certificate["per_player"]))
    assert (path / "report" / "summary.png").exists() or list(path.rglob("summary.png"))
