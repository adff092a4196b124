"""Pictures of soccer: rendered by MuJoCo without a window, from recorded coordinates."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from games.mujoco_host import MujocoHost
from games.types import GameError

Camera = Literal["side", "behind"]


def draw_frames(
    game: MujocoHost,
    coordinates: Float[np.ndarray, "T nq"],
    *,
    camera: Camera = "side",
    width: int = 640,
    height: int = 360,
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Renders moments of a task.

    MuJoCo chooses how to render when it is first imported, by `$MUJOCO_GL`: `egl` (the default
    here) and `osmesa` need no window.

    Args:
      game: a task of `soccer.tasks`.
      coordinates: of the moments, as in `exhibition.Results.recording`.
      camera: at the side line, or behind the home team's goal.
      width: in pixels, at most 1280.
      height: in pixels, at most 720.

    Raises:
      GameError: nothing on this machine renders without a window.
    """
    os.environ.setdefault("MUJOCO_GL", "egl")
    model = game.model
    import mujoco

    data = mujoco.MjData(model)
    try:
        renderer = mujoco.Renderer(model, height, width)
    except Exception as error:
        raise GameError(
            f"MuJoCo cannot render with MUJOCO_GL={os.environ['MUJOCO_GL']!r}: {error}; install "
            "the system libraries of EGL (libegl1 and Mesa's drivers) or of OSMesa (libosmesa6) "
            "and set MUJOCO_GL to egl or osmesa before the program starts"
        ) from None
    with renderer:
        for moment in coordinates:
            data.qpos[:] = moment
            mujoco.mj_kinematics(model, data)
            mujoco.mj_camlight(model, data)
            renderer.update_scene(data, camera)
            yield renderer.render()


def write_gif(
    frames: Sequence[UInt8[np.ndarray, "height width 3"]], path: Path, *, seconds_per_frame: float
) -> None:
    """Writes an animation that repeats; under a temporary name until it is complete."""
    from PIL import Image

    first, *others = (Image.fromarray(frame).quantize(64) for frame in frames)
    unfinished = path.with_name(path.name + ".part")
    first.save(
        unfinished, format="GIF", save_all=True, append_images=others,
        duration=round(1000 * seconds_per_frame), loop=0,
    )  # fmt: skip
    unfinished.replace(path)
