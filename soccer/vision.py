"""What the camera in the head sees, in place of what is known: the ball and the other robots.

After the egocentric vision of Tirumala et al. 2024 (arXiv 2405.02425), without pictures: what a
detector would make of them. Something is seen where its middle is in the camera's field of view,
the joints of neck and torso deciding where that is, and no other robot's body stands before it. Its
place is then told with noise that grows with the distance, late, and at times not at all. The
numbers of noise, misses and delay are ours.

The camera is that of the robot's model, the lens that of the OP3's webcam: 43.3 degrees high at 16
to 9, so 70.4 degrees wide. Camera frame: x where it looks, y left, z up in the picture.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from soccer import robot
from soccer.observations import CURRENT, TEAM, others_by_distance
from soccer.pitch import CONTROL_STEP
from soccer.scene import Scene, read_scene

ASPECT = 16 / 9
HALF_HEIGHT = float(np.tan(np.radians(robot.CAMERA_FIELD_OF_VIEW) / 2))
HALF_WIDTH = ASPECT * HALF_HEIGHT

# Bodies that hide what is behind them: capsules along the torso's z axis, ends from the torso's
# origin, metres. Standing, from the floor to the top of the head.
BODY_ENDS, BODY_RADIUS = (-0.17, 0.17), 0.08
# Standard deviation of either coordinate of a place: metres, and metres per metre of distance.
NOISE, NOISE_PER_METRE = 0.01, 0.03
# How often something in view is missed.
MISSED = 0.05
# Age of what is told, control steps: 50 ms.
DELAY = 2

# Uniform numbers that a look at one thing takes: two of noise, one of misses.
NUMBERS_PER_THING = 3
# Things that the camera may see, by the names of the items that tell their places.
THINGS = ("ball", "opponent", "mate", "other_opponent")


class Camera(NamedTuple):
    """Where cameras are and look.

    Attributes:
      place: of the lenses, world frame, metres.
      rotation: from camera frame to world frame.
    """

    place: Float64[np.ndarray, "n P 3"]
    rotation: Float64[np.ndarray, "n P 3 3"]


def camera_of(scene: Scene) -> Camera:
    """The camera of every humanoid, by torso, head pan and head tilt."""
    pan, tilt = (scene.joints[..., robot.JOINTS.index(f"head_{name}")] for name in ("pan", "tilt"))
    neck, head = (np.array(link.position) for link in robot.HEAD)
    turned = scene.rotation @ _about(2, pan)
    # The axis of the tilt points to the right: lower angles look down.
    looking = turned @ _about(1, -tilt)
    place = scene.position + scene.rotation @ neck + turned @ head
    return Camera(place + looking @ np.array(robot.CAMERA_PLACE), looking)


def in_view(camera: Camera, points: Float64[np.ndarray, "n P K 3"]) -> Bool[np.ndarray, "n P K"]:
    """Whether points lie in the pyramid that a camera sees."""
    ahead, left, up = np.moveaxis(
        np.einsum("npij,npki->npkj", camera.rotation, points - camera.place[:, :, None]), -1, 0
    )
    inside = (np.abs(left) <= HALF_WIDTH * ahead) & (np.abs(up) <= HALF_HEIGHT * ahead)
    return inside & (ahead > 0)


def segment_distance(
    start: Float64[np.ndarray, "*n 3"],
    end: Float64[np.ndarray, "*n 3"],
    other_start: Float64[np.ndarray, "*n 3"],
    other_end: Float64[np.ndarray, "*n 3"],
) -> Float64[np.ndarray, "*n"]:
    """Distances between segments that are no points (Ericson 2004, "Real-time collision detection",
    section 5.1.9).
    """
    way, other, apart = end - start, other_end - other_start, start - other_start

    def dot(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return (u * v).sum(axis=-1)

    a, b, e = dot(way, way), dot(way, other), dot(other, other)
    c, f = dot(way, apart), dot(other, apart)
    span = a * e - b * b
    parallel = span <= 1e-12 * a * e
    s = np.clip((b * f - c * e) / np.where(parallel, 1.0, span), 0, 1)
    s = np.where(parallel, 0.0, s)
    t = (b * s + f) / e
    # Beyond an end of the other one, that end is nearest.
    s = np.where(t < 0, np.clip(-c / a, 0, 1), np.where(t > 1, np.clip((b - c) / a, 0, 1), s))
    t = np.clip(t, 0, 1)
    nearest = apart + s[..., None] * way - t[..., None] * other
    return np.linalg.norm(nearest, axis=-1)


def visible(scene: Scene) -> Bool[np.ndarray, "n P things"]:
    """Whether every robot has the ball, then each of the robots in order, in view, and nobody's
    body before it; never itself.
    """
    n, P = scene.position.shape[:2]
    camera = camera_of(scene)
    things = np.concatenate([scene.ball[:, None], scene.position], axis=1)
    points = np.broadcast_to(things[:, None], (n, P, P + 1, 3))
    seen = in_view(camera, points)
    up = scene.rotation[..., 2]
    low, high = (scene.position + way * up for way in BODY_ENDS)
    # Viewer, thing, whose body.
    shape = (n, P, P + 1, P, 3)
    clear = segment_distance(
        np.broadcast_to(camera.place[:, :, None, None], shape),
        np.broadcast_to(points[:, :, :, None], shape),
        np.broadcast_to(low[:, None, None], shape),
        np.broadcast_to(high[:, None, None], shape),
    )
    me, them = np.eye(P, dtype=bool), np.eye(P + 1, P, -1, dtype=bool)
    hidden = (clear < BODY_RADIUS) & ~me[:, None] & ~them
    seen &= ~hidden.any(axis=-1)
    seen[:, :, 1:] &= ~me
    return seen


def things_seen(
    scene: Scene, *, opponents: Bool[np.ndarray, "P P"], mates: Bool[np.ndarray, "P P"]
) -> Bool[np.ndarray, "n P K"]:
    """`visible` of `THINGS`: ball and nearest opponent, with team-mates all four."""
    seen = visible(scene)
    nobody = np.zeros_like(seen[..., 0])
    lanes, me = np.arange(len(seen))[:, None, None], np.arange(seen.shape[1])[:, None]

    def of_others(among: np.ndarray) -> list[np.ndarray]:
        order = others_by_distance(scene.position, among)
        return list(np.moveaxis(seen[lanes, me, 1 + order], -1, 0))

    against = of_others(opponents) or [nobody]
    found = [seen[..., 0], against[0]]
    if mates.any():
        found += [*of_others(mates), against[1]]
    return np.stack(found, axis=-1)


def look(
    known: Float64[np.ndarray, "n P current"],
    seen: Bool[np.ndarray, "n P K"],
    uniform: Float64[np.ndarray, "n P K 3"],
) -> Float64[np.ndarray, "n P numbers"]:
    """What a look tells: where `known` has places of things, those in view, with noise, and zeros
    for all else, velocities too; then 1 or 0 for each thing, whether it tells of it.

    Args:
      known: the items shown once, exact.
      seen: see `things_seen`.
      uniform: numbers in [0, 1).
    """
    seen = seen & (uniform[..., 2] >= MISSED)
    # Box and Muller: two normal numbers of two uniform ones.
    radius = np.sqrt(-2 * np.log1p(-uniform[..., 0]))
    angle = 2 * np.pi * uniform[..., 1]
    normal = radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    told = np.zeros_like(known)
    for k, thing in enumerate(THINGS[: seen.shape[-1]]):
        place = known[..., _PLACE[thing]]
        spread = NOISE + NOISE_PER_METRE * np.linalg.norm(place, axis=-1, keepdims=True)
        noisy = place + spread * normal[..., k, :]
        told[..., _PLACE[thing]] = np.where(seen[..., k, None], noisy, 0.0)
    return np.concatenate([told, seen.astype(np.float64)], axis=-1)


def beside_goals(
    told: Float64[np.ndarray, "n P numbers"], known: Float64[np.ndarray, "n P current"]
) -> Float64[np.ndarray, "n P numbers"]:
    """What a look told with the goals as they are known: by odometry, without the camera."""
    whole = told.copy()
    for goal in ("own_goal", "opponent_goal"):
        whole[..., _PLACE[goal]] = known[..., _PLACE[goal]]
    return whole


def ball_in_view(
    recording: Float[np.ndarray, "T n nq"], *, num_robots: int = 1, seat: int = 0
) -> Bool[np.ndarray, "T n"]:
    """Whether a robot had the ball in view, of coordinates as `soccer.exhibition` records them."""
    coordinates = recording.reshape(-1, recording.shape[-1]).astype(np.float64)
    # One number less for every quaternion.
    rates = np.zeros((len(coordinates), recording.shape[-1] - num_robots - 1))
    seen = visible(read_scene(coordinates, rates, num_robots))[:, seat, 0]
    return seen.reshape(recording.shape[:2])


class Looking(NamedTuple):
    """How a robot kept its eye on the ball.

    Attributes:
      share: of the time, with the ball in view.
      search: seconds of every spell without it that ended with the ball in view.
      lost: how many spells the end of the episode cut off.
    """

    share: float
    search: Float64[np.ndarray, "spells"]
    lost: int


def looking(seen: Bool[np.ndarray, "T n"], steps: Int[np.ndarray, "n"]) -> Looking:
    """Statistics of episodes, one a lane.

    Args:
      seen: whether the ball was in view at each control step, by `visible`.
      steps: lengths of the episodes, control steps; what comes later in a lane does not count.
    """
    spells, lost = [], 0
    for lane, length in enumerate(steps):
        without = np.diff(np.concatenate([[0], ~seen[:length, lane], [0]]).astype(np.int64))
        begins, ends = np.flatnonzero(without == 1), np.flatnonzero(without == -1)
        ended = ends < length
        spells.append((ends - begins)[ended] * CONTROL_STEP)
        lost += int((~ended).sum())
    in_time = np.arange(len(seen))[:, None] < steps
    return Looking(float(seen[in_time].mean()), np.concatenate(spells), lost)


def _places() -> dict[str, slice]:
    """Where items shown once stand among them."""
    places, start = {}, 0
    for item in (*CURRENT, *TEAM):
        places[item.name] = slice(start, start + item.size)
        start += item.size
    return places


_PLACE = _places()


def _about(axis: int, angle: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n 3 3"]:
    """Rotations about a coordinate axis."""
    c, s = np.cos(angle), np.sin(angle)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.zeros((*angle.shape, 3, 3))
    matrix[..., axis, axis] = 1
    matrix[..., i, i] = matrix[..., j, j] = c
    matrix[..., i, j], matrix[..., j, i] = -s, s
    return matrix
