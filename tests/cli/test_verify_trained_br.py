"""`neupl verify --method trained-br`: a lower bound in episodes, without a tree."""

import json
import subprocess
import sys

import pytest

from tests.conftest import command_environment

# Runs `neupl` where a game tree cannot be made.
NO_TREES = """
import sys
import games.game_tree, neupl.cli

def refuse(*_, **__):
    raise MemoryError("a tree")

games.game_tree.GameTree.__init__ = refuse
sys.exit(neupl.cli.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def run_path(tiny, tmp_path_factory):
    """A finished tiny run."""
    path = tmp_path_factory.mktemp("responses") / "run"
    done = tiny.forked(*tiny.training(path), "--set=training.steps=80")
    assert done.returncode == 0, done.stderr
    return path


def without_trees(*arguments):
    return subprocess.run(
        [sys.executable, "-c", NO_TREES, *map(str, arguments)],
        env=command_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_needs_no_tree_and_depends_on_the_seed_alone(tiny, run_path):
    """The exact method does need one, so the trap works."""
    exact = without_trees("verify", run_path)
    assert exact.returncode == 2 and "out of memory" in exact.stderr
    options = ("verify", run_path, "--method", "trained-br", "--batches", "3", "--json")
    done = without_trees(*options, "--episode-seed", "7")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    certificate, details = report["certificate"], report["trained_best_response"]
    assert certificate["method"] == "trained_best_response"
    assert certificate["quantity"] == "nash_conv" and certificate["game"] == "kuhn_poker"
    assert certificate["object"] == "meta-strategy mixture of run"
    assert details["batches"] == 3
    assert [seat["gain"] for seat in details["seats"]] == certificate["per_player"]
    assert details["training_episodes"] % 3 == 0
    again = tiny.forked(*options, "--episode-seed", "7")
    repeated = json.loads(again.stdout)
    assert repeated["trained_best_response"]["seats"] == details["seats"]
    other = json.loads(tiny.forked(*options, "--episode-seed", "8").stdout)
    assert other["trained_best_response"]["seats"] != details["seats"]


def test_budget_in_seconds_is_kept_and_the_table_shows_the_bound(tiny, run_path):
    """Far more time than 3 seconds is only taken to compile."""
    done = tiny.forked("verify", run_path, "--method", "trained-br", "--budget", "3")
    assert done.returncode == 0, done.stderr
    assert "trained best responses" in done.stdout
    assert "NashConv is at least" in done.stdout and "95 % interval" in done.stdout
    assert "not exact: a better response may gain more" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--budget", "9"), "--budget is of --method trained-br"),
        (("--batches", "9"), "--batches is of --method trained-br"),
        (("--restarts", "2"), "--restarts is of --method trained-br"),
        (("--workers", "2"), "--workers is of --method trained-br"),
        (("--method", "trained-br", "--ray", "auto"), "--ray shares out restarts"),
        (("--method", "trained-br", "--restarts", "0"), "--restarts is 0"),
        (("--method", "trained-br", "--budget", "9", "--batches", "9"), "give one of them"),
        (("--method", "trained-br", "--budget", "0"), "--budget is 0.0: it must be a positive"),
        (("--method", "trained-br", "--budget", "nan"), "--budget is nan: it must be a positive"),
        (("--method", "trained-br", "--batches", "0"), "--batches is 0: it must be at least 1"),
        (("--method", "trained-br", "--episodes", "50"), "--episodes is of the exact method"),
    ],
)
def test_bad_options_are_explained(tiny, run_path, options, message):
    done = tiny.forked("verify", run_path, *options)
    assert done.returncode == 2 and message in done.stderr


def test_a_game_too_large_to_compile_gets_the_hint(tiny, run_path, tmp_path):
    """A population of a game with more nodes than may be compiled."""
    population = tmp_path / "population"
    population.mkdir()
    source = run_path / "population"
    for file in source.iterdir():
        (population / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((population / "population.json").read_text())
    manifest["max_nodes"] = 10
    (population / "population.json").write_text(json.dumps(manifest))
    done = tiny.forked("verify", population)
    assert done.returncode == 2
    assert "hint: --method trained-br bounds the gap without a tree" in done.stderr
