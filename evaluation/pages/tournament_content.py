"""A tournament for programs and spreadsheets: JSON and CSV, and payoffs that `neupl rate` reads."""

import dataclasses
import json
from typing import Any

import numpy as np

from evaluation.pages.tables import csv_bytes
from evaluation.relative_performance import Cycle, three_cycles
from evaluation.tournament.schedule import SequentialTest
from evaluation.tournament.standings import Standings, antisymmetric, meta_game
from evaluation.tournament.tally import Tally
from evaluation.tournament.types import arrangements
from evaluation.types import RatingResult
from evaluation.uncertainty import Uncertainty
from games.payoff_files import payoffs_json

# Cycles that are named; three strategies each.
MAX_CYCLES = 20
# Standard errors that a payoff must be away from 0 to count as a win in a cycle.
CYCLE_ERRORS = 2.0


@dataclasses.dataclass(frozen=True, eq=False)
class TournamentReport:
    """What a tournament's page and files are made of.

    Attributes:
      game: what `games.load_lanes` accepts.
      names: of the entrants.
      tally: all games, and what is exact.
      standings: ratings.
      settings: what the tournament was, plain JSON.
      test: where a sequential test ended; `None` of other formats.
    """

    game: str
    names: tuple[str, ...]
    tally: Tally
    standings: Standings
    settings: dict[str, Any]
    test: SequentialTest | None = None

    def cycles(self) -> list[Cycle]:
        """Three entrants each of which beats the next beyond chance, where every pair met."""
        own = self.standings
        if own.transitivity is None:
            return []
        margin = CYCLE_ERRORS * np.nan_to_num(own.errors, nan=np.inf)
        return three_cycles(antisymmetric(own.payoffs), margin=np.maximum(margin, 1e-9))


def tournament_content(report: TournamentReport) -> dict[str, Any]:
    """The tournament as strict JSON: `None` where there is no number."""
    payoffs, errors, counts = report.tally.tensors()
    own = report.standings
    first = own.results[0] if own.results else None
    return {
        "game": report.game,
        "entrants": list(report.names),
        "payoffs": _plain(payoffs),
        "standard_errors": _plain(errors),
        "games": counts.tolist(),
        "exact_groups": [list(g) for g in report.tally.groups() if report.tally.is_exact(g)],
        "mean_payoffs": _plain(own.payoffs),
        "mean_payoff_errors": _plain(own.errors),
        "ratings": _ratings(first, own.uncertainties[0]) if first else [],
        "method": first and first.method,
        "unit": first and first.unit,
        "certificate": first and first.certificate and dataclasses.asdict(first.certificate),
        "others": [
            {
                "method": result.method,
                "unit": result.unit,
                "status": result.status,
                "ratings": _ratings(result, uncertainty),
            }
            for result, uncertainty in zip(own.results[1:], own.uncertainties[1:], strict=True)
        ],
        "transitivity": own.transitivity
        and {
            "transitive": _number(own.transitivity.transitive),
            "cyclic": _number(own.transitivity.cyclic),
        },
        "cycles": [
            {"members": [report.names[k] for k in cycle.members], "strength": cycle.strength}
            for cycle in report.cycles()[:MAX_CYCLES]
        ],
        "relative_performance": [dataclasses.asdict(one) for one in own.comparisons],
        "sprt": report.test
        and {**report.test._asdict(), "accepted": report.test.accepted, "unit": "nats"},
        "forfeits": [
            {
                "group": [report.names[k] for k in item.group],
                "block": item.block,
                "entrant": report.names[arrangements(item.group)[lost.arrangement][lost.seat]],
                **lost._asdict(),
            }
            for item, lost in report.tally.forfeits()
        ],
        "num_games": report.tally.num_games,
        "num_decisions": report.tally.num_decisions,
        "play_seconds": report.tally.seconds,
        "settings": report.settings,
        "notes": list(own.notes),
    }


def tournament_files(report: TournamentReport) -> dict[str, bytes]:
    """The files beside the page, by name."""
    files = {
        "tournament.json": (json.dumps(tournament_content(report), indent=1) + "\n").encode(),
        "results.csv": _results_csv(report),
        "ratings.csv": _ratings_csv(report),
    }
    own = report.standings
    if not np.isnan(own.payoffs).any() and len(report.names) > 1:
        files["payoffs.json"] = payoffs_json(meta_game(own.payoffs, report.names)).encode()
    if report.tally.num_players == 2:
        battles = _battles(report)
        if battles:
            header = ("model_a", "model_b", "outcome")
            files["battles.csv"] = csv_bytes(header, battles)
    return files


def _ratings(result: RatingResult, uncertainty: Uncertainty | None) -> list[dict[str, Any]]:
    """Best first."""
    ranks = result.ranks()
    groups = ranks if uncertainty is None else uncertainty.tied_group + 1
    return [
        {
            "name": result.models[k],
            "rating": _number(result.ratings[k]),
            "rank": int(ranks[k]),
            "interval": None
            if uncertainty is None
            else [_number(uncertainty.low[k]), _number(uncertainty.high[k])],
            "tied_group": int(groups[k]),
        }
        for k in result.order()
    ]


def _results_csv(report: TournamentReport) -> bytes:
    payoffs, errors, counts = report.tally.tensors()
    seats = range(report.tally.num_players)
    header = [
        *(f"seat_{s}" for s in seats),
        "games",
        "exact",
        *(f"payoff_{s}" for s in seats),
        *(f"standard_error_{s}" for s in seats),
    ]
    rows = []
    for group in report.tally.groups():
        for seating in arrangements(group):
            rows.append(
                [
                    *(report.names[k] for k in seating),
                    int(counts[seating]),
                    str(report.tally.is_exact(group)).lower(),
                    *map(_number, payoffs[seating]),
                    *map(_number, errors[seating]),
                ]
            )
    return csv_bytes(header, rows)


def _ratings_csv(report: TournamentReport) -> bytes:
    rows = []
    for result, uncertainty in zip(
        report.standings.results, report.standings.uncertainties, strict=True
    ):
        for entry in _ratings(result, uncertainty):
            low, high = entry["interval"] or (None, None)
            rows.append(
                [
                    result.method,
                    entry["rank"],
                    entry["name"],
                    entry["rating"],
                    low,
                    high,
                    result.unit,
                ]
            )
    return csv_bytes(("method", "rank", "entrant", "rating", "low", "high", "unit"), rows)


def _battles(report: TournamentReport) -> list[tuple[str, str, float]]:
    """Every game between two entrants, the one in the first seat first: who earned more."""
    rows = []
    for group in report.tally.groups():
        if group[0] == group[1]:
            continue
        for seating, games in zip(arrangements(group), report.tally.returns(group), strict=True):
            names = [report.names[k] for k in seating]
            outcome = (np.sign(games[:, 0] - games[:, 1]) + 1) / 2
            rows += [(*names, float(share)) for share in outcome]
    return rows


def _plain(values: np.ndarray) -> Any:
    if values.ndim == 0:
        return _number(values)
    return [_plain(row) for row in values]


def _number(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None
