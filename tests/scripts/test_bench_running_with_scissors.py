"""`scripts/bench_running_with_scissors.py`: the loop restarts episodes, the peer may be absent."""

import importlib
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from games.running_with_scissors.game import RunningWithScissors

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def bench(monkeypatch):
    """The module, with few lanes; scripts are no package."""
    monkeypatch.syspath_prepend(SCRIPTS)
    module = importlib.import_module("bench_running_with_scissors")
    monkeypatch.setattr(module, "BATCH", 4)
    return module


def test_episodes_are_restarted_where_they_end(bench):
    """With a limit of three steps the third brings the first state of another episode."""
    start, step = bench.ours(RunningWithScissors(step_limit=3))
    step = jax.jit(step)
    state, steps = start(jax.random.key(0)), []
    for key in jax.random.split(jax.random.key(1), 7):
        state, (seen, rewards) = step(state, key)
        assert seen.shape == (2, 87) and rewards.sum() == 0
        steps.append(int(state.steps))
    assert steps == [1, 2, 0, 1, 2, 0, 1]
    assert np.asarray(state.inventory).sum() <= 8


@pytest.mark.slow
def test_rates_are_measured_without_the_peer(bench, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jaxmarl", None)
    rows = bench.measure(quick=True, seeds=1)
    assert [row["name"] for row in rows] == ["required", "beside_floor"]
    assert all(row["ours"] > 0 and row["ratio"] > 0 for row in rows)
    assert "JaxMARL is not installed" in capsys.readouterr().err


@pytest.mark.slow
def test_learning_is_measured_by_agent_steps(bench, monkeypatch, tmp_path):
    preset = tmp_path / "tiny.yaml"
    preset.write_text(
        bench.PRESET.read_text()
        .replace("game: running_with_scissors", "game: running_with_scissors(step_limit=8)")
        .replace("episodes: 64", "episodes: 4")
        .replace("memory_size: 128", "memory_size: 8")
    )
    monkeypatch.setattr(bench, "PRESET", preset)
    line, shares = bench.measure_learning(batches=2)
    assert line["ours"] > 0 and line["peer"] == 40_000
    assert sum(part["share_of_time"] for part in shares) == pytest.approx(1, abs=0.05)
    # Microseconds of both parts make up those of an agent-step.
    cost = sum(part["microseconds_per_agent_step"] for part in shares)
    assert 1e6 / cost == pytest.approx(line["ours"], rel=0.3)
