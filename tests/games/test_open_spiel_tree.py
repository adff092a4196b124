"""OpenSpiel games compiled into trees, checked against slow walks written from the definition."""

import numpy as np
import pyspiel
import pytest

from games.open_spiel_tree import (
    UnknownGameError,
    compile_open_spiel,
    load_open_spiel,
    representative_states,
)
from games.tree_compile import utility_of
from games.tree_walk import GameTooLargeError, surely_larger
from games.types import CHANCE, TERMINAL, GameError

GAMES = (
    "kuhn_poker",
    "kuhn_poker(players=3)",
    "leduc_poker",
    "liars_dice(numdice=1,dice_sides=3)",
    "goofspiel(imp_info=True,num_cards=3)",
    "goofspiel(imp_info=True,num_cards=3,players=3,returns_type=total_points)",
    "sheriff(num_rounds=1)",
    "trade_comm(num_items=2)",
    "tiny_hanabi",
    "first_sealed_auction(max_value=4)",
    "dark_hex(board_size=2)",
    "matrix_shapleys_game",
    "matching_pennies_3p",
    "coordinated_mp",
    "nim(pile_sizes=1;2)",
    "blotto(players=3,coins=3)",
    "oshi_zumo(coins=2,size=1,horizon=3)",
    "python_kuhn_poker",
)


GOOFSPIEL_POINTS = "goofspiel(imp_info=True,num_cards=3,returns_type=total_points)"


@pytest.fixture(scope="module", params=GAMES)
def compiled(request):
    game = load_open_spiel(request.param).turn_based
    return game, compile_open_spiel(request.param, cache=False)


def _histories(state, path, reach, own, found):
    """All that the definition says of every history, by recursion over OpenSpiel states."""
    player = state.current_player()
    if state.is_terminal():
        found[path] = (TERMINAL, reach, tuple(own), tuple(state.returns()))
        return
    if state.is_chance_node():
        found[path] = (CHANCE, reach, tuple(own), None)
        for outcome, probability in state.chance_outcomes():
            if probability > 0:
                _histories(state.child(outcome), (*path, outcome), reach * probability, own, found)
        return
    name = state.information_state_string(player)
    found[path] = (player, reach, tuple(own), (name, tuple(state.legal_actions())))
    for action in state.legal_actions():
        longer = list(own)
        longer[player] = (*own[player], (name, action))
        _histories(state.child(action), (*path, action), reach, longer, found)


def _own_history(tree, sequence):
    """The (information-state string, action) pairs that a sequence id stands for."""
    pairs = []
    while sequence >= tree.num_players:
        infoset = tree.sequence_infoset[sequence]
        pairs.append((tree.infoset_name[infoset], int(tree.sequence_action[sequence])))
        sequence = tree.infoset_parent_sequence[infoset]
    return tuple(reversed(pairs)), int(sequence)


def test_every_history_agrees_with_a_walk_from_the_definition(compiled):
    game, tree = compiled
    expected = {}
    empty = [()] * game.num_players()
    _histories(game.new_initial_state(), (), 1.0, empty, expected)
    paths, reach = [()], [1.0]
    for node in range(1, tree.num_nodes):
        parent = tree.node_parent[node]
        assert parent < node
        paths.append((*paths[parent], int(tree.node_action[node])))
        reach.append(reach[parent] * tree.node_probability[node])
    assert set(paths) == set(expected) and len(paths) == len(expected)
    assert tree.num_terminals == sum(e[0] == TERMINAL for e in expected.values())
    for node, path in enumerate(paths):
        player, probability, own, rest = expected[path]
        assert tree.node_player[node] == player
        assert reach[node] == pytest.approx(probability, rel=1e-12)
        if player == TERMINAL:
            row = tree.node_terminal[node]
            assert tree.terminal_probability[row] == pytest.approx(probability, rel=1e-12)
            assert tuple(tree.terminal_returns[row]) == rest
            for p, sequence in enumerate(tree.terminal_sequence[row]):
                assert _own_history(tree, sequence) == (own[p], p)
        elif player >= 0:
            infoset = tree.node_infoset[node]
            name, legal = rest
            assert (tree.infoset_player[infoset], tree.infoset_name[infoset]) == (player, name)
            assert tuple(np.flatnonzero(tree.legal_mask[infoset])) == legal
            assert _own_history(tree, tree.infoset_parent_sequence[infoset]) == (
                own[player],
                player,
            )
            assert tree.infoset_depth[infoset] == len(own[player])
    names = {(e[0], e[3][0]) for e in expected.values() if e[0] >= 0}
    assert tree.num_infosets == len(names)


def test_order_of_nodes_infosets_and_sequences(compiled):
    _, tree = compiled
    assert (np.diff(tree.node_depth) >= 0).all() and (np.diff(tree.node_parent) >= 0).all()
    assert (np.diff(tree.infoset_depth) >= 0).all()
    counts = tree.legal_mask.sum(axis=1)
    first = tree.num_players + np.cumsum(counts) - counts
    np.testing.assert_array_equal(tree.infoset_first_sequence, first)
    np.testing.assert_array_equal(
        tree.sequence_infoset[tree.num_players :], np.repeat(np.arange(tree.num_infosets), counts)
    )
    assert (tree.infoset_parent_sequence < tree.infoset_first_sequence).all()
    depth = np.zeros(tree.num_nodes, int)
    for node in range(1, tree.num_nodes):
        depth[node] = depth[tree.node_parent[node]] + 1
    np.testing.assert_array_equal(tree.node_depth, depth)


def test_observations_are_the_named_tensor_and_unique_per_player(compiled):
    game, tree = compiled
    rows = {
        (int(p), row.tobytes())
        for p, row in zip(tree.infoset_player, tree.observation, strict=True)
    }
    assert len(rows) == tree.num_infosets
    if tree.observation_kind == "one_hot":
        assert (tree.observation.sum(axis=1) == 1).all()
        return
    for infoset, state in enumerate(representative_states(game, tree)):
        player = int(tree.infoset_player[infoset])
        assert state.information_state_string(player) == tree.infoset_name[infoset]
        tensor = getattr(state, tree.observation_kind)(player)
        np.testing.assert_array_equal(tree.observation[infoset], np.float32(tensor))


def test_kuhn_poker_has_the_known_sizes():
    tree = compile_open_spiel("kuhn_poker", cache=False)
    assert (tree.num_nodes, tree.num_terminals, tree.infosets_per_player) == (58, 30, (6, 6))
    assert (tree.min_return, tree.max_return, tree.zero_sum) == (-2.0, 2.0, True)
    assert tree.terminal_probability.sum() == pytest.approx(1 + 4 * 1, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "utility"),
    [
        ("leduc_poker", "zero_sum"),
        ("tiny_hanabi", "common_payoff"),
        (GOOFSPIEL_POINTS, "general_sum"),
        ("sheriff(num_rounds=1)", "general_sum"),
    ],
)
def test_utility_is_what_the_returns_say(name, utility):
    tree = compile_open_spiel(name, cache=False)
    totals = tree.terminal_returns.sum(axis=1)
    first = tree.terminal_returns[:, :1]
    assert tree.utility == utility
    assert (np.abs(totals).max() < 1e-12) == (utility == "zero_sum")
    assert (tree.terminal_returns == first).all() == (utility == "common_payoff")


def test_returns_decide_about_the_utility():
    assert utility_of(np.array([[1.0, -1.0], [0.5, -0.5]])) == "zero_sum"
    assert utility_of(np.array([[1.0, 2.0], [0.5, 2.5]])) == "constant_sum"
    assert utility_of(np.array([[1.0, 1.0], [0.5, 0.5]])) == "common_payoff"
    assert utility_of(np.array([[1.0, -1.0], [0.5, -0.4]])) == "general_sum"


def test_tensor_that_hides_information_states_is_replaced():
    """dark_hex's information-state tensor cannot tell all information states apart, nor can its
    observation.
    """
    assert compile_open_spiel("dark_hex(board_size=2)", cache=False).observation_kind == "one_hot"


def test_unknown_game_names_the_nearest():
    with pytest.raises(UnknownGameError, match="'kuhn_pokr': did you mean 'kuhn_poker'"):
        compile_open_spiel("kuhn_pokr(players=2)")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kuhn_poker(players=77)", "OpenSpiel cannot load"),
        ("goofspiel(num_cards=4)", "imperfect recall.*OpenSpielHost"),
        ("coin_game", "no information-state string"),
        ("negotiation", "samples its chance events"),
        ("mfg_crowd_modelling", "mean-field"),
    ],
)
def test_games_without_a_tree_say_why(name, message):
    with pytest.raises(GameError, match=message):
        compile_open_spiel(name, cache=False)


def test_node_limit_is_exact_and_says_how_to_raise_it():
    assert compile_open_spiel("kuhn_poker", max_nodes=58, cache=False).num_nodes == 58
    with pytest.raises(
        GameTooLargeError, match=r"more than 57 nodes: raise max_nodes.*OpenSpielHost"
    ):
        compile_open_spiel("kuhn_poker", max_nodes=57, cache=False)


def test_huge_games_are_refused_by_probes_and_small_ones_never():
    refused = [load_open_spiel(name).turn_based for name in ("go", "phantom_ttt", "connect_four")]
    assert all(surely_larger(game.new_initial_state(), 5_000_000) for game in refused)
    for name in GAMES:
        game = load_open_spiel(name).turn_based
        nodes = compile_open_spiel(name, cache=False).num_nodes
        assert not surely_larger(game.new_initial_state(), nodes)


def test_progress_counts_up_to_all_nodes():
    seen = []
    tree = compile_open_spiel(
        "liars_dice(numdice=1,dice_sides=5)", progress=seen.append, cache=False
    )
    assert len(seen) >= 3 and seen == sorted(seen) and seen[-1] == tree.num_nodes


def test_policy_check_names_the_information_state():
    tree = compile_open_spiel("kuhn_poker", cache=False)
    tree.check_policy(tree.uniform_policy())
    policy = tree.uniform_policy()
    policy[3] = [0.7, 0.7]
    with pytest.raises(ValueError, match=repr(tree.infoset_name[3])):
        tree.check_policy(policy)


def test_game_with_a_file_or_python_class_behind_it_is_not_cached():
    assert load_open_spiel("kuhn_poker").stable
    assert not load_open_spiel("python_kuhn_poker").stable
    assert isinstance(load_open_spiel("kuhn_poker").game, pyspiel.Game)
