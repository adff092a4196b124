"""Measures how a policy of `soccer/score(vision=1)` looks for the ball, and whether it scores.

The likeliest actions of strategy 0 are played: goals, the share of the time with the ball in the
camera's view, and how long the robot looks for it whenever it is out of view. Intervals are 95 %:
Wilson's of shares, 1.96 standard errors of means; those of the time in view are over episodes.
"""

import os
import sys

os.environ.setdefault("MUJOCO_GL", "disabled")

import bench_report
import numpy as np
from measure_soccer_bots import rows_of

from games.registry import load_game
from neupl.stored_population import load_population
from soccer import exhibition, measurements, vision


def main() -> None:
    """Reads the command line, plays, prints and writes the report."""
    options = bench_report.parse_options(
        "measure_soccer_vision",
        description=__doc__,
        quick="eight episodes",
        seeds="episodes",
        default_seeds=48,
        population="a run of `neupl train`, or an exported population",
    )
    seeds = np.arange(8 if options.quick else options.seeds, dtype=np.uint64)
    population = load_population(options.population)
    name = population.game
    if not name.startswith("soccer/score(") or "vision=1" not in name:
        sys.exit(f"{options.population} is of {name}, not of soccer/score(vision=1)")
    policy = population.policy(0, seat=0, likeliest=True)
    results = exhibition.play(load_game(name), [policy], seeds, record=len(seeds))
    seen = vision.ball_in_view(results.recording[:-1])
    looks = vision.looking(seen, results.steps)
    in_time = np.arange(len(seen))[:, None] < results.steps
    shares = np.where(in_time, seen, False).sum(axis=0) / results.steps
    figures = [
        measurements.share("scores_on_an_empty_goal", results.score[:, 0] > 0),
        measurements.mean("ball_in_view", shares, "share of an episode"),
    ]
    if len(looks.search) > 1:
        figures.append(measurements.mean("search_for_the_ball", looks.search, "s"))
    searches = {
        "time in view": looks.share,
        "searches": len(looks.search),
        "cut off by the end": looks.lost,
    }
    bench_report.finish(
        "measure_soccer_vision", options, rows_of(figures), searches=[searches],
        title="How a robot looks for the ball", about=__doc__, packages=("mujoco", "numpy", "jax"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
