"""Two players with continuous actions: the population loop, and the response that certifies it."""

import dataclasses
import sys
from types import ModuleType

import jax.numpy as jnp
import numpy as np
import pytest

from games.types import GameInfo, TimeStep
from neupl.population_trainer import PopulationTrainer
from neupl.response_budget import Budget
from neupl.stored_population import load_population
from neupl.trained_response import train_responses

# Twice some ten seconds of compilation.
pytestmark = pytest.mark.slow

# What each player should name.
AIM = 0.3


class AimPair:
    """Each of two players names a number once; the less wrong one earns the difference of the
    squared errors: naming 0.3 is dominant.
    """

    info = GameInfo(
        name="aim_pair:AimPair",
        num_players=2,
        num_actions=(1, 1),
        observation_size=(1, 1),
        utility="zero_sum",
        symmetric=True,
        min_return=-1.69,
        max_return=1.69,
        max_steps=1,
        continuous=True,
    )

    def init(self, key):
        return jnp.zeros((), bool)

    def restart(self, state):
        return self._time_step(state, jnp.zeros(()))

    def step(self, state, actions, key):
        errors = (jnp.clip(actions[:, 0], -1, 1) - AIM) ** 2
        paid = jnp.where(state, 0.0, errors[1] - errors[0])
        return jnp.ones((), bool), self._time_step(jnp.ones((), bool), paid)

    def observe(self, state, player):
        return jnp.ones(1)

    def _time_step(self, over, paid):
        return TimeStep(
            rewards=jnp.stack([paid, -paid]).astype(jnp.float32),
            discount=(~over).astype(jnp.float32),
            to_move=jnp.stack([~over, ~over]),
            legal_mask=jnp.ones((2, 1), bool),
        )


@pytest.fixture(scope="module")
def population(small_config, tmp_path_factory):
    """A strategy that responds to a wide one, as exported and loaded."""
    module = ModuleType("aim_pair")
    module.AimPair = AimPair
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "aim_pair", module)
        config = small_config(
            "aim_pair:AimPair",
            population={"size": 2, "symmetric": True},
            temperature={"scale": 1e-4, "floor": 0.0},
            learner={
                "kind": "ppo", "episodes": 256, "minibatch": 512, "horizon": 4, "discount": 0.9,
                "critic_weight": 1.0,
            },
            evaluation={"episodes": 64, "final_episodes": 4000},
        )  # fmt: skip
        settings = {"steps": 20, "evaluate_every": 10, "max_steps_per_row": 20, "readmit": False}
        training = dataclasses.replace(config.training, **settings)
        trainer = PopulationTrainer(dataclasses.replace(config, training=training))
        state = trainer.train(trainer.initial_state(), on_evaluation=lambda *_: None)
        folder = tmp_path_factory.mktemp("pair") / "population"
        trainer.export(folder, state)
        yield load_population(folder)


def test_the_response_aims_and_wins(population):
    """The sink is normal around 0 with a variance of 1/3, clipped: it is wrong by about
    0.09 + 0.27.
    """
    seen, mask = np.ones((1, 1), np.float32), np.ones((1, 1), bool)
    mean, log_std = np.asarray(population.policy(1, seat=0).every(seen, mask))[1, 0]
    assert abs(mean - AIM) < 0.1 and np.exp(log_std) < 0.3
    np.testing.assert_allclose(population.meta_strategy, [[0, 1], [0, 1]], atol=1e-6)
    assert 0.2 < population.payoffs[1, 0, 0] < 0.4
    assert not population.payoffs.sum(axis=-1).any()


def test_a_trained_response_bounds_what_it_can_lose(population):
    found = train_responses(population, name="pair", budget=Budget(batches=2))
    low, high = found.certificate.interval
    # What it still spreads around its aim is all that a response can save, for each seat.
    assert -0.01 < low <= found.certificate.value <= high < 0.2
