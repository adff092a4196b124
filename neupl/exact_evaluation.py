"""Evaluates a population on its game tree while it trains."""

from typing import Any

import numpy as np

from neupl.config import Config
from neupl.evaluation import Evaluation, evaluate_population
from neupl.item_play import PlayItems
from neupl.tree_population import COLDEST, TreePopulation
from neupl.types import Objective, Rows
from solvers.meta.registry import MetaSolver


class ExactEvaluator:
    """See `neupl.evaluation.Evaluator`; carries nothing."""

    exact = True
    unit = "temperatures"

    def __init__(self, tables: TreePopulation, config: Config, solver: MetaSolver) -> None:
        self._tables, self._solver = tables, solver
        self._gate = config.training.gate

    def played_by(self, play_items: PlayItems) -> "ExactEvaluator":
        """See `Evaluator`; nothing is played."""
        return self

    def begin(self) -> tuple[()]:
        """See `Evaluator`."""
        return ()

    def observe(self, carried: tuple[()], experience: Any) -> tuple[()]:
        """See `Evaluator`."""
        return carried

    def restart(self, carried: tuple[()], strategy: int) -> tuple[()]:
        """See `Evaluator`."""
        return carried

    def evaluate(
        self,
        params: Any,
        objective: Objective,
        carried: tuple[()],
        *,
        num_admitted: int,
        newest: int,
        key: Any,
    ) -> tuple[Evaluation, tuple[()]]:
        """See `Evaluator`; exact, so that `newest` and `key` are not read."""
        tables = self._tables
        policies = np.asarray(tables.policies(params, objective.rows))
        found = evaluate_population(tables.tree, policies, num_admitted, solver=self._solver)
        coldest = COLDEST * tables.tree.payoff_range
        gain = np.asarray(tables.row_gain(params, objective))
        nats = gain / np.maximum(objective.temperature, coldest)
        left = float((nats * np.asarray(objective.respond)).max())
        return found._replace(left=left, ready=left <= self._gate), carried

    def measure(self, params: Any, rows: Rows, *, num_admitted: int, key: Any) -> None:
        """See `Evaluator`."""
