"""The soccer policies that are shipped do what their pages say."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from neupl.stored_population import load_population
from soccer.residual import plain

pytest.importorskip("mujoco", reason="MuJoCo is not installed: the extra [soccer]")

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "results" / "soccer"
# Other episodes than those of the pages, which count from 0.
SEEDS = np.arange(1000, 1016, dtype=np.uint64)
# Of an interval of 95 % on either side.
STANDARD_ERRORS = 1.96


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", sorted(path.parent.name for path in SHIPPED.glob("*/measure_soccer_policy.json"))
)
def test_a_shipped_policy_does_what_its_page_says(name, monkeypatch):
    """Each figure within three standard errors of both measurements: 1 in 370 alarms is false, of
    figures that do not vary at all within 1 %.
    """
    monkeypatch.syspath_prepend(ROOT / "scripts")
    measure = importlib.import_module("measure_soccer_policy")
    population = load_population(SHIPPED / name)
    page = json.loads((SHIPPED / name / "measure_soccer_policy.json").read_text())
    game, policy = plain(population.game, population.policy(0, seat=0, likeliest=True))
    told = {row["name"]: row for row in page["rows"]}
    for row in measure.measure(game, policy, SEEDS):
        there = told[row["name"]]
        error = np.hypot(*((r["high"] - r["low"]) / 2 / STANDARD_ERRORS for r in (row, there)))
        assert abs(row["ours"] - there["ours"]) <= 3 * error + 0.01 * there["ours"], row["name"]
