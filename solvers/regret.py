"""Counterfactual regret minimisation: CFR, CFR+, linear, discounted and predictive CFR+.

In every iteration each seat in turn plays its current policy against the others' current policies,
adds to the regret of every own action the gain it would have had there, weighted by the reach of
chance and co-players, and then plays in proportion to positive regrets (regret matching). What
approaches an equilibrium of a two-player zero-sum game is the average of the realisation plans, not
the current policy. With more players, or with general sums, the average policy carries no
guarantee: its gains are measured and reported all the same, and `solvers.regret_cce` is the method
with one. `solvers.regret_state` lists the variants.

The order of updates and the average are those of OpenSpiel's solvers: a seat's plan of iteration t
is the one it had before its own update, so the first iteration averages the uniform policy. After
the same number of iterations the averages are the same to rounding, until a regret that is zero in
exact arithmetic comes out on different sides of zero: in goofspiel with five cards one iteration
leaves exact zeros here, hence uniform rows, where OpenSpiel has 2^-58 and plays a pure action.
Actions of zero regret tie in value, but later iterations differ.
"""

import dataclasses
import time
from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from games.game_tree import GameTree
from solvers import regret_kernels
from solvers.gaps import gains
from solvers.regret_form import slot_form
from solvers.regret_state import (
    RegretPoint,
    RegretState,
    Rule,
    check_run,
    from_slots,
    initial_state,
    rule_of,
    stops,
    to_slots,
)
from solvers.sequence_form import policy_from_plan


@dataclasses.dataclass(frozen=True)
class RegretResult:
    """What `solve_cfr` returns.

    Attributes:
      policy: the average policy of all seats, `[S, A]`.
      gains: each seat's gain from a best response to it, in game points.
      iterations: iterations made, those before a resumed state included.
      curve: NashConv of the average policy along the way; the last point is the result's.
      state: for `solve_cfr(..., state=...)`.
    """

    policy: Float64[np.ndarray, "S A"]
    gains: Float64[np.ndarray, "P"]
    iterations: int
    curve: tuple[RegretPoint, ...]
    state: RegretState

    @property
    def nash_conv(self) -> float:
        """Sum of the gains, in game points."""
        return float(self.gains.sum())


def solve_cfr(
    tree: GameTree,
    *,
    variant: str | Rule = "cfr+",
    iterations: int = 1000,
    tolerance: float | None = None,
    check_every: int | None = None,
    on_check: Callable[[RegretPoint], None] | None = None,
    state: RegretState | None = None,
) -> RegretResult:
    """Minimises every seat's regret with alternating updates and measures the average policy.

    Args:
      tree: the game, of any number of players.
      variant: a name in `RULES` or a rule of one's own.
      iterations: iteration to stop after, counted from the first one of all.
      tolerance: stop at the first measurement with NashConv at most this, in game points.
      check_every: iterations between measurements; by default at the powers of two. The last
        iteration is always measured.
      on_check: called after every measurement.
      state: where an earlier run stopped; it is not changed.

    Raises:
      ValueError: the variant is unknown, a number is out of range, or `state` belongs to another
        game or rule or is past `iterations`.
    """
    rule = rule_of(variant)
    if state is None:
        state = initial_state(tree, rule)
    check_run(tree, rule, state, iterations, tolerance, check_every)
    slots = slot_form(tree)
    regret, last_regret, plan_sum = to_slots(tree, state)
    policy, plan = np.empty(tree.num_sequences), np.empty(tree.num_sequences)
    regret_kernels.start_policy(slots.form, regret, last_regret, policy, plan)

    def iterate(done: int, num: int) -> None:
        arrays = regret, last_regret, plan_sum, policy, plan
        regret_kernels.run_alternating(slots.form, rule.numbers(), *arrays, done, num)

    # Where the loops are not compiled yet, this does it, outside the seconds that are reported.
    iterate(0, 0)
    done, seconds, curve = state.iteration, 0.0, []
    for stop in stops(done, iterations, check_every):
        start = time.perf_counter()
        iterate(done, stop - done)
        seconds, done = seconds + time.perf_counter() - start, stop
        average = policy_from_plan(tree, plan_sum[slots.slot_of_sequence])
        gain = gains(tree, average)
        curve.append(RegretPoint(done, float(gain.sum()), seconds))
        if on_check is not None:
            on_check(curve[-1])
        if tolerance is not None and curve[-1].gap <= tolerance:
            break
    return RegretResult(
        policy=average,
        gains=gain,
        iterations=done,
        curve=tuple(curve),
        state=from_slots(tree, rule, done, (regret, last_regret, plan_sum)),
    )


def current_policy(tree: GameTree, state: RegretState) -> Float64[np.ndarray, "S A"]:
    """The policy that the next iteration plays, `[S, A]`; uniform where no regret is positive."""
    slots = slot_form(tree)
    regret, last_regret, _ = to_slots(tree, state)
    policy, plan = np.empty(tree.num_sequences), np.empty(tree.num_sequences)
    regret_kernels.start_policy(slots.form, regret, last_regret, policy, plan)
    table = np.zeros((tree.num_infosets, tree.num_actions))
    own = slice(tree.num_players, None)
    table[tree.sequence_infoset[own], tree.sequence_action[own]] = policy[
        slots.slot_of_sequence[own]
    ]
    return table
