"""Pictures of running-with-scissors: a state as text, and as an image in red, green and blue.

Colours are of the Okabe-Ito palette, which the common forms of colour blindness tell apart; every
type has a shape of its own, too.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8

from games.running_with_scissors import rules
from games.running_with_scissors.rules import DIRECTIONS, HEIGHT, WIDTH, Action, State

# Pixels of a cell's side; the shapes below are drawn on so many.
CELL = 16
_FLOOR_COLOUR, _WALL_COLOUR, _BEAM_COLOUR = (250, 250, 250), (90, 90, 90), (250, 235, 130)
_TYPE_COLOURS = {
    rules.ROCK: (110, 110, 110),
    rules.PAPER: (86, 180, 233),
    rules.SCISSORS: (204, 121, 167),
}
_PLAYER_COLOURS = ((213, 94, 0), (0, 114, 178))
_ARROWS = ("▲▶▼◀", "△▷▽◁")


def draw_text(state: State) -> str:
    """The board, a character per cell, and a line for each player below.

    `r`, `p` and `s` are resources; arrows show where players face, player 0's filled.
    """
    board = [["#" if mark == "#" else "." for mark in line] for line in rules.BOARD]
    for (row, column), kind in zip(rules.SPOTS, np.asarray(state.resources), strict=True):
        board[row][column] = ".rps"[kind]
    lines = []
    for player, arrows in enumerate(_ARROWS):
        row, column = np.asarray(state.position)[player]
        board[row][column] = arrows[int(state.facing[player])]
        held = ", ".join(
            f"{count} {name}"
            for count, name in zip(
                np.asarray(state.inventory)[player], ("rock", "paper", "scissors"), strict=True
            )
        )
        lines.append(f"player {player} {board[row][column]}: {held}")
    end = ", over" if state.over else ""
    return "\n".join([*map("".join, board), f"step {int(state.steps)}{end}", *lines])


def draw(
    state: State, actions: Sequence[int] | np.ndarray | None = None
) -> UInt8[np.ndarray, "rows columns 3"]:
    """The board as an image, with a bar of each player's inventory below: `CELL` pixels per cell.

    Args:
      state: as the players see it when they act.
      actions: of both players; beams are shown of those who tag.
    """
    picture = np.empty(((HEIGHT + 2) * CELL, WIDTH * CELL, 3), np.uint8)
    picture[:] = _FLOOR_COLOUR
    for row, line in enumerate(rules.BOARD):
        for column, mark in enumerate(line):
            if mark == "#":
                _cell(picture, row, column)[:] = _WALL_COLOUR
    position, facing = np.asarray(state.position), np.asarray(state.facing)
    for player in range(2):
        if actions is not None and actions[player] == Action.TAG:
            for row, column in _beam(position[player], int(facing[player])):
                _cell(picture, row, column)[:] = _BEAM_COLOUR
    for (row, column), kind in zip(rules.SPOTS, np.asarray(state.resources).tolist(), strict=True):
        if kind != rules.EMPTY:
            _cell(picture, row, column)[_shape(kind)] = _TYPE_COLOURS[kind]
    for player, colour in enumerate(_PLAYER_COLOURS):
        row, column = position[player]
        _cell(picture, row, column)[np.rot90(_player_shape(), -int(facing[player]))] = colour
        _draw_inventory(picture, player, np.asarray(state.inventory)[player])
    return picture


def _cell(picture, row, column):
    return picture[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]


def _beam(position, facing):
    """Cells of a beam that lie inside the walls."""
    ahead, right = np.meshgrid(np.arange(4), (-1, 0, 1))
    hit = np.asarray(rules.in_beam(ahead, right))
    steps = ahead[hit][:, None] * DIRECTIONS[facing]
    steps = steps + right[hit][:, None] * DIRECTIONS[(facing + 1) % 4]
    cells = position + steps
    inside = (cells > 0) & (cells < (HEIGHT - 1, WIDTH - 1))
    return cells[inside.all(axis=1)]


def _shape(kind: int) -> Bool[np.ndarray, "cell cell"]:
    """A disc, a sheet or a cross."""
    y, x = np.mgrid[:CELL, :CELL] - (CELL - 1) / 2
    if kind == rules.ROCK:
        return x**2 + y**2 < (0.35 * CELL) ** 2
    if kind == rules.PAPER:
        return (np.abs(x) < 0.28 * CELL) & (np.abs(y) < 0.38 * CELL)
    return (np.abs(np.abs(x) - np.abs(y)) < 0.12 * CELL) & (np.abs(x) < 0.4 * CELL)


def _player_shape() -> Bool[np.ndarray, "cell cell"]:
    """An arrow head that points north."""
    y, x = np.mgrid[:CELL, :CELL] - (CELL - 1) / 2
    return (np.abs(x) < (y + 0.5 * CELL) / 2) & (y < 0.42 * CELL)


def _draw_inventory(picture, player, held) -> None:
    """A bar as wide as the board, divided by the shares of the three types, under the player's
    colour.
    """
    top = (HEIGHT + player) * CELL
    picture[top : top + CELL // 4] = _PLAYER_COLOURS[player]
    ends = np.round(np.cumsum(held) / held.sum() * WIDTH * CELL).astype(int)
    for start, end, colour in zip((0, *ends), ends, _TYPE_COLOURS.values(), strict=False):
        picture[top + CELL // 4 : top + CELL, start:end] = colour
