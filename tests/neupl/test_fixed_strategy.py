"""Strategy 0 as a function: it is played in training, and comes back with the population."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neupl.config import Config
from neupl.config_io import load_config
from neupl.errors import UserError
from neupl.population_trainer import PopulationTrainer
from neupl.stored_population import load_population

SETTINGS = (
    "learner.kind=ppo",
    "game='running_with_scissors(step_limit=20)'",
    "population.size=2",
    "population.symmetric=true",
    "learner.episodes=8",
    "evaluation.episodes=32",
)
ROCKS = "games.running_with_scissors.bots:collect_rocks"


def trainer(*settings):
    return PopulationTrainer(load_config(Config, None, (*SETTINGS, *settings)))


@pytest.mark.slow
def test_a_population_plays_the_function_as_strategy_0(tmp_path):
    from games.running_with_scissors.bots import collect_rocks

    rocks = trainer(f"population.sink={ROCKS}")
    rocks.export(tmp_path, rocks.initial_state())
    population = load_population(tmp_path)
    assert population.sink == ROCKS
    seen = jax.random.bernoulli(jax.random.key(0), 0.1, (5, 87)).astype(jnp.float32)
    mask = jnp.ones((5, 11), bool)
    policy = population.policy(0, seat=1)
    _, probabilities, _ = policy.act(policy.initial_memory(5), seen, mask, jax.random.key(1))
    np.testing.assert_allclose(probabilities, jax.vmap(collect_rocks)(seen, mask), atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["population.sink=nowhere:to_be_found"], "there is no such function: No module named"),
        (["population.sink=numpy:to_be_found"], "there is no such function: .*to_be_found"),
        (["population.sink=jax.numpy:outer"], "probabilities of the 11 actions"),
        (["population.sink=nobody"], "knows no information states"),
        (
            [f"population.sink={ROCKS}", "game=kuhn_poker", "evaluation.payoffs=exact"],
            "need a table",
        ),
    ],
)
def test_what_is_no_strategy_is_one_clear_error(settings, message):
    with pytest.raises(UserError, match=message):
        trainer(*settings)
