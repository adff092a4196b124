"""`neupl play`: games in the terminal are real games, and the page plays by the tables."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.replay import parse_replay, replay_bytes
from evaluation.replay_states import check_replay
from games.registry import load_tree
from neupl.cli import main
from neupl.play import Quit, load_opponent, opponents_of, play_games
from tests.evaluation.browser import (
    accessibility_faults,
    dom_and_complaints,
    needs_browser,
    with_script,
)


@pytest.fixture(scope="module")
def solved(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("solved") / "cfr"
    done = tiny.forked(
        "solve", "kuhn_poker", "--method", "cfr+", "--iterations", "50", "--out", path, "--quiet"
    )
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.parametrize("seat", [0, 1])
def test_games_of_a_person_are_games_of_the_rules(solved, seat):
    asked = []

    def ask(words: str) -> str:
        asked.append(words)
        # A number, the beginning of a name, something else, and the end.
        return ["2", "p", "nonsense", "bet"][len(asked) % 4] if len(asked) < 40 else "q"

    lanes, opponent = load_opponent(str(solved), "nash")
    replays = []
    with pytest.raises(Quit):
        for replay in play_games(lanes, opponent, seat=seat, ask=ask, seed=5):
            replays.append(replay)
    assert len(replays) > 8
    assert any("none of these" in words for words in asked)
    cards = set()
    for replay in replays:
        assert check_replay(parse_replay(replay_bytes(replay))) == []
        assert replay.seats[seat] == "you" and replay.forfeit is None
        cards.add(replay.steps[seat].moves[0].action)
        own = [m for s in replay.steps for m in s.moves if m.seat == seat]
        assert all(move.probabilities is None for move in own)
    assert cards == {0, 1, 2}


def test_the_opponent_plays_its_table(solved):
    lanes, opponent = load_opponent(str(solved), "0")
    table = opponents_of(str(solved), lanes)["strategy 0"]
    tree = lanes.tree
    replays = play_games(lanes, opponent, seat=1, ask=lambda words: "1", seed=0)
    for _, replay in zip(range(20), replays, strict=False):
        node = 0
        for step in replay.steps:
            (move,) = step.moves
            if move.seat == 0:
                row = table[tree.node_infoset[node]]
                np.testing.assert_allclose(move.probabilities, row[list(move.legal)], atol=1e-5)
            (node,) = np.flatnonzero(
                (tree.node_parent == node) & (tree.node_action == move.action)
            ).tolist()


def test_command_line(tiny, solved, tmp_path):
    # Nobody answers: no game is played.
    done = tiny.forked("play", solved, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["returns"] == []
    for arguments, words in (
        (("--seat", "2"), "--seat is 2"),
        (("--member", "7"), "no member '7'"),
        (("--html", "page.txt"), "ends in .html"),
    ):
        done = tiny.forked("play", solved, *arguments)
        assert done.returncode == 2 and words in done.stderr, done.stderr


def test_games_of_two_evenings_stand_beside_each_other(solved, tmp_path, monkeypatch, capsys):
    for evening in (1, 2):
        monkeypatch.setattr("sys.stdin", io.StringIO("1\n" * 8))
        assert main(["play", str(solved), "--games", "2", "--replays", str(tmp_path / "mine")]) == 0
        names = sorted(file.name for file in (tmp_path / "mine").iterdir())
        assert names == [f"{number:04d}.replay.jsonl" for number in range(1, 2 * evening + 1)]
    assert "2 games, " in capsys.readouterr().out


PLAY = """
const byId = (id) => document.getElementById(id);
const press = (key) => document.body.dispatchEvent(
  new KeyboardEvent("keydown", {key, bubbles: true}));
const ends = [];
for (const [opponent, seat] of [["0", "0"], ["1", "1"]]) {
  byId("opponent").value = opponent; byId("opponent").dispatchEvent(new Event("change"));
  byId("seat").value = seat; byId("seat").dispatchEvent(new Event("change"));
  for (let game = 0; game < 40; game += 1) {
    while (byId("prompt").textContent === "Your move") press(game % 2 ? "1" : "2");
    ends.push(Number(byId("prompt").textContent.match(/get (.*)/)[1]));
    press("n");
  }
}
document.body.dataset.ends = JSON.stringify(ends);
document.body.dataset.score = byId("score").textContent;
document.body.dataset.hidden = byId("scene").textContent.includes("?");
"""


@needs_browser
def test_the_page_plays_by_the_rules(tiny, solved, tmp_path):
    page = tmp_path / "play.html"
    done = tiny.forked("play", solved, "--html", page)
    assert done.returncode == 0, done.stderr
    dom, complaints = dom_and_complaints(page)
    assert complaints == "" and "Your move" in dom
    assert accessibility_faults(page.read_text(), tmp_path) == []
    page.write_text(with_script(page.read_text(), PLAY))
    dom, complaints = dom_and_complaints(page)
    assert complaints == ""
    ends = json.loads(re.search(r'data-ends="(.*?)"', dom)[1])
    assert len(ends) == 80
    assert set(ends) <= set(np.unique(load_tree("kuhn_poker").terminal_returns))
    assert f"80 games, {'+' if sum(ends) > 0 else ''}{sum(ends)} in all" in dom
    assert 'data-hidden="true"' in dom
