"""Open-ended submission: who is submitted where ratings select, and what becomes of diversity.

Models and prompts are points on a simplex of skills; a model scores on a prompt by how much of the
skills that are asked it has. In every round a model and a prompt are submitted: the best rated of
some that are made of listed ones by a random change, as who sees the leaderboard would choose; the
oldest leave it. Ratings are Bradley-Terry's, or those of the coarse correlated equilibrium. Under
the former a prompt is worth how well it separates two models on average. This is a simulation in
the spirit of the one in "Re-evaluating Open-ended Evaluation of Large Language Models" (arXiv
2502.20170), whose details are our own.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from evaluation.ratings import RatingOptions, rate
from evaluation.types import Scores

NUM_SKILLS, CANDIDATES = 5, 6
# Models, and prompts, on the leaderboard.
LISTED = 14
# Skills of candidates: few skills each, as of specialists.
CONCENTRATION = 0.4
# How far a candidate is from the one that it was made of.
CHANGE = 0.4
SELECTIONS = ("bradley_terry", "cce")


class History(NamedTuple):
    """What was submitted, by round.

    Attributes:
      models: entropy of the mean skills of the models that are listed, in nats, `[T + 1]`.
      prompts: the same of the prompts.
    """

    models: Float64[np.ndarray, "T"]
    prompts: Float64[np.ndarray, "T"]


def simulate(
    selection: str, *, rounds: int, seed: int, progress_fn: Callable[[], None] | None = None
) -> History:
    """Plays rounds of submission; both selections meet the same start and candidates.

    Args:
      selection: `"bradley_terry"` or `"cce"`.
      rounds: how many.
      seed: of start and candidates.
      progress_fn: called after each round.
    """
    rng = np.random.default_rng(seed)
    models, prompts = (rng.dirichlet(np.ones(NUM_SKILLS), LISTED) for _ in range(2))
    history = [(_entropy(models), _entropy(prompts))]
    for _ in range(rounds):
        new_models, new_prompts = (_candidates(listed, rng) for listed in (models, prompts))
        worth = [_worth(selection, np.vstack([models, own]), prompts)[0] for own in new_models]
        chosen = new_models[max(range(CANDIDATES), key=worth.__getitem__)]
        worth = [_worth(selection, models, np.vstack([prompts, own]))[1] for own in new_prompts]
        asked = new_prompts[max(range(CANDIDATES), key=worth.__getitem__)]
        models, prompts = (
            np.vstack([old[1:], new]) for old, new in ((models, chosen), (prompts, asked))
        )
        history.append((_entropy(models), _entropy(prompts)))
        if progress_fn is not None:
            progress_fn()
    return History(*(np.array(part) for part in zip(*history, strict=True)))


def _candidates(listed, rng):
    """Changes of some that are listed, towards few skills each."""
    parents = listed[rng.integers(len(listed), size=CANDIDATES)]
    ideas = rng.dirichlet(np.full(NUM_SKILLS, CONCENTRATION), CANDIDATES)
    return (1 - CHANGE) * parents + CHANGE * ideas


def _worth(selection, models, prompts):
    """How good the last model and the last prompt are: ratings, and masses between equal ones."""
    scores = prompts @ models.T
    names = tuple(map(str, range(len(models)))), tuple(map(str, range(len(prompts))))
    table = Scores(*names, scores)
    if selection == "bradley_terry":
        wins = (scores[:, :, None] > scores[:, None, :]).mean(axis=(0, 2))
        apart = np.abs(scores[-1][:, None] - scores[-1][None, :]).mean()
        # Strengths of a full round robin stand in the order of the shares of duels won.
        return (float(wins[-1]), 0.0), (float(apart), 0.0)
    result = rate(table, "cce", RatingOptions(form="difference"))
    made = result.attribution
    assert made is not None
    ratings = (result.ratings[-1], made.prompt_ratings[-1])
    rounded = [0.0 if abs(own) <= result.tolerance else float(own) for own in ratings]
    return (rounded[0], float(made.model_masses[-1])), (rounded[1], float(made.prompt_masses[-1]))


def _entropy(points: Float64[np.ndarray, "N S"]) -> float:
    mean = points.mean(axis=0)
    return float(-np.sum(mean * np.log(np.maximum(mean, 1e-300))))
