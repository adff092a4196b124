"""Measures getting up and shooting: a goal within 10 s, and within 20 s, from lying on the face,
the ball on the centre spot 1.5 m away, an opponent standing still
(`soccer.protocols.get_up_and_shoot`).

Scripted are the kicker, and the same that plays as soon as it is upright. With `--teachers` two
trained policies play as one beside them: the first gets up, the second plays (`soccer.chained`);
with `--policy` a trained policy that does both, such as one that corrects a script
(`soccer.residual`).
Intervals are 95 %: Wilson's of shares, 1.96 standard errors of means. The paper's robot, one
distilled policy, scored in 35 of 50 (Haarnoja et al. 2024, arXiv 2304.13653, in simulation).
"""

import argparse
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("MUJOCO_GL", "disabled")

import bench_report
import numpy as np
from measure_soccer_bots import rows_of

from games.types import Policy
from neupl.errors import UserError
from neupl.population_files import find_folder, read_files
from neupl.stored_population import load_population
from soccer import bots, measurements, protocols
from soccer.chained import Chained
from soccer.residual import plain

# Of the paper's robot in simulation.
GOALS, TOUCH_S = 35 / 50, 4.6
# Seconds that are played.
LONGER_S = 20.0


def shooting(name: str, policy: Policy, seeds: np.ndarray) -> list[dict[str, Any]]:
    """Goals, and seconds until goals and first touches."""
    shots = protocols.get_up_and_shoot(policy, seeds, seconds=LONGER_S)
    goal, touch = np.isfinite(shots.goal_s), np.isfinite(shots.touch_s)
    soon = shots.goal_s <= protocols.SHOOT_WITHIN_S
    figures = [
        measurements.share(f"{name}_goals", soon),
        measurements.share(f"{name}_goals_in_20_s", goal),
    ]
    if touch.sum() > 1:
        figures.append(measurements.mean(f"{name}_touch", shots.touch_s[touch], "s"))
    if goal.sum() > 1:
        figures.append(measurements.mean(f"{name}_goal", shots.goal_s[goal], "s"))
    peers = {f"{name}_goals": GOALS, f"{name}_touch": TOUCH_S}
    return rows_of(figures, peers=peers, peer="paper, simulation")


def newest(path: Path) -> Policy:
    """The likeliest actions of the newest strategy of a population, in the plain task."""
    population = load_population(path)
    number = int(read_files(find_folder(path))[0]["num_admitted"]) - 1
    return plain(population.game, population.policy(number, seat=0, likeliest=True))[1]


def main() -> None:
    """Reads the command line, plays, prints and writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--teachers", type=Path, nargs=2, metavar=("GET_UP", "SCORE"), default=(),
        help="runs or populations of soccer/get_up and of soccer/score",
    )  # fmt: skip
    parser.add_argument(
        "--policy", type=Path, action="append", default=[], help="a run or population; its newest"
    )
    parser.add_argument("--quick", action="store_true", help="eight episodes of each")
    parser.add_argument("--seeds", type=int, default=50, help="episodes of each")
    bench_report.add_report_options(parser, "measure_soccer_shots")
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error(f"--seeds is {options.seeds}, expected at least 2")
    seeds = np.arange(8 if options.quick else options.seeds, dtype=np.uint64)
    robots: dict[str, Policy] = {
        "kicker": bots.Kicker(),
        "kicker_once_upright": Chained(bots.Walker(), bots.Kicker()),
    }
    try:
        teachers = [newest(path) for path in options.teachers]
        robots |= {path.name: newest(path) for path in options.policy}
    except UserError as error:
        parser.error(str(error))
    if teachers:
        robots["two_teachers"] = Chained(*teachers)
    rows = [row for name, robot in robots.items() for row in shooting(name, robot, seeds)]
    bench_report.finish(
        "measure_soccer_shots", options, rows, title="Getting up and shooting", about=__doc__,
        packages=("mujoco", "numpy", "jax"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
