"""Priors on the strategies of an evaluation game that copies cannot move.

The equilibrium nearest to a prior inherits what the prior counts twice. Here a prior counts exact
classes of strategies, not strategies; where prompts come in groups (topics, rewordings of
one question) every group weighs alike first; and a soft kernel of payoffs may weigh
near-copies less.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from evaluation.evaluation_game import EvaluationGame
from evaluation.types import DataError
from solvers.meta.affinity import affinity_kernel, max_affinity_entropy, payoff_distances
from solvers.meta.strategic_classes import StrategicClasses, strategic_classes, without_copies

# The nearest equilibrium to a prior is defined where the prior is positive: shares that an affinity
# prior leaves at 0 become this part of uniform ones.
LEAST_SHARE = 1e-9


class ClassPrior(NamedTuple):
    """The game without copies, and how much each class should weigh.

    Attributes:
      payoffs: of the classes, `[C_0, ..., C_{P-1}, P]`.
      classes: of each player.
      weights: prior of each class, per player `[C_p]`, sums to 1.
      shares: of each strategy in its class, per player `[K_p]`, sums to 1 over each class.
    """

    payoffs: Float64[np.ndarray, "..."]
    classes: tuple[StrategicClasses, ...]
    weights: tuple[Float64[np.ndarray, "_"], ...]
    shares: tuple[Float64[np.ndarray, "_"], ...]


def class_prior(
    evaluation: EvaluationGame,
    *,
    groups: Sequence[str] | None = None,
    distinct: Sequence[int] | None = None,
    affinity_variance: float | None = None,
) -> ClassPrior:
    """The prior of an evaluation game.

    By default all exact classes of a player weigh alike, the maximum of affinity entropy when only
    exact copies are alike.

    Args:
      evaluation: the game.
      groups: the group of each strategy of the player that chooses prompts: groups weigh alike, in
        a group its classes, in a class its members.
      distinct: how many different prompts of its group each of these strategies stands for, by
        which classes weigh in their group; by default one.
      affinity_variance: of the soft kernel, in squared game points: then the weights of classes are
        of greatest affinity entropy, with distances that copies of opponents do not move.

    Raises:
      DataError: groups and a kernel are both given, or not one group per prompt.
    """
    payoffs = evaluation.game.payoffs
    classes = strategic_classes(payoffs)
    reduced = without_copies(payoffs, classes)
    weights = [np.full(len(own.first), 1 / len(own.first)) for own in classes]
    shares = [1 / np.bincount(own.member)[own.member] for own in classes]
    if affinity_variance is not None:
        if groups is not None:
            raise DataError("a prior is of groups or of an affinity kernel, not of both")
        for player in range(len(classes)):
            kernel = affinity_kernel(payoff_distances(reduced, player), affinity_variance)
            best = max_affinity_entropy(kernel)
            weights[player] = (1 - LEAST_SHARE) * best + LEAST_SHARE * weights[player]
    if groups is not None:
        player = evaluation.prompts
        own = classes[player]
        if len(groups) != len(own.member):
            raise DataError(
                f"{len(groups)} groups for {len(own.member)} prompts; allowed is one each"
            )
        members = _grouped(own, groups, [1] * len(groups) if distinct is None else distinct)
        weights[player] = own.totals(members)
        shares[player] = members / weights[player][own.member]
    return ClassPrior(reduced, classes, tuple(weights), tuple(shares))


def _grouped(
    classes: StrategicClasses, groups: Sequence[str], distinct: Sequence[int]
) -> Float64[np.ndarray, "K"]:
    """The weight of each strategy."""
    _, group = np.unique(np.array(groups, str), return_inverse=True)
    cell = group * len(classes.first) + classes.member
    _, cell, size = np.unique(cell, return_inverse=True, return_counts=True)
    group_of_cell = np.zeros(len(size), int)
    group_of_cell[cell] = group
    # Strategies of one class are one prompt, however many there are.
    weight = np.zeros(len(size))
    np.maximum.at(weight, cell, np.asarray(distinct, float))
    in_group = np.bincount(group_of_cell, weights=weight)
    return weight[cell] / (len(in_group) * in_group[group] * size[cell])
