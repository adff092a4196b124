"""Kills workers again and again while they play, and looks whether anything is lost.

Blocks of Kuhn poker between random play and tree search are shared out to two workers, by processes
and by Ray on this machine (the cluster at `RAY_ADDRESS`, or one that is started). Every so many
seconds one of the processes that answered last is killed with SIGKILL. At the end every block must
be there once, a sample of them is played again in this process and must be the same to the bit, and
the resident memory of this process, which holds all results, is compared with that after a fifth of
the time.
"""

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

os.environ["NPROC"] = "1"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import bench_report
import numpy as np

from evaluation.tournament.items import Item, ItemResult, Setup, play_item
from games.registry import load_lanes
from neupl.entrants import make_entrants
from neupl.errors import UserError
from neupl.workers import Workers

GAME, BATCH = "kuhn_poker", 8
ENTRANTS = ("openspiel:random", "openspiel:mcts(simulations=20)")
SECONDS, KILL_EVERY_S = 3600.0, 90.0
QUICK_SECONDS, QUICK_KILL_EVERY_S = 20.0, 5.0
SAMPLE = 50
# Resident memory may grow by so much after a fifth of the time, besides the results themselves.
MOST_GROWTH = 0.05


def play_and_tell(setup: Setup, item: Item) -> tuple[int, ItemResult]:
    """The games, and who played them."""
    return os.getpid(), play_item(setup, item)


class Killer:
    """Kills one of the processes that have answered lately, until it is stopped."""

    def __init__(self, every_s: float, seed: int) -> None:
        self.kills = 0
        self.seen: dict[int, None] = {}
        self._every_s, self._random = every_s, random.Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Killer":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._over.wait(self._every_s):
            if lately := list(self.seen)[-2:]:
                victim = self._random.choice(lately)
                self.seen.pop(victim)
                try:
                    os.kill(victim, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                self.kills += 1

    def saw(self, pid: int) -> None:
        """Notes who answered; the last one comes last."""
        self.seen.pop(pid, None)
        self.seen[pid] = None


def blocks(until: float) -> Iterator[Item]:
    """New blocks until the time is over."""
    number = 0
    while time.monotonic() < until:
        yield Item((0, 1), number)
        number += 1


def soak(name: str, workers: Workers, seconds: float, every_s: float, seed: int) -> dict:
    """One line of the report.

    Raises:
      SystemExit: a block is missing, is there twice, or differs from what this process plays.
    """
    lanes = load_lanes(GAME)
    setup = Setup(GAME, make_entrants(ENTRANTS, GAME, lanes), seed, BATCH, None, 0, 5_000_000)
    start = time.monotonic()
    found: dict[int, np.ndarray] = {}
    warm = None
    with workers.map(play_and_tell, setup) as map_fn, Killer(every_s, seed) as killer:
        for pid, result in map_fn(blocks(start + seconds)):
            if result.item.block in found:
                raise SystemExit(f"{name}: block {result.item.block} came twice")
            found[result.item.block] = result.returns
            killer.saw(pid)
            if warm is None and time.monotonic() > start + seconds / 5:
                warm = resident_bytes() - sum(array.nbytes for array in found.values())
    end = resident_bytes() - sum(array.nbytes for array in found.values())
    if sorted(found) != list(range(len(found))):
        raise SystemExit(f"{name}: blocks are missing")
    for number in random.Random(seed).sample(sorted(found), min(SAMPLE, len(found))):
        if not np.array_equal(play_item(setup, Item((0, 1), number)).returns, found[number]):
            raise SystemExit(f"{name}: block {number} is another one here")
    growth = end / warm - 1 if warm else None
    if growth is None or growth > MOST_GROWTH:
        print(f"{name}: memory grew by {growth}", file=sys.stderr)
    incidents = workers.incidents
    return bench_report.row(
        name,
        float(len(found)),
        None,
        peer_name=None,
        unit="blocks",
        seconds=seconds,
        kills=killer.kills,
        workers_lost=incidents.lost,
        begun_again=incidents.repeated,
        memory_growth_percent=None if growth is None else 100 * growth,
    )


def resident_bytes() -> int:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Runs both."""
    options = bench_report.parse_options(
        "soak_workers",
        description=__doc__,
        quick="seconds instead of an hour each",
        seeds="repetitions",
        default_seeds=1,
    )
    seconds = QUICK_SECONDS if options.quick else SECONDS
    every_s = QUICK_KILL_EVERY_S if options.quick else KILL_EVERY_S
    kinds = {"processes": None, "ray": os.environ.get("RAY_ADDRESS", "local")}
    rows = []
    for seed in range(options.seeds):
        for name, address in kinds.items():
            try:
                rows.append(soak(name, Workers(number=2, ray=address), seconds, every_s, seed))
            except UserError as error:
                print(f"without a line of {name}: {error}", file=sys.stderr)
    bench_report.finish(
        "soak_workers",
        options,
        rows,
        title="Workers that are killed",
        about=__doc__,
        packages=("jax", "numpy", "open_spiel", "ray"),
    )


if __name__ == "__main__":
    main()
