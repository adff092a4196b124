"""NeuPL-JPSRO's loop as a `Trainable`: any number of seats, certified by the gap of a joint."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from games.game_tree import GameTree
from games.open_spiel_tree import observe_as_played
from games.registry import load_simulator, load_tree
from games.tree_walk import GameTooLargeError
from neupl.config import Config
from neupl.errors import UserError
from neupl.jpsro.exact_learner import make_response_learner
from neupl.jpsro.export import export_joint
from neupl.jpsro.networks import response_network
from neupl.jpsro.picture import save_joint_summary
from neupl.jpsro.ppo_learner import make_ppo_response_learner
from neupl.jpsro.state import JointState
from neupl.jpsro.tables import ResponseTables
from neupl.jpsro.training import JointProblem, initial_state, train
from neupl.jpsro.verification import JointVerification, verify_joint
from neupl.population import load_population
from neupl.problem import solver_for
from neupl.progress import Progress
from neupl.run import CERTIFICATE_FILE, SUMMARY_FILE, Run
from neupl.tabular_verification import announce
from neupl.trainable import OnEvaluation

# What of the first gap a run must have closed to have learned something.
LEAST_FALL = 0.1


class JointTrainer:
    """See `neupl.trainable.Trainable`."""

    def __init__(self, config: Config, *, quiet: bool = True) -> None:
        """Compiles the game.

        Raises:
          GameError: the game cannot be compiled.
          UserError: the configuration does not fit, or the game is too large for a tree and could
            be learned without one.
        """
        self.config = config
        _check(config)
        with Progress(f"compiling {config.game}", quiet=quiet, patience_s=1.0) as progress:
            try:
                tree = load_tree(
                    config.game,
                    max_nodes=config.max_nodes,
                    progress=lambda nodes: progress.update(nodes, None),
                )
            except GameTooLargeError as error:
                if config.learner.kind == "exact":
                    raise
                hint = "set evaluation.payoffs=sampled and graph.kind=psro, which need no tree"
                raise UserError(str(error), hint=hint) from error
        self.problem = make_joint_problem(config, tree)

    def initial_state(self) -> JointState:
        """See `Trainable`."""
        return initial_state(self.problem)

    def train(self, state: JointState, *, on_evaluation: OnEvaluation) -> JointState:
        """See `Trainable`."""
        return train(self.problem, state, on_evaluation=on_evaluation)

    def export(self, folder: Path, state: JointState) -> None:
        """See `Trainable`."""
        tables, best = self.problem.tables, state.best_so_far
        judge = self.config.jpsro.judge
        export_joint(
            folder,
            tree=tables.tree,
            config=self.config,
            best=best,
            policies=np.asarray(tables.policies(best.params)),
            meta_solver=judge if best.judged else solver_name(self.config),
        )

    def certify(self, run: Run, state: JointState, *, quiet: bool) -> JointVerification:
        """See `Trainable`."""
        self.export(run.population_path, state)
        tree = self.problem.tables.tree
        population = load_population(run.population_path)
        verification = verify_joint(
            population, tree, name=run.path.name, on_open_spiel=None if quiet else announce
        )
        run.write_json(CERTIFICATE_FILE, verification.to_json())
        run.report_path.mkdir(exist_ok=True)
        best, sizes = state.best_so_far, ", ".join(map(str, population.sizes))
        judge = self.config.jpsro.judge if best.judged else solver_name(self.config)
        values = ", ".join(f"{value:.4g}" for value in verification.values)
        save_joint_summary(
            run.report_path / SUMMARY_FILE,
            game=self.config.game,
            metrics=run.metrics(),
            joint=best.joint,
            certificate=verification.certificate,
            payoff_range=tree.payoff_range,
            note=f"by {judge} after {int(best.iteration)} iterations; strategies by seat: {sizes}; "
            f"values: {values}",
        )
        return verification

    def images(self, state: JointState) -> dict[str, bytes]:
        """Nothing: a joint of several seats is no matrix."""
        return {}

    def progress(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Gap and values after the last iteration, and what the present one has reached."""
        names = {
            "gap": "eval/gap",
            "best": "eval/best_gap",
            "welfare": "eval/best_welfare",
            "iteration": "population/iteration",
            "left": "train/response_left",
            "drift": "drift/payoff",
        }
        return {name: metrics[key] for name, key in names.items() if key in metrics}

    def shortfall(self, metrics: Sequence[Mapping[str, Any]]) -> str | None:
        """Whether the gap fell below that of strategy 0 alone, or the seats earned more in some
        iteration.
        """
        first = self.initial_state().best_so_far
        before, welfare = float(np.maximum(first.gains, 0.0).sum()), float(first.values.sum())
        measured = [line for line in metrics if "eval/best_gap" in line]
        after = measured[-1]["eval/best_gap"] if measured else before
        sums = [
            line[name]
            for line in measured
            for name in ("eval/welfare", "eval/judged_welfare")
            if line.get(name) is not None
        ]
        least = LEAST_FALL * self.problem.info.payoff_range
        if after < (1 - LEAST_FALL) * before or max(sums, default=welfare) > welfare + least:
            return None
        return (
            f"the best gap is {after:.4g} points, that of strategy 0 alone {before:.4g}, and no "
            "joint earns the seats more: the population has learned nothing"
        )


def make_joint_problem(config: Config, tree: GameTree) -> JointProblem:
    """The problem of one game; what plays episodes sees the tree as it is played."""
    if config.learner.kind != "exact":
        tree = observe_as_played(tree)
    network = response_network(
        config.network,
        config.jpsro.form,
        num_actions=tree.num_actions,
        num_players=tree.num_players,
        num_strategies=config.population.size,
    )
    tables = ResponseTables(tree, network, sink=tree.uniform_policy())
    concept = config.jpsro.concept
    responders = 1 if concept == "cce" else config.population.size
    if config.learner.kind == "exact":
        learner = make_response_learner(tables, config, responders)
    else:
        game = load_simulator(config.game)
        learner = make_ppo_response_learner(game, network, config, responders)
    judge, info = config.jpsro.judge, tree.info()
    return JointProblem(
        info=info,
        config=config,
        tables=tables,
        learner=learner,
        solver=solver_for(solver_name(config), info, key="graph.meta_solver", game=config.game),
        judge=None
        if judge == "none"
        else solver_for(judge, info, key="jpsro.judge", game=config.game),
    )


def solver_name(config: Config) -> str:
    """The meta-solver of a run."""
    name = config.graph.meta_solver
    if name == "auto":
        return "mgcce" if config.jpsro.concept == "cce" else "mgce"
    return name


def _check(config: Config) -> None:
    """Raises `UserError` for what this loop does not do."""
    if config.population.sink != "uniform" or config.population.symmetric:
        raise UserError(
            "graph.kind is 'jpsro', where strategy 0 of every seat plays all legal actions alike",
            hint="leave population.sink at uniform and population.symmetric at false",
        )
    if config.evaluation.payoffs not in ("auto", "exact"):
        raise UserError(
            f"evaluation.payoffs is {config.evaluation.payoffs!r}: graph.kind=jpsro solves and "
            "measures on the game tree, also where responses are learned from episodes",
            hint="leave evaluation.payoffs at auto, which is exact",
        )
    if config.learner.kind == "ppo":
        _check_ppo(config)


def _check_ppo(config: Config) -> None:
    if config.learner.mirror:
        raise UserError(
            f"learner.mirror is {config.learner.mirror:g}: graph.kind=jpsro takes 0 alone"
        )
    for key, value, only in (
        ("network.kind", config.network.kind, "conditional"),
        ("jpsro.form", config.jpsro.form, "distil"),
    ):
        if value != only:
            raise UserError(
                f"{key} is {value!r}: graph.kind=jpsro learns from episodes with {only} alone",
                hint="learner.kind=exact takes all",
            )
