"""The page of a rating: who leads and how sure that is, what made it so, and by which method."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from evaluation.pages.page import Section, name, page, text
from evaluation.pages.rating_audit import audit_section
from evaluation.pages.rating_figures import MAX_DRAWN, ratings_svg
from evaluation.pages.rating_heat import payoffs_table, win_rates_table
from evaluation.pages.rating_methods import methods_section
from evaluation.pages.rating_report import (
    RatingReport,
    data_rows,
    number,
    rating_content,
    rating_text,
)
from evaluation.pages.tables import Cell, Column, bar, table
from evaluation.types import Attribution, RatingResult
from evaluation.uncertainty import Uncertainty

# Above so many models a page would be too large to be read; the tables beside it have all of them.
MAX_EXPLAINED = 150
# Prompts that are named for each model, half of them losses, and in the support.
EXPLAINED_PROMPTS, SUPPORT_PROMPTS = 12, 25

# Equilibria by their full names.
_CONCEPTS = {
    "cce": "the coarse correlated equilibrium (cce)",
    "ce": "the correlated equilibrium (ce)",
    "nash": "the Nash equilibrium (nash)",
    "deviation": "deviation ratings",
}


def rating_page(report: RatingReport, *, files: Sequence[str] = ()) -> str:
    """One self-contained HTML page: no other file and no network is needed to read it.

    Args:
      report: the ratings; what it lacks (intervals, attribution, win rates) is left out and said.
      files: names of the files that stand beside the page.
    """
    sections = [Section("leaderboard", "Leaderboard", _leaderboard(report))]
    if len(report.results) > 1:
        sections.append(Section("side-by-side", "Methods side by side", _side_by_side(report)))
    made = report.first.attribution
    if made is not None:
        sections.append(Section("attribution", "What makes a rating", _attribution(report, made)))
        sections.append(Section("support", "Equilibrium support", _support(report, made)))
    rates = report.win_rates()
    if rates is not None:
        sections.append(Section("win-rates", "Win rates", win_rates_table(report, rates)))
    payoffs = report.payoffs()
    if payoffs is not None:
        sections.append(Section("payoffs", "Payoffs", payoffs_table(report, payoffs)))
    if report.audit is not None:
        sections.append(Section("redundancy", "Redundancy audit", audit_section(report.audit)))
    sections.append(Section("data", "Data", _data(report, files)))
    sections.append(Section("methods", "Methods and certificates", methods_section(report)))
    return page(
        f"Ratings: {_source(report)}",
        sections,
        lead=f'<p class="lead">{_lead(report)}</p>',
        embedded=page_data(report),
    )


def page_data(report: RatingReport) -> dict[str, Any]:
    """What the page shows, for programs: the ratings, and the whole attribution to six digits."""
    content = rating_content(report)
    made = report.first.attribution
    if made is not None:
        content["attribution"] = {
            "models": list(report.first.models),
            "prompts": list(made.prompts),
            "prompt_masses": _digits(made.prompt_masses),
            "king_masses": _digits(made.model_masses),
            "rebel_masses": None if made.rebel_masses is None else _digits(made.rebel_masses),
            "contributions": [_digits(row) for row in made.contributions],
        }
    rates = report.win_rates()
    if rates is not None:
        content["win_rates"] = {
            "models": list(report.evaluation.models),
            "rates": [_digits(row) for row in rates],
        }
    return content


def _lead(report: RatingReport) -> str:
    """The result in a sentence or two."""
    first, groups = report.first, np.array(report.tied_groups())
    best = [first.models[k] for k in first.order().tolist() if groups[k] == 1]
    shown = ", ".join(map(name, best[:4]))
    more = f" and {len(best) - 4} more" if len(best) > 4 else ""
    if len(best) == 1:
        words = f"By {_method(first)}, {shown} leads {_several(report)}."
    else:
        why = "share the best rating"
        if report.uncertainties[0] is not None:
            why = "lead and are not told apart by the data"
        words = f"By {_method(first)}, {shown}{more} {why}, of {_several(report)}."
    if first.certificate is not None:
        words += f" The equilibrium is exact to a gap of {first.certificate.value:.2g}."
    return words


def _leaderboard(report: RatingReport) -> str:
    first, uncertainty = report.first, report.uncertainties[0]
    ranks, groups, made = first.ranks(), report.tied_groups(), first.attribution
    columns = [
        Column("Rank", sorted_by=True, low_first=True),
        Column(report.model_word.capitalize(), kind="text"),
        Column(f"Rating ({first.method})"),
    ]
    if uncertainty is not None:
        columns.append(Column("95 % interval", note="sorted by its lower end"))
    columns.append(Column("Tied group", low_first=True))
    if made is not None:
        who, word = report.rated_player, report.model_word
        note = f"how often the {word} is drawn for the {who}"
        columns.append(Column(f"{who.capitalize()} mass", note=note))
    rows = []
    for k in first.order().tolist():
        row = [
            Cell(str(ranks[k]), int(ranks[k])),
            Cell(name(first.models[k]), first.models[k], head=True),
            Cell(rating_text(first, first.ratings[k]), first.ratings[k]),
        ]
        if uncertainty is not None:
            row.append(_interval(first, uncertainty, k))
        row.append(Cell(str(groups[k]), groups[k]))
        if made is not None:
            row.append(Cell(f"{made.model_masses[k]:.4f}", made.model_masses[k]))
        rows.append(row)
    if uncertainty is None:
        told = "No intervals: none were asked for (--bootstrap N); a group shares a rank."
    else:
        told = (
            f"{uncertainty.how}, estimated; a group is its best {report.model_word} and the next "
            "ones that are not told apart from it."
        )
    shown = table(
        "Leaderboard",
        f"Ratings count {first.unit}; more is better. {told}",
        columns,
        rows,
        sortable=True,
        row_classes=["even" if groups[k] % 2 == 0 else "odd" for k in first.order().tolist()],
    )
    of = f" of the best {MAX_DRAWN}" if len(first.models) > MAX_DRAWN else ""
    caption = f"Ratings{of} by {_method(first)}; the colour changes with the group."
    return f"{shown}\n<figure>{_described(ratings_svg(report), caption)}</figure>"


def _described(svg: str, caption: str) -> str:
    """A figure that a screen reader takes as one picture: its numbers are in the table above."""
    opening = f'<svg role="img" aria-label="{text(caption)}"'
    return f"{svg.replace('<svg', opening, 1)}<figcaption>{text(caption)}</figcaption>"


def _side_by_side(report: RatingReport) -> str:
    results = report.results
    columns = [Column(report.model_word.capitalize(), kind="text")]
    columns += [
        Column(result.method, sorted_by=result is report.first, note=result.unit)
        for result in results
    ]
    places = [{model: k for k, model in enumerate(result.models)} for result in results]
    ranks = [result.ranks() for result in results]
    rows = []
    for model in (report.first.models[k] for k in report.first.order()):
        row = [Cell(name(model), model, head=True)]
        for result, own, place, uncertainty in zip(
            results, ranks, places, report.uncertainties, strict=True
        ):
            if model not in place:
                row.append(Cell('<span class="quiet">not rated</span>'))
                continue
            k = place[model]
            words = f"{rating_text(result, result.ratings[k])} "
            words += f'<span class="quiet">rank {own[k]}</span>'
            if uncertainty is not None and result is not report.first:
                words += f"<br>{_interval(result, uncertainty, k).body}"
            row.append(Cell(words, result.ratings[k]))
        rows.append(row)
    caption = (
        "Each method's rating, its rank, and its 95 % interval where the method estimates one. "
        "Ratings of different methods count different things; compare their ranks."
    )
    return table("Methods side by side", caption, columns, rows, sortable=True)


def _attribution(report: RatingReport, made: Attribution) -> str:
    """For each model the prompts, and categories, that raise and lower its rating most."""
    first, word = report.first, report.prompt_word
    categories = report.category_parts()
    explained = first.order().tolist()[:MAX_EXPLAINED]
    parts = [
        f"<p>A rating is a sum over {_plural(word)}: what always playing it gains or loses "
        f"in draws with that {word}. The parts below add up to the rating; those that lower "
        "and raise it most are named. Bars compare the parts of one "
        f"{report.model_word}.</p>"
    ]
    for place, k in enumerate(explained):
        rating = f"{rating_text(first, first.ratings[k])}"
        tables = []
        if categories is not None:
            names, _, by_category = categories
            own = by_category[:, k]
            tables.append(_parts_table(place, "Category", "categories", names, own, first))
        tables.append(
            _parts_table(
                place,
                word.capitalize(),
                _plural(word),
                made.prompts,
                made.contributions[:, k],
                first,
            )
        )
        parts.append(
            f"<details{' open' if place == 0 else ''}><summary>{name(first.models[k])} "
            f'<span class="quiet">{rating}</span></summary>'
            f'<div class="columns">{"".join(tables)}</div></details>'
        )
    if len(explained) < len(first.models):
        parts.append(
            f"<p>{len(first.models) - len(explained):,} {_plural(report.model_word)} with lower "
            "ratings are in the tables beside this page.</p>"
        )
    return "\n".join(parts)


def _parts_table(
    place: int,
    title: str,
    plural: str,
    names: Sequence[str],
    parts: Float64[np.ndarray, "Q"],
    result: RatingResult,
) -> str:
    order = np.argsort(parts, kind="stable")
    half = EXPLAINED_PROMPTS // 2
    shown = order if len(order) <= EXPLAINED_PROMPTS else np.r_[order[:half], order[-half:]]
    scale = np.abs(parts).max() or 1.0
    rows = []
    for q in shown:
        rows.append(
            [
                Cell(name(names[q]), names[q], head=True),
                Cell(_signed(parts[q]), parts[q]),
                Cell(bar(parts[q] / scale)),
            ]
        )
    others = len(names) - len(shown)
    if others:
        rest = float(parts.sum() - parts[shown].sum())
        rows.append(
            [Cell(f"{others:,} other {plural}", head=True), Cell(_signed(rest), rest), Cell("")]
        )
    total = float(parts.sum())
    rows.append([Cell("all", head=True), Cell(_signed(total), total), Cell("")])
    columns = [Column(title, kind="text"), Column("Part"), Column("Bar", kind="bar")]
    # Every table of a page has a name of its own.
    label = f"By {title.lower()}, place {place + 1}"
    return table(label, f"In {result.unit}.", columns, rows)


def _support(report: RatingReport, made: Attribution) -> str:
    """How often prompts, king and rebel are drawn."""
    first, word = report.first, report.prompt_word
    drawn = np.argsort(-made.prompt_masses, kind="stable")[:SUPPORT_PROMPTS]
    masses = [(report.rated_player.capitalize(), made.model_masses)]
    models = _plural(report.model_word)
    if made.rebel_masses is not None:
        masses.append(("Rebel", made.rebel_masses))
    said = [
        f"{_effective(made.prompt_masses):.1f} {_plural(word)} of {len(made.prompts):,}",
        *(f"{_effective(own):.1f} {models} for the {who.lower()}" for who, own in masses),
    ]
    intro = (
        "<p>An equilibrium is played by drawing from these. Their effective numbers (the "
        f"exponential of the entropy) are {'; '.join(said)}. Exact copies share one mass.</p>"
    )
    columns = [Column(report.model_word.capitalize(), kind="text")]
    for who, _ in masses:
        columns += [Column(f"{who} mass"), Column(f"{who} bar", kind="bar")]
    order = np.lexsort((first.ranks(), -made.model_masses))
    rows = []
    for k in order[:MAX_EXPLAINED]:
        row = [Cell(name(first.models[k]), first.models[k], head=True)]
        for _, own in masses:
            row += [Cell(f"{own[k]:.4f}", own[k]), Cell(bar(own[k] / own.max()))]
        rows.append(row)
    told = f"How often each {report.model_word} is played."
    played = table(f"{models.capitalize()} drawn", told, columns, rows)
    largest = made.prompt_masses.max()
    rows = [
        [
            Cell(name(made.prompts[q]), made.prompts[q], head=True),
            Cell(f"{made.prompt_masses[q]:.5f}", made.prompt_masses[q]),
            Cell(bar(made.prompt_masses[q] / largest)),
            Cell(f"{made.prompt_ratings[q]:.5f}", made.prompt_ratings[q]),
        ]
        for q in drawn
    ]
    of = f" The {len(drawn)} drawn most often." if len(drawn) < len(made.prompts) else ""
    prompts = table(
        f"{_plural(word).capitalize()} drawn",
        f"How often each is asked, and what always asking it would gain.{of}",
        [
            Column(word.capitalize(), kind="text"),
            Column("Mass"),
            Column("Bar", kind="bar"),
            Column("Rating"),
        ],
        rows,
    )
    tables = [prompts]
    categories = report.category_parts()
    if categories is not None:
        names, by_category, _ = categories
        rows = [
            [
                Cell(name(names[c]), names[c], head=True),
                Cell(f"{by_category[c]:.5f}", by_category[c]),
                Cell(bar(by_category[c] / by_category.max())),
            ]
            for c in np.argsort(-by_category, kind="stable")[:SUPPORT_PROMPTS]
        ]
        of = f" The {SUPPORT_PROMPTS} drawn most often." if len(names) > SUPPORT_PROMPTS else ""
        told = f"How often their prompts are asked.{of}"
        columns = [Column("Category", kind="text"), Column("Mass"), Column("Bar", kind="bar")]
        tables.append(table("Categories drawn", told, columns, rows))
    return f'{intro}{played}<div class="columns">{"".join(tables)}</div>'


def _data(report: RatingReport, files: Sequence[str]) -> str:
    rows = "".join(f"<dt>{text(k)}</dt><dd>{text(v)}</dd>" for k, v in data_rows(report))
    parts = [f"<dl>{rows}</dl>"]
    if report.notes:
        notes = "".join(f"<li>{text(note)}</li>" for note in report.notes)
        parts.append(f"<h3>What to know about these data</h3><ul>{notes}</ul>")
    if files:
        names = "".join(f"<li>{text(file)}</li>" for file in files)
        parts.append(f"<h3>Files beside this page</h3><ul>{names}</ul>")
    return "\n".join(parts)


def _source(report: RatingReport) -> str:
    """The name of the data without their folder."""
    return dict(data_rows(report))["Source"].replace("\\", "/").rsplit("/", 1)[-1]


def _interval(result: RatingResult, uncertainty: Uncertainty, k: int) -> Cell:
    low, high = uncertainty.low[k], uncertainty.high[k]
    return Cell(f"{rating_text(result, low)} to {rating_text(result, high)}", low)


def _method(result: RatingResult) -> str:
    return _CONCEPTS.get(result.method, result.method.replace("_", " "))


def _plural(word: str) -> str:
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


def _several(report: RatingReport) -> str:
    count = len(report.first.models)
    return f"{count:,} {_plural(report.model_word)}"


def _signed(value: float) -> str:
    """A part of a rating; a loss of nothing has no sign."""
    return f"{value:+.5f}" if abs(value) >= 5e-6 else "0.00000"


def _effective(masses: Float64[np.ndarray, "K"]) -> float:
    positive = masses[masses > 0]
    return float(np.exp(-np.sum(positive * np.log(positive))))


def _digits(values: Float64[np.ndarray, "K"]) -> list[float | None]:
    return [number(float(f"{value:.6g}")) for value in values]
