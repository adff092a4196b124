"""Elo ratings: one update per battle, in the order of the battles."""

import numpy as np
from jaxtyping import Float64

from evaluation.types import Battles

# Points of the first rating, of a win over an equal opponent times two, and of odds of ten to one.
START, STEP, SCALE = 1000.0, 4.0, 400.0


def elo_ratings(battles: Battles, *, step: float = STEP) -> Float64[np.ndarray, "n"]:
    """Ratings after all battles; the winner takes `step * (outcome - expected outcome)` points.

    They depend on the order of the battles, and on `step`, known as K, in Elo points.
    """
    ratings = [START] * len(battles.models)
    rows = zip(
        battles.first.tolist(), battles.second.tolist(), battles.outcome.tolist(), strict=True
    )
    for first, second, outcome in rows:
        odds = 10.0 ** ((ratings[second] - ratings[first]) / SCALE)
        gain = step * (outcome - 1.0 / (1.0 + odds))
        ratings[first] += gain
        ratings[second] -= gain
    return np.array(ratings)
