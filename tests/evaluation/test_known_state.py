"""What a person is shown: everything the seat knows, and nothing else."""

import re

import numpy as np
import pytest

from evaluation.known_state import known_scene, known_text
from evaluation.replay_frames import scene_of
from games.open_spiel_tree import load_open_spiel
from games.registry import load_tree


def decision_states(game: str):
    """`(information state, seat, state)` of every decision node."""
    tree, loaded = load_tree(game), load_open_spiel(game).turn_based
    for node in np.flatnonzero(tree.node_infoset >= 0).tolist():
        path, at = [], node
        while at > 0:
            path.append(int(tree.node_action[at]))
            at = int(tree.node_parent[at])
        state = loaded.new_initial_state()
        for action in reversed(path):
            state.apply_action(action)
        yield int(tree.node_infoset[node]), int(tree.node_player[node]), state


@pytest.mark.parametrize("game", ["kuhn_poker", "kuhn_poker(players=3)", "leduc_poker"])
def test_a_seat_is_shown_the_same_wherever_it_cannot_tell_the_difference(game):
    shown: dict[int, tuple] = {}
    for infoset, seat, state in decision_states(game):
        seen = (known_text(game, state, seat), repr(known_scene(game, state, seat)))
        assert shown.setdefault(infoset, seen) == seen
    # And it is shown all that it knows: different information, another picture or other words.
    if game == "kuhn_poker":
        assert len(set(shown.values())) >= 9


def test_simultaneous_moves_of_others_stay_hidden():
    game = "goofspiel(num_cards=3,points_order=descending,imp_info=True)"
    shown: dict[int, str] = {}
    for infoset, seat, state in decision_states(game):
        words = known_text(game, state, seat)
        assert shown.setdefault(infoset, words) == words
        assert known_scene(game, state, seat) is None


def test_chips_of_leduc_are_those_of_open_spiel():
    for _, _, state in decision_states("leduc_poker"):
        money = re.search(r"\[Money: (\d+) (\d+)\]", state.information_state_string(0))
        scene = scene_of("leduc_poker", state, str(state))
        assert [place["chips"] for place in scene["seats"]] == [
            100 - int(m) for m in money.groups()
        ]


def test_boards_are_shown_as_they_are():
    state = load_open_spiel("tic_tac_toe").game.new_initial_state()
    state.apply_action(4)
    assert known_text("tic_tac_toe", state, 1) == "...\n.x.\n..."
    assert known_scene("tic_tac_toe", state, 1) == {"kind": "board", "rows": 3}
