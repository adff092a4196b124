"""Inside an iteration of NeuPL-JPSRO: its task, how far it has come, what its responses become."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Float64

from games.game_tree import GameTree
from neupl.jpsro.exact_learner import importance_of
from neupl.jpsro.meta_game import advice_mixtures, plans_of
from neupl.jpsro.state import JointState
from neupl.jpsro.task import ResponseTask
from solvers.sequence_form import sequence_form
from solvers.values import payoffs_of_plans

if TYPE_CHECKING:
    from neupl.jpsro.training import JointProblem

MAGNET_STREAM = 2**32 - 2


@dataclasses.dataclass(frozen=True, eq=False)
class Inspection:
    """How far an iteration has come, exactly.

    Attributes:
      plans: `[K, Q]` of all strategies as they play now.
      responses: `[R, Q]` of the responses.
      response_left: `[P, R]` what the responses could still gain, in game points.
      strategy_left: `[P]` what the strategies could that they become.
      payoff_drift: largest change of a payoff between earlier strategies, in game points.
      divergence: `[P, K]` of earlier strategies from what they were, nats per information state.
      ready: whether the responses are good enough to become strategies.
      over: whether the iteration is.
    """

    plans: Float64[np.ndarray, "K Q"]
    responses: Float64[np.ndarray, "R Q"]
    response_left: Float64[np.ndarray, "P R"]
    strategy_left: Float64[np.ndarray, "P"]
    payoff_drift: float
    divergence: Float64[np.ndarray, "P K"]
    ready: bool
    over: bool

    def metrics(self) -> dict[str, float]:
        """What is logged of it."""
        return {
            "train/response_left": float(self.response_left.max()),
            "train/strategy_left": float(self.strategy_left.max()),
            "drift/payoff": self.payoff_drift,
            "drift/divergence": float(self.divergence.max()),
        }


def task_of(problem: "JointProblem", state: JointState) -> ResponseTask:
    """The training task that the state stands for."""
    config, tables = problem.config, problem.tables
    size, temperatures = config.population.size, temperatures_of(problem, state)
    mixtures, heard = advice_mixtures(state.joint, concept=config.jpsro.concept)
    policies = tables.policies(state.frozen)
    frozen = jnp.transpose(policies, (1, 2, 0))
    admitted = np.arange(size) < state.sizes[:, None]
    held = admitted & (np.arange(size) != state.slot[:, None])
    held[:, 0] = False  # the sink is no work of the network
    return ResponseTask(
        mixtures=jnp.asarray(mixtures, jnp.float32),
        reach=tables.coplayer_reach(policies, jnp.asarray(mixtures, jnp.float32)),
        temperature=jnp.full(heard.shape, sum(temperatures), jnp.float32),
        magnet_share=_magnet_share(*temperatures),
        magnet=_magnet(problem, state, heard.shape[1]),
        slot=jnp.asarray(np.maximum(state.slot, 0), jnp.int32),
        distil=jnp.asarray((state.slot > 0) & tables.network.distils, jnp.float32),
        responder=jnp.asarray(state.responder, jnp.int32),
        held=jnp.asarray(held, jnp.float32),
        frozen=frozen,
        importance=importance_of(tables.passes, frozen, tables.seat),
        started=jnp.asarray(state.started, jnp.int32),
        frozen_params=state.frozen,
        novel=jnp.asarray(state.novel, jnp.float32),
        magnet_key=magnet_key(config.seed, int(state.iteration)),
    )


def cooled(problem: "JointProblem", state: JointState, task: ResponseTask) -> ResponseTask:
    """The task at the temperature of the present step."""
    temperatures = temperatures_of(problem, state)
    return task._replace(
        temperature=jnp.full(task.temperature.shape, sum(temperatures), jnp.float32),
        magnet_share=_magnet_share(*temperatures),
    )


def temperatures_of(problem: "JointProblem", state: JointState) -> tuple[float, float]:
    """How strongly responses are drawn to the magnet, and how strongly to even play on top of that,
    in game points per nat.

    The former falls from iteration to iteration. The latter, `jpsro.warmth`, makes responses try
    everything when an iteration begins, and is gone when they are to become strategies.
    """
    config, payoff_range = problem.config, problem.info.payoff_range
    schedule = config.temperature
    share = max(schedule.scale / int(state.iteration) ** schedule.power, schedule.floor)
    waited = int(state.learner.step) - int(state.started)
    warm = max(0.0, 1.0 - waited / (config.training.max_steps_per_row / 2))
    if (state.slot >= 0).all():
        warm = 0.0
    return share * payoff_range, config.jpsro.warmth * warm * payoff_range


def _magnet_share(drawn: float, warm: float) -> jax.Array:
    return jnp.asarray(drawn / (drawn + warm) if warm > 0 else 1.0, jnp.float32)


def _magnet(problem: "JointProblem", state: JointState, num_responders: int) -> jax.Array:
    """`[S, A, R]` log-probabilities of the policy that breaks ties, or 0 where they share."""
    tree, settings = problem.tables.tree, problem.config.jpsro
    shape = (tree.num_infosets, tree.num_actions, num_responders)
    legal = tree.legal_mask[:, :, None]
    if state.novel:
        logits = jax.random.normal(magnet_key(problem.config.seed, int(state.iteration)), shape)
    elif settings.ties == "lowest":
        logits = jnp.broadcast_to(-jnp.cumsum(legal, axis=1, dtype=jnp.float32), shape)
    else:
        return jnp.zeros(shape)
    log_probs = jax.nn.log_softmax(jnp.where(legal, settings.magnet * logits, -jnp.inf), axis=1)
    return jnp.where(legal, log_probs, 0.0)


def magnet_key(seed: int, iteration: int) -> jax.Array:
    """The key from which the policy follows that breaks ties at random in an iteration."""
    key = jax.random.fold_in(jax.random.key(seed), MAGNET_STREAM)
    return jax.random.fold_in(key, iteration)


def inspect(
    problem: "JointProblem",
    state: JointState,
    task: ResponseTask,
    metrics: Mapping[str, Any],
) -> Inspection:
    """Measures strategies and responses against the frozen co-players.

    Args:
      problem: what is trained.
      state: with the parameters to be measured.
      task: of this iteration.
      metrics: of the learner's last update; the divergences are read.

    Raises:
      FloatingPointError: a probability is not finite.
    """
    tables, settings = problem.tables, problem.config.jpsro
    tree = tables.tree
    policies = np.asarray(tables.policies(state.learner.params))
    plans = plans_of(tree, policies)
    responses = plans_of(tree, np.asarray(tables.responses(state.learner.params, task.mixtures)))
    mixtures, _ = advice_mixtures(state.joint, concept=settings.concept)
    frozen = plans_of(tree, np.transpose(np.asarray(task.frozen), (2, 0, 1)))
    response_left = np.zeros_like(state.best)
    strategy_left = np.zeros(tree.num_players)
    for player in range(tree.num_players):
        responder = state.responder[player]
        strategy = responses[responder]
        if tables.network.distils:
            strategy = plans[np.maximum(state.slot[player], 0)]
        own = np.concatenate([responses, strategy[None]])
        earned = _earned(tree, player, own, frozen, mixtures[player])
        every = np.arange(len(responses))
        best, heard = state.best[player], state.heard[player]
        response_left[player] = best - heard * earned[every, every]
        strategy_left[player] = best[responder] - heard[responder] * earned[-1, responder]
    kept = [plans[:size] for size in state.sizes]
    now = payoffs_of_plans(tree, kept)
    before = state.payoffs[tuple(slice(size) for size in state.sizes)]
    held = np.asarray(task.held) > 0
    held[:, 0] = True
    still = [held[player, :size] for player, size in enumerate(state.sizes)]
    payoff_drift = float(np.abs((now - before)[np.ix_(*still)]).max())
    waited = int(state.learner.step) - int(state.started)
    cap = problem.config.training.max_steps_per_row
    if problem.config.learner.kind == "exact":
        fits = metrics["train/response_divergence"] <= settings.fit
        learned = metrics["train/strategy_divergence"] <= settings.fit
    else:
        may_miss = settings.shortfall * (state.best - state.follow)
        may_miss = np.maximum(may_miss, settings.tolerance * tree.payoff_range)
        chosen = np.arange(tree.num_players), state.responder
        fits = bool((response_left <= may_miss).all())
        learned = bool((strategy_left <= may_miss[chosen]).all())
    ready = fits or waited >= cap / 2
    decided = (state.slot >= 0).all()
    steady = payoff_drift <= settings.drift * tree.payoff_range
    return Inspection(
        plans=plans,
        responses=responses,
        response_left=response_left,
        strategy_left=strategy_left,
        payoff_drift=payoff_drift,
        divergence=_divergence(tree, np.asarray(task.frozen), policies, task, held),
        ready=bool(ready),
        over=bool(decided and ((learned and steady) or waited >= cap)),
    )


def choose_slots(problem: "JointProblem", state: JointState, found: Inspection) -> JointState:
    """Decides what the response of every seat becomes: a strategy that it repeats is refined, else
    it is a new one; when there is no room, that of the strategy with least weight. What is not
    distilled takes the place of the strategy that it refines.
    """
    tree, config = problem.tables.tree, problem.config
    form = sequence_form(tree)
    slot, responder = state.slot.copy(), state.responder.copy()
    marginals = [
        state.joint.sum(axis=tuple(q for q in range(tree.num_players) if q != player))
        for player in range(tree.num_players)
    ]
    for player in range(tree.num_players):
        # Under `ce`: the advice whose response gains most.
        gained = state.best[player] - found.response_left[player] - state.follow[player]
        responder[player] = int(np.argmax(np.where(state.heard[player] > 0, gained, -np.inf)))
        own, size = form.owner == player, int(state.sizes[player])
        response = found.responses[responder[player]]
        apart = np.abs(found.plans[:size, own] - response[own]).max(axis=1)
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


def _earned(
    tree: GameTree,
    player: int,
    own: Float[np.ndarray, "N Q"],
    frozen: Float[np.ndarray, "K Q"],
    mixtures: Float[np.ndarray, "R M"],
) -> Float64[np.ndarray, "N R"]:
    """What plans of a seat earn against mixtures of the frozen co-players, in game points."""
    drawn = np.flatnonzero(mixtures.any(axis=0))
    shape = (len(frozen),) * (tree.num_players - 1)
    others = [np.unique(k) for k in np.unravel_index(drawn, shape)]
    weights = mixtures.reshape(len(mixtures), *shape)[(slice(None), *np.ix_(*others))]
    seats = [frozen[k] for k in others]
    payoffs = payoffs_of_plans(tree, [*seats[:player], own, *seats[player:]])[..., player]
    table = np.moveaxis(payoffs, player, 0).reshape(len(own), -1)
    return table @ weights.reshape(len(mixtures), -1).T


def _divergence(
    tree: GameTree,
    frozen: Float[np.ndarray, "S A K"],
    policies: Float[np.ndarray, "K S A"],
    task: ResponseTask,
    held: Bool[np.ndarray, "P K"],
) -> Float64[np.ndarray, "P K"]:
    """KL of every held strategy from its frozen copy, by importance."""
    now = np.transpose(policies, (1, 2, 0)).astype(np.float64)
    before = frozen.astype(np.float64)
    ratio = np.where(before > 0, before / np.maximum(now, 1e-30), 1.0)
    per_state = (before * np.log(ratio)).sum(axis=1) * np.asarray(task.importance)
    total = np.zeros(held.shape)
    np.add.at(total, tree.infoset_player, per_state)
    return np.where(held, total, 0.0)
