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

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from neupl.admission import admit, is_gated, turn_is_over
from neupl.errors import UserError
from neupl.evaluation import Evaluation
from neupl.interaction_graph import graph_rows
from neupl.selection import keep_best, snapshot
from neupl.simplex_sampling import ask_mixtures
from neupl.training_metrics import metrics_line
from neupl.training_problem import Problem, objective_of, rows_of
from neupl.training_state import Snapshot, TrainingState
from neupl.types import Objective

# The streams of the initial parameters, of the evaluations, of the measurement at the end and of
# the choice of the mixture; the others are numbered by step, but for that of networks that start
# over (`neupl.admission`).
INIT_STREAM, EVALUATION_STREAM, MEASUREMENT_STREAM = range(2**32 - 1, 2**32 - 4, -1)
CHOICE_STREAM = 2**32 - 5
# Of a step, the stream of the mixtures that are asked about.
MIXTURE_STREAM = 1


class TrainingError(UserError):
    """Training cannot go on; what was saved before is intact."""


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
        state = state._replace(best=snapshot(state, evaluation))
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


def _diverged(state: TrainingState, what: str) -> TrainingError:
    return TrainingError(
        f"{what} after {int(state.learner.step)} gradient steps; what was saved before is intact",
        hint="a smaller learner.learning_rate or learner.max_gradient_norm may help",
    )
