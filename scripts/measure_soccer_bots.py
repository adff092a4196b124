"""Measures the scripted soccer robots: how they walk, get up, score on an empty goal and play.

Intervals are 95 %: Wilson's of shares, 1.96 standard errors of means. The figures of the scripted
robot of Haarnoja et al. 2024 (arXiv 2304.13653, Table 1) stand beside ours; they are of a real
robot. `walking` to `kicking` are the protocols of `soccer.protocols`; a robot
that did not do it counts in `_done` alone.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

os.environ.setdefault("MUJOCO_GL", "disabled")

import bench_report
import numpy as np

from soccer import bots, measurements
from soccer.measurements import Figure

LEAST_SEEDS = 4


def rows_of(
    figures: Iterable[Figure], *, peers: Mapping[str, float] = MappingProxyType({}), peer: str = ""
) -> list[dict[str, Any]]:
    """Figures as lines of a report, figures of others beside them."""
    return [
        bench_report.row(
            figure.name, figure.value, peers.get(figure.name),
            peer_name=peer if figure.name in peers else None, unit=figure.unit,
            more_is_better=figure.unit != "s", low=figure.low, high=figure.high,
            episodes=float(figure.episodes),
        )
        for figure in figures
    ]  # fmt: skip


def _named(robot: str, figures: Iterable[Figure]) -> list[Figure]:
    return [figure._replace(name=f"{robot}_{figure.name}") for figure in figures]


def main() -> None:
    """Reads the command line, plays, prints and writes the report."""
    options = bench_report.parse_options(
        "measure_soccer_bots",
        description=__doc__,
        quick="eight episodes of each",
        seeds="episodes of each, and matches against each opponent",
        default_seeds=64,
    )
    seeds = np.arange(8 if options.quick else options.seeds, dtype=np.uint64)
    if len(seeds) < LEAST_SEEDS:
        sys.exit(f"--seeds is {len(seeds)}: an interval needs {LEAST_SEEDS}")
    walker, chaser, kicker = bots.Walker(), bots.Chaser(), bots.Kicker()
    figures = [
        *measurements.walking_skills(walker, seeds),
        *measurements.getting_up_skills(walker, seeds),
        *measurements.kicking_skills(kicker, seeds),
        *measurements.walking(walker, seeds),
        *measurements.getting_up(walker, seeds),
        *measurements.scoring(chaser, seeds),
        *_named("kicker", measurements.scoring(kicker, seeds)),
        *_named(
            "chaser",
            measurements.playing("soccer/duel", chaser, seeds, against=("stand", "keeper")),
        ),
    ]
    rows = rows_of(figures, peers=measurements.PUBLISHED_SCRIPTED, peer="paper, scripted")
    bench_report.finish(
        "measure_soccer_bots", options, rows, title="Scripted soccer robots", about=__doc__,
        packages=("mujoco", "numpy"),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
