"""What a robot observes: 267 numbers, Table S2 of Haarnoja et al. 2024 (arXiv 2304.13653); a
boxhead sees 87 of the same kind.

`Body.stacked` is what is shown for the last five control steps, `CURRENT` what is shown once; tasks
add numbers of their own after these. Numbers are in metres, seconds and radians, not scaled. In the
order of the vector: the stacked items of the newest step, then those of the four steps before, then
the current items, then the task's own. `docs/soccer.md` lists them one by one.

Frames: "body" is fixed to the torso (x forward, y left, z up when standing); "heading" lies on the
floor under the torso, x where the torso faces, y left, so that a place in it is where something is
seen from the robot; a velocity in it is that over the floor, in the directions of the heading
frame. What is observed of the opponent is that of the nearest one.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from games.types import Mirror
from soccer.body import HUMANOID, Body
from soccer.items import Item, mirror_item, size_of
from soccer.pitch import GRAVITY, HALF_LENGTH
from soccer.scene import Scene, in_heading_frame, rate

# Steps shown of what is stacked.
HISTORY = 5

CURRENT = (
    Item("ball", "plane", "m", "place of the ball, or of the target to walk to"),
    Item("opponent", "plane", "m", "place of the nearest opponent's torso"),
    Item("own_goal", "plane", "m", "middle of the own goal line"),
    Item("opponent_goal", "plane", "m", "middle of the goal line that the robot attacks"),
    Item("ball_velocity", "plane", "m/s", "by differences of its place"),
    Item("opponent_velocity", "plane", "m/s", "by differences of its place"),
)

# What tasks with team-mates add.
TEAM = (
    Item("mate", "plane", "m", "place of the team-mate's torso"),
    Item("mate_velocity", "plane", "m/s", "by differences of its place"),
    Item("other_opponent", "plane", "m", "place of the other opponent's torso"),
    Item("other_opponent_velocity", "plane", "m/s", "by differences of its place"),
)

# What tasks with vision (`soccer.vision`) add: whether the camera tells of what is shown above; the
# last two with team-mates.
SEEN = (
    Item("ball_seen", "number", "1", "1 where the camera tells of the ball, else 0"),
    Item("opponent_seen", "number", "1", "the same of the nearest opponent"),
    Item("mate_seen", "number", "1", "the same of the team-mate"),
    Item("other_opponent_seen", "number", "1", "the same of the other opponent"),
)

# What a critic may know beyond the observation, exact and without delay.
PRIVILEGED = (
    Item("height", "number", "m", "of the torso"),
    Item("body_velocity", "vector", "m/s", "of the torso, exact"),
    Item("body_spin", "axial", "rad/s", "of the torso, exact"),
    Item("exact_gravity", "vector", "1", "unit vector down, exact"),
    Item("joint_velocities", "joints", "rad/s", "exact"),
    Item("exact_ball", "plane", "m", "place of the ball, exact"),
    Item("ball_height", "number", "m", "of the ball's centre"),
    Item("exact_ball_velocity", "plane", "m/s", "of the ball, exact"),
    Item(
        "opponent_gravity", "vector", "1", "unit vector down in the nearest opponent's body frame"
    ),
    Item("opponent_facing", "plane", "1", "unit vector of where the nearest opponent faces"),
    Item("opponent_joints", "joints", "rad", "angles of the nearest opponent"),
    Item("time_left", "number", "1", "share of the episode that is left"),
)


def privileged_items(body: Body = HUMANOID) -> tuple[Item, ...]:
    """`PRIVILEGED` of a body: a boxhead has one joint, which a mirror leaves alone."""
    if body is HUMANOID:
        return PRIVILEGED
    return tuple(
        item._replace(kind="number") if item.kind == "joints" else item for item in PRIVILEGED
    )


NUM_OBSERVATIONS = HISTORY * size_of(HUMANOID.stacked) + size_of(CURRENT)


def sensed(body: Body) -> tuple[Item, ...]:
    """What is measured, and so late where observations are delayed: all but the own commands."""
    return tuple(item for item in body.stacked if item.name != "previous_action")


def layout(
    extras: tuple[Item, ...] = (), *, body: Body = HUMANOID
) -> list[tuple[str, Item, slice]]:
    """Every item of an observation: its name with the number of steps ago in brackets where it is
    stacked, the item, and where it stands.
    """
    named = [(f"{item.name}[{age}]", item) for age in range(HISTORY) for item in body.stacked]
    named += [(item.name, item) for item in (*CURRENT, *extras)]
    places, start = [], 0
    for name, item in named:
        places.append((name, item, slice(start, start + item.size)))
        start += item.size
    return places


def mirror_observation(
    observation: np.ndarray, extras: tuple[Item, ...] = (), *, body: Body = HUMANOID
) -> np.ndarray:
    """What a robot observes whose world is the mirror image, left to right.

    Args:
      observation: `[..., O]`.
      extras: the task's own items.
      body: what the robot is.

    Raises:
      ValueError: `O` is not what the layout has, such as 267 plus the size of the extras.
    """
    places = layout(extras, body=body)
    if observation.shape[-1] != places[-1][2].stop:
        raise ValueError(
            f"an observation has {observation.shape[-1]} numbers, expected {places[-1][2].stop}"
        )
    return np.concatenate(
        [mirror_item(item, observation[..., place]) for _, item, place in places], axis=-1
    )


def mirror_of(
    extras: tuple[Item, ...] = (),
    *,
    body: Body = HUMANOID,
    critic: tuple[Item, ...] = PRIVILEGED,
) -> Mirror:
    """The same as a `Mirror`, with that of the actions, whose ranges are each other's mirror image,
    and of what critics see.

    Args:
      extras: the task's own items.
      body: what the robots are.
      critic: what critics see.
    """
    numbers = np.arange(1.0, layout(extras, body=body)[-1][2].stop + 1)
    seen = mirror_observation(numbers, extras, body=body)
    (action,) = (item for item in body.stacked if item.name == "previous_action")
    acted = mirror_item(action, np.arange(1.0, body.num_actions + 1))
    places = np.split(
        np.arange(1.0, size_of(critic) + 1), np.cumsum([item.size for item in critic])[:-1]
    )
    known = np.concatenate(list(map(mirror_item, critic, places)))
    return Mirror(
        *(
            part
            for signed in (seen, acted, known)
            for part in (np.abs(signed).astype(np.int64) - 1, np.sign(signed).astype(np.float32))
        )
    )


class Sensors(NamedTuple):
    """How a robot's sensors differ from the model's, by lane.

    Attributes:
      joint_offset: reported minus true angle.
      rotation: from the body frame to that of the inertial sensor.
      place: of the inertial sensor, body frame, metres.
    """

    joint_offset: Float64[np.ndarray, "n P joints"]
    rotation: Float64[np.ndarray, "n P 3 3"]
    place: Float64[np.ndarray, "n P 3"]


class Before(NamedTuple):
    """What is remembered of the previous control step to take differences; arrays as in `Scene`."""

    position: Float64[np.ndarray, "n P 3"]
    velocity: Float64[np.ndarray, "n P 3"]
    spin: Float64[np.ndarray, "n P 3"]
    ball: Float64[np.ndarray, "n 3"]


def remember(scene: Scene) -> Before:
    """What the next step needs of a scene."""
    return Before(scene.position, scene.velocity, scene.spin, scene.ball)


def others_by_distance(
    position: Float64[np.ndarray, "n P 3"], among: Bool[np.ndarray, "P P"]
) -> Int64[np.ndarray, "n P k"]:
    """For each robot the robots of its row of `among`, nearest first.

    Args:
      position: of the torsos.
      among: which robots are meant; the same number `k` in every row.
    """
    place = position[..., :2]
    distance = np.linalg.norm(place[:, None] - place[:, :, None], axis=-1)
    order = np.argsort(np.where(among, distance, np.inf), axis=-1, kind="stable")
    return order[..., : int(among[0].sum())]


def sense_body(
    scene: Scene, before: Before, sensors: Sensors
) -> Float64[np.ndarray, "n P measured"]:
    """The measured items of `Body.stacked` at this moment, in their order."""
    joints = scene.joints + sensors.joint_offset
    # Specific force at the torso's origin: what an accelerometer there would feel.
    felt = rate(scene.velocity, before.velocity) + np.array([0.0, 0.0, GRAVITY])
    felt = np.einsum("npij,npi->npj", scene.rotation, felt)
    spin = scene.spin
    swing = np.cross(rate(spin, before.spin), sensors.place) + np.cross(
        spin, np.cross(spin, sensors.place)
    )
    turned = np.einsum(
        "npij,npkj->npki", sensors.rotation, np.stack([felt + swing, spin, scene.gravity], axis=2)
    )
    velocity = in_heading_frame(
        rate(scene.position[..., :2], before.position[..., :2]), scene.facing
    )
    return np.concatenate([joints, turned.reshape(*turned.shape[:2], 9), velocity], axis=-1)


def sense_game(
    scene: Scene,
    before: Before,
    *,
    attack: Float64[np.ndarray, "P"],
    opponents: Bool[np.ndarray, "P P"],
    mates: Bool[np.ndarray, "P P"],
    ball: bool,
    target: Float64[np.ndarray, "n P 2"] | None = None,
) -> Float64[np.ndarray, "n P numbers"]:
    """`CURRENT` at this moment, and `TEAM` where there are team-mates.

    Items that the task does not have, a ball or opponents, are zeros. A target is shown where
    others have the ball, so that a robot that walks to targets walks to balls.

    Args:
      scene: now.
      before: one control step ago.
      attack: sign of x of the goal that each robot attacks.
      opponents: who plays against whom.
      mates: who plays with whom.
      ball: whether there is a ball, and goals.
      target: where robots are to walk, in tasks that say so, which have no ball.
    """
    here, facing = scene.position[..., :2], scene.facing
    moved = rate(here, before.position[..., :2])
    nothing = np.zeros_like(here)

    def seen(places: np.ndarray) -> np.ndarray:
        return in_heading_frame(places - here, facing)

    def of_others(among: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Places and velocities of other robots, nearest first."""
        order = others_by_distance(scene.position, among)
        lanes = np.arange(len(here))[:, None, None]
        return [
            (
                seen(here[lanes, order][:, :, k]),
                in_heading_frame(moved[lanes, order][:, :, k], facing),
            )
            for k in range(order.shape[-1])
        ]

    against = of_others(opponents) or [(nothing, nothing)]
    if ball:
        ball_place = seen(scene.ball[:, None, :2])
        ball_moved = np.broadcast_to(rate(scene.ball, before.ball)[:, None, :2], here.shape)
        ball_velocity = in_heading_frame(ball_moved, facing)
        goal = np.stack([attack * HALF_LENGTH, np.zeros_like(attack)], axis=-1)
        goals = [seen(-goal), seen(goal)]
    else:
        ball_place = nothing if target is None else seen(target)
        ball_velocity = nothing
        goals = [nothing, nothing]
    items = [ball_place, against[0][0], *goals, ball_velocity, against[0][1]]
    if mates.any():
        items += [*of_others(mates)[0], *against[1]]
    return np.concatenate(items, axis=-1)


def stack_newest(
    history: Float64[np.ndarray, "n P history stacked"],
    body: Float64[np.ndarray, "n P measured"],
    previous_action: Float64[np.ndarray, "n P A"],
) -> Float64[np.ndarray, "n P history stacked"]:
    """The history after another control step, newest first."""
    newest = np.concatenate([body[..., :-2], previous_action, body[..., -2:]], axis=-1)
    return np.concatenate([newest[:, :, None], history[:, :, :-1]], axis=2)


def privileged(
    scene: Scene,
    *,
    opponents: Bool[np.ndarray, "P P"],
    time_left: Float64[np.ndarray, "n"],
) -> Float64[np.ndarray, "n P C"]:
    """`PRIVILEGED` at this moment, of a boxhead with one joint; zeros for what there is not.

    Args:
      scene: now.
      opponents: who plays against whom.
      time_left: share of the episode.
    """
    here, facing = scene.position[..., :2], scene.facing
    n, P = here.shape[:2]
    body_velocity = np.einsum("npij,npi->npj", scene.rotation, scene.velocity)
    has_ball = scene.ball[:, 2] > -1
    ball_velocity = np.broadcast_to(scene.ball_velocity[:, None, :2], here.shape)
    ball = [
        in_heading_frame(scene.ball[:, None, :2] - here, facing),
        np.broadcast_to(scene.ball[:, None, 2:], (n, P, 1)),
        in_heading_frame(ball_velocity, facing),
    ]
    if opponents.any():
        nearest = others_by_distance(scene.position, opponents)[..., 0]
        lanes = np.arange(n)[:, None]
        against = [
            scene.gravity[lanes, nearest],
            in_heading_frame(facing[lanes, nearest], facing),
            scene.joints[lanes, nearest],
        ]
    else:
        against = [np.zeros((n, P, 5 + scene.joints.shape[-1]))]
    items = [
        scene.position[..., 2:],
        body_velocity,
        scene.spin,
        scene.gravity,
        scene.joint_velocity,
        np.where(has_ball[:, None, None], np.concatenate(ball, axis=-1), 0.0),
        *against,
        np.broadcast_to(time_left[:, None, None], (n, P, 1)),
    ]
    return np.concatenate(items, axis=-1)
