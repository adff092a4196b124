"""A robot that sees by a camera, from the preset to a policy: critic and teacher know more."""

from pathlib import Path

import numpy as np
import pytest

from games.registry import load_game
from neupl.cli.train import SMOKE_LONG
from neupl.config import Config
from neupl.config_io import load_config
from neupl.population_trainer import PopulationTrainer
from neupl.stored_population import load_population

pytest.importorskip("mujoco", reason="MuJoCo is not installed: the extra [soccer]")

PRESET = Path(__file__).parents[2] / "configs" / "soccer" / "score_vision.yaml"
SMALL = (
    "network.hidden_sizes=[8]", "network.encoder_sizes=[8]", "network.memory_size=8",
    "network.critic_hidden_size=8", "learner.minibatch=256",
)  # fmt: skip


@pytest.mark.slow
def test_it_is_trained_and_plays_without_what_its_critic_knew(tmp_path):
    trainer = PopulationTrainer(load_config(Config, PRESET, [*SMOKE_LONG, *SMALL]))
    lines = []
    state = trainer.train(
        trainer.initial_state(), on_evaluation=lambda _, metrics: lines.append(metrics)
    )
    assert all(np.isfinite(line["eval/mean_return"]) for line in lines) and len(lines) == 2
    trainer.export(tmp_path / "population", state)
    population = load_population(tmp_path / "population")
    assert population.observation_size == 269
    assert population.params["normalisation"]["mean"].shape == (269,)
    (statistics,) = population.params["privileged_normalisation"].values()
    assert statistics["mean"].shape == (73,)
    # 16 lanes of 32 steps in four batches; of each lane the last one only lends its value.
    assert 0.9 * 4 * 16 * 31 < statistics["count"] <= 4 * 16 * 32
    policy, game = population.policy(0, seat=0, likeliest=True), load_game(population.game)
    states, memory = game.init(np.arange(2, dtype=np.uint64)), policy.initial_memory(2)
    mask = np.ones((2, 20), bool)
    for _ in range(8):
        seen = game.observe(states)[:, 0]
        action, _, memory = policy.act(memory, seen, mask, None)
        states, _ = game.step(states, np.asarray(action)[:, None])
    # It is told what it did last, and remembers: the same sight is answered otherwise at first.
    np.testing.assert_array_equal(memory.recall.action, action)
    first, _, _ = policy.act(policy.initial_memory(2), seen, mask, None)
    assert np.abs(np.asarray(first) - np.asarray(action)).max() > 1e-6
