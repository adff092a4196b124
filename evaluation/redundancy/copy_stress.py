"""Copy-stress curves: the rank and rating of a model as its worst or best prompts are copied."""

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from evaluation.outcomes import win_rates
from evaluation.ratings import RatingOptions, rate
from evaluation.redundancy.copied import judged_anew, with_prompt_copies
from evaluation.redundancy.types import RATERS, Order, Rater, StressCurve, StressPoint
from evaluation.types import Battles, RatingResult, Scores

NUM_PROMPTS = 10


def copy_stress(
    table: Battles | Scores,
    target: str,
    *,
    order: Order,
    extras: Sequence[int],
    noise: float = 0.0,
    raters: Sequence[Rater] = RATERS,
    num_prompts: int = NUM_PROMPTS,
    options: RatingOptions | None = None,
    bases: Mapping[str, RatingResult] | None = None,
    seed: int = 0,
    progress_fn: Callable[[], None] | None = None,
) -> StressCurve:
    """Rates an evaluation with ever more copies of the prompts that a model is worst or best at.

    Args:
      table: the evaluation.
      target: the model whose prompts are copied.
      order: whether those on which it does worst, or best.
      extras: numbers of copies to add in total, each at least 1.
      noise: share of the copies' cells that are judged anew, in [0, 1]; see `judged_anew`.
      raters: methods; each grouped one knows which prompts are copies of which.
      num_prompts: how many prompts are copied.
      options: of the methods.
      bases: ratings of the evaluation itself by name of the method, where they are known.
      seed: of the noise; a point does not depend on what other points there are.
      progress_fn: called after each rating of copies.
    """
    options = options or RatingOptions()
    prompts = extreme_prompts(table, target, order=order, num_prompts=num_prompts)
    tell = progress_fn or (lambda: None)
    copied = {}
    for extra in extras:
        copies = with_prompt_copies(table, prompts, extra)
        rng = np.random.default_rng(seed)
        copied[extra] = judged_anew(copies, noise, rng, first=len(table.prompts))
    points = []
    for rater in raters:
        base = (bases or {}).get(rater.name) or rate_with(rater, table, options)
        points.append(_point(rater, 0, base, base, target))
        for extra, copies in copied.items():
            sources = dict(
                zip(
                    copies.prompts[len(table.prompts) :],
                    (table.prompts[q] for q in np.resize(prompts, extra)),
                    strict=True,
                )
            )
            result = rate_with(rater, copies, options, sources)
            tell()
            points.append(_point(rater, extra, base, result, target))
    return StressCurve(
        target=target,
        order=order,
        prompts=tuple(table.prompts[q] for q in prompts),
        noise=noise,
        seed=seed,
        points=tuple(points),
    )


def extreme_prompts(
    table: Battles | Scores, target: str, *, order: Order, num_prompts: int = NUM_PROMPTS
) -> list[int]:
    """Prompts on which a model wins the smallest (or largest) share of its duels, in that order."""
    model = table.models.index(target)
    duels = np.delete(win_rates(table)[:, model], model, axis=1)
    with warnings.catch_warnings():
        # Prompts that the model was never asked have no mean, and go last.
        warnings.simplefilter("ignore", RuntimeWarning)
        shares = np.nanmean(duels, axis=1)
    ordered = np.argsort(shares if order == "worst" else -shares, kind="stable")
    asked = ordered[~np.isnan(shares[ordered])]
    return [int(q) for q in asked[:num_prompts]]


def rate_with(
    rater: Rater,
    table: Battles | Scores,
    options: RatingOptions,
    sources: dict[str, str] | None = None,
) -> RatingResult:
    """Rates by one method under audit.

    Args:
      rater: the method.
      table: the evaluation.
      options: of the methods; groups among them are kept, and copies join those of their originals.
      sources: the original of each copied prompt.
    """
    groups = None if rater.found else options.groups
    if groups is None and rater.grouped:
        groups = {name: name for name in table.prompts}
    if groups is not None:
        groups = groups | {name: groups[source] for name, source in (sources or {}).items()}
    own = dataclasses.replace(
        options, groups=groups, find_groups=rater.found, texts=None, progress_fn=None
    )
    return rate(table, rater.method, own)


def _point(rater, extra, base, result, target):
    model = result.models.index(target)
    return StressPoint(
        rater=rater.name,
        extra=extra,
        rating=float(result.ratings[model]),
        rank=int(result.ranks()[model]),
        largest_change=float(np.abs(result.ratings - base.ratings).max()),
    )
