"""JPSRO: populations grown by exact best responses to a joint meta-strategy (Marris et al. 2021,
arXiv 2106.09435), for any number of players and any sums of payoffs.

Each iteration asks what every seat gains by deviating from the joint, in the whole game, and adds
its best deviation to its strategies. Under `"cce"` a seat has one best deviation; under `"ce"` one
per strategy that it may be told to play, and of those that are new the one that gains most joins.
With the Nash equilibrium of a two-player zero-sum game as meta-solver this is the double oracle
method (McMahan et al. 2003) and PSRO with exact responses.

A response may equal a strategy that is already there. `"drop"` leaves the population as it is;
strategies are told apart by what they do where they let themselves arrive, and an iteration that
adds nothing is the last. `"weigh"` counts it as one more copy, and copies attract probability as
separate strategies would, so the joint keeps moving; strategies are told apart by their whole
tables. With ties `"lowest_if_reached"` this is the process of the authors' program. The two are
different processes with the same fixed points.
"""

import dataclasses
import hashlib
import math
import time
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64

from games.game_tree import GameTree
from solvers.best_response import Ties
from solvers.correlated_gaps import Concept, CorrelatedGains, correlated_gains
from solvers.meta.correlated import CorrelatedResult, extend_duals, solve_correlated
from solvers.meta.registry import MetaSolver, meta_solver
from solvers.sequence_form import realization_plan
from solvers.types import SolverResult
from solvers.values import payoffs_of_plans

Repeats = Literal["drop", "weigh"]

# Responses that gain less than this share of the payoff range are not worth a strategy.
WORTHLESS = 1e-11
# Probabilities below this are rounding of the meta-solver.
NEGLIGIBLE = 1e-10


@dataclasses.dataclass(frozen=True)
class JPSROPoint:
    """One iteration, measured before its responses join.

    Attributes:
      iteration: from 1.
      gap: sum over seats of the positive gains, in game points; exact.
      gains: each seat's gain from deviating, signed.
      returns: each seat's expected return under the joint.
      sizes: strategies of each seat.
      novel: responses that joined, over all seats.
      repeated: responses that were there already.
      seconds: since the start, over all resumptions.
    """

    iteration: int
    gap: float
    gains: tuple[float, ...]
    returns: tuple[float, ...]
    sizes: tuple[int, ...]
    novel: int
    repeated: int
    seconds: float


@dataclasses.dataclass(frozen=True, eq=False)
class JPSROState:
    """A population with its joint meta-strategy; everything that the next iteration depends on.

    Attributes:
      actions: per seat, what its strategies take, all with the same probability, `[K_p, S, A]`;
        all that is legal in the rows of other seats.
      plans: per seat, their realisation plans `[K_p, Q]`.
      copies: per seat, how often each strategy was found, `[K_p]`.
      payoffs: `[K_0, ..., K_{P-1}, P]`, in game points.
      joint: distribution over profiles, `[K_0, ..., K_{P-1}]`.
      duals: multipliers of the meta-solver, a start for the next; empty where it has none.
      curve: the iterations so far.
      converged: whether the last iteration's gap met the tolerance, or was nothing but rounding.
    """

    actions: tuple[Bool[np.ndarray, "_ S A"], ...]
    plans: tuple[Float64[np.ndarray, "_ Q"], ...]
    copies: tuple[Int64[np.ndarray, "_"], ...]
    payoffs: Float64[np.ndarray, "..."]
    joint: Float64[np.ndarray, "..."]
    duals: Float64[np.ndarray, "R"]
    curve: tuple[JPSROPoint, ...]
    converged: bool

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of strategies of each seat."""
        return tuple(len(own) for own in self.actions)

    @property
    def policies(self) -> tuple[Float64[np.ndarray, "_ S A"], ...]:
        """Per seat, its strategies as policies `[K_p, S, A]`: eight times as large as `actions`."""
        return tuple(own / own.sum(axis=-1, keepdims=True) for own in self.actions)


def jpsro(
    tree: GameTree,
    *,
    meta_solver: str | MetaSolver = "mgcce",
    concept: Concept = "cce",
    repeats: Repeats = "drop",
    ties: Ties = "lowest",
    max_iterations: int = 1000,
    tolerance: float = 0.0,
    time_limit_s: float = math.inf,
    state: JPSROState | None = None,
    on_iteration: Callable[[JPSROState, JPSROPoint], None] | None = None,
) -> JPSROState:
    """Grows a population until no seat gains from deviating.

    Strategy 0 of every seat is the uniform policy.

    Args:
      tree: the game.
      meta_solver: a name of `solvers.meta.registry`, or a function from payoffs to a result; those
        that select by Gini impurity or entropy start from the last multipliers.
      concept: which deviations count; see `solvers.correlated_gaps`.
      repeats: what becomes of a response that is there already.
      ties: what responses do between equally good actions.
      max_iterations: iterations in all, those of `state` included.
      tolerance: gap to stop at, in game points; rounding stops at 0 too, nothing at less.
      time_limit_s: no iteration starts later than this after the call.
      state: where an earlier call stopped; with the same options the result is the same as if it
        had not.
      on_iteration: called after every iteration.

    Returns:
      The last state. Its joint is the meta-strategy of its whole population; the last point of its
      curve measures the joint before the last responses joined, the same one when it converged.

    Raises:
      ValueError: an option is out of range, or the meta-solver does not take this kind of game.
      SolverError: the meta-game could not be solved.
    """
    if repeats not in ("drop", "weigh"):
        raise ValueError(f"repeats={repeats!r} is neither 'drop' nor 'weigh'")
    solve = _solver(meta_solver)
    least = WORTHLESS * tree.payoff_range * tree.num_players
    start = time.perf_counter()
    state = _first_state(tree, solve) if state is None else state
    before = state.curve[-1].seconds if state.curve else 0.0
    known = _known(state, repeats)
    while len(state.curve) < max_iterations and not state.converged:
        if repeats == "drop" and state.curve and state.curve[-1].novel == 0:
            break  # the meta-solver found no equilibrium of what is all there will ever be
        if time.perf_counter() - start > time_limit_s:
            break
        found = measure(tree, state, concept=concept, responses=ties)
        additions = _additions(tree, known, found, repeats)
        point = _point(state, found, additions, before + time.perf_counter() - start)
        if found.gap <= max(tolerance, least) and tolerance >= 0:
            state = dataclasses.replace(state, converged=True)
        else:
            state = _grow(tree, state, additions, solve)
            for own, addition in zip(known, additions, strict=True):
                if addition.identity is not None:
                    own[addition.identity] = len(own)
        state = dataclasses.replace(state, curve=(*state.curve, point))
        if on_iteration is not None:
            on_iteration(state, point)
    return state


def measure(
    tree: GameTree, state: JPSROState, *, concept: Concept, responses: Ties | None = None
) -> CorrelatedGains:
    """What every seat gains by deviating from the state's joint, exactly, in the whole game."""
    axes = tuple(range(tree.num_players))
    return correlated_gains(
        tree,
        state.plans,
        state.joint,
        concept=concept,
        responses=responses,
        on_policy_values=np.tensordot(state.joint, state.payoffs, axes=(axes, axes)),
    )


@dataclasses.dataclass(frozen=True)
class _Addition:
    """What a seat gets: a strategy, its actions `[S, A]` and plan `[Q]`, or a copy, or nothing."""

    actions: np.ndarray | None = None
    plan: np.ndarray | None = None
    identity: bytes | None = None
    copy_of: int | None = None


def _known(state, repeats) -> list[dict[bytes, int]]:
    """Per seat, the index of each strategy by its identity."""
    return [
        {_identity(*pair, repeats): k for k, pair in enumerate(zip(*own, strict=True))}
        for own in zip(state.actions, state.plans, strict=True)
    ]


def _identity(actions, plan, repeats) -> bytes:
    return hashlib.blake2b((actions if repeats == "weigh" else plan).tobytes()).digest()


def _additions(tree, known, found, repeats) -> tuple[_Addition, ...]:
    """Per seat the new response that gains most, or, where none is new, what the best repeats."""
    worth = WORTHLESS * tree.payoff_range if repeats == "drop" else -np.inf

    def addition(player, deviations):
        copy_of = None
        for k in np.argsort(-deviations.gains, kind="stable"):
            if deviations.gains[k] <= worth:
                break
            policy = _as_table(tree, player, deviations.policies[k])
            actions, plan = policy > 0, realization_plan(tree, policy)
            identity = _identity(actions, plan, repeats)
            index = known[player].get(identity)
            if index is None:
                return _Addition(actions=actions, plan=plan, identity=identity)
            if copy_of is None and repeats == "weigh":
                copy_of = index
        return _Addition(copy_of=copy_of)

    return tuple(addition(*pair) for pair in enumerate(found.deviations))


def _grow(tree, state, additions, solve) -> JPSROState:
    """The population with the additions, its payoffs and its joint."""
    actions, plans, copies = list(state.actions), list(state.plans), list(state.copies)
    payoffs = state.payoffs
    for player, addition in enumerate(additions):
        if addition.copy_of is not None:
            copies[player] = copies[player] + (np.arange(len(copies[player])) == addition.copy_of)
        if addition.actions is None:
            continue
        plan = addition.plan[None]
        slab = payoffs_of_plans(tree, [*plans[:player], plan, *plans[player + 1 :]])
        payoffs = np.concatenate([payoffs, slab], axis=player)
        actions[player] = np.concatenate([actions[player], addition.actions[None]])
        plans[player] = np.concatenate([plans[player], plan])
        copies[player] = np.append(copies[player], 1)
    solution = solve(payoffs, copies, state.joint.shape, state.duals)
    return dataclasses.replace(
        state,
        actions=tuple(actions),
        plans=tuple(plans),
        copies=tuple(copies),
        payoffs=payoffs,
        joint=_clean(solution.joint),
        duals=_duals(solution),
    )


def _first_state(tree, solve) -> JPSROState:
    actions = (tree.legal_mask[None],) * tree.num_players
    plans = (realization_plan(tree, tree.uniform_policy()[None]),) * tree.num_players
    copies = tuple(np.ones(1, np.int64) for _ in actions)
    payoffs = payoffs_of_plans(tree, plans)
    solution = solve(payoffs, copies, (1,) * tree.num_players, np.zeros(0))
    return JPSROState(
        actions=actions,
        plans=plans,
        copies=copies,
        payoffs=payoffs,
        joint=_clean(solution.joint),
        duals=_duals(solution),
        curve=(),
        converged=False,
    )


def _as_table(tree, player, response):
    """The response with uniform rows for other seats, so that it is a policy."""
    return np.where(tree.infoset_player[:, None] == player, response, tree.uniform_policy())


def _point(state, found, additions, seconds) -> JPSROPoint:
    return JPSROPoint(
        iteration=len(state.curve) + 1,
        gap=found.gap,
        gains=tuple(found.gains.tolist()),
        returns=tuple(found.on_policy_values.tolist()),
        sizes=state.sizes,
        novel=sum(addition.actions is not None for addition in additions),
        repeated=sum(addition.copy_of is not None for addition in additions),
        seconds=seconds,
    )


def _clean(joint):
    kept = np.where(joint > NEGLIGIBLE, joint, 0.0)
    return kept / kept.sum()


def _duals(solution):
    return solution.duals if isinstance(solution, CorrelatedResult) else np.zeros(0)


def _solver(chosen: str | MetaSolver) -> Callable[..., SolverResult]:
    """The meta-solver as `(payoffs, copies, shape before, duals before) -> result`."""
    solver = meta_solver(chosen) if isinstance(chosen, str) else chosen
    options = getattr(solver, "keywords", {})
    if getattr(solver, "func", None) is not solve_correlated:
        return lambda payoffs, copies, shape, duals: _with_copies(solver, payoffs, copies)
    concept = options["concept"]

    def solve(payoffs, copies, shape, duals):
        start = None
        if len(duals):
            start = extend_duals(duals, concept, shape=shape, new_shape=payoffs.shape[:-1])
        return solver(payoffs, repeats=copies, duals=start)

    return solve


def _with_copies(solver, payoffs, copies) -> SolverResult:
    """Solves the game in which every copy is a strategy, and sums over the copies."""
    strategy_of = [np.repeat(np.arange(len(own)), own) for own in copies]
    solution = solver(payoffs[np.ix_(*strategy_of)])
    joint = np.zeros(payoffs.shape[:-1])
    np.add.at(joint, np.ix_(*strategy_of), solution.joint)
    return dataclasses.replace(solution, joint=joint)


def to_arrays(state: JPSROState) -> dict[str, np.ndarray]:
    """The state as arrays, for a checkpoint."""
    arrays = {"payoffs": state.payoffs, "joint": state.joint, "duals": state.duals}
    for player, (actions, copies) in enumerate(zip(state.actions, state.copies, strict=True)):
        arrays |= {f"actions/{player}": actions, f"copies/{player}": copies}
    for field in dataclasses.fields(JPSROPoint):
        values = [getattr(point, field.name) for point in state.curve]
        arrays[f"curve/{field.name}"] = np.array(values)
    return arrays | {"converged": np.array(state.converged)}


def from_arrays(tree: GameTree, arrays: Mapping[str, np.ndarray]) -> JPSROState:
    """The state that `to_arrays` gave.

    Raises:
      KeyError: an array is missing.
    """
    seats = range(tree.num_players)
    actions = tuple(arrays[f"actions/{player}"] for player in seats)
    columns = {f.name: arrays[f"curve/{f.name}"].tolist() for f in dataclasses.fields(JPSROPoint)}
    curve = tuple(
        JPSROPoint(*(tuple(v) if isinstance(v, list) else v for v in values))
        for values in zip(*columns.values(), strict=True)
    )
    state = JPSROState(
        actions=actions,
        plans=(),
        copies=tuple(arrays[f"copies/{player}"] for player in seats),
        payoffs=arrays["payoffs"],
        joint=arrays["joint"],
        duals=arrays["duals"],
        curve=curve,
        converged=bool(arrays["converged"]),
    )
    plans = tuple(realization_plan(tree, own) for own in state.policies)
    return dataclasses.replace(state, plans=plans)
