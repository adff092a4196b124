"""Pictures of toy soccer: a state as text, and as an image in red, green and blue."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8

from games.toy_soccer import rules
from games.toy_soccer.rules import State

# Pixels of a metre, and of the margin around the pitch.
SCALE, MARGIN = 96, 24
# Metres of a character's width and height.
CHARACTER = (0.125, 0.25)

_GRASS, _LINE, _BALL = (56, 115, 61), (235, 235, 235), (250, 250, 250)
_TEAM_COLOURS = ((213, 94, 0), (0, 114, 178))
_FORCE = (250, 235, 130)


def draw_text(state: State) -> str:
    """The pitch, x to the right, and a line of time, score and ball below.

    Digits are players by seat, `o` is the ball, `|` are the goals: the home team attacks the right
    one.
    """
    width, height = (
        round(2 * half / size)
        for half, size in zip((rules.HALF_LENGTH, rules.HALF_WIDTH), CHARACTER, strict=True)
    )
    board = [["."] * width for _ in range(height)]

    def put(mark: str, place: Float[np.ndarray, "2"]) -> None:
        column, row = np.floor(
            (place * (1, -1) + (rules.HALF_LENGTH, rules.HALF_WIDTH)) / CHARACTER
        )
        board[int(np.clip(row, 0, height - 1))][int(np.clip(column, 0, width - 1))] = mark

    for seat, place in enumerate(np.asarray(state.position)):
        put(str(seat), place)
    ball = np.asarray(state.ball)
    put("o", ball)
    middles = rules.HALF_WIDTH - CHARACTER[1] * (np.arange(height) + 0.5)
    lines = ["#" * (width + 2)]
    for middle, row in zip(middles, board, strict=True):
        side = "|" if abs(middle) < rules.HALF_GOAL else "#"
        lines.append(f"{side}{''.join(row)}{side}")
    lines.append(lines[0])
    seconds = int(state.steps) * rules.TIMESTEP * rules.SUBSTEPS
    score = {1: "1:0", -1: "0:1"}.get(int(state.scored), "0:0")
    end = ", over" if state.over else ""
    # A ball at rest may come out as minus nothing.
    x, y = ball + 0.0
    return "\n".join([*lines, f"{seconds:.1f} s, {score}, ball {x:+.2f} {y:+.2f} m{end}"])


def draw(
    state: State, actions: Sequence[Sequence[float]] | np.ndarray | None = None
) -> UInt8[np.ndarray, "rows columns 3"]:
    """The pitch as an image, x to the right, y up: `SCALE` pixels per metre.

    Args:
      state: as the players see it when they act.
      actions: of all players; their forces are drawn as lines.
    """
    half = np.array([rules.HALF_LENGTH, rules.HALF_WIDTH])
    width, height = (2 * SCALE * half + 2 * MARGIN).astype(int)
    x = (np.arange(width) + 0.5 - MARGIN) / SCALE - half[0]
    y = half[1] - (np.arange(height)[:, None] + 0.5 - MARGIN) / SCALE
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = _GRASS
    on_edge = _near(np.abs(x) - half[0], 0.02) & (np.abs(y) <= half[1])
    on_edge |= _near(np.abs(y) - half[1], 0.02) & (np.abs(x) <= half[0])
    picture[on_edge | (_near(x, 0.02) & (np.abs(y) <= half[1]))] = _LINE
    for team, sign in enumerate((-1, 1)):
        goal = (sign * x > half[0]) & (sign * x < half[0] + 0.15) & (np.abs(y) < rules.HALF_GOAL)
        picture[goal] = _TEAM_COLOURS[team]
    position, attack = np.asarray(state.position), rules.attack_sign(len(state.position))
    for seat, place in enumerate(position):
        colour = _TEAM_COLOURS[int(attack[seat, 0] < 0)]
        picture[_disc(x, y, place, rules.PLAYER_RADIUS)] = colour
        if actions is not None:
            force = np.clip(np.asarray(actions[seat], float), -1, 1)
            end = place + 0.3 * attack[seat] * force / max(1.0, float(np.hypot(*force)))
            for share in np.linspace(0, 1, 30):
                picture[_disc(x, y, place + share * (end - place), 0.02)] = _FORCE
    picture[_disc(x, y, np.asarray(state.ball), rules.BALL_RADIUS)] = _BALL
    return picture


def _disc(x, y, place, radius) -> Bool[np.ndarray, "rows columns"]:
    return (x - place[0]) ** 2 + (y - place[1]) ** 2 < radius**2


def _near(numbers, distance) -> Bool[np.ndarray, "..."]:
    return np.abs(numbers) < distance
