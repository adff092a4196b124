"""A training run whose actors are killed again and again.

A population of Kuhn poker that grows to 32 strategies learns by PPO from episodes that two actors
play. The run is spread over the time: between its steps everybody waits. Every so many seconds,
give or take a half, one of the actors is killed with SIGKILL while it plays. At the end everything
that the run carries, parameters, optimiser, rows, payoffs, estimates, must be what an undisturbed
run of one process comes to, bit for bit, and so its NashConv; the resident memory of the learner is
compared with that after a fifth of the time.
"""

import dataclasses
import os
import random
import resource
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench_report

from games.registry import load_tree
from neupl.actors import with_actors
from neupl.config import Config
from neupl.config_io import load_config
from neupl.population_trainer import PopulationTrainer
from neupl.problem import make_problem
from neupl.stored_population import load_population
from neupl.training import initial_state, train
from neupl.training_state import to_arrays
from neupl.verification import verify_population
from neupl.workers import Workers

SECONDS, KILL_EVERY_S, STEPS = 3600.0, 90.0, 600
QUICK_SECONDS, QUICK_KILL_EVERY_S, QUICK_STEPS = 20.0, 5.0, 40
SETTINGS = (
    "game=kuhn_poker", "graph.temperature=0.002", "population.size=32", "learner.kind=ppo",
    "learner.episodes=1024", "learner.minibatch=512", "learner.blocks=4",
    "evaluation.episodes=1024", "evaluation.final_episodes=100000",
)  # fmt: skip
# Resident memory may grow by so much after a fifth of the time.
MOST_GROWTH = 0.05


class Disturbed:
    """Collects as a learner with actors does, at a given pace, and kills one of them now and then
    at a random moment of the collection.
    """

    def __init__(
        self, collect: Callable[..., Any], *, steps: int, seconds: float, every_s: float, seed: int
    ) -> None:
        self.kills = 0
        self.warm_bytes = 0
        self._collect, self._steps, self._seconds = collect, steps, seconds
        self._every_s, self._random = every_s, random.Random(seed)
        self._start = time.monotonic()
        self._due = self._next_due()
        self._step, self._took = 0, [1.0]

    def __call__(self, params: Any, objective: Any, key: Any) -> Any:
        """See `Learner.collect`."""
        begin = self._start + self._seconds * self._step / self._steps
        time.sleep(max(begin - time.monotonic(), 0.0))
        self._step += 1
        if self._step == self._steps // 5:
            self.warm_bytes = resident_bytes(os.getpid())
        killer = None
        if time.monotonic() > self._due:
            self._due = self._next_due()
            moment = self._random.uniform(0.0, statistics.median(self._took[-9:]))
            killer = threading.Timer(moment, self._kill)
            killer.start()
        start = time.monotonic()
        found = self._collect(params, objective, key)
        if killer is None:
            self._took.append(time.monotonic() - start)
        else:
            killer.join()
        return found

    def _next_due(self) -> float:
        return time.monotonic() + self._every_s * self._random.uniform(0.5, 1.5)

    def _kill(self) -> None:
        if actors := actors_below(os.getpid()):
            os.kill(self._random.choice(actors), signal.SIGKILL)
            self.kills += 1


def actors_below(pid: int) -> list[int]:
    """Processes that do items, of this process or of the cluster that it started."""
    parents, actors = {}, []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line = (path / "cmdline").read_bytes()
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if b"spawn_main" in line or line.startswith(b"ray::_Actor"):
            actors.append(int(path.name))

    def is_below(process: int) -> bool:
        while process in parents:
            process = parents[process]
            if process == pid:
                return True
        return False

    return sorted(filter(is_below, actors))


def resident_bytes(pid: int) -> int:
    """Of a process, now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def soak(name: str, workers: Workers, *, quick: bool, seed: int = 0) -> dict[str, Any]:
    """One line of the report.

    Raises:
      SystemExit: the run came to something else than an undisturbed one.
    """
    seconds = QUICK_SECONDS if quick else SECONDS
    every_s = QUICK_KILL_EVERY_S if quick else KILL_EVERY_S
    steps = QUICK_STEPS if quick else STEPS
    config = load_config(Config, None, (*SETTINGS, f"training.steps={steps}", f"seed={seed}"))
    problem, _ = make_problem(config)
    start = initial_state(problem)
    undisturbed = train(problem, start, on_evaluation=lambda *_: None)
    sizes = []
    with with_actors(problem, workers) as shared:
        disturbed = Disturbed(
            shared.learner.collect, steps=steps, seconds=seconds, every_s=every_s, seed=seed
        )
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        found = train(
            dataclasses.replace(shared, learner=shared.learner._replace(collect=disturbed)),
            start,
            on_evaluation=lambda state, *_: sizes.append(int(state.num_admitted)),
        )
        used, elapsed_s = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began
        actors_bytes = [resident_bytes(pid) for pid in actors_below(os.getpid())]
    end_bytes = resident_bytes(os.getpid())
    expected, arrays = to_arrays(undisturbed), to_arrays(found)
    other = [key for key in expected if expected[key].tobytes() != arrays[key].tobytes()]
    if other:
        raise SystemExit(f"{name}: the run came to another {other[0]} than an undisturbed one")
    growth = end_bytes / disturbed.warm_bytes - 1
    incidents = workers.incidents
    return bench_report.row(
        name,
        nash_conv(config, found),
        nash_conv(config, undisturbed),
        peer_name="undisturbed",
        unit="NashConv",
        seconds=elapsed_s,
        steps=steps,
        strategies_from=sizes[0],
        strategies_to=sizes[-1],
        kills=disturbed.kills,
        workers_lost=incidents.lost,
        blocks_begun_again=incidents.repeated,
        arrays_equal=len(expected),
        learner_cpu_s=used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
        learner_mb=end_bytes / 1e6,
        learner_growth_percent=100 * growth,
        growth_allowed_percent=100 * MOST_GROWTH,
        largest_actor_mb=max(actors_bytes, default=0) / 1e6,
    )


def nash_conv(config: Config, state: Any) -> float:
    """Of what a run kept, by the exact solvers."""
    with tempfile.TemporaryDirectory() as folder:
        PopulationTrainer(config).export(Path(folder) / "population", state)
        population = load_population(Path(folder) / "population")
        tree = load_tree(config.game, max_nodes=config.max_nodes)
        return verify_population(population, tree, name="soak").certificate.value
