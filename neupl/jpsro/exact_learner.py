"""Learns the responses of one iteration on the game tree, and keeps what was learned before.

Three losses are taken together, each over all information states (Liu et al. 2024, arXiv
2401.05133, section 3). *Respond*: the response head is drawn to the regularised greedy policy of
the exact action values that its own policy has against the mixture, as in `learners.exact`; no best
response is ever shown to it. *Distil*: the embedding of the new strategy is drawn to the response.
*Regularise*: earlier strategies stay where they were when the iteration began.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from neupl.config import Config
from neupl.jpsro.tables import ResponseTables
from neupl.jpsro.task import ResponseTask
from neupl.learners.optimizer import Optimizer
from neupl.tree_population import COLDEST
from neupl.types import Learner, LearnerState
from solvers.tree_jax import TreePasses

# Below this reach an information state cannot matter, and values conditioned on it are noise.
MIN_REACH = 1e-9


class ResponseExperience(NamedTuple):
    """What one evaluation of the responses says to the gradient steps that follow.

    Attributes:
      mixtures: as in the task.
      signal: `[S, A, R]` target probabilities of the responses.
      weight: `[S, R]` importance of each information state.
      chosen: `[P, N]` strategies that are to play `taught`: the new one, then some of those held.
      taught: `[S, A, N]` target probabilities.
      taught_weight: `[S, N]` importance of each information state.
    """

    mixtures: Float[Array, "P R M"]
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
    rehearsed = min(config.jpsro.rehearsed, config.population.size)
    hold_weight = config.jpsro.hold_weight
    optimizer = Optimizer(config)

    def init(key: Any) -> LearnerState:
        params = tables.init(key, num_responders)
        return LearnerState(params, optimizer.init(params), jnp.zeros((), jnp.int32))

    def collect(params: Any, task: ResponseTask, key: Any) -> ResponseExperience:
        response = tables.probabilities(tables.respond(params, task.mixtures))
        values = passes.action_values(task.reach, response, task.temperature, magnet=task.magnet)
        q = values.action / jnp.maximum(values.reach, MIN_REACH)[:, None]
        tau = jnp.maximum(seat @ task.temperature, COLDEST * tree.payoff_range)[:, None]
        signal = jax.nn.softmax(jnp.where(legal, q / tau + task.magnet, -jnp.inf), axis=1)
        # Some of the strategies that are held, others every time.
        noise = jax.random.gumbel(key, task.held.shape)
        score, some = jax.lax.top_k(jnp.where(task.held > 0, noise, -jnp.inf), rehearsed)
        present = jnp.isfinite(score).astype(jnp.float32)
        share = hold_weight * present / jnp.maximum(present.sum(axis=1, keepdims=True), 1.0)
        chosen = jnp.concatenate([task.slot[:, None], some], axis=1)
        own = jnp.asarray(tree.infoset_player)
        of_new = jnp.take_along_axis(response, task.responder[own][:, None, None], axis=2)
        of_held = jnp.take_along_axis(task.frozen, some[own][:, None], axis=2)
        weight = _normalise(values.reach, seat)
        new_weight = jnp.take_along_axis(
            importance_of(passes, response, seat), task.responder[own][:, None], axis=1
        )
        held_weight = jnp.take_along_axis(task.importance, some[own], axis=1) * share[own]
        return ResponseExperience(
            mixtures=task.mixtures,
            signal=signal,
            weight=weight / weight.shape[1],
            chosen=chosen,
            taught=jnp.concatenate([of_new, of_held], axis=2),
            taught_weight=jnp.concatenate(
                [new_weight * task.distil[own][:, None], held_weight], axis=1
            ),
        )

    def loss(params: Any, experience: ResponseExperience) -> tuple[Array, dict[str, Array]]:
        response = tables.respond(params, experience.mixtures)
        played = tables.strategies(params, experience.chosen)
        respond_loss = _cross_entropy(experience.signal, response, experience.weight, legal)
        hold_loss = _cross_entropy(experience.taught, played, experience.taught_weight, legal)
        total = (respond_loss + hold_loss) / tree.num_players
        return total, {"train/loss": total, "train/respond_loss": respond_loss / tree.num_players}

    def update(
        state: LearnerState, experience: ResponseExperience, key: Any
    ) -> tuple[LearnerState, dict[str, Array]]:
        del key  # the whole tree is in every step

        def one_step(state: LearnerState, _: None) -> tuple[LearnerState, dict[str, Array]]:
            gradient, metrics = jax.grad(loss, has_aux=True)(state.params, experience)
            params, opt_state = optimizer.apply(gradient, state.params, state.optimizer, state.step)
            return LearnerState(params, opt_state, state.step + 1), metrics

        length = config.learner.updates_per_target
        state, metrics = jax.lax.scan(one_step, state, None, length=length)
        return state, jax.tree.map(lambda x: x[-1], metrics)

    return Learner(
        init=jax.jit(init),
        collect=jax.jit(collect),
        update=jax.jit(update),
        restart=lambda state, strategy, predecessor, key: state,
        steps_per_update=config.learner.updates_per_target,
    )


def importance_of(
    passes: TreePasses, policy: Float[Array, "S A N"], seat: Float[np.ndarray, "S P"]
) -> Float[Array, "S N"]:
    """How much strategies count at every information state; sums to 1 over each seat. Half by how
    their own play leads there, which is what payoffs depend on, and half everywhere.
    """
    own_reach = passes.plans(policy)[passes.infoset_parent]
    return 0.5 * (_normalise(own_reach, seat) + _normalise(jnp.ones_like(own_reach), seat))


def _cross_entropy(target, log_probs, weight, legal) -> Float[Array, ""]:
    return -jnp.sum(weight * jnp.sum(jnp.where(legal, target * log_probs, 0.0), axis=1))


def _normalise(reach: Float[Array, "S R"], seat: Float[np.ndarray, "S P"]) -> Float[Array, "S R"]:
    """Divides by the sum over each seat, so that every response counts alike."""
    return reach / jnp.maximum(seat @ (seat.T @ reach), MIN_REACH)
