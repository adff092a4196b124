"""Normal-form games: validation, symmetry, files, OpenSpiel's matrix games, and the tree of one."""

import json

import numpy as np
import pyspiel
import pytest

from games.nfg_format import format_nfg, parse_nfg
from games.normal_form import NormalForm, from_open_spiel
from games.payoff_files import read_payoffs, write_payoffs
from games.types import TERMINAL, GameError


def _random(sizes, seed=0):
    return NormalForm(np.random.default_rng(seed).normal(size=(*sizes, len(sizes))), name="random")


PAYOFF_FORM = """NFG 1 R "A 3x2 game" { "Row" "Column" } { 3 2 }

1 1 0 2 0 2
1 1 0 3 2 1/4
"""

OUTCOME_FORM = """NFG 1 R "A 3x2 game \\"quoted\\""
{ "Row" "Column" }
{ { "T" "M" "B" } { "L" "R" } }
"a comment"
{ { "first" 1, 1 } { "second" 0, 2 } { "" 0 3 } { "last" 2, 0.25 } }
1 2 2 1 3 4
"""


@pytest.mark.parametrize("text", [PAYOFF_FORM, OUTCOME_FORM])
def test_both_forms_of_nfg_read_as_the_same_game(text):
    """The first player's strategy changes fastest: (T,L) (M,L) (B,L) (T,R) (M,R) (B,R)."""
    game = parse_nfg(text, source="example.nfg")
    row = [[1, 1], [0, 0], [0, 2]]
    column = [[1, 1], [2, 3], [2, 0.25]]
    np.testing.assert_array_equal(game.payoffs, np.stack([row, column], axis=-1))
    assert game.strategy_names[0] == (("T", "M", "B") if "comment" in text else ("0", "1", "2"))


def test_outcome_zero_pays_nothing():
    text = 'NFG 1 R "" { "a" "b" } { { "x" } { "y" "z" } } "" { { "" 5 6 } } 0 1'
    np.testing.assert_array_equal(parse_nfg(text, source="x").payoffs, [[[0, 0], [5, 6]]])


@pytest.mark.parametrize("sizes", [(1, 1), (3, 3), (2, 3, 4), (2, 2, 2, 2)])
@pytest.mark.parametrize("suffix", [".nfg", ".json", ".npz"])
def test_files_give_back_what_was_written(tmp_path, sizes, suffix):
    game = _random(sizes)
    names = [[f'strategy "{k}" of {p}' for k in range(size)] for p, size in enumerate(sizes)]
    game = NormalForm(
        game.payoffs,
        strategy_names=names,
        standard_errors=None if suffix == ".nfg" else np.abs(game.payoffs),
        counts=None if suffix == ".nfg" else np.full(sizes, 7),
    )
    write_payoffs(game, tmp_path / f"game{suffix}")
    back = read_payoffs(tmp_path / f"game{suffix}")
    np.testing.assert_array_equal(back.payoffs, game.payoffs)
    assert back.strategy_names == game.strategy_names
    if suffix != ".nfg":
        np.testing.assert_array_equal(back.standard_errors, game.standard_errors)
        np.testing.assert_array_equal(back.counts, game.counts)


def test_npy_holds_the_payoffs_alone(tmp_path):
    game = _random((2, 3))
    write_payoffs(game, tmp_path / "game.npy")
    np.testing.assert_array_equal(read_payoffs(tmp_path / "game.npy").payoffs, game.payoffs)


def test_open_spiel_reads_our_nfg_and_we_read_its(tmp_path):
    game = _random((3, 4), seed=3)
    path = tmp_path / "game.nfg"
    path.write_text(format_nfg(game))
    theirs = pyspiel.load_game(f"nfg_game(filename={path})")
    for i in range(3):
        for j in range(4):
            np.testing.assert_allclose(
                [theirs.player_utility(p, i, j) for p in (0, 1)], game.payoffs[i, j], rtol=1e-12
            )
    text = pyspiel.game_to_nfg_string(pyspiel.load_matrix_game("matrix_bos"))
    np.testing.assert_array_equal(
        parse_nfg(text, source="bos").payoffs, from_open_spiel("matrix_bos").payoffs
    )


@pytest.mark.parametrize("name", ["matrix_rps", "matrix_pd", "blotto(players=3,coins=3)"])
def test_open_spiel_matrix_games(name):
    game = from_open_spiel(name)
    root = pyspiel.load_game(name).new_initial_state()
    generator = np.random.default_rng(0)
    for _ in range(50):
        profile = [int(generator.integers(k)) for k in game.num_strategies]
        state = root.clone()
        state.apply_actions([root.legal_actions(p)[k] for p, k in enumerate(profile)])
        np.testing.assert_array_equal(game.payoffs[tuple(profile)], state.returns())
    assert game.symmetric
    assert game.strategy_names[0][0] == root.action_to_string(0, root.legal_actions(0)[0])


def test_games_that_are_no_matrix_say_so():
    for name in ("kuhn_poker", "goofspiel(imp_info=True,num_cards=3,points_order=descending)"):
        with pytest.raises(GameError, match=r"games\.registry\.load_tree"):
            from_open_spiel(name)


def test_symmetry_means_that_seats_can_be_exchanged():
    base = np.random.default_rng(1).normal(size=(3, 3))
    assert NormalForm(np.stack([base, base.T], axis=-1)).symmetric
    assert not NormalForm(np.stack([base, base], axis=-1)).symmetric
    assert not _random((2, 3)).symmetric
    three = np.zeros((2, 2, 2, 3))
    # Whoever alone chooses 1 wins: the same for every seat.
    for profile in np.ndindex(2, 2, 2):
        three[profile] = [k == 1 and sum(profile) == 1 for k in profile]
    assert NormalForm(three).symmetric
    three[1, 0, 0, 0] = 2
    assert not NormalForm(three).symmetric


def test_tree_hides_moves_and_pays_the_payoffs():
    game = _random((2, 3, 2))
    tree = game.to_tree()
    assert tree.infosets_per_player == (1, 1, 1)
    assert (tree.observation == 1).all() and tree.observation.shape == (3, 1)
    np.testing.assert_array_equal(tree.legal_mask.sum(axis=1), [2, 3, 2])
    for node in np.flatnonzero(tree.node_player == TERMINAL):
        row, profile = tree.node_terminal[node], []
        while node > 0:
            profile.append(tree.node_action[node])
            node = tree.node_parent[node]
        np.testing.assert_array_equal(
            tree.terminal_returns[row], game.payoffs[tuple(profile[::-1])]
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"payoffs": np.zeros((3, 3))}, r"shape \(3, 3\).*numpy.stack"),
        ({"payoffs": np.zeros((3, 0, 2))}, "player 1 has no strategy"),
        (
            {"payoffs": np.array([[[1, 2], [3, 4]], [[5, np.nan], [7, 8]]])},
            r"player 1 at profile \(1, 0\)",
        ),
        (
            {"payoffs": np.zeros((2, 2, 2)), "strategy_names": [["a"], ["b", "c"]]},
            r"names for \[1, 2\]",
        ),
        ({"payoffs": np.zeros((2, 2, 2)), "counts": np.zeros(3)}, r"counts have shape \(3,\)"),
        ({"payoffs": np.zeros((2, 2, 2)), "counts": -np.ones((2, 2))}, "non-negative"),
    ],
)
def test_wrong_games_are_named(arguments, message):
    with pytest.raises(GameError, match=message):
        NormalForm(**arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected 'NFG'.*the file ends"),
        ("EFG 2 R", "line 1: expected 'NFG'.*found 'EFG'"),
        ('NFG 1 X "" { "a" } { 2 } 1 2', "R or D"),
        ('NFG 1 R "" { "a" "b" } { 2 } 1 2', "2 players, but strategies for 1"),
        ('NFG 1 R "" { "a" "b" } { 2 0 }', "every player needs at least one"),
        ('NFG 1 R "" { "a" "b" } { 1 2 }\n1 2\n3', "expected a payoff, but the file ends"),
        (
            'NFG 1 R "" { "a" "b" } { 1 1 }\n1 two',
            "line 2: expected a payoff, a number, found 'two'",
        ),
        ('NFG 1 R "" { "a" "b" } { 1 1 }\n1 2 3', "the end of the file after 1 profiles"),
        ('NFG 1 R "" { "a" "b" } { 1 1 } { { "" 1 2 } } 2', "outcome 2 does not exist"),
        ('NFG 1 R "" { "a" "b" } { 1 1.5 } 1 2', "a number of strategies, an integer"),
    ],
)
def test_broken_nfg_files_name_the_place(text, message):
    with pytest.raises(GameError, match=rf"broken\.nfg.*{message}"):
        parse_nfg(text, source="broken.nfg")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a.json", "{", "not a readable .json file"),
        ("a.json", "3", "expected an object"),
        ("a.json", json.dumps({"payofs": []}), "unknown field 'payofs'; did you mean 'payoffs'"),
        ("a.json", json.dumps({"counts": []}), "no field 'payoffs'"),
        ("a.json", "[[1, 2], [3]]", "payoffs is not a regular array"),
        ("a.json", '{"payoffs": "rock"}', "payoffs is not a regular array"),
        ("a.npy", "junk", "not a readable .npy file"),
        ("a.npz", "junk", "not a readable .npz file"),
        ("a.txt", "", "unknown suffix '.txt'.*read from .nfg"),
    ],
)
def test_broken_files_name_the_file(tmp_path, file, content, message):
    (tmp_path / file).write_text(content)
    with pytest.raises(GameError, match=rf"{file}.*{message}"):
        read_payoffs(tmp_path / file)


def test_missing_file_and_unknown_suffix(tmp_path):
    with pytest.raises(GameError, match="no such file"):
        read_payoffs(tmp_path / "none.nfg")
    with pytest.raises(GameError, match=r"written to \.nfg"):
        write_payoffs(_random((2, 2)), tmp_path / "game.txt")
