"""Where OpenSpiel judges a joint distribution: its (C)CE distances beside ours, per player.

`pyspiel.cce_dist` and `ce_dist` build the auxiliary game in which chance draws a profile, so they
are exact but grow with the square of the number of profiles. Where that takes too long, two players
are compared through OpenSpiel's best response to its own aggregate of the co-player, and more
players on the heaviest profiles alone. Best-response and on-policy values are compared, since the
distances themselves are clipped at 0.
"""

import dataclasses
import time
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyspiel
from jaxtyping import Float

from games.game_tree import GameTree
from solvers.correlated_gaps import Concept, check_profile_distribution, correlated_gains
from solvers.open_spiel_check import (
    GAP_TOLERANCE,
    ROUNDING,
    OpenSpielJudge,
    aggregate,
    find_judge,
    open_spiel_table,
)
from solvers.sequence_form import check_policies, realization_plan

JointMethod = Literal["distance", "aggregated_coplayer", "heaviest_profiles"]

# Seconds that `cce_dist` and `ce_dist` take per terminal, times the number of profiles and times
# its square: an upper envelope over Kuhn and Leduc poker, sheriff and trade_comm with up to 100
# profiles (open_spiel 2.0.2, one core).
LINEAR_S, QUADRATIC_S = 17e-6, 1.5e-6
# How it grows with the number of players over two, from Kuhn poker with three and four.
SEATS_POWER = 2.5


@dataclasses.dataclass(frozen=True)
class OpenSpielJointCheck:
    """Our values and OpenSpiel's of deviating from the same joint, per player, in game points.

    Attributes:
      concept: `"cce"` or `"ce"`.
      method: `"distance"` if OpenSpiel measured the whole joint by `cce_dist` or `ce_dist`,
        `"aggregated_coplayer"` if it responded to its own aggregate of the co-player,
        `"heaviest_profiles"` if both measured the renormalised heaviest profiles alone.
      num_profiles: number of profiles with mass.
      checked_profiles: number of those that were measured.
      checked_mass: probability of those that were measured.
      best_values: our values of the best deviations.
      openspiel_best_values: OpenSpiel's.
      on_policy_values: our values of following the draw.
      openspiel_on_policy_values: OpenSpiel's.
      agrees: whether all of them agree to 1e-6.
      seconds: wall-clock time.
    """

    concept: Concept
    method: JointMethod
    num_profiles: int
    checked_profiles: int
    checked_mass: float
    best_values: tuple[float, ...]
    openspiel_best_values: tuple[float, ...]
    on_policy_values: tuple[float, ...]
    openspiel_on_policy_values: tuple[float, ...]
    agrees: bool
    seconds: float


def predicted_seconds(tree: GameTree, num_profiles: int) -> float:
    """What `cce_dist` or `ce_dist` will take on a joint of so many profiles, rather too high."""
    per_terminal = LINEAR_S * num_profiles + QUADRATIC_S * num_profiles**2
    return tree.num_terminals * per_terminal * (tree.num_players / 2) ** SEATS_POWER


def check_joint(
    tree: GameTree,
    policies: Sequence[Float[np.ndarray, "_ S A"]],
    joint: Float[np.ndarray, "..."],
    *,
    concept: Concept = "cce",
    time_limit_s: float = 60.0,
) -> OpenSpielJointCheck:
    """Has OpenSpiel measure what players gain by deviating from a joint distribution.

    OpenSpiel tells advice apart by what it says: under `"ce"` copies of a strategy are merged
    first, for both sides.

    Args:
      tree: the game.
      policies: per seat, its strategies `[K_p, S, A]`.
      joint: distribution over profiles, `[K_0, ..., K_{P-1}]`.
      concept: `"cce"` or `"ce"`.
      time_limit_s: longest predicted time at which the whole joint is measured by OpenSpiel's
        distance.

    Raises:
      ValueError: a row of a policy or `joint` is not a distribution, or shapes do not fit.
      GameError: OpenSpiel has no such game.
    """
    start = time.perf_counter()
    for strategies in policies:
        check_policies(tree, strategies)
    check_profile_distribution(tree, policies, joint)
    judge = find_judge(tree)
    if concept == "ce":
        policies, joint = _merge_copies(tree, policies, joint)
    num_profiles = int(np.count_nonzero(joint))
    method: JointMethod = "distance"
    measured = joint
    if predicted_seconds(tree, num_profiles) > time_limit_s:
        if tree.num_players == 2:
            method = "aggregated_coplayer"
        else:
            method = "heaviest_profiles"
            measured = _heaviest(tree, joint, time_limit_s)
    mass = measured.sum()
    measured = measured / mass
    plans = [realization_plan(tree, strategies) for strategies in policies]
    ours = correlated_gains(tree, plans, measured, concept=concept)
    if method == "aggregated_coplayer":
        best, on_policy = _by_aggregates(tree, judge, policies, measured, concept)
    else:
        best, on_policy = _by_distance(tree, judge, policies, measured, concept)
    tolerance = max(GAP_TOLERANCE, ROUNDING * tree.payoff_range)
    agrees = (
        np.abs(ours.best_values - best).max() <= tolerance
        and np.abs(ours.on_policy_values - on_policy).max() <= tolerance
    )
    return OpenSpielJointCheck(
        concept=concept,
        method=method,
        num_profiles=num_profiles,
        checked_profiles=int(np.count_nonzero(measured)),
        checked_mass=float(mass),
        best_values=tuple(ours.best_values.tolist()),
        openspiel_best_values=tuple(best.tolist()),
        on_policy_values=tuple(ours.on_policy_values.tolist()),
        openspiel_on_policy_values=tuple(on_policy.tolist()),
        agrees=bool(agrees),
        seconds=time.perf_counter() - start,
    )


def _merge_copies(tree, policies, joint):
    """The same joint over the distinct strategies of every seat."""
    distinct = []
    for player, strategies in enumerate(policies):
        own = strategies[:, tree.infoset_player == player].reshape(len(strategies), -1)
        _, first, copy_of = np.unique(own, axis=0, return_index=True, return_inverse=True)
        distinct.append(strategies[first])
        merged = np.zeros((len(first), *np.delete(joint.shape, player)))
        np.add.at(merged, copy_of, np.moveaxis(joint, player, 0))
        joint = np.moveaxis(merged, 0, player)
    return distinct, joint


def _heaviest(tree, joint, time_limit_s):
    """The joint without its lightest profiles: as many as fit the time, at least one."""
    order = np.argsort(-joint, axis=None, kind="stable")
    kept = 1
    while predicted_seconds(tree, kept + 1) <= time_limit_s:
        kept += 1
    measured = np.zeros(joint.size)
    measured[order[:kept]] = joint.reshape(-1)[order[:kept]]
    return measured.reshape(joint.shape)


def _profile_table(tree, judge, policies, profile) -> pyspiel.TabularPolicy:
    seats = np.stack([own[k] for own, k in zip(policies, profile, strict=True)])
    rows = seats[tree.infoset_player, np.arange(tree.num_infosets)]
    return open_spiel_table(tree, judge, rows)


def _by_distance(tree, judge, policies, joint, concept):
    device = [
        (float(joint[tuple(profile)]), _profile_table(tree, judge, policies, profile))
        for profile in np.argwhere(joint)
    ]
    distance = pyspiel.cce_dist if concept == "cce" else pyspiel.ce_dist
    found = distance(judge.game, device)
    return np.array(found.best_response_values), np.array(found.on_policy_values)


def _by_aggregates(tree, judge: OpenSpielJudge, policies, joint, concept):
    """Two players: per piece of advice, OpenSpiel's best response to its aggregate of the other."""
    root = judge.game.new_initial_state()
    on_policy = np.zeros(2)
    for profile in np.argwhere(joint):
        table = _profile_table(tree, judge, policies, profile)
        returns = pyspiel.expected_returns(root, table, -1, True, 0.0)
        on_policy += joint[tuple(profile)] * np.array(returns)
    best = np.zeros(2)
    for player in range(2):
        heard = joint if player == 0 else joint.T
        if concept == "cce":
            heard = heard.sum(axis=0, keepdims=True)
        coplayer = policies[1 - player]
        for shares in heard[heard.any(axis=1)]:
            weights = np.zeros((2, len(coplayer)))
            weights[1 - player] = shares / shares.sum()
            weights[player, np.argmax(shares)] = 1.0
            # The response reads the table without keeping it alive.
            table = open_spiel_table(tree, judge, aggregate(tree, judge, coplayer, weights))
            response = pyspiel.TabularBestResponse(judge.game, player, table)
            best[player] += shares.sum() * response.value_from_state(root)
    return best, on_policy
