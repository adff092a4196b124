"""`neupl train --smoke`: the population must have learned to earn more, not only to end."""

import json
from pathlib import Path

import numpy as np
import pytest

from games.normal_form import NormalForm
from games.payoff_files import write_payoffs
from neupl.cli.train import _smoke_form
from neupl.config import Config
from neupl.config_io import load_config

SHORT = (
    "--set=training.steps=40",
    "--set=training.evaluate_every=20",
    "--set=population.size=3",
    "--set=network.hidden_sizes=[8]",
    "--set=network.embedding_size=4",
    "--set=network.critic_hidden_size=4",
    "--set=learner.learning_rate=2e-2",
)
# Against half and half the first action earns 1/2 more than the second; against itself, nothing.
DOMINATED = np.array([[0.0, 1.0], [-1.0, 0.0]])
# Half and half is the equilibrium: nothing can be gained against it.
PENNIES = np.array([[1.0, -1.0], [-1.0, 1.0]])


def smoke(tiny, folder, payoffs, *more):
    write_payoffs(NormalForm(np.stack([payoffs, -payoffs], axis=-1), name="g"), folder / "g.nfg")
    return tiny.forked(
        "train", "--game", folder / "g.nfg", "--smoke", "--out", folder / "run", "--json",
        "--quiet", *SHORT, *more,
    )  # fmt: skip


def test_a_rising_payoff_is_shown(tiny, tmp_path):
    done = smoke(tiny, tmp_path, DOMINATED)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "run" / "metrics.jsonl").read_text()
    # Strategy 0 earns nothing against itself; the best that a seat can do is 1/2 more.
    rises = [json.loads(line)["eval/payoff_over_first"] for line in text.splitlines()]
    assert len(rises) == 2 and 0.1 < rises[-1] <= 0.5 + 1e-9


def test_mixtures_are_chosen_in_one_short_round():
    """Of the preset that has fifteen; others are not asked for any."""
    presets = Path(__file__).resolve().parents[2] / "configs"
    _, changes = _smoke_form(presets / "leduc_poker_ppo_64.yaml", [])
    found = load_config(Config, presets / "leduc_poker_ppo_64.yaml", changes)
    assert (found.evaluation.responses, found.evaluation.response_batches) == (1, 2)
    _, changes = _smoke_form(presets / "leduc_poker.yaml", [])
    assert not any("responses" in change for change in changes)


def test_a_payoff_that_does_not_rise_fails_the_check(tiny, tmp_path):
    done = smoke(tiny, tmp_path, PENNIES)
    assert done.returncode == 1
    assert "points per seat more than strategy 0 itself, expected more than 0.02" in done.stderr
    # What was trained is there, and was reported.
    assert json.loads(done.stdout)["certificate"]["value"] == pytest.approx(0, abs=0.5)
    assert (tmp_path / "run" / "certificate.json").is_file()


@pytest.mark.slow
def test_without_a_first_strategy_nothing_is_compared(tiny, tmp_path):
    alone = ("--set=population.sink=none", "--set=graph.kind=self_play", "--set=population.size=1")
    done = smoke(tiny, tmp_path, PENNIES, *alone)
    assert done.returncode == 0, done.stderr
