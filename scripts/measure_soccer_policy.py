"""Measures a trained soccer policy by the protocols that the scripted robots are measured by.

The likeliest actions of strategy 0 are played, in the plain task also by a policy that corrects a
script (`soccer.residual`). Intervals are 95 %: Wilson's of shares, 1.96
standard errors of means. Beside it stand the learned policy of Haarnoja et al. 2024 (arXiv
2304.13653, Table 1) in simulation, and our scripted robot on the same seeds; with `--teachers`, of
a policy that was distilled, its teachers as one policy (`soccer.chained`) instead.
"""

import os
import sys
from typing import Any

os.environ.setdefault("MUJOCO_GL", "disabled")

import bench_report
import numpy as np
from measure_soccer_bots import LEAST_SEEDS, rows_of

from games.types import Policy
from neupl.stored_population import load_population
from soccer import bots, measurements
from soccer.chained import Chained
from soccer.residual import plain


def measure(game: str, policy: Policy, seeds: np.ndarray) -> list[dict[str, Any]]:
    """What a policy of a game can do, beside the paper's learned robot."""
    figures = measurements.measure(game, policy, seeds)
    return rows_of(figures, peers=measurements.PUBLISHED_LEARNED, peer="paper, learned, simulation")


def main() -> None:
    """Reads the command line, plays, prints and writes the report."""
    options = bench_report.parse_options(
        "measure_soccer_policy",
        description=__doc__,
        quick="eight episodes of each",
        seeds="episodes of each",
        default_seeds=48,
        population="a run of `neupl train`, or an exported population",
        teachers=True,
    )
    seeds = np.arange(8 if options.quick else options.seeds, dtype=np.uint64)
    if len(seeds) < LEAST_SEEDS:
        sys.exit(f"--seeds is {len(seeds)}: an interval needs {LEAST_SEEDS}")
    population = load_population(options.population)
    game, policy = plain(population.game, population.policy(0, seat=0, likeliest=True))
    task = game.partition("(")[0]
    if task not in ("soccer/walk_to_target", "soccer/get_up", "soccer/score"):
        sys.exit(f"{options.population} is of {population.game}: there is no protocol for that")
    rows = measure(game, policy, seeds)
    scripts: dict[str, Policy] = {"walker": bots.Walker()}
    if task == "soccer/score":
        scripts = {"chaser": bots.Chaser(), "kicker": bots.Kicker()}
    if options.teachers:
        teachers = (load_population(path) for path in options.teachers)
        pair = (teacher.policy(0, seat=0, likeliest=True) for teacher in teachers)
        scripts = {"teachers": Chained(*pair)}
    scripted = [
        {**row, "name": f"{name}_{row['name']}"}
        for name, robot in scripts.items()
        for row in measure(game, robot, seeds)
    ]
    bench_report.finish(
        "measure_soccer_policy", options, rows, scripted=scripted,
        title=f"A trained policy of {task}", about=__doc__, packages=("mujoco", "numpy", "jax"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
