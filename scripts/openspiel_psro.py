"""Runs OpenSpiel's PSRO v2 and measures what it holds, outside of its own time.

`python openspiel_psro.py REQUEST` runs one solver in a process of its own. It prints a JSON object
per line: `start` once everything is loaded, `point` after every iteration, `end` after the last.
What was printed survives when the process is stopped from outside.

Seconds of a point are those that the solver took since it was made; loading of libraries and
measurements are not counted. The seed goes where OpenSpiel's example puts it, to NumPy; OpenSpiel
draws episodes of payoffs from Python's generator too, so that runs of one seed differ.
"""

import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyspiel
from open_spiel.python import policy as open_spiel_policy
from open_spiel.python import rl_environment
from open_spiel.python.algorithms.psro_v2 import best_response_oracle, meta_strategies, psro_v2
from open_spiel.python.algorithms.psro_v2 import rl_oracle as rl

from games.game_tree import GameTree
from games.open_spiel_tree import compile_open_spiel, representative_states
from solvers.gaps import gains_of_plan
from solvers.meta.nash import solve_nash
from solvers.open_spiel_check import check_mixture
from solvers.sequence_form import mix_plans, realization_plan

# Strategies beyond which OpenSpiel's own aggregation takes minutes.
CHECK_MAX_STRATEGIES = 40
# CPU seconds between two looks at the clock.
LOOK_EVERY_S = 0.1


def emit(kind: str, **content: Any) -> None:
    """Prints one line for the process that collects them."""
    print(json.dumps({"kind": kind} | content), file=sys.__stdout__, flush=True)


class Enough(Exception):
    """The solver has used up its CPU seconds."""


class SolverClock:
    """Counts the time of a solver, and ends it wherever it is when that is used up.

    Attributes:
      cpu_s: CPU seconds of the whole process while it ran.
      wall_s: the same by the clock on the wall.
    """

    def __init__(self, limit_s: float):
        self.cpu_s = self.wall_s = 0.0
        self._limit_s, self._end_s = limit_s, 0.0
        signal.signal(signal.SIGPROF, self._look)

    def _look(self, *_: object) -> None:
        # The timer counts coarsely, and an exception inside of a destructor would be lost: it
        # comes again and again, and the time is read here.
        if time.process_time() > self._end_s:
            raise Enough

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Counts what happens inside.

        Raises:
          Enough: `limit_s` CPU seconds have passed in all.
        """
        cpu, wall = time.process_time(), time.perf_counter()
        self._end_s = cpu + self._limit_s - self.cpu_s
        signal.setitimer(signal.ITIMER_PROF, LOOK_EVERY_S, LOOK_EVERY_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            self.cpu_s += time.process_time() - cpu
            self.wall_s += time.perf_counter() - wall
        if self.cpu_s > self._limit_s:
            raise Enough


class MeasuredPopulation:
    """The strategies of a solver as plans on our tree: each is asked once, when it is new."""

    def __init__(self, tree: GameTree, game: pyspiel.Game):
        self._tree = tree
        self._states = list(representative_states(game, tree))
        self._policies: list[np.ndarray] = []

    @property
    def policies(self) -> np.ndarray:
        """Strategy k of seat p is the rows of p's information states in slice k, `[K, S, A]`."""
        return np.stack(self._policies)

    def weights(self, solver: psro_v2.PSROSolver) -> np.ndarray:
        """Each seat's meta-strategy, `[P, K]`."""
        weights = np.stack(solver.get_meta_strategies())
        return weights / weights.sum(axis=1, keepdims=True)

    def nash_conv(self, solver: psro_v2.PSROSolver) -> float:
        """NashConv of the mixture of each seat's strategies by its meta-strategy."""
        by_seat = solver.get_policies()
        for strategy in zip(*(own[len(self._policies) :] for own in by_seat), strict=True):
            self._policies.append(self._table(strategy))
        plan = mix_plans(
            self._tree, realization_plan(self._tree, self.policies), self.weights(solver)
        )
        return float(gains_of_plan(self._tree, plan).sum())

    def _table(self, strategy: tuple[open_spiel_policy.Policy, ...]) -> np.ndarray:
        table = np.zeros((self._tree.num_infosets, self._tree.num_actions))
        for row, state in enumerate(self._states):
            player = state.current_player()
            for action, probability in strategy[player].action_probabilities(state, player).items():
                table[row, action] = probability
        # Networks give single precision.
        return table / table.sum(axis=1, keepdims=True)


def make_oracle(
    request: Mapping[str, Any], env: rl_environment.Environment
) -> tuple[Any, list[open_spiel_policy.Policy]]:
    """The oracle and the first strategy of each seat, as in OpenSpiel's example.

    What the request does not set has the example's default.
    """
    game = env.game
    if request["oracle"] == "br":
        uniform = open_spiel_policy.TabularPolicy(game)
        oracle = best_response_oracle.BestResponseOracle(game=game, policy=uniform)
        return oracle, [uniform.__copy__() for _ in range(game.num_players())]
    from open_spiel.python.algorithms.psro_v2 import rl_policy

    size, num_actions = env.observation_spec()["info_state"][0], env.action_spec()["num_actions"]
    options = {"num_actions": num_actions, "optimizer_str": "adam", "info_state_size": size}
    options["hidden_layers_sizes"] = [request["width"]] * request["layers"]
    options |= {"loss_str": "qpg", "loss_class": False, "entropy_cost": 0.001}
    options |= {"num_critic_before_pi": 8, "critic_learning_rate": 1e-2, "pi_learning_rate": 1e-3}
    options |= request.get("agent", {})
    agents = [rl_policy.PGPolicy(env, player, **options) for player in range(game.num_players())]
    for agent in agents:
        agent.freeze()
    oracle = rl.RLOracle(
        env,
        rl_policy.PGPolicy,
        options,
        number_training_episodes=request["episodes"],
        self_play_proportion=0.0,
        sigma=0.0,
    )
    return oracle, agents


def nash_method(failures: list[int]) -> Callable[..., Any]:
    """OpenSpiel's Nash meta-strategy, with ours where its program is not solved.

    OpenSpiel catches the error of its solver, ECOS, and goes on with `None`; `failures` counts.
    """

    def solve(solver: psro_v2.PSROSolver, return_joint: bool = False) -> Any:
        try:
            return meta_strategies.nash_strategy(solver, return_joint)
        except TypeError:
            failures[0] += 1
            payoffs = np.stack(solver.get_meta_game(), axis=-1)
            result = list(solve_nash(payoffs).marginals())
            joint = meta_strategies.get_joint_strategy_from_marginals(result)
            return (result, joint) if return_joint else result

    return solve


def run(request: Mapping[str, Any]) -> None:
    """Runs the solver to its time limit, its number of iterations or its NashConv."""
    np.random.seed(request["seed"])
    game = pyspiel.load_game(request["game"])
    tree = compile_open_spiel(request["game"])
    population = MeasuredPopulation(tree, game)
    clock, failures = SolverClock(request["limit_s"]), [0]
    meta = nash_method(failures) if request["meta"] == "nash" else request["meta"]
    emit("start", cpu_s=time.process_time())
    reason, iteration, weights = "limit", 0, None
    try:
        with clock.running():
            env = rl_environment.Environment(game)
            oracle, agents = make_oracle(request, env)
            solver = psro_v2.PSROSolver(
                game,
                oracle,
                initial_policies=agents,
                training_strategy_selector="probabilistic",
                rectifier="",
                sims_per_entry=request["sims"],
                number_policies_selected=1,
                meta_strategy_method=meta,
                sample_from_marginals=True,
            )
        while True:
            value, weights = population.nash_conv(solver), population.weights(solver)
            taken = {"cpu_s": clock.cpu_s, "wall_s": clock.wall_s}
            emit("point", iteration=iteration, nash_conv=value, **taken)
            if value <= request.get("until", -1.0):
                reason = "until"
                break
            if iteration == request.get("iterations"):
                reason = "iterations"
                break
            with clock.running():
                solver.iteration()
            iteration += 1
    except Enough:
        pass
    except Exception as error:  # a peer's failure is a finding of the comparison
        reason = f"{type(error).__name__}: {error}"
    # What was measured last: the solver itself may have been stopped half-way.
    checked = None
    if weights is not None and weights.shape[1] <= CHECK_MAX_STRATEGIES:
        found = check_mixture(tree, population.policies, weights)
        checked = {
            "nash_conv": found.nash_conv,
            "openspiel_nash_conv": found.openspiel_nash_conv,
            "agrees": found.agrees,
        }
    emit(
        "end",
        reason=reason,
        cpu_s=clock.cpu_s,
        wall_s=clock.wall_s,
        process_cpu_s=time.process_time(),
        unsolved_programs=failures[0],
        check=checked,
    )


def main() -> int:
    """Runs the part that the first argument asks for."""
    # OpenSpiel prints what it does.
    with contextlib.redirect_stdout(sys.stderr):
        run(json.loads(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
