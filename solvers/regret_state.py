"""What runs of regret minimisation share: their rule, their state, when they are measured.

A `Rule` is four numbers, and the methods of the literature are points in their space:

    regret  <- (regret + gain) * t^alpha / (t^alpha + 1)   where regret + gain > 0
               (regret + gain) * t^beta / (t^beta + 1)     elsewhere
    average <- average + t^gamma * plan played at iteration t

CFR: Zinkevich et al. 2007. CFR+: Tammelin 2014, arXiv 1407.5042. Linear and discounted CFR: Brown
and Sandholm 2019, arXiv 1809.04040. Predictive CFR+: Farina, Kroer and Sandholm 2021, arXiv
2007.14358, with the last gain as prediction of the next.
"""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64

from games.game_tree import GameTree
from solvers.regret_form import slot_form


@dataclasses.dataclass(frozen=True)
class Rule:
    """How regrets are kept and plans averaged.

    Attributes:
      alpha: exponent of the discount of positive regrets; infinity keeps them whole.
      beta: exponent of the discount of negative regrets; infinity keeps them, minus infinity
        replaces them by zero (regret matching plus).
      gamma: weight of iteration t in the average is `t ** gamma`.
      predictive: whether the last gain is added to the regrets before a policy is read off them.
    """

    alpha: float
    beta: float
    gamma: float
    predictive: bool = False

    def numbers(self) -> tuple[float, float, float, bool]:
        """What the compiled loops take."""
        return (float(self.alpha), float(self.beta), float(self.gamma), self.predictive)


RULES = {
    "cfr": Rule(math.inf, math.inf, 0.0),
    "cfr+": Rule(math.inf, -math.inf, 1.0),
    "lcfr": Rule(1.0, 1.0, 1.0),
    "dcfr": Rule(1.5, 0.0, 2.0),
    "pcfr+": Rule(math.inf, -math.inf, 2.0, predictive=True),
}


@dataclasses.dataclass(frozen=True, eq=False)
class RegretState:
    """Everything that the next iteration depends on; a run resumed from it repeats an uninterrupted
    one bit for bit.

    Attributes:
      rule: the rule that made it.
      iteration: iterations made.
      regret: accumulated regret of every sequence, `[Q]`, in game points.
      last_regret: what the last iteration added, `[Q]`; zero unless the rule is predictive.
      plan_sum: weighted sum of the realisation plans so far, `[Q]`.
    """

    rule: Rule
    iteration: int
    regret: Float64[np.ndarray, "Q"]
    last_regret: Float64[np.ndarray, "Q"]
    plan_sum: Float64[np.ndarray, "Q"]


@dataclasses.dataclass(frozen=True)
class RegretPoint:
    """A measurement on the way.

    Attributes:
      iteration: iterations made.
      gap: what is measured, in game points: NashConv of the average policy, or the CCE gap of the
        averaged joint.
      seconds: wall-clock time of the iterations of this call, without the measurements.
    """

    iteration: int
    gap: float
    seconds: float


def rule_of(variant: str | Rule) -> Rule:
    """The rule of a variant's name."""
    if isinstance(variant, Rule):
        if math.isnan(variant.alpha + variant.beta) or not math.isfinite(variant.gamma):
            raise ValueError(f"{variant}: expected numbers, and a finite gamma")
        return variant
    if variant not in RULES:
        raise ValueError(f"variant is {variant!r}, expected one of {', '.join(RULES)} or a Rule")
    return RULES[variant]


def initial_state(tree: GameTree, rule: Rule) -> RegretState:
    """No regrets, no iterations."""
    regret, last_regret, plan_sum = np.zeros((3, tree.num_sequences))
    return RegretState(rule, 0, regret, last_regret, plan_sum)


def check_run(
    tree: GameTree,
    rule: Rule,
    state: RegretState,
    iterations: int,
    tolerance: float | None,
    check_every: int | None,
) -> None:
    """Raises `ValueError` where the arguments of a run do not fit together."""
    if len(state.regret) != tree.num_sequences:
        raise ValueError(
            f"state has {len(state.regret)} sequences, {tree.name} has {tree.num_sequences}"
        )
    if state.rule != rule:
        raise ValueError(f"state was made by {state.rule}, cannot be resumed by {rule}")
    if iterations <= state.iteration:
        raise ValueError(
            f"iterations is {iterations}, expected more than the {state.iteration} made already"
        )
    if tolerance is not None and not tolerance >= 0:
        raise ValueError(f"tolerance is {tolerance}, expected a number >= 0 (game points)")
    if check_every is not None and check_every < 1:
        raise ValueError(f"check_every is {check_every}, expected at least 1")


def stops(done: int, iterations: int, check_every: int | None) -> Iterator[int]:
    """Iterations after which to measure: multiples of `check_every` or powers of two, and the
    last.
    """
    while done < iterations:
        if check_every is None:
            done = 1 << done.bit_length()
        else:
            done += check_every - done % check_every
        yield min(done, iterations)


def to_slots(tree: GameTree, state: RegretState) -> Float64[np.ndarray, "3 Q"]:
    """Regrets, last regrets and plan sum in slot order, copied."""
    ordered = np.empty((3, tree.num_sequences))
    ordered[:, slot_form(tree).slot_of_sequence] = (
        state.regret,
        state.last_regret,
        state.plan_sum,
    )
    return ordered


def from_slots(tree: GameTree, rule: Rule, iteration: int, ordered) -> RegretState:
    """The state of arrays in slot order, copied."""
    slot_of_sequence = slot_form(tree).slot_of_sequence
    return RegretState(rule, iteration, *(values[slot_of_sequence] for values in ordered))
