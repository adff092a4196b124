"""Measures a population of one versus one, of boxheads or humanoids, or of teams of two that play
one strategy: what its strategies earn from each other, and points per match against scripted
robots and the strategies of another population.

Strategies that correct a script (`soccer.residual`) meet scripted robots in the plain task. Every
pair plays as many matches, half of them in either seat; strategies explore as they did in
training. A goal pays 1 and -1 and ends the match; a draw is half a point. Intervals are 95 %, 1.96
standard errors. `rows apart` is the largest difference between two strategies' rows of the table of
payoffs, in its standard errors. With `--against` stands the relative population performance
(Balduzzi et al. 2019, arXiv 1901.08106): the value of the game between the trained strategies of
both, with an interval for the two mixtures that were found.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("MUJOCO_GL", "disabled")

import bench_report
import numpy as np

from evaluation.relative_performance import performance_between
from games.registry import load_game
from neupl.played_payoffs import cross_payoffs, paired_returns, played_payoffs
from neupl.population import Population
from neupl.population_files import find_folder, read_files
from neupl.stored_population import load_population
from soccer import bots, boxhead_bots
from soccer.boxhead import BOXHEAD
from soccer.pitch import CONTROL_STEP
from soccer.residual import plain

NAME = "measure_soccer_population"
GAMES = ("soccer/duel", "soccer/team")
# Standard errors on either side of an interval.
INTERVAL = 1.96
# Streams of random numbers, far apart.
BOT_STREAM, OTHER_STREAM = 10_000, 20_000


def load(path: Path) -> tuple[Population, int]:
    """A population of the game, and how many strategies it has."""
    population = load_population(path)
    if not population.game.startswith(GAMES):
        sys.exit(f"{path} is of {population.game}: expected {' or '.join(GAMES)}")
    return population, int(read_files(find_folder(path))[0]["num_admitted"])


def trained(population: Population, size: int) -> list[int]:
    """All strategies but a fixed strategy 0."""
    return list(range(0 if population.sink == "none" else 1, size))


def pairs(population: Population, size: int, *, matches: int, seed: int) -> list[dict[str, Any]]:
    """What the strategies earn from each other, a line for every pair."""
    if size < 2:
        return []
    found = played_payoffs(population, size, episodes=matches, seed=seed)
    lines = []
    for j, i in zip(*np.triu_indices(size, 1), strict=True):
        apart = np.abs(found.payoffs[i] - found.payoffs[j])
        error = np.hypot(found.errors[i], found.errors[j])
        lines.append(
            {
                "strategy": int(i),
                "against": int(j),
                "payoff": float(found.payoffs[i, j]),
                "error": float(found.errors[i, j]),
                "rows_apart": float(np.max(apart[error > 0] / error[error > 0], initial=0.0)),
                "seconds": float(found.steps[i, j] * CONTROL_STEP),
            }
        )
    return lines


def points(population: Population, size: int, *, matches: int, seed: int) -> list[dict[str, Any]]:
    """Points per match of the trained strategies, and of their mixture, against the scripts."""
    lines = []
    for member in (*trained(population, size), "nash"):
        name_of_game, policy = plain(population.game, population.policy(member, seat=0))
        game = load_game(name_of_game)
        robots = boxhead_bots.BOTS if game.task.scenario.body is BOXHEAD else bots.BOTS
        for number, (name, bot) in enumerate(robots.items()):
            returns = paired_returns(
                game, policy, bot(), episodes=matches, seed=seed + BOT_STREAM + number
            )
            mean = float(np.mean(1 + returns) / 2)
            error = INTERVAL * float(returns.std(ddof=1) / 2 / np.sqrt(len(returns)))
            line = bench_report.row(
                f"{member} against {name}", mean, None, peer_name=None, unit="points",
                more_is_better=True, low=mean - error, high=mean + error,
                decided=float(np.mean(returns != 0)),
            )  # fmt: skip
            lines.append(line)
    return lines


def performance(
    own: tuple[Population, int], other: tuple[Population, int], *, matches: int, seed: int
) -> dict[str, Any]:
    """Relative performance of the first population, and its newest strategy against the other's."""
    game, ours, theirs = load_game(own[0].game), trained(*own), trained(*other)
    found = cross_payoffs(
        game, [own[0].policy(k, seat=0) for k in ours],
        [other[0].policy(k, seat=0) for k in theirs],
        episodes=matches, seed=seed + OTHER_STREAM,
    )  # fmt: skip
    value, error = performance_between(*found)
    return {
        "relative_performance": value,
        "low": value - INTERVAL * error,
        "high": value + INTERVAL * error,
        "newest_against_newest": float(found.payoffs[-1, -1]),
        "error": float(found.errors[-1, -1]),
        "matches": matches * found.payoffs.size,
    }


def main() -> None:
    """Reads the command line, plays, prints and writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("population", type=Path, help="a run, or an exported population")
    parser.add_argument("--against", type=Path, action="append", default=[], help="another one")
    parser.add_argument("--quick", action="store_true", help="20 matches of every pair")
    parser.add_argument("--seeds", type=int, default=200, help="matches of every pair")
    bench_report.add_report_options(parser, NAME)
    options = parser.parse_args()
    matches = 20 if options.quick else options.seeds
    if matches < 4 or matches % 2:
        parser.error(f"--seeds is {matches}, expected an even number of at least 4")
    own = load(options.population)
    others = [
        {"against": str(path), **performance(own, load(path), matches=matches, seed=0)}
        for path in options.against
    ]
    bench_report.finish(
        NAME, options, points(*own, matches=matches, seed=0),
        payoffs=pairs(*own, matches=matches, seed=0), others=others,
        title="A population of soccer players", about=__doc__, packages=("mujoco", "numpy", "jax"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
