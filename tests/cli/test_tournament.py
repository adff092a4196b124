"""`neupl tournament` and `neupl replay` as people run them: output, resumption, and bad input."""

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evaluation.browser import BROWSER, accessibility_faults

BOTS = '''
import ctypes
import os

import numpy as np


class Stubborn:
    """Always action 1, but where it crashes, hangs, or does what is not allowed."""

    def initial_memory(self, batch):
        return ()

    def act(self, memory, observation, mask, key):
        if not mask[:, 1].all() and "{how}" == "crash":
            raise RuntimeError("no")
        if not mask[:, 1].all() and "{how}" == "exit":
            print("on its way out")
            os._exit(3)
        if not mask[:, 1].all() and "{how}" == "hang":
            # Holds the interpreter: no signal reaches it.
            ctypes.PyDLL(None).sleep(1000)
        return np.full(len(mask), 7 if "{how}" == "illegal" else 1), None, ()
'''
# Lasts through a few dozen blocks.
SHORT = ("--game", "kuhn_poker", "--games", "32", "--batch", "8", "--quiet")


@pytest.fixture(scope="module")
def solved(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("solved") / "cfr"
    done = tiny.forked(
        "solve", "kuhn_poker", "--method", "cfr+", "--iterations", "20", "--out", path, "--quiet"
    )
    assert done.returncode == 0, done.stderr
    return path


def games_of(path: Path) -> list[dict]:
    """The log without times, in the order of the items."""
    lines = [json.loads(line) for line in (path / "games.jsonl").read_text().splitlines()]
    for line in lines:
        del line["seconds"]
    return sorted(lines, key=lambda line: (line["group"], line["block"]))


def outcome_of(path: Path) -> dict:
    content = json.loads((path / "tournament.json").read_text())
    del content["certificate"]["seconds"]
    return {name: value for name, value in content.items() if name != "play_seconds"}


def test_a_tournament_from_beginning_to_end(tiny, solved, tmp_path):
    path = tmp_path / "out"
    done = tiny.forked(
        "tournament", solved, "openspiel:random", "openspiel:mcts(simulations=5)", *SHORT,
        "--out", path, "--replays", "1", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    names = [f"{solved}#nash", "openspiel:random", "openspiel:mcts(simulations=5)"]
    assert content["entrants"] == names
    assert np.shape(content["payoffs"]) == np.shape(content["standard_errors"]) == (3, 3, 2)
    assert np.shape(content["games"]) == (3, 3)
    # The equilibrium and random play are tables: exact, against OpenSpiel's own expectation.
    assert content["payoffs"][0][1] == pytest.approx(open_spiel_values(solved), abs=1e-6)
    assert content["standard_errors"][0][1] == [0, 0]
    assert content["games"][0] == [8, 8, 32] and content["standard_errors"][0][2][0] > 0
    assert {entry["name"] for entry in content["ratings"]} == set(names)
    assert [entry["rank"] for entry in content["ratings"]] == sorted(
        entry["rank"] for entry in content["ratings"]
    )
    for file in content["files"]:
        assert Path(file).stat().st_size > 0
    replays = list((path / "replays").iterdir())
    assert len(replays) == 9

    if BROWSER is not None:
        page = (path / "index.html").read_text()
        assert accessibility_faults(page, tmp_path) == []

    checked = tiny.forked("replay", path, "--check", "--json")
    assert checked.returncode == 0, checked.stderr
    assert all(not one["differences"] for one in json.loads(checked.stdout)["replays"])
    page = tmp_path / "watch.html"
    assert tiny.forked("replay", replays[0], "--html", page).returncode == 0
    assert "page-data" in page.read_text()
    told = tiny.forked("replay", replays[0])
    assert "returns: seat 0" in told.stdout and "seat 0: " in told.stdout

    rated = tiny.forked("rate", path, "--json")
    assert rated.returncode == 0, rated.stderr
    assert json.loads(rated.stdout)["ratings"][0]["name"] == content["ratings"][0]["name"]
    battles = tiny.forked("rate", path / "battles.csv", "--json", "--method", "win_rate")
    assert json.loads(battles.stdout)["models"] == 3


def open_spiel_values(run: Path) -> list[float]:
    """What the run's mixture in seat 0 earns against random play, by OpenSpiel."""
    import pyspiel
    from open_spiel.python.algorithms.expected_game_score import policy_value
    from open_spiel.python.policy import UniformRandomPolicy

    from neupl import load_population

    game = pyspiel.load_game("kuhn_poker")
    policies = [load_population(run).to_open_spiel("nash"), UniformRandomPolicy(game)]
    return list(policy_value(game.new_initial_state(), policies))


def test_a_killed_tournament_goes_on_to_the_same_end(tiny, solved, tmp_path):
    arguments = ["tournament", solved, "openspiel:random", "--sampled", *SHORT, "--replays", "1"]
    whole, path = tmp_path / "whole", tmp_path / "killed"
    done = tiny.forked(*arguments, "--out", whole)
    assert done.returncode == 0, done.stderr
    for after in (6, 9, 14):
        done = tiny.forked(*arguments, "--out", path, kill=(path, after))
        assert done.returncode == -signal.SIGKILL, done.stderr
    if (log := path / "games.jsonl").exists():
        with log.open("ab") as file:
            file.write(b'{"group":[0,')
    # The folder knows what it is.
    done = tiny.forked("tournament", "--out", path, "--quiet")
    assert done.returncode == 0, done.stderr
    assert games_of(path) == games_of(whole)
    assert len(games_of(path)) == 12
    assert outcome_of(path) == outcome_of(whole)
    kept = [{f.name: f.read_bytes() for f in (p / "replays").iterdir()} for p in (path, whole)]
    assert kept[0] == kept[1] and len(kept[0]) == 4

    done = tiny.forked(*arguments[:-2], "--out", path, "--seed", "4")
    assert done.returncode == 2 and "seed" in done.stderr and "another tournament" in done.stderr


@pytest.mark.slow
def test_two_workers_play_the_same_games(tiny, solved, tmp_path):
    entrants = [solved, "openspiel:random", "openspiel:mcts(simulations=5)"]
    for number in (1, 2):
        done = tiny.run(
            "tournament",
            *entrants,
            *SHORT,
            "--out",
            tmp_path / str(number),
            "--workers",
            str(number),
        )
        assert done.returncode == 0, done.stderr
    assert games_of(tmp_path / "1") == games_of(tmp_path / "2")
    assert outcome_of(tmp_path / "1") == outcome_of(tmp_path / "2")


@pytest.mark.parametrize(
    ("how", "reason", "words"),
    [
        pytest.param("crash", "crash", "RuntimeError: no", marks=pytest.mark.slow),
        pytest.param("illegal", "illegal", "action 7; legal are", marks=pytest.mark.slow),
        ("exit", "crash", "its process ended with exit code 3"),
        ("hang", "timeout", "more than 0.2 s for a decision"),
    ],
)
def test_what_a_bot_does_wrong_is_recorded(tiny, tmp_path, how, reason, words):
    (tmp_path / f"bots_{how}.py").write_text(BOTS.replace("{how}", how))
    path = tmp_path / "out"
    entrant = f"bot:bots_{how}:Stubborn"
    # The folder in which a command is called is searched for bots.
    done = tiny.forked(
        "tournament", "openspiel:random", entrant, "--game", "leduc_poker", "--games", "8",
        "--batch", "8", "--quiet", "--out", path, "--json",
        *(("--move-limit-s", "0.2") if how == "hang" else ()), folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # What the bot prints does not mix with the answer.
    content = json.loads(done.stdout)
    assert {lost["entrant"] for lost in content["forfeits"]} == {entrant}
    assert any(lost["reason"] == reason and words in lost["detail"] for lost in content["forfeits"])
    assert {row["reason"] for row in content["forfeits"]} <= {reason, "crash"}
    assert "Forfeits" in (path / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nobody takes part"),
        (("openspiel:random",), "--game NAME is missing"),
        (("nowhere#1", "--game", "kuhn_poker"), "no population"),
        (("SOLVED#9", "--game", "kuhn_poker"), "no member '9'"),
        (("SOLVED", "--game", "leduc_poker"), "is of kuhn_poker, not of leduc_poker"),
        (("openspiel:random", "openspiel:random", "--game", "kuhn_poker"), "takes part twice"),
        (("openspiel:gnu", "--game", "kuhn_poker"), "no entrant openspiel:gnu"),
        (("bot:nobody", "--game", "kuhn_poker"), "no entrant bot:nobody"),
        (("bot:no.such:bot", "--game", "kuhn_poker"), "no bot no.such:bot"),
        (("openspiel:mcts", "--game", "liars_dice(dice_sides=2)"), "cannot play"),
        (("openspiel:random", "--game", "no_such_game"), "unknown OpenSpiel game"),
        (("SOLVED", "--format", "uncertain", "--game", "kuhn_poker"), "needs --budget"),
        (("openspiel:random", "--format", "sprt", "--game", "kuhn_poker"), "at least 2 entrants"),
        (("openspiel:random", "--games", "0", "--game", "kuhn_poker"), "--games is 0"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_leaves_nothing(tiny, solved, tmp_path, arguments, words):
    given = [part.replace("SOLVED", str(solved)) for part in arguments]
    done = tiny.forked("tournament", *given, "--out", tmp_path / "out", "--quiet")
    assert done.returncode == 2, done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00\xff\n", b'{"format":"neupl-replay"}\n'])
def test_a_broken_replay_is_one_line(tiny, tmp_path, content):
    path = tmp_path / "broken.replay.jsonl"
    path.write_bytes(content)
    done = tiny.forked("replay", path, "--check")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "broken.replay.jsonl" in done.stderr
