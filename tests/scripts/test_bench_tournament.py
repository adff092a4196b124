"""`scripts/bench_tournament.py`: both sides play the same strategies, and games are counted."""

import importlib
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def bench(monkeypatch):
    """The module, with small blocks; scripts are no package."""
    monkeypatch.syspath_prepend(SCRIPTS)
    module = importlib.import_module("bench_tournament")
    monkeypatch.setattr(module, "BATCH", 512)
    return module


@pytest.mark.slow
def test_both_sides_play_the_same_networks(bench):
    members = [bench.population(seed) for seed in (0, 1)]
    tables = np.stack([member.tabulate()[bench.STRATEGY] for member in members])
    exact = bench.payoffs(members[0].tree(), tables)
    theirs = bench.open_spiel_games(members, 40, seed=1)
    bench.check(theirs, exact[0, 1], "theirs")
    ours = bench.our_games(members, 1, seed=1)
    assert ours.shape == (2, 512, 2)
    bench.check(ours[0], exact[0, 1], "ours")
    bench.check(ours[1], exact[1, 0], "ours, exchanged")
    with pytest.raises(SystemExit, match="mean returns"):
        bench.check(ours[0], exact[0, 1] + 5, "wrong")
