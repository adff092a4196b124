"""How far a joint distribution over profiles of strategies is from (coarse) correlated equilibrium.

Chance draws a profile from `sigma`; every seat is told to play its strategy of it to the end of the
game. A seat may deviate to any behaviour in the game: under `"cce"` it decides before it hears
anything, under `"ce"` after hearing its own strategy (Marris et al. 2021, arXiv 2106.09435,
section 3). The co-players' draw is hidden but stays the same during the whole game, so what a
deviator faces is the average over joint profiles, not the product of marginals and not an average
of action probabilities per state.

The average is built up along the tree, seat by seat, over the combinations of strategies that have
mass, so a pass costs at most the number of merged terminals times the number of such combinations.
With two players the co-player's strategies are averaged first, which leaves one combination.
"""

import dataclasses
import time
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, Int

from games.game_tree import GameTree
from solvers import tree_kernels
from solvers.best_response import Ties, respond_to_values
from solvers.sequence_form import (
    check_distribution,
    check_policies,
    check_shape,
    realization_plan,
    seat_terminals,
    sequence_form,
)
from solvers.types import Certificate
from solvers.values import payoffs_of_plans

Concept = Literal["cce", "ce"]


@dataclasses.dataclass(frozen=True)
class Deviations:
    """What one seat can gain, per piece of advice that it can hear.

    Attributes:
      advice: the seat's own strategy that it is told to play; one entry of -1 under `"cce"`, where
        it decides before it hears anything.
      probability: of hearing it.
      best_values: value of the best response to what the others then play, times `probability`, in
        game points.
      gains: `best_values` minus what following the advice is worth, times `probability`.
      policies: the best responses `[B, S, A]`, other seats' rows zero; `None` where not asked for.
    """

    advice: Int[np.ndarray, "B"]
    probability: Float64[np.ndarray, "B"]
    best_values: Float64[np.ndarray, "B"]
    gains: Float64[np.ndarray, "B"]
    policies: Float64[np.ndarray, "B S A"] | None


@dataclasses.dataclass(frozen=True)
class CorrelatedGains:
    """What every seat can gain from deviating, in game points.

    Attributes:
      concept: `"cce"` or `"ce"`.
      best_values: value of each seat's best deviation.
      on_policy_values: value of following the draw.
      deviations: per seat, the deviations behind it.
    """

    concept: Concept
    best_values: Float64[np.ndarray, "P"]
    on_policy_values: Float64[np.ndarray, "P"]
    deviations: tuple[Deviations, ...]

    @property
    def gains(self) -> Float64[np.ndarray, "P"]:
        """Best value minus on-policy value; may be negative under `"cce"`."""
        return self.best_values - self.on_policy_values

    @property
    def gap(self) -> float:
        """Sum over seats of the positive parts of the gains: 0 exactly at an equilibrium."""
        return float(np.maximum(self.gains, 0.0).sum())


def correlated_gains(
    tree: GameTree,
    plans: Sequence[Float[np.ndarray, "_ Q"]],
    joint: Float[np.ndarray, "..."],
    *,
    concept: Concept = "cce",
    responses: Ties | None = None,
    on_policy_values: Float[np.ndarray, "P"] | None = None,
) -> CorrelatedGains:
    """Measures what each seat gains from its best deviations.

    Args:
      tree: the game.
      plans: per seat, realisation plans of its strategies, `[K_p, Q]`; only the seat's own
        sequences are read.
      joint: distribution over profiles, `[K_0, ..., K_{P-1}]`.
      concept: whether a seat decides before (`"cce"`) or after (`"ce"`) it hears its own strategy.
      responses: whether to return the best responses, and what they do between equally good
        actions, also where nobody lets the seat arrive: all of the lowest action, or `"uniform"`.
      on_policy_values: expected returns under `joint`, where the caller has them already (from the
        payoffs of all profiles); computed otherwise.

    Raises:
      ValueError: `joint` is not a distribution, or its shape is not that of the strategies.
    """
    check_profile_distribution(tree, plans, joint)
    for own in plans:
        check_shape(own, (tree.num_sequences,), "plans")
    joint = np.asarray(joint, np.float64)
    if on_policy_values is None:
        on_policy_values = returns_of_joint(tree, plans, joint)
    deviations = tuple(
        _deviations(tree, plans, joint, player, concept, responses, on_policy_values)
        for player in range(tree.num_players)
    )
    return CorrelatedGains(
        concept=concept,
        best_values=np.array([seat.best_values.sum() for seat in deviations]),
        on_policy_values=np.asarray(on_policy_values, np.float64),
        deviations=deviations,
    )


def check_profile_distribution(
    tree: GameTree, strategies: Sequence[Float[np.ndarray, "..."]], joint: Float[np.ndarray, "..."]
) -> None:
    """Raises `ValueError` unless `joint` is a distribution over profiles of the strategies."""
    sizes = tuple(len(own) for own in strategies)
    if joint.shape != sizes or len(sizes) != tree.num_players:
        raise ValueError(
            f"joint has shape {joint.shape}, expected one axis per player of {tree.name} with "
            f"{sizes} strategies"
        )
    check_distribution(joint.reshape(-1), "joint")


def returns_of_joint(
    tree: GameTree, plans: Sequence[Float[np.ndarray, "_ Q"]], joint: Float[np.ndarray, "..."]
) -> Float64[np.ndarray, "P"]:
    """Expected returns when a profile is drawn from `joint` and played, in game points."""
    drawn = [
        np.flatnonzero(np.moveaxis(joint, player, 0).reshape(len(own), -1).any(axis=1))
        for player, own in enumerate(plans)
    ]
    payoffs = payoffs_of_plans(tree, [own[k] for own, k in zip(plans, drawn, strict=True)])
    return np.tensordot(joint[np.ix_(*drawn)], payoffs, axes=tree.num_players)


def cce_gap(
    tree: GameTree,
    policies: Sequence[Float[np.ndarray, "_ S A"]],
    joint: Float[np.ndarray, "..."],
    *,
    measured: str = "joint",
) -> Certificate:
    """Certifies the CCE gap of a joint distribution over profiles of policies.

    Args:
      tree: the game.
      policies: per seat, its strategies `[K_p, S, A]`; every row must be a distribution over legal
        actions.
      joint: distribution over profiles, `[K_0, ..., K_{P-1}]`.
      measured: what the joint is, for the certificate.

    Returns:
      A certificate whose `per_player` holds the signed gains and whose value is the sum of their
      positive parts, in game points.

    Raises:
      ValueError: a row of a policy or `joint` is not a distribution, or shapes do not fit.
    """
    return _certify(tree, policies, joint, "cce", measured)


def ce_gap(
    tree: GameTree,
    policies: Sequence[Float[np.ndarray, "_ S A"]],
    joint: Float[np.ndarray, "..."],
    *,
    measured: str = "joint",
) -> Certificate:
    """Certifies the CE gap; arguments and errors as for `cce_gap`, and no gain is negative."""
    return _certify(tree, policies, joint, "ce", measured)


def _certify(tree, policies, joint, concept, measured):
    for strategies in policies:
        check_policies(tree, strategies)
    start = time.perf_counter()
    plans = [realization_plan(tree, strategies) for strategies in policies]
    found = correlated_gains(tree, plans, joint, concept=concept)
    return Certificate(
        quantity="cce_gap" if concept == "cce" else "ce_gap",
        value=found.gap,
        per_player=tuple(found.gains.tolist()),
        object=measured,
        method="exact",
        interval=None,
        openspiel_value=None,
        game=tree.name,
        seconds=time.perf_counter() - start,
    )


def _deviations(tree, plans, joint, player, concept, responses, on_policy_values):
    form = sequence_form(tree)
    heard = np.moveaxis(joint, player, 0)
    if concept == "ce":
        probability = heard.reshape(len(heard), -1).sum(axis=1)
        advice = np.flatnonzero(probability)
        probability, heard = probability[advice], heard[advice]
    else:
        advice, probability = np.array([-1]), np.ones(1)
        heard = heard.sum(axis=0, keepdims=True)
    terminals = seat_terminals(form, player)
    others = [seat for seat in range(tree.num_players) if seat != player]
    drawn = _draw(form, [plans[seat] for seat in others], others, heard)
    values = np.zeros((tree.num_sequences, len(heard)))
    tree_kernels.values_against_profiles(terminals.last, terminals.pay, *drawn, values)
    values = np.ascontiguousarray(values.T)
    if concept == "ce":
        mine = form.owner == player
        following = (plans[player][np.ix_(advice, mine)] * values[:, mine]).sum(axis=1)
    else:
        following = on_policy_values[player]
    if responses is None:
        tree_kernels.best_values(values, form.infosets[player], form.parent, form.first)
        best = values[:, player].copy()
        return Deviations(advice, probability, best, best - following, None)
    reach = np.zeros((tree.num_sequences, len(heard)))
    tree_kernels.values_against_profiles(terminals.all_last, terminals.probability, *drawn, reach)
    reach = np.ascontiguousarray(reach.T)
    found = respond_to_values(tree, player, values, reach=reach, ties=responses)
    return Deviations(advice, probability, found.value, found.value - following, found.policy)


def _draw(form, plans, seats, heard):
    """What `tree_kernels.values_against_profiles` reads of a draw `heard` `[B, K, ..., K]`."""
    if len(seats) == 1 and len(heard) == 1:
        plans, heard = [heard @ plans[0]], np.ones((1, 1))
    table = np.zeros((len(form.owner), max(map(len, plans))))
    for seat, own in zip(seats, plans, strict=True):
        mine = form.owner == seat
        table[mine, : len(own)] = own[:, mine].T
    profiles = np.argwhere(heard.any(axis=0))
    weights = np.ascontiguousarray(heard[(slice(None), *profiles.T)].T)
    first_of = np.zeros((len(seats) + 1, table.shape[1] + 1), np.int64)
    rest_of = np.zeros((len(seats) + 1, len(profiles)), np.int64)
    # Combinations of the last seats, from none on; one is a number in mixed radix.
    combinations, size = np.zeros(1, np.int64), 1
    for p in range(len(seats), 0, -1):
        sizes = heard.shape[p:]
        longer = np.unique(np.ravel_multi_index(profiles[:, p - 1 :].T, sizes))
        strategy, rest = np.divmod(longer, size)
        first_of[p] = np.searchsorted(strategy, np.arange(first_of.shape[1]))
        rest_of[p, : len(longer)] = np.searchsorted(combinations, rest)
        combinations, size = longer, size * sizes[0]
    return table, first_of, rest_of, weights
