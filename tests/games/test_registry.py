"""Names: OpenSpiel strings, files, dotted paths; the catalogue; the example in the docs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import games
from games.catalogue import describe_game, list_games
from games.game_tree import GameTree
from games.normal_form import NormalForm
from games.open_spiel_host import OpenSpielHost
from games.payoff_files import write_payoffs
from games.registry import load_game, load_simulator, load_tree
from games.tree_game import TreeGame
from games.types import Game, GameError, HostGame

ROOT = Path(__file__).parents[2]


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Writes modules where Python finds them."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)

    return write


def test_example_of_the_documentation_runs(modules):
    """A pile is emptied by takes of one or two, of which the last may exceed what is left.

    With e(n) ways to empty n stones, e(n) = e(n-1) + e(n-2) and e(n) = 1 for n <= 0; the game
    starts with 3 or 4 stones.
    """
    (code,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "games.md").read_text(), re.DOTALL
    )
    assert len(code.splitlines()) <= 45
    modules("one_pile_example", code)
    tree = load_tree("one_pile_example:make")
    assert tree.name == "one_pile_example:make" and tree.utility == "zero_sum"

    def endings(left):
        return 1 if left <= 0 else endings(left - 1) + endings(left - 2)

    assert tree.num_terminals == endings(3) + endings(4)
    assert tree.observation_kind == "one_hot"
    assert isinstance(load_game("one_pile_example:make"), TreeGame)


def test_public_names_of_the_package():
    for name in games.__all__:
        assert getattr(games, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = games.nothing


def test_registry_and_catalogue_import_without_jax():
    code = "import sys, games.registry; sys.exit('jax' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


def test_files_load_by_their_path(tmp_path):
    path = str(tmp_path / "rps.json")
    payoffs = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0.0]])
    write_payoffs(NormalForm(np.stack([payoffs, -payoffs], axis=-1)), path)
    tree = load_tree(path)
    assert tree.name == path and tree.zero_sum and tree.num_terminals == 9
    assert load_game(path).info.name == path
    assert describe_game(path).observation_kind == "constant"


def test_dotted_path_may_return_each_kind(modules):
    modules(
        "makers",
        "import numpy as np\n"
        "from games import NormalForm, OpenSpielHost, load_game, load_tree\n"
        "def matrix(): return NormalForm(np.zeros((2, 2, 2)))\n"
        "def tree(): return load_tree('kuhn_poker')\n"
        "def game(): return load_game('kuhn_poker')\n"
        "def host(): return OpenSpielHost('tic_tac_toe')\n"
        "def wrong(): return 3\n"
        "def broken(): return [][1]\n",
    )
    assert isinstance(load_tree("makers:matrix"), GameTree)
    assert load_tree("makers:tree").name == "makers:tree"
    assert isinstance(load_game("makers:game"), Game)
    assert isinstance(load_game("makers:host"), HostGame)
    with pytest.raises(GameError, match="OpenSpielHost, which has no game tree"):
        load_tree("makers:host")
    with pytest.raises(GameError, match="returned a int; a game is an OpenSpiel string"):
        load_tree("makers:wrong")
    with pytest.raises(IndexError):
        load_tree("makers:broken")
    with pytest.raises(GameError, match="cannot load 'makers:nothing'"):
        load_game("makers:nothing")


@pytest.mark.parametrize("load", [load_game, load_simulator, load_tree])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("leduc", "did you mean 'leduc_poker'.*payoff file.*package.module:make"),
        ("", "unknown OpenSpiel game ''"),
        ("no_such_module:make", "No module named 'no_such_module'; a game is"),
        ("missing.nfg", "missing.nfg: no such file"),
        ("mfg_crowd_modelling", "mean-field"),
    ],
)
def test_what_is_no_game_says_what_is_allowed(load, name, message):
    with pytest.raises(GameError, match=message):
        load(name)


def test_games_without_a_tree_are_played_on_open_spiel_states():
    for name in ("connect_four", "pig(players=2)", "dark_hex_ir(board_size=2)"):
        assert isinstance(load_game(name), OpenSpielHost)
        assert describe_game(name).exact
    with pytest.raises(GameError, match=r"samples its chance.*cannot be played uncompiled"):
        load_game("negotiation")


def test_simulators_are_played_without_a_tree(modules, tmp_path, monkeypatch):
    path = str(tmp_path / "matrix.json")
    write_payoffs(NormalForm(np.zeros((2, 2, 2))), path)
    assert isinstance(load_simulator(path), TreeGame)
    modules("own_game", "from games import OpenSpielHost\ndef make(): return OpenSpielHost('go')\n")
    assert load_simulator("own_game:make").info.name == "go"

    def refuse(self, *arguments, **fields):
        raise AssertionError("a GameTree was built")

    monkeypatch.setattr(GameTree, "__init__", refuse)
    for name in ("kuhn_poker", "goofspiel(imp_info=True,num_cards=4)", "connect_four"):
        host = load_simulator(name)
        assert isinstance(host, OpenSpielHost) and host.info.name == name and host.info.turn_based
    with pytest.raises(GameError, match="samples its chance events"):
        load_simulator("negotiation")


def test_description_of_a_compiled_game():
    found = describe_game("leduc_poker")
    assert (found.num_nodes, found.num_terminals, found.num_infosets) == (9457, 5520, (468, 468))
    assert (found.num_players, found.utility, found.payoff_range) == (2, "zero_sum", 26.0)
    assert (found.observation_kind, found.observation_size) == (
        "information_state_tensor",
        (30, 30),
    )
    assert found.exact is None


def test_description_of_a_game_too_large():
    found = describe_game("kuhn_poker", max_nodes=20)
    assert found.num_nodes is None and "more than 20 nodes" in found.exact
    assert found.observation_size == (11, 11)


def test_list_covers_open_spiel_and_judges_exactness():
    rows = {row.name: row for row in list_games()}
    assert len(rows) > 100
    assert rows["kuhn_poker"].exact is None and rows["leduc_poker"].max_players == 10
    assert "more than" in rows["chess"].exact and rows["efg_game"].exact == "needs parameters"
    assert rows["goofspiel"].dynamics == "simultaneous" and rows["kuhn_poker"].chance == "explicit"
    assert rows["tiny_hanabi"].utility == "common_payoff"
