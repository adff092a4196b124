"""Certifies a NeuPL-JPSRO population from its files: the network is asked on live OpenSpiel states,
and what it plays there is measured by us and by OpenSpiel.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from games.game_tree import GameTree
from games.types import GameError
from neupl.errors import CheckFailed
from neupl.evaluation import normalise
from neupl.jpsro.played_population import PlayedJointPopulation
from neupl.jpsro.population import JointPopulation, own_tables
from neupl.payoff_calibration import Calibration
from neupl.tabular_verification import OPEN_SPIEL_LIMIT_S, TabularVerification, verify_tabular
from neupl.verification import certificate_elsewhere, certificate_of, live_tables, with_tuples
from solvers.open_spiel_joint import OpenSpielJointCheck

# Longest time that OpenSpiel is predicted to take. Predictions are for pure strategies; a network
# plays every action with some probability, nothing is cut, and it takes several times as long.
LIMIT_S = OPEN_SPIEL_LIMIT_S / 5
# How far the network's probabilities may be from the tables that were exported with it.
TABLE_TOLERANCE = 1e-5


@dataclasses.dataclass(frozen=True)
class JointVerification(TabularVerification):
    """A certificate of a joint, and what its population is.

    Attributes:
      method: how it was trained, in words.
      sizes: strategies of each seat.
      values: what each seat earns under the joint, in game points; exact where the gap is.
      payoffs: estimated payoffs, `running` in training and `measured` after it, beside the exact
        ones; empty where they were exact, or nobody knows better.
    """

    method: str
    sizes: tuple[int, ...]
    values: tuple[float, ...]
    payoffs: Mapping[str, Calibration] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The certificate, the comparison behind it, and the values."""
        own = {name: getattr(self, name) for name in ("method", "sizes", "values")}
        content = super().to_json() | own
        if self.payoffs:
            content["payoffs"] = {name: found._asdict() for name, found in self.payoffs.items()}
        return content


def verify_joint(
    population: JointPopulation,
    tree: GameTree,
    *,
    name: str,
    open_spiel_limit_s: float = LIMIT_S,
    on_open_spiel: Callable[[float], None] | None = None,
) -> JointVerification:
    """Measures the gap of what the network plays; see `verify_tabular` for the arguments.

    Raises:
      UserError: the tables are not policies of `tree`.
      CheckFailed: the network does not play the exported tables, or OpenSpiel and we disagree.
    """
    population.check_tree(tree)
    played = own_tables(tree, _played(population, tree), np.array(population.sizes))
    apart = max(
        float(np.abs(now - then).max())
        for now, then in zip(played, population.policies, strict=True)
    )
    if apart > TABLE_TOLERANCE:
        raise CheckFailed(
            f"the network plays other probabilities than the tables beside it, by {apart:.3g}",
            report={"largest_table_difference": apart},
        )
    asked = dataclasses.replace(population, policies=played)
    found = verify_tabular(
        asked,
        tree,
        name=name,
        open_spiel_limit_s=open_spiel_limit_s,
        on_open_spiel=on_open_spiel,
    )
    profiles, weights = population.profiles, population.weights
    values = weights @ population.payoffs[tuple(profiles.T)]
    return JointVerification(
        certificate=found.certificate,
        check=found.check,
        checked=found.checked,
        method=population.method,
        sizes=population.sizes,
        values=tuple(values.tolist()),
    )


def verify_played_joint(
    population: PlayedJointPopulation,
    tree: GameTree,
    *,
    name: str,
    on_open_spiel: Callable[[float], None] | None = None,
) -> JointVerification:
    """Measures a population that was only played, on its game's tree, and its estimated payoffs;
    see `verify_joint`.
    """
    joint = population.compiled(tree)
    found = verify_joint(joint, tree, name=name, on_open_spiel=on_open_spiel)
    return dataclasses.replace(found, payoffs=population.against_exact(joint.payoffs))


def certify_joint_elsewhere(
    path: Path, population: PlayedJointPopulation, *, budget_s: float
) -> JointVerification:
    """Has another process certify the run at `path` that made a population; see
    `neupl.verification.certificate_elsewhere`.
    """
    content = certificate_elsewhere(path, budget_s=budget_s)
    check = content.get("openspiel")
    return JointVerification(
        certificate=certificate_of(content),
        check=None if check is None else OpenSpielJointCheck(**with_tuples(check)),
        checked=content.get("checked", "no tree: responses that were trained bound the gap"),
        method=population.method,
        sizes=population.sizes,
        values=tuple(content.get("values", population.values.tolist())),
        payoffs={name: Calibration(**c) for name, c in content.get("payoffs", {}).items()},
    )


def _played(population: JointPopulation, tree: GameTree) -> np.ndarray:
    """`[K, S, A]` the network's own answers, on live states where OpenSpiel knows the game."""
    size = population.num_strategies

    def ask(player: int, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        own = population.probabilities(player, observation, mask)
        # Seats with fewer strategies repeat their last one.
        return own[np.minimum(np.arange(size), len(own) - 1)]

    try:
        return live_tables(tree, ask, size)
    except GameError:
        tables = np.zeros((size, tree.num_infosets, tree.num_actions))
        for player in range(tree.num_players):
            own = tree.infoset_player == player
            tables[:, own] = ask(player, tree.observation[own], tree.legal_mask[own])
        return normalise(tables)
