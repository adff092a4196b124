"""Plays an episode of a soccer task between scripted robots and films it, as an animated GIF, or as
a PNG of its moments side by side.

Robots are `stand`, `walker`, `chaser`, `kicker` or `keeper`, one for each seat.
"""

import argparse
import os
import sys
from pathlib import Path

# MuJoCo chooses how to render when it is imported.
os.environ.setdefault("MUJOCO_GL", "egl")

import numpy as np

from games.mujoco_host import MujocoHost
from games.registry import load_game
from games.types import GameError
from soccer import bots, boxhead_bots, exhibition
from soccer.boxhead import BOXHEAD
from soccer.drawing import draw_frames, write_gif
from soccer.pitch import CONTROL_STEP

SUFFIXES = (".gif", ".png")
# Moments of a PNG, in rows of so many.
MOMENTS, COLUMNS = 12, 3


def main() -> int:
    """Reads the command line, plays, films; 2 where that cannot be done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "robots",
        nargs="+",
        choices=sorted(bots.BOTS),
        metavar="ROBOT",
        help=", ".join(sorted(bots.BOTS)),
    )
    parser.add_argument("--game", default="soccer/duel", help="a soccer task, with its parameters")
    parser.add_argument("--seed", type=int, default=0, help="of the episode")
    parser.add_argument("--out", type=Path, required=True, help="a .gif, or a .png")
    parser.add_argument("--camera", choices=("side", "behind"), default="side")
    parser.add_argument("--width", type=int, default=480, help="in pixels; 16 to 9")
    parser.add_argument("--fps", type=int, default=10, help="frames per second of a GIF")
    options = parser.parse_args()
    if options.out.suffix not in SUFFIXES:
        parser.error(
            f"--out is {options.out}, expected a name that ends in {' or '.join(SUFFIXES)}"
        )
    if not 1 <= options.fps <= 40 or not 64 <= options.width <= 1280:
        parser.error("--fps is allowed from 1 to 40, --width from 64 to 1280")
    try:
        game = load_game(options.game)
        if not isinstance(game, MujocoHost):
            raise GameError(f"{options.game} is not played in MuJoCo; try soccer/duel")
        scripts = boxhead_bots.BOTS if game.task.scenario.body is BOXHEAD else bots.BOTS
        unknown = sorted(set(options.robots) - scripts.keys())
        if unknown:
            raise GameError(f"{options.game} has no script {unknown[0]}: {', '.join(scripts)}")
        results = exhibition.play(
            game,
            [scripts[name]() for name in options.robots],
            np.array([options.seed], np.uint64),
            record=1,
        )
        film(game, results.recording[:, 0], options)
    except GameError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    home, away = results.score[0]
    seconds = results.steps[0] * CONTROL_STEP
    print(f"{seconds:.1f} s, {home}:{away}, returns {results.returns[0].round(3).tolist()}")
    return 0


def film(game: MujocoHost, recording: np.ndarray, options: argparse.Namespace) -> None:
    """Writes the pictures."""
    still = options.out.suffix == ".png"
    every = max(1, round(1 / CONTROL_STEP / options.fps))
    chosen = np.arange(0, len(recording), every)
    if still:
        chosen = np.linspace(0, len(recording) - 1, MOMENTS).round().astype(int)
    height = round(options.width * 9 / 16)
    frames = list(
        draw_frames(
            game, recording[chosen], camera=options.camera, width=options.width, height=height
        )
    )
    if not still:
        write_gif(frames, options.out, seconds_per_frame=every * CONTROL_STEP)
        return
    from PIL import Image

    rows = [np.hstack(frames[i : i + COLUMNS]) for i in range(0, MOMENTS, COLUMNS)]
    Image.fromarray(np.vstack(rows)).save(options.out)


if __name__ == "__main__":
    sys.exit(main())
