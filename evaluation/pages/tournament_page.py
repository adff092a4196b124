"""The page of a tournament: who leads and how sure that is, who beats whom, and what went wrong."""

from collections.abc import Sequence

import numpy as np

from evaluation.pages.page import Section, name, page, text
from evaluation.pages.rating_report import rating_text
from evaluation.pages.tables import Cell, Column, bar, table
from evaluation.pages.tournament_content import (
    CYCLE_ERRORS,
    MAX_CYCLES,
    TournamentReport,
    tournament_content,
)
from evaluation.tournament.types import arrangements
from evaluation.types import RatingResult
from evaluation.uncertainty import Uncertainty

MAX_HEAT, MAX_FORFEITS = 40, 200
_STRONGEST = 0.62
METHOD_NAMES = {
    "nash": "Nash averaging",
    "cce": "coarse correlated equilibrium",
    "alpha_rank": "alpha-Rank",
    "bradley_terry": "Bradley-Terry",
    "mean_payoff": "mean payoff",
}


def tournament_page(report: TournamentReport, *, files: Sequence[str] = ()) -> str:
    """One self-contained HTML page.

    Args:
      report: the tournament.
      files: names of the files that stand beside the page.
    """
    own = report.standings
    sections = [Section("ratings", "Ratings", _ratings(report))]
    sections.append(Section("payoffs", "Payoffs", _payoffs(report)))
    if own.comparisons:
        sections.append(Section("populations", "Populations", _populations(report)))
    if own.transitivity is not None:
        sections.append(Section("cycles", "Cycles", _cycles(report)))
    if report.test is not None:
        sections.insert(0, Section("test", "Sequential test", _test(report)))
    sections.append(Section("seats", "Every seating", _seatings(report)))
    sections.append(Section("forfeits", "Forfeits", _forfeits(report)))
    sections.append(Section("data", "Data", _data(report, files)))
    return page(
        f"Tournament: {report.game}",
        sections,
        lead=f'<p class="lead">{_lead(report)}</p>',
        embedded=tournament_content(report),
    )


def _lead(report: TournamentReport) -> str:
    own, tally = report.standings, report.tally
    exact = sum(tally.is_exact(group) for group in tally.groups())
    words = f"{tally.num_games:,} games of {len(report.names)} entrants"
    words += (
        f"; payoffs of {exact:,} of {len(tally.groups()):,} groups are exact." if exact else "."
    )
    if own.results:
        first = own.results[0]
        best = [first.models[k] for k in first.order() if _group(report)[k] == 1]
        shown = ", ".join(map(name, best[:3])) + (f" and {len(best) - 3} more" if best[3:] else "")
        verb = "leads" if len(best) == 1 else "lead and are not told apart"
        words = f"By {_method(first)}, {shown} {verb}. {words}"
    return words


def _group(report: TournamentReport) -> np.ndarray:
    """Groups of entrants that the games do not tell apart, from 1."""
    first, uncertainty = report.standings.results[0], report.standings.uncertainties[0]
    return first.ranks() if uncertainty is None else uncertainty.tied_group + 1


def _ratings(report: TournamentReport) -> str:
    own = report.standings
    if not own.results:
        return "".join(f"<p>{text(note)}</p>" for note in own.notes)
    first, groups = own.results[0], _group(report)
    columns = [Column("Rank", sorted_by=True, low_first=True), Column("Entrant", kind="text")]
    for result in own.results:
        columns.append(Column(_method(result), note=result.unit))
        columns.append(Column("95 %", note="interval, sorted by its lower end"))
    columns.append(Column("Tied group", low_first=True))
    ranks, exact = first.ranks(), report.tally.all_exact
    rows = []
    for k in first.order().tolist():
        row = [Cell(str(ranks[k]), int(ranks[k])), Cell(name(first.models[k]), first.models[k])]
        row[1] = Cell(name(first.models[k]), first.models[k], head=True)
        for result, uncertainty in zip(own.results, own.uncertainties, strict=True):
            row.append(Cell(rating_text(result, result.ratings[k]), result.ratings[k]))
            row.append(_interval(result, uncertainty, k, exact=exact))
        row.append(Cell(str(groups[k]), int(groups[k])))
        rows.append(row)
    without = "all payoffs are exact" if exact else "too few games for intervals"
    how = next((u.how for u in own.uncertainties if u is not None), without)
    told = table(
        "Ratings",
        f"By {_method(first)} ({first.unit}). {how}; a group is not told apart from its best.",
        columns,
        rows,
        sortable=True,
        row_classes=["even" if groups[k] % 2 == 0 else "odd" for k in first.order().tolist()],
    )
    methods = "".join(
        f"<dt>{text(_method(result))}</dt><dd>{text(result.unit)}. {text(result.status)}.</dd>"
        for result in own.results
    )
    return f"{told}<details><summary>Methods</summary><dl>{methods}</dl></details>"


def _interval(
    result: RatingResult, uncertainty: Uncertainty | None, k: int, *, exact: bool
) -> Cell:
    if uncertainty is None:
        return Cell(f'<span class="quiet">{"exact" if exact else "not known"}</span>')
    low, high = uncertainty.low[k], uncertainty.high[k]
    if low == high:
        return Cell('<span class="quiet">does not vary</span>', low)
    return Cell(f"{rating_text(result, low)} to {rating_text(result, high)}", low)


def _payoffs(report: TournamentReport) -> str:
    own = report.standings
    others = tuple(range(2, own.payoffs.ndim))
    with np.errstate(invalid="ignore"):
        matrix = own.payoffs.mean(axis=others) if others else own.payoffs
    order = own.results[0].order().tolist() if own.results else list(range(len(report.names)))
    shown = order[:MAX_HEAT]
    largest = float(np.nanmax(np.abs(matrix), initial=0.0)) or 1.0
    digits = int(np.clip(2 - np.floor(np.log10(largest)), 0, 8))
    rows = []
    for a in shown:
        row = [Cell(name(report.names[a]), head=True)]
        for b in shown:
            paid = matrix[a, b]
            if np.isnan(paid):
                row.append(Cell('<span class="quiet" aria-label="not known">·</span>'))
                continue
            sign = "gain" if paid >= 0 else "loss"
            style = f"background:rgb(var(--{sign}-rgb) / {_STRONGEST * abs(paid) / largest:.2f})"
            error = np.nan if others else own.errors[a, b]
            estimated = not np.isnan(error) and not report.tally.is_exact((min(a, b), max(a, b)))
            plus = f'<br><span class="quiet">±{error:.2g}</span>' if estimated else ""
            row.append(Cell(f"{round(paid, digits) + 0.0:.{digits}f}{plus}", paid, style=style))
        rows.append(row)
    columns = [Column("Entrant", kind="text"), *(Column(report.names[k]) for k in shown)]
    third = "; the other seats average over all entrants" if others else ""
    caption = (
        "What the row earns when it meets the column, in game points, averaged over all seatings"
        f"{third}. Below it the standard error; nothing where exact. Blue earns, orange loses."
    )
    return table("Payoffs", caption, columns, rows, kind="heat")


def _populations(report: TournamentReport) -> str:
    rows = []
    for one in report.standings.comparisons:
        interval = (
            "exact" if one.interval is None else f"{one.interval[0]:.4g} to {one.interval[1]:.4g}"
        )
        rows.append(
            [
                Cell(name(one.first), one.first, head=True),
                Cell(name(one.second), one.second),
                Cell(f"{one.value + 0.0:.5g}", one.value),
                Cell(text(interval)),
            ]
        )
    columns = [Column("Population", kind="text"), Column("Against", kind="text")]
    columns += [Column("Relative performance"), Column("95 %")]
    caption = (
        "Relative population performance (Balduzzi et al. 2019): the value of the game in which "
        "each side mixes the members of its population, to the first, in game points."
    )
    return table("Populations", caption, columns, rows)


def _cycles(report: TournamentReport) -> str:
    found, cycles = report.standings.transitivity, report.cycles()
    if np.isnan(found.transitive):
        return "<p>All entrants earn alike.</p>"
    words = (
        f"<p>Ratings explain {100 * found.transitive:.1f} % of the squared payoffs; cycles, which "
        f"no rating can show, are the other {100 * found.cyclic:.1f} % (Hodge decomposition).</p>"
    )
    if not cycles:
        return f"{words}<p>No three entrants beat each other in a circle beyond chance.</p>"
    items = "".join(
        "<li>"
        + " beats ".join(name(report.names[k]) for k in (*one.members, one.members[0]))
        + f" <span class='quiet'>(by at least {one.strength:.3g})</span></li>"
        for one in cycles[:MAX_CYCLES]
    )
    more = f" The {MAX_CYCLES} strongest of {len(cycles):,}." if len(cycles) > MAX_CYCLES else ""
    return (
        f"{words}<p>Circles in which every win is more than {CYCLE_ERRORS:g} standard errors:{more}"
        f"</p><ul>{items}</ul>"
    )


def _test(report: TournamentReport) -> str:
    test, (first, second) = report.test, report.names
    low, high = report.settings["elo"]
    result = {
        "H1": f"H1 is accepted: {name(first)} is stronger by {high:g} Elo points, not {low:g}.",
        "H0": f"H0 is accepted: {name(first)} is not stronger by {high:g} Elo points.",
        None: "Neither hypothesis was accepted before the games ran out.",
    }[test.accepted]
    return (
        f"<p>{result} It scored {100 * test.score:.2f} % against {name(second)} over "
        f"{test.seedings:,} pairs of games; the log-likelihood ratio is {test.ratio:.3f} "
        f"(bounds {test.lower:.3f} and {test.upper:.3f}).</p>"
    )


def _seatings(report: TournamentReport) -> str:
    payoffs, errors, counts = report.tally.tensors()
    seats = range(report.tally.num_players)
    columns = [Column(f"Seat {seat}", kind="text") for seat in seats] + [Column("Games")]
    for seat in seats:
        columns += [Column(f"Payoff {seat}"), Column("±", note="standard error")]
    largest = float(np.nanmax(np.abs(payoffs), initial=0.0)) or 1.0
    columns.append(Column("Seat 0", kind="bar"))
    rows = []
    for group in report.tally.groups():
        for seating in arrangements(group):
            row = [Cell(name(report.names[k]), report.names[k]) for k in seating]
            row.append(Cell(f"{counts[seating]:,}", int(counts[seating])))
            for seat in seats:
                paid, error = payoffs[seating][seat], errors[seating][seat]
                row.append(Cell(f"{paid + 0.0:.4g}", paid))
                row.append(Cell(_error(error, exact=report.tally.is_exact(group)), error))
            row.append(Cell(bar(payoffs[seating][0] / largest)))
            rows.append(row)
    caption = "Mean returns in game points; standard errors over games, where not exact."
    seatings = table("Every seating", caption, columns, rows, sortable=True)
    return f"<details><summary>{len(rows):,} seatings</summary>{seatings}</details>"


def _error(error: float, *, exact: bool) -> str:
    """A standard error; games that all ended alike have 0 and are no exact payoffs."""
    if exact:
        return '<span class="quiet">exact</span>'
    return '<span class="quiet">not known</span>' if np.isnan(error) else f"{error:.2g}"


def _forfeits(report: TournamentReport) -> str:
    found = report.tally.forfeits()
    if not found:
        return "<p>No entrant moved illegally, crashed or ran out of time.</p>"
    rows = []
    for item, lost in found[:MAX_FORFEITS]:
        seating = arrangements(item.group)[lost.arrangement]
        entrant = report.names[seating[lost.seat]]
        rows.append(
            [
                Cell(name(entrant), entrant, head=True),
                Cell(str(lost.seat), lost.seat),
                Cell(", ".join(name(report.names[k]) for k in seating)),
                Cell(text(lost.reason)),
                Cell(text(lost.detail)),
            ]
        )
    columns = [
        Column("Entrant", kind="text"),
        Column("Seat"),
        Column("Seating", kind="text"),
        Column("Reason", kind="text"),
        Column("What happened", kind="text"),
    ]
    of = f" The first {MAX_FORFEITS} of {len(found):,}." if len(found) > MAX_FORFEITS else ""
    caption = f"Games that an entrant lost by breaking the rules, with the least return.{of}"
    return table("Forfeits", caption, columns, rows, sortable=True)


def _data(report: TournamentReport, files: Sequence[str]) -> str:
    rows = [(key.replace("_", " "), value) for key, value in report.settings.items()]
    rows.append(("decisions", f"{report.tally.num_decisions:,}"))
    rows.append(("seconds of play", f"{report.tally.seconds:.1f}, all workers together"))
    listed = "".join(
        f"<dt>{text(key)}</dt><dd>{text(_value(value))}</dd>"
        for key, value in rows
        if value is not None
    )
    parts = [f"<dl>{listed}</dl>"]
    if report.standings.notes:
        notes = "".join(f"<li>{text(note)}</li>" for note in report.standings.notes)
        parts.append(f"<h3>What to know</h3><ul>{notes}</ul>")
    if files:
        names = "".join(f'<li><a href="{text(file)}">{text(file)}</a></li>' for file in files)
        parts.append(f"<h3>Files beside this page</h3><ul>{names}</ul>")
    return "\n".join(parts)


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}: {own}" for key, own in value.items())
    return str(value)


def _method(result: RatingResult) -> str:
    return METHOD_NAMES.get(result.method, result.method)
