"""Measures work that is shared out: by processes of this machine, and by Ray on it; and whether it
outlasts the loss of those who do it.

- `tournament`: games per second of Leduc poker between tree searches, blocks as items, by two
  processes beside one.
- `one_second_items`: items that wait for a second, two at a time, by Ray beside processes; what is
  above the ideal is what handing out and collecting cost. `one_cpu_second_items` compute for a
  second of CPU time; of `stragglers` every eighth waits for three seconds and the others for half a
  one. Ideal is half of the sum. Workers are up before the clock starts, the two take turns, and the
  ratio is the median of those of the turns.
- `item_round_trip`: the same with empty items, in milliseconds an item; `item_in_the_driver`: what
  of it is CPU time of the process that hands out and collects.
- `payoff_tensor`: seconds until 64 networks of Leduc poker have met each other and themselves in 64
  games of either seating, 2,080 items, workers and their loading of the game included.
- `soak_processes`, `soak_ray`: a training run of an hour whose actors are killed again and again,
  beside an undisturbed one (`soak_workers.py`).
- `costs_of_...` and `evaluation_costs_of_...` a preset, `solver_costs`, `cell_costs`: bytes and
  CPU-seconds from which `plan_scale.py` makes its plans (`scale_costs.py`).
- `faults_of_...` a file of tests: what goes wrong and what comes of it, each a test
  (`scale_faults.py`).
- `memory`: megabytes of a training state, parameters, optimiser, rows, payoffs and estimates, and
  the greatest resident memory of a process that trains it for two steps from episodes, by size of
  the population.

Ray is the cluster at `RAY_ADDRESS`, or one that is started on this machine.

Times are wall-clock time, medians of the repetitions, where nothing is said of CPU. Other processes
on the machine slow whatever computes down, on both sides: CPU-seconds stand beside.
"""

import contextlib
import functools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Read when JAX starts, so they come before its import.
os.environ["NPROC"] = "1"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import bench_report
import numpy as np
from scale_costs import (
    EVALUATED,
    PRESETS,
    evaluation_costs,
    solver_costs,
    training_costs,
    wire_bytes,
)
from scale_faults import FILES, faults
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


def cpu_seconds_so_far() -> float:
    """Of this process and of those that it has seen the end of."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(kind)[:2]) for kind in kinds)


def tournament(quick: bool, seeds: int) -> list[dict]:
    """Games per second by one process and by two."""
    batch, num_items = 8, 4 if quick else 24
    names = ("openspiel:mcts(simulations=20)", "openspiel:mcts(simulations=10)")
    setup = Setup(GAME, make_entrants(names, GAME, load_lanes(GAME)), 0, batch, None, 0, 5_000_000)
    items = [Item((0, 1), block) for block in range(num_items)]
    warm = [Item((0, 1), num_items + block) for block in range(2)]
    games = 2 * batch * num_items
    rates, used = [], []
    for who in (PROCESSES, THIS_PROCESS):
        before = cpu_seconds_so_far()
        rates.append(games / timed(who, play_item, setup, items, warm=warm, repeats=seeds))
        used.append(cpu_seconds_so_far() - before)
    return [
        bench_report.row(
            "tournament",
            rates[0],
            rates[1],
            peer_name="one process",
            unit="games per second",
            more_is_better=True,
            ours_cpu_s=used[0],
            peer_cpu_s=used[1],
        )
    ]


def overhead(quick: bool, seeds: int) -> list[dict]:
    """Ray beside processes: both are up, and take turns; processes alone where there is no Ray."""
    try:
        with RAY.map(wait, None) as map_fn:
            list(map_fn([0.0]))
        kinds = (RAY, PROCESSES)
    except UserError as error:
        print(f"without Ray: {error}", file=sys.stderr)
        kinds = (PROCESSES,)
    num_items = 4 if quick else 20
    rows = []
    for name, function, items in (
        ("one_second_items", wait, [1.0] * num_items),
        ("one_cpu_second_items", burn, [1.0] * (num_items // 2)),
        ("stragglers", wait, ([0.5] * 7 + [3.0]) * (num_items // 10 or 1)),
        ("empty_items", wait, [0.0] * 400),
    ):
        wall, driver = in_turns(kinds, function, items, repeats=seeds)
        # Of processes alone there is no peer.
        ours, peer, *_ = (*map(statistics.median, wall), None)
        own, peer_own, *_ = (*map(statistics.median, driver), None)
        peer_name = "processes" if len(kinds) == 2 else None
        if name == "empty_items":
            for label, spent, theirs, unit in (
                ("item_round_trip", ours, peer, "ms per item"),
                ("item_in_the_driver", own, peer_own, "CPU ms per item"),
            ):
                pair = [each and 1e3 * each / len(items) for each in (spent, theirs)]
                rows.append(bench_report.row(label, *pair, peer_name=peer_name, unit=unit))
            continue
        line = bench_report.row(
            name, ours, peer, peer_name=peer_name, unit="s", target=RAY_TARGET,
            ours_driver_cpu_s=own, peer_driver_cpu_s=peer_own, ideal=max(sum(items) / 2, *items),
        )  # fmt: skip
        if len(kinds) == 2:
            line["ratio"] = statistics.median(b / a for a, b in zip(*wall, strict=True))
        rows.append(line)
    return rows


def in_turns(
    kinds: Sequence[Workers], function: Callable[[Any, Any], Any], items: list, *, repeats: int
) -> tuple[list[list[float]], list[list[float]]]:
    """Wall-clock seconds of the items and CPU-seconds of this process, `[kind][repeat]`."""
    wall, driver = [[] for _ in kinds], [[] for _ in kinds]
    with contextlib.ExitStack() as stack:
        maps = [stack.enter_context(who.map(function, None)) for who in kinds]
        for map_fn in maps:
            list(map_fn([0.1] * 4))
        for _ in range(repeats):
            for map_fn, seconds, own_seconds in zip(maps, wall, driver, strict=True):
                start, own = time.perf_counter(), time.process_time()
                done = len(list(map_fn(items)))
                seconds.append(time.perf_counter() - start)
                own_seconds.append(time.process_time() - own)
                if done != len(items):
                    raise SystemExit(f"{done} results of {len(items)} items")
    return wall, driver


def burn(state: None, seconds: float) -> float:
    """An item of so many seconds of CPU time."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    return seconds


def payoff_tensor(quick: bool) -> list[dict]:
    """Seconds for all pairs of drawn networks."""
    size = 8 if quick else 64
    setup = drawn_networks(size)
    items = [Item((i, j), 0) for i in range(size) for j in range(i, size)]
    found = []
    for workers in (PROCESSES, THIS_PROCESS):
        start, before = time.perf_counter(), cpu_seconds_so_far()
        with workers.map(play_item, setup) as map_fn:
            results = {result.item: result.returns for result in map_fn(items)}
        seconds, used = time.perf_counter() - start, cpu_seconds_so_far() - before
        found.append((seconds, [results[item] for item in items], used))
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
            ours_cpu_s=found[0][2],
            peer_cpu_s=found[1][2],
        )
    ]


def cell_costs(seeds: int) -> list[dict]:
    """CPU-seconds and bytes of one pair of 64 drawn networks, 64 games of either seating."""
    setup = drawn_networks(64)
    items = [Item((0, j), 0) for j in range(1, 9)]
    seconds, results = [], []
    for _ in range(seeds + 1):
        start = time.process_time()
        results = [play_item(setup, item) for item in items]
        seconds.append((time.process_time() - start) / len(items))
    return [
        {
            "cell": f"{2 * setup.batch} games of {GAME}",
            "cell_bytes": wire_bytes(results[0]),
            "cell_s": statistics.median(seconds[1:]),
        }
    ]


def drawn_networks(size: int) -> Setup:
    """Strategies of a network that was drawn at random, as tables."""
    import bench_tournament

    bench_tournament.STRATEGIES = size
    tables = bench_tournament.population(0).tabulate()
    entrants = tuple(
        Entrant(f"strategy {k}", functools.partial(table_player, table), table)
        for k, table in enumerate(tables)
    )
    return Setup(GAME, entrants, 0, 64, None, 0, 5_000_000)


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


# Parts of a table, and tables of their own, which `plan_scale.py` reads.
TRAINING_COSTS = {
    f"costs_of_{Path(name).name}": lambda quick, seeds, name=name: (
        [] if quick and name != PRESETS[0] else [training_costs(name, repeats=seeds)]
    )
    for name in PRESETS
}
EVALUATION_COSTS = {
    f"evaluation_costs_of_{name}": lambda quick, seeds, name=name: (
        [] if quick and name != PRESETS[0] else [evaluation_costs(name, repeats=seeds)]
    )
    for name in EVALUATED
}
TABLES = {
    "solver_costs": lambda quick, seeds: solver_costs(quick=quick, repeats=seeds),
    "cell_costs": lambda quick, seeds: cell_costs(seeds),
}
FAULTS_OF = {
    f"faults_of_{Path(file).stem}": lambda quick, seeds, file=file: [] if quick else faults(file)
    for file in FILES
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
    parts = PARTS | TRAINING_COSTS | EVALUATION_COSTS | TABLES | FAULTS_OF
    options = bench_report.parse_options(
        "bench_scale",
        description=__doc__,
        quick="fewer items, fewer strategies",
        seeds="repetitions",
        default_seeds=3,
        parts=tuple(parts),
    )
    quick, seeds = options.quick, options.seeds
    rows, tables = [], {}
    for name in [options.only] if options.only else parts:
        make = functools.partial(parts[name], quick, seeds)
        try:
            found = kept(options.runs, f"{name}_quick" if quick else name, make)
        except UserError as error:
            print(f"without {name}: {error}", file=sys.stderr)
            continue
        if name in PARTS:
            rows += found
            continue
        table = "training_costs" if name in TRAINING_COSTS else name
        table = "evaluation_costs" if name in EVALUATION_COSTS else table
        table = "faults" if name in FAULTS_OF else table
        tables[table] = tables.get(table, []) + found
    bench_report.finish(
        "bench_scale",
        options,
        rows,
        title="Work that is shared out",
        about=__doc__,
        packages=("jax", "numpy", "open_spiel", "ray"),
        page="scale",
        **tables,
    )


if __name__ == "__main__":
    main()
