"""Beliefs: Bayes' rule by hand and against a walk over all of OpenSpiel's histories; in replays."""

import dataclasses

import numpy as np
import pyspiel
import pytest

from evaluation.beliefs import belief, table_of
from evaluation.match import play_match
from evaluation.pages.replay_page import replay_content
from evaluation.players import OpenSpielPlayer, TablePlayer, UniformPlayer
from evaluation.replay import Replay, parse_replay, replay_bytes
from evaluation.replay_frames import frames
from evaluation.replay_states import check_replay
from games.open_spiel_tree import load_open_spiel
from games.registry import load_lanes, load_tree

JACK, QUEEN, KING, BET = 0, 1, 2, 1


def bluffing_table() -> np.ndarray:
    """Kuhn poker: seat 0 bets a quarter of its jacks, no queens, three quarters of its kings."""
    tree = load_tree("kuhn_poker")
    table = tree.uniform_policy()
    for card, share in ((JACK, 0.25), (QUEEN, 0.0), (KING, 0.75)):
        table[tree.infoset_name.index(str(card))] = (1 - share, share)
    return table


def test_beliefs_after_a_bet_by_hand():
    """With the queen: a jack bets 1/4, a king 3/4. With the king: it can only be a jack."""
    tree = load_tree("kuhn_poker")
    tables = [bluffing_table(), None]
    with_queen = belief(tree, tables, tree.infoset_name.index("1b"))
    assert [actions for _, actions in with_queen] == [(KING, QUEEN, BET), (JACK, QUEEN, BET)]
    assert [share for share, _ in with_queen] == pytest.approx([0.75, 0.25])
    assert belief(tree, tables, tree.infoset_name.index("2b")) == ((1.0, (JACK, KING, BET)),)
    # Seat 0 does not know what seat 1 plays, and nothing it has seen depends on it but its bet.
    assert belief(tree, tables, tree.infoset_name.index("0pb")) is None


def reach_without(game: pyspiel.Game, tree, tables: list[np.ndarray]) -> dict:
    """By information state, the probability that chance and the others lead to each history."""
    found: dict = {}

    def walk(state: pyspiel.State, reach: np.ndarray) -> None:
        if state.is_terminal():
            return
        if state.is_chance_node():
            for action, share in state.chance_outcomes():
                walk(state.child(action), reach * share)
            return
        seat = state.current_player()
        name = state.information_state_string(seat)
        found.setdefault((seat, name), {})[tuple(state.history())] = reach[seat]
        row = tables[seat][tree.infoset_name.index(name)]
        for action in state.legal_actions():
            others = np.full(len(reach), row[action])
            others[seat] = 1.0
            walk(state.child(action), reach * others)

    walk(game.new_initial_state(), np.ones(game.num_players()))
    return found


def test_beliefs_of_three_players_are_those_of_a_walk_over_all_histories():
    name = "kuhn_poker(players=3)"
    tree, game = load_tree(name), pyspiel.load_game(name)
    weights = np.random.default_rng(5).random((3, *tree.legal_mask.shape)) * tree.legal_mask
    tables = list(weights / weights.sum(axis=-1, keepdims=True))
    every = reach_without(game, tree, tables)
    assert len(every) == tree.num_infosets
    for infoset in range(tree.num_infosets):
        seat = int(tree.infoset_player[infoset])
        known = every[seat, tree.infoset_name[infoset]]
        own = dict((actions, share) for share, actions in belief(tree, tables, infoset))
        assert own.keys() == known.keys()
        total = sum(known.values())
        for actions, share in own.items():
            assert share == pytest.approx(known[actions] / total, abs=1e-12)


def recorded(players: list, seed: int = 0, game: str = "kuhn_poker") -> Replay:
    lanes = load_lanes(game)
    seeds = np.array([seed], np.uint64)
    names = ["a", "b"]
    return play_match(lanes, players, seeds, names=names, num_replays=1).replays[0]


def test_replays_hold_beliefs_that_the_page_shows():
    replay = recorded([TablePlayer(bluffing_table()), UniformPlayer()])
    again = parse_replay(replay_bytes(replay))
    assert check_replay(again) == []
    tree = load_tree("kuhn_poker")
    shown = replay_content("one", again)
    for number, (step, frame) in enumerate(zip(again.steps, frames(again), strict=False)):
        if step.moves[0].seat < 0:
            assert step.belief is None and not frame.beliefs
            continue
        other = 1 - step.moves[0].seat
        ((about, shares),) = frame.beliefs
        assert about == f"the card of seat {other}"
        # In Kuhn poker a card stands for one history.
        assert dict(shares) == {"JQK"[actions[other]]: share for share, actions in step.belief}
        ((told, bars),) = shown["frames"][number]["b"]
        assert shown["strings"][told] == about
        assert [shown["strings"][card] for card, _ in bars] == [card for card, _ in shares]
    # Before anybody has acted both other cards are as likely.
    assert [share for share, _ in again.steps[2].belief] == [0.5, 0.5]
    assert table_of(UniformPlayer(), tree)[0].tolist() == [0.5, 0.5]


def test_beliefs_need_the_policies_of_the_others_alone():
    search = OpenSpielPlayer(load_open_spiel("kuhn_poker").turn_based, simulations=3)
    replay = recorded([UniformPlayer(), search])
    for step in replay.steps[2:]:
        assert (step.belief is None) == (step.moves[0].seat == 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda belief: tuple((share / 2, own) for share, own in belief), "shares sum to 0.5"),
        (lambda belief: ((1.0, (9, 9)),), "excludes what has happened"),
        (lambda belief: (*belief, (0.0, (0,))), "can tell from the true one"),
    ],
)
def test_beliefs_that_cannot_be_are_named(change, words):
    replay = recorded([UniformPlayer(), UniformPlayer()])
    steps = list(replay.steps)
    steps[2] = dataclasses.replace(steps[2], belief=change(steps[2].belief))
    found = check_replay(dataclasses.replace(replay, steps=tuple(steps)))
    assert any(words in one for one in found)
