"""Certifies a population from its files alone, by OpenSpiel and by us.

The network is reloaded and queried on tensors of live OpenSpiel states; OpenSpiel rebuilds the
mixture with its own aggregator and measures it with its own best responses; our arrays do the same;
the two must agree.
"""

import dataclasses
import time
from typing import Any

import numpy as np

from games.game_tree import GameTree
from games.types import GameError
from neupl.errors import CheckFailed
from neupl.population import Population
from solvers.gaps import gains
from solvers.open_spiel_check import (
    OpenSpielCheck,
    check_mixture,
    find_judge,
    policy_from_table,
    query_policy_on_live_states,
)
from solvers.sequence_form import mix
from solvers.types import Certificate


@dataclasses.dataclass(frozen=True)
class Verification:
    """A certificate and what OpenSpiel said.

    Attributes:
      certificate: NashConv of the population's mixture, exact.
      check: OpenSpiel's numbers beside ours; `None` where OpenSpiel does not know the game.
      policies: `[K, S, A]` the tables that were measured.
    """

    certificate: Certificate
    check: OpenSpielCheck | None
    policies: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """The certificate, and the comparison behind it."""
        content: dict[str, Any] = {"certificate": dataclasses.asdict(self.certificate)}
        if self.check is not None:
            content["openspiel"] = dataclasses.asdict(self.check)
        return content


def verify_population(population: Population, tree: GameTree, *, name: str) -> Verification:
    """Measures the NashConv of a population's mixture.

    Args:
      population: as loaded from disk.
      tree: its game.
      name: what to call it in the certificate.

    Raises:
      CheckFailed: OpenSpiel and we disagree by more than 1e-6.
    """
    start = time.perf_counter()
    try:
        find_judge(tree)
    except GameError:
        policies, check = population.tabulate(), None
        per_player = tuple(gains(tree, mix(tree, policies, population.meta_strategy)).tolist())
        theirs = None
    else:
        policies = _ask_live_states(population, tree)
        check = check_mixture(tree, policies, population.meta_strategy)
        per_player, theirs = check.per_player, check.openspiel_nash_conv
    certificate = Certificate(
        quantity="nash_conv",
        value=float(sum(per_player)),
        per_player=per_player,
        object=f"meta-strategy mixture of {name}",
        method="exact",
        interval=None,
        openspiel_value=theirs,
        game=tree.name,
        seconds=time.perf_counter() - start,
    )
    verification = Verification(certificate, check, policies)
    if check is not None and not check.agrees:
        raise CheckFailed(
            f"OpenSpiel finds NashConv {check.openspiel_nash_conv!r} (per player "
            f"{check.openspiel_per_player}), we find {check.nash_conv!r} ({check.per_player}); "
            f"largest difference of the mixtures {check.largest_policy_difference:.3g}",
            report=verification.to_json(),
        )
    return verification


def _ask_live_states(population: Population, tree: GameTree) -> np.ndarray:
    """The tables of all strategies; the network answers once per batch of states for all of
    them.
    """
    answers: dict[tuple[int, bytes], np.ndarray] = {}

    def ask(k: int):
        def policy_fn(player: int, tensors: np.ndarray, mask: np.ndarray) -> np.ndarray:
            key = (player, tensors.tobytes())
            if key not in answers:
                answers[key] = population.probabilities(player, tensors, mask)
            return answers[key][k]

        return policy_fn

    tables = [
        policy_from_table(tree, query_policy_on_live_states(tree, ask(k)))
        for k in range(population.num_strategies)
    ]
    return np.stack(tables)
