"""What a rating page, its tables and `neupl rate --json` are made of."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64

from evaluation.outcomes import Missing, scores_against_baseline, win_counts
from evaluation.ratings import Evaluation
from evaluation.redundancy.types import Audit
from evaluation.types import Battles, DataError, RatingResult
from evaluation.uncertainty import Uncertainty
from games.normal_form import NormalForm


@dataclasses.dataclass(frozen=True)
class RatingReport:
    """Ratings of one evaluation by one or more methods.

    Attributes:
      evaluation: what was rated.
      results: by each method; the first one ranks.
      uncertainties: of each result, `None` where there is no interval.
      notes: what a reader should know about data and methods, one sentence each.
      categories: of each prompt by name, to add attributions up by; `None` if there are none.
      missing: what became of battles that were not fought.
      seat: of a payoff tensor, the player whose strategies are rated.
      audit: of redundancy; `None` where none was asked for.
    """

    evaluation: Evaluation
    results: tuple[RatingResult, ...]
    uncertainties: tuple[Uncertainty | None, ...]
    notes: tuple[str, ...] = ()
    categories: Mapping[str, str] | None = None
    missing: Missing = "drop"
    seat: int = 0
    audit: Audit | None = None

    @property
    def first(self) -> RatingResult:
        """The ratings that rank."""
        return self.results[0]

    @property
    def prompt_word(self) -> str:
        """What the ratings are attributed to, in the singular."""
        return "opposing strategy" if isinstance(self.evaluation, NormalForm) else "prompt"

    @property
    def model_word(self) -> str:
        """What is rated, in the singular."""
        return "strategy" if isinstance(self.evaluation, NormalForm) else "model"

    @property
    def rated_player(self) -> str:
        """Who plays what is rated."""
        return f"seat {self.seat}" if isinstance(self.evaluation, NormalForm) else "king"

    def payoffs(self) -> Float64[np.ndarray, "K M"] | None:
        """What each rated strategy earns against each of the opponent's, of a payoff tensor of two
        players; else `None`.
        """
        if not isinstance(self.evaluation, NormalForm) or self.evaluation.num_players != 2:
            return None
        own = self.evaluation.payoffs[..., self.seat]
        return own.T if self.seat else own

    def tied_groups(self) -> list[int]:
        """The group of each model, from 1 for the best: of what the data do not tell apart, or
        without intervals of what shares a rank.
        """
        uncertainty = self.uncertainties[0]
        if uncertainty is not None:
            return (uncertainty.tied_group + 1).tolist()
        ranks = self.first.ranks()
        return (np.searchsorted(np.unique(ranks), ranks) + 1).tolist()

    def win_rates(self) -> Float64[np.ndarray, "n n"] | None:
        """How often the model of a row beat that of a column over all prompts; NaN where the two
        never met, `None` where the evaluation has no battles or too many to count.
        """
        if isinstance(self.evaluation, NormalForm):
            return None
        try:
            wins = win_counts(scores_against_baseline(self.evaluation, missing=self.missing))
        except DataError:
            return None
        games = wins + wins.T
        with np.errstate(invalid="ignore"):
            return wins / games

    def category_parts(
        self,
    ) -> tuple[tuple[str, ...], Float64[np.ndarray, "C"], Float64[np.ndarray, "C n"]] | None:
        """Names of categories, how often each is drawn, and its part of each rating; `None` without
        categories or attribution. Prompts without a category are `(none)`.
        """
        made = self.first.attribution
        if self.categories is None or made is None:
            return None
        own = [self.categories.get(prompt, "(none)") for prompt in made.prompts]
        names, place = np.unique(np.array(own, object), return_inverse=True)
        masses = np.bincount(place, weights=made.prompt_masses, minlength=len(names))
        parts = np.zeros((len(names), made.contributions.shape[1]))
        np.add.at(parts, place, made.contributions)
        return tuple(names), masses, parts


def rating_text(result: RatingResult, value: float) -> str:
    """A rating, or an end of its interval, with the digits that mean something."""
    digits = 1 if "Elo" in result.unit else 5
    # A loss of nothing is no negative number, and one of little is not nothing.
    if abs(value) <= result.tolerance:
        return f"{0.0:.{digits}f}"
    return f"{value:.{digits}f}" if abs(value) >= 0.5 * 10.0**-digits else f"{value:.1g}"


def rating_content(report: RatingReport) -> dict[str, Any]:
    """The ratings for programs, as strict JSON: best first, `None` where there is no number."""
    first, ranks = report.first, report.first.ranks()
    uncertainty, made = report.uncertainties[0], report.first.attribution
    groups = report.tied_groups() if uncertainty is not None else ranks.tolist()
    ratings = []
    for k in first.order():
        entry: dict[str, Any] = {
            "name": first.models[k],
            "rating": number(first.ratings[k]),
            "rank": int(ranks[k]),
            "interval": None,
            "tied_group": groups[k],
        }
        if uncertainty is not None:
            entry["interval"] = [number(uncertainty.low[k]), number(uncertainty.high[k])]
        if made is not None:
            entry["mass"] = number(made.model_masses[k])
        ratings.append(entry)
    tensor = isinstance(report.evaluation, NormalForm)
    content = {
        "ratings": ratings,
        "method": first.method,
        "unit": first.unit,
        "tolerance": first.tolerance,
        "status": first.status,
        "certificate": _certificate(first),
        "interval": None if uncertainty is None else uncertainty.how,
        "models": len(first.models),
        "prompts": None if tensor else len(report.evaluation.prompts),
        "notes": list(report.notes),
        "others": [
            {
                "method": other.method,
                "unit": other.unit,
                "status": other.status,
                "certificate": _certificate(other),
                "ratings": dict(zip(other.models, map(number, other.ratings), strict=True)),
            }
            for other in report.results[1:]
        ],
    }
    if made is not None:
        masses = map(number, made.prompt_masses)
        content["prompt_masses"] = dict(zip(made.prompts, masses, strict=True))
    content["redundancy"] = report.audit and dataclasses.asdict(report.audit)
    return content


def number(value: float) -> float | None:
    """A plain number; `None` if it is not finite."""
    return float(value) if math.isfinite(value) else None


def data_rows(report: RatingReport) -> list[tuple[str, str]]:
    """What was rated, as pairs of a name and a value."""
    evaluation = report.evaluation
    if isinstance(evaluation, NormalForm):
        sizes = " x ".join(map(str, evaluation.payoffs.shape[:-1]))
        return [
            ("Source", evaluation.name),
            ("Kind", f"payoff tensor of {evaluation.num_players} players"),
            ("Strategies", sizes),
        ]
    rows = [
        ("Source", evaluation.source),
        ("Models", f"{len(evaluation.models):,}"),
        ("Prompts", f"{len(evaluation.prompts):,}"),
    ]
    if isinstance(evaluation, Battles):
        ties = np.mean(evaluation.outcome == 0.5)
        rows += [
            ("Kind", "battles of two models"),
            ("Battles", f"{len(evaluation.first):,}, of which {ties:.1%} are ties"),
        ]
        baseline = evaluation.baseline()
        if baseline is not None:
            rows.append(("Baseline", f"{evaluation.models[baseline]} is in every battle"))
    else:
        absent = int(np.count_nonzero(np.isnan(evaluation.scores)))
        errors = "without" if evaluation.errors is None else "with"
        rows += [
            ("Kind", f"scores of models on prompts, {errors} standard deviations"),
            ("Scores", f"{evaluation.scores.size - absent:,}, {absent:,} are missing"),
        ]
    if report.categories is not None:
        found = {report.categories.get(prompt) for prompt in evaluation.prompts} - {None}
        rows.append(("Categories", f"{len(found):,}"))
    return rows


def _certificate(result: RatingResult) -> dict[str, Any] | None:
    if result.certificate is None:
        return None
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(result.certificate).items()
    }
