"""The redundancy audit of an evaluation: what copies it has, and what copies would do to it."""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from evaluation.evaluation_game import KING, PROMPT, EvaluationGame, evaluation_game
from evaluation.outcomes import scores_against_baseline, win_rates
from evaluation.ratings import RatingOptions
from evaluation.redundancy.clones import clone_stress
from evaluation.redundancy.copy_stress import copy_stress, rate_with
from evaluation.redundancy.findings import findings
from evaluation.redundancy.near_copies import ASSUMED_NOISE, measured_noise, near_copies
from evaluation.redundancy.types import (
    BRADLEY_TERRY,
    CCE,
    CCE_FOUND,
    CCE_GROUPED,
    RATERS,
    Audit,
    CopyClass,
    NearCopies,
    Order,
)
from evaluation.types import Battles, DataError, RatingResult, Scores
from solvers.meta.strategic_classes import strategic_classes

# Copies in total, as shares of the number of prompts.
EXTRA_SHARES = (0.2, 0.5, 1.0, 2.0)
# Shares of re-judged cells of noisy copies, of which there are as many as prompts.
NOISES = (0.05, 0.15, 0.3)
NUM_CLONES = 10


def audit(
    evaluation: Battles | Scores,
    options: RatingOptions | None = None,
    *,
    targets: Sequence[tuple[str, Order]] | None = None,
    seed: int = 0,
    progress_fn: Callable[[int, int], None] | None = None,
) -> Audit:
    """Audits an evaluation; the same one and seed give the same audit.

    Methods that cannot rate the evaluation are left out, and told.

    Args:
      evaluation: what was measured, on at least two prompts.
      options: of the ratings.
      targets: models under copy stress and whether their worst or best prompts are copied; by
        default the leader's worst ones, and the best ones of the last two, by the first method
        that can rate the evaluation.
      seed: of simulated judge noise.
      progress_fn: told the number of ratings of copies done, and of all.

    Raises:
      DataError: there is one prompt, a target is no model, or no method can rate the evaluation.
    """
    options = options or RatingOptions()
    table = scores_against_baseline(evaluation, missing=options.missing)
    if len(table.prompts) < 2:
        raise DataError(f"{table.source}: an audit needs at least two prompts")
    unknown = [name for name, _ in targets or () if name not in table.models]
    if unknown:
        raise DataError(f"{table.source}: there is no model named {unknown[0]!r}")
    bases, left_out = _base_ratings(table, options)
    raters = [rater for rater in RATERS if rater.name in bases]
    if targets is None:
        ranking = bases[raters[0].name].order()
        targets = _default_targets([table.models[k] for k in ranking])
    noise = measured_noise(evaluation)
    copies, near, unseen = _copies_in(
        table, options, noise=ASSUMED_NOISE if noise is None else noise, seed=seed
    )
    count = len(table.prompts)
    extras = [max(1, round(share * count)) for share in EXTRA_SHARES]
    exact = [rater for rater in raters if not (rater.grouped or rater.found)]
    noisy = [rater for rater in raters if rater in (BRADLEY_TERRY, CCE, CCE_GROUPED, CCE_FOUND)]
    steps = len(targets) * len(exact) * (len(extras) + 1) + len(NOISES) * len(noisy)
    step = _counter(steps, progress_fn)
    stress = functools.partial(
        copy_stress, table, options=options, bases=bases, seed=seed, progress_fn=step
    )
    curves = [stress(name, order=order, extras=extras, raters=exact) for name, order in targets]
    name, order = targets[0]
    curves += [
        stress(name, order=order, extras=[count], noise=share, raters=noisy) for share in NOISES
    ]
    clones = [
        effect
        for name, _ in targets
        for effect in clone_stress(
            table, name, clones=NUM_CLONES, raters=exact, options=options, bases=bases,
            progress_fn=step,
        )
    ]  # fmt: skip
    told = findings(copies, near, noise is not None, curves, clones)
    return Audit(
        findings=(*told, *unseen, *left_out),
        copies=copies,
        near=near,
        noise_measured=noise is not None,
        curves=tuple(curves),
        clones=tuple(clones),
    )


def exact_copies(game: EvaluationGame) -> tuple[CopyClass, ...]:
    """Classes of at least two prompts or models that give every player the same payoffs."""
    classes = strategic_classes(game.game.payoffs)
    found = []
    for kind, player in (("prompts", PROMPT), ("models", KING)):
        names, member = game.game.strategy_names[player], classes[player].member
        for number in np.flatnonzero(np.bincount(member) > 1):
            inside = tuple(names[k] for k in np.flatnonzero(member == number))
            found.append(CopyClass(kind, inside))
    return tuple(found)


def _base_ratings(
    table: Battles | Scores, options: RatingOptions
) -> tuple[dict[str, RatingResult], list[str]]:
    """Ratings by the methods that can rate the evaluation, and why others cannot."""
    bases, left_out = {}, []
    for rater in RATERS:
        try:
            bases[rater.name] = rate_with(rater, table, options)
        except DataError as error:
            left_out.append(f"{rater.title} is not audited: {error}.")
    if not bases:
        raise DataError(f"{table.source}: no method can rate it; {left_out[0]}")
    return bases, left_out


def _default_targets(models: list[str]) -> list[tuple[str, Order]]:
    last = models[1:][-2:]
    return [(models[0], "worst"), *((name, "best") for name in reversed(last))]


def _copies_in(
    table: Battles | Scores, options: RatingOptions, *, noise: float, seed: int
) -> tuple[tuple[CopyClass, ...], tuple[NearCopies, ...], tuple[str, ...]]:
    """Exact copies and near ones, where prompts are complete, and a sentence where they are not."""
    try:
        game = evaluation_game(table, form=options.form, missing=options.missing)
    except DataError as error:
        return (), (), (f"Copies were not looked for: {error}.",)
    copies = exact_copies(game)
    if isinstance(table, Scores):
        kept = set(game.game.strategy_names[PROMPT])
        table = table.of_prompts(np.array([name in kept for name in table.prompts]))
    elif np.isnan(win_rates(table)).any():
        unseen = "Near-copies were not looked for: on some prompts not every pair met."
        return copies, (), (unseen,)
    kinds = ("prompts", "models")
    return copies, tuple(near_copies(table, kind, noise=noise, seed=seed) for kind in kinds), ()


def _counter(total: int, progress_fn: Callable[[int, int], None] | None) -> Callable[[], None]:
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress_fn is not None:
            progress_fn(done, total)

    return step
