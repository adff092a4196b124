"""NeuPL on one screen: train all admitted strategies, evaluate, admit the next one (arXiv
2202.07415, algorithm 1).

Two schedules of the same loop. `concurrent` is the paper's: every row of the graph trains from the
start and the graph follows the payoffs. `gated` admits a strategy once those before it are
near-best responses in their own regularised objective, and freezes its row; those before it go on
training or, by configuration, are held. When the population is full, the strategy with least weight
in the meta-strategy gets a new row, again and again. Strategies that are held stay where a frozen
copy of the network has them. A gated run ends by settling: the best population so far comes back,
and only the critic goes on learning, and answers to mixtures where the run asks for them.
"""

import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from games.types import GameInfo
from neupl.config import Config
from neupl.errors import UserError
from neupl.evaluation import Evaluation, Evaluator
from neupl.interaction_graph import (
    GROUNDED,
    SAME_ROW,
    first_equal_row,
    graph_rows,
    response_row,
)
from neupl.simplex_sampling import ask_mixtures
from neupl.temperature import temperatures, warmth_of_newest
from neupl.training_metrics import metrics_line
from neupl.training_state import Snapshot, TrainingState
from neupl.tree_population import TreePopulation
from neupl.types import Learner, Objective, Rows
from solvers.meta.registry import MetaSolver

log = logging.getLogger(__name__)

# The streams of the initial parameters, of the evaluations, of the measurement at the end and of
# networks that start over; the others are numbered by step.
INIT_STREAM, EVALUATION_STREAM, MEASUREMENT_STREAM, RESTART_STREAM = range(2**32 - 1, 2**32 - 5, -1)
# Of a step, the stream of the mixtures that are asked about.
MIXTURE_STREAM = 1

# Standard errors by which an estimate must be greater to count as greater: one-sided 95 %.
SURE = 1.645


class TrainingError(UserError):
    """Training cannot go on; what was saved before is intact."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is trained: a game, its learner, its meta-solver, and who evaluates.

    Attributes:
      info: static facts of the game.
      config: of the run.
      learner: trains the network.
      evaluator: evaluates the population, exactly or from episodes.
      solver: the meta-solver.
      tables: the population on the compiled game; `None` in runs that only play.
    """

    info: GameInfo
    config: Config
    learner: Learner
    evaluator: Evaluator
    solver: MetaSolver
    tables: TreePopulation | None


# Called after every evaluation with the new state and the metrics of the line.
OnEvaluation = Callable[[TrainingState, Evaluation, dict[str, float]], None]


def train(problem: Problem, state: TrainingState, *, on_evaluation: OnEvaluation) -> TrainingState:
    """Runs the population loop from `state` to the configured number of gradient steps.

    Raises:
      TrainingError: the loss or the policy is not finite.
      SolverError: the meta-game could not be solved.
    """
    learner, settings = problem.learner, problem.config.training
    run_key = jax.random.key(problem.config.seed)
    targets = settings.evaluate_every // learner.steps_per_update
    imitation_steps = problem.config.learner.imitation_steps
    evaluation = None
    while (step := int(state.learner.step)) < settings.all_steps:
        objective = objective_of(problem, state)
        learner_state, estimates = state.learner, state.estimates
        clock = _Clock()
        for target in range(targets):
            key = jax.random.fold_in(jax.random.fold_in(run_key, step), target)
            collect_key, update_key = jax.random.split(key)
            asked = with_mixtures(problem, state, objective, key)
            imitates = learner.imitation is not None and step + target < imitation_steps
            phase = learner.imitation if imitates else learner
            try:
                experience = phase.collect(learner_state.params, asked, collect_key)
            except FloatingPointError as error:
                raise _diverged(state, str(error)) from error
            clock.add("collect")
            learner_state, metrics = phase.update(learner_state, experience, update_key)
            clock.add("update")
            estimates = problem.evaluator.observe(estimates, experience)
        state = state._replace(learner=learner_state, estimates=estimates)
        state, evaluation = evaluate(problem, state)
        clock.add("evaluate")
        line = metrics_line(state, evaluation, metrics, exact=problem.evaluator.exact)
        if not np.isfinite(line["train/loss"]):
            raise _diverged(state, "the loss is not finite")
        if problem.config.learner.kind != "exact":
            # Exact learners hand their work to JAX and go on: their times would say nothing.
            line |= clock.seconds | {"time/solve_s": evaluation.solve_s}
        state = state._replace(payoffs=evaluation.payoffs)
        # Estimated gains mean something once the response that they are those of has been trained.
        newest = settings.keep == "newest"
        if newest or problem.evaluator.exact or turn_is_over(problem.config, state, evaluation):
            exact = problem.evaluator.exact
            state = keep_best(state, evaluation, exact=exact, newest=newest)
        state = admit(problem, state, evaluation)
        if np.isfinite(state.best.gains).all():
            name = "nash_conv" if problem.evaluator.exact else "estimated_gain"
            line[f"eval/best_{name}"] = float(state.best.gains.sum())
        on_evaluation(state, evaluation, line)
    if not np.isfinite(state.best.gains).all() and evaluation is not None:
        # Too short a run for any response to have had its time, or nobody who responds to others.
        state = state._replace(best=_snapshot(state, evaluation))
    return state._replace(best=_measured(problem, state.best))


class _Clock:
    """Wall-clock seconds by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def add(self, what: str) -> None:
        """Counts the time since the last call."""
        now = time.perf_counter()
        name = f"time/{what}_s"
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now


def _measured(problem: Problem, best: Snapshot) -> Snapshot:
    """The snapshot with its payoffs and meta-strategy as precise as they can be had."""
    key = jax.random.fold_in(jax.random.key(problem.config.seed), MEASUREMENT_STREAM)
    found = problem.evaluator.measure(
        best.params, rows_of(best.joint), num_admitted=int(best.num_admitted), key=key
    )
    if found is None:
        return best
    return best._replace(
        payoffs=found.payoffs,
        payoff_errors=found.errors,
        meta_strategy=found.meta_strategy,
        episodes=np.int64(found.episodes),
    )


def initial_state(problem: Problem) -> TrainingState:
    """The population before the first step: the sink and, when gated, the response to it."""
    config = problem.config
    num_strategies, num_players = config.population.size, problem.info.num_players
    learner = problem.learner.init(jax.random.fold_in(jax.random.key(config.seed), INIT_STREAM))
    payoffs = np.zeros((*(num_strategies,) * num_players, num_players))
    state = TrainingState(
        learner=learner,
        teacher=learner.params,
        joint=np.zeros((num_players, num_strategies, num_strategies ** (num_players - 1))),
        response_number=np.zeros(num_strategies, np.int64),
        respond=np.zeros(num_strategies),
        hold=np.zeros(num_strategies),
        num_admitted=np.int64(1),
        admitted_step=np.int64(0),
        payoffs=payoffs,
        estimates=problem.evaluator.begin(),
        best=Snapshot(
            params=learner.params,
            joint=np.zeros((num_players, num_strategies, num_strategies ** (num_players - 1))),
            meta_strategy=np.tile(np.eye(num_strategies)[0], (num_players, 1)),
            gains=np.full(num_players, np.inf),
            gains_error=np.float64(0),
            payoffs=payoffs,
            payoff_errors=payoffs,
            running_payoffs=payoffs,
            running_errors=payoffs,
            episodes=np.int64(0),
            num_admitted=np.int64(1),
            step=np.int64(0),
        ),
    )
    if is_gated(config):
        state, evaluation = evaluate(problem, state)
        state = state._replace(payoffs=evaluation.payoffs)
        return admit(problem, state, evaluation._replace(ready=True))
    trained = np.ones(num_strategies)
    if config.population.sink != "none":
        trained[0] = 0.0
    state = state._replace(
        num_admitted=np.int64(num_strategies),
        respond=trained,
        response_number=np.cumsum(trained).astype(np.int64),
    )
    state, evaluation = evaluate(problem, state)
    joint = graph_rows(config.graph, evaluation.payoffs, solver=problem.solver)
    return state._replace(joint=joint, payoffs=evaluation.payoffs)


def is_gated(config: Config) -> bool:
    """Whether strategies are admitted one by one; only grounded graphs can be."""
    return config.training.admission == "gated" and config.graph.kind in GROUNDED


def objective_of(problem: Problem, state: TrainingState) -> Objective:
    """The training task that the state stands for."""
    num_players = problem.info.num_players
    return Objective(
        rows=rows_of(state.joint),
        temperature=np.tile(
            temperatures(problem.config, state, payoff_range=problem.info.payoff_range),
            (num_players, 1),
        ),
        respond=np.tile(state.respond, (num_players, 1)).astype(np.float32),
        hold=np.tile(state.hold, (num_players, 1)).astype(np.float32),
        teacher=state.teacher,
    )


def with_mixtures(
    problem: Problem, state: TrainingState, objective: Objective, key: Any
) -> Objective:
    """The objective of one step: with random mixtures to respond to, where the run asks for them.

    Args:
      problem: what is trained.
      state: who is in the population.
      objective: the task of all steps.
      key: of the step, which it derives its own from.
    """
    config = problem.config
    if config.graph.simplex_share == 0:
        return objective
    seed = jax.random.key_data(jax.random.fold_in(key, MIXTURE_STREAM))
    return ask_mixtures(
        objective,
        np.random.default_rng(np.asarray(seed)),
        share=config.graph.simplex_share,
        number=config.graph.simplex_mixtures,
        num_admitted=int(state.num_admitted),
        symmetric=config.population.symmetric,
    )


def rows_of(joint: np.ndarray) -> Rows:
    """Rows with their identities, as the network takes them."""
    return Rows(joint.astype(np.float32), first_equal_row(joint))


def evaluate(problem: Problem, state: TrainingState) -> tuple[TrainingState, Evaluation]:
    """Evaluates the admitted strategies; the state keeps what the evaluator carries on."""
    key = jax.random.fold_in(jax.random.key(problem.config.seed), EVALUATION_STREAM)
    try:
        evaluation, estimates = problem.evaluator.evaluate(
            state.learner.params,
            objective_of(problem, state),
            state.estimates,
            num_admitted=int(state.num_admitted),
            newest=int(np.argmax(state.response_number)),
            key=jax.random.fold_in(key, int(state.learner.step)),
        )
    except FloatingPointError as error:
        raise _diverged(state, str(error)) from error
    return state._replace(estimates=estimates), evaluation


def keep_best(
    state: TrainingState, evaluation: Evaluation, *, exact: bool, newest: bool = False
) -> TrainingState:
    """Remembers the population if none before had a smaller NashConv, or always the `newest`
    (`training.keep`). Estimates decide only where
    they can: the newest population is kept unless its gain is shown to be greater than the best's.
    While nobody gets a new row an estimated gain is that of the same response, which has learned
    more since: the newest population is kept, as it is where nobody responds to anybody, and while
    a settled one learns to answer mixtures.
    """
    if newest or (state.hold.any() and not state.respond.any()):
        return state._replace(best=_snapshot(state, evaluation))
    error = float(np.hypot(evaluation.gains_error, state.best.gains_error))
    unknown = not np.isfinite(evaluation.gains).all()
    goes_on = not exact and (unknown or np.array_equal(state.best.joint, state.joint))
    if evaluation.nash_conv - SURE * error >= state.best.gains.sum() and not goes_on:
        return state
    return state._replace(best=_snapshot(state, evaluation))


def _snapshot(state: TrainingState, evaluation: Evaluation) -> Snapshot:
    errors = np.broadcast_to(evaluation.payoff_errors, evaluation.payoffs.shape)
    return Snapshot(
        params=state.learner.params,
        joint=state.joint,
        meta_strategy=evaluation.meta_strategy,
        gains=evaluation.gains,
        gains_error=np.float64(evaluation.gains_error),
        payoffs=evaluation.payoffs,
        payoff_errors=errors,
        running_payoffs=evaluation.payoffs,
        running_errors=errors,
        episodes=np.int64(0),
        num_admitted=state.num_admitted,
        step=np.int64(state.learner.step),
    )


def admit(problem: Problem, state: TrainingState, evaluation: Evaluation) -> TrainingState:
    """Admits or readmits a strategy if the gate is open; settles at the end of the run; refreshes
    the graph of a concurrent run.
    """
    config, settings = problem.config, problem.config.training
    if not is_gated(config):
        return state._replace(
            joint=graph_rows(config.graph, evaluation.payoffs, solver=problem.solver)
        )
    step = int(state.learner.step)
    settling = config.learner.kind == "exact" and settings.settle > 0
    if settling and step >= round((1 - settings.settle) * settings.steps):
        return _settle(state, answering=config.graph.simplex_share > 0)
    if settings.closing_steps and step >= settings.steps:
        return _close(state)
    if not turn_is_over(problem.config, state, evaluation):
        return _renew_row(problem, state, evaluation)
    num_admitted, predecessor = int(state.num_admitted), int(np.argmax(state.response_number))
    response = int(state.response_number.max()) + 1
    rehearse = settings.rehearse
    if num_admitted < config.population.size:
        if not evaluation.ready:
            _explain_wait(problem, state, evaluation)
        slot = num_admitted
    elif settings.readmit:
        slot = _least_used(state, evaluation)
        rehearse = False
    else:
        return state
    respond, hold = state.respond.copy(), state.hold.copy()
    if not rehearse:
        state = state._replace(teacher=state.learner.params)
        respond[:] = 0.0
        # A network of its own stays where it is.
        hold[1:num_admitted] = float(config.network.kind == "conditional")
    respond[slot], hold[slot] = 1.0, 0.0
    joint, response_number = state.joint.copy(), state.response_number.copy()
    joint[:, slot] = _new_row(problem, evaluation, slot, response)
    response_number[slot] = response
    key = jax.random.fold_in(jax.random.key(config.seed), RESTART_STREAM)
    key = jax.random.fold_in(key, response)
    return state._replace(
        learner=problem.learner.restart(state.learner, slot, predecessor, key),
        joint=joint,
        response_number=response_number,
        respond=respond,
        hold=hold,
        num_admitted=np.int64(max(num_admitted, slot + 1)),
        admitted_step=np.int64(step),
        estimates=problem.evaluator.restart(state.estimates, slot),
    )


def _new_row(problem: Problem, evaluation: Evaluation, slot: int, response: int) -> np.ndarray:
    """`[P, M]` what response number `response`, in `slot`, responds to.

    Those that fill the population respond to all before them. Of later ones, which take the place
    of another, every other one explores: exploration keeps the population broad, and the others
    close the current exploit.
    """
    size, graph = problem.config.population.size, problem.config.graph
    members = [k for k in range(slot if response < size else size) if k != slot]
    exploration = graph.exploration * (1 if response < size else response % 2)
    graph = dataclasses.replace(graph, exploration=exploration)
    return response_row(graph, evaluation.payoffs, members, solver=problem.solver)


def _renew_row(problem: Problem, state: TrainingState, evaluation: Evaluation) -> TrainingState:
    """Makes the row of the strategy that learns again when it has had the share of its turn that
    the run asks for, and if that makes it another one.
    """
    settings, response = problem.config.training, int(state.response_number.max())
    due = round(settings.renew_row * settings.most_steps(response))
    waited = int(state.learner.step) - int(state.admitted_step)
    if not (settings.renew_row and due <= waited < due + settings.evaluate_every):
        return state
    slot, joint = int(np.argmax(state.response_number)), state.joint.copy()
    joint[:, slot] = _new_row(problem, evaluation, slot, response)
    if np.abs(joint - state.joint).max() <= SAME_ROW:
        return state
    return state._replace(joint=joint, estimates=problem.evaluator.restart(state.estimates, slot))


def turn_is_over(config: Config, state: TrainingState, evaluation: Evaluation) -> bool:
    """Whether the strategies in training have had their time: they are ready, and have cooled, or
    they are overdue.
    """
    waited = int(state.learner.step) - int(state.admitted_step)
    most = config.training.most_steps(int(state.response_number.max()))
    return (evaluation.ready and warmth_of_newest(config, state) == 0) or waited >= most


def _close(state: TrainingState) -> TrainingState:
    """Lets all strategies respond to their rows, as they are, and holds nobody."""
    respond = (state.response_number > 0).astype(np.float64)
    return state._replace(respond=respond, hold=np.zeros_like(state.hold))


def _settle(state: TrainingState, *, answering: bool) -> TrainingState:
    """Goes back to the best population, once; from then on only the critic learns, and answers to
    mixtures while the strategies that are mixed are held.
    """
    if not state.respond.any():
        return state
    optimizer = state.learner.optimizer
    if not answering:
        # Without the momentum gathered elsewhere no policy moves; the schedule's step count stays.
        optimizer = jax.tree.map(
            lambda leaf: np.zeros_like(leaf) if np.issubdtype(leaf.dtype, np.floating) else leaf,
            optimizer,
        )
    nobody = np.zeros_like(state.respond)
    hold = nobody.copy()
    hold[1 : int(state.best.num_admitted)] = float(answering)
    return state._replace(
        learner=state.learner._replace(params=state.best.params, optimizer=optimizer),
        teacher=state.best.params,
        joint=state.best.joint,
        respond=nobody,
        hold=hold,
        num_admitted=state.best.num_admitted,
        payoffs=state.best.payoffs,
    )


def _least_used(state: TrainingState, evaluation: Evaluation) -> int:
    """The strategy with least weight over all seats, the oldest among equals; never the sink."""
    weight = np.round(evaluation.meta_strategy.sum(axis=0), 6)
    return int(np.lexsort((state.response_number[1:], weight[1:]))[0]) + 1


def _explain_wait(problem: Problem, state: TrainingState, evaluation: Evaluation) -> None:
    if not np.isfinite(evaluation.left):
        # Nobody has been evaluated often enough to say anything: a cap by choice.
        return
    alike = evaluation.member_distance < 0.02 and state.num_admitted > 2
    log.warning(
        "step %d: admitting a strategy after %d steps although one could still gain %.3g %s%s",
        int(state.learner.step),
        int(state.learner.step) - int(state.admitted_step),
        evaluation.left,
        problem.evaluator.unit,
        "; all strategies play alike: the network ignores its conditioning (try a larger "
        "network.embedding_size or network.use_index=true)"
        if alike
        else "",
    )


def _diverged(state: TrainingState, what: str) -> TrainingError:
    return TrainingError(
        f"{what} after {int(state.learner.step)} gradient steps; what was saved before is intact",
        hint="a smaller learner.learning_rate or learner.max_gradient_norm may help",
    )
