"""Pictures of running-with-scissors: what is drawn where."""

import numpy as np

from games.running_with_scissors import rules
from games.running_with_scissors.drawing import CELL, draw, draw_text
from games.running_with_scissors.rules import EAST, NORTH, Action

# Player 0 in a corner beside a rock, player 1 where its beam goes; one paper is left.
STATE = rules.State(
    resources=np.where(np.arange(36) == 0, rules.ROCK, np.where(np.arange(36) == 4, 2, 0)),
    position=np.array([(1, 1), (1, 4)]),
    facing=np.array([EAST, NORTH]),
    inventory=np.array([(3, 1, 0), (1, 1, 2)]),
    steps=np.array(12),
    over=np.array(False),
)
TEXT = """\
#######################
#▶.r△...........p.....#
"""


def test_text_shows_everything():
    text = draw_text(STATE)
    assert text.startswith(TEXT)
    assert text.splitlines()[15:] == [
        "step 12",
        "player 0 ▶: 3 rock, 1 paper, 0 scissors",
        "player 1 △: 1 rock, 1 paper, 2 scissors",
    ]
    assert "step 12, over" in draw_text(STATE._replace(over=np.array(True)))


def cells(picture):
    """`[17, 23, CELL, CELL, 3]`."""
    rows = picture.reshape(rules.HEIGHT + 2, CELL, rules.WIDTH, CELL, 3)
    return rows.transpose(0, 2, 1, 3, 4)


def test_picture_differs_from_bare_floor_where_something_is():
    picture = draw(STATE)
    assert picture.dtype == np.uint8 and picture.shape == (17 * CELL, 23 * CELL, 3)
    board = cells(picture)[1:14, 1:22]
    bare = (board == board[5, 5, 0, 0]).all(axis=(2, 3, 4))
    assert {(r + 1, c + 1) for r, c in np.argwhere(~bare).tolist()} == {
        (1, 1), (1, 3), (1, 4), (1, 16),
    }  # fmt: skip


def test_picture_shows_the_beam_inside_the_walls():
    """Facing east from (1, 1): three cells ahead, and to the right those of columns 1 to 3."""
    changed = (draw(STATE, [Action.TAG, Action.STAY]) != draw(STATE)).any(axis=2)
    struck = cells(np.repeat(changed[..., None], 3, axis=2)).any(axis=(2, 3, 4))
    expected = {(1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (2, 3)}
    assert set(map(tuple, np.argwhere(struck).tolist())) == expected
    # The players look as before on it.
    again = draw(STATE, [Action.STAY, Action.TURN_LEFT])
    np.testing.assert_array_equal(again, draw(STATE))


def test_bars_show_shares_of_the_inventory():
    """Three quarters of player 0's bar are rock, the rest is paper."""
    bar = draw(STATE)[rules.HEIGHT * CELL + CELL - 1]
    changes = np.flatnonzero((bar[1:] != bar[:-1]).any(axis=1)) + 1
    assert changes.tolist() == [round(0.75 * rules.WIDTH * CELL)]
