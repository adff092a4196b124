"""The meta-game of NeuPL-JPSRO: joints that solve its payoffs, and, on a game tree, its payoffs and
what deviating gains.
"""

import contextlib
import dataclasses
import functools
import logging
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int

from games.game_tree import GameTree
from neupl.evaluation import normalise
from solvers.correlated_gaps import CorrelatedGains, correlated_gains
from solvers.meta.registry import MetaSolver
from solvers.sequence_form import realization_plan
from solvers.types import SolverError
from solvers.values import payoffs_of_plans

log = logging.getLogger(__name__)

# Probabilities below this are rounding of the meta-solver.
NEGLIGIBLE = 1e-10


@dataclasses.dataclass(frozen=True, eq=False)
class MeasuredJoint:
    """A joint over the strategies with what deviating from it gains in the whole game.

    Attributes:
      joint: `[K_0, ..., K_{P-1}]`.
      found: exact gains.
    """

    joint: Float64[np.ndarray, "..."]
    found: CorrelatedGains

    @property
    def gap(self) -> float:
        """Sum of the positive gains, in game points."""
        return self.found.gap

    @property
    def welfare(self) -> float:
        """Sum of what the seats earn, in game points."""
        return float(self.found.on_policy_values.sum())


@dataclasses.dataclass(frozen=True, eq=False)
class MetaGame:
    """A population on the game tree.

    Attributes:
      payoffs: `[K_0, ..., K_{P-1}, P]`, in game points; exact.
      solved: the joint of the meta-solver; the same as `judged` where that found none.
      judged: that of the second solver; `None` where there is none, or it found none.
      solve_s: wall-clock seconds of both.
    """

    payoffs: Float64[np.ndarray, "..."]
    solved: MeasuredJoint
    judged: MeasuredJoint | None
    solve_s: float


class Joints(NamedTuple):
    """Joints over the profiles of a meta-game.

    Attributes:
      solved: that of the meta-solver; the very one of the judge where that found none.
      judged: that of the second solver; `None` where there is none, or it found none.
      solve_s: wall-clock seconds of both.
    """

    solved: Float64[np.ndarray, "..."]
    judged: Float64[np.ndarray, "..."] | None
    solve_s: float


def plans_of(tree: GameTree, policies: Float[np.ndarray, "K S A"]) -> Float64[np.ndarray, "K Q"]:
    """Realisation plans of tables as the network gives them.

    Raises:
      FloatingPointError: a probability is not finite.
    """
    if not np.isfinite(policies).all():
        raise FloatingPointError("the network plays NaN")
    return realization_plan(tree, normalise(policies))


def solve_meta_game(
    tree: GameTree,
    plans: Float[np.ndarray, "K Q"],
    sizes: Int[np.ndarray, "P"],
    *,
    concept: str,
    solver: MetaSolver,
    judge: MetaSolver | None,
) -> MetaGame:
    """Solves and measures the first `sizes` strategies of every seat.

    Raises:
      SolverError: neither found an equilibrium. Where one did, its joint stands for both.
    """
    own = [plans[:size] for size in sizes]
    payoffs = payoffs_of_plans(tree, own)
    joints = solve_joints(payoffs, solver=solver, judge=judge)

    def measured(found: np.ndarray) -> MeasuredJoint:
        return measure_joint(tree, own, payoffs, found, concept=concept)

    judged = None if joints.judged is None else measured(joints.judged)
    solved = judged if joints.solved is joints.judged else measured(joints.solved)
    return MetaGame(payoffs, solved, judged, joints.solve_s)


def solve_joints(
    payoffs: Float[np.ndarray, "..."], *, solver: MetaSolver, judge: MetaSolver | None
) -> Joints:
    """Solves payoffs `[K_0, ..., K_{P-1}, P]`, exact or estimated.

    Raises:
      SolverError: neither found an equilibrium. Where one did, its joint stands for both.
    """
    start = time.perf_counter()
    second = None
    if judge is not None:
        with contextlib.suppress(SolverError):
            second = judge(payoffs).joint
    try:
        joint = solver(payoffs).joint
    except SolverError as error:
        if second is None:
            raise
        log.warning("the joint of the judge takes the place of the meta-solver's: %s", error)
        joint = second
    return Joints(joint, second, time.perf_counter() - start)


def measure_joint(
    tree: GameTree,
    own: Sequence[Float[np.ndarray, "_ Q"]],
    payoffs: Float[np.ndarray, "..."],
    joint: Float[np.ndarray, "..."],
    *,
    concept: str,
) -> MeasuredJoint:
    """What deviating from a joint over strategies gains, exactly, in the whole game.

    Args:
      tree: the game.
      own: per seat, plans of its strategies, `[K_p, Q]`.
      payoffs: of all profiles, `[K_0, ..., K_{P-1}, P]`, in game points.
      joint: distribution over profiles, but for rounding.
      concept: which deviations count, `"cce"` or `"ce"`.
    """
    kept = without_rounding(joint)
    axes = tuple(range(tree.num_players))
    returns = np.tensordot(kept, payoffs, axes=(axes, axes))
    return MeasuredJoint(
        kept, correlated_gains(tree, own, kept, concept=concept, on_policy_values=returns)
    )


def without_rounding(joint: Float[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """The distribution over profiles without the least probabilities."""
    kept = np.where(joint > NEGLIGIBLE, joint, 0.0)
    return kept / kept.sum()


def product_of_marginals(joint: Float[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """The joint under which every seat draws its strategy as before, but by itself."""
    axes = range(joint.ndim)
    marginals = [joint.sum(axis=tuple(q for q in axes if q != p)) for p in axes]
    return functools.reduce(np.multiply.outer, marginals)


def better(first: MeasuredJoint, second: MeasuredJoint | None, *, nothing: float) -> MeasuredJoint:
    """The joint with the smaller gap; where both gaps are nothing, the one of greater welfare."""
    if second is None or rank(second, nothing=nothing) <= rank(first, nothing=nothing):
        return first
    return second


def rank(measured: MeasuredJoint, *, nothing: float) -> tuple[float, float, float]:
    """Greater is better: first a small gap, then, among gaps that are nothing, great welfare; what
    differs in neither goes by the gap again.
    """
    return rank_of(measured.gap, measured.welfare, nothing=nothing)


def rank_of(gap: float, welfare: float, *, nothing: float) -> tuple[float, float, float]:
    """See `rank`; sums of payoffs that differ by less than `nothing` are equal."""
    if gap > nothing:
        return -gap, 0.0, 0.0
    return 0.0, round(welfare / max(nothing, 1e-12)), -gap


def advice_mixtures(
    joint: Float[np.ndarray, "..."], *, concept: str
) -> tuple[Float64[np.ndarray, "P R M"], Float64[np.ndarray, "P R"]]:
    """What each seat responds to: mixtures of the co-players, and how likely each is.

    Under `cce` a seat decides before it hears anything, `R = 1`: the co-players' marginal of the
    joint, correlated as it is. Under `ce` it knows its advice, `R = K`.
    """
    size, players = joint.shape[0], joint.ndim
    mixtures, heard = [], []
    for player in range(players):
        given = np.moveaxis(joint, player, 0).reshape(size, -1)
        if concept == "cce":
            given = given.sum(axis=0, keepdims=True)
        probability = given.sum(axis=1)
        mixtures.append(given / np.where(probability > 0, probability, 1.0)[:, None])
        heard.append(probability)
    return np.stack(mixtures), np.stack(heard)


def spread(array: Float[np.ndarray, "..."], size: int, num_axes: int) -> Float64[np.ndarray, "..."]:
    """The array with its first axes filled up with zeros to the capacity."""
    missing = [(0, size - length) for length in array.shape[:num_axes]]
    missing += [(0, 0)] * (array.ndim - num_axes)
    return np.pad(array, missing)
