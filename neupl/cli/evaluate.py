"""`neupl evaluate`: what the strategies of a run can do, by their game's own protocols."""

import dataclasses
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from neupl.cli.options import OutputOptions
from neupl.cli.output import print_json, print_table
from neupl.errors import UserError

if TYPE_CHECKING:
    from neupl.population import Population

# Modules with `measure(game, policy, seeds)`, which returns figures, and `PUBLISHED_LEARNED`, by
# the names of games before a slash or a bracket.
PROTOCOLS = {"soccer": "soccer.measurements"}
LEAST_EPISODES = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate(OutputOptions):
    """Measures the strategies of a run by their game's own protocols, such as walking, getting up,
    kicking and matches against scripted robots in soccer, with intervals of 95 %.

    Likeliest actions are played. Strategy 0 is left out where it is a fixed one. Beside the figures
    stand the published ones of a learned policy, where there are any.
    """

    population: tyro.conf.Positional[Path]
    """A run folder, or a population exported by `neupl export`."""

    strategy: Annotated[int | None, tyro.conf.arg(metavar="K")] = None
    """Measure one strategy; by default all that were trained."""

    episodes: Annotated[int, tyro.conf.arg(metavar="N")] = 50
    """Episodes of each protocol, at least 4; matches are half in either seat."""

    episode_seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Seed of the first episode; the others count up from it."""


def run(command: Evaluate) -> int:
    """Measures, and prints a table for every strategy."""
    if command.episodes < LEAST_EPISODES:
        raise UserError(f"--episodes is {command.episodes}, expected at least {LEAST_EPISODES}")
    if command.episode_seed < 0:
        raise UserError(f"--episode-seed is {command.episode_seed}, expected at least 0")
    import numpy as np

    from neupl.population import Population
    from neupl.progress import Progress
    from neupl.stored_population import load_population

    population = load_population(command.population)
    game = population.game
    module = PROTOCOLS.get(game.partition("(")[0].partition("/")[0])
    if module is None or not isinstance(population, Population):
        known = ", ".join(f"{name}/..." for name in PROTOCOLS)
        raise UserError(
            f"{game} has no protocols of its own; games that have: {known}",
            hint="`neupl verify` certifies it, `neupl tournament` plays it against others",
        )
    protocols: Any = importlib.import_module(module)
    strategies = _chosen(command, population)
    seeds = command.episode_seed + np.arange(command.episodes, dtype=np.uint64)
    found = {}
    with Progress(f"measuring {game}", quiet=command.quiet, patience_s=1.0) as progress:
        for done, strategy in enumerate(strategies):
            policy = population.policy(strategy, seat=0, likeliest=True)
            found[strategy] = protocols.measure(game, policy, seeds)
            progress.update(done + 1, len(strategies))
    published = protocols.PUBLISHED_LEARNED
    if command.json:
        print_json(_as_json(game, found, published))
        return 0
    for strategy, figures in found.items():
        rows = [
            (
                figure.name.replace("_", " "),
                f"{figure.value:.4g}",
                f"{figure.low:.4g} to {figure.high:.4g}",
                figure.unit,
                str(figure.episodes),
                f"{published[figure.name]:g}" if figure.name in published else "",
            )
            for figure in figures
        ]
        header = ("", "measured", "95 %", "unit", "episodes", "published")
        print_table(rows, header=header, title=f"strategy {strategy} of {command.population}")
    return 0


def _chosen(command: Evaluate, population: "Population") -> list[int]:
    """The strategies that are measured."""
    from neupl.population_files import find_folder, read_files

    size = int(read_files(find_folder(command.population))[0]["num_admitted"])
    first = 0 if population.sink == "none" else 1
    if command.strategy is None:
        return list(range(min(first, size - 1), size))
    if not 0 <= command.strategy < size:
        raise UserError(f"--strategy is {command.strategy}, allowed are 0 to {size - 1}")
    return [command.strategy]


def _as_json(game: str, found: dict[int, list], published: dict[str, float]) -> dict[str, Any]:
    return {
        "game": game,
        "strategies": [
            {
                "strategy": strategy,
                "figures": [
                    {
                        "name": figure.name,
                        "unit": figure.unit,
                        "value": figure.value,
                        "interval": [figure.low, figure.high],
                        "episodes": figure.episodes,
                        "published": published.get(figure.name),
                    }
                    for figure in figures
                ],
            }
            for strategy, figures in found.items()
        ],
    }
