"""Simplex-NeuPL (Liu et al. 2022, arXiv 2205.15879) as an option of who meets whom: besides the
rows of the interaction graph, strategies are asked to respond to mixtures drawn from the whole
simplex.

The vertices of the simplex are the distinct strategies of the population; what is met is always one
of them, drawn from the mixture for a whole episode. The network is told the mixture in the place of
a row, so that afterwards it answers any mixture without further training
(`neupl.population.Population.best_response_to`).
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from neupl.types import Objective

# Concentration of the mixtures: 1 is uniform on the simplex.
CONCENTRATION = 1.0


def ask_mixtures(
    objective: Objective,
    rng: np.random.Generator,
    *,
    share: float,
    number: int,
    num_admitted: int,
    symmetric: bool,
) -> Objective:
    """The objective with mixtures beside the rows, for two players.

    Args:
      objective: of the strategies alone.
      rng: consumed.
      share: how much of what responds, in [0, 1), responds to mixtures instead of a row.
      number: of mixtures per seat.
      num_admitted: strategies in the population, of which the distinct ones are mixed.
      symmetric: whether all seats share one table of strategies, and so the mixtures.

    Returns:
      Every mixture has the least temperature of the strategies, that of the newest response. Where
      no strategy responds, because the population has settled, mixtures have their share of what is
      held.
    """
    rows = objective.rows
    identity = np.asarray(rows.identity)
    asked = np.stack(
        [draw_mixtures(rng, distinct(identity[1 - seat], num_admitted), number) for seat in (0, 1)]
    )
    if symmetric:
        asked[1] = asked[0]
    shape = asked.shape[:2]
    respond = np.asarray(objective.respond)
    learns = respond if respond.any() else np.asarray(objective.hold)
    weight = learns.sum(axis=1, keepdims=True) * share / (1 - share) / number
    coldest = np.asarray(objective.temperature)[:, :num_admitted].min(axis=1, keepdims=True)

    def behind(table: np.ndarray, more: np.ndarray) -> np.ndarray:
        more = np.broadcast_to(more, shape)
        return np.concatenate([np.asarray(table), more], axis=1).astype(np.float32)

    return objective._replace(
        rows=rows._replace(asked=asked.astype(np.float32)),
        temperature=behind(objective.temperature, coldest),
        respond=behind(respond, weight),
        hold=behind(objective.hold, np.zeros(1)),
    )


def distinct(identity: Int[np.ndarray, "K"], num_admitted: int) -> Bool[np.ndarray, "K"]:
    """The strategies of a seat that are admitted, one of each that have the same row.

    Args:
      identity: first strategy with an equal row; see `neupl.types.Rows`.
      num_admitted: strategies in the population.
    """
    index = np.arange(len(identity))
    return (identity == index) & (index < num_admitted)


def draw_mixtures(
    rng: np.random.Generator, vertices: Bool[np.ndarray, "K"], number: int
) -> Float[np.ndarray, "N K"]:
    """Mixtures of some strategies, uniform on their simplex; consumes `rng`."""
    mixtures = np.zeros((number, len(vertices)))
    concentration = np.full(vertices.sum(), CONCENTRATION)
    mixtures[:, vertices] = rng.dirichlet(concentration, size=number)
    return mixtures
