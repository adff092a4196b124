"""Inside an iteration of NeuPL-JPSRO: how it begins, its task, what its responses become."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from neupl.config import JPSROConfig
from neupl.jpsro.meta_game import advice_mixtures
from neupl.jpsro.state import JointState
from neupl.jpsro.task import ResponseTask
from neupl.jpsro.types import JointProblem
from neupl.temperature import warmth_after

MAGNET_STREAM = 2**32 - 2


def looks_for_something_new(settings: JPSROConfig, *, idle: bool) -> bool:
    """Whether responses break ties at random; `idle` where no seat gains, or nothing is new."""
    return {"always": True, "never": False, "equilibrium": idle}[settings.novelty]


def begun(
    state: JointState,
    *,
    payoffs: Float[np.ndarray, "..."],
    joint: Float[np.ndarray, "..."],
    best: Float[np.ndarray, "P R"],
    follow: Float[np.ndarray, "P R"],
    heard: Float[np.ndarray, "P R"],
    novel: bool,
) -> JointState:
    """The state at the beginning of an iteration; arguments are its attributes."""
    players = joint.ndim
    return state._replace(
        payoffs=payoffs,
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


def task_of(problem: JointProblem, state: JointState) -> ResponseTask:
    """The training task that the state stands for."""
    config = problem.config
    size, temperatures = config.population.size, temperatures_of(problem, state)
    mixtures, heard = advice_mixtures(state.joint, concept=config.jpsro.concept)
    admitted = np.arange(size) < state.sizes[:, None]
    held = admitted & (np.arange(size) != state.slot[:, None])
    held[:, 0] = False  # the sink is no work of the network
    return ResponseTask(
        mixtures=jnp.asarray(mixtures, jnp.float32),
        temperature=jnp.full(heard.shape, sum(temperatures), jnp.float32),
        magnet_share=_magnet_share(*temperatures),
        slot=jnp.asarray(np.maximum(state.slot, 0), jnp.int32),
        distil=jnp.asarray((state.slot > 0) & problem.network.distils, jnp.float32),
        responder=jnp.asarray(state.responder, jnp.int32),
        held=jnp.asarray(held, jnp.float32),
        started=jnp.asarray(state.started, jnp.int32),
        frozen_params=state.frozen,
        novel=jnp.asarray(state.novel, jnp.float32),
        magnet_key=jax.random.key_data(magnet_key(config.seed, int(state.iteration))),
        on_tree=problem.evaluator.tree_task(problem, state, mixtures),
    )


def cooled(problem: JointProblem, state: JointState, task: ResponseTask) -> ResponseTask:
    """The task at the temperature of the present step."""
    temperatures = temperatures_of(problem, state)
    return task._replace(
        temperature=jnp.full(task.temperature.shape, sum(temperatures), jnp.float32),
        magnet_share=_magnet_share(*temperatures),
    )


def temperatures_of(problem: JointProblem, state: JointState) -> tuple[float, float]:
    """How strongly responses are drawn to the magnet, and how strongly to even play on top of that,
    in game points per nat.

    The former falls from iteration to iteration. The latter, `temperature.warmth`, makes responses
    try everything when an iteration begins, and is gone when they are to become strategies.
    """
    config, payoff_range = problem.config, problem.info.payoff_range
    schedule = config.temperature
    share = max(schedule.scale / int(state.iteration) ** schedule.power, schedule.floor)
    waited = int(state.learner.step) - int(state.started)
    warm = 0.0 if (state.slot >= 0).all() else warmth_after(config, waited)
    return share * payoff_range, warm * payoff_range


def _magnet_share(drawn: float, warm: float) -> jax.Array:
    return jnp.asarray(drawn / (drawn + warm) if warm > 0 else 1.0, jnp.float32)


def magnet_key(seed: int, iteration: int) -> jax.Array:
    """The key from which the policy follows that breaks ties at random in an iteration."""
    key = jax.random.fold_in(jax.random.key(seed), MAGNET_STREAM)
    return jax.random.fold_in(key, iteration)


def choose_slots(problem: JointProblem, state: JointState, found: Any) -> JointState:
    """Decides what the response of every seat becomes: a strategy that it repeats is refined, else
    it is a new one; when there is no room, that of the strategy with least weight. What is not
    distilled takes the place of the strategy that it refines.
    """
    config, players = problem.config, problem.info.num_players
    slot, responder = state.slot.copy(), state.responder.copy()
    marginals = [
        state.joint.sum(axis=tuple(q for q in range(players) if q != player))
        for player in range(players)
    ]
    gained = problem.evaluator.gained(state, found)
    for player in range(players):
        # Under `ce`: the advice whose response gains most.
        worth = np.where(state.heard[player] > 0, gained[player], -np.inf)
        responder[player], size = int(np.argmax(worth)), int(state.sizes[player])
        apart = problem.evaluator.apart(
            problem, state, found, player=player, responder=int(responder[player])
        )
        nearest = int(np.argmin(apart))
        if apart[nearest] <= config.jpsro.repeat:
            slot[player] = nearest
        elif size < config.population.size:
            slot[player] = size
        elif config.training.readmit:
            slot[player] = 1 + int(np.argmin(marginals[player][1:]))
        else:
            slot[player] = 0
    return state._replace(slot=slot, responder=responder)
