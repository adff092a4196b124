"""What clones of a model do to the ratings of the others."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from evaluation.ratings import ELO, RatingOptions
from evaluation.redundancy.copied import with_clones
from evaluation.redundancy.copy_stress import rate_with
from evaluation.redundancy.types import RATERS, CloneEffect, Rater
from evaluation.types import Battles, RatingResult, Scores


def clone_stress(
    table: Battles | Scores,
    target: str,
    *,
    clones: int,
    raters: Sequence[Rater] = RATERS,
    options: RatingOptions | None = None,
    bases: Mapping[str, RatingResult] | None = None,
    progress_fn: Callable[[], None] | None = None,
) -> tuple[CloneEffect, ...]:
    """Rates an evaluation with clones of a model, which tie with each other.

    Args:
      table: the evaluation.
      target: the model that is cloned.
      clones: how many are added, at least 1.
      raters: methods.
      options: of the methods.
      bases: ratings of the evaluation itself by name of the method, where they are known.
      progress_fn: called after each rating of clones.
    """
    options = options or RatingOptions()
    model, size = table.models.index(target), len(table.models)
    cloned = with_clones(table, model, clones)
    effects = []
    for rater in raters:
        base = (bases or {}).get(rater.name) or rate_with(rater, table, options)
        result = rate_with(rater, cloned, options)
        if progress_fn is not None:
            progress_fn()
        ratings = result.ratings
        if result.unit == ELO:
            # Only differences of Elo points mean something: compare at equal means of the
            # originals.
            ratings = ratings + base.ratings.mean() - ratings[:size].mean()
        kept, copies = ratings[:size], ratings[size:]
        effects.append(
            CloneEffect(
                target=target,
                clones=clones,
                rater=rater.name,
                largest_change=float(np.abs(kept - base.ratings).max()),
                inversions=_inversions(base, kept),
                clone_spread=float(np.abs(copies - kept[model]).max()),
            )
        )
    return tuple(effects)


def _inversions(base: RatingResult, ratings: np.ndarray) -> int:
    """Pairs in the opposite order; those that the method itself calls equal are in none."""
    before = _signs(base.ratings, base.tolerance)
    after = _signs(ratings, base.tolerance)
    return int(np.count_nonzero(before * after < 0) // 2)


def _signs(ratings, tolerance):
    difference = ratings[:, None] - ratings[None, :]
    return np.sign(np.where(np.abs(difference) > tolerance, difference, 0.0))
