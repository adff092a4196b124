"""Encoder and memory of a population, handed on to fresh learners: learning curves against fixed
mixtures of its strategies, beside learners that start from scratch.

The opponent draws one of the first strategies of the population, all with the same probability, and
plays it for an episode; it never moves. The learner is the preset's, with heads of its own, and
does not say whom it meets. Both learners train all their parameters.
"""

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from games.registry import load_simulator
from neupl.config import Config, PopulationConfig, TrainingConfig
from neupl.durable_files import write_durably
from neupl.frozen_mixture import frozen_mixture
from neupl.learners import make_ppo_learner
from neupl.learners.inherited_parameters import with_inherited_parameters
from neupl.networks import make_network
from neupl.population import Population
from neupl.population_actor import Playing, PopulationActor
from neupl.rollout import make_actor_play
from neupl.stored_population import load_population
from neupl.types import Objective, Rows

# How many of the first strategies are mixed; batches after which a learner is measured.
SIZES = (2, 4, 7)
BATCHES = (0, 20, 50, 100)
QUICK_SIZES, QUICK_BATCHES = (2,), (0, 2)
STARTS = {"population": "encoder and memory of the population", "scratch": "from scratch"}
# Streams of a learner's key: first parameters, batches, measurements.
INIT_STREAM, TRAINING_STREAM, MEASUREMENT_STREAM = range(3)


def transfer_curves(
    folder: Path, preset: Config, *, kept: Path, episodes: int, seed: int, quick: bool
) -> list[dict[str, Any]]:
    """Learning curves of both starts against every mixture.

    Args:
      folder: of the population.
      preset: with the learner's settings.
      kept: folder for the curves, which are not learned again where they are there.
      episodes: of each measurement.
      seed: of learners and episodes.
      quick: whether it only shows that it works.
    """
    sizes, batches = (QUICK_SIZES, QUICK_BATCHES) if quick else (SIZES, BATCHES)
    found = []
    for size in sizes:
        for start in STARTS:
            path = kept / f"{size}-{start}-{seed}.json"
            if not path.exists():
                curve = learning_curve(
                    folder, preset, size=size, start=start, batches=batches,
                    episodes=episodes, seed=seed,
                )  # fmt: skip
                write_durably(path, json.dumps(curve).encode())
                print(f"{path.stem}: {curve['returns']}", file=sys.stderr)
            found.append(json.loads(path.read_text()))
    return found


def learning_curve(
    folder: Path,
    preset: Config,
    *,
    size: int,
    start: str,
    batches: tuple[int, ...],
    episodes: int,
    seed: int,
) -> dict[str, Any]:
    """What one learner earns from the uniform mixture of the first `size` strategies of a
    population, before and after so many batches.
    """
    began = time.process_time()
    population = load_population(folder)
    config = _config(population, preset, batches[-1])
    game, info = load_simulator(config.game), load_simulator(config.game).info
    actor = PopulationActor(
        info,
        make_network(config.network, population.num_actions),
        num_tables=1,
        sink=frozen_mixture(_mixed(population, size)),
    )
    learner = make_ppo_learner(game, actor, config)
    if start == "population":
        learner = with_inherited_parameters(learner, str(folder), parts="memory")
    play = make_actor_play(game, actor)
    # Strategy 1 of both seats responds to strategy 0, the mixture.
    rows = Rows(
        np.tile(np.array([[0, 0], [1, 0]], np.float32), (2, 1, 1)),
        np.tile(np.arange(2, dtype=np.int32), (2, 1)),
    )
    responds = np.tile(np.array([0, 1], np.float32), (2, 1))
    temperature = responds * np.float32(preset.temperature.floor * info.payoff_range)
    key = jax.random.key(seed)
    training_key = jax.random.fold_in(key, TRAINING_STREAM)
    state = learner.init(jax.random.fold_in(key, INIT_STREAM))
    seat = np.arange(episodes) % 2
    profile = np.eye(2, dtype=np.int32)[seat]
    returns = []
    for batch in range(batches[-1] + 1):
        if batch in batches:
            own_key = jax.random.fold_in(jax.random.fold_in(key, MEASUREMENT_STREAM), batch)
            played = play(episodes, own_key, Playing(state.params, rows, profile))
            own = np.asarray(played.returns, np.float64)[np.arange(episodes), seat]
            error = own.std(ddof=1) / np.sqrt(episodes)
            returns.append([batch, float(own.mean()), float(error)])
        if batch < batches[-1]:
            objective = Objective(
                rows, temperature, responds, np.zeros_like(responds), state.params
            )
            keys = jax.random.split(jax.random.fold_in(training_key, batch))
            experience = learner.collect(state.params, objective, keys[0])
            state, _ = learner.update(state, experience, keys[1])
    return {
        "strategies": size, "start": start, "returns": returns, "episodes": episodes,
        "cpu_seconds": time.process_time() - began,
    }  # fmt: skip


def _config(population: Population, preset: Config, steps: int) -> Config:
    """The preset's learner with the network of the population, for one response."""
    rate = preset.learner.learning_rate
    return Config(
        game=population.game,
        population=PopulationConfig(size=2, symmetric=True),
        network=dataclasses.replace(population.network, readout_sizes=()),
        learner=dataclasses.replace(preset.learner, final_learning_rate=rate),
        training=TrainingConfig(steps=steps),
    )


def _mixed(population: Population, size: int) -> Population:
    """The population, whose meta-strategy is uniform over its first strategies."""
    mixture = np.zeros_like(np.asarray(population.meta_strategy, np.float64))
    mixture[:, :size] = 1 / size
    return dataclasses.replace(population, meta_strategy=mixture)
