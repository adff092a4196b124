"""Trees with the observations of play, by which policies were made that only played."""

import numpy as np
import pytest

from games.game_tree import GameTree
from games.normal_form import NormalForm
from games.open_spiel_tree import observe_as_played
from games.registry import load_simulator, load_tree


def test_dark_hex_is_played_by_a_tensor_that_is_not_unique():
    """Its tree numbers the information states; where it is played they are told by a tensor."""
    tree = load_tree("dark_hex(board_size=2)")
    assert tree.observation_kind == "one_hot"
    seen = observe_as_played(tree)
    game = load_simulator("dark_hex(board_size=2)")
    assert seen.observation_kind == game.observation_kind
    assert seen.observation.shape == (tree.num_infosets, game.info.observation_size[0])
    # Fewer different observations than information states, and nothing else is changed.
    rows = np.column_stack([tree.infoset_player, seen.observation])
    assert len(np.unique(rows, axis=0)) < tree.num_infosets
    for name in ("node_parent", "infoset_player", "legal_mask", "terminal_payoffs"):
        if hasattr(tree, name):
            np.testing.assert_array_equal(getattr(seen, name), getattr(tree, name))
    # What play shows at the start is what the tree shows at its first information state.
    state = game.init(np.zeros(1, np.uint64))
    first = np.flatnonzero((tree.infoset_player == 0) & (tree.infoset_depth == 0))
    assert any((game.observe(state)[0, 0] == seen.observation[row]).all() for row in first)


@pytest.mark.parametrize("game", ["kuhn_poker", "goofspiel(imp_info=True,num_cards=3)"])
def test_other_trees_stay_as_they_are(game):
    tree = load_tree(game)
    assert observe_as_played(tree) is tree


def test_trees_that_are_not_open_spiels_stay_as_they_are():
    tree: GameTree = NormalForm(np.zeros((2, 2, 2))).to_tree("zeros")
    assert observe_as_played(tree) is tree
