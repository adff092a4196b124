"""What focal seats decided in a batch of episodes, as policy gradients learn from it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Int32

from neupl.learners.advantages import lane_advantages
from neupl.learners.focal_lanes import focal_task
from neupl.learners.unrolls import Unrolls, cut_unrolls
from neupl.matches import Matches, seat_order
from neupl.population_actor import Seen
from neupl.rollout import Trajectory
from neupl.types import Objective


class Decisions(NamedTuple):
    """`N` decisions of focal seats, of which some may be padding.

    Attributes:
      seen: what was decided about.
      action: what was done.
      log_prob: its log-probability when it was done.
      advantage: estimate in payoff ranges.
      target: of the value, in payoff ranges.
      temperature: weight of the entropy, in payoff ranges per nat.
      respond: 1 where the strategy improves.
      hold: 1 where it stays with the teacher.
      counts: 1, or 0 for padding.
      taught: what a teacher would do, parameters of action distributions, where there are teachers.
      teacher_weight: what counts of that, 0 to 1.
    """

    seen: Seen
    action: Int32[np.ndarray, "N"] | Float32[np.ndarray, "N A"]
    log_prob: Float32[np.ndarray, "N"]
    advantage: Float32[np.ndarray, "N"]
    target: Float32[np.ndarray, "N"]
    temperature: Float32[np.ndarray, "N"]
    respond: Float32[np.ndarray, "N"]
    hold: Float32[np.ndarray, "N"]
    counts: Float32[np.ndarray, "N"]
    taught: Float32[np.ndarray, "N D"] | None = None
    teacher_weight: Float32[np.ndarray, "N"] | None = None


def focal_decisions(
    trajectory: Trajectory,
    matches: Matches,
    objective: Objective,
    *,
    payoff_range: float,
    trace: float,
    discount: float = 1.0,
) -> Decisions:
    """What the focal seats decided, by the temperatures and weights of their strategies; see
    `lane_decisions`.

    Args:
      trajectory: NumPy arrays, values in payoff ranges.
      matches: who played.
      objective: temperatures and weights of the strategies.
      payoff_range: of the game.
      trace: lambda of the estimator; 1 takes returns as they came.
      discount: as in `lane_decisions`.
    """
    temperature, respond, hold = focal_task(matches, objective)
    return lane_decisions(
        trajectory, matches, temperature, respond=respond, hold=hold,
        payoff_range=payoff_range, trace=trace, discount=discount,
    )  # fmt: skip


def focal_unrolls(
    trajectory: Trajectory,
    matches: Matches,
    objective: Objective,
    *,
    payoff_range: float,
    trace: float,
    discount: float = 1.0,
    taught: np.ndarray | None = None,
) -> Unrolls:
    """The same for a network with a memory; the arguments are those of `focal_decisions`, and
    `taught` of `cut_unrolls`.
    """
    temperature, respond, hold = focal_task(matches, objective)
    found = lane_advantages(
        trajectory, matches.seat, temperature,
        payoff_range=payoff_range, trace=trace, discount=discount,
    )  # fmt: skip
    return cut_unrolls(trajectory, matches, found, respond=respond, hold=hold, taught=taught)


def decisions_along(unrolls: Unrolls) -> Decisions:
    """The decisions of all steps of unrolls, step by step."""
    steps = unrolls.action.shape[1]

    def along(field: Any) -> Array:
        return jnp.swapaxes(field, 0, 1).reshape(-1, *field.shape[2:])

    def repeated(field: Any) -> Array:
        return jnp.tile(field, (steps, *(1,) * (field.ndim - 1)))

    seen = Seen(
        along(unrolls.observation), along(unrolls.legal_mask),
        repeated(unrolls.seat), repeated(unrolls.profile),
    )  # fmt: skip
    return Decisions(
        seen=seen,
        action=along(unrolls.action),
        log_prob=along(unrolls.log_prob),
        advantage=along(unrolls.advantage),
        target=along(unrolls.target),
        temperature=repeated(unrolls.temperature),
        respond=repeated(unrolls.respond),
        hold=repeated(unrolls.hold),
        counts=along(unrolls.counts),
    )


def lane_decisions(
    trajectory: Trajectory,
    matches: Matches,
    temperature: Float[np.ndarray, "B"],
    *,
    respond: Float32[np.ndarray, "B"],
    hold: Float32[np.ndarray, "B"],
    payoff_range: float,
    trace: float,
    discount: float = 1.0,
    prior: Float[np.ndarray, "T B"] | None = None,
) -> Decisions:
    """What the focal seats decided, with advantages by generalised advantage estimation (Schulman
    et al. 2016, arXiv 1506.02438) over the seat's own decisions. The return of a decision holds the
    entropies of the seat's decisions after it, each as the surprise `-log_prob` of what was done
    there; its own entropy stands in the loss.

    Args:
      trajectory: NumPy arrays, values in payoff ranges.
      matches: who played.
      temperature: of each lane's focal seat, in game points per nat.
      respond: as in `Decisions`, of each lane.
      hold: as in `Decisions`, of each lane.
      payoff_range: of the game.
      trace: lambda of the estimator; 1 takes returns as they came.
      discount: of what comes after the seat's next decision, gamma; 1 for none.
      prior: log-probabilities that the focal seat's actions have under another policy, relative to
        which they surprise; by default 0.
    """
    found = lane_advantages(
        trajectory, matches.seat, temperature,
        payoff_range=payoff_range, trace=trace, discount=discount, prior=prior,
    )  # fmt: skip
    advantage, value, temperature = found.advantage, found.value, found.temperature
    when, lane = np.nonzero(found.counts)
    focal = matches.seat[lane]
    return Decisions(
        seen=seen_at(trajectory, matches.profile, (when, lane, focal)),
        action=trajectory.action[when, lane, focal],
        log_prob=trajectory.log_prob[when, lane, focal],
        advantage=advantage[when, lane],
        target=advantage[when, lane] + value[when, lane],
        temperature=temperature[lane],
        respond=respond[lane],
        hold=hold[lane],
        counts=np.ones(len(when), np.float32),
    )


def seen_at(
    trajectory: Trajectory,
    profile: Int32[np.ndarray, "B P"],
    where: tuple[Int[np.ndarray, "N"], Int[np.ndarray, "N"], Int[np.ndarray, "N"]],
) -> Seen:
    """What was seen at steps, lanes and seats of a trajectory in which `profile` was played."""
    _, lane, seat = where
    order = seat_order(profile.shape[1])[seat]
    return Seen(
        trajectory.observation[where],
        trajectory.legal_mask[where],
        seat,
        np.take_along_axis(profile[lane], order, axis=1),
    )


def minibatches(decisions: Decisions | Unrolls, size: int, rng: np.random.Generator) -> Any:
    """Decisions, or unrolls of them, in random order, in parts padded to the same size.

    All have as many decisions, to one: the optimiser takes as large a step on a few as on many.
    """
    count = len(decisions.action)
    for chosen in np.array_split(rng.permutation(count), max(-(-count // size), 1)):
        padded = np.concatenate([chosen, np.zeros(size - len(chosen), chosen.dtype)])
        part = jax.tree.map(lambda field, index=padded: field[index], decisions)
        live = (np.arange(size) < len(chosen)).astype(np.float32)
        live = live.reshape(-1, *(1,) * (part.counts.ndim - 1))
        yield part._replace(counts=part.counts * live)
