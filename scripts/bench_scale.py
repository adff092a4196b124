"""Measures work that is shared out: by processes of this machine, and by Ray on it; and whether it
outlasts the loss of those who do it.

- `tournament`: games per second of Leduc poker between tree searches, blocks as items, by two
  processes beside one.
- `one_second_items`: items that wait for a second, two at a time, by Ray beside processes; what is
  above the ideal is what handing out and collecting cost. Workers are up before the clock starts.
- `item_round_trip`: the same with empty items, in milliseconds an item.
- `payoff_tensor`: seconds until 64 networks of Leduc poker have met each other and themselves in 64
  games of either seating, 2,080 items, workers and their loading of the game included.
- `memory`: megabytes of a training state, parameters, optimiser, rows, payoffs and estimates, and
  the greatest resident memory of a process that trains it for two steps from episodes, by size of
  the population.

Ray is the cluster at `RAY_ADDRESS`, or one that is started on this machine.

All but the memory are wall-clock time, medians of the repetitions. Other processes on the machine
slow the first and the fourth part down, on both sides.
"""

import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Read when JAX starts, so they come before its import.
os.environ["NPROC"] = "1"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import bench_report
import numpy as np
from soak_workers import soak

from evaluation.players import TablePlayer
from evaluation.tournament.items import Item, Setup, play_item
from evaluation.tournament.types import Entrant
from games.registry import load_lanes
from neupl.entrants import make_entrants
from neupl.errors import UserError
from neupl.workers import THIS_PROCESS, Workers

GAME = "leduc_poker"
PROCESSES = Workers(number=2)
RAY = Workers(number=2, ray=os.environ.get("RAY_ADDRESS", "local"))
# Ray may cost a tenth more than processes for items of a second.
RAY_TARGET = 1 / 1.1
MEMORY = """
import resource, sys
from neupl.config import Config
from neupl.config_io import load_config
from neupl.training_run import make_trainer
from neupl.training_state import to_arrays
config = load_config(Config, None, (
    "game=leduc_poker", "learner.kind=ppo", "training.steps=2", "training.evaluate_every=1",
    f"population.size={sys.argv[1]}", "evaluation.final_episodes=4096"))
trainer = make_trainer(config)
state = trainer.train(trainer.initial_state(), on_evaluation=lambda *_: None)
print(sum(array.nbytes for array in to_arrays(state).values()))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def wait(state: None, seconds: float) -> float:
    """An item that takes its time and nothing else."""
    time.sleep(seconds)
    return seconds


def timed(
    workers: Workers,
    function: Callable[[Any, Any], Any],
    state: Any,
    items: list,
    *,
    warm: list,
    repeats: int,
) -> float:
    """Wall-clock seconds of the items, median, by workers that have done the warm-up."""
    seconds = []
    with workers.map(function, state) as map_fn:
        list(map_fn(warm))
        for _ in range(repeats):
            start = time.perf_counter()
            done = len(list(map_fn(items)))
            seconds.append(time.perf_counter() - start)
            if done != len(items):
                raise SystemExit(f"{done} results of {len(items)} items")
    return statistics.median(seconds)


def tournament(quick: bool, seeds: int) -> list[dict]:
    """Games per second by one process and by two."""
    batch, num_items = 8, 4 if quick else 24
    names = ("openspiel:mcts(simulations=20)", "openspiel:mcts(simulations=10)")
    setup = Setup(GAME, make_entrants(names, GAME, load_lanes(GAME)), 0, batch, None, 0, 5_000_000)
    items = [Item((0, 1), block) for block in range(num_items)]
    warm = [Item((0, 1), num_items + block) for block in range(2)]
    games = 2 * batch * num_items
    rates = [
        games / timed(who, play_item, setup, items, warm=warm, repeats=seeds)
        for who in (PROCESSES, THIS_PROCESS)
    ]
    return [
        bench_report.row(
            "tournament",
            rates[0],
            rates[1],
            peer_name="one process",
            unit="games per second",
            more_is_better=True,
        )
    ]


def overhead(quick: bool, seeds: int) -> list[dict]:
    """Ray beside processes."""
    num_items = 8 if quick else 40
    seconds, trips = [], []
    for who in (RAY, PROCESSES):
        warm = [0.1] * 4
        seconds.append(timed(who, wait, None, [1.0] * num_items, warm=warm, repeats=seeds))
        trips.append(timed(who, wait, None, [0.0] * 400, warm=warm, repeats=seeds) / 0.4)
    ideal = num_items / 2
    above = [100 * (spent - ideal) / ideal for spent in seconds]
    return [
        bench_report.row(
            "one_second_items",
            seconds[0],
            seconds[1],
            peer_name="processes",
            unit="s",
            target=RAY_TARGET,
            ideal=ideal,
            ours_above_ideal_percent=above[0],
            peer_above_ideal_percent=above[1],
        ),
        bench_report.row(
            "item_round_trip", trips[0], trips[1], peer_name="processes", unit="ms per item"
        ),
    ]


def payoff_tensor(quick: bool) -> list[dict]:
    """Seconds for all pairs of drawn networks."""
    import bench_tournament

    size, batch = 8 if quick else 64, 64
    bench_tournament.STRATEGIES = size
    tables = bench_tournament.population(0).tabulate()
    entrants = tuple(
        Entrant(f"strategy {k}", functools.partial(table_player, table), table)
        for k, table in enumerate(tables)
    )
    setup = Setup(GAME, entrants, 0, batch, None, 0, 5_000_000)
    items = [Item((i, j), 0) for i in range(size) for j in range(i, size)]
    found = []
    for workers in (PROCESSES, THIS_PROCESS):
        start = time.perf_counter()
        with workers.map(play_item, setup) as map_fn:
            results = {result.item: result.returns for result in map_fn(items)}
        found.append((time.perf_counter() - start, [results[item] for item in items]))
    if not all(np.array_equal(*pair) for pair in zip(found[0][1], found[1][1], strict=True)):
        raise SystemExit("two processes do not play the games of one")
    return [
        bench_report.row(
            f"payoff_tensor_{size}",
            found[0][0],
            found[1][0],
            peer_name="one process",
            unit="s",
            items=len(items),
        )
    ]


def table_player(table: np.ndarray, seat: int, lanes: object) -> TablePlayer:
    """Plays a table."""
    return TablePlayer(table)


def memory(quick: bool) -> list[dict]:
    """Of training states and of their processes, by size of the population."""
    rows = []
    for size in (4, 16) if quick else (8, 32, 128):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(size)], capture_output=True, text=True, check=True
        )
        state, resident = map(int, done.stdout.split())
        rows.append(
            bench_report.row(
                f"memory_{size}_strategies",
                state / 1e6,
                None,
                peer_name=None,
                unit="MB of state",
                process_mb=resident / 1e6,
            )
        )
    return rows


PARTS = {
    "tournament": tournament,
    "payoff_tensor": lambda quick, seeds: payoff_tensor(quick),
    "memory": lambda quick, seeds: memory(quick),
    "overhead": overhead,
    "soak_processes": lambda quick, seeds: [soak("soak_processes", PROCESSES, quick=quick)],
    "soak_ray": lambda quick, seeds: [soak("soak_ray", RAY, quick=quick)],
}


def kept(runs: Path | None, name: str, make: Callable[[], list[dict]]) -> list[dict]:
    """The rows of a part; those that `runs` has are not measured again."""
    path = None if runs is None else runs / f"bench_scale_{name}.json"
    if path is not None and path.exists():
        return json.loads(path.read_text())
    rows = make()
    if path is not None:
        runs.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows))
    return rows


def main() -> None:
    """Runs the benchmark."""
    options = bench_report.parse_options(
        "bench_scale",
        description=__doc__,
        quick="fewer items, fewer strategies",
        seeds="repetitions",
        default_seeds=3,
        parts=tuple(PARTS),
    )
    quick, seeds = options.quick, options.seeds
    rows = []
    for name in [options.only] if options.only else PARTS:
        make = functools.partial(PARTS[name], quick, seeds)
        try:
            rows += kept(options.runs, f"{name}_quick" if quick else name, make)
        except UserError as error:
            print(f"without {name}: {error}", file=sys.stderr)
    bench_report.finish(
        "bench_scale",
        options,
        rows,
        title="Work that is shared out",
        about=__doc__,
        packages=("jax", "numpy", "open_spiel", "ray"),
    )


if __name__ == "__main__":
    main()
