"""The strategies of a population as a game to be rated: `neupl rate RUN`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from neupl.errors import UserError

if TYPE_CHECKING:
    from games.normal_form import NormalForm
    from neupl.population import Population
    from neupl.profile_distribution import ProfileDistribution

# Profiles of strategies that are worth being played out on a tree, where nobody kept their payoffs.
MAX_PROFILES = 10_000_000


class RatedPopulation(NamedTuple):
    """What of a population is rated.

    Attributes:
      game: every profile of its strategies, one player a seat; seats that share one table of
        strategies have the same names.
      notes: what a reader of ratings should know about it, one sentence each.
    """

    game: "NormalForm"
    notes: tuple[str, ...]


def read_population(path: Path, *, quiet: bool) -> RatedPopulation:
    """The payoffs between the strategies of a run or an exported population.

    Payoffs that training estimated from episodes are replaced by exact ones where the game has a
    tree.

    Raises:
      UserError: there is no population, or no payoffs are known and there are too many profiles.
    """
    from games.normal_form import NormalForm
    from neupl.stored_population import load_population

    population = load_population(path)
    payoffs, how = _payoffs(population, quiet=quiet)
    sizes = payoffs.shape[:-1]
    symmetric = getattr(population, "symmetric", False)
    names = [
        [f"#{k}" if symmetric else f"seat {seat} #{k}" for k in range(size)]
        for seat, size in enumerate(sizes)
    ]
    trained = f", trained by {population.method}" if population.method else ""
    seats = "all seats share one table" if symmetric else "each seat has its own"
    return RatedPopulation(
        NormalForm(payoffs, strategy_names=names, name=f"{path.resolve().name}: {population.game}"),
        (f"strategies of a population of {population.game}{trained}; {seats}", how),
    )


def _payoffs(population: "Population | ProfileDistribution", *, quiet: bool):
    """`[K_0, ..., K_{P-1}, P]`, and where they are from."""
    from neupl.jpsro.played_population import PlayedJointPopulation
    from neupl.tabular_population import TabularPopulation

    known = population.payoffs
    estimated = getattr(population, "estimates", None) is not None
    if known is not None and not estimated:
        return known, "payoffs are exact, as computed on the game's tree when it was trained"
    if known is None and math.prod(population.sizes) > MAX_PROFILES:
        raise UserError(
            f"the population has {math.prod(population.sizes):.2g} profiles without payoffs; at "
            f"most {MAX_PROFILES:.0e} are computed"
        )
    tree, reason = _compiled(population, quiet=quiet)
    if tree is None:
        if known is None:
            raise UserError(f"the population has no payoffs, and no tree: {reason}")
        return known, f"payoffs are estimated from episodes; no tree gives exact ones: {reason}"
    from solvers.values import payoffs

    exact = "payoffs are exact, computed on the game's tree"
    if isinstance(population, PlayedJointPopulation):
        return population.compiled(tree).payoffs, exact
    if isinstance(population, TabularPopulation):
        return payoffs(tree, list(population.policies)), exact
    return payoffs(tree, population.tabulate()), exact


def _compiled(population: "Population | ProfileDistribution", *, quiet: bool):
    """The game's tree; or `None` and why there is none."""
    from games.types import GameError
    from neupl.progress import Progress

    title = f"compiling {population.game}"
    try:
        with Progress(title, quiet=quiet, patience_s=1.0) as progress:
            return population.tree(progress=lambda nodes: progress.update(nodes, None)), ""
    except GameError as error:
        return None, str(error)
