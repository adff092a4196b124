"""Distillation of several teachers into one policy that may come to do better than they.

Haarnoja et al. 2024 (arXiv 2304.13653, training stage 2, equation 3) maximise at every state

    (1 - lambda) E_pi[Q(s, a)] - lambda KL(pi || pi_T),

where T is the teacher that holds there and lambda its weight. The weight descends
c(lambda) = lambda (E[Q] - Q_T) within [0, 1]: towards 1, cloning, while the student's return is
below the threshold Q_T, and towards 0, reinforcement learning alone, while it is above.

PPO has no Q, so here

* E_pi[Q] is its surrogate: the gain of a decision is its clipped, weighted advantage, in standard
  deviations of the batch's advantages, and so is a nat of divergence worth one of those;
* E[Q] at a state that was visited is the decision's return as the critic's target has it, the
  lambda-return G of generalised advantage estimation, whose mean over what is done and happens
  is the student's value;
* Q_T, a constant chosen by hand in the paper, is measured: V_T(s), what the teachers together earn
  from there on. It is what the critic has learned by the end of the imitation, in which they play
  with the noise that the student starts with, and is kept.

So the weight of teacher T moves after every batch, by projected gradient descent (the paper has a
softplus), to

    clip(lambda_T - rate * mean(G - V_T(s) | T holds at s) / spread, 0, 1).

V_T is an estimate, least sure where teachers never were; returns hold the entropies of later
decisions (temperatures), which those of the teachers do not.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float32, Int

from neupl.learners.decisions import Decisions
from neupl.population_actor import Seen, critic_apart
from neupl.types import Rows

if TYPE_CHECKING:
    from neupl.teachers import Teachers


class Teaching(NamedTuple):
    """What a learner carries of its teachers.

    Attributes:
      weight: lambda of each, 0 to 1.
      critic: parameters whose critic tells what the teachers earn together.
    """

    weight: Float32[np.ndarray, "M"]
    critic: Any


# `(teaching, decisions, rows, spread) -> (teaching, decisions, metrics)`.
Teach = Callable[
    [Teaching, Decisions, Rows, np.float32], tuple[Teaching, Decisions, dict[str, float]]
]


def first_teaching(teachers: "Teachers", params: Any) -> Teaching:
    """All teachers count in full; what they earn is not known before the imitation."""
    return Teaching(np.ones(teachers.number, np.float32), params)


def moved_weights(
    weight: Float32[np.ndarray, "M"],
    better: Float32[np.ndarray, "N"],
    holding: Int[np.ndarray, "N"],
    *,
    rate: float,
) -> tuple[Float32[np.ndarray, "M"], Float32[np.ndarray, "M"]]:
    """Weights after a batch, and the means that moved them, 0 for who held nowhere.

    Args:
      weight: before.
      better: by how much each decision's return exceeds what the teachers would have earned.
      holding: the teacher of each decision.
      rate: of the descent.
    """
    own = holding[:, None] == np.arange(len(weight))
    means = (better @ own) / np.maximum(own.sum(axis=0), 1)
    moved = np.clip(weight - rate * means, 0.0, 1.0)
    return moved.astype(np.float32), means.astype(np.float32)


def make_teach(
    teachers: "Teachers",
    expect: Callable[[Any, Rows, Seen], Any],
    *,
    observed: int,
    rate: float,
    size: int,
) -> Teach:
    """Makes what a batch goes through before it is learned from: the weights move, and every
    decision is told what its teacher would do and how much that counts.

    Args:
      teachers: of seat 0.
      expect: `(params, rows, seen) -> [N]` values in payoff ranges, compiled.
      observed: numbers that the policy observes.
      rate: of the weights.
      size: decisions that are asked about at a time.
    """

    def teach(
        teaching: Teaching, decisions: Decisions, rows: Rows, spread: np.float32
    ) -> tuple[Teaching, Decisions, dict[str, float]]:
        seen = critic_apart(decisions.seen, observed)

        def asked(part: Seen) -> tuple[Any, ...]:
            holding = teachers.holding(part.observation)
            taught = teachers.parameters(part.observation, part.legal_mask, holding)
            return holding, taught, expect(teaching.critic, rows, part)

        holding, taught, expected = _by_parts(asked, seen, size)
        better = (decisions.target - expected) / spread
        weight, means = moved_weights(np.asarray(teaching.weight), better, holding, rate=rate)
        metrics = {}
        for k in range(teachers.number):
            metrics[f"teachers/weight_{k}"] = float(weight[k])
            metrics[f"teachers/exceeded_by_{k}"] = float(means[k])
            metrics[f"teachers/share_{k}"] = float((holding == k).mean())
        told = decisions._replace(taught=taught, teacher_weight=weight[holding])
        return teaching._replace(weight=weight), told, metrics

    return teach


def _by_parts(
    function: Callable[[Seen], tuple[Any, ...]], seen: Seen, size: int
) -> list[np.ndarray]:
    """What a function makes of decisions, asked about `size` of them at a time: it is compiled
    once, although batches differ in length.
    """
    count, found = len(seen.observation), []
    for start in range(0, count, size):
        index = np.minimum(np.arange(start, start + size), count - 1)
        part = jax.tree.map(lambda field, index=index: np.asarray(field)[index], seen)
        found.append([np.asarray(x)[: count - start] for x in function(part)])
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]
