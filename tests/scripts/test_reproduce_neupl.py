"""`scripts/reproduce_neupl.py`: real short runs, and its measures on worked numbers."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "reproduce_neupl.py"
ROCK, PAPER, SCISSORS = np.eye(3)


def reproduce(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)],
        env=command_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


def command_environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


@pytest.fixture(scope="module")
def simplex() -> ModuleType:
    """The script's module on rock-paper-scissors; scripts are no package."""
    path = ROOT / "scripts" / "rock_paper_scissors.py"
    specification = importlib.util.spec_from_file_location("rock_paper_scissors", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_quick_run_measures_a_payoff_file(tmp_path):
    """Every number of the report is recomputed from the run folder that was kept."""
    out, runs = tmp_path / "report", tmp_path / "runs"
    done = reproduce("--quick", "--only", "random_nfg", "--out", out, "--runs", runs, "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content == json.loads((out / "neupl.json").read_text())
    (row,) = content["rows"]
    (run,) = row["runs"]
    folder = runs / "random_nfg-0"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    values = [line["eval/nash_conv"] for line in lines]
    assert run["curve"]["nash_conv"] == values
    assert run["final"] == row["worst"]["final"] == values[-1]
    assert run["best"] == pytest.approx(min(values), abs=1e-5)
    late = [v for v, line in zip(values, lines, strict=True) if line["step"] > 200 * 2 / 3]
    assert run["last_third"] == np.median(late)
    assert run["openspiel"] == pytest.approx(run["best"], abs=1e-6)
    assert run["cpu_s"] > 0
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["game"] == row["game"] == "random_20x20.nfg"
    assert str(tmp_path) not in done.stdout, "a report belongs into a repository"
    # The reference and the target, from the definition.
    references = row["reference"]["by_variant"]
    assert len(references) == 3
    allowed = max(1.3 * min(references.values()), 0.005 * row["payoff_range"])
    assert row["target"] == pytest.approx(allowed)
    assert row["met"]["final"] == (values[-1] <= row["target"])
    page = (out / "neupl.md").read_text()
    assert f"{run['best']:.3g} ({run['best']:.3g})" in page
    assert "exact gate" in page
    assert "quick run" in page
    assert (out / "neupl_nash_conv.png").read_bytes().startswith(b"\x89PNG")
    assert not (out / "rps_interaction_graphs.png").exists()


@pytest.mark.slow
def test_psro_in_rock_paper_scissors_stops_at_four_strategies(simplex, tmp_path):
    """The sink is mostly rock, so the responses are paper, scissors and then uniform."""
    trajectory = simplex.train_under("psro", 0, steps=200, runs=tmp_path)
    assert trajectory.shape == (1 + 200 // 4, 8, 3)
    np.testing.assert_allclose(trajectory.sum(axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(trajectory[-1, 0], [0.8, 0.1, 0.1], atol=1e-6)
    facts = simplex.check_facts("psro", [trajectory])
    assert len(facts) == 4
    assert all(fact["holds"] for fact in facts), facts


def test_rock_over_paper_to_scissors_is_one_positive_turn(simplex):
    loop = np.array([ROCK, PAPER, SCISSORS, ROCK])
    assert simplex.turns(loop) == pytest.approx(1)
    assert simplex.turns(loop[::-1]) == pytest.approx(-1)
    there_and_back = np.array([ROCK, PAPER, ROCK])
    assert simplex.turns(there_and_back) == pytest.approx(0, abs=1e-12)


def test_chasing_counts_moves_that_gain_against_the_next_strategy(simplex):
    """Strategy 0 moves from rock to paper and gains 1 against rock; strategy 1 stays or loses 1."""
    still = np.array([[ROCK, ROCK], [PAPER, ROCK]])
    assert simplex.chasing_share(still) == 1
    worse = np.array([[ROCK, ROCK], [PAPER, SCISSORS]])
    assert simplex.chasing_share(worse) == pytest.approx(0.5)


def test_fictitious_average_and_distance_by_hand(simplex):
    averages = simplex.running_mixtures(np.array([ROCK, PAPER, SCISSORS]))
    np.testing.assert_allclose(averages, [[1, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(simplex.from_uniform(averages), [2 / 3, 1 / 3, 0], atol=1e-12)


def test_strategies_within_tolerance_count_once(simplex):
    near_rock = np.array([0.97, 0.03, 0.0])
    strategies = np.stack([ROCK, PAPER, near_rock, PAPER])
    assert simplex.num_distinct(strategies) == 2
    assert simplex.num_distinct(strategies, tolerance=0.01) == 3


def test_a_fact_must_hold_in_every_seed(simplex):
    around = np.array([ROCK, PAPER, SCISSORS, ROCK, PAPER])[:, None]
    back = around[::-1]
    cycling = [fact["holds"] for fact in simplex.check_facts("self_play", [around])]
    mixed = [fact["holds"] for fact in simplex.check_facts("self_play", [around, back])]
    assert cycling == [True, True]
    assert mixed == [True, False]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only", "chess"), "invalid choice: 'chess'"),
        (("--seeds", "0"), "--seeds is 0, expected at least 1"),
        (("--jobs", "-1"), "--jobs is -1, expected at least 1"),
    ],
)
def test_bad_options_are_one_clear_error(arguments, words, tmp_path):
    done = reproduce(*arguments, "--out", tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_run_that_cannot_start_is_reported(tmp_path):
    """The folder of the run is already taken."""
    taken = tmp_path / "runs" / "random_nfg-0"
    taken.mkdir(parents=True)
    (taken / "notes.txt").write_text("mine")
    arguments = ("--quick", "--only", "random_nfg", "--runs", tmp_path / "runs")
    done = reproduce(*arguments, "--out", tmp_path / "report")
    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "report").exists()


@pytest.mark.slow
def test_whole_quick_run(tmp_path):
    done = reproduce("--quick", "--out", tmp_path, "--jobs", "2")
    assert done.returncode == 0, done.stderr
    names = {path.name for path in tmp_path.iterdir()}
    figures = {"neupl_nash_conv.png", "rps_interaction_graphs.png"}
    assert names == figures | {"neupl.md", "neupl.json"}
