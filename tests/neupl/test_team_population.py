"""A population of teams: what it learns in a game whose solution is known, and its certificate."""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from neupl.played_payoffs import played_payoffs
from neupl.population_trainer import PopulationTrainer
from neupl.response_budget import Budget
from neupl.stored_population import load_population
from neupl.trained_response import train_responses

# Twice some ten seconds of compilation.
pytestmark = pytest.mark.slow

_spec = importlib.util.spec_from_file_location(
    "role_game", Path(__file__).with_name("role_game.py")
)
role_game = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(role_game)


@pytest.fixture(scope="module")
def population(small_config, tmp_path_factory):
    """Strategy 0 plays evenly, strategy 1 responds to it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "role_game", role_game)
        config = small_config(
            "role_game:RoleGame",
            population={"size": 2, "symmetric": True},
            temperature={"scale": 1e-4, "floor": 0.0},
            learner={"kind": "ppo", "episodes": 128, "minibatch": 256, "learning_rate": 1e-2},
            evaluation={"episodes": 64, "final_episodes": 2000},
        )
        settings = {"steps": 30, "evaluate_every": 10, "max_steps_per_row": 30, "readmit": False}
        training = dataclasses.replace(config.training, **settings)
        trainer = PopulationTrainer(dataclasses.replace(config, training=training))
        state = trainer.train(trainer.initial_state(), on_evaluation=lambda *_: None)
        folder = tmp_path_factory.mktemp("teams") / "population"
        trainer.export(folder, state)
        yield load_population(folder)


def test_both_seats_of_a_team_learn_their_parts(population):
    """All right against half right: half a point a round, two rounds."""
    for second in (0, 1):
        for turn in (0, 1):
            seen = np.array([[second, turn, 0.5]], np.float32)
            every = population.policy(1, seat=0).every(seen, np.ones((1, 2), bool))
            assert np.asarray(every)[1, 0, second] > 0.9
    assert population.payoffs.shape == (2, 2, 2)
    assert 0.85 < population.payoffs[1, 0, 0] < 1.1
    np.testing.assert_array_equal(population.payoffs[..., 1], -population.payoffs[..., 0])
    np.testing.assert_array_equal(population.payoffs[..., 0], -population.payoffs[..., 0].T)
    np.testing.assert_allclose(population.meta_strategy, [[0, 1], [0, 1]], atol=1e-6)
    found = played_payoffs(population, 2, episodes=400, seed=0)
    assert abs(found.payoffs[1, 0] - population.payoffs[1, 0, 0]) < 0.2


def test_a_trained_response_finds_what_a_team_could_gain(population):
    """Against the dominant strategy nothing is left, against even play up to 1 for each team."""
    found = train_responses(population, name="teams", budget=Budget(batches=8))
    assert found.certificate.interval[1] < 0.3
    even = dataclasses.replace(population, meta_strategy=np.array([[1.0, 0.0], [1.0, 0.0]]))
    found = train_responses(even, name="even", budget=Budget(batches=8))
    assert all(0.6 < gain < 1.1 for gain in found.certificate.per_player)
