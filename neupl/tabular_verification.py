"""Certifies a population of tables from its files alone, by us and by OpenSpiel.

Independent mixtures are measured by NashConv, joint draws by their CCE or CE gap. What OpenSpiel
can check within the time it is given depends on the game and on the number of strategies, so every
result says in words what was checked.
"""

import dataclasses
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float64

from games.game_tree import GameTree
from games.types import GameError
from neupl.errors import CheckFailed, UserError
from neupl.profile_distribution import MAX_DENSE, QUANTITY
from neupl.tabular_population import TabularPopulation
from solvers.best_response import respond_to_values
from solvers.correlated_gaps import cce_gap, ce_gap
from solvers.gaps import gains
from solvers.open_spiel_check import OpenSpielCheck, check_mixture, find_judge
from solvers.open_spiel_joint import (
    LINEAR_S,
    OpenSpielJointCheck,
    check_joint,
    predicted_seconds,
)
from solvers.sequence_form import mix, realization_plan, sequence_form, values_against_plan
from solvers.types import Certificate
from solvers.values import returns_of_plan

# Seconds that OpenSpiel's aggregator, NashConv and best responses take together per node of the
# tree, and what every strategy adds: an upper envelope over Kuhn and Leduc poker and liar's dice
# with up to 30 strategies (open_spiel 2.0.2, one core).
NODE_S, STRATEGY_NODE_S = 35e-6, 2e-6

# Longest time that OpenSpiel is predicted to take on what it is given.
OPEN_SPIEL_LIMIT_S = 60.0

# Entries of the joint of the heaviest profiles when only those are checked.
_MAX_CHECKED = 2**22
# Whoever waits longer is told.
_PATIENCE_S = 3.0
# Profiles whose values are computed at a time.
_BATCH = 64


@dataclasses.dataclass(frozen=True)
class TabularVerification:
    """A certificate, what OpenSpiel said, and in words how far that goes.

    Attributes:
      certificate: of the whole joint, exact; `openspiel_value` only where OpenSpiel measured the
        whole joint too.
      check: OpenSpiel's numbers beside ours; `None` where it was not asked.
      checked: what OpenSpiel checked, or why it did not.
    """

    certificate: Certificate
    check: OpenSpielCheck | OpenSpielJointCheck | None
    checked: str

    def to_json(self) -> dict[str, Any]:
        """The certificate, and the comparison behind it."""
        return {
            "certificate": dataclasses.asdict(self.certificate),
            "openspiel": None if self.check is None else dataclasses.asdict(self.check),
            "checked": self.checked,
        }


def verify_tabular(
    population: TabularPopulation,
    tree: GameTree,
    *,
    name: str,
    open_spiel_limit_s: float = OPEN_SPIEL_LIMIT_S,
    on_open_spiel: Callable[[float], None] | None = None,
) -> TabularVerification:
    """Measures a population's joint, and has OpenSpiel measure as much of it as the time allows.

    Args:
      population: as loaded from disk.
      tree: its game.
      name: what to call it in the certificate.
      open_spiel_limit_s: longest predicted time for OpenSpiel; 0 does not ask it.
      on_open_spiel: called with the predicted seconds before OpenSpiel is asked.

    Raises:
      UserError: the tables are not policies of `tree`.
      CheckFailed: OpenSpiel and we disagree by more than 1e-6.
    """
    start = time.perf_counter()
    population.check_tree(tree)
    per_player = gains_of(population, tree)
    try:
        find_judge(tree)
        judged = open_spiel_limit_s > 0
        unasked = "OpenSpiel was not asked: our solver alone"
    except GameError:
        judged, unasked = False, "OpenSpiel does not know this game: our solver alone"
    check, checked = None, unasked
    if judged:
        by_open_spiel = _check_joint if population.correlated else _check_product
        check, checked = by_open_spiel(population, tree, open_spiel_limit_s, on_open_spiel)
    noun = {"nash": "mixture", "cce": "joint", "ce": "joint"}[population.concept]
    certificate = Certificate(
        quantity=QUANTITY[population.concept],
        value=float(np.maximum(per_player, 0.0).sum()),
        per_player=tuple(per_player.tolist()),
        object=f"{population.method} {noun} of {name}",
        method="exact",
        interval=None,
        openspiel_value=_open_spiel_value(check),
        game=tree.name,
        seconds=time.perf_counter() - start,
    )
    verification = TabularVerification(certificate, check, checked)
    if check is not None and not check.agrees:
        raise CheckFailed(f"OpenSpiel disagrees: {check}", report=verification.to_json())
    return verification


def gains_of(population: TabularPopulation, tree: GameTree) -> Float64[np.ndarray, "P"]:
    """Each seat's gain from deviating as the population's concept allows, in game points; exact.

    Raises:
      UserError: a joint of CE advice is too large to be measured.
    """
    if not population.correlated:
        return gains(tree, mix(tree, population.tabulate(), population.meta_strategy))
    if np.prod(population.sizes, dtype=float) <= MAX_DENSE:
        gap = cce_gap if population.concept == "cce" else ce_gap
        return np.array(gap(tree, population.policies, population.joint).per_player)
    if population.concept == "ce":
        raise UserError(f"a joint over {population.sizes} strategies is too large for a CE gap")
    return _cce_gains_of_profiles(population, tree)


def _cce_gains_of_profiles(
    population: TabularPopulation, tree: GameTree
) -> Float64[np.ndarray, "P"]:
    """Profile by profile: what a deviator earns is linear in its plan, so values just add up."""
    plans = [realization_plan(tree, own) for own in population.policies]
    owner = sequence_form(tree).owner
    values, returns = np.zeros(tree.num_sequences), np.zeros(tree.num_players)
    for first in range(0, len(population.weights), _BATCH):
        part = slice(first, first + _BATCH)
        profiles, weights = population.profiles[part], population.weights[part]
        plan = np.empty((len(profiles), tree.num_sequences))
        for seat, own in enumerate(plans):
            plan[:, owner == seat] = own[profiles[:, seat]][:, owner == seat]
        values += weights @ values_against_plan(tree, plan)
        returns += weights @ returns_of_plan(tree, plan)
    best = [
        respond_to_values(tree, seat, values.copy(), reach=np.zeros_like(values)).value
        for seat in range(tree.num_players)
    ]
    return np.array(best) - returns


def announce(seconds: float) -> None:
    """Tells a person at a terminal that OpenSpiel will take a while."""
    if seconds > _PATIENCE_S:
        print(f"OpenSpiel checks: {seconds:.0f} s at most", file=sys.stderr, flush=True)


def _check_product(
    population: TabularPopulation,
    tree: GameTree,
    limit_s: float,
    on_open_spiel: Callable[[float], None] | None,
) -> tuple[OpenSpielCheck | None, str]:
    tables, mixture = population.tabulate(), population.meta_strategy
    said = "OpenSpiel rebuilt the mixture and measured its NashConv"
    predicted_s = tree.num_nodes * (NODE_S + STRATEGY_NODE_S * np.count_nonzero(mixture))
    if predicted_s > limit_s:
        said = "OpenSpiel measured the NashConv of the mixture that we realised"
        tables = mix(tree, tables, mixture)[None]
        mixture = np.ones((tree.num_players, 1))
        predicted_s = tree.num_nodes * NODE_S
    if predicted_s > limit_s:
        return None, f"OpenSpiel would take longer than {limit_s:g} s: our solver alone"
    if on_open_spiel is not None:
        on_open_spiel(predicted_s)
    return check_mixture(tree, tables, mixture), said


def _check_joint(
    population: TabularPopulation,
    tree: GameTree,
    limit_s: float,
    on_open_spiel: Callable[[float], None] | None,
) -> tuple[OpenSpielJointCheck | None, str]:
    order = np.argsort(-population.weights, kind="stable")
    kept = _most(len(order), lambda n: _seconds(population, tree, order[:n]) <= limit_s)
    if kept == 0:
        return None, f"OpenSpiel would take longer than {limit_s:g} s: our solver alone"
    if on_open_spiel is not None:
        on_open_spiel(_seconds(population, tree, order[:kept]))
    policies, joint, mass = _part(population, order[:kept])
    check = check_joint(tree, policies, joint, concept=population.concept, time_limit_s=limit_s)
    if kept < len(order):
        # What both measured is a part of the joint that the certificate is about.
        check = dataclasses.replace(
            check, method="heaviest_profiles", num_profiles=len(order), checked_mass=mass
        )
    concept = population.concept.upper()
    return check, {
        "distance": f"OpenSpiel measured the {concept} distance of the whole joint",
        "aggregated_coplayer": "OpenSpiel responded to its own aggregate of the co-player, "
        "for the whole joint",
        "heaviest_profiles": f"OpenSpiel measured the {check.checked_profiles:,} heaviest of "
        f"{check.num_profiles:,} profiles ({check.checked_mass:.1%} of the probability), "
        "renormalised, beside our values of the same",
    }[check.method]


def _most(size: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `size` that fits, where all smaller ones do."""
    low, high = 0, size + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _seconds(population: TabularPopulation, tree: GameTree, chosen: np.ndarray) -> float:
    """What `check_joint` will take on these profiles; infinite where they would not fit memory."""
    sizes = [len(np.unique(population.profiles[chosen, seat])) for seat in range(tree.num_players)]
    if np.prod(sizes, dtype=float) > _MAX_CHECKED:
        return math.inf
    by_distance = predicted_seconds(tree, len(chosen))
    if tree.num_players > 2:
        return by_distance
    advices = sum(sizes) if population.concept == "ce" else 2
    aggregates = advices * tree.num_nodes * (NODE_S + STRATEGY_NODE_S * max(sizes))
    return min(by_distance, LINEAR_S * tree.num_terminals * len(chosen) + aggregates)


def _part(population: TabularPopulation, chosen: np.ndarray) -> tuple[list, np.ndarray, float]:
    """The chosen profiles as a dense joint over the strategies that occur in them, and its mass."""
    profiles, weights = population.profiles[chosen], population.weights[chosen]
    policies, places = [], []
    for seat, own in enumerate(population.policies):
        occurring, place = np.unique(profiles[:, seat], return_inverse=True)
        policies.append(own[occurring])
        places.append(place)
    joint = np.zeros([len(own) for own in policies])
    mass = float(weights.sum())
    np.add.at(joint, tuple(places), weights / mass)
    return policies, joint, mass


def _open_spiel_value(check: OpenSpielCheck | OpenSpielJointCheck | None) -> float | None:
    """OpenSpiel's gap of the whole object; `None` where it measured a part of it or nothing."""
    if isinstance(check, OpenSpielCheck):
        return check.openspiel_nash_conv
    if check is None or check.method == "heaviest_profiles":
        return None
    best = np.array(check.openspiel_best_values)
    return float(np.maximum(best - check.openspiel_on_policy_values, 0.0).sum())
