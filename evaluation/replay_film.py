"""A replay as an animated GIF: running-with-scissors as its own pictures, other games as words."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation.pages.page import seen
from evaluation.replay import Replay
from evaluation.replay_frames import Frame, frames
from evaluation.replay_states import positions

if TYPE_CHECKING:
    from PIL.Image import Image

# How long a frame and the last one are shown, in milliseconds.
FRAME_MS, LAST_FRAME_MS = 700, 2500
PICTURE_MS = 120
# Frames of one file; longer episodes belong on a page.
MAX_FRAMES = 2000
_FONT_SIZE, _MARGIN, _LINE = 18, 16, 24
_INK, _PAPER = (27, 27, 27), (255, 255, 255)


def gif_bytes(replay: Replay) -> bytes:
    """The film of an episode, one frame a step, looped.

    Raises:
      DataError: the steps are not those of the game.
      GameError: the game cannot be loaded.
      ValueError: the episode is longer than `MAX_FRAMES`.
    """
    if len(replay.steps) >= MAX_FRAMES:
        raise ValueError(f"{len(replay.steps):,} steps; a film has at most {MAX_FRAMES:,} frames")
    if replay.game.partition("(")[0] == "running_with_scissors":
        pictures, each = _drawn(replay), PICTURE_MS
    else:
        pictures, each = _written(replay), FRAME_MS
    file = io.BytesIO()
    first, *others = pictures
    durations = [each] * len(others) + [LAST_FRAME_MS]
    first.save(
        file, "GIF", save_all=True, append_images=others, duration=durations, loop=0, optimize=False
    )
    return file.getvalue()


def _drawn(replay: Replay) -> "list[Image]":
    from PIL import Image

    from games.running_with_scissors.drawing import draw

    pictures = []
    for number, position in enumerate(positions(replay)):
        actions = None
        if number < len(replay.steps):
            actions = [move.action for move in replay.steps[number].moves]
        pictures.append(Image.fromarray(draw(position.state, actions)))
    return pictures


def _written(replay: Replay) -> "list[Image]":
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    # A font that comes with a dependency: the same everywhere, and boards stay in line.
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"
    font = ImageFont.truetype(str(path), _FONT_SIZE)
    texts = [_words(replay, frame) for frame in frames(replay)]
    width = max(font.getlength(line) for text in texts for line in text)
    height = _LINE * max(map(len, texts))
    pictures = []
    for text in texts:
        picture = Image.new("RGB", (int(width) + 2 * _MARGIN, height + 2 * _MARGIN), _PAPER)
        brush = ImageDraw.Draw(picture)
        for number, line in enumerate(text):
            brush.text((_MARGIN, _MARGIN + _LINE * number), line, fill=_INK, font=font)
        pictures.append(picture)
    return pictures


def _words(replay: Replay, frame: Frame) -> list[str]:
    lines = [f"seat {seat}: {seen(name)[:60]}" for seat, name in enumerate(replay.seats)]
    lines += ["", *frame.text.strip("\n").split("\n"), ""]
    for move in frame.moves:
        who = "chance" if move.seat < 0 else f"seat {move.seat}"
        lines.append(f"{who}: {move.action}")
        lines += [
            f"  {name:<12.12} {share:6.1%}" for name, share in move.options if share is not None
        ]
    if not frame.moves:
        lines.append(", ".join(f"seat {seat} {paid:+g}" for seat, paid in enumerate(frame.returns)))
    return lines
