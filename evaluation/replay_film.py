"""A replay as a film, GIF or MP4: games with pictures of their own as these, physics as the caller
draws it, other games as words.
"""

import importlib
import io
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluation.pages.page import seen
from evaluation.physics_replay import coordinates, model_content, physics_of
from evaluation.replay import Replay, floats_of
from evaluation.replay_frames import Frame, frames
from evaluation.replay_states import positions
from games.mujoco_host import MujocoHost

if TYPE_CHECKING:
    from PIL.Image import Image

# Draws moments of a simulation from their coordinates `[T, nq]`: pictures `[height, width, 3]`.
DrawMoments = Callable[[MujocoHost, np.ndarray], Iterable[np.ndarray]]

INSTALL = "pip install -c constraints.txt -e '.[film]'"

# How long a frame and the last one are shown, in milliseconds.
FRAME_MS, LAST_FRAME_MS = 700, 2500
PICTURE_MS = 120
# Games that draw their states, and how long each picture is shown.
_PICTURED = {
    "running_with_scissors": ("games.running_with_scissors.drawing", PICTURE_MS),
    "toy_soccer": ("games.toy_soccer.drawing", 100),
}
# Between two pictures of physics at least.
PHYSICS_GIF_MS, PHYSICS_MP4_MS = 100, 40
# Frames of one file; longer episodes belong on a page.
MAX_FRAMES = 2000
_FONT_SIZE, _MARGIN, _LINE = 18, 16, 24
_INK, _PAPER = (27, 27, 27), (255, 255, 255)


def gif_bytes(replay: Replay, *, draw: DrawMoments | None = None) -> bytes:
    """The film of an episode as an animated GIF, one frame a step, looped.

    Args:
      replay: the episode.
      draw: draws moments of physics; not needed by other games.

    Raises:
      DataError: the steps are not those of the game.
      GameError: the game cannot be loaded, or drawn.
      ValueError: the episode is longer than `MAX_FRAMES`.
    """
    (first, *others), each = _pictures(replay, draw, PHYSICS_GIF_MS)
    file = io.BytesIO()
    durations = [each] * len(others) + [LAST_FRAME_MS]
    first.save(
        file, "GIF", save_all=True, append_images=others, duration=durations, loop=0, optimize=False
    )
    return file.getvalue()


def mp4_bytes(replay: Replay, *, draw: DrawMoments | None = None) -> bytes:
    """The same film as an MP4 of H.264; arguments and errors as in `gif_bytes`.

    Raises:
      ModuleNotFoundError: imageio-ffmpeg is not installed; the message says how to.
      OSError: ffmpeg failed.
    """
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise ModuleNotFoundError(f"MP4 needs imageio-ffmpeg ({INSTALL})") from error
    pictures, each = _pictures(replay, draw, PHYSICS_MP4_MS)
    # Players like at least ten pictures a second; H.264 takes even sizes alone.
    repeats = max(1, round(each / 100))
    width, height = (side + side % 2 for side in pictures[0].size)
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "rawvideo",
        "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{1000 * repeats / each:.6f}",
        "-i", "-", "-an",
        "-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path, errors = Path(folder) / "film.mp4", Path(folder) / "errors"
        with (
            errors.open("wb") as said,
            subprocess.Popen([*command, str(path)], stdin=subprocess.PIPE, stderr=said) as encoder,
        ):
            for number, picture in enumerate(pictures):
                last = number == len(pictures) - 1
                frame = _padded(picture, width, height).tobytes()
                for _ in range(round(repeats * LAST_FRAME_MS / each) if last else repeats):
                    encoder.stdin.write(frame)
            encoder.stdin.close()
        if encoder.returncode:
            raise OSError(f"ffmpeg failed: {errors.read_text(errors='replace').strip()}")
        return path.read_bytes()


def _padded(picture: "Image", width: int, height: int) -> "Image":
    from PIL import Image

    padded = Image.new("RGB", (width, height), _PAPER)
    padded.paste(picture)
    return padded


def _pictures(
    replay: Replay, draw: DrawMoments | None, physics_ms: int
) -> "tuple[list[Image], float]":
    """All pictures, and how long each is shown in milliseconds."""
    if replay.driver == "physics":
        return _moments(replay, draw, physics_ms)
    if len(replay.steps) >= MAX_FRAMES:
        raise ValueError(f"{len(replay.steps):,} steps; a film has at most {MAX_FRAMES:,} frames")
    pictured = _PICTURED.get(replay.game.partition("(")[0])
    if pictured is not None:
        module, each = pictured
        return _drawn(replay, module), each
    return _written(replay), FRAME_MS


def _moments(
    replay: Replay, draw: DrawMoments | None, least_ms: int
) -> "tuple[list[Image], float]":
    from PIL import Image

    if draw is None:
        raise ValueError("this game has no pictures")
    lanes, moments = physics_of(replay), coordinates(replay)
    step_ms = 1000 / model_content(lanes)["rate"]
    every = max(1, round(least_ms / step_ms))
    chosen = moments[::every]
    if len(chosen) > MAX_FRAMES:
        raise ValueError(f"{len(chosen):,} pictures; a film has at most {MAX_FRAMES:,}")
    return [Image.fromarray(frame) for frame in draw(lanes, chosen)], every * step_ms


def _drawn(replay: Replay, module: str) -> "list[Image]":
    """Pictures by the module's `draw(state, actions)`."""
    from PIL import Image

    draw = importlib.import_module(module).draw
    pictures = []
    for number, position in enumerate(positions(replay)):
        actions = None
        if number < len(replay.steps):
            step = replay.steps[number]
            actions = [move.action for move in step.moves]
            if step.commands:
                actions = floats_of(step.commands).reshape(len(replay.seats), -1)
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
