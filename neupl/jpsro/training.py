"""NeuPL-JPSRO on one screen: respond to the joint, distil, regularise, solve (Liu et al. 2024,
arXiv 2401.05133; JPSRO: Marris et al. 2021, arXiv 2106.09435).

An iteration freezes a copy of the network. Every seat learns a response to the joint mixture of the
others as the copy plays them; what it has learned is distilled into a strategy, while the earlier
ones are rehearsed. When the responses have left little to gain and the earlier strategies are where
they were, the meta-game is measured and solved anew. A response that repeats a strategy refines it.
At an equilibrium responses break ties at random, since there may be a better one.
"""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from games.types import GameInfo
from neupl.config import Config
from neupl.jpsro.admission import admit
from neupl.jpsro.iteration import Inspection, choose_slots, cooled, inspect, task_of
from neupl.jpsro.meta_game import (
    MetaGame,
    advice_mixtures,
    better,
    measure_joint,
    plans_of,
    product_of_marginals,
    rank,
    rank_of,
    solve_meta_game,
    spread,
)
from neupl.jpsro.state import JointSnapshot, JointState
from neupl.jpsro.tables import ResponseTables
from neupl.training import TrainingError
from neupl.types import Learner
from solvers.meta.registry import MetaSolver

# The streams of the initial parameters and of learners that start over.
INIT_STREAM, RESTART_STREAM = 2**32 - 1, 2**32 - 3


@dataclasses.dataclass(frozen=True)
class JointProblem:
    """What is trained.

    Attributes:
      info: static facts of the game.
      config: of the run.
      tables: the network on the compiled game.
      learner: of responses.
      solver: the meta-solver.
      judge: solves for a second joint to be measured; `None` for none.
    """

    info: GameInfo
    config: Config
    tables: ResponseTables
    learner: Learner
    solver: MetaSolver
    judge: MetaSolver | None


# Called after every evaluation with the new state and the metrics of the line.
OnEvaluation = Callable[[JointState, dict[str, float]], None]


def train(problem: JointProblem, state: JointState, *, on_evaluation: OnEvaluation) -> JointState:
    """Runs iterations from `state` to the configured number of gradient steps.

    Raises:
      TrainingError: the loss or the policy is not finite.
      SolverError: the meta-game could not be solved.
    """
    learner, settings = problem.learner, problem.config.training
    run_key = jax.random.key(problem.config.seed)
    targets = settings.evaluate_every // learner.steps_per_update
    task = task_of(problem, state)
    while (step := int(state.learner.step)) < settings.steps:
        learner_state, task = state.learner, cooled(problem, state, task)
        for target in range(targets):
            key = jax.random.fold_in(jax.random.fold_in(run_key, step), target)
            collect_key, update_key = jax.random.split(key)
            experience = learner.collect(learner_state.params, task, collect_key)
            learner_state, metrics = learner.update(learner_state, experience, update_key)
        state = state._replace(learner=learner_state)
        try:
            found = inspect(problem, state, task, metrics)
        except FloatingPointError as error:
            raise TrainingError(
                f"{error} after {int(state.learner.step)} gradient steps; what was saved before is "
                "intact",
                hint="a smaller learner.learning_rate may help",
            ) from error
        line = {name: float(value) for name, value in metrics.items()} | found.metrics()
        if found.over:
            state, more = conclude(problem, state, found)
            line |= more
        elif found.ready and (state.slot < 0).any():
            state = choose_slots(problem, state, found)
        else:
            on_evaluation(state, line)
            continue
        task = task_of(problem, state)
        on_evaluation(state, line)
    return state


def initial_state(problem: JointProblem) -> JointState:
    """The population of strategy 0 alone, and its joint."""
    size, players = problem.config.population.size, problem.info.num_players
    key = jax.random.fold_in(jax.random.key(problem.config.seed), INIT_STREAM)
    learner = problem.learner.init(key)
    shape = (size,) * players
    mixtures = np.zeros((players, size, size ** (players - 1)))
    payoffs, alone = np.zeros((*shape, players)), np.zeros(shape)
    alone[(0,) * players] = 1.0
    responders = 1 if problem.config.jpsro.concept == "cce" else size
    nothing, nobody = np.zeros((players, responders)), np.zeros(players, np.int64)
    state = JointState(
        learner=learner,
        frozen=learner.params,
        sizes=np.ones(players, np.int64),
        payoffs=payoffs,
        joint=alone,
        best=nothing,
        follow=nothing,
        heard=nothing,
        slot=nobody,
        responder=nobody,
        novel=np.bool_(False),
        mixtures=mixtures,
        iteration=np.int64(0),
        started=np.int64(0),
        best_so_far=JointSnapshot(
            params=learner.params,
            sizes=np.ones(players, np.int64),
            joint=alone,
            judged=np.bool_(False),
            payoffs=payoffs,
            gains=np.full(players, np.inf),
            values=np.zeros(players),
            mixtures=mixtures,
            iteration=np.int64(0),
            step=np.int64(0),
        ),
    )
    plans = plans_of(problem.tables.tree, np.asarray(problem.tables.policies(learner.params)))
    return _measured(problem, state, plans)[0]


def conclude(
    problem: JointProblem, state: JointState, found: Inspection
) -> tuple[JointState, dict[str, float]]:
    """Ends an iteration: what was learned joins, the meta-game is solved, the best is kept."""
    joined = state.slot > 0
    sizes = np.maximum(state.sizes, np.where(joined, state.slot + 1, 0))
    mixtures, responded = (
        state.mixtures.copy(),
        advice_mixtures(state.joint, concept=problem.config.jpsro.concept)[0],
    )
    for player in np.flatnonzero(joined):
        chosen = responded[player, state.responder[player]]
        mixtures[player, state.slot[player]] = chosen
    stalled = bool((sizes == state.sizes).all())
    key = jax.random.fold_in(jax.random.key(problem.config.seed), RESTART_STREAM)
    # What is kept still has the responses that were learned, whatever the next ones start from.
    frozen, plans = admit(problem, state, found, mixtures=mixtures)
    learner = problem.learner.restart(
        state.learner._replace(params=frozen), 0, 0, jax.random.fold_in(key, int(state.iteration))
    )
    state = state._replace(learner=learner, sizes=sizes, mixtures=mixtures, frozen=frozen)
    return _measured(problem, state, plans, stalled=stalled)


def _measured(
    problem: JointProblem, state: JointState, plans: np.ndarray, *, stalled: bool = False
) -> tuple[JointState, dict[str, float]]:
    """The state at the beginning of an iteration: solved, measured, kept if it is the best."""
    config, tree = problem.config, problem.tables.tree
    size, players, settings = config.population.size, tree.num_players, config.jpsro
    game = solve_meta_game(
        tree, plans, state.sizes,
        concept=settings.concept, solver=problem.solver, judge=problem.judge,
    )  # fmt: skip
    nothing = settings.tolerance * tree.payoff_range
    idle = stalled or game.solved.gap <= nothing
    novel = {"always": True, "never": False, "equilibrium": idle}[settings.novelty]
    met = game.judged if novel and idle and game.judged is not None else game.solved
    if settings.coplayers == "product":
        own = [plans[:own_size] for own_size in state.sizes]
        alone = product_of_marginals(met.joint)
        met = measure_joint(tree, own, game.payoffs, alone, concept=settings.concept)
    joint = spread(met.joint, size, players)
    _, heard = advice_mixtures(joint, concept=settings.concept)
    best, follow = np.zeros_like(heard), np.zeros_like(heard)
    for player, deviations in enumerate(met.found.deviations):
        at = np.maximum(deviations.advice, 0)
        best[player, at] = deviations.best_values
        follow[player, at] = deviations.best_values - deviations.gains
    state = state._replace(
        payoffs=spread(game.payoffs, size, players),
        joint=joint,
        best=best,
        follow=follow,
        heard=heard,
        slot=np.full(players, -1, np.int64),
        responder=np.zeros(players, np.int64),
        novel=np.bool_(novel),
        iteration=state.iteration + 1,
        started=np.int64(state.learner.step),
    )
    state = _keep_best(state, game, nothing=nothing, size=size)
    return state, _metrics(state, game)


def _keep_best(state: JointState, game: MetaGame, *, nothing: float, size: int) -> JointState:
    chosen = better(game.solved, game.judged, nothing=nothing)
    kept = state.best_so_far
    known, earned = float(np.maximum(kept.gains, 0.0).sum()), float(kept.values.sum())
    if rank(chosen, nothing=nothing) <= rank_of(known, earned, nothing=nothing):
        return state
    snapshot = JointSnapshot(
        params=state.frozen,
        sizes=state.sizes,
        joint=spread(chosen.joint, size, chosen.joint.ndim),
        judged=np.bool_(chosen is game.judged),
        payoffs=state.payoffs,
        gains=chosen.found.gains,
        values=chosen.found.on_policy_values,
        mixtures=state.mixtures,
        iteration=state.iteration,
        step=np.int64(state.learner.step),
    )
    return state._replace(best_so_far=snapshot)


def _metrics(state: JointState, game: MetaGame) -> dict[str, float]:
    best = state.best_so_far
    line = {
        "eval/gap": game.solved.gap,
        "eval/welfare": game.solved.welfare,
        "eval/best_gap": float(np.maximum(best.gains, 0.0).sum()),
        "eval/best_welfare": float(best.values.sum()),
        "time/solve_s": game.solve_s,
        "population/iteration": int(state.iteration),
        "population/novel": int(state.novel),
    }
    if game.judged is not None:
        line |= {"eval/judged_gap": game.judged.gap, "eval/judged_welfare": game.judged.welfare}
    gains, values = game.solved.found.gains, game.solved.found.on_policy_values
    for player, (gain, value, own) in enumerate(zip(gains, values, state.sizes, strict=True)):
        line |= {f"eval/gain_{player}": float(gain), f"eval/value_{player}": float(value)}
        line[f"population/size_{player}"] = int(own)
    return line
