"""Compiling a user's own states: depth, contradictions, and what is wrong with each."""

import dataclasses

import pytest

from games.tree_compile import compile_states
from games.tree_walk import GameTooLargeError
from games.types import CHANCE, TERMINAL, GameError


@dataclasses.dataclass(frozen=True)
class Line:
    """Two players in turn, one action each time, `length` moves; changed per test."""

    length: int
    moves: int = 0
    legal: tuple = (0,)
    names: bool = True
    odds: tuple = ()
    pay: float = 1.0

    def current_player(self):
        if self.odds and self.moves == 0:
            return CHANCE
        return TERMINAL if self.moves >= self.length else self.moves % 2

    def legal_actions(self):
        return list(self.legal)

    def chance_outcomes(self):
        return list(self.odds)

    def child(self, action):
        return dataclasses.replace(self, moves=self.moves + 1)

    def returns(self):
        return [self.pay, -self.pay]

    def information_state_string(self):
        return str(self.moves) if self.names else "always the same"


def _compile(state, **options):
    return compile_states(state, name="line", num_players=2, num_actions=2, **options)


def test_a_game_far_longer_than_the_recursion_limit():
    tree = _compile(Line(20_000), observe_fn=lambda state: [float(state.moves)])
    assert (tree.num_nodes, tree.num_terminals, tree.node_depth[-1]) == (20_001, 1, 20_000)
    assert tree.observation_kind == "own" and tree.observation[-1, 0] == 19_999


def test_an_endless_game_ends_at_the_limit():
    with pytest.raises(GameTooLargeError, match="more than 5,000 nodes"):
        _compile(Line(10**9), max_nodes=5_000)


def test_more_information_states_than_a_one_hot_may_have():
    with pytest.raises(GameTooLargeError, match="limited to 8,192"):
        _compile(Line(20_000))
    tree = _compile(Line(20_000), observe_fn=lambda state: [1.0])
    assert tree.observation_kind == "own (not unique)"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (Line(4, names=False), "imperfect recall: player 0"),
        (Line(4, legal=()), "'0' has no legal action"),
        (Line(4, legal=(0, 2)), r"must lie in 0..1, found 0..2"),
        (Line(4, legal=(1, 0)), "ascending order"),
        (Line(0), "no decision of any player"),
        (Line(4, odds=((0, 0.5), (1, 0.4))), "sum to 0.9, not 1"),
        (Line(4, odds=((0, 0.0),)), "no outcome of positive probability"),
        (Line(4, pay=float("nan")), "not a finite number"),
    ],
)
def test_contradictions_are_named(state, message):
    with pytest.raises(GameError, match=message):
        _compile(state)


def test_legal_actions_that_differ_inside_an_information_state():
    class Fickle(Line):
        def legal_actions(self):
            return [0] if self.moves % 4 < 2 else [0, 1]

    with pytest.raises(GameError, match="legal actions"):
        _compile(Fickle(8, names=False))
