"""Who trains, and for what: strategies are admitted, get new rows, are held and settle.

In a gated run a strategy is admitted once those before it are ready or overdue, with a row that the
meta-solver makes for it. In a concurrent run all train from the start, and the graph follows the
payoffs.
"""

import dataclasses
import logging

import jax
import numpy as np

from neupl.config import Config
from neupl.evaluation import Evaluation
from neupl.interaction_graph import GROUNDED, SAME_ROW, graph_rows, response_row
from neupl.temperature import warmth_of_newest
from neupl.training_problem import Problem
from neupl.training_state import TrainingState

log = logging.getLogger(__name__)

# Of a run, the stream of networks that start over, far from those that are numbered by step.
RESTART_STREAM = 2**32 - 4


def is_gated(config: Config) -> bool:
    """Whether strategies are admitted one by one; only grounded graphs can be."""
    return config.training.admission == "gated" and config.graph.kind in GROUNDED


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
