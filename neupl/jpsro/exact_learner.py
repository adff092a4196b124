"""Learns the responses of one iteration on the game tree, and keeps what was learned before.

Three losses are taken together, each over all information states, or over some that are drawn by
their weight (`learner.sample`; Liu et al. 2024, arXiv 2401.05133, section 3). *Respond*: the
response head is drawn to the regularised greedy policy of the exact action values that its own
policy has against the mixture, as in `learners.exact`; no best response is ever shown to it.
*Distil*: the embedding of the new strategy is drawn to the response. *Regularise*: earlier
strategies stay where they were when the iteration began. Networks whose responses become strategies
as they are do not distil, and those that share nothing do not regularise.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from neupl.config import Config
from neupl.jit_once import jit_once
from neupl.jpsro.tables import ResponseTables
from neupl.jpsro.task import ResponseTask
from neupl.learners.drawn_states import draw_states
from neupl.learners.optimizer import Optimizer
from neupl.tree_population import COLDEST
from neupl.types import Learner, LearnerState
from solvers.tree_jax import TreePasses

# Where co-players let a seat arrive less than this often, as a share of how often uniform play
# does, what they play there is what is left of it in a network that avoids it: noise. Values fade
# to 0 there, so that responses have more entropy the less there is to respond to.
FAINT = 0.01
# Divides nothing by nothing.
TINY = 1e-12


class ResponseExperience(NamedTuple):
    """What one evaluation of the responses says to the gradient steps that follow.

    Attributes:
      mixtures: as in the task.
      started: as in the task.
      signal: `[S, A, R]` target probabilities of the responses.
      weight: `[S, R]` importance of each information state.
      chosen: `[P, N]` strategies that are to play `taught`: the new one where it is distilled, then
        some of those held.
      taught: `[S, A, N]` target probabilities.
      taught_weight: `[S, N]` importance of each information state.
    """

    mixtures: Float[Array, "P R M"]
    started: Int[Array, ""]
    signal: Float[Array, "S A R"]
    weight: Float[Array, "S R"]
    chosen: Int[Array, "P N"]
    taught: Float[Array, "S A N"]
    taught_weight: Float[Array, "S N"]


def make_response_learner(tables: ResponseTables, config: Config, num_responders: int) -> Learner:
    """Builds the learner of one game; its objectives are `ResponseTask`s.

    Args:
      tables: the network on the compiled game.
      config: learner and jpsro are read.
      num_responders: responses `R` that are learned at a time, per seat.
    """
    tree, passes, seat = tables.tree, tables.passes, tables.seat
    legal, owner = jnp.asarray(tree.legal_mask)[:, :, None], jnp.asarray(tree.infoset_player)
    network = tables.network
    rehearsed = min(config.jpsro.rehearsed, config.population.size) if network.shared else 0
    hold_weight = config.jpsro.hold_weight
    # Every iteration starts at full speed and ends slowly enough to stand still.
    optimizer = Optimizer(config, steps=config.training.max_steps_per_row)
    faint = FAINT * _reach_of_uniform_play(tables)

    def init(key: Any) -> LearnerState:
        params = tables.init(key, num_responders)
        return LearnerState(params, optimizer.init(_learned(params)), jnp.zeros((), jnp.int32))

    def collect(params: Any, task: ResponseTask, key: Any) -> ResponseExperience:
        response = tables.probabilities(tables.respond(params, task.mixtures))
        magnet = task.magnet_share * task.on_tree.magnet
        values = passes.action_values(task.on_tree.reach, response, task.temperature, magnet=magnet)
        q = values.action / jnp.maximum(values.reach, faint)[:, None]
        tau = jnp.maximum(seat @ task.temperature, COLDEST * tree.payoff_range)[:, None]
        signal = jax.nn.softmax(jnp.where(legal, q / tau + magnet, -jnp.inf), axis=1)
        # Some of the strategies that are held, others every time.
        noise = jax.random.gumbel(key, task.held.shape)
        score, some = jax.lax.top_k(jnp.where(task.held > 0, noise, -jnp.inf), rehearsed)
        present = jnp.isfinite(score).astype(jnp.float32)
        # Those that are rehearsed stand for all: every strategy counts like the new one.
        each = task.held.sum(axis=1) / jnp.maximum(present.sum(axis=1), 1.0)
        share = hold_weight * present * each[:, None]
        chosen, taught = (
            some,
            jnp.take_along_axis(task.on_tree.frozen, some[owner][:, None], axis=2),
        )
        taught_weight = (
            jnp.take_along_axis(task.on_tree.importance, some[owner], axis=1) * share[owner]
        )
        if network.distils:
            of_new = jnp.take_along_axis(response, task.responder[owner][:, None, None], axis=2)
            of_response = importance_of(passes, response, seat, off_path=config.jpsro.off_path)
            new_weight = jnp.take_along_axis(of_response, task.responder[owner][:, None], axis=1)
            new_weight = new_weight * task.distil[owner][:, None]
            chosen = jnp.concatenate([task.slot[:, None], some], axis=1)
            taught = jnp.concatenate([of_new, taught], axis=2)
            taught_weight = jnp.concatenate([new_weight, taught_weight], axis=1)
        # Half by reach, half everywhere: who deviates later will find out what is played there.
        spread = _normalise(jnp.ones_like(values.reach), seat)
        weight = 0.5 * (_normalise(values.reach, seat) + spread)
        return ResponseExperience(
            mixtures=task.mixtures,
            started=task.started,
            signal=signal,
            weight=weight / weight.shape[1],
            chosen=chosen,
            taught=taught,
            taught_weight=taught_weight,
        )

    def loss(
        learned: Any, variables: Any, experience: ResponseExperience
    ) -> tuple[Array, dict[str, Array]]:
        params = {**variables, **learned}
        response = tables.respond(params, experience.mixtures)
        nats = _divergence(experience.signal, response, legal)
        respond, teach = jnp.sum(experience.weight * nats), jnp.zeros(0)
        if experience.chosen.shape[1]:
            played = tables.strategies(params, experience.chosen)
            nats = _divergence(experience.taught, played, legal)
            teach = jnp.sum(experience.taught_weight * nats, axis=0)
        return summed(respond, teach)

    def drawn_loss(
        learned: Any, variables: Any, experience: ResponseExperience, key: Any
    ) -> tuple[Array, dict[str, Array]]:
        """An unbiased estimate of `loss`; a third of the draws for each of its three parts."""
        params, keys = {**variables, **learned}, jax.random.split(key, 3)

        def drawn(key: Any, target: Array, weight: Array, log_probs: Callable) -> Array:
            state, column = draw_states(key, weight, config.learner.sample // 3)
            played = log_probs(state, column)
            nats = _divergence(target[state, :, column], played, legal[state, :, 0])
            return weight.sum() * nats.mean()

        def response(state: Array, column: Array) -> Array:
            return tables.respond_drawn(params, experience.mixtures, state, column)

        def strategy(chosen: Array) -> Callable:
            return lambda state, column: tables.strategies_drawn(
                params, state, chosen[owner[state], column]
            )

        chosen, taught, weight = experience.chosen, experience.taught, experience.taught_weight
        respond = drawn(keys[0], experience.signal, experience.weight, response)
        new = drawn(keys[1], taught[:, :, :1], weight[:, :1], strategy(chosen[:, :1]))
        hold = drawn(keys[2], taught[:, :, 1:], weight[:, 1:], strategy(chosen[:, 1:]))
        return summed(respond, jnp.stack([new, hold]))

    def summed(respond: Array, teach: Float[Array, "N"]) -> tuple[Array, dict[str, Array]]:
        total = (respond + teach.sum()) / tree.num_players
        # What is not distilled has learned as much as its response.
        new = teach[0] if network.distils else respond
        return total, {
            "train/loss": total,
            "train/response_divergence": respond / tree.num_players,
            "train/strategy_divergence": new / tree.num_players,
        }

    def update(
        state: LearnerState, experience: ResponseExperience, key: Any
    ) -> tuple[LearnerState, dict[str, Array]]:
        def one_step(state: LearnerState, key: Any) -> tuple[LearnerState, dict[str, Array]]:
            learned, since = _learned(state.params), state.step - experience.started
            if config.learner.sample:
                of_step = jax.grad(drawn_loss, has_aux=True)
                gradient, metrics = of_step(learned, state.params, experience, key)
            else:
                gradient, metrics = jax.grad(loss, has_aux=True)(learned, state.params, experience)
            learned, opt_state = optimizer.apply(gradient, learned, state.optimizer, since)
            return LearnerState({**state.params, **learned}, opt_state, state.step + 1), metrics

        keys = jax.random.split(key, config.learner.updates_per_target)
        state, metrics = jax.lax.scan(one_step, state, keys)
        if config.learner.sample:
            return state, jax.tree.map(jnp.mean, metrics)
        return state, jax.tree.map(lambda x: x[-1], metrics)

    def restart(state: LearnerState, strategy: int, predecessor: int, key: Any) -> LearnerState:
        del strategy, predecessor  # all seats start over together
        params = state.params
        if not network.distils and config.network.kind != "continued":
            params = network.renewed(params, draw(key))
        # Gradients were small at the end of the last iteration: what Adam knows of their size would
        # make the first steps of this one too long.
        return state._replace(params=params, optimizer=begin_optimizer(params))

    @jit_once
    def draw(key: Any) -> Any:
        return tables.init(key, num_responders)

    @jit_once
    def begin_optimizer(params: Any) -> Any:
        return optimizer.init(_learned(params))

    return Learner(
        init=jit_once(init),
        collect=jax.jit(collect),
        update=jax.jit(update),
        restart=restart,
        steps_per_update=config.learner.updates_per_target,
    )


@partial(jax.jit, static_argnames=("passes", "off_path"))
def importance_of(
    passes: TreePasses,
    policy: Float[Array, "S A N"],
    seat: Float[Array | np.ndarray, "S P"],
    *,
    off_path: float,
) -> Float[Array, "S N"]:
    """How much strategies count at every information state; sums to 1 over each seat. By how their
    own play leads there, which is what payoffs depend on, and a share of `off_path` everywhere.
    """
    own_reach = passes.plans(policy)[passes.infoset_parent]
    everywhere = _normalise(jnp.ones_like(own_reach), seat)
    return (1 - off_path) * _normalise(own_reach, seat) + off_path * everywhere


def _learned(variables: Any) -> dict[str, Any]:
    """Those that gradient steps move; what else there is belongs to strategies as they are."""
    return {"params": variables["params"]}


def _reach_of_uniform_play(tables: ResponseTables) -> Float[np.ndarray, "S 1"]:
    """How often chance and uniform co-players let each information state happen, if its owner goes
    there.
    """
    tree, passes = tables.tree, tables.passes
    alone, nothing = jnp.ones((tree.num_players, 1, 1)), jnp.zeros((tree.num_players, 1))

    @jit_once
    def reach_of(policy: Float[Array, "S A 1"]) -> Float[Array, "S 1"]:
        reach = passes.coplayer_reach(passes.plans(policy), alone)
        return passes.action_values(reach, policy, nothing).reach

    uniform = jnp.asarray(tree.uniform_policy(), jnp.float32)[:, :, None]
    return np.maximum(np.asarray(reach_of(uniform)), TINY)


def _divergence(
    target: Float[Array, "S A ..."],
    log_probs: Float[Array, "S A ..."],
    legal: Bool[Array, "S A ..."],
) -> Float[Array, "S ..."]:
    """Divergence of the policies from their targets, in nats; differentiable."""
    log_target = jnp.log(jnp.where(target > 0, target, 1.0))
    return jnp.sum(jnp.where(legal, target * (log_target - log_probs), 0.0), axis=1)


def _normalise(
    reach: Float[Array, "S R"], seat: Float[Array | np.ndarray, "S P"]
) -> Float[Array, "S R"]:
    """Divides by the sum over each seat, so that every response counts alike."""
    return reach / jnp.maximum(seat @ (seat.T @ reach), TINY)
