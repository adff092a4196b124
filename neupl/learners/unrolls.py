"""Unrolls: parts of episodes along which a network with a memory learns.

A part starts from the memory as it was when it was played (Kapturowski et al. 2019, "Recurrent
experience replay in distributed reinforcement learning", ICLR; theirs are replayed, ours are of the
batch itself, so that the memory is at most one step of the learner old), and the gradient ends
there. Where an episode fits into one part nothing is cut.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int, Int32

from neupl.learners.advantages import LaneAdvantages
from neupl.matches import Matches, seat_order
from neupl.networks import RememberingNetwork
from neupl.recurrent_network import RecurrentNetwork
from neupl.rollout import Trajectory


class Unrolls(NamedTuple):
    """`N` parts of `L` steps each, of focal seats; see `neupl.learners.decisions.Decisions` for the
    first ten.

    Attributes:
      observation: what the seat saw.
      legal_mask: legal actions.
      action: what it did, or is to learn.
      log_prob: its log-probability when it was done.
      advantage: estimate in payoff ranges.
      target: of the value, in payoff ranges.
      counts: 1 where there is a decision to learn from.
      temperature: weight of the entropy, in payoff ranges per nat.
      respond: 1 where the strategy improves.
      hold: 1 where it stays with the teacher.
      seat: who decides.
      profile: strategies, first the deciding seat's, then the others' in ascending order.
      previous: the seat's last own action before each step, as in `Recall`.
      fresh: where an episode begins.
      moved: where the seat decides.
      start: memory before the first step.
    """

    observation: Float32[np.ndarray, "N L O"]
    legal_mask: Bool[np.ndarray, "N L A"]
    action: Int32[np.ndarray, "N L"] | Float32[np.ndarray, "N L A"]
    log_prob: Float32[np.ndarray, "N L"]
    advantage: Float32[np.ndarray, "N L"]
    target: Float32[np.ndarray, "N L"]
    counts: Float32[np.ndarray, "N L"]
    temperature: Float32[np.ndarray, "N"]
    respond: Float32[np.ndarray, "N"]
    hold: Float32[np.ndarray, "N"]
    seat: Int32[np.ndarray, "N"]
    profile: Int32[np.ndarray, "N P"]
    previous: Int32[np.ndarray, "N L"] | Float32[np.ndarray, "N L A"]
    fresh: Bool[np.ndarray, "N L"]
    moved: Bool[np.ndarray, "N L"]
    start: Float32[np.ndarray, "N H"]


def cut_unrolls(
    trajectory: Trajectory,
    matches: Matches,
    found: LaneAdvantages,
    *,
    respond: Float32[np.ndarray, "B"],
    hold: Float32[np.ndarray, "B"],
    taught: np.ndarray | None = None,
) -> Unrolls:
    """Cuts the lanes of a trajectory where the actor's memory was recorded, and keeps the parts
    with something to learn from.

    Args:
      trajectory: NumPy arrays, with memories.
      matches: who played.
      found: advantages of the focal seats.
      respond: as in `Unrolls`, of each lane.
      hold: as in `Unrolls`, of each lane.
      taught: `[T, B, P, ...]` actions to learn; by default those that were done, which are what the
        seats remember in any case.
    """
    seat = matches.seat
    lanes = np.arange(len(seat))
    hidden = trajectory.memory.hidden[:, lanes, seat]
    steps, parts = len(trajectory.discount), len(hidden)
    length = -(-steps // parts)

    def cut(of_lane: np.ndarray) -> np.ndarray:
        """`[N, L, ...]` from `[T, B, ...]`, padded by zeros at the end."""
        padding = [(0, parts * length - steps)] + [(0, 0)] * (of_lane.ndim - 1)
        padded = np.pad(of_lane, padding).reshape(parts, length, *of_lane.shape[1:])
        return padded.swapaxes(1, 2).reshape(-1, length, *of_lane.shape[2:])

    actions = trajectory.action if taught is None else taught
    counts = cut(found.counts.astype(np.float32))
    kept = np.flatnonzero(counts.any(axis=1))
    lane = kept % len(lanes)
    profile = np.take_along_axis(matches.profile, seat_order(matches.profile.shape[1])[seat], 1)
    by_step = {
        **lane_steps(trajectory, seat)._asdict(),
        "legal_mask": trajectory.legal_mask[:, lanes, seat],
        "action": actions[:, lanes, seat],
        "log_prob": trajectory.log_prob[:, lanes, seat],
        "advantage": found.advantage,
        "target": found.advantage + found.value,
    }
    by_lane = {
        "temperature": found.temperature, "respond": respond, "hold": hold, "seat": seat,
        "profile": profile,
    }  # fmt: skip
    return Unrolls(
        **{name: cut(field)[kept] for name, field in by_step.items()},
        **{name: field[lane] for name, field in by_lane.items()},
        counts=counts[kept],
        start=hidden.reshape(-1, hidden.shape[-1])[kept],
    )


class LaneSteps(NamedTuple):
    """What one seat of each of `B` lanes saw and did, step by step; fields as in `Unrolls`, time
    first.
    """

    observation: Float32[np.ndarray, "T B O"]
    previous: Int32[np.ndarray, "T B"] | Float32[np.ndarray, "T B A"]
    fresh: Bool[np.ndarray, "T B"]
    moved: Bool[np.ndarray, "T B"]


def lane_steps(trajectory: Trajectory, seat: Int32[np.ndarray, "B"]) -> LaneSteps:
    """The steps of a seat of each lane of a trajectory, NumPy arrays."""
    lanes = np.arange(len(seat))
    action, moved = (field[:, lanes, seat] for field in (trajectory.action, trajectory.to_move))
    fresh = np.ones(moved.shape, bool)
    fresh[1:] = trajectory.discount[:-1] == 0
    previous = previous_actions(action, moved=moved, fresh=fresh)
    return LaneSteps(trajectory.observation[:, lanes, seat], previous, fresh, moved)


def previous_actions(
    action: Int[np.ndarray, "T B"] | Float[np.ndarray, "T B A"],
    *,
    moved: Bool[np.ndarray, "T B"],
    fresh: Bool[np.ndarray, "T B"],
) -> Int32[np.ndarray, "T B"] | Float32[np.ndarray, "T B A"]:
    """The last own action of a seat before each step of its episode, as in `Recall`."""
    continuous = action.ndim == 3
    none = np.float32(0) if continuous else np.int32(-1)
    found = np.empty(action.shape, none.dtype)
    last = np.full(action.shape[1:], none)
    moved, fresh = (mask[..., None] if continuous else mask for mask in (moved, fresh))
    for t in range(len(action)):
        last = np.where(fresh[t], none, last)
        found[t] = last
        last = np.where(moved[t], action[t], last)
    return found


def unrolled_memory(
    network: RememberingNetwork, params: Any, unrolls: Unrolls, *, num_tables: int
) -> Float[Array, "L N H"]:
    """What the network remembers after each step of unrolls, differentiable in its parameters.

    Parameters other than those that played, a teacher's, start from the same memory: what they
    would remember of earlier parts is not known.
    """
    table = unrolls.seat if num_tables > 1 else jnp.zeros_like(unrolls.seat)

    def by_time(array: Any) -> Array:
        return jnp.swapaxes(array, 0, 1)

    return network.apply(
        params,
        by_time(unrolls.observation),
        jax.nn.one_hot(table, num_tables),
        by_time(unrolls.previous),
        start=jnp.asarray(unrolls.start),
        fresh=by_time(unrolls.fresh),
        moved=by_time(unrolls.moved),
        strategy=jnp.asarray(unrolls.profile)[:, 0],
        method="unroll",
    )


def lane_memory(
    network: RecurrentNetwork,
    params: Any,
    steps: LaneSteps,
    seat: Int[Array | np.ndarray, "B"],
    *,
    num_tables: int,
) -> Float[Array, "T B H"]:
    """What the network would remember after each step of lanes that somebody else has played, which
    begin with an episode.
    """
    steps, table = jax.tree.map(jnp.asarray, (steps, seat))
    return network.apply(
        params,
        steps.observation,
        jax.nn.one_hot(table if num_tables > 1 else jnp.zeros_like(table), num_tables),
        steps.previous,
        start=jnp.zeros((len(table), network.memory_size)),
        fresh=steps.fresh,
        moved=steps.moved,
        method="unroll",
    )
