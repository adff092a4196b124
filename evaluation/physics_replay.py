"""Replays of MuJoCo's games: coordinates and commands of every control step, in the one format.

Both are float32, so that what the file has is what was played: from the seed, the commands lead to
the same coordinates again, on the same processor and version of MuJoCo to the bit.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float32

from evaluation.replay import Replay, floats_of
from evaluation.types import DataError
from games.mujoco_host import MujocoHost
from games.registry import load_lanes

# Metres, and radians, by which coordinates may differ from the file.
TOLERANCE = 1e-5
RETURN_TOLERANCE = 1e-4
# MuJoCo's names of what joints and geoms are, by number.
JOINTS = ("free", "ball", "slide", "hinge")
GEOMS = ("plane", "hfield", "sphere", "capsule", "ellipsoid", "cylinder", "box", "mesh")
# What a shape has that was given no colour.
_NO_COLOUR = 0.5
# Groups from this one on are not drawn by MuJoCo's own viewer either.
_FIRST_HIDDEN_GROUP = 3


def coordinates(replay: Replay) -> Float32[np.ndarray, "T nq"]:
    """The coordinates before every step and at the end.

    Raises:
      DataError: moments have different numbers of them.
    """
    moments = [replay.start, *(step.coordinates for step in replay.steps)]
    if len(set(map(len, moments))) != 1:
        raise DataError("moments of a replay have different numbers of coordinates")
    found = np.stack([floats_of(moment) for moment in moments])
    if not np.isfinite(found).all():
        raise DataError("a coordinate of a replay is not finite")
    return found


def physics_of(replay: Replay) -> MujocoHost:
    """The game of a replay.

    Raises:
      DataError: it is none of MuJoCo's.
      GameError: it cannot be loaded.
    """
    lanes = load_lanes(replay.game)
    if not isinstance(lanes, MujocoHost):
        raise DataError(f"{replay.game} is no game of MuJoCo's")
    return lanes


def physics_differences(replay: Replay) -> Iterator[str]:
    """Plays the commands of an episode again from its seed and says what differs from the file.

    Raises:
      DataError: the replay does not fit the game.
      GameError: the game cannot be loaded.
    """
    lanes, recorded = physics_of(replay), coordinates(replay)
    P, A = lanes.info.num_players, lanes.info.num_actions[0]
    if len(replay.seats) != P:
        raise DataError(f"{replay.game} has {P} seats, not {len(replay.seats)}")
    states = lanes.init(np.array([replay.seed], np.uint64))
    if recorded.shape[1] != states.qpos.shape[1]:
        raise DataError(
            f"{replay.game} has {states.qpos.shape[1]} coordinates, not {recorded.shape[1]}"
        )
    returns, over = np.zeros(P), False
    for number, moment in enumerate(recorded):
        apart = float(np.abs(states.qpos[0] - moment).max())
        if apart > TOLERANCE:
            yield f"moment {number}: coordinates differ by {apart:.3g}"
            return
        if number == len(replay.steps):
            break
        commands = floats_of(replay.steps[number].commands)
        if over or len(commands) != P * A:
            yield f"step {number}: " + ("the episode is over" if over else "commands are missing")
            return
        states, now = lanes.step(states, commands.reshape(1, P, A))
        over = not now.discount[0]
        returns += now.rewards[0]
    if replay.forfeit is not None:
        return
    if not over:
        yield f"after {len(replay.steps)} steps the episode is not over"
    if not np.allclose(returns, replay.returns, rtol=1e-6, atol=RETURN_TOLERANCE):
        yield f"returns are {returns.tolist()}, in the file {list(replay.returns)}"


def model_content(lanes: MujocoHost) -> dict[str, Any]:
    """What is needed to draw a model from its coordinates: bodies with their joints, and shapes.

    Lengths are in metres, quaternions have the real part first, and `at` is the first coordinate of
    a joint; angles and ways of hinges and slides count from `zero`.

    Raises:
      GameError: MuJoCo is not installed.
    """
    model = lanes.model
    bodies = [
        {
            "parent": int(model.body_parentid[b]),
            "pos": _rounded(model.body_pos[b]),
            "quat": _rounded(model.body_quat[b]),
            "joints": [_joint(model, j) for j in range(model.njnt) if model.jnt_bodyid[j] == b],
        }
        for b in range(model.nbody)
    ]
    return {
        "bodies": bodies,
        "shapes": _shapes(model, "site") + _shapes(model, "geom"),
        "rate": round(1 / (model.opt.timestep * lanes.task.substeps), 6),
    }


def _shapes(model: Any, what: str) -> list[dict[str, Any]]:
    """What is seen of the model's sites, or of its geoms."""

    def of(name: str) -> Any:
        return getattr(model, f"{what}_{name}")

    return [
        {
            "body": int(of("bodyid")[i]),
            "kind": GEOMS[of("type")[i]],
            "size": _rounded(of("size")[i]),
            "pos": _rounded(of("pos")[i]),
            "quat": _rounded(of("quat")[i]),
            "colour": _colour(model, of("rgba")[i], int(of("matid")[i])),
        }
        for i in range(len(of("bodyid")))
        if of("group")[i] < _FIRST_HIDDEN_GROUP and of("rgba")[i][3] > 0
    ]


def _joint(model: Any, number: int) -> dict[str, Any]:
    at, kind = int(model.jnt_qposadr[number]), JOINTS[model.jnt_type[number]]
    return {
        "kind": kind,
        "at": at,
        "pos": _rounded(model.jnt_pos[number]),
        "axis": _rounded(model.jnt_axis[number]),
        "zero": float(model.qpos0[at]),
    }


def _colour(model: Any, rgba: np.ndarray, material: int) -> list[int]:
    """Red, green and blue; of a texture its mean."""
    own = np.asarray(rgba[:3], np.float64)
    if material >= 0:
        # A colour of the shape's own wins over that of its material.
        own = np.asarray(model.mat_rgba[material][:3]) if (own == _NO_COLOUR).all() else own
        textures = [int(t) for t in model.mat_texid[material] if t >= 0]
        if textures:
            t = textures[0]
            channels = int(model.tex_nchannel[t])
            first, size = int(model.tex_adr[t]), int(model.tex_height[t] * model.tex_width[t])
            pixels = model.tex_data[first : first + size * channels].reshape(size, channels)
            own = own * pixels[:, :3].mean(axis=0) / 255
    return (255 * own.clip(0, 1)).round().astype(int).tolist()


def _rounded(numbers: np.ndarray) -> list[float]:
    return [float(f"{number:.6g}") for number in numbers]
