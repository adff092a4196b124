"""What stands beside a rating page: tables as CSV, everything as JSON, pictures."""

import json

from evaluation.pages.rating_figures import ratings_pictures
from evaluation.pages.rating_page import page_data, rating_page
from evaluation.pages.rating_report import RatingReport, number
from evaluation.pages.tables import csv_bytes


def rating_files(report: RatingReport, page_name: str) -> dict[str, bytes]:
    """The content of each file by its name, the page first.

    Beside `STEM.html` come `STEM.ratings.csv`, the leaderboard with all methods; of equilibria
    `STEM.prompts.csv`, every prompt's part of every rating; `STEM.ratings.json`, all of it;
    `STEM.png` and `STEM.svg`, ratings and win rates. None of them is named as data usually are.

    Args:
      report: the ratings.
      page_name: the file name of the page, with its ending.
    """
    stem = page_name.rpartition(".")[0]
    beside = {f"{stem}.ratings.csv": leaderboard_csv(report)}
    if report.first.attribution is not None:
        beside[f"{stem}.prompts.csv"] = prompts_csv(report)
    plain = json.dumps(page_data(report), allow_nan=False, indent=1)
    beside[f"{stem}.ratings.json"] = f"{plain}\n".encode()
    pictures = ratings_pictures(report)
    beside |= {f"{stem}.{form}": content for form, content in pictures.items()}
    html = rating_page(report, files=tuple(beside)).encode()
    return {page_name: html, **beside}


def leaderboard_csv(report: RatingReport) -> bytes:
    """One row a model, best first, with the ratings by every method."""
    first, uncertainty, made = report.first, report.uncertainties[0], report.first.attribution
    ranks, groups = first.ranks(), report.tied_groups()
    header = ["rank", "model", first.method, "low_95", "high_95", "tied_group"]
    if made is not None:
        header.append("king_mass")
        header += [] if made.rebel_masses is None else ["rebel_mass"]
    others = [dict(zip(r.models, r.ratings, strict=True)) for r in report.results[1:]]
    header += [result.method for result in report.results[1:]]
    rows = []
    for k in first.order():
        ends = (None, None)
        if uncertainty is not None:
            ends = (number(uncertainty.low[k]), number(uncertainty.high[k]))
        row = [int(ranks[k]), first.models[k], number(first.ratings[k]), *ends, groups[k]]
        if made is not None:
            row.append(number(made.model_masses[k]))
            if made.rebel_masses is not None:
                row.append(number(made.rebel_masses[k]))
        row += [number(other.get(first.models[k], float("nan"))) for other in others]
        rows.append(row)
    return csv_bytes(header, rows)


def prompts_csv(report: RatingReport) -> bytes:
    """One row a prompt: its category, how often it is drawn, its part of each model's rating.

    Raises:
      ValueError: the ratings are not by an equilibrium.
    """
    first, made = report.first, report.first.attribution
    if made is None:
        raise ValueError(f"{first.method} attributes nothing to prompts")
    categories = report.categories or {}
    rows = []
    for q, prompt in enumerate(made.prompts):
        parts = map(float, made.contributions[q])
        mass = float(made.prompt_masses[q])
        rows.append([prompt, categories.get(prompt), mass, float(made.prompt_ratings[q]), *parts])
    header = [report.prompt_word, "category", "mass", "rating", *first.models]
    return csv_bytes(header, rows)
