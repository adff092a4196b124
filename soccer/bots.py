"""Scripted players: anchors that need no training, and the baseline of every learned policy.

They walk by `soccer.gait`, get up by `soccer.key_poses`, know nothing but the observation,
and are deterministic. `Walker` goes to targets, or to the ball, `Chaser` goes behind the
ball and dribbles it into the goal, `Kicker` kicks it, `Keeper` stays between the ball and its own
goal, `Stand` holds its home pose. Each is a `games.Policy` on NumPy arrays, of any task of
`soccer.tasks`.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from soccer import observations, robot
from soccer.control import actions_of, unfiltered
from soccer.gait import Gait, blended, gait_targets, next_phase
from soccer.key_poses import FROM_BACK, FROM_FACE, KICK_LEFT, KICK_RIGHT, pose_targets
from soccer.pitch import CONTROL_STEP

WALK = Gait(
    frequency=2.04,
    lift=0.026,
    sway=0.168,
    sway_phase=-2.65,
    height=0.198,
    ahead=-0.0215,
    lean=-0.107,
    spread=0.025,
    arm_swing=-0.52,
    pitch_gain=-0.53,
    roll_gain=0.586,
)
RUN = Gait(
    frequency=1.6987,
    lift=0.0239,
    sway=0.1907,
    sway_phase=-2.5707,
    height=0.1986,
    ahead=-0.0191,
    lean=-0.0715,
    spread=0.0261,
    arm_swing=-0.7391,
    pitch_gain=-0.553,
    roll_gain=0.5033,
)
SPIN = Gait(
    frequency=2.4948,
    lift=0.0232,
    sway=0.1699,
    sway_phase=-2.5576,
    height=0.179,
    ahead=-0.0114,
    lean=-0.0542,
    spread=0.0261,
    arm_swing=-0.6677,
    pitch_gain=-0.2692,
    roll_gain=0.0654,
)
# Strides and turns change by so much per control step.
STRIDE_RATE, TURN_RATE = 0.1 / 20, 0.4 / 20

# Tilt, radians, from which a robot is down; radians per second at most of one that lies still and
# can begin to get up.
DOWN_TILT, STILL = 1.0, 1.0
# Seconds at home once it is up.
SETTLE = 0.5

# Scripts by number.
_POSES = (FROM_FACE, FROM_BACK, KICK_LEFT, KICK_RIGHT)
_FROM_FACE, _FROM_BACK, _KICK_LEFT, _WALKS = 0, 1, 2, -1
# Seconds of each; walking, the last, has no end.
_LENGTH = np.array([script.seconds.sum() for script in _POSES] + [np.inf])
_LENGTH[_FROM_FACE] += SETTLE

_PLACE = {name: place for name, _, place in observations.layout()}


def stand_still(observation: Any, legal_mask: Any) -> Any:
    """The home pose as strategy 0 of a population (`population.sink: soccer.bots:stand_still`):
    means `[20]` of 0, then log standard deviations of 0.05.
    """
    import jax.numpy as jnp

    nothing = jnp.zeros(robot.NUM_JOINTS)
    return jnp.concatenate([nothing, nothing + np.log(0.05)])


class Manner(NamedTuple):
    """How a robot goes to a place.

    Attributes:
      straight, spot: gaits straight on and on the spot, blended by the stride between.
      straight_stride, turning_stride: metres of stride straight on and while turning.
      most_turn: radians of turn per step that the gait bears on the spot, with the turning stride
        and with the straight one.
      straight_angle, spot_angle: radians up to which a robot goes straight on, and beyond which it
        only turns.
      turn_gain: radians of turn per step for each radian that the way is aside.
    """

    straight: Gait
    spot: Gait
    straight_stride: float
    turning_stride: float
    most_turn: tuple[float, float, float]
    straight_angle: float
    spot_angle: float
    turn_gain: float

    @property
    def strides(self) -> tuple[float, float, float]:
        """Those of `most_turn`."""
        return (0.0, self.turning_stride, self.straight_stride)


STEADY = Manner(
    WALK, WALK,
    straight_stride=0.10, turning_stride=0.06, most_turn=(0.22, 0.2, 0.1),
    straight_angle=0.12, spot_angle=0.5, turn_gain=0.6,
)  # fmt: skip
# Faster than the robot can always keep its balance: something to start learning from.
HASTY = Manner(
    RUN, SPIN,
    straight_stride=0.1525, turning_stride=0.0844, most_turn=(0.536, 0.1848, 0.1213),
    straight_angle=0.1906, spot_angle=0.6596, turn_gain=0.4385,
)  # fmt: skip


class Memory(NamedTuple):
    """What a scripted robot remembers, by lane.

    Attributes:
      phase: of the gait, radians.
      stride: current, metres.
      turn: current, radians.
      script: which movement it makes by key poses, a number; -1 while it walks.
      time: seconds since the script began; it begins once the robot lies still.
    """

    phase: Float64[np.ndarray, "B"]
    stride: Float64[np.ndarray, "B"]
    turn: Float64[np.ndarray, "B"]
    script: Int64[np.ndarray, "B"]
    time: Float64[np.ndarray, "B"]


class Wish(NamedTuple):
    """Where a robot wants to be, in its heading frame.

    Attributes:
      place: metres.
      face: unit vector of where to look once there.
      near: metres at which it is there.
    """

    place: Float64[np.ndarray, "B 2"]
    face: Float64[np.ndarray, "B 2"]
    near: float


class Shot(NamedTuple):
    """A ball that is to go somewhere, in the heading frame.

    Attributes:
      ball: its place, metres.
      way: unit vector to the goal.
      left: unit vector to the left of it.
      back: metres by which the robot is behind the ball.
      aside: metres by which it is to the left of the line of the shot.
    """

    ball: Float64[np.ndarray, "B 2"]
    way: Float64[np.ndarray, "B 2"]
    left: Float64[np.ndarray, "B 2"]
    back: Float64[np.ndarray, "B"]
    aside: Float64[np.ndarray, "B"]


class Stand:
    """Holds the home pose, whatever happens."""

    def initial_memory(self, batch: int) -> tuple:
        """See `games.types.Policy`."""
        return ()

    def act(self, memory: tuple, observation: Any, mask: Any, key: Any) -> tuple[Any, Any, tuple]:
        """See `games.types.Policy`; consumes nothing."""
        batch = len(observation)
        return np.zeros((batch, robot.NUM_JOINTS), np.float32), np.zeros(batch, np.float32), ()


class ScriptedRobot:
    """Walks to where it wants to be and gets up when it is down; subclasses wish."""

    manner = STEADY

    def wish(self, observation: Float32[np.ndarray, "B O"]) -> Wish:
        """Where the robot wants to be."""
        raise NotImplementedError

    def kicks(self, observation: Float32[np.ndarray, "B O"]) -> Bool[np.ndarray, "B 2"]:
        """Whether to kick with the left and with the right foot."""
        return np.zeros((len(observation), 2), bool)

    def initial_memory(self, batch: int) -> Memory:
        """See `games.types.Policy`."""
        return Memory(
            phase=np.zeros(batch),
            stride=np.zeros(batch),
            turn=np.zeros(batch),
            script=np.full(batch, _WALKS),
            time=np.zeros(batch),
        )

    def act(
        self, memory: Memory, observation: Any, mask: Any, key: Any
    ) -> tuple[Float32[np.ndarray, "B 20"], Float32[np.ndarray, "B"], Memory]:
        """See `games.types.Policy`; consumes nothing."""
        seen = np.asarray(observation)
        command = seen[:, _PLACE["previous_action[0]"]].astype(np.float64)
        gravity = seen[:, _PLACE["gravity[0]"]].astype(np.float64)
        wish = self.wish(seen)
        memory = _choose_script(memory, gravity)
        manner = self.manner
        memory = _begin_kicks(memory, self.kicks(seen), next_phase(manner.spot, np.zeros(1))[0])
        stride, turn = _steer(wish, manner)
        stride = memory.stride + np.clip(stride - memory.stride, -STRIDE_RATE, STRIDE_RATE)
        most = np.interp(stride, manner.strides, manner.most_turn)
        turn = memory.turn + np.clip(turn - memory.turn, -TURN_RATE, TURN_RATE)
        turn = np.clip(turn, -most, most)
        gait = blended(manner.spot, manner.straight, stride / manner.straight_stride)
        wanted = gait_targets(gait, memory.phase, stride=stride, turn=turn, gravity=gravity)
        for number, script in enumerate(_POSES):
            now = memory.script == number
            if now.any():
                wanted[now] = pose_targets(script, memory.time[now])
        actions = actions_of(unfiltered(command, wanted)).astype(np.float32)
        walks = memory.script == _WALKS
        spin = np.linalg.norm(seen[:, _PLACE["angular_velocity[0]"]], axis=1)
        goes_on = (memory.time > 0) | (spin < STILL) | (memory.script >= _KICK_LEFT)
        after = memory._replace(
            phase=np.where(walks, next_phase(gait, memory.phase), 0.0),
            stride=np.where(walks, stride, 0.0),
            turn=np.where(walks, turn, 0.0),
            time=np.where(walks, 0.0, memory.time + CONTROL_STEP * goes_on),
        )
        return actions, np.zeros(len(seen), np.float32), after


class Walker(ScriptedRobot):
    """Goes to the target of `walk_to_target`, elsewhere to the ball; without either, stays."""

    def wish(self, observation: Float32[np.ndarray, "B O"]) -> Wish:
        """Where the target is seen."""
        place = observation[:, _PLACE["ball"]].astype(np.float64)
        return Wish(place, np.tile([1.0, 0.0], (len(place), 1)), 0.1)


class HastyWalker(Walker):
    """The same, faster than it can always keep its balance."""

    manner = HASTY


class Chaser(ScriptedRobot):
    """Goes behind the ball and dribbles it into the goal."""

    # Metres behind the ball to come from and to touch it from, to the side of the ball to pass it,
    # and of the ball to the side of the middle of the robot; the aim is so far behind the goal
    # line; lined up, it goes for what is so far ahead.
    behind, strike, beside, foot, depth = 0.4, 0.12, 0.35, 0.02, 0.5
    lead = 0.15

    def wish(self, observation: Any) -> Wish:
        """A place behind the ball, beside it on the way there, or right at it; `[B, O]` may be
        JAX's.
        """
        xp = observation.__array_namespace__()
        ball, shot, left, back, aside = self.shot(observation)
        runs = (back > 0) & (xp.abs(aside) < 0.08 + 0.25 * xp.maximum(back - self.strike, 0))
        passes = (back < self.behind / 2) & ~runs
        side = xp.where(aside >= 0, 1.0, -1.0)[:, None]
        start = ball - self.behind * shot
        place = xp.where(passes[:, None], start + side * self.beside * left, start)
        # Onto the line of the shot well before the ball.
        carrot = xp.maximum(back - self.lead, self.strike)[:, None]
        place = xp.where(runs[:, None], ball - carrot * shot + side * self.foot * left, place)
        return Wish(place, shot, 0.02)

    def shot(self, observation: Any) -> Shot:
        """Where the ball is, and where it has to go; `[B, O]` may be JAX's."""
        ball, goal, own_goal = (
            _in_full(observation[:, _PLACE[name]]) for name in ("ball", "opponent_goal", "own_goal")
        )
        upfield = _unit(goal - own_goal)
        # Into the goal, not onto its line, where the ball would be turned aside.
        way = _unit(goal + self.depth * upfield - ball)
        left = observation.__array_namespace__().stack([-way[:, 1], way[:, 0]], axis=1)
        return Shot(ball, way, left, (ball * way).sum(axis=1), -(ball * left).sum(axis=1))


class Kicker(Chaser):
    """Goes behind the ball and kicks it towards the goal."""

    # Place of the ball before a kick with the left foot, metres ahead and to the left, and how far
    # it may be off in either direction; radians by which the shot may be off.
    before, off, off_angle = (0.205, 0.045), (0.03, 0.03), 0.15
    # Metres ahead on the line of the kick to go for, far from the ball and near it, and to be as
    # fast as if they were left at least.
    lead, ahead, left_over = 0.35, 0.15, 0.04

    def wish(self, observation: Float32[np.ndarray, "B O"]) -> Wish:
        """That of a chaser far from the ball; near it, slowly on to where it can be kicked."""
        wish, (_, way, left, back, aside) = super().wish(observation), self.shot(observation)
        near = (back > 0) & (back < self.behind) & (np.abs(aside) < self.before[1] + self.off[1])
        right = np.where(aside >= 0, self.before[1], -self.before[1]) - aside
        line = _unit(self.ahead * way + right[:, None] * left)
        place = np.maximum(back - self.before[0], self.left_over)[:, None] * line
        return wish._replace(place=np.where(near[:, None], place, wish.place))

    def kicks(self, observation: Float32[np.ndarray, "B O"]) -> Bool[np.ndarray, "B 2"]:
        """Where the ball lies before the foot, the goal behind it."""
        ball, way, *_ = self.shot(observation)
        ahead = np.abs(ball[:, 0] - self.before[0]) < self.off[0]
        ahead &= np.abs(np.arctan2(way[:, 1], way[:, 0])) < self.off_angle
        aside = np.abs(np.stack([ball[:, 1], -ball[:, 1]], axis=1) - self.before[1]) < self.off[1]
        return ahead[:, None] & aside


class Keeper(ScriptedRobot):
    """Stays between the ball and the own goal, looking at the ball."""

    # Metres in front of the middle of the goal line.
    distance = 0.6

    def wish(self, observation: Float32[np.ndarray, "B O"]) -> Wish:
        """A place on the line from the own goal to the ball."""
        ball = observation[:, _PLACE["ball"]].astype(np.float64)
        goal = observation[:, _PLACE["own_goal"]].astype(np.float64)
        return Wish(goal + self.distance * _unit(ball - goal), _unit(ball), 0.2)


# Those that walk.
SCRIPTS = {"walker": Walker, "chaser": Chaser, "kicker": Kicker, "keeper": Keeper}
BOTS = {"stand": Stand, **SCRIPTS}


def _steer(wish: Wish, manner: Manner) -> tuple[Float64[np.ndarray, "B"], Float64[np.ndarray, "B"]]:
    """Stride and turn that lead to a place, or turn on the spot once there."""
    distance = np.linalg.norm(wish.place, axis=1)
    there = distance < wish.near
    way = np.where(there[:, None], wish.face, wish.place)
    angle = np.arctan2(way[:, 1], way[:, 0])
    turns = np.abs(angle) > manner.spot_angle
    ahead = np.abs(angle) < manner.straight_angle
    turn = np.where(there & ahead, 0.0, manner.turn_gain * angle)
    stride = np.where(ahead, manner.straight_stride, manner.turning_stride)
    # Slower near the place, and nowhere once there or while turning on the spot.
    stride = np.minimum(stride, 0.012 + 0.3 * distance) * ~(there | turns)
    return stride, turn


def _choose_script(memory: Memory, gravity: Float64[np.ndarray, "B 3"]) -> Memory:
    """Ends scripts that are over, and begins to get up where the robot is down."""
    over = memory.time > _LENGTH[memory.script]
    script = np.where(over, _WALKS, memory.script)
    tilt = np.arccos(np.clip(-gravity[:, 2], -1, 1))
    falls = (tilt > DOWN_TILT) & ((script == _WALKS) | (script >= _KICK_LEFT))
    begun = np.where(falls, np.where(gravity[:, 0] < 0, _FROM_BACK, _FROM_FACE), script)
    return memory._replace(script=begun, time=np.where(begun != memory.script, 0.0, memory.time))


def _begin_kicks(memory: Memory, wanted: Bool[np.ndarray, "B 2"], step: float) -> Memory:
    """Begins kicks where they are wanted and the foot would be lifted now anyway, within `step`
    radians of the gait: the weight is on the other foot then.
    """
    right = (memory.phase >= np.pi).astype(np.int64)
    lifts = (memory.script == _WALKS) & (memory.phase % np.pi < step)
    begins = lifts & wanted[np.arange(len(right)), right]
    return memory._replace(
        script=np.where(begins, _KICK_LEFT + right, memory.script),
        time=np.where(begins, 0.0, memory.time),
    )


def _in_full(numbers: Any) -> Any:
    """In double precision where there is one: JAX has none by default."""
    return numbers.astype(np.float64) if isinstance(numbers, np.ndarray) else numbers


def _unit(vectors: Any) -> Any:
    """Vectors `[B, 2]` of length 1, of NumPy or JAX."""
    xp = vectors.__array_namespace__()
    return vectors / xp.maximum(xp.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
