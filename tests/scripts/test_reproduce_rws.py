"""`scripts/reproduce_rws.py`: its comparison with the published population, and its report."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neupl.config import Config
from neupl.config_io import load_config
from neupl.played_payoffs import PlayedPayoffs

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
PRESET = "configs/running_with_scissors_8.yaml"


@pytest.fixture
def script(monkeypatch):
    """The module; scripts are no package, but import each other."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("reproduce_rws")


def reproduce(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(SCRIPTS.parent), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, SCRIPTS / "reproduce_rws.py", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )


def published(script):
    """The published population as this script would have measured it, errors of a point."""
    payoffs, rows = script.published.payoffs(), script.published.rows()
    errors = 1.0 - np.eye(len(payoffs))
    played = PlayedPayoffs(payoffs, errors, 80 * errors)
    return {
        "payoffs": payoffs.tolist(), "errors": errors.tolist(), "effective_size": 8,
        "against_row": script.against_rows(played, rows),
    }  # fmt: skip


def test_published_population_has_what_is_claimed_of_it(script):
    """The figures that were read off the published matrix by hand."""
    found = published(script)
    values = [row["value"] for row in found["against_row"]]
    np.testing.assert_allclose(values, [28.1, 30, 26, 25.9, 23.2, 13.7, 13.6], atol=0.06)
    assert [row["best"] for row in found["against_row"]] == [1, 2, 3, 4, 5, 6, 7]
    claims = script.claims_of(found)
    assert [c["value"] for c in claims] == pytest.approx([28.1, 80.2 / 3, 7, 8])
    assert [c["error"] for c in claims] == [1.0, pytest.approx(3**-0.5), None, None]
    assert all(claim["met"] for claim in claims)


def test_cycle_must_be_more_than_noise(script):
    """The weakest of the three payoffs is 28.1: standard errors of 15 leave it in doubt."""
    found = published(script)
    found["errors"] = (15.0 * np.array(found["errors"])).tolist()
    assert not script.claims_of(found)[0]["met"]


def test_cpu_seconds_are_those_of_all_sessions(script):
    """Three sessions of 5, 3 and 4 seconds; the first of them wrote two lines."""
    lines = [{"time/cpu_s": seconds} for seconds in (2.0, 5.0, 3.0, 1.0, 4.0)]
    assert script.cpu_seconds(lines) == 12.0


def test_bad_options_are_one_clear_error(tmp_path):
    done = reproduce("--hours", "0", "--out", tmp_path)
    assert done.returncode == 2
    assert "--hours 0 measures a run that is there" in done.stderr
    done = reproduce("--only", "transfer", "--out", tmp_path)
    assert done.returncode == 2
    assert "--only transfer adds to a report: there is none" in done.stderr
    done = reproduce("--only", "arms", "--episodes", "5", "--out", tmp_path)
    assert done.returncode == 2
    assert "--episodes is 5, expected an even number with --only arms" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_interrupted_run_is_measured_and_goes_on(tmp_path):
    options = ("--quick", "--runs", tmp_path / "runs", "--out", tmp_path / "report", "--json")
    done = reproduce(*options)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content == json.loads((tmp_path / "report" / "running_with_scissors.json").read_text())
    assert content["finished"] and content["agent_steps"] == (4 + 1) * 4 * 500
    assert str(tmp_path) not in done.stdout, "a report belongs into a repository"
    page = (tmp_path / "report" / "running_with_scissors.md").read_text()
    assert "quick run" in page and "a lower bound" in page
    curves = content["transfer"]["curves"]
    assert [(curve["strategies"], curve["start"]) for curve in curves] == [
        (2, "population"), (2, "scratch"),
    ]  # fmt: skip
    assert [batch for batch, *_ in curves[0]["returns"]] == [0, 2]
    assert "encoder and memory of the population" in page
    # A part of it alone, beside what is there: learned again, the curves are the same.
    for file in (tmp_path / "runs").glob("transfer-*/*.json"):
        file.unlink()
    again = json.loads(reproduce(*options, "--only", "transfer").stdout)
    assert again["payoffs"] == content["payoffs"]
    for curve, before in zip(again["transfer"]["curves"], curves, strict=True):
        assert curve["returns"] == before["returns"]


def test_arms_differ_in_who_plays_and_in_their_budget_alone(monkeypatch):
    """Four strategies; all batches are those of the responses."""
    monkeypatch.syspath_prepend(SCRIPTS)
    populations = importlib.import_module("rws_populations")
    config = {}
    for name, arm in populations.ARMS.items():
        settings = populations.settings_of(arm, quick=False)
        config[name] = load_config(Config, SCRIPTS.parent / PRESET, settings)
    turns = {name: found.training.steps_of_first_rows for name, found in config.items()}
    assert turns["conditional"] == turns["separate"] == turns["continued"] == (140, 160, 300)
    assert turns["separate_double"] == turns["continued_double"] == (280, 320, 600)
    for name, found in config.items():
        assert found.network.kind == name.removesuffix("_double")
        assert found.training.all_steps == sum(turns[name])
        assert found.population.size == 4 and found.network.memory == "gru"
        assert found.network.readout_sizes == ()


@pytest.mark.slow
def test_other_populations_are_added_to_the_report(tmp_path):
    """A cap of four and two arms of four batches each, beside the report that is committed."""
    known = SCRIPTS.parent / "docs" / "results" / "running_with_scissors.json"
    before = json.loads(known.read_text())
    shutil.copy(known, tmp_path)
    options = ("--quick", "--runs", tmp_path / "runs", "--out", tmp_path, "--json")
    options += ("--episodes", "8")
    for part in (("arms", "--arms", "conditional", "continued"), ("cap",)):
        done = reproduce(*options, "--only", *part)
        assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "running_with_scissors.json").read_text())
    assert content["payoffs"] == before["payoffs"]
    first, other = content["arms"]["arms"]
    assert (first["arm"], other["arm"]) == ("conditional", "continued")
    assert first["batches"] == other["batches"] == 4
    assert "performance" not in first and other["performance_error"] > 0
    assert [size["cap"] for size in content["cap"]["sizes"]] == [2, 4]
    assert len(content["cap"]["against_row"]) == 3
    page = (tmp_path / "running_with_scissors.md").read_text()
    assert "## More strategies" in page and "PSRO, each continued from its predecessor" in page
    assert str(tmp_path) not in page, "a report belongs into a repository"
