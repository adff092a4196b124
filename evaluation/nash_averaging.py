"""Nash averaging: models are averaged over the opponents, or tasks, of a Nash equilibrium.

Of the equilibria of a zero-sum game it takes the one of greatest entropy (Balduzzi et al. 2018,
"Re-evaluating Evaluation", arXiv 1806.02643). Where there are several, the entropy counts copies:
these ratings are not safe from them.
"""

import time

import numpy as np
from jaxtyping import Float64

from evaluation.types import DataError, RatingResult, Scores
from solvers.meta.nash import solve_nash
from solvers.types import Certificate, SolverResult

# Share of the payoff range within which ratings are equal.
TOLERANCE = 1e-8


def average_over_agents(models: tuple[str, ...], rates: Float64[np.ndarray, "n n"]) -> RatingResult:
    """Each model's mean advantage, `2 rate - 1`, over the equilibrium mixture of models.

    Args:
      models: names.
      rates: win rate of the row's model against the column's, in [0, 1].
    """
    start = time.perf_counter()
    advantage = rates - rates.T
    result = solve_nash(advantage)
    return _rated(models, advantage @ result.marginals()[1], result, start, "nash_averaging")


def average_over_tasks(table: Scores) -> RatingResult:
    """Each model's mean score over the tasks of the equilibrium of models against tasks.

    Scores are scaled to [0, 1] on each task, as in the paper's Atari study. Tasks with a missing
    score are left out.

    Raises:
      DataError: no task has a score of every model.
    """
    start = time.perf_counter()
    scores = table.scores[~np.isnan(table.scores).any(axis=1)]
    if not len(scores):
        raise DataError(f"{table.source}: no prompt has a score of every model")
    low = scores.min(axis=1, keepdims=True)
    spread = np.ptp(scores, axis=1, keepdims=True)
    scaled = ((scores - low) / np.where(spread > 0, spread, 1.0)).T
    result = solve_nash(scaled)
    name = "nash_averaging_tasks"
    return _rated(table.models, scaled @ result.marginals()[1], result, start, name)


def _rated(models, ratings, result: SolverResult, start, method) -> RatingResult:
    seconds = time.perf_counter() - start
    return RatingResult(
        method=method,
        models=models,
        ratings=ratings,
        unit="payoff against the equilibrium",
        tolerance=TOLERANCE,
        status=f"{result.status} after {result.iterations} iterations",
        seconds=seconds,
        certificate=Certificate(
            quantity="nash_conv",
            value=result.gap,
            per_player=(result.gap / 2, result.gap / 2),
            object="Nash equilibrium of greatest entropy",
            method="exact",
            interval=None,
            openspiel_value=None,
            game=method,
            seconds=seconds,
        ),
    )
