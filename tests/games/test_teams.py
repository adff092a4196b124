"""Which seats players have, and what they are paid, by worked numbers."""

import numpy as np
import pytest

from games.registry import load_game
from games.teams import by_player, player_returns, player_seats, two_teams
from games.types import GameError, GameInfo

INFO = GameInfo(
    "a game", 4, (2, 3, 2, 3), (5, 6, 5, 6), "general_sum", False, -1.0, 1.0, 9,
    seat_players=(0, 1, 0, 1),
)  # fmt: skip


def test_every_seat_is_a_player_unless_something_else_is_said():
    alone = INFO._replace(seat_players=())
    assert by_player(alone) is alone
    assert player_seats(alone).tolist() == [[0, 1, 2, 3]]
    returns = np.array([[1.0, 2.0, 3.0, 4.0]])
    assert player_returns(alone, returns) is returns


def test_players_of_two_seats():
    assert player_seats(INFO).tolist() == [[0, 1], [2, 3]]
    crossed = INFO._replace(
        seat_players=(1, 0, 0, 1), num_actions=(3, 2, 2, 3), observation_size=(6, 5, 5, 6)
    )
    assert player_seats(crossed).tolist() == [[1, 0], [2, 3]]
    info = by_player(INFO)
    assert (info.num_players, info.num_actions, info.observation_size) == (2, (2, 3), (5, 6))
    assert by_player(info) is info
    # The mean of what the seats are paid, in the order of the players.
    returns = np.array([[1.0, 2.0, 3.0, 6.0], [-1.0, 1.0, -1.0, 1.0]])
    assert player_returns(INFO, returns).tolist() == [[2.0, 4.0], [-1.0, 1.0]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seat_players": (0, 0, 0, 1)}, "as many seats each"),
        ({"seat_players": (0, 2, 0, 2)}, "as many seats each"),
        ({"seat_players": (0, 1)}, "4 seats, but seat_players tells of 2"),
        ({"seat_players": (0, 0, 1, 1)}, "differ in num_actions"),
    ],
)
def test_teams_that_cannot_be(change, words):
    with pytest.raises(GameError, match=words):
        player_seats(INFO._replace(**change))


def test_soccer_is_played_by_teams():
    assert two_teams(3) == (0, 0, 0, 1, 1, 1) and two_teams(1) == ()
    for name in ("toy_soccer(team_size=2)", "soccer/team(body=boxhead)", "dm_soccer"):
        info = load_game(name).info
        assert info.seat_players == (0, 0, 1, 1) and info.symmetric
    for name in ("toy_soccer", "soccer/duel"):
        assert load_game(name).info.seat_players == ()
