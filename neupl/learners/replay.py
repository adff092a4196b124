"""Replayed episodes: the last batches of a run, each with the rows that were played.

A batch of `B` lanes is kept as what its focal seats decided, in the order of their own decisions,
`D` of them in the longest episode. Rows are kept with it, since mixtures that are asked about are
drawn anew for every batch and strategies may be given new rows.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32

from neupl.matches import Matches, seat_order
from neupl.rollout import Trajectory
from neupl.types import Objective, Rows

# A strategy whose row has moved by more than this, in probability, is another one.
SAME_ROW = 1e-6
# Fields of a batch with lanes along the second axis, and along the first.
BY_STEP = ("observation", "legal_mask", "action", "log_prob", "reward", "decided")
BY_LANE = ("temperature", "seat", "profile")


class Played(NamedTuple):
    """One batch of episodes, or several behind each other along a first axis.

    Attributes:
      rows: the strategies that played.
      observation: what focal seats saw, zeros behind the last decision of a lane.
      legal_mask: legal actions.
      action: what they did.
      log_prob: its log-probability when it was done, in nats.
      reward: what it brought until the next own decision or the end, in payoff ranges.
      decided: where there is a decision.
      temperature: of each lane, in payoff ranges per nat.
      seat: focal seats.
      profile: strategies, first the focal seat's, then the others' in ascending order.
      batch: number of the batch, -1 where there is none yet.
    """

    rows: Rows
    observation: Float32[np.ndarray, "*R D B O"]
    legal_mask: Bool[np.ndarray, "*R D B A"]
    action: Int32[np.ndarray, "*R D B"] | Float32[np.ndarray, "*R D B A"]
    log_prob: Float32[np.ndarray, "*R D B"]
    reward: Float32[np.ndarray, "*R D B"]
    decided: Bool[np.ndarray, "*R D B"]
    temperature: Float32[np.ndarray, "*R B"]
    seat: Int32[np.ndarray, "*R B"]
    profile: Int32[np.ndarray, "*R B P"]
    batch: Int32[np.ndarray, "*R"]


class ReplayBlock(NamedTuple):
    """Episodes of a part of a batch.

    Attributes:
      played: what focal seats decided.
      matches: who played in each lane.
      returns: `[B, P]` of all seats, in game points.
    """

    played: Played
    matches: Matches
    returns: Float32[np.ndarray, "B P"]


def focal_episodes(
    trajectory: Trajectory,
    matches: Matches,
    rows: Rows,
    temperature: Float[np.ndarray, "B"],
    *,
    payoff_range: float,
    longest: int,
) -> Played:
    """What focal seats decided, one episode per lane; of no batch yet.

    Args:
      trajectory: NumPy arrays.
      matches: who played.
      rows: the strategies that played.
      temperature: of each lane's focal strategy, in game points per nat.
      payoff_range: of the game.
      longest: decisions `D` that an episode may have.
    """
    seat, lanes = matches.seat, np.arange(len(matches.seat))
    moved = trajectory.to_move[:, lanes, seat]
    # The number of the focal seat's last decision at each step, -1 before the first.
    number = np.cumsum(moved, axis=0) - 1
    when, lane = np.nonzero(moved)
    where = number[when, lane], lane

    def own(field: np.ndarray) -> np.ndarray:
        found = np.zeros((longest, len(lanes), *field.shape[3:]), field.dtype)
        found[where] = field[when, lane, seat[lane]]
        return found

    reward = np.zeros((longest, len(lanes)), np.float32)
    after, of_lane = np.nonzero(number >= 0)
    brought = trajectory.rewards[after, of_lane, seat[of_lane]] / payoff_range
    np.add.at(reward, (number[after, of_lane], of_lane), brought)
    return Played(
        rows=rows,
        observation=own(trajectory.observation),
        legal_mask=own(trajectory.legal_mask),
        action=own(trajectory.action),
        log_prob=own(trajectory.log_prob),
        reward=reward,
        decided=own(trajectory.to_move),
        temperature=np.asarray(temperature, np.float32) / np.float32(payoff_range),
        seat=seat,
        profile=np.take_along_axis(
            matches.profile, seat_order(matches.profile.shape[1])[seat], axis=1
        ),
        batch=np.int32(-1),
    )


def together(parts: Sequence[Played]) -> Played:
    """The lanes of all parts of a batch."""
    fields = {
        name: np.concatenate([getattr(part, name) for part in parts], axis=axis)
        for axis, names in ((1, BY_STEP), (0, BY_LANE))
        for name in names
    }
    return parts[0]._replace(**fields)


def some_lanes(played: Played, index: Int[np.ndarray, "N"]) -> Played:
    """Some lanes of a batch, its rows as they are."""
    return played._replace(
        **{name: getattr(played, name)[:, index] for name in BY_STEP},
        **{name: getattr(played, name)[index] for name in BY_LANE},
    )


def empty_replay(like: Played, size: int) -> Played:
    """A replay of `size` batches, none of which is there yet; `like` has the shapes of one."""
    replay = jax.tree.map(lambda field: np.zeros((size, *field.shape), field.dtype), like)
    return replay._replace(batch=np.full(size, -1, np.int32))


def keep(replay: Played, played: Played, batch: int) -> Played:
    """The replay with a batch in the place of the oldest one."""
    slot = batch % len(replay.batch)

    def put(old: np.ndarray, new: np.ndarray | np.generic) -> np.ndarray:
        found = np.array(old)
        found[slot] = new
        return found

    return jax.tree.map(put, replay, played._replace(batch=np.int32(batch)))


def tasks_of(
    played: Played, objective: Objective
) -> tuple[Float32[np.ndarray, "B"], Float32[np.ndarray, "B"]]:
    """Of each lane of one batch, whether its focal strategy responds by now, and whether it is
    held, 1 or 0. Strategies that have been given another row since do neither; mixtures that were
    asked about respond as long as any do.
    """
    joint = np.asarray(objective.rows.joint)
    size = joint.shape[1]
    seat, strategy = played.seat, played.profile[:, 0]
    asked = strategy >= size
    index = np.where(asked, 0, strategy)
    moved = np.abs(np.asarray(played.rows.joint) - joint).max(axis=-1)[seat, index]
    same = ~asked & (moved < SAME_ROW)
    respond, hold = (np.sign(np.asarray(part)) for part in (objective.respond, objective.hold))
    asks = float(respond[:, size:].any())
    responds = np.where(asked, asks, respond[seat, index] * same)
    return responds.astype(np.float32), (hold[seat, index] * same).astype(np.float32)
