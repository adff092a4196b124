"""What a population is worth: payoffs of all profiles, the meta-strategy, and what it can lose."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float64

from games.game_tree import GameTree
from neupl.action_distribution import CATEGORICAL
from neupl.item_play import PlayItems
from neupl.payoff_calibration import Calibration
from neupl.types import Objective, Rows
from solvers.gaps import gains_of_plan
from solvers.meta.registry import MetaSolver
from solvers.sequence_form import mix_plans, realization_plan
from solvers.values import payoffs_of_plans

# `(what one strategy plays [S, D], what another plays) -> [S]`.
Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Evaluation(NamedTuple):
    """An evaluation of a population, exact or from episodes.

    Attributes:
      payoffs: `[K, ..., K, P]`, in game points.
      meta_strategy: `[P, K]` each seat's mixture over its admitted strategies.
      gains: `[P]` each seat's gain from a best response to the realised mixture, in game points;
        infinite where it is not known.
      member_distance: mean distance between two admitted strategies at an information state, 0 to
        1: total variation of action ids, Hellinger's of each number of a continuous action.
      left: what the responding strategies may still gain against their rows, as the gate measures
        it: in temperatures (nats) on a game tree, else in payoff ranges.
      ready: whether that is little enough for the next strategy to be admitted.
      gains_error: standard error of the sum of the gains, 0 where they are exact.
      payoff_errors: standard errors of the payoffs, 0 where they are exact.
      calibration: how well the episodes of this evaluation were foretold by the payoffs as they
        were estimated before; `None` where nothing is estimated.
      solve_s: wall-clock seconds that the meta-solver took.
    """

    payoffs: Float64[np.ndarray, "..."]
    meta_strategy: Float64[np.ndarray, "P K"]
    gains: Float64[np.ndarray, "P"]
    member_distance: float
    left: float = np.inf
    ready: bool = False
    gains_error: float = 0.0
    payoff_errors: Float64[np.ndarray, "..."] | float = 0.0
    calibration: Calibration | None = None
    solve_s: float = 0.0

    @property
    def nash_conv(self) -> float:
        """Sum of the gains, in game points."""
        return float(self.gains.sum())


class Measurement(NamedTuple):
    """What is found of a finished population.

    Attributes:
      payoffs: `[K, ..., K, P]`, in game points.
      errors: their standard errors.
      meta_strategy: `[P, K]` each seat's mixture over its admitted strategies.
      episodes: how many it is from.
    """

    payoffs: Float64[np.ndarray, "..."]
    errors: Float64[np.ndarray, "..."]
    meta_strategy: Float64[np.ndarray, "P K"]
    episodes: int


@runtime_checkable
class Evaluator(Protocol):
    """Evaluates a population while it trains.

    Attributes:
      exact: whether the figures are those of the game tree. Else gains are estimates that are known
        only when a response to the population has been trained.
      unit: of `Evaluation.left`, for people.
    """

    exact: bool
    unit: str

    def played_by(self, play_items: PlayItems) -> "Evaluator":
        """The same evaluator with its episodes played by others; itself where it plays none."""
        ...

    def begin(self) -> Any:
        """What it carries from one evaluation to the next: arrays."""
        ...

    def observe(self, carried: Any, experience: Any) -> Any:
        """Takes in a batch of training."""
        ...

    def restart(self, carried: Any, strategy: int) -> Any:
        """Forgets a strategy that was given a new row."""
        ...

    def evaluate(
        self,
        params: Any,
        objective: Objective,
        carried: Any,
        *,
        num_admitted: int,
        newest: int,
        key: Any,
    ) -> tuple[Evaluation, Any]:
        """Evaluates the admitted strategies; consumes `key`.

        Args:
          params: of the network.
          objective: what they are trained for.
          carried: as the last call returned it, and `observe` and `restart` since.
          num_admitted: strategies in the population.
          newest: the one that got its row last; 0 where none did.
          key: a JAX random key.

        Raises:
          SolverError: the meta-game could not be solved.
          FloatingPointError: a probability is not finite.
        """
        ...

    def measure(
        self, params: Any, rows: Rows, *, num_admitted: int, key: Any
    ) -> Measurement | None:
        """Measures a population that has been trained as precisely as it can be; `None` where an
        evaluation gives that already. Consumes `key`.
        """
        ...


def evaluate_population(
    tree: GameTree, policies: Float[np.ndarray, "K S A"], num_admitted: int, *, solver: MetaSolver
) -> Evaluation:
    """Evaluates the first `num_admitted` strategies of every seat; the others get no weight.

    Raises:
      SolverError: the meta-game could not be solved.
      FloatingPointError: a probability is not finite.
    """
    if not np.isfinite(policies).all():
        raise FloatingPointError("the network plays NaN")
    num_strategies = len(policies)
    plans = realization_plan(tree, normalise(policies))
    payoffs = payoffs_of_plans(tree, [plans] * tree.num_players)
    if tree.zero_sum:
        # To the bit: where all payoffs are rounding errors, no tolerance could tell.
        payoffs[..., 1] = -payoffs[..., 0]
    admitted = payoffs[(slice(num_admitted),) * tree.num_players]
    meta_strategy = np.zeros((tree.num_players, num_strategies))
    start = time.perf_counter()
    marginals = solver(admitted).marginals()
    solve_s = time.perf_counter() - start
    for player, marginal in enumerate(marginals):
        meta_strategy[player, :num_admitted] = marginal / marginal.sum()
    return Evaluation(
        payoffs=payoffs,
        meta_strategy=meta_strategy,
        gains=gains_of_plan(tree, mix_plans(tree, plans, meta_strategy)),
        member_distance=member_distance(policies[:num_admitted]),
        solve_s=solve_s,
    )


def normalise(policies: Float[np.ndarray, "*batch A"]) -> Float64[np.ndarray, "*batch A"]:
    """Float64 probabilities that sum to 1 to rounding; every certificate is about these."""
    wide = np.asarray(policies, np.float64)
    return wide / wide.sum(axis=-1, keepdims=True)


def member_distance(
    policies: Float[np.ndarray, "K S D"], distance: Distance = CATEGORICAL.distance
) -> float:
    """Mean distance between two strategies at an information state: total variation, or what
    `distance` says of what they play.
    """
    num_members = len(policies)
    if num_members < 2:
        return 0.0
    total = sum(
        float(distance(policies[i], policies[j]).mean())
        for i in range(num_members)
        for j in range(i)
    )
    return float(total / (num_members * (num_members - 1) / 2))
