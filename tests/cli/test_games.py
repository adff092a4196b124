"""`neupl games`: says what OpenSpiel says, and what a walk over its states finds."""

import json
import subprocess
import sys

import pyspiel
import pytest

from games.registry import SIMULATED_GAMES


def describe(neupl, *arguments: str) -> dict:
    done = neupl("games", *arguments, "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def openspiel_names() -> list[str]:
    """OpenSpiel's own games, from a process of its own: other tests may register Python games."""
    code = "import json, pyspiel; print(json.dumps(pyspiel.registered_names()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return sorted(json.loads(done.stdout))


def count(state: pyspiel.State, infosets: list[set[str]]) -> tuple[int, int]:
    """Nodes and terminals below `state`, by plain recursion; collects the information states."""
    if state.is_terminal():
        return 1, 1
    if not state.is_chance_node():
        infosets[state.current_player()].add(state.information_state_string())
    below = [count(state.child(action), infosets) for action in state.legal_actions()]
    return 1 + sum(nodes for nodes, _ in below), sum(terminals for _, terminals in below)


@pytest.mark.parametrize("name", ["kuhn_poker", "kuhn_poker(players=3)", "tiny_hanabi"])
def test_description_agrees_with_a_walk_over_openspiel(name, neupl):
    game = pyspiel.load_game(name)
    infosets: list[set[str]] = [set() for _ in range(game.num_players())]
    nodes, terminals = count(game.new_initial_state(), infosets)
    found = describe(neupl, name)
    assert found["num_players"] == game.num_players()
    assert (found["num_nodes"], found["num_terminals"]) == (nodes, terminals)
    assert found["num_infosets"] == [len(states) for states in infosets]
    assert found["payoff_range"] == found["max_return"] - found["min_return"]
    assert found["exact"] is None


def test_list_holds_every_game_of_openspiel_and_of_ours(neupl, openspiel_names):
    done = neupl("games", "--json")
    assert done.returncode == 0, done.stderr
    games = {game["name"]: game for game in json.loads(done.stdout)["games"]}
    assert list(games) == sorted([*openspiel_names, *SIMULATED_GAMES])
    assert games["running_with_scissors"]["dynamics"] == "simultaneous"
    assert "no game tree" in games["running_with_scissors"]["exact"]
    assert games["soccer/team"]["max_players"] == 4
    assert games["kuhn_poker"]["exact"] is None
    assert games["kuhn_poker"]["max_players"] == 10
    assert "nodes" in games["go"]["exact"] or "information-state" in games["go"]["exact"]
    assert games["matrix_pd"]["utility"] == "general_sum"


def test_list_for_people_has_one_line_per_game(neupl, openspiel_names):
    lines = neupl("games").stdout.splitlines()
    assert len(lines) == 2 + len(openspiel_names) + len(SIMULATED_GAMES)
    (kuhn,) = [line for line in lines if line.startswith("kuhn_poker ")]
    assert kuhn.split() == ["kuhn_poker", "2-10", "zero-sum", "sequential", "explicit", "yes"]


def test_text_description_names_size_and_verification(neupl):
    text = neupl("games", "kuhn_poker").stdout
    for expected in ("58, of which 30 terminal", "6 states per seat", "-2 to 2 game points", "yes"):
        assert expected in text
    assert "2 teams of 2 seats" in neupl("games", "toy_soccer(team_size=2)").stdout


def test_game_above_the_limit_says_so_and_how_to_raise_it(neupl):
    found = describe(neupl, "leduc_poker", "--max-nodes", "1000")
    assert found["num_nodes"] is None
    assert "1,000 nodes" in found["exact"]
    assert "max_nodes" in found["exact"]


def test_payoff_file_and_own_game_are_described(neupl, tmp_path):
    (tmp_path / "pennies.nfg").write_text(
        'NFG 1 R "Matching pennies" { "a" "b" } { 2 2 }\n\n1 -1 -1 1 -1 1 1 -1\n'
    )
    assert describe(neupl, "pennies.nfg")["utility"] == "zero_sum"
    (tmp_path / "mine.py").write_text(
        "import games\ndef make():\n    return games.load_tree('matching_pennies_3p')\n"
    )
    found = describe(neupl, "mine:make")
    assert (found["name"], found["num_players"]) == ("mine:make", 3)


def test_continuous_actions_are_described(neupl):
    text = neupl("games", "soccer/duel(randomise=1)").stdout
    for expected in ("zero-sum", "20 numbers per seat", "267 floats per seat", "no game tree"):
        assert expected in text


@pytest.mark.parametrize(
    "name", ["kuhn_pokr", "absent.nfg", "no_module:make", "kuhn_poker(cards=)"]
)
def test_unknown_game_is_one_clear_error(name, neupl):
    done = neupl("games", name)
    assert done.returncode == 2
    assert done.stdout == ""
    # OpenSpiel's own C++ code also writes to stderr.
    ours = [line for line in done.stderr.splitlines() if "OpenSpiel exception" not in line]
    assert len(ours) == 1
    assert ours[0].startswith("error: ")
    assert name.split(":")[0] in ours[0]
