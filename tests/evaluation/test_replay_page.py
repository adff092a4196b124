"""The page of replays: names stay text, nothing is fetched, and its controls work in a browser."""

import json
import re

import numpy as np
import pytest

from evaluation.match import play_match
from evaluation.pages.page import embedded_json
from evaluation.pages.replay_page import replay_page
from evaluation.players import UniformPlayer
from games.registry import load_lanes
from tests.evaluation.browser import (
    accessibility_faults,
    dom_and_complaints,
    needs_browser,
    with_script,
)

HOSTILE = "</script><script>document.title='taken'</script>\u202e<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def page() -> str:
    replays = []
    for game in ("kuhn_poker", "running_with_scissors(step_limit=3)", "tic_tac_toe"):
        lanes = load_lanes(game, max_nodes=1000)
        seeds = np.arange(1, dtype=np.uint64)
        names = [HOSTILE, "plain"]
        played = play_match(lanes, [UniformPlayer()] * 2, seeds, names=names, num_replays=1)
        replays += [(f"{game} {HOSTILE}", replay) for replay in played.replays]
    return replay_page(replays)


def data_of(page: str) -> dict:
    (found,) = re.findall(r'<script type="application/json" id="page-data">(.*?)</script>', page)
    return json.loads(found)


def test_names_are_never_markup_and_nothing_is_fetched(page):
    assert "<img" not in page and "taken'</script>" not in page
    assert not re.search(r"(src|href)=\"?https?:|url\(|@import|fetch\(|XMLHttp", page)
    assert data_of(page)["replays"][0]["seats"][0] == HOSTILE


def test_every_kind_of_scene_is_there(page):
    kinds = [replay["frames"][0]["s"]["kind"] for replay in data_of(page)["replays"]]
    assert kinds == ["cards", "grid", "board"]
    last = data_of(page)["replays"][0]["frames"][-1]
    assert last["m"] == [] and sum(last["r"]) == 0


WATCH = """
const byId = (id) => document.getElementById(id);
const seen = [];
const note = () => seen.push([byId("count").textContent, byId("words").hidden]);
const press = (key) =>
  document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
note();
byId("forward").click(); note();
press("ArrowRight"); note();
press("ArrowLeft"); note();
press("t"); note();
press("t");
press("End"); note();
byId("first").click(); note();
const slider = byId("position"); slider.value = 2; slider.dispatchEvent(new Event("input")); note();
for (const number of [1, 2]) {
  byId("replay").value = number; byId("replay").dispatchEvent(new Event("change"));
  seen.push([byId("scene").childElementCount >= 9, byId("returns").rows.length]);
}
byId("replay").value = 0; byId("replay").dispatchEvent(new Event("change"));
byId("speed").value = "500"; byId("play").click();
seen.push(byId("play").textContent);
// The page is not loaded, and so not handed over, while a frame of it is still being written.
const unfinished = document.body.appendChild(document.createElement("iframe"));
unfinished.contentDocument.open();
const finish = setInterval(() => {
  if (byId("play").textContent !== "Play") return;
  clearInterval(finish);
  seen.push(byId("count").textContent);
  document.body.dataset.seen = JSON.stringify(seen);
  unfinished.contentDocument.close();
}, 20);
"""


@needs_browser
def test_controls_keyboard_and_playing_work_without_complaints(page, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(page)
    dom, complaints = dom_and_complaints(file)
    assert complaints == "" and "taken" not in re.search(r"<title>(.*?)</title>", dom)[1][:5]

    (tmp_path / "linked.html").write_text(page.replace("location.hash", '"#episode=1&step=2"'))
    linked = (tmp_path / "linked.html").read_text()
    (tmp_path / "linked.html").write_text(with_script(linked, ""))
    dom, complaints = dom_and_complaints(tmp_path / "linked.html")
    assert complaints == "" and "2 / 3</span>" in dom

    file.write_text(with_script(page, WATCH))
    dom, complaints = dom_and_complaints(file)
    assert complaints == ""
    found = re.search(r'data-seen="(.*?)"', dom)[1].replace("&quot;", '"')
    last = len(data_of(page)["replays"][0]["frames"]) - 1
    assert json.loads(found) == [
        [f"0 / {last}", True],
        [f"1 / {last}", True],
        [f"2 / {last}", True],
        [f"1 / {last}", True],
        [f"1 / {last}", False],
        [f"{last} / {last}", True],
        [f"0 / {last}", True],
        [f"2 / {last}", True],
        [True, 2],
        [True, 2],
        "Pause",
        f"{last} / {last}",
    ]
    assert accessibility_faults(page, tmp_path) == []


@needs_browser
def test_ten_thousand_steps_cost_no_more_than_the_one_that_is_shown(page, tmp_path):
    """Elements of the page are those of the shown step, whichever it is and after how many."""
    data = data_of(page)
    frames = data["replays"][1]["frames"]
    data["replays"] = [data["replays"][1] | {"frames": (frames * 10_000)[:10_001]}]
    start, end = page.index('id="page-data">') + len('id="page-data">'), page.index("</script>")
    long = page[:start] + embedded_json(data) + page[end:]
    assert len(long) < 20_000_000
    script = """
    const slider = document.getElementById("position");
    const counts = [];
    for (let k = 0; k <= Number(slider.max); k += 20) {
      slider.value = k; slider.dispatchEvent(new Event("input"));
      if (k % 2500 === 0) counts.push(document.querySelectorAll("*").length);
    }
    document.body.dataset.counts = JSON.stringify([slider.max, ...counts]);
    """
    (tmp_path / "page.html").write_text(with_script(long, script))
    dom, complaints = dom_and_complaints(tmp_path / "page.html")
    assert complaints == ""
    last, *counts = json.loads(re.search(r'data-counts="(.*?)"', dom)[1].replace("&quot;", '"'))
    assert last == "10000" and len(counts) == 5
    assert max(counts) < 1.5 * min(counts)
