"""Matches of teams: an entrant has all seats of a player, and is paid for them once."""

import dataclasses
import functools
import importlib.util
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from evaluation.match import forfeit_returns
from evaluation.players import Choice, PolicyPlayer, Turn
from evaluation.tournament.items import Item, Setup, play_item
from evaluation.tournament.types import Entrant
from neupl.member_policy import MemberPolicy

_spec = importlib.util.spec_from_file_location(
    "role_game", Path(__file__).parents[1] / "neupl" / "role_game.py"
)
role_game = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(role_game)


@dataclasses.dataclass
class Says:
    """Says what is right in its seat, or always 0."""

    right: bool
    ends: bool = False

    def begin(self, seeds):
        pass

    def choose(self, turn):
        if self.ends:
            raise ValueError("no more")
        action = turn.observe()[:, 0].astype(np.int64) * self.right
        return Choice(action, None)


def player(right, ends_in, seat, lanes):
    return Says(right, ends=seat == ends_in)


@pytest.fixture
def played(monkeypatch):
    """`(seat that gives up) -> results` of who is right, against who says 0."""
    monkeypatch.setitem(sys.modules, "role_game", role_game)

    def play(ends_in=None):
        entrants = (
            Entrant("right", functools.partial(player, True, ends_in), None, "a"),
            Entrant("zero", functools.partial(player, False, None), None, "b"),
        )
        setup = Setup("role_game:RoleGame", entrants, 0, 3, None, 0, 1000)
        return play_item(setup, Item((0, 1), 0))

    return play


def test_payoffs_of_teams_are_those_worked_by_hand(played):
    """Two right against one, half a point a round, two rounds: 1 for the team in either seating."""
    found = played()
    assert found.returns.shape == (2, 3, 2)
    assert (found.returns[0] == [1, -1]).all() and (found.returns[1] == [-1, 1]).all()
    assert found.decisions == 2 * 3 * 2 * 4 and not found.forfeits


def test_who_gives_up_in_one_seat_loses_for_its_team(played):
    """Seat 3 is of player 1, whom the first entrant is in the second seating."""
    found = played(3)
    assert (found.returns[0] == [1, -1]).all() and (found.returns[1] == [2, -2]).all()
    assert {(lost.arrangement, lost.seat) for lost in found.forfeits} == {(1, 1)}
    info = role_game.RoleGame().info
    assert forfeit_returns(info, np.zeros(4), 2).tolist() == [-2, 2, -2, 2]
    alone = info._replace(seat_players=())
    np.testing.assert_allclose(forfeit_returns(alone, np.zeros(4), 2), [2 / 3, 2 / 3, -2, 2 / 3])


def actions_of(policy, seat, owner):
    one = PolicyPlayer(policy, seat=seat, player=owner)
    one.begin(np.arange(40, dtype=np.uint64))
    turn = Turn(
        np.arange(40), lambda: np.zeros((40, 3), np.float32), np.ones((40, 2), bool), None,
        np.zeros(40), lambda lane: None,
    )  # fmt: skip
    return one.choose(turn).action


def test_seats_of_a_team_play_the_same_strategy_of_a_mixture():
    def every(observation, mask):
        return jnp.tile(jnp.eye(2)[:, None], (1, len(observation), 1))

    mixture = MemberPolicy(every, jnp.array([0.5, 0.5]))
    home, mate, away = (actions_of(mixture, *who) for who in ((0, 0), (2, 0), (1, 1)))
    assert (home == mate).all() and 0 < home.mean() < 1
    assert (home != away).any()


def test_seats_draw_their_actions_apart():
    def every(observation, mask):
        return jnp.full((1, len(observation), 2), 0.5)

    even = MemberPolicy(every, jnp.ones(1))
    first, second = (np.asarray(actions_of(even, seat, 0)) for seat in (0, 1))
    assert (first != second).any()
