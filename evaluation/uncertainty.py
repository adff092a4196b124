"""How sure ratings are: intervals, and groups of models that the data do not tell apart.

Bradley-Terry has the sandwich covariance, and the bootstrap. Equilibrium ratings have no bootstrap:
a prompt drawn twice is an exact copy, which they ignore by design, so that a bootstrap draw is a
subsample of 63 % of the prompts. They are rated on random halves of the prompts instead, whose
differences from the whole vary about as much as the whole would on other prompts; or on outcomes
redrawn within each prompt.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy.special
from jaxtyping import Bool, Float64, Int

from evaluation.bradley_terry import elo_points, fit_bradley_terry, refit
from evaluation.outcomes import scores_against_baseline, win_counts
from evaluation.ratings import RatingOptions, rate
from evaluation.types import Battles, DataError, RatingResult, Scores

Resample = Literal["battles", "prompts", "halves", "outcomes"]

# Gives a map of `function(state, item)` over items, results as they are done, whoever works.
MakeMap = Callable[
    [Callable[[Any, Any], Any], Any],
    contextlib.AbstractContextManager[Callable[[Iterable[Any]], Iterator[Any]]],
]

LEVEL = 0.95
# Bytes of the tables of wins that are fitted at once: few enough for a cache.
CHUNK_BYTES = 4_000_000


@dataclasses.dataclass(frozen=True)
class Uncertainty:
    """Intervals of ratings.

    Attributes:
      low: lower ends, `[n]`, in the unit of the ratings.
      high: upper ends, `[n]`.
      tied_group: number of each model's group, from 0 for the best, `[n]`: a group is its best
        model and all next ones whose paired difference from it has an interval that contains 0.
      how: one sentence on what was varied.
      draws: ratings by draw, `[N, n]`, NaN where a draw had none; `None` for a covariance.
    """

    low: Float64[np.ndarray, "n"]
    high: Float64[np.ndarray, "n"]
    tied_group: Int[np.ndarray, "n"]
    how: str
    draws: Float64[np.ndarray, "N n"] | None = None


class Draw(NamedTuple):
    """A resampled evaluation that is to be rated, an item of work."""

    number: int
    table: Battles | Scores

    def __str__(self) -> str:
        return f"draw {self.number}"


@contextlib.contextmanager
def in_this_process(function: Callable[[Any, Any], Any], state: Any) -> Iterator[Callable]:
    """See `MakeMap`."""
    yield lambda items: (function(state, item) for item in items)


def from_covariance(result: RatingResult) -> Uncertainty:
    """Normal intervals from the covariance that a method estimates, such as the sandwich."""
    covariance = result.covariance
    if covariance is None:
        raise ValueError(f"{result.method} estimates no covariance")
    width = scipy.special.ndtri((1 + LEVEL) / 2)
    variances = np.diagonal(covariance)
    errors = np.sqrt(variances)
    spread = variances[:, None] + variances[None, :] - 2 * covariance
    apart = np.abs(result.ratings[:, None] - result.ratings[None, :]) > width * np.sqrt(
        np.maximum(spread, 0.0)
    )
    return Uncertainty(
        low=result.ratings - width * errors,
        high=result.ratings + width * errors,
        tied_group=tied_groups(result, apart),
        how="95 % intervals from the sandwich covariance",
    )


def resample(
    evaluation: Battles | Scores,
    result: RatingResult,
    options: RatingOptions | None = None,
    *,
    num_draws: int,
    what: Resample | None = None,
    seed: int = 0,
    progress_fn: Callable[[int], None] | None = None,
    make_map: MakeMap = in_this_process,
) -> Uncertainty:
    """Rates resampled evaluations by the same method.

    Args:
      evaluation: what was rated.
      result: its ratings.
      options: those of the ratings.
      num_draws: of evaluations, at least 2.
      what: `"battles"` or `"prompts"`: as many, with replacement; `"halves"`: half of the prompts,
        without; `"outcomes"`: the battles of each pair on each prompt with replacement, or scores
        with their standard deviations. By default halves for equilibria, prompts for scores, else
        battles.
      seed: of the draws.
      progress_fn: told the number of draws done.
      make_map: who rates the draws, which are drawn here; many tables of wins at once need nobody.

    Raises:
      DataError: the evaluation has not what is to be resampled.
    """
    if num_draws < 2:
        raise DataError(f"{num_draws} draws; at least 2 are needed")
    options = options or RatingOptions()
    table = evaluation
    if result.method != "style_control":
        # Duels that follow from battles against a baseline have no answers to be styled.
        table = scores_against_baseline(evaluation, missing=options.missing)
    equilibrium = result.attribution is not None
    if what is None:
        what = "battles" if isinstance(table, Battles) else "prompts"
        what = "halves" if equilibrium else what
    if equilibrium and what == "prompts":
        raise DataError(
            f"{result.method} ignores copies, and prompts drawn with replacement are copies; "
            "resample halves of the prompts"
        )
    rng = np.random.default_rng(seed)
    tell = progress_fn or (lambda done: None)
    if result.method == "bradley_terry" and what in ("battles", "prompts"):
        draws = _bradley_terry_draws(table, what, num_draws, rng, tell)
    else:
        options = dataclasses.replace(options, progress_fn=None)
        draws = np.full((num_draws, len(result.models)), np.nan)
        drawn = (Draw(number, _redrawn(table, what, rng)) for number in range(num_draws))
        with make_map(rate_draw, (result.method, options)) as map_fn:
            for done, (number, ratings) in enumerate(map_fn(drawn), start=1):
                if ratings is not None:
                    draws[number] = ratings
                tell(done)
    return _from_draws(result, draws, what)


def rate_draw(
    how: tuple[str, RatingOptions], draw: Draw
) -> tuple[int, Float64[np.ndarray, "n"] | None]:
    """The ratings of a draw; `None` of one without a finite fit, or that leaves a pair out."""
    method, options = how
    try:
        ratings = rate(draw.table, method, options).ratings
    except DataError:
        return draw.number, None
    return draw.number, None if np.isnan(ratings).any() else ratings


def _from_draws(result, draws, what):
    usable = ~np.isnan(draws).any(axis=1)
    if np.count_nonzero(usable) < 2:
        raise DataError(
            f"only {np.count_nonzero(usable)} of {len(draws)} resampled evaluations have a rating "
            f"by {result.method}"
        )
    tails = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    low, high = np.quantile(draws[usable], tails, axis=0)
    difference = draws[usable][:, :, None] - draws[usable][:, None, :]
    below, above = np.quantile(difference, tails, axis=0)
    names = {
        "battles": "battles, with replacement",
        "prompts": "prompts, with replacement",
        "halves": "halves of the prompts",
        "outcomes": "outcomes on each prompt, with replacement",
    }
    how = f"95 % of {np.count_nonzero(usable):,} resamplings of {names[what]}"
    if not usable.all():
        how += f"; {np.count_nonzero(~usable):,} more had no finite rating"
    return Uncertainty(
        low=low,
        high=high,
        tied_group=tied_groups(result, (below > 0) | (above < 0)),
        how=how,
        draws=draws,
    )


def tied_groups(result: RatingResult, apart: Bool[np.ndarray, "n n"]) -> Int[np.ndarray, "n"]:
    """Groups from best to worst, each led by the first model that is apart from the leader."""
    groups = np.empty(len(result.models), int)
    leader, group = result.order()[0], 0
    for model in result.order():
        if apart[leader, model]:
            leader, group = model, group + 1
        groups[model] = group
    return groups


def _redrawn(table, what, rng):
    """A resampled evaluation."""
    num_prompts = len(table.prompts)
    if what in ("prompts", "halves"):
        if num_prompts < 2:
            raise DataError(
                f"{table.source}: there is one prompt, nothing to resample; try battles"
            )
        if what == "prompts":
            chosen = rng.integers(num_prompts, size=num_prompts)
        else:
            chosen = rng.permutation(num_prompts)[: (num_prompts + 1) // 2]
        return _of_prompts(table, chosen)
    if what == "battles":
        if isinstance(table, Scores):
            raise DataError(f"{table.source}: scores are no battles; resample prompts")
        return table.of_rows(rng.integers(len(table.first), size=len(table.first)))
    if isinstance(table, Scores):
        if table.errors is None:
            raise DataError(
                f"{table.source}: no standard deviations and one outcome a cell: there is nothing "
                "to redraw outcomes from; resample halves of the prompts"
            )
        return dataclasses.replace(
            table, scores=rng.normal(table.scores, table.errors), errors=None
        )
    return table.of_rows(_within_cells(table, rng))


def _within_cells(battles, rng):
    """Rows drawn with replacement among those of the same pair and prompt."""
    low, high = np.minimum(battles.first, battles.second), np.maximum(battles.first, battles.second)
    size = len(battles.models)
    cell = (battles.prompt * np.int64(size) + low) * size + high
    order = np.argsort(cell, kind="stable")
    _, start, count = np.unique(cell[order], return_index=True, return_counts=True)
    if count.max() < 2:
        raise DataError(
            f"{battles.source}: every pair met once on a prompt: there is nothing to redraw "
            "outcomes from; resample halves of the prompts"
        )
    start, count = np.repeat(start, count), np.repeat(count, count)
    return order[start + rng.integers(count)]


def _of_prompts(table, chosen):
    """The evaluation on chosen prompts; one chosen twice is there twice."""
    if isinstance(table, Scores):
        return table.of_prompts(chosen)
    order = np.argsort(table.prompt, kind="stable")
    start = np.searchsorted(table.prompt[order], np.arange(len(table.prompts) + 1))
    rows = [order[start[prompt] : start[prompt + 1]] for prompt in chosen]
    part = table.of_rows(np.concatenate(rows))
    prompt = np.repeat(np.arange(len(chosen), dtype=np.int32), [len(own) for own in rows])
    names = tuple(table.prompts[place] for place in chosen)
    return dataclasses.replace(part, prompt=prompt, prompts=names)


def _bradley_terry_draws(table, what, num_draws, rng, tell):
    """Ratings of resampled tables of wins, many at once."""
    size = len(table.models)
    start = fit_bradley_terry(win_counts(table)).strengths
    chunk = max(1, CHUNK_BYTES // (8 * size * size))
    draw = _table_draws(table, what, rng)
    draws = []
    for first in range(0, num_draws, chunk):
        wins = draw(min(chunk, num_draws - first))
        draws.append(elo_points(refit(wins, start)))
        tell(first + len(wins))
    return np.concatenate(draws)


def _table_draws(table, what, rng) -> Callable[[int], Float64[np.ndarray, "B n n"]]:
    """A function that draws so many tables of wins."""
    size = len(table.models)
    if what == "prompts":
        num = len(table.prompts)
        wins = np.stack([win_counts(_of_prompts(table, np.array([q]))) for q in range(num)])

        def draw_prompts(count):
            times = rng.multinomial(num, np.full(num, 1 / num), size=count)
            return np.tensordot(times.astype(float), wins, axes=1)

        return draw_prompts
    if isinstance(table, Scores):
        raise DataError(f"{table.source}: scores are no battles; resample prompts")
    # Battles of a pair with the same outcome, whoever was named first, are one cell.
    swapped = table.first > table.second
    low, high = np.minimum(table.first, table.second), np.maximum(table.first, table.second)
    values, code = np.unique(
        np.where(swapped, 1 - table.outcome, table.outcome), return_inverse=True
    )
    pair = low * np.int64(size) + high
    counts = np.bincount(pair * len(values) + code, minlength=size * size * len(values))
    cells = np.flatnonzero(counts)
    total, shares = int(counts.sum()), counts[cells] / counts.sum()
    value, pairs = values[cells % len(values)], cells // len(values)
    first_cell = np.flatnonzero(np.diff(pairs, prepend=-1))
    low, high = np.divmod(pairs[first_cell], size)

    def draw(count):
        drawn = rng.multinomial(total, shares, size=count)
        games = np.add.reduceat(drawn, first_cell, axis=1)
        won = np.add.reduceat(drawn * value, first_cell, axis=1)
        wins = np.zeros((count, size, size))
        wins[:, low, high], wins[:, high, low] = won, games - won
        return wins

    return draw
