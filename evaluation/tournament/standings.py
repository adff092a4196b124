"""What a tournament says: payoffs with the seats averaged out, and ratings with intervals.

Intervals are a bootstrap over seedings: each group's seeds are drawn again with replacement and
everything is rated anew. What is exact does not vary.
"""

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64

from evaluation.bradley_terry import ELO_SCALE, check_comparable, elo_points, fit_bradley_terry
from evaluation.equilibrium_ratings import rate_by_equilibrium
from evaluation.evaluation_game import EvaluationGame
from evaluation.nash_averaging import average_over_agents
from evaluation.ratings import ELO, ROUNDING
from evaluation.relative_performance import Transitivity, relative_performance, transitivity
from evaluation.tournament.tally import Tally
from evaluation.tournament.types import Group
from evaluation.types import DataError, RatingResult
from evaluation.uncertainty import LEVEL, Uncertainty, tied_groups
from games.normal_form import NormalForm
from games.types import UtilityType
from solvers.meta.alpha_rank import rank_one_population, solve_alpha_rank
from solvers.types import SolverError

DRAWS = 200
# Profiles of one player's payoffs beyond which only Bradley-Terry is fitted.
MAX_PROFILES = 20_000


@dataclasses.dataclass(frozen=True, eq=False)
class PopulationComparison:
    """Relative population performance of two populations.

    Attributes:
      first: source of the one.
      second: source of the other.
      value: to the first, in game points.
      interval: 95 %; `None` where exact.
    """

    first: str
    second: str
    value: float
    interval: tuple[float, float] | None


@dataclasses.dataclass(frozen=True, eq=False)
class Standings:
    """Ratings of a tournament; more is better.

    Attributes:
      payoffs: `[n, ..., n]` of the first entrant among the others, all in random seats, in game
        points; NaN where not every seating is known.
      errors: their standard errors, over seedings; 0 where exact.
      wins: `[n, n]` share of the games of each group in which the row earned more than the column,
        a tie being half, added up over the groups.
      results: ratings, the primary one first.
      uncertainties: intervals of each; `None` where everything is exact, or most draws of the
        seeds have no rating, which is noted.
      transitivity: of two-player zero-sum payoffs, where all are known.
      comparisons: of populations, where several take part.
      notes: what there is to know, one sentence each.
    """

    payoffs: Float64[np.ndarray, "..."]
    errors: Float64[np.ndarray, "..."]
    wins: Float64[np.ndarray, "n n"]
    results: tuple[RatingResult, ...]
    uncertainties: tuple[Uncertainty | None, ...]
    transitivity: Transitivity | None
    comparisons: tuple[PopulationComparison, ...]
    notes: tuple[str, ...]


Method = Callable[[tuple[str, ...], np.ndarray, np.ndarray], RatingResult]


def standings(
    tally: Tally,
    names: Sequence[str],
    *,
    utility: UtilityType,
    sources: Sequence[str] = (),
    seed: int = 0,
) -> Standings:
    """Rates the entrants of a tournament.

    Args:
      tally: what was played and what is exact.
      names: of the entrants.
      utility: of the game.
      sources: the population of each entrant, for comparisons of those.
      seed: of the bootstrap.
    """
    groups = tally.groups()
    meetings = {group: tally.meeting(group) for group in groups}
    sizes = {group: len(meetings[group].payoffs) for group in groups}
    known = [group for group in groups if sizes[group]]
    means = {group: (np.ones(sizes[group]) / sizes[group]) for group in known}

    def table(weights):
        return _payoffs(tally, meetings, weights), _wins(tally, meetings, weights)

    payoffs, wins = table(means)
    zero_sum = utility in ("zero_sum", "constant_sum") and tally.num_players == 2
    methods, notes = _methods(payoffs, wins, names, zero_sum=zero_sum)
    sampled = [group for group in known if not tally.is_exact(group)]
    generator = np.random.default_rng(seed)
    draws = []
    for _ in range(DRAWS if sampled else 0):
        weights = dict(means)
        for group in sampled:
            n = sizes[group]
            weights[group] = generator.multinomial(n, np.full(n, 1 / n)) / n
        draws.append(table(weights))
    results, uncertainties = [], []
    for method in methods:
        result = method(tuple(names), payoffs, wins)
        results.append(result)
        uncertainties.append(_uncertainty(result, method, draws))
        if draws and uncertainties[-1] is None:
            notes.append(f"{result.method} has no interval: too few games for a bootstrap")
    complete = zero_sum and not np.isnan(payoffs).any()
    return Standings(
        payoffs=payoffs,
        errors=_errors(tally, meetings),
        wins=wins,
        results=tuple(results),
        uncertainties=tuple(uncertainties),
        transitivity=transitivity(antisymmetric(payoffs)) if complete else None,
        comparisons=_comparisons(payoffs, draws, sources, tally) if complete else (),
        notes=tuple(notes),
    )


def antisymmetric(payoffs: Float64[np.ndarray, "n n"]) -> Float64[np.ndarray, "n n"]:
    """What the row earns more than the value of the game: half the difference to the column."""
    return (payoffs - payoffs.T) / 2


def meta_game(
    payoffs: Float64[np.ndarray, "..."], names: Sequence[str], name: str = "tournament"
) -> NormalForm:
    """The symmetric game in which every player sends an entrant and seats are drawn."""
    P = payoffs.ndim
    # Player p's payoff is the first player's with the axes exchanged.
    own = [np.moveaxis(payoffs, 0, player) for player in range(P)]
    return NormalForm(np.stack(own, axis=-1), strategy_names=[tuple(names)] * P, name=name)


def _payoffs(tally, meetings, weights) -> Float64[np.ndarray, "..."]:
    """What each entrant earns among others, by its own axis first."""
    payoffs = np.full((tally.num_entrants,) * tally.num_players, np.nan)
    for group, share in weights.items():
        mean = share @ meetings[group].payoffs
        for order in set(itertools.permutations(range(len(group)))):
            payoffs[tuple(group[q] for q in order)] = mean[order[0]]
    return payoffs


def _errors(tally, meetings) -> Float64[np.ndarray, "..."]:
    errors = np.full((tally.num_entrants,) * tally.num_players, np.nan)
    for group, meeting in meetings.items():
        own, number = meeting.payoffs, len(meeting.payoffs)
        if tally.is_exact(group):
            error = np.zeros(own.shape[1])
        elif number > 1:
            error = own.std(axis=0, ddof=1) / np.sqrt(number)
        else:
            continue
        for order in set(itertools.permutations(range(len(group)))):
            errors[tuple(group[q] for q in order)] = error[order[0]]
    return errors


def _wins(tally, meetings, weights) -> Float64[np.ndarray, "n n"]:
    """Wins between different entrants; every group counts alike, however often it played."""
    wins = np.zeros((tally.num_entrants,) * 2)
    for group, share in weights.items():
        mean = np.tensordot(share, meetings[group].wins, axes=1)
        for a, b in itertools.permutations(range(len(group)), 2):
            if group[a] != group[b]:
                wins[group[a], group[b]] += mean[a, b]
    return wins


def _methods(payoffs, wins, names, *, zero_sum) -> tuple[list[Method], list[str]]:
    """Methods that can rate this, the primary one first, and why others cannot."""
    methods: list[Method] = []
    notes = []
    if len(names) < 2:
        return [], ["one entrant alone has no rating"]
    if np.isnan(payoffs).any():
        notes.append(
            "not rated by an equilibrium or by alpha-Rank: not every group met (a round robin "
            "fills the table)"
        )
    elif payoffs.size > MAX_PROFILES:
        notes.append(f"not rated by an equilibrium: {payoffs.size:,} profiles are too many")
    else:
        equilibrium = rate_zero_sum if zero_sum else rate_general_sum
        for method in (equilibrium, rate_by_alpha_rank):
            try:
                method(tuple(names), payoffs, wins)
            except SolverError as error:
                notes.append(f"a method found no rating: {error}")
            else:
                methods.append(method)
    try:
        check_comparable(wins, tuple(names))
        methods.append(rate_by_bradley_terry)
    except DataError as error:
        notes.append(str(error))
    methods.append(rate_by_mean)
    return methods, notes


def rate_zero_sum(names: tuple[str, ...], payoffs: np.ndarray, wins: np.ndarray) -> RatingResult:
    """Payoff against the Nash mixture of all entrants, of greatest entropy (Nash averaging)."""
    # Seats are averaged out, so that the value of the game is 0.
    result = average_over_agents(names, antisymmetric(payoffs) / 2)
    return dataclasses.replace(result, method="nash", unit="game points against the Nash mixture")


def rate_general_sum(names: tuple[str, ...], payoffs: np.ndarray, wins: np.ndarray) -> RatingResult:
    """Losses from deviating to an entrant at a coarse correlated equilibrium of all players."""
    game = EvaluationGame(meta_game(payoffs, names), rated=0, prompts=payoffs.ndim - 1)
    result = rate_by_equilibrium(game, "cce")
    return dataclasses.replace(result, unit="game points gained by always sending the entrant")


def rate_by_alpha_rank(
    names: tuple[str, ...], payoffs: np.ndarray, wins: np.ndarray
) -> RatingResult:
    """How long an evolving population stays at each entrant."""
    if payoffs.ndim == 2:
        masses, status = rank_one_population(payoffs)
    else:
        found = solve_alpha_rank(meta_game(payoffs, names).payoffs)
        masses, status = np.mean(found.marginals(), axis=0), found.status
    unit = "share of time the population is of the entrant"
    return _rated("alpha_rank", names, masses, unit, status)


def rate_by_bradley_terry(
    names: tuple[str, ...], payoffs: np.ndarray, wins: np.ndarray
) -> RatingResult:
    """Strengths that make the pairwise outcomes most likely."""
    fit = fit_bradley_terry(wins)
    status = f"gradient of the log-likelihood {fit.residual:.1g} a pair after {fit.steps} steps"
    result = _rated("bradley_terry", names, elo_points(fit.strengths), ELO, status)
    return dataclasses.replace(result, tolerance=ROUNDING * ELO_SCALE)


def rate_by_mean(names: tuple[str, ...], payoffs: np.ndarray, wins: np.ndarray) -> RatingResult:
    """Mean payoff over the known groups with others, in game points."""
    means = np.empty(len(names))
    for k in range(len(names)):
        own = payoffs[k].copy().reshape(-1)
        own[np.ravel_multi_index((k,) * (payoffs.ndim - 1), payoffs.shape[1:])] = np.nan
        means[k] = np.nanmean(own) if not np.isnan(own).all() else 0.0
    return _rated("mean_payoff", names, means, "game points, mean over the others", "a mean")


def _rated(method, names, ratings, unit, status) -> RatingResult:
    return RatingResult(
        method=method,
        models=names,
        ratings=ratings,
        unit=unit,
        tolerance=ROUNDING,
        status=status,
        seconds=0.0,
    )


def _uncertainty(result, method: Method, draws) -> Uncertainty | None:
    """Percentiles of the ratings of the draws."""
    if not draws:
        return None
    ratings = []
    for payoffs, wins in draws:
        # A draw without a finite maximum, or whose equilibrium was missed, says nothing.
        with contextlib.suppress(DataError, SolverError):
            ratings.append(method(result.models, payoffs, wins).ratings)
    if len(ratings) < DRAWS / 2:
        return None
    drawn = np.array(ratings)
    tail = 100 * (1 - LEVEL) / 2
    difference = drawn[:, :, None] - drawn[:, None, :]
    below, above = np.percentile(difference, [tail, 100 - tail], axis=0)
    low, high = np.percentile(drawn, [tail, 100 - tail], axis=0)
    lacking = "" if len(ratings) == DRAWS else f", {DRAWS - len(ratings)} of them without a rating"
    return Uncertainty(
        low=low,
        high=high,
        tied_group=tied_groups(result, (below > 0) | (above < 0)),
        how=f"95 % intervals from {DRAWS} bootstrap draws of the seeds{lacking}",
        draws=drawn,
    )


def _comparisons(payoffs, draws, sources, tally) -> tuple[PopulationComparison, ...]:
    names = list(dict.fromkeys(sources))
    members = {name: [k for k, own in enumerate(sources) if own == name] for name in names}
    populations = [name for name in names if len(members[name]) > 1]
    value = functools.partial(_relative, members=members)
    tail = 100 * (1 - LEVEL) / 2
    found = []
    for first, second in itertools.combinations(populations, 2):
        between = itertools.product(members[first], members[second])
        interval = None
        if not all(tally.is_exact(tuple(sorted(pair))) for pair in between):
            varied = [value(drawn, first, second) for drawn, _ in draws]
            low, high = np.percentile(varied, [tail, 100 - tail])
            interval = (float(low), float(high))
        own = value(payoffs, first, second)
        found.append(PopulationComparison(first, second, own, interval))
    return tuple(found)


def _relative(payoffs, first: str, second: str, *, members) -> float:
    between = antisymmetric(payoffs)[np.ix_(members[first], members[second])]
    return relative_performance(between).value


def group_name(group: Group, names: Sequence[str]) -> str:
    """A group in words."""
    return " vs ".join(names[k] for k in group)
