"""NeuPL-JPSRO on one screen: respond to the joint, distil, regularise, solve (Liu et al. 2024,
arXiv 2401.05133; JPSRO: Marris et al. 2021, arXiv 2106.09435).

An iteration freezes a copy of the network. Every seat learns a response to the joint mixture of the
others as the copy plays them; what it has learned is distilled into a strategy, while the earlier
ones are rehearsed. When the responses have left little to gain and the earlier strategies are where
they were, the meta-game is measured and solved anew. A response that repeats a strategy refines it.
At an equilibrium responses break ties at random, since there may be a better one.
"""

from collections.abc import Callable

import jax
import numpy as np

from neupl.jpsro.admission import admit
from neupl.jpsro.iteration import choose_slots, cooled, task_of
from neupl.jpsro.meta_game import advice_mixtures
from neupl.jpsro.state import JointSnapshot, JointState
from neupl.jpsro.types import Inspection, JointProblem
from neupl.training import TrainingError

# The streams of the initial parameters and of learners that start over.
INIT_STREAM, RESTART_STREAM = 2**32 - 1, 2**32 - 3


# Called after every evaluation with the new state and the metrics of the line.
OnEvaluation = Callable[[JointState, dict[str, float]], None]


def train(problem: JointProblem, state: JointState, *, on_evaluation: OnEvaluation) -> JointState:
    """Runs iterations from `state` to the configured number of gradient steps.

    Raises:
      TrainingError: the loss or the policy is not finite.
      SolverError: the meta-game could not be solved.
    """
    learner, evaluator = problem.learner, problem.evaluator
    settings = problem.config.training
    run_key = jax.random.key(problem.config.seed)
    targets = settings.evaluate_every // learner.steps_per_update
    task = task_of(problem, state)
    while (step := int(state.learner.step)) < settings.steps:
        learner_state, estimates = state.learner, state.estimates
        task = cooled(problem, state, task)
        for target in range(targets):
            key = jax.random.fold_in(jax.random.fold_in(run_key, step), target)
            collect_key, update_key = jax.random.split(key)
            experience = learner.collect(learner_state.params, task, collect_key)
            learner_state, metrics = learner.update(learner_state, experience, update_key)
            estimates = evaluator.observe(estimates, experience)
        state = state._replace(learner=learner_state, estimates=estimates)
        try:
            found = evaluator.inspect(problem, state, task, metrics)
        except FloatingPointError as error:
            raise TrainingError(
                f"{error} after {int(state.learner.step)} gradient steps; what was saved before is "
                "intact",
                hint="a smaller learner.learning_rate may help",
            ) from error
        state = state._replace(estimates=found.estimates)
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
    return state._replace(best_so_far=evaluator.finish(problem, state.best_so_far))


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
    estimates, estimated = problem.evaluator.begin(problem)
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
            estimated=estimated,
        ),
        estimates=estimates,
    )
    return problem.evaluator.open(problem, state, stalled=False)[0]


def conclude(
    problem: JointProblem, state: JointState, found: Inspection
) -> tuple[JointState, dict[str, float]]:
    """Ends an iteration: what was learned joins, the meta-game is solved, the best is kept."""
    state, line = problem.evaluator.close(problem, state, found)
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
    frozen = admit(problem.network, state, mixtures=mixtures)
    learner = problem.learner.restart(
        state.learner._replace(params=frozen), 0, 0, jax.random.fold_in(key, int(state.iteration))
    )
    state = state._replace(learner=learner, sizes=sizes, mixtures=mixtures, frozen=frozen)
    state, more = problem.evaluator.open(problem, state, stalled=stalled)
    return state, line | more
