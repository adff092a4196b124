"""Measurements of single skills, after the protocols of Haarnoja et al. 2024 (arXiv 2304.13653).

Walking: the distance between 2 s and 7 s of a walk straight on. Turning: the time in which the
heading goes from 45 to 135 degrees of a turn on the spot. Getting up: from lying to shoulders at
0.36 m. Kicking: how far a ball gets in 0.2 s. Getting up and shooting: a goal within 10 s from
lying on the face.

Every function plays one episode per seed and returns one number per episode, NaN where the robot
did not do it (it fell, or took too long).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, UInt64

from games.mujoco_host import MujocoHost, MujocoStates
from games.types import Policy
from soccer import rewards, robot, tasks
from soccer.pitch import BALL_RADIUS, CONTROL_STEP

WALK_FROM_S, WALK_TO_S = 2.0, 7.0
TURN_FROM, TURN_TO = np.pi / 4, 3 * np.pi / 4
# Where targets are that cannot be reached: as far as those of the task, which policies know.
TARGET_AWAY = 3.0
# A kick has so many seconds; its ball lies so far ahead of the robot, metres, up to so far to the
# side; it moves for so many seconds.
KICK_WITHIN_S, BALL_AHEAD, BALL_ASIDE, KICK_S = 5.0, 0.25, 0.05, 0.2
# A slower ball, m/s, has not been touched.
LEAST_KICK = 0.05
# Nobody kicks a ball so far, metres, within a control step.
CARRIED = 0.2
# Who gets up and shoots has so many seconds. It lies so far before the ball, metres, up to so far
# to the side, its head up to so many radians off the way to the goal; the opponent stands so far
# behind the ball and beside the way.
SHOOT_WITHIN_S, SHOOT_FROM, SHOOT_ASIDE, SHOOT_ANGLE = 10.0, 1.5, 0.25, 0.25
BYSTANDER = (1.25, 1.0)
# A ball that has moved so far, metres, was touched.
TOUCHED = 0.02


def walking_speed(policy: Policy, seeds: UInt64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Metres per second along a line; the robot starts facing along it, and its target stays
    `TARGET_AWAY` ahead on it.
    """
    game = tasks.walk_to_target()
    states = _standing(game, seeds)

    def place(now: MujocoStates) -> np.ndarray:
        now.memory.target[:, 0, 0] = now.qpos[:, 0] + TARGET_AWAY
        now.memory.target[:, 0, 1] = 0.0
        return now.qpos[:, 0].copy()

    place(states)
    places = _follow(game, states, policy, WALK_TO_S, place)
    first, last = (round(moment / CONTROL_STEP) - 1 for moment in (WALK_FROM_S, WALK_TO_S))
    speed = (places[last] - places[first]) / (WALK_TO_S - WALK_FROM_S)
    return np.where(states.steps > last, speed, np.nan)


def turning_rate(policy: Policy, seeds: UInt64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Radians per second; every other robot turns to the right."""
    game = tasks.walk_to_target()
    states = _standing(game, seeds)
    side = np.where(np.arange(len(seeds)) % 2 == 0, 1.0, -1.0)

    def heading(now: MujocoStates) -> np.ndarray:
        # The target runs around the robot, out of reach: it is always 2.5 rad to the side.
        facing = game.task.scene(now, slice(None)).facing[:, 0]
        yaw = np.arctan2(facing[:, 1], facing[:, 0])
        way = yaw + 2.5 * side
        aside = TARGET_AWAY * np.stack([np.cos(way), np.sin(way)], axis=1)
        now.memory.target[:, 0] = now.qpos[:, :2] + aside
        return yaw

    heading(states)
    yaw = np.unwrap(_follow(game, states, policy, 10.0, heading), axis=0) * side
    return (TURN_TO - TURN_FROM) / (_first(yaw >= TURN_TO) - _first(yaw >= TURN_FROM))


def get_up_seconds(
    policy: Policy, seeds: UInt64[np.ndarray, "n"], *, on_back: bool
) -> Float64[np.ndarray, "n"]:
    """Seconds from lying, still, in the home pose until the shoulders are up."""
    game = tasks.get_up()
    states = game.init(seeds)
    spread = np.zeros((len(seeds), 1, robot.NUM_JOINTS))
    heading, backs = np.zeros((len(seeds), 1)), np.full((len(seeds), 1), on_back)
    states.qpos[:] = tasks.lying(np.zeros((len(seeds), 1, 2)), heading, backs, spread)[:, 0]
    states.memory.command[:] = states.qpos[:, None, 7:]
    for _ in range(round(0.5 / CONTROL_STEP)):  # falls the last centimetres
        states, _ = game.step(states, np.zeros((len(seeds), 1, robot.NUM_JOINTS), np.float32))

    def height(now: MujocoStates) -> np.ndarray:
        return rewards.shoulder_height(game.task.scene(now, slice(None)))[:, 0]

    return _first(_follow(game, states, policy, 9.5, height) >= rewards.SHOULDERS_UP)


def kick_speed(policy: Policy, seeds: UInt64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Metres per second of the ball, over the 0.2 s in which it gets farthest; it lies in front of
    the robot's feet, on the centre spot or beside it. NaN where the robot does not touch it.

    The paper takes the 0.2 s after contact: here a ball may be touched more than once.
    """
    game = tasks.score()
    states = _standing(game, seeds)
    lanes = np.arange(len(seeds))
    aside = BALL_ASIDE * (2 * states.streams.uniforms(lanes, 1)[:, 0] - 1)
    states.qpos[:, 0], states.qpos[:, -7], states.qpos[:, -6] = -BALL_AHEAD, 0.0, aside

    def ball(now: MujocoStates) -> np.ndarray:
        return now.qpos[:, -7:-5].copy()

    places = np.stack([ball(states), *_follow(game, states, policy, KICK_WITHIN_S, ball)])
    speed = fastest(places)
    return np.where(speed > LEAST_KICK, speed, np.nan)


def fastest(places: Float64[np.ndarray, "T n 2"]) -> Float64[np.ndarray, "n"]:
    """Metres per second over the 0.2 s in which a ball gets farthest, of its places after each
    control step; where it was thrown in, it was carried and not kicked.
    """
    steps = round(KICK_S / CONTROL_STEP)
    far = np.linalg.norm(places[steps:] - places[:-steps], axis=2)
    carried = np.linalg.norm(np.diff(places, axis=0), axis=2) > CARRIED
    times = np.cumsum(np.concatenate([np.zeros((1, *far.shape[1:]), int), carried]), axis=0)
    return np.where(times[steps:] > times[:-steps], 0.0, far).max(axis=0) / KICK_S


class Shots(NamedTuple):
    """How robots shot that had to get up first.

    Attributes:
      goal_s: seconds until the goal, NaN where there was none.
      touch_s: seconds until the ball was touched, NaN where it was not.
    """

    goal_s: Float64[np.ndarray, "n"]
    touch_s: Float64[np.ndarray, "n"]


def get_up_and_shoot(
    policy: Policy, seeds: UInt64[np.ndarray, "n"], *, seconds: float = SHOOT_WITHIN_S
) -> Shots:
    """A goal within 10 s, or as many as are given, by a robot that lies on its face, still, in its
    home pose; the ball is on the centre spot, an opponent stands still beside the way.

    Where robot and opponent are is not published. The paper's robot got up in 0.73 s, walked with
    0.51 m/s and touched the ball after 4.6 s: here it lies 1.5 m away.
    """
    game = tasks.duel()
    states = game.init(seeds)
    n = len(seeds)
    uniform = 2 * states.streams.uniforms(np.arange(n), 2) - 1
    place = np.stack([np.full(n, -SHOOT_FROM), SHOOT_ASIDE * uniform[:, 0]], axis=1)
    lies = tasks.lying(
        place, SHOOT_ANGLE * uniform[:, 1], np.zeros(n, bool), np.zeros((n, robot.NUM_JOINTS))
    )
    stands = robot.standing_positions()
    stands[:2] = BYSTANDER
    ball = np.array([0.0, 0.0, BALL_RADIUS, 1.0, 0.0, 0.0, 0.0])
    states.qpos[:] = np.concatenate(
        [lies, np.broadcast_to(np.concatenate([stands, ball]), (n, len(stands) + 7))], axis=1
    )
    states.memory.command[:] = robot.HOME
    nothing = np.zeros((n, 2, robot.NUM_JOINTS), np.float32)
    for _ in range(round(0.5 / CONTROL_STEP)):  # falls the last centimetres
        states, now = game.step(states, nothing)
    memory = policy.initial_memory(n)
    moved, scored = [], []
    for _ in range(round(seconds / CONTROL_STEP)):
        seen = game.observe(states)
        actions = nothing.copy()
        own, _, memory = policy.act(memory, seen[:, 0], now.legal_mask[:, 0], None)
        actions[:, 0] = np.asarray(own, np.float32)
        states, now = game.step(states, actions)
        moved.append(np.linalg.norm(states.qpos[:, -7:-5], axis=1) > TOUCHED)
        scored.append(states.memory.score[:, 0] > 0)
    return Shots(_first(np.stack(scored)), _first(np.stack(moved)))


def _standing(game: MujocoHost, seeds: np.ndarray) -> MujocoStates:
    """Episodes in which the robot stands at the origin and faces x, with a little motion."""
    states = game.init(seeds)
    states.qpos[:, : robot.NUM_POSITIONS] = robot.standing_positions()
    states.memory.command[:] = robot.HOME
    push = states.streams.uniforms(np.arange(len(seeds)), 2)
    states.qvel[:, :2] = 0.1 * push - 0.05
    return states


def _follow(
    game: MujocoHost,
    states: MujocoStates,
    policy: Policy,
    seconds: float,
    read: Callable[[MujocoStates], np.ndarray],
) -> np.ndarray:
    """Plays on and reads something after every step."""
    memory = policy.initial_memory(len(states.over))
    now = game.restart(states)
    seen = []
    for _ in range(round(seconds / CONTROL_STEP)):
        observation = game.observe(states)[:, 0]
        actions, _, memory = policy.act(memory, observation, now.legal_mask[:, 0], None)
        # Networks answer with arrays of JAX.
        states, now = game.step(states, np.asarray(actions, np.float32)[:, None])
        seen.append(read(states))
    return np.stack(seen)


def _first(happened: np.ndarray) -> Float64[np.ndarray, "n"]:
    """Seconds until something first happened in each lane, NaN where it never did."""
    seconds = (happened.argmax(axis=0) + 1) * CONTROL_STEP
    return np.where(happened.any(axis=0), seconds, np.nan)
