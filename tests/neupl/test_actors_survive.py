"""One training run whose episodes are played by processes, and by a Ray cluster of three nodes on
this machine, with accidents: what is learned is what one undisturbed process learns, bit for bit.
"""

import dataclasses
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from neupl.actors import with_actors
from neupl.config import Config
from neupl.config_io import load_config
from neupl.problem import make_problem
from neupl.training import initial_state, train
from neupl.training_run import make_trainer
from neupl.training_state import to_arrays
from neupl.workers import Workers
from tests.ray_cluster import actors, add_node, start_cluster

pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets and files to the collector.
    pytest.mark.filterwarnings("ignore"),
]

SETTINGS = (
    "game=kuhn_poker", "learner.kind=ppo", "learner.episodes=256", "learner.minibatch=512",
    "learner.blocks=4", "evaluation.episodes=128", "evaluation.blocks=3",
    "evaluation.final_episodes=2000",
    "population.size=3", "network.hidden_sizes=[8]", "network.embedding_size=4",
    "network.critic_hidden_size=4", "training.steps=12", "training.evaluate_every=2",
    "training.max_steps_per_row=2",
)  # fmt: skip
# The step before whose episodes the accident happens.
ACCIDENT_STEP = 5
PATIENCE_S = 300


@pytest.fixture(scope="module")
def problem() -> Any:
    return make_problem(load_config(Config, None, SETTINGS))[0]


@pytest.fixture(scope="module")
def expected(problem) -> dict[str, np.ndarray]:
    """What one process comes to."""
    return to_arrays(train(problem, initial_state(problem), on_evaluation=lambda *_: None))


@pytest.fixture(scope="module")
def cluster():
    """A head without cores and two nodes with one each."""
    ray = pytest.importorskip("ray", reason="the extra [ray] is not installed")
    cluster = start_cluster(2)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def trained(
    problem: Any, workers: Workers, accident: Callable[[], None] = lambda: None
) -> dict[str, np.ndarray]:
    """What a run with actors comes to; its accident happens once they have played."""
    steps = iter(range(problem.config.training.steps))
    with with_actors(problem, workers) as shared:

        def collect(params: Any, objective: Any, key: Any) -> Any:
            if next(steps) == ACCIDENT_STEP:
                accident()
            return shared.learner.collect(params, objective, key)

        learner = shared.learner._replace(collect=collect)
        disturbed = dataclasses.replace(shared, learner=learner)
        return to_arrays(train(disturbed, initial_state(problem), on_evaluation=lambda *_: None))


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def stop_one() -> int:
    """From now on one of the actors takes items and does none."""
    pid = actors()[0]
    os.kill(pid, signal.SIGSTOP)
    return pid


def kill_one_with_a_block_in_hand() -> None:
    pid = stop_one()
    threading.Timer(2.0, os.kill, (pid, signal.SIGKILL)).start()


def test_any_number_of_processes_learns_the_same(problem, expected):
    for number in (1, 2, 3):
        assert_same(trained(problem, Workers(number=number)), expected)


@pytest.mark.parametrize(
    "settings",
    [
        ("learner.kind=mpo",),
        (
            "graph.kind=jpsro", "evaluation.payoffs=sampled", "evaluation.blocks=1",
            "game=kuhn_poker(players=3)",
        ),
    ],
    ids=["mpo", "joint"],
)  # fmt: skip
def test_other_runs_learn_the_same_by_processes(settings):
    config = load_config(Config, None, (*SETTINGS, *settings))
    found = []
    for workers in (Workers(), Workers(number=2)):
        trainer = make_trainer(config, workers=workers)
        state = trainer.train(trainer.initial_state(), on_evaluation=lambda *_: None)
        found.append(to_arrays(state))
    assert_same(*found)


def test_a_killed_and_a_hanging_process_cost_nothing(problem, expected):
    workers = Workers(number=2)
    assert_same(trained(problem, workers, kill_one_with_a_block_in_hand), expected)
    assert workers.incidents.lost == 1 and workers.incidents.repeated == 1
    workers = Workers(number=2, item_limit_s=60)
    assert_same(trained(problem, workers, stop_one), expected)
    assert workers.incidents.over_limit == 1 and workers.incidents.lost == 0


def test_a_killed_actor_on_ray_costs_nothing(problem, expected, cluster):
    workers = Workers(ray=cluster.address)
    assert_same(trained(problem, workers, kill_one_with_a_block_in_hand), expected)
    assert workers.incidents.lost == 1 and workers.incidents.repeated == 1


def test_a_hanging_actor_on_ray_costs_nothing(problem, expected, cluster):
    workers = Workers(ray=cluster.address, item_limit_s=60)
    assert_same(trained(problem, workers, stop_one), expected)
    assert workers.incidents.over_limit == 1


def test_a_full_object_store_costs_nothing(problem, expected, cluster):
    """Somebody else holds on to more than all nodes have memory for."""
    import ray

    held = []

    def fill() -> None:
        held.extend(ray.put(np.full(5_000_000, number, np.float32)) for number in range(12))

    assert_same(trained(problem, Workers(ray=cluster.address), fill), expected)
    assert len(held) == 12


def test_a_lost_node_costs_nothing(problem, expected, cluster):
    import psutil

    def lose_node() -> None:
        ancestors = {process.pid for process in psutil.Process(stop_one()).parents()}
        for node in cluster.nodes_with_cores:
            raylet = node.all_processes["raylet"][0].process
            if raylet.pid in ancestors:
                os.kill(raylet.pid, signal.SIGKILL)
                return
        raise AssertionError("no node has this actor")

    workers = Workers(ray=cluster.address, item_limit_s=PATIENCE_S)
    assert_same(trained(problem, workers, lose_node), expected)
    assert workers.incidents.lost >= 1 and workers.incidents.over_limit == 0
    add_node(cluster, 1)


def test_parameters_that_are_no_numbers_end_the_run_before_anything_is_learned(problem):
    """What actors play with them is not episodes."""
    broken = problem.learner.init(jax.random.key(0))
    broken = broken._replace(params=jax.tree.map(lambda leaf: leaf * np.nan, broken.params))
    state = initial_state(problem)._replace(learner=broken)
    with (
        with_actors(problem, Workers(number=2)) as shared,
        pytest.raises(Exception, match=r"NaN|not finite|illegal"),
    ):
        train(shared, state, on_evaluation=lambda *_: None)


def test_actors_beside_the_learner_reach_the_same_certificate(tmp_path):
    """Of the preset of Kuhn poker, whose payoffs range over 4 points; alone its worst seed comes to
    0.011, and with staleness 0.032 was seen.
    """
    from games.registry import load_tree
    from neupl.population_trainer import PopulationTrainer
    from neupl.stored_population import load_population
    from neupl.verification import verify_population

    values, ages = [], []
    for staleness in (0, 2):
        config = load_config(
            Config,
            Path(__file__).parents[2] / "configs" / "kuhn_poker_ppo.yaml",
            ("learner.blocks=4", f"training.staleness={staleness}"),
        )
        trainer = PopulationTrainer(config, workers=Workers(number=2))
        state = trainer.train(
            trainer.initial_state(),
            on_evaluation=lambda _, line: ages.append(line.get("actors/staleness_max")),
        )
        folder = tmp_path / str(staleness)
        trainer.export(folder, state)
        tree = load_tree("kuhn_poker")
        found = verify_population(load_population(folder), tree, name="kuhn")
        values.append(found.certificate.value)
    known = [age for age in ages if age is not None]
    assert 1 <= max(known) <= 2 and np.mean(known) > 0.5
    assert values[0] < 0.03 and values[1] < 0.05
