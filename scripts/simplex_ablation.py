"""Populations with simplex sampling against populations without, as populations."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float

from evaluation.relative_performance import relative_performance
from games.game_tree import GameTree
from solvers.values import payoffs


def compare_populations(
    tree: GameTree, pairs: Sequence[tuple[Float[np.ndarray, "K S A"], Float[np.ndarray, "J S A"]]]
) -> dict[str, Any]:
    """Relative population performance of the first of each pair, exact, in payoff ranges.

    Args:
      tree: a two-player zero-sum game.
      pairs: tables of strategies, trained with the same seed; seeds are independent.

    Returns:
      `each`, their `mean`, and from three pairs on the `low` and `high` end of Student's 95 %
      interval of the expectation over seeds.
    """
    each = []
    for first, second in pairs:
        by_first = payoffs(tree, [first, second])[..., 0]
        by_second = payoffs(tree, [second, first])[..., 1].T
        each.append(relative_performance((by_first + by_second) / 2).value / tree.payoff_range)
    found: dict[str, Any] = {"each": each, "mean": float(np.mean(each))}
    if len(each) >= 3:
        error = float(scipy.stats.sem(each))
        half = float(scipy.stats.t.ppf(0.975, len(each) - 1)) * error
        found |= {"low": found["mean"] - half, "high": found["mean"] + half}
    return found
