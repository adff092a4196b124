"""Exact PSRO on a two-player zero-sum tree: what a population can reach with perfect responses.

Policy-space response oracles (Lanctot et al. 2017, arXiv 1711.00832) with payoffs, best responses
and mixtures all exact. Both seats keep their own strategies; strategy 0 is the uniform policy.
Responses may be entropy-regularised with a temperature that depends on the strategy's index, and
trained against a meta-strategy mixed with the uniform one, because such populations cover more of
the game at the same size than those of deterministic responses.
"""

import dataclasses
import math
import time
from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from games.game_tree import GameTree
from solvers.best_response import best_response
from solvers.gaps import gains_of_plan
from solvers.meta.nash import solve_nash
from solvers.meta.registry import MetaSolver
from solvers.sequence_form import (
    coplayer_reach,
    mix_plans,
    realization_plan,
    sequence_form,
    values_against_plan,
)

# The payoff range of Leduc poker, in whose chips the constants of the reference grid were chosen.
LEDUC_RANGE = 26.0


@dataclasses.dataclass(frozen=True)
class PSROResult:
    """A population and how good it was at every size.

    Attributes:
      policies: strategy k of seat p is the rows of p's information states in slice k, `[K, S, A]`.
      payoffs: seat 0's expected return in every pairing, `[K, K]`, in game points.
      nash: at size k + 1, each seat's Nash mixture of strategies `0 .. k`, `[K, P, K]`.
      targets: the mixture that each seat's strategy k was a response to, `[K, P, K]`, indexed by
        the seat whose strategies are mixed; zero for strategy 0.
      gains: each seat's gain from a best response to the Nash mixture at size k + 1, `[K, P]`, in
        game points.
      seconds: wall-clock time since the start at each size, `[K]`.
    """

    policies: Float64[np.ndarray, "K S A"]
    payoffs: Float64[np.ndarray, "K K"]
    nash: Float64[np.ndarray, "K P K"]
    targets: Float64[np.ndarray, "K P K"]
    gains: Float64[np.ndarray, "K P"]
    seconds: Float64[np.ndarray, "K"]

    @property
    def nash_conv(self) -> Float64[np.ndarray, "K"]:
        """NashConv of the Nash mixture of the first k + 1 strategies, in game points."""
        return self.gains.sum(axis=1)


@dataclasses.dataclass(frozen=True)
class PSROVariant:
    """How responses are found.

    Attributes:
      name: what tables call it.
      temperature_fn: temperature of strategy k >= 1, in game points per nat; 0 asks for a
        deterministic response.
      exploration: share of the uniform mixture of all earlier strategies in what a response is
        trained against.
    """

    name: str
    temperature_fn: Callable[[int], float]
    exploration: float


@dataclasses.dataclass(frozen=True)
class Reference:
    """The best exact population of a given size over the reference grid.

    Attributes:
      nash_conv: the least NashConv, in game points.
      variant: name of the variant that reached it.
      by_variant: NashConv of every variant at this size, in game points.
      seconds: wall-clock time of the whole grid.
    """

    nash_conv: float
    variant: str
    by_variant: dict[str, float]
    seconds: float


def psro(
    tree: GameTree,
    *,
    num_strategies: int,
    temperature_fn: Callable[[int], float] = lambda k: 0.0,
    exploration: float = 0.0,
    meta_solver: MetaSolver = solve_nash,
) -> PSROResult:
    """Grows a population by exact best responses.

    Args:
      tree: a two-player zero-sum (or constant-sum) game.
      num_strategies: size of the population, strategy 0 included.
      temperature_fn: temperature of strategy k >= 1, in game points per nat (objective of
        `solvers.best_response`).
      exploration: share of the uniform mixture of all earlier strategies in what a response is
        trained against, in [0, 1].
      meta_solver: turns payoffs `[k, k, 2]` into the mixture that the next strategy responds to.

    Returns:
      A `PSROResult`; its NashConv is always that of the pure Nash mixture, whatever the responses
      were trained against.

    Raises:
      ValueError: the game is not two-player constant-sum, or an option is out of range.
    """
    if tree.num_players != 2 or tree.utility not in ("zero_sum", "constant_sum"):
        raise ValueError(
            f"exact PSRO is for two-player zero-sum games; {tree.name} is a "
            f"{tree.num_players}-player {tree.utility} game"
        )
    if num_strategies < 1 or not 0 <= exploration <= 1:
        raise ValueError(
            f"num_strategies={num_strategies}, exploration={exploration}: expected at least one "
            "strategy and a share between 0 and 1"
        )
    start = time.perf_counter()
    N, P = num_strategies, tree.num_players
    policies = np.zeros((N, tree.num_infosets, tree.num_actions))
    plans = np.zeros((N, tree.num_sequences))
    payoffs = np.zeros((N, N, P))
    nash, targets = np.zeros((N, P, N)), np.zeros((N, P, N))
    gains, seconds = np.zeros((N, P)), np.zeros(N)
    policies[0] = tree.uniform_policy()
    for k in range(N):
        if k:
            meta = nash[k - 1, :, :k]
            if meta_solver is not solve_nash:
                meta = np.stack(meta_solver(payoffs[:k, :k]).marginals())
            targets[k, :, :k] = (1 - exploration) * meta + exploration / k
            policies[k] = _responses(tree, mix_plans(tree, plans, targets[k]), temperature_fn(k))
        plans[k] = realization_plan(tree, policies[k])
        _extend_payoffs(tree, payoffs, plans, k)
        nash[k, :, : k + 1] = solve_nash(payoffs[: k + 1, : k + 1]).marginals()
        gains[k] = gains_of_plan(tree, mix_plans(tree, plans, nash[k]))
        seconds[k] = time.perf_counter() - start
    return PSROResult(policies, payoffs[..., 0], nash, targets, gains, seconds)


def reference_grid(payoff_range: float) -> tuple[PSROVariant, ...]:
    """The variants that a trained population of the same size is compared with.

    Deterministic responses with a hundredth of uniform mixing, and two temperature schedules with
    half-uniform rows; temperatures are 4/k and 2/sqrt(k) chips in Leduc poker and scale with the
    payoff range elsewhere.
    """
    unit = payoff_range / LEDUC_RANGE
    return (
        PSROVariant("deterministic, 0.01 uniform", lambda k: 0.0, 0.01),
        PSROVariant("temperature 4/k, half uniform", lambda k: 4 * unit / k, 0.5),
        PSROVariant("temperature 2/sqrt(k), half uniform", lambda k: 2 * unit / math.sqrt(k), 0.5),
    )


def best_reference(tree: GameTree, *, num_strategies: int) -> Reference:
    """Runs the reference grid and returns the least NashConv at `num_strategies` strategies.

    Raises:
      ValueError: the game is not two-player constant-sum.
    """
    start = time.perf_counter()
    by_variant = {}
    for variant in reference_grid(tree.payoff_range):
        result = psro(
            tree,
            num_strategies=num_strategies,
            temperature_fn=variant.temperature_fn,
            exploration=variant.exploration,
        )
        by_variant[variant.name] = float(result.nash_conv[-1])
    best = min(by_variant, key=by_variant.__getitem__)
    return Reference(by_variant[best], best, by_variant, time.perf_counter() - start)


def _responses(tree, target, temperature):
    """Both seats' best responses to the other seat's part of the plan `target`, as one table."""
    reach = coplayer_reach(tree, target)
    return sum(
        best_response(tree, player, reach[player], temperature=temperature).policy
        for player in range(tree.num_players)
    )


def _extend_payoffs(tree, payoffs, plans, k):
    """Fills row and column k of both seats' payoffs from the plans `0 .. k`."""
    values = values_against_plan(tree, plans[k])
    returns_sum = tree.terminal_returns[0].sum()
    for player, line in ((0, (slice(k + 1), k)), (1, (k, slice(k + 1)))):
        own = sequence_form(tree).owner == player
        against_k = plans[: k + 1, own] @ values[own]
        payoffs[(*line, player)] = against_k
        payoffs[(*line, 1 - player)] = returns_sum - against_k
