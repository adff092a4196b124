"""`--ray` on the command line: a tournament whose driver is killed, then the head of its cluster,
and that then goes on without one; a training run likewise; a study on nodes; jobs.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import command_environment
from tests.neupl.ppo_run import arrays_of, ppo_run, wait_for_step
from tests.ray_cluster import actors, start_cluster

ray = pytest.importorskip("ray", reason="the extra [ray] is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

TOURNAMENT = (
    *("tournament", "openspiel:random", "openspiel:mcts(simulations=30)", "--game", "leduc_poker"),
    *("--games", "32", "--batch", "4", "--quiet"),
)
PATIENCE_S = 600


@pytest.fixture
def cluster():
    """A head without cores and two nodes with one each; nobody connects from here."""
    cluster = start_cluster(2)
    yield cluster
    cluster.shutdown()


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    # A driver gives a lost head a minute to come back by itself.
    environment = {**command_environment(), "RAY_gcs_rpc_server_reconnect_timeout_s": "5"}
    return subprocess.Popen(
        [sys.executable, "-m", "neupl", *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str | Path) -> str:
    process = start(*arguments)
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    return output


def games_of(path: Path) -> list[dict]:
    """The log without times, in the order of the items."""
    log = path / "games.jsonl"
    lines = [json.loads(line) for line in log.read_bytes().splitlines()] if log.exists() else []
    return sorted(
        ({k: v for k, v in line.items() if k != "seconds"} for line in lines),
        key=lambda line: (line["group"], line["block"]),
    )


def wait_for_games(process: subprocess.Popen[str], path: Path, number: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    log = path / "games.jsonl"
    while not log.exists() or log.read_bytes().count(b"\n") < number:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_tournament_outlives_its_driver_and_the_head_of_its_cluster(cluster, tmp_path):
    whole, path = tmp_path / "whole", tmp_path / "killed"
    run(*TOURNAMENT, "--out", whole)
    driver = start(*TOURNAMENT, "--out", path, "--ray", cluster.address)
    wait_for_games(driver, path, 2)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    kept = len(games_of(path))
    assert 2 <= kept < len(games_of(whole))

    driver = start("tournament", "--out", path, "--ray", cluster.address, "--quiet")
    wait_for_games(driver, path, kept + 2)
    for process in (p for own in cluster.head_node.all_processes.values() for p in own):
        os.kill(process.process.pid, signal.SIGKILL)
    driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode != 0
    assert kept + 2 <= len(games_of(path))

    content = json.loads(run("tournament", "--out", path, "--workers", "2", "--json"))
    assert games_of(path) == games_of(whole)
    undisturbed = json.loads((whole / "tournament.json").read_text())
    assert content["payoffs"] == undisturbed["payoffs"]


def test_training_outlives_the_head_of_its_cluster(cluster, tmp_path):
    """What was learned on Ray and then by two processes is what one process learns."""
    steps, whole, path = 40, tmp_path / "whole", tmp_path / "lost"
    run("train", *ppo_run(steps), "--out", whole, "--workers", "1")
    driver = start("train", *ppo_run(steps), "--out", path, "--ray", cluster.address)
    wait_for_step(driver, path, 4)
    # Or the run might be over before the driver gives the head up.
    stopped = actors()
    for actor in stopped:
        os.kill(actor, signal.SIGSTOP)
    for process in (p for own in cluster.head_node.all_processes.values() for p in own):
        os.kill(process.process.pid, signal.SIGKILL)
    driver.communicate(timeout=PATIENCE_S)
    for actor in stopped:
        with contextlib.suppress(ProcessLookupError):  # its node may have been first
            os.kill(actor, signal.SIGKILL)
    assert stopped and driver.returncode != 0
    assert 2 <= len((path / "metrics.jsonl").read_text().splitlines()) < steps / 2
    run("resume", path, "--workers", "2", "--quiet")
    assert arrays_of(path) == arrays_of(whole)


def test_a_study_on_nodes_is_the_study_of_one_process(cluster, tmp_path):
    arguments = (
        *("train", "--game", "kuhn_poker", "--quiet", "--json", "--seeds", "3"),
        *("--set", "population.size=3", "--set", "training.steps=40"),
        *("--set", "training.evaluate_every=20", "--set", "training.max_steps_per_row=20"),
    )
    here = json.loads(run(*arguments, "--out", tmp_path / "here"))
    there = json.loads(run(*arguments, "--out", tmp_path / "there", "--ray", cluster.address))
    assert there["failed"] == 0
    for one, other in zip(here["variants"], there["variants"], strict=True):
        assert one["statistics"] == other["statistics"]
        assert [r["value"] for r in one["runs"]] == [r["value"] for r in other["runs"]]
