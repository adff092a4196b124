"""The page of a rating in a real browser, where there is one."""

from pathlib import Path

import numpy as np
import pytest

from evaluation.pages import RatingReport, rating_page
from evaluation.ratings import rate
from tests.evaluation.browser import (
    accessibility_faults,
    dom_and_complaints,
    needs_browser,
    with_script,
)
from tests.evaluation.conftest import scores_of
from tests.evaluation.test_rating_page import Document

pytestmark = needs_browser

# Sorts the leaderboard by its ratings, worst first, and asks for the other theme.
CLICKS = """
const button = document.querySelectorAll("table.sortable thead button")[2];
button.click();
button.click();
document.getElementById("theme").click();
"""


@pytest.fixture(scope="module")
def page() -> str:
    table = scores_of(np.random.default_rng(0).integers(3, size=(12, 5)) / 2)
    results = (rate(table, "cce"), rate(table, "win_rate"))
    return rating_page(RatingReport(table, results, (None, None)))


def dom(path: Path) -> tuple[Document, str]:
    """The page's elements after its script has run, and what the browser complained about."""
    content, complaints = dom_and_complaints(path)
    return Document(content), complaints


def test_script_runs_under_its_own_policy_without_complaints(page, tmp_path):
    (tmp_path / "page.html").write_text(page)
    document, complaints = dom(tmp_path / "page.html")
    assert complaints == ""
    heads = [a for a in document.named("th") if "aria-sort" in a]
    # One button a head, and the one of the theme.
    assert len(document.named("button")) == len(heads) + 1
    (theme,) = (a for a in document.named("button") if a.get("id") == "theme")
    assert "hidden" not in theme
    assert accessibility_faults(page, tmp_path) == []


def test_policy_lets_no_other_script_run(page, tmp_path):
    other = "<script>document.body.id = 'changed'</script></body>"
    (tmp_path / "page.html").write_text(page.replace("</body>", other))
    document, complaints = dom(tmp_path / "page.html")
    assert "id" not in document.named("body")[0]
    assert "Content Security Policy" in complaints


def test_a_click_on_a_head_sorts_and_says_so(page, tmp_path):
    (tmp_path / "page.html").write_text(with_script(page, CLICKS))
    document, complaints = dom(tmp_path / "page.html")
    assert complaints == ""
    head, *rows = document.rows[0]
    assert [a["aria-sort"] for a, _ in head] == ["none", "none", "ascending", "none", "none"]
    ratings = [float(row[2][0]["data-value"]) for row in rows]
    assert ratings == sorted(ratings) and len(ratings) == 5
    assert document.named("html")[0]["data-theme"] in ("dark", "light")
