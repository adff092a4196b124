"""The measured parts of `reproduce_jpsro.py`, each in a process of its own.

`python jpsro_parts.py REQUEST` runs one process on one game. It prints a JSON object per line:
`start` once the game is loaded, `point` after every iteration, `end` after the last, `welfare` and
`check` with what the population is found to be. What was printed survives when the process is
stopped from outside, which is the only way to stop a quadratic program that does not return.

CPU seconds of a point count from the moment that libraries and compiled code are loaded; ours
include the compilation of the tree. The points of both sides come after the meta-game has been
solved again. OpenSpiel's loop also solves and measures an evaluation joint, which no other part
depends on; the time for it is not counted.
"""

import contextlib
import functools
import json
import math
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# What becomes of responses that are there already, and what responses do between equal actions.
PROCESSES = {
    "drop": ("drop", "lowest"),
    "weigh": ("weigh", "lowest_if_reached"),
    "drop_lowest_if_reached": ("drop", "lowest_if_reached"),
    "weigh_lowest": ("weigh", "lowest"),
    "drop_uniform": ("drop", "uniform"),
    "weigh_uniform": ("weigh", "uniform"),
}
# Seconds beyond the limit for the last iteration and what follows it, before the system stops us.
GRACE_S = 600
# CPU seconds that OpenSpiel's libraries may take to load.
IMPORT_S = 10
# Longest predicted time of OpenSpiel's measurement of a whole joint.
CHECK_LIMIT_S = 20.0
# Profiles beyond which the greatest welfare, a linear program with a variable for each, takes long.
MAX_WELFARE_PROFILES = 200_000
# Strategies whose payoffs agree to so many decimals have the same payoffs.
PAYOFF_DECIMALS = 9


def emit(kind: str, **content: Any) -> None:
    """Prints one line for the process that collects them."""
    print(json.dumps({"kind": kind} | content), flush=True)


def run_ours(request: Mapping[str, Any]) -> None:
    """Grows a population by our JPSRO or PSRO and has OpenSpiel check where it ends."""
    from remembering_state import compile_remembering

    from games.open_spiel_tree import compile_open_spiel
    from solvers.gaps import nash_conv
    from solvers.jpsro import JPSROPoint, JPSROState, jpsro

    process, name = request["process"], request["game"]
    run = functools.partial(jpsro, **_options(process))
    # Loads compiled code: the smallest game with as many players.
    warm = compile_open_spiel(f"kuhn_poker(players={request['num_players']})", cache=False)
    run(warm, max_iterations=3)
    begin = time.process_time()
    if request.get("remembers"):
        tree = compile_remembering(name)
    else:
        tree = compile_open_spiel(name, cache=False)
    emit(
        "start",
        startup_s=begin,
        tree_s=time.process_time() - begin,
        nodes=tree.num_nodes,
        terminals=tree.num_terminals,
        infosets=tree.num_infosets,
        payoff_range=tree.payoff_range,
    )

    def on_iteration(state: JPSROState, point: JPSROPoint) -> None:
        emit(
            "point",
            cpu_s=time.process_time() - begin,
            gap=point.gap,
            sizes=point.sizes,
            novel=point.novel,
            repeated=point.repeated,
        )

    state = run(
        tree,
        max_iterations=request["max_iterations"],
        tolerance=request["tolerance"],
        time_limit_s=request["limit_s"],
        on_iteration=on_iteration,
    )
    taken = {"solve_s": time.process_time() - begin, "peak_gib": _peak_gib()}
    if process == "psro":
        policy = _as_one_policy(tree, state)
        value = nash_conv(tree, policy).value
        emit("end", converged=state.converged, gap=value, **taken)
        emit("check", **_check_policy(tree, policy))
    else:
        emit("end", converged=state.converged, **_final(tree, state), **taken)
        general = tree.utility not in ("zero_sum", "constant_sum")
        if general and state.joint.size <= MAX_WELFARE_PROFILES:
            emit("welfare", **_greatest_welfare(tree, state))
        if not request.get("remembers"):
            emit("check", **_check_joint(tree, state))


def _peak_gib() -> float:
    """The most memory that this process has held so far."""
    # Kibibytes, but bytes on macOS.
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _options(process: str) -> dict[str, Any]:
    from solvers.meta.nash import solve_nash

    if process == "psro":
        return {"meta_solver": functools.partial(solve_nash, maximum_entropy=False)}
    repeats, ties = PROCESSES[process]
    return {"repeats": repeats, "ties": ties}


def _final(tree, state) -> dict[str, Any]:
    """The last joint and its population."""
    from solvers.correlated_gaps import correlated_gains

    found = correlated_gains(tree, state.plans, state.joint)
    by_seat = [np.moveaxis(state.payoffs, player, 0) for player in range(tree.num_players)]
    return {
        "gap": found.gap,
        "returns": found.on_policy_values.tolist(),
        "sizes": state.sizes,
        "distinct_plans": [len(np.unique(own, axis=0)) for own in state.plans],
        "distinct_payoffs": [
            len(np.unique(own.reshape(len(own), -1).round(PAYOFF_DECIMALS), axis=0))
            for own in by_seat
        ],
    }


def _greatest_welfare(tree, state) -> dict[str, Any]:
    """The CCE of greatest summed payoff among the strategies, measured in the whole game."""
    from solvers.correlated_gaps import correlated_gains
    from solvers.meta.registry import meta_solver
    from solvers.types import SolverError

    try:
        best = meta_solver("mwcce")(state.payoffs).joint
    except SolverError as error:
        return {"value": None, "gap": None, "error": str(error)}
    found = correlated_gains(tree, state.plans, best)
    return {"value": float(found.on_policy_values.sum()), "gap": found.gap, "error": None}


def _check_joint(tree, state) -> dict[str, Any]:
    from solvers.open_spiel_joint import check_joint

    begin = time.process_time()
    found = check_joint(tree, state.policies, state.joint, time_limit_s=CHECK_LIMIT_S)
    gains = np.subtract(found.openspiel_best_values, found.openspiel_on_policy_values)
    difference = max(
        np.abs(np.subtract(found.openspiel_best_values, found.best_values)).max(),
        np.abs(np.subtract(found.openspiel_on_policy_values, found.on_policy_values)).max(),
    )
    return {
        "method": found.method,
        "gap": float(np.maximum(gains, 0).sum()),
        "num_profiles": found.num_profiles,
        "mass": found.checked_mass,
        "difference": float(difference),
        "agrees": found.agrees,
        "cpu_s": time.process_time() - begin,
    }


def _as_one_policy(tree, state) -> np.ndarray:
    """The product of the seats' mixtures as one table."""
    from solvers.sequence_form import policy_from_plan

    marginals = (state.joint.sum(axis=1), state.joint.sum(axis=0))
    mixed = [m @ own for m, own in zip(marginals, state.plans, strict=True)]
    rows = [policy_from_plan(tree, plan) for plan in mixed]
    return np.where(tree.infoset_player[:, None] == 0, *rows)


def _check_policy(tree, policy) -> dict[str, Any]:
    import pyspiel

    from solvers.open_spiel_check import find_judge, open_spiel_table

    judge = find_judge(tree)
    found = pyspiel.nash_conv(judge.game, open_spiel_table(tree, judge, policy))
    return {"method": "pyspiel.nash_conv", "gap": found}


class _Enough(Exception):
    """The loop of OpenSpiel has run for as long as it was to."""


def run_open_spiel(request: Mapping[str, Any]) -> None:
    """Runs OpenSpiel's own JPSRO as its authors' example does."""
    from open_spiel.python.algorithms import jpsro as peer

    from games.open_spiel_tree import load_open_spiel

    evaluation = "mwcce"
    if request["process"] == "openspiel_exact":
        peer.FLAG_TO_FUNC["mgcce"] = _our_meta_solver
        # One profile, hence quick: what it is does not matter.
        evaluation = "rj"
    evaluating = _time_evaluation(peer, evaluation)
    game = load_open_spiel(request["game"]).turn_based
    begin = time.process_time()
    sizes = [1] * game.num_players()
    copies = list(sizes)

    def on_iteration(_, repeats, *rest):
        gains, checkpoint = rest[8][-1], rest[-1]
        now = [len(own) for own in repeats], [sum(own) for own in repeats]
        novel = sum(now[0]) - sum(sizes)
        elapsed_s = time.process_time() - begin
        emit(
            "point",
            cpu_s=elapsed_s - evaluating[0],
            gap=float(np.sum(gains)),
            sizes=tuple(sizes),
            novel=novel,
            repeated=sum(now[1]) - sum(copies) - novel,
        )
        sizes[:], copies[:] = now
        if elapsed_s > request["limit_s"]:
            raise _Enough
        return checkpoint

    emit("start", startup_s=begin)
    with contextlib.suppress(_Enough):
        peer.run_loop(
            game,
            request["game"],
            seed=1,
            # It runs one more than it is asked for.
            iterations=request["max_iterations"] - 1,
            eval_meta_solver=evaluation,
            callback=on_iteration,
        )
    solve_s = time.process_time() - begin - evaluating[0]
    emit("end", converged=False, solve_s=solve_s, evaluation_s=evaluating[0])


def _our_meta_solver(meta_game, per_player_repeats, ignore_repeats=False):
    """Our maximum-Gini CCE behind the signature of OpenSpiel's."""
    from solvers.meta.correlated import solve_correlated

    found = solve_correlated(
        np.moveaxis(meta_game, 0, -1),
        concept="cce",
        repeats=[np.array(own) for own in per_player_repeats],
    )
    return found.joint, {}


def _time_evaluation(peer, evaluation: str) -> list[float]:
    """Collects CPU seconds that the loop spends on its evaluation joint, in the one entry."""
    spent = [0.0]
    calls = [0]
    respond, solve = peer.find_best_response, peer.add_meta_dist

    def timed(function: Callable, *arguments):
        begin = time.process_time()
        result = function(*arguments)
        spent[0] += time.process_time() - begin
        return result

    def find_best_response(*arguments):
        # First for the joint that the population grows by, then for the other.
        calls[0] += 1
        return respond(*arguments) if calls[0] % 2 else timed(respond, *arguments)

    def add_meta_dist(*arguments):
        return timed(solve, *arguments) if arguments[2] == evaluation else solve(*arguments)

    peer.find_best_response, peer.add_meta_dist = find_best_response, add_meta_dist
    return spent


def main() -> int:
    """Runs the part that the first argument asks for."""
    request = json.loads(sys.argv[1])
    # Limits that also end what never comes back to Python. That on CPU time makes the clock of CPU
    # time tick in steps of some milliseconds, too coarse for ours.
    if request["side"] == "ours":
        signal.setitimer(signal.ITIMER_REAL, request["limit_s"] + GRACE_S)
        run_ours(request)
    else:
        limit = math.ceil(time.process_time() + request["limit_s"] + IMPORT_S)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        run_open_spiel(request)
    return 0


if __name__ == "__main__":
    sys.exit(main())
