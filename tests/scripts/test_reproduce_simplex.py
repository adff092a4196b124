"""`scripts/reproduce_simplex.py`: its claims and its report."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from games.registry import load_tree

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch):
    """The module; scripts are no package, but import each other."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("reproduce_simplex")


def reproduce(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(SCRIPTS.parent), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, SCRIPTS / "reproduce_simplex.py", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_fractions_are_of_mean_gaps(script):
    """Two mixtures: informed answers fall short by 1 and 0 points, Nash mixtures by 6 and 4, so
    that a tenth of the way is left.
    """
    found = script._means(np.array([[1.0, 0.4, 3.0, 6.0, 2.0], [0.0, 0.1, 2.0, 4.0, 2.0]]))
    assert found["informed_fraction"] == pytest.approx(0.9)
    assert found["likeliest_fraction"] == pytest.approx(0.95)
    assert found["uninformed_fraction"] == pytest.approx(0.5)
    assert found["best_member_fraction"] == pytest.approx(0.6)


def test_entropy_is_a_share_of_the_greatest(script):
    assert script.entropy_share(np.array([0.5, 0.5, 0.0]), 2) == pytest.approx(1.0)
    assert script.entropy_share(np.array([0.5, 0.5, 0.0, 0.0]), 4) == pytest.approx(0.5)
    assert script.entropy_share(np.array([1.0, 0.0]), 2) == 0.0


def test_claims_are_of_the_median_population(script):
    def population(method, fraction):
        bins = [{"informed_fraction": fraction, "uninformed_fraction": 0.6}]
        return {
            "method": method, "informed_fraction": fraction,
            "likeliest_fraction": fraction + 0.03, "bins": bins, "nash": 1.2,
            "payoff_range": 4.0, "effective_size": 8,
            "read_out_variation": 0.01, "prior_variation": 0.2,
        }  # fmt: skip

    populations = [population("simplex", f) for f in (0.5, 0.92, 0.95)]
    populations += [population("rows alone", f) for f in (0.7, 0.8, 0.9)]
    claims = script.claims_of("a game", populations)
    assert [c["value"] for c in claims] == pytest.approx(
        [0.92, 0.95, 0.32, 0.12, 8, 0.3, 0.01, 0.05]
    )
    assert all(c["met"] for c in claims)


def test_relative_performance_of_populations_against_themselves_is_nothing(monkeypatch):
    """And what one wins the other one loses; from three pairs on there is an interval: of values v,
    v and -v about v / 3, with 4.303 standard errors of 2 v / 3 each way.
    """
    monkeypatch.syspath_prepend(SCRIPTS)
    compare = importlib.import_module("simplex_ablation").compare_populations
    tree = load_tree("kuhn_poker")
    drawn = np.random.default_rng(0).random((5, *tree.legal_mask.shape)) * tree.legal_mask
    weak, other = np.split(drawn / drawn.sum(axis=-1, keepdims=True), [2])
    found = compare(tree, [(weak, weak), (weak, other)])
    assert found["each"][0] == pytest.approx(0.0, abs=1e-9) and "low" not in found
    value = found["each"][1]
    assert abs(value) > 1e-4
    found = compare(tree, [(weak, other), (weak, other), (other, weak)])
    assert found["each"] == pytest.approx([value, value, -value], abs=1e-9)
    ends = sorted(value / 3 + sign * 4.30265 * 2 / 3 * value for sign in (-1, 1))
    assert [found["low"], found["high"]] == pytest.approx(ends, rel=1e-4)


def test_bad_options_are_one_clear_error(tmp_path):
    done = reproduce("--seeds", "0", "--out", tmp_path)
    assert done.returncode == 2
    assert "--seeds is 0, expected at least 1" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_quick_run_writes_the_report(tmp_path):
    done = reproduce("--quick", "--out", tmp_path / "report", "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content == json.loads((tmp_path / "report" / "simplex.json").read_text())
    assert content["informed_fraction_of_best_response"] == content["claims"][0]["value"]
    assert str(tmp_path) not in done.stdout, "a report belongs into a repository"
    assert "quick run" in (tmp_path / "report" / "simplex.md").read_text()


def test_variation_and_where_something_is_revealed(monkeypatch):
    """Half the sum of differences; rows of one likelihood, even a small one, tell nothing."""
    monkeypatch.syspath_prepend(SCRIPTS)
    posteriors = importlib.import_module("simplex_posteriors")
    exact = np.array([[1.0, 0.0, 0.0], [0.2, 0.5, 0.3]])
    found = posteriors.variation(np.array([0.2, 0.5, 0.3]), exact)
    np.testing.assert_allclose(found, [0.8, 0.0])
    likelihood = np.array([[1e-9, 1e-9], [1e-9, 2e-9], [0.5, 0.5], [0.0, 0.0], [0.0, 0.1]])
    assert posteriors.told_apart(likelihood).tolist() == [False, True, False, False, True]
