"""All rating methods by name: an evaluation in, a `RatingResult` out.

Equilibrium ratings of the prompt-king-rebel game come with their gap; the others are what people
know, for comparison.
"""

import dataclasses
import difflib
import functools
import time
from collections.abc import Callable, Sequence

import numpy as np

from evaluation.bradley_terry import (
    ELO_SCALE,
    check_comparable,
    elo_points,
    fit_bradley_terry,
    fit_davidson,
)
from evaluation.copy_groups import copies_in_groups, find_copies
from evaluation.elo import elo_ratings
from evaluation.equilibrium_ratings import rate_by_equilibrium
from evaluation.evaluation_game import EvaluationGame, Form, evaluation_game
from evaluation.merged_copies import MergedCopies, merge_copies, of_all_copies
from evaluation.nash_averaging import average_over_agents, average_over_tasks
from evaluation.outcomes import Missing, scores_against_baseline, win_counts, win_rates
from evaluation.sandwich import bradley_terry_covariance
from evaluation.style_control import fit_style_control
from evaluation.types import Battles, DataError, RatingResult, Scores
from evaluation.voting import RULES, elect, maximal_lottery
from games.normal_form import NormalForm
from solvers.meta.alpha_rank import rank_one_population

# Ratings that are sums of few-digit numbers are equal within this, times the scale of Elo points.
ROUNDING = 1e-9
ELO = "Elo points of mean 1000"


@dataclasses.dataclass(frozen=True)
class RatingOptions:
    """What methods may be told; each reads what concerns it.

    Attributes:
      form: payoffs of the evaluation game.
      missing: what becomes of prompts on which not everything was measured, in methods that need
        complete ones.
      groups: the group of each prompt by name, for the prior of equilibria.
      find_groups: whether copies of prompts, judged again, are looked for, and each of their groups
        counts as one prompt.
      texts: the text of each prompt by name, for the same; by default only outcomes are compared.
      affinity_variance: of the soft kernel of that prior, in squared game points.
      styles: names of the styles of answers that style control takes out; by default all known.
      seat: of payoff tensors, the player whose strategies are rated.
      progress_fn: told by methods that take long how much is done and how much there is to do.
    """

    form: Form = "winrate"
    missing: Missing = "drop"
    groups: dict[str, str] | None = None
    find_groups: bool = False
    texts: dict[str, str] | None = None
    affinity_variance: float | None = None
    styles: tuple[str, ...] | None = None
    seat: int = 0
    progress_fn: Callable[[int, int], None] | None = None


Evaluation = Battles | Scores | NormalForm
Method = Callable[[Evaluation, RatingOptions], RatingResult]


def rate(
    evaluation: Evaluation, method: str = "cce", options: RatingOptions | None = None
) -> RatingResult:
    """Rates the models of an evaluation.

    Args:
      evaluation: battles, scores, or a payoff tensor whose first player's strategies are rated.
      method: one of `METHODS`.
      options: see there.

    Raises:
      DataError: the method is unknown, or cannot rate this evaluation; the message says why.
      SolverError: no solution within tolerance was found.
    """
    if method not in METHODS:
        close = difflib.get_close_matches(method, METHODS, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise DataError(f"unknown method {method!r}{hint}; allowed: {', '.join(METHODS)}")
    return METHODS[method](evaluation, options or RatingOptions())


def default_method(evaluation: Evaluation, options: RatingOptions) -> tuple[str, str]:
    """The primary method where the evaluation fills its game, else Bradley-Terry; and why not."""
    if not isinstance(evaluation, NormalForm):
        try:
            evaluation_game(evaluation, form=options.form, missing=options.missing)
        except DataError as error:
            return "bradley_terry", f"not rated by an equilibrium: {error}"
    return "cce", ""


def _equilibrium(concept: str, evaluation: Evaluation, options: RatingOptions) -> RatingResult:
    if isinstance(evaluation, NormalForm) or not (options.groups or options.find_groups):
        game = evaluation_game(
            evaluation, form=options.form, missing=options.missing, seat=options.seat
        )
        merged, groups, distinct = None, None, None
        if options.groups is not None:
            groups = _groups_of(game, options.groups)
    else:
        merged = _without_judged_again(evaluation, options)
        game = evaluation_game(merged.table, form=options.form, missing=options.missing)
        groups, distinct = None, None
        if options.groups is not None:
            groups = _groups_of(game, options.groups)
            distinct = [merged.distinct[name] for name in game.game.strategy_names[game.prompts]]
    result = rate_by_equilibrium(
        game,
        concept,
        groups=groups,
        distinct=distinct,
        affinity_variance=options.affinity_variance,
        progress_fn=options.progress_fn,
    )
    if merged is None or result.attribution is None:
        return result
    notes = (*result.notes, merged.note) if merged.note else result.notes
    made = of_all_copies(result.attribution, merged.copies)
    return dataclasses.replace(result, attribution=made, notes=notes)


def _without_judged_again(evaluation: Battles | Scores, options: RatingOptions) -> MergedCopies:
    """The evaluation in which prompts that were judged again are one: those of a group that are
    copies, or those that are found to be.
    """
    table = scores_against_baseline(evaluation, missing=options.missing)
    if options.groups is not None:
        if options.find_groups:
            raise DataError("groups of prompts are given or found, not both")
        _check_named(table.prompts, options.groups, "group")
        groups = [options.groups[name] for name in table.prompts]
        return merge_copies(table, copies_in_groups(table, groups))
    texts = None
    if options.texts is not None:
        _check_named(table.prompts, options.texts, "text")
        texts = [options.texts[name] for name in table.prompts]
    return merge_copies(table, find_copies(table, texts))


def _groups_of(game: EvaluationGame, groups: dict[str, str]) -> list[str]:
    prompts = game.game.strategy_names[game.prompts]
    _check_named(prompts, groups, "group")
    return [groups[name] for name in prompts]


def _check_named(prompts: Sequence[str], named: dict[str, str], what: str) -> None:
    lacking = [name for name in prompts if name not in named]
    if lacking:
        raise DataError(
            f"{len(lacking):,} of {len(prompts):,} prompts have no {what}, such as {lacking[0]!r}"
        )


def _bradley_terry(evaluation: Evaluation, options: RatingOptions) -> RatingResult:
    start = time.perf_counter()
    table = _measured(evaluation, options, "bradley_terry")
    wins = win_counts(table)
    check_comparable(wins, table.models)
    fit = fit_bradley_terry(wins)
    result = _result("bradley_terry", table, elo_points(fit.strengths), ELO, _met(fit), start)
    covariance = ELO_SCALE**2 * bradley_terry_covariance(table, wins, fit)
    return dataclasses.replace(result, covariance=covariance)


def _style_control(evaluation: Evaluation, options: RatingOptions) -> RatingResult:
    start = time.perf_counter()
    # Battles against one baseline stay battles: duels that follow from them have no answers.
    if not isinstance(evaluation, Battles) or evaluation.style_differences is None:
        raise DataError(
            "style_control needs battles that say how long or how formatted both answers were, in "
            "columns such as length_a and length_b, or conv_metadata"
        )
    styles = evaluation.styles if options.styles is None else options.styles
    unknown = [name for name in styles if name not in evaluation.styles]
    if unknown or not styles:
        what = f"no style {unknown[0]!r}" if unknown else "no style is named"
        raise DataError(f"{evaluation.source}: {what}; known: {', '.join(evaluation.styles)}")
    differences = evaluation.style_differences[:, [evaluation.styles.index(s) for s in styles]]
    known = ~np.isnan(differences).any(axis=1)
    if not known.any():
        raise DataError(f"{evaluation.source}: no battle has all of {', '.join(styles)}")
    battles = evaluation.of_rows(np.flatnonzero(known))
    notes = battles.notes
    if not known.all():
        left_out = np.count_nonzero(~known)
        notes = (*notes, f"{left_out:,} battles without {', '.join(styles)} are left out")
    check_comparable(win_counts(battles), battles.models)
    fit = fit_style_control(
        battles.first,
        battles.second,
        battles.outcome,
        differences[known],
        num_models=len(battles.models),
    )
    covariance = ELO_SCALE**2 * fit.covariance
    errors = np.sqrt(np.diagonal(covariance))[len(battles.models) :]
    effects = ", ".join(
        f"{name} {effect:+.1f} +- {error:.1f}"
        for name, effect, error in zip(styles, ELO_SCALE * fit.effects, errors, strict=True)
    )
    status = f"{_met(fit)}; Elo points for a typical difference (and standard error): {effects}"
    result = _result("style_control", battles, elo_points(fit.strengths), ELO, status, start)
    own = covariance[: len(battles.models), : len(battles.models)]
    return dataclasses.replace(result, covariance=own, notes=notes)


def _davidson(evaluation: Evaluation, options: RatingOptions) -> RatingResult:
    start = time.perf_counter()
    table = _measured(evaluation, options, "davidson")
    wins, ties = _wins_and_ties(table)
    check_comparable(wins + ties / 2, table.models)
    fit = fit_davidson(wins, ties)
    status = f"{_met(fit)}; ties weigh {fit.tie:.4g} times the root of both strengths"
    return _result("davidson", table, elo_points(fit.strengths), ELO, status, start)


def _elo(evaluation: Evaluation, options: RatingOptions) -> RatingResult:
    start = time.perf_counter()
    if not isinstance(evaluation, Battles):
        raise DataError("elo rates battles in their order; scores have none")
    status = f"{len(evaluation.first):,} updates in the order of the file, K = 4"
    return _result("elo", evaluation, elo_ratings(evaluation), ELO, status, start)


def _win_rate(evaluation: Evaluation, options: RatingOptions) -> RatingResult:
    start = time.perf_counter()
    table = _measured(evaluation, options, "win_rate")
    wins = win_counts(table)
    games = (wins + wins.T).sum(axis=1)
    if not games.all():
        raise DataError(f"{table.models[int(np.argmin(games))]!r} has no battle")
    status = f"mean of {int(games.sum() / 2):,} outcomes"
    unit = "share of battles won"
    return _result("win_rate", table, wins.sum(axis=1) / games, unit, status, start)


def _nash_averaging(evaluation: Evaluation, options: RatingOptions) -> RatingResult:
    table = _measured(evaluation, options, "nash_averaging")
    result = average_over_agents(table.models, _mean_rates(table))
    return dataclasses.replace(result, notes=table.notes)


def _nash_averaging_tasks(evaluation: Evaluation, options: RatingOptions) -> RatingResult:
    table = _measured(evaluation, options, "nash_averaging_tasks")
    if not isinstance(table, Scores):
        raise DataError("nash_averaging_tasks needs a score of each model on each prompt")
    return dataclasses.replace(average_over_tasks(table), notes=table.notes)


def _alpha_rank(evaluation: Evaluation, options: RatingOptions) -> RatingResult:
    start = time.perf_counter()
    table = _measured(evaluation, options, "alpha_rank")
    masses, status = rank_one_population(_mean_rates(table))
    unit = "share of time the population is of the model"
    return _result("alpha_rank", table, masses, unit, status, start)


def _vote(rule: str, evaluation: Evaluation, options: RatingOptions) -> RatingResult:
    start = time.perf_counter()
    table = _measured(evaluation, options, rule)
    rates = win_rates(table)
    if rule == "maximal_lotteries":
        scores, unit = maximal_lottery(rates), "probability in the maximal lottery"
    else:
        scores, unit = elect(rule, rates), RULES[rule]
    return _result(rule, table, scores, unit, f"{len(table.prompts):,} prompts vote", start)


_ENTRIES: dict[str, tuple[Method, str]] = {
    "cce": (
        functools.partial(_equilibrium, "cce"),
        "losses from deviating to a model at the coarse correlated equilibrium nearest to the "
        "prior: exact copies of prompts or models cannot move it",
    ),
    "ce": (
        functools.partial(_equilibrium, "ce"),
        "the same at the nearest correlated equilibrium",
    ),
    "nash": (
        functools.partial(_equilibrium, "nash"),
        "the same at the Nash equilibrium where logit equilibria from the prior end",
    ),
    "deviation": (
        functools.partial(_equilibrium, "deviation"),
        "the same at the coarse correlated equilibrium in which deviating loses as much as it can",
    ),
    "nash_averaging": (
        _nash_averaging,
        "payoff against the Nash equilibrium of mean win rates, of greatest entropy",
    ),
    "nash_averaging_tasks": (
        _nash_averaging_tasks,
        "mean score on the prompts of the Nash equilibrium of models against prompts",
    ),
    "alpha_rank": (_alpha_rank, "how long an evolving population stays at each model"),
    "bradley_terry": (_bradley_terry, "strengths that make the outcomes most likely"),
    "style_control": (
        _style_control,
        "Bradley-Terry strengths at equal length and formatting of the answers",
    ),
    "davidson": (_davidson, "Bradley-Terry with ties as an outcome of their own"),
    "elo": (_elo, "one update per battle, in the order of the battles"),
    "win_rate": (_win_rate, "mean outcome"),
    **{
        rule: (functools.partial(_vote, rule), f"prompts vote: {note}")
        for rule, note in RULES.items()
    },
    "maximal_lotteries": (
        functools.partial(_vote, "maximal_lotteries"),
        "prompts vote: Nash equilibrium of majority margins",
    ),
}

METHODS: dict[str, Method] = {name: method for name, (method, _) in _ENTRIES.items()}

# One line per method, for listings.
METHOD_NOTES: dict[str, str] = {name: note for name, (_, note) in _ENTRIES.items()}


def _measured(evaluation: Evaluation, options: RatingOptions, method: str) -> Battles | Scores:
    """The evaluation as scores where it can be one, else as battles."""
    if isinstance(evaluation, NormalForm):
        raise DataError(f"{method} rates battles or scores, not a payoff tensor; try cce")
    return scores_against_baseline(evaluation, missing=options.missing)


def _mean_rates(table: Battles | Scores):
    """Win rates over all battles.

    Raises:
      DataError: two models never met.
    """
    wins = win_counts(table)
    games = wins + wins.T
    np.fill_diagonal(games, 1.0)
    if not games.all():
        first, second = np.argwhere(games == 0)[0]
        raise DataError(
            f"{table.models[first]!r} and {table.models[second]!r} never met; this method needs "
            "every pair, bradley_terry does not"
        )
    rates = wins / games
    np.fill_diagonal(rates, 0.5)
    return rates


def _wins_and_ties(table: Battles | Scores):
    """Wins of rows against columns, and ties."""
    if isinstance(table, Scores):
        rates = win_rates(table)
        known = np.isin(rates, (0.0, 0.5, 1.0)) | np.isnan(rates)
        wins, ties = (rates == 1.0).sum(axis=0), (rates == 0.5).sum(axis=0)
        np.fill_diagonal(ties, 0)
    else:
        known = np.isin(table.outcome, (0.0, 0.5, 1.0))
        tied = table.outcome == 0.5
        wins, ties = (
            win_counts(table.of_rows(np.flatnonzero(rows))) if rows.any() else np.zeros(1)
            for rows in (~tied, tied)
        )
        # A tie counts as half a win of either.
        ties = 2 * ties
    if not known.all():
        raise DataError("davidson needs outcomes that are wins, ties or losses, not shares")
    return np.broadcast_arrays(wins + 0.0, ties + 0.0)


def _result(method, table, ratings, unit, status, start) -> RatingResult:
    """Ratings without an equilibrium behind them."""
    return RatingResult(
        method=method,
        models=table.models,
        ratings=ratings,
        unit=unit,
        tolerance=ROUNDING * (ELO_SCALE if unit == ELO else 1.0),
        status=status,
        seconds=time.perf_counter() - start,
        notes=table.notes,
    )


def _met(fit) -> str:
    """How well the equations of a fit are met."""
    return f"gradient of the log-likelihood {fit.residual:.1g} a battle after {fit.steps} steps"
