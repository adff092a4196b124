"""A coarse correlated equilibrium of a game with any number of players, by regret minimisation.

All seats update at once, and the object is the *joint* average of the profiles they played: an
iteration t is drawn with probability proportional to its weight, and every seat plays its policy of
iteration t to the end of the game. Seats that have little regret for their own sequence of policies
gain little by leaving such a draw before it is made, so the joint approaches a coarse correlated
equilibrium for general sums and any number of players (Hannan 1957; Zinkevich et al. 2007 bound
each seat's regret). The product of the average policies is another object, and carries no
guarantee.

The certificate needs no list of profiles. What a deviator earns is linear in its own plan y:

    sum over t of w_t u_p(y, pi_-p^t)  =  y . sum over t of w_t g_p^t

with `g_p^t` the values of p's sequences against the others' plans of iteration t, which every
iteration computes anyway. One vector `[Q]` of weighted sums holds the greatest such number over all
y, exactly, and one number per seat what keeping to the draw earned.
"""

import dataclasses
import time
from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from games.game_tree import GameTree
from solvers import regret_kernels
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
from solvers.types import Certificate


@dataclasses.dataclass(frozen=True)
class JointIterates:
    """A joint distribution over profiles with one profile per iteration.

    Attributes:
      plans: realisation plan of all seats at each iteration, `[K, Q]`.
      weights: probability of each iteration, `[K]`; sums to 1.
    """

    plans: Float64[np.ndarray, "K Q"]
    weights: Float64[np.ndarray, "K"]


@dataclasses.dataclass(frozen=True, eq=False)
class JointState:
    """Where a run stopped; resumed from it, the next iterations and certificates are those of an
    uninterrupted run bit for bit.

    Attributes:
      regrets: the minimisers.
      first_averaged: first iteration in the average.
      gradient: weighted sum of the values of every sequence at the terminals right after it, `[Q]`.
      earned: weighted sum of each seat's returns, `[P]`.
    """

    regrets: RegretState
    first_averaged: int
    gradient: Float64[np.ndarray, "Q"]
    earned: Float64[np.ndarray, "P"]


@dataclasses.dataclass(frozen=True)
class RegretCCE:
    """What `cce_by_regret` returns.

    Attributes:
      certificate: CCE gap of the averaged joint; `per_player` holds the gains with their signs.
      returns: each seat's expected return under it, in game points.
      iterations: iterations made, those before a resumed state included.
      curve: CCE gap of the joint averaged so far, along the way.
      joint: the averaged joint itself, where it was asked for.
      state: for `cce_by_regret(..., state=...)`.
    """

    certificate: Certificate
    returns: Float64[np.ndarray, "P"]
    iterations: int
    curve: tuple[RegretPoint, ...]
    joint: JointIterates | None
    state: JointState


def cce_by_regret(
    tree: GameTree,
    *,
    variant: str | Rule = "pcfr+",
    iterations: int = 1000,
    first_averaged: int = 1,
    tolerance: float | None = None,
    check_every: int | None = None,
    on_check: Callable[[RegretPoint], None] | None = None,
    keep_joint: bool = False,
    state: JointState | None = None,
) -> RegretCCE:
    """Averages the joint play of simultaneous regret minimisers and certifies the average.

    Args:
      tree: the game.
      variant: a name in `regret_state.RULES` or a rule of one's own; its `gamma` weighs iterations.
        Predictive CFR+ had the least gap after equal iterations in nearly every game we tried.
      iterations: iteration to stop after, counted from the first one of all.
      first_averaged: first iteration in the average. Leaving out the early ones often lowers the
        gap; the bound from regrets holds for 1 only, the certificate for any. On a resumed run
        either what it was before, or an iteration still to come.
      tolerance: stop at the first measurement with a gap at most this, in game points.
      check_every: iterations between measurements; by default at the powers of two. The last
        iteration is always measured; measurements before `first_averaged` are left out.
      on_check: called after every measurement.
      keep_joint: whether to return the plans of all averaged iterations, `8 * K * Q` bytes. What is
        certified and what is returned is the same object, so a resumed run can return it only where
        it begins after `state`.
      state: where an earlier run stopped; it is not changed.

    Raises:
      ValueError: the variant is unknown, a number is out of range, or `state` belongs to another
        game, rule or average.
    """
    rule = rule_of(variant)
    if state is None:
        state = _initial_joint_state(tree, rule, first_averaged)
    check_run(tree, rule, state.regrets, iterations, tolerance, check_every)
    state = _with_first_averaged(tree, state, first_averaged, iterations, keep_joint)
    slots = slot_form(tree)
    regret, last_regret, plan_sum = to_slots(tree, state.regrets)
    policy, plan, gradient = np.empty((3, tree.num_sequences))
    gradient[slots.slot_of_sequence], earned = state.gradient, state.earned.copy()
    kept = np.empty((iterations + 1 - first_averaged if keep_joint else 0, tree.num_sequences))
    regret_kernels.start_policy(slots.form, regret, last_regret, policy, plan)

    def iterate(done: int, num: int) -> None:
        arrays = regret, last_regret, plan_sum, policy, plan
        sums = gradient, earned, kept
        regret_kernels.run_simultaneous(
            slots.form, rule.numbers(), *arrays, done, num, first_averaged, *sums
        )

    # Where the loops are not compiled yet, this does it, outside the seconds that are reported.
    iterate(0, 0)
    begin, done, seconds, curve = time.perf_counter(), state.regrets.iteration, 0.0, []
    for stop in stops(done, iterations, check_every):
        start = time.perf_counter()
        iterate(done, stop - done)
        seconds, done = seconds + time.perf_counter() - start, stop
        if done < first_averaged:
            continue
        weights = np.arange(first_averaged, done + 1, dtype=np.float64) ** rule.gamma
        returns = earned / weights.sum()
        gains = _best_values(tree, gradient) / weights.sum() - returns
        curve.append(RegretPoint(done, float(np.maximum(gains, 0.0).sum()), seconds))
        if on_check is not None:
            on_check(curve[-1])
        if tolerance is not None and curve[-1].gap <= tolerance:
            break
    joint = None
    if keep_joint:
        joint = JointIterates(
            plans=kept[: len(weights), slots.slot_of_sequence], weights=weights / weights.sum()
        )
    certificate = Certificate(
        quantity="cce_gap",
        value=curve[-1].gap,
        per_player=tuple(gains.tolist()),
        object=f"joint of the profiles played at iterations {first_averaged} to {done}, "
        f"weighted by iteration^{rule.gamma:g}",
        method="exact",
        interval=None,
        openspiel_value=None,
        game=tree.name,
        seconds=time.perf_counter() - begin,
    )
    regrets = from_slots(tree, rule, done, (regret, last_regret, plan_sum))
    after = JointState(regrets, first_averaged, gradient[slots.slot_of_sequence], earned)
    return RegretCCE(certificate, returns, done, tuple(curve), joint, after)


def _best_values(tree: GameTree, gradient) -> Float64[np.ndarray, "P"]:
    """What the best plan of each seat earns, summed over iterations like `gradient`."""
    form = slot_form(tree).form
    players = range(tree.num_players)
    return np.array([regret_kernels.best_value(form, p, gradient.copy()) for p in players])


def _initial_joint_state(tree: GameTree, rule: Rule, first_averaged: int) -> JointState:
    return JointState(
        regrets=initial_state(tree, rule),
        first_averaged=first_averaged,
        gradient=np.zeros(tree.num_sequences),
        earned=np.zeros(tree.num_players),
    )


def _with_first_averaged(
    tree: GameTree, state: JointState, first_averaged: int, iterations: int, keep_joint: bool
) -> JointState:
    """The state with empty sums where the average begins later; refuses what cannot be had."""
    if not 1 <= first_averaged <= iterations:
        raise ValueError(f"first_averaged is {first_averaged}, expected 1 to {iterations}")
    made = state.regrets.iteration
    if first_averaged > made:
        fresh = _initial_joint_state(tree, state.regrets.rule, first_averaged)
        return dataclasses.replace(fresh, regrets=state.regrets)
    if first_averaged != state.first_averaged or keep_joint:
        raise ValueError(
            f"the state is at iteration {made} and has averaged from {state.first_averaged} on "
            f"without its profiles: first_averaged is {first_averaged}, expected more than {made}"
            + ("" if keep_joint else f", or {state.first_averaged}")
        )
    return state
