"""The population of running-with-scissors that ships: reloaded, it plays as its report says."""

import json
from pathlib import Path

import numpy as np
import pytest

from neupl.played_payoffs import played_payoffs
from neupl.population_files import read_files
from neupl.stored_population import load_population

ROOT = Path(__file__).resolve().parents[2]
POPULATION = ROOT / "results" / "running_with_scissors"
EPISODES = 500


@pytest.mark.slow
def test_its_table_is_measured_again():
    """By other episodes, within three standard errors of the two measurements together for nine
    pairs of ten, and within five for all of them.
    """
    report = json.loads((ROOT / "docs" / "results" / "running_with_scissors.json").read_text())
    size = read_files(POPULATION / "population")[0]["num_admitted"]
    assert size == len(report["payoffs"])
    found = played_payoffs(load_population(POPULATION), size, episodes=EPISODES, seed=7)
    above = np.triu_indices(size, 1)
    told, error = (np.array(report[name])[above] for name in ("payoffs", "errors"))
    apart = np.abs(found.payoffs[above] - told) / np.hypot(found.errors[above], error)
    assert np.mean(apart < 3) >= 0.9
    assert apart.max() < 5
