"""Learns the responses of one iteration on the game tree, and keeps what was learned before.

Three losses are taken together, each over all information states (Liu et al. 2024, arXiv
2401.05133, section 3). *Respond*: the response head is drawn to the regularised greedy policy of
the exact action values that its own policy has against the mixture, as in `learners.exact`; no best
response is ever shown to it. *Distil*: the embedding of the new strategy is drawn to the response.
*Regularise*: earlier strategies stay where they were when the iteration began. Networks whose
responses become strategies as they are do not distil, and those that share nothing do not
regularise.
"""

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
    legal = jnp.asarray(tree.legal_mask)[:, :, None]
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
        own = jnp.asarray(tree.infoset_player)
        chosen, taught = some, jnp.take_along_axis(task.on_tree.frozen, some[own][:, None], axis=2)
        taught_weight = jnp.take_along_axis(task.on_tree.importance, some[own], axis=1) * share[own]
        if network.distils:
            of_new = jnp.take_along_axis(response, task.responder[own][:, None, None], axis=2)
            new_weight = jnp.take_along_axis(
                importance_of(passes, response, seat), task.responder[own][:, None], axis=1
            )
            new_weight = new_weight * task.distil[own][:, None]
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
        respond = _divergence(experience.signal, response, experience.weight, legal)
        teach = jnp.zeros(0)
        if experience.chosen.shape[1]:
            played = tables.strategies(params, experience.chosen)
            teach = _divergence(experience.taught, played, experience.taught_weight, legal)
        total = (respond.sum() + teach.sum()) / tree.num_players
        # What is not distilled has learned as much as its response.
        new = teach[:1] if network.distils else respond
        return total, {
            "train/loss": total,
            "train/response_divergence": respond.sum() / tree.num_players,
            "train/strategy_divergence": new.sum() / tree.num_players,
        }

    def update(
        state: LearnerState, experience: ResponseExperience, key: Any
    ) -> tuple[LearnerState, dict[str, Array]]:
        del key  # the whole tree is in every step

        def one_step(state: LearnerState, _: None) -> tuple[LearnerState, dict[str, Array]]:
            learned, since = _learned(state.params), state.step - experience.started
            gradient, metrics = jax.grad(loss, has_aux=True)(learned, state.params, experience)
            learned, opt_state = optimizer.apply(gradient, learned, state.optimizer, since)
            return LearnerState({**state.params, **learned}, opt_state, state.step + 1), metrics

        length = config.learner.updates_per_target
        state, metrics = jax.lax.scan(one_step, state, None, length=length)
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


@partial(jax.jit, static_argnames="passes")
def importance_of(
    passes: TreePasses, policy: Float[Array, "S A N"], seat: Float[Array | np.ndarray, "S P"]
) -> Float[Array, "S N"]:
    """How much strategies count at every information state; sums to 1 over each seat. Half by how
    their own play leads there, which is what payoffs depend on, and half everywhere.
    """
    own_reach = passes.plans(policy)[passes.infoset_parent]
    return 0.5 * (_normalise(own_reach, seat) + _normalise(jnp.ones_like(own_reach), seat))


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
    target: Float[Array, "S A N"],
    log_probs: Float[Array, "S A N"],
    weight: Float[Array, "S N"],
    legal: Bool[Array, "S A 1"],
) -> Float[Array, "N"]:
    """Weighted divergence of the policies from their targets, in nats; differentiable."""
    log_target = jnp.log(jnp.where(target > 0, target, 1.0))
    nats = jnp.sum(jnp.where(legal, target * (log_target - log_probs), 0.0), axis=1)
    return jnp.sum(weight * nats, axis=0)


def _normalise(
    reach: Float[Array, "S R"], seat: Float[Array | np.ndarray, "S P"]
) -> Float[Array, "S R"]:
    """Divides by the sum over each seat, so that every response counts alike."""
    return reach / jnp.maximum(seat @ (seat.T @ reach), TINY)
