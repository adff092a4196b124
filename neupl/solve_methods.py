"""The exact solvers behind one door: they report, can be stopped and resumed, and leave tables.

Every solver continues from its arrays to the same bits, so a run that was killed ends as one that
was not.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from games.game_tree import GameTree
from neupl.errors import UserError
from neupl.solve_config import SolveConfig
from neupl.tabular_population import TabularPopulation, make_tabular
from solvers import jpsro as responses
from solvers.regret import RegretResult, solve_cfr
from solvers.regret_cce import JointState, RegretCCE, cce_by_regret
from solvers.regret_state import RegretState, rule_of
from solvers.sequence_form import policy_from_plan
from solvers.sequence_lp import solve_sequence_lp
from solvers.values import expected_returns

# Regret minimisers are asked after so many seconds whether somebody wants them to stop.
_PATIENCE_S = 0.25
_CCE_VARIANT = "pcfr+"


class Point(NamedTuple):
    """A measurement on the way.

    Attributes:
      iteration: iterations made.
      gap: in game points.
      gains: of every seat, signed.
      sizes: strategies of every seat.
      seconds: wall-clock time since the start, over all resumptions.
      figures: what else is worth logging, `group/name` to a number.
    """

    iteration: int
    gap: float
    gains: tuple[float, ...]
    sizes: tuple[int, ...]
    seconds: float
    figures: Mapping[str, float]


class Progressed(NamedTuple):
    """Where a solver is.

    Attributes:
      iteration: iterations made.
      seconds: wall-clock time so far, over all resumptions.
      stopped: why it is done; empty while it is not.
      arrays: everything that the next iteration depends on.
    """

    iteration: int
    seconds: float
    stopped: str
    arrays: Mapping[str, np.ndarray]


@runtime_checkable
class Monitor(Protocol):
    """Who is told."""

    def measured(self, point: Point) -> None:
        """Called with every measurement, before `reached` of the same iteration."""

    def reached(self, progressed: Progressed) -> None:
        """Called wherever the solver can be resumed; may raise `KeyboardInterrupt`."""


def solve(
    tree: GameTree, config: SolveConfig, saved: Progressed | None, monitor: Monitor
) -> Progressed:
    """Runs the configured solver until it is done.

    Args:
      tree: the game.
      config: resolved.
      saved: where an earlier run was.
      monitor: told of every measurement.

    Raises:
      SolverError: the solver stopped short.
    """
    if saved is not None and saved.stopped:
        return saved
    return _SOLVERS[config.kind.family](tree, config, saved, monitor)


def check_saved(tree: GameTree, config: SolveConfig, saved: Progressed) -> None:
    """Makes sure that a solver of this game and configuration can go on from `saved`.

    Raises:
      UserError: an array is missing or has another shape.
    """
    if config.kind.family == "jpsro":
        expected = {
            f"actions/{p}": (None, tree.num_infosets, tree.num_actions)
            for p in range(tree.num_players)
        }
    elif config.kind.family == "lp":
        expected = {"policy": (tree.num_infosets, tree.num_actions)}
    else:
        names = ["regret", "last_regret", "plan_sum"]
        if config.kind.family == "joint_regret":
            names.append("gradient")
        expected = {name: (tree.num_sequences,) for name in names}
    for name, shape in expected.items():
        found = saved.arrays.get(name)
        have = () if found is None else found.shape
        if len(have) != len(shape) or any(
            want not in (None, size) for want, size in zip(shape, have, strict=True)
        ):
            raise UserError(
                f"the checkpoint does not fit the run: {name} should have shape "
                f"{tuple('any' if want is None else want for want in shape)}, found "
                f"{'nothing' if found is None else have}"
            )


def population_of(tree: GameTree, config: SolveConfig, progressed: Progressed) -> TabularPopulation:
    """What the solver has to show at some point."""
    policies, profiles, weights, payoffs = _RESULTS[config.kind.family](tree, config, progressed)
    return make_tabular(
        tree,
        game=config.game,
        method=config.method,
        concept=config.kind.concept,
        policies=policies,
        profiles=profiles,
        weights=weights,
        payoffs=payoffs,
    )


def _solve_by_responses(tree, config, saved, monitor):
    before = None if saved is None else responses.from_arrays(tree, saved.arrays)
    left = math.inf
    if config.time_limit_s is not None:
        left = max(config.time_limit_s - (saved.seconds if saved else 0.0), 0.0)

    def on_iteration(state, point):
        figures = {"population/novel": point.novel, "population/repeated": point.repeated}
        monitor.measured(
            Point(point.iteration, point.gap, point.gains, point.sizes, point.seconds, figures)
        )
        arrays = responses.to_arrays(state)
        monitor.reached(Progressed(point.iteration, point.seconds, "", arrays))

    state = responses.jpsro(
        tree,
        meta_solver=config.meta_solver,
        concept="ce" if config.kind.concept == "ce" else "cce",
        repeats=config.repeats,
        ties=config.ties,
        max_iterations=config.iterations,
        tolerance=config.tolerance,
        time_limit_s=left,
        state=before,
        on_iteration=on_iteration,
    )
    if state.converged:
        stopped = "tolerance"
    elif config.repeats == "drop" and state.curve and state.curve[-1].novel == 0:
        stopped = "nothing new to add"
    elif len(state.curve) >= config.iterations:
        stopped = "iterations"
    else:
        stopped = "time limit"
    seconds = state.curve[-1].seconds if state.curve else 0.0
    return Progressed(len(state.curve), seconds, stopped, responses.to_arrays(state))


def _result_of_responses(tree, config, progressed):
    state = responses.from_arrays(tree, progressed.arrays)
    joint = state.joint
    if config.kind.concept == "nash":
        # From the marginals: a product that lost its smallest entries is not quite one any more.
        rows, columns = joint.sum(axis=1), joint.sum(axis=0)
        joint = np.outer(rows / rows.sum(), columns / columns.sum())
    profiles = np.argwhere(joint)
    weights = joint[tuple(profiles.T)]
    return state.policies, profiles, weights / weights.sum(), state.payoffs


def _solve_by_regret(tree, config, saved, monitor):
    """Both families: in pieces of a fraction of a second, measured where a lone run would be."""
    joint = config.kind.family == "joint_regret"
    advance = _advance_joint if joint else _advance_average
    done, earlier_s = (0, 0.0) if saved is None else (saved.iteration, saved.seconds)
    state = None if saved is None else _regret_state(tree, config, saved)
    start, piece, stopped = time.perf_counter(), 1, ""
    while not stopped:
        due = min(_next_measurement(done), config.iterations)
        began = time.perf_counter()
        result = advance(tree, config, min(due, done + piece), state)
        state, done = result.state, result.iterations
        now = time.perf_counter()
        seconds = earlier_s + now - start
        if now - began < _PATIENCE_S:
            piece *= 2
        elif piece > 1 and now - began > 2 * _PATIENCE_S:
            piece //= 2
        in_time = config.time_limit_s is None or seconds < config.time_limit_s
        if done == due or not in_time:
            gap = result.curve[-1].gap
            sizes = (done if joint else 1,) * tree.num_players
            monitor.measured(Point(done, gap, _gains(result), sizes, seconds, {}))
            if config.tolerance is not None and gap <= config.tolerance:
                stopped = "tolerance"
            elif done == config.iterations:
                stopped = "iterations"
            elif not in_time:
                stopped = "time limit"
        progressed = Progressed(done, seconds, stopped, _regret_arrays(state))
        monitor.reached(progressed)
    return progressed


def _advance_average(tree, config, stop, state) -> RegretResult:
    return solve_cfr(tree, variant=config.method, iterations=stop, check_every=stop, state=state)


def _advance_joint(tree, config, stop, state) -> RegretCCE:
    return cce_by_regret(tree, variant=_CCE_VARIANT, iterations=stop, check_every=stop, state=state)


def _next_measurement(done: int) -> int:
    """Every iteration at first, then four to eight times while the number of iterations doubles."""
    stride = 1 << max(done.bit_length() - 3, 0)
    return done + stride - done % stride


def _gains(result: RegretResult | RegretCCE) -> tuple[float, ...]:
    if isinstance(result, RegretCCE):
        return result.certificate.per_player
    return tuple(result.gains.tolist())


def _regret_arrays(state: RegretState | JointState) -> dict[str, np.ndarray]:
    if isinstance(state, JointState):
        own = {"gradient": state.gradient, "earned": state.earned}
        return _regret_arrays(state.regrets) | own
    return {
        "regret": state.regret,
        "last_regret": state.last_regret,
        "plan_sum": state.plan_sum,
    }


def _regret_state(tree, config, saved) -> RegretState | JointState:
    joint = config.kind.family == "joint_regret"
    names = ("regret", "last_regret", "plan_sum")
    regrets = RegretState(
        rule_of(_CCE_VARIANT if joint else config.method),
        saved.iteration,
        *(saved.arrays[name] for name in names),
    )
    if not joint:
        return regrets
    return JointState(regrets, 1, saved.arrays["gradient"], saved.arrays["earned"])


def _result_of_regret(tree, config, progressed):
    return _single(tree, policy_from_plan(tree, progressed.arrays["plan_sum"]))


def _result_of_joint_regret(tree, config, progressed):
    # The plans of all iterations are not in a checkpoint: the same iterations give them again.
    again = cce_by_regret(
        tree,
        variant=_CCE_VARIANT,
        iterations=progressed.iteration,
        check_every=progressed.iteration,
        keep_joint=True,
    ).joint
    policies = policy_from_plan(tree, again.plans)
    iterations = np.arange(len(again.weights))
    profiles = np.tile(iterations[:, None], (1, tree.num_players))
    return (policies,) * tree.num_players, profiles, again.weights, None


def _solve_by_lp(tree, config, saved, monitor):
    options: dict[str, Any] = {"time_limit_s": config.time_limit_s}
    if config.tolerance is not None and tree.payoff_range > 0:
        options["tolerance"] = config.tolerance / tree.payoff_range
    found = solve_sequence_lp(tree, **options)
    gains = tuple(found.gains.tolist())
    sizes = (1,) * tree.num_players
    figures = {"solution/value_of_seat_0": found.value}
    monitor.measured(Point(found.iterations, found.nash_conv, gains, sizes, found.seconds, figures))
    return Progressed(found.iterations, found.seconds, "solved", {"policy": found.policy})


def _result_of_lp(tree, config, progressed):
    return _single(tree, progressed.arrays["policy"])


def _single(tree, policy):
    """One policy of all seats as the population of one strategy each."""
    seats = (policy[None],) * tree.num_players
    payoffs = expected_returns(tree, policy).reshape((1,) * tree.num_players + (-1,))
    return seats, np.zeros((1, tree.num_players), np.int32), np.ones(1), payoffs


_SOLVERS: dict[str, Callable[..., Progressed]] = {
    "jpsro": _solve_by_responses,
    "regret": _solve_by_regret,
    "joint_regret": _solve_by_regret,
    "lp": _solve_by_lp,
}
_RESULTS: dict[str, Callable[..., tuple]] = {
    "jpsro": _result_of_responses,
    "regret": _result_of_regret,
    "joint_regret": _result_of_joint_regret,
    "lp": _result_of_lp,
}
