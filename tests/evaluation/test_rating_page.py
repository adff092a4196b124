"""The page of a rating and the files beside it: complete, safe, readable without a mouse."""

import csv
import dataclasses
import html.parser
import io
import json
import re
from typing import Any

import numpy as np
import pytest

from evaluation.pages import RatingReport, rating_content, rating_files, rating_page
from evaluation.pages.page import embedded_json, text
from evaluation.pages.rating_page import page_data
from evaluation.pages.rating_report import rating_text
from evaluation.pages.tables import csv_bytes
from evaluation.ratings import rate
from evaluation.redundancy import audit
from evaluation.types import Scores
from evaluation.uncertainty import from_covariance, resample
from games.normal_form import NormalForm
from tests.evaluation.conftest import battles_of, scores_of

VOID = {"meta", "br", "link", "img", "input", "hr"}
# Names that would run, end an element, be a formula, or turn the text after them.
HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img onerror=alert(1) src=x>',
    "=HYPERLINK(1)",
    "<!--",
    "$x^2$\x00\u202e\ud800&amp;",
)


class Document(html.parser.HTMLParser):
    """Elements in their order; fails on an end that does not match."""

    def __init__(self, page: str) -> None:
        """Reads the page."""
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[list[tuple[dict[str, str | None], str]]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len({key for key, _ in attrs}) == len(attrs), f"{tag} has an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.rows.append([])
        elif tag == "tr":
            self.rows[-1].append([])
        elif tag in ("td", "th"):
            self.rows[-1][-1].append((dict(attrs), ""))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            attributes, words = self.rows[-1][-1][-1]
            self.rows[-1][-1][-1] = (attributes, words + data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of the elements of one kind."""
        return [attributes for name, attributes in self.elements if name == tag]


def report_of(table: Any, *methods: str, **more: Any) -> RatingReport:
    """Ratings by some methods, with the intervals that they estimate themselves."""
    results = tuple(rate(table, method) for method in methods)
    uncertainties = tuple(None if r.covariance is None else from_covariance(r) for r in results)
    return RatingReport(table, results, uncertainties, **more)


@pytest.fixture(scope="module")
def small() -> RatingReport:
    """Five models on twelve prompts of two categories, with resampled intervals."""
    table = scores_of(np.random.default_rng(0).integers(3, size=(12, 5)) / 2)
    categories = {prompt: f"topic {q % 2}" for q, prompt in enumerate(table.prompts)}
    report = report_of(table, "cce", "bradley_terry", "copeland", categories=categories)
    first = resample(table, report.first, num_draws=8)
    uncertainties = (first, *report.uncertainties[1:])
    notes = ("a note",)
    return RatingReport(table, report.results, uncertainties, notes, categories)


@pytest.fixture(scope="module")
def page(small) -> str:
    return rating_page(small, files=("a.csv",))


def embedded(page: str) -> dict[str, Any]:
    """The data of a page, read as a browser reads them: up to the first end of a script."""
    start = page.index('id="page-data">') + len('id="page-data">')
    return json.loads(page[start : page.index("</script", start)])


def test_page_is_well_formed_and_needs_nothing_else(page):
    document = Document(page)
    assert not re.search(r"https?://|//[a-z]|@import", page.replace("// ", ""))
    for _, attributes in document.elements:
        assert "src" not in attributes
        assert not any(key.startswith("on") for key in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    identifiers = [a["id"] for _, a in document.elements if "id" in a]
    assert len(set(identifiers)) == len(identifiers)
    anchors = {a["href"][1:] for a in document.named("a")}
    assert anchors <= set(identifiers)


def test_only_the_script_of_the_page_may_run(page):
    (policy,) = (a["content"] for a in Document(page).named("meta") if "http-equiv" in a)
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]{43}='", policy)


def test_leaderboard_has_the_numbers_of_the_result(small, page):
    first, uncertainty = small.first, small.uncertainties[0]
    header, *rows = Document(page).rows[0]
    assert [words for _, words in header] == [
        "Rank",
        "Model",
        "Rating (cce)",
        "95 % interval",
        "Tied group",
        "King mass",
    ]
    assert len(rows) == len(first.models)
    for k, row in zip(first.order(), rows, strict=True):
        values = [attributes["data-value"] for attributes, _ in row]
        words = [words for _, words in row]
        assert float(values[0]) == int(words[0]) == first.ranks()[k]
        assert values[1] == words[1] == first.models[k]
        assert float(values[2]) == first.ratings[k]
        assert words[2] == rating_text(first, first.ratings[k])
        assert float(values[3]) == uncertainty.low[k]
        assert words[3].split(" to ")[1] == rating_text(first, uncertainty.high[k])
        assert int(words[4]) == uncertainty.tied_group[k] + 1
        assert float(values[5]) == first.attribution.model_masses[k]


def test_methods_side_by_side_have_every_rating_and_rank(small, page):
    _, *rows = Document(page).rows[1]
    for k, (_, *cells) in zip(small.first.order(), rows, strict=True):
        for result, (attributes, words) in zip(small.results, cells, strict=True):
            assert float(attributes["data-value"]) == result.ratings[k]
            assert f"rank {result.ranks()[k]}" in words


def test_parts_of_a_rating_are_those_of_the_attribution_and_add_up(small, page):
    model = small.first.order()[0]
    tables = [t for t in Document(page).rows if t[0][0][1] in ("Category", "Prompt")]
    by_category, by_prompt = tables[:2]
    contributions = small.first.attribution.contributions[:, model]
    for rows, expected in (
        (by_prompt, sorted(contributions)),
        (by_category, sorted([contributions[::2].sum(), contributions[1::2].sum()])),
    ):
        *parts, total = [float(row[1][0]["data-value"]) for row in rows[1:]]
        assert parts == pytest.approx(expected, abs=1e-12)
        assert total == pytest.approx(small.first.ratings[model], abs=1e-9)


def test_support_shows_the_masses_of_king_rebel_and_prompts(small, page):
    made = small.first.attribution
    assert made.rebel_masses == pytest.approx(made.model_masses, abs=1e-9)
    (models,) = (t for t in Document(page).rows if "Rebel mass" in [w for _, w in t[0]])
    shown = {row[0][1]: (row[1][0]["data-value"], row[3][0]["data-value"]) for row in models[1:]}
    for k, model in enumerate(small.first.models):
        masses = (made.model_masses[k], made.rebel_masses[k])
        assert tuple(map(float, shown[model])) == masses


def test_heat_map_shows_mean_win_rates(small, page):
    (heat,) = (t for t in Document(page).rows if len(t[0]) == 6 and t[0][0][1] == "Model")
    models = [words for _, words in heat[0][1:]]
    scores = dict(zip(small.first.models, small.evaluation.scores.T, strict=True))
    for row in heat[1:]:
        for other, (attributes, words) in zip(models, row[1:], strict=True):
            if row[0][1] != other:
                wins = np.sign(scores[row[0][1]] - scores[other]).mean() / 2 + 0.5
                assert float(attributes["data-value"]) == pytest.approx(wins)
                assert words == f"{100 * wins:.0f}"


def test_page_says_what_is_exact_and_what_is_estimated(small, page):
    words = re.sub(r"<[^>]+>", "", page)
    assert "no ranking" in words
    assert f"Gap reached: {small.first.certificate.value:.3g}" in words
    assert "exact: computed over all strategies, not estimated" in words
    assert f"Intervals are estimated: {small.uncertainties[0].how}" in words
    assert "No intervals: how the ratings vary" in words
    assert "a note" in words and "a.csv" in words


def test_tables_are_read_aloud_and_sorted_by_keyboard(page):
    document = Document(page)
    tables = document.named("table")
    assert len(document.named("caption")) == len(tables)
    assert all(a.get("scope") in ("col", "row") for a in document.named("th"))
    orders = [a["aria-sort"] for a in document.named("th") if "aria-sort" in a]
    assert orders.count("ascending") == 2 and set(orders) == {"ascending", "none"}
    regions = [a for a in document.named("div") if a.get("role") == "region"]
    assert len(regions) == len(tables)
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in regions)
    (figure,) = document.named("svg")
    assert figure["role"] == "img" and figure["aria-label"]
    (status,) = (a for a in document.named("p") if a.get("role") == "status")
    assert status["aria-live"] == "polite"
    assert document.named("html")[0]["lang"] == "en"
    assert ":focus-visible" in page and "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_names_from_the_data_cannot_act():
    levels = np.random.default_rng(1).integers(3, size=(len(HOSTILE), len(HOSTILE))) / 2
    table = Scores(HOSTILE, HOSTILE, levels, source="<b>data</b>.csv", notes=("<i>note</i>",))
    report = report_of(table, "cce", "bradley_terry", categories=dict.fromkeys(HOSTILE, HOSTILE[0]))
    files = rating_files(report, "out.html")
    page = files["out.html"].decode()
    document = Document(page)
    assert len(document.named("script")) == 2
    assert document.named("img") == document.named("b") == document.named("i") == []
    assert "\x00" not in page
    names = [entry["name"] for entry in embedded(page)["ratings"]]
    assert sorted(names) == sorted(HOSTILE)
    for file in ("out.ratings.csv", "out.prompts.csv"):
        for row in csv.reader(io.StringIO(files[file].decode())):
            # Numbers may be negative, texts may not begin a formula.
            assert all(_is_number(cell) or not cell.startswith(tuple("=+-@")) for cell in row)
    assert files["out.svg"].count(b"<svg") == 1
    assert b"<script" not in files["out.svg"]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", ["=1", "+1", "-1", "@A1", "\t=1", "\r=1", "  =1"])
def test_texts_of_a_table_are_no_formula_and_numbers_stay_numbers(name):
    rows = list(csv.reader(io.StringIO(csv_bytes(["m", "x"], [[name, -0.5]]).decode(), newline="")))
    assert rows == [["m", "x"], [f"'{name}", "-0.5"]]


def test_embedded_json_is_the_same_data_and_never_ends_its_element():
    content = {"</ScRiPt>": "<!--<script>&\u2028"}
    plain = embedded_json(content)
    assert not set("<>&\u2028") & set(plain)
    assert json.loads(plain) == content
    with pytest.raises(ValueError, match="JSON"):
        embedded_json({"x": float("nan")})


def test_files_beside_the_page_say_the_same(small):
    files = rating_files(small, "my.report.html")
    assert list(files) == [
        "my.report.html",
        "my.report.ratings.csv",
        "my.report.prompts.csv",
        "my.report.ratings.json",
        "my.report.png",
        "my.report.svg",
    ]
    content = json.loads(files["my.report.ratings.json"])
    assert content == embedded(files["my.report.html"].decode())
    assert rating_content(small).items() <= content.items()
    board = list(csv.DictReader(io.StringIO(files["my.report.ratings.csv"].decode())))
    assert [row["model"] for row in board] == [entry["name"] for entry in content["ratings"]]
    assert [float(row["cce"]) for row in board] == [e["rating"] for e in content["ratings"]]
    prompts = list(csv.DictReader(io.StringIO(files["my.report.prompts.csv"].decode())))
    parts = [float(row[small.first.models[2]]) for row in prompts]
    assert parts == small.first.attribution.contributions[:, 2].tolist()
    assert files["my.report.png"].startswith(b"\x89PNG")
    assert rating_files(small, "my.report.html") == files


def test_ratings_without_equilibrium_or_interval_have_a_page_too():
    rows = [("a", "b", 1.0), ("b", "c", 1.0), ("c", "a", 0.5), ("a", "c", 1.0), ("c", "b", 0.0)]
    report = report_of(battles_of(rows), "win_rate")
    files = rating_files(report, "x.html")
    assert "x.prompts.csv" not in files
    page = files["x.html"].decode()
    Document(page)
    assert "No equilibrium stands behind it" in page
    assert "No intervals" in page


def test_strategies_of_a_payoff_tensor_are_attributed_to_their_opponents_strategies():
    rock_paper_scissors = np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    game = NormalForm(np.stack([rock_paper_scissors, -rock_paper_scissors], axis=-1), name="rps")
    page = rating_page(report_of(game, "cce"))
    document = Document(page)
    assert "Strategies drawn" in page and "Opposing strategies drawn" in page
    assert "payoff tensor of 2 players" in page and "<strong>Payoffs.</strong>" in page
    # It has no battles, and no second player of the same models.
    assert "Win rates" not in page
    (support,) = (t for t in document.rows if "Seat 0 mass" in [w for _, w in t[0]][1:2])
    assert [float(row[1][0]["data-value"]) for row in support[1:]] == pytest.approx([1 / 3] * 3)


def test_page_of_500_prompts_and_17_models_is_under_3_megabytes():
    rng = np.random.default_rng(2)
    skill, levels = rng.normal(size=17), rng.normal(size=(500, 17))
    scores = np.clip(np.round(2 * (levels + skill)) / 4, 0, 1)
    models = tuple(f"organisation/model-{m}-instruct-2024-08-06" for m in range(17))
    table = Scores(models, tuple(f"prompt-{q:04d}" for q in range(500)), scores)
    categories = {prompt: f"category {q % 40}" for q, prompt in enumerate(table.prompts)}
    report = report_of(
        table, "cce", "bradley_terry", "win_rate", "nash_averaging", categories=categories
    )
    assert len(rating_page(report).encode()) < 3_000_000


def test_audit_is_a_section_with_its_findings_curves_and_nearest_pairs():
    rng = np.random.default_rng(4)
    models = ("<b>one</b>", "two", "three")
    table = Scores(models, tuple(f"q{q}" for q in range(8)), rng.integers(5, size=(8, 3)) / 4)
    found = audit(table)
    report = dataclasses.replace(report_of(table, "cce"), audit=found)
    page = rating_page(report)
    assert "Redundancy audit" in page and "<strong>Copy stress.</strong>" in page
    assert all(text(finding) in page for finding in found.findings)
    assert "<b>one</b>" not in page
    # Two figures of one page share no identifiers.
    identifiers = re.findall(r' id="([^"]*)"', page)
    assert len(identifiers) == len(set(identifiers))
    assert page_data(report)["redundancy"]["findings"] == found.findings
    assert "Redundancy audit" not in rating_page(report_of(table, "cce"))
