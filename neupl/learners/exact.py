"""The exact learner: every strategy is improved at every information state by exact action values
on the game tree.

`collect` evaluates the current population on the tree; `update` takes a few gradient steps on what
it found. The default rule is soft policy improvement: with `q` the entropy-regularised action
values of the *current* policy against its row, the network is drawn to `softmax(q / temperature)`
by cross-entropy. The target is the regularised greedy policy (Haarnoja et al. 2018, arXiv
1801.01290, equation 4; with the direction of the divergence as in the M-step of MPO, Abdolmaleki et
al. 2018, arXiv 1806.06920), so that, unlike under the plain gradient, a saturated policy unlearns
at full speed. The alternative is the exact policy gradient of the regularised return, summed over
all actions and information states, without the factor of the owner's own reach: what a strategy
avoids is trained like the rest. With `learner.importance=play` it is trained half as much: by how
likely it is while the owner plays uniformly.

A gradient step goes over all information states and strategies, or over some that are drawn by
their weight (`learner.sample`), which leaves the expected gradient of the policy as it is.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from neupl.config import Config
from neupl.jit_once import jit_once
from neupl.learners.drawn_states import draw_states
from neupl.learners.optimizer import Optimizer, make_restart
from neupl.opponent_readout import divergence_from_bayes
from neupl.tree_population import COLDEST, TreePopulation
from neupl.types import Learner, LearnerState, Objective, Rows

# Below this reach an information state cannot matter, and values conditioned on it are noise.
MIN_REACH = 1e-9


class ExactExperience(NamedTuple):
    """What one evaluation of the tree says to the gradient steps that follow; asked mixtures are
    columns behind the `K` strategies.

    Attributes:
      rows: the strategies that were evaluated.
      signal: `[S, A, K]` target probabilities (soft improvement) or advantages in payoff ranges
      (policy gradient). weight: `[S, K]` importance of each information state; sums to the
      objective's `respond` over a seat. teacher: `[S, A, K]` probabilities of the frozen copy.
      teacher_weight: `[S, K]` importance of staying there; sums to the objective's `hold` over a
      seat. coplayers: `[P, K, M]` the pure co-player profile that `value` is against. value: `[S,
      K]` value of each information state against it, in payoff ranges. value_weight: `[S, K]` its
      reach. likelihood: `[S, K]` probability that chance and each strategy of the opponent let an
      information state happen; `None` where nothing is read out.
    """

    rows: Rows
    signal: Float[Array, "S A K"]
    weight: Float[Array, "S K"]
    teacher: Float[Array, "S A K"]
    teacher_weight: Float[Array, "S K"]
    coplayers: Float[Array, "P K M"]
    value: Float[Array, "S K"]
    value_weight: Float[Array, "S K"]
    likelihood: Float[Array, "S K"] | None


def make_exact_learner(tables: TreePopulation, config: Config) -> Learner:
    """Builds the learner of one game.

    Args:
      tables: the population on the compiled game.
      config: learner and population are read.
    """
    tree, passes, seat = tables.tree, tables.passes, tables.seat
    payoff_range = tree.payoff_range
    mask = jnp.asarray(tree.legal_mask)[:, :, None]
    rule, critic_weight = config.learner.rule, config.learner.critic_weight
    by_play = config.learner.importance == "play"
    owner = jnp.asarray(tree.infoset_player)
    even_reach = _own_reach_of_uniform_play(tables) if by_play else None
    optimizer = Optimizer(config)

    def init(key: Any) -> LearnerState:
        params = tables.init(key)
        return LearnerState(params, optimizer.init(params), jnp.zeros((), jnp.int32))

    def collect(params: Any, objective: Objective, key: Any) -> ExactExperience:
        rows, temperature = objective.rows, objective.temperature
        log_probs, policy = tables.evaluate(params, rows)
        # Only strategies are met, and held, not the mixtures that are asked about.
        size = rows.joint.shape[1]
        # Without readmissions nobody is held; a forward pass is worth skipping.
        teacher = jax.lax.cond(
            jnp.any(objective.hold > 0),
            lambda: tables.evaluate(objective.teacher, rows._replace(asked=None))[1],
            lambda: policy[:, :, :size],
        )
        teacher = jnp.concatenate([teacher, policy[:, :, size:]], axis=-1)
        played = passes.plans(policy)
        plans = played[:, :size]
        values = passes.action_values(passes.coplayer_reach(plans, rows.every), policy, temperature)
        q = values.action / jnp.maximum(values.reach, MIN_REACH)[:, None]
        tau = seat @ temperature
        if rule == "soft_improvement":
            coldest = jnp.maximum(tau, COLDEST * payoff_range)[:, None]
            scaled = jnp.where(mask, q / coldest, -jnp.inf)
            signal = jax.nn.softmax(scaled, axis=1)
        else:
            regularised = jnp.where(mask, q - tau[:, None] * log_probs, 0.0)
            baseline = jnp.sum(policy * regularised, axis=1, keepdims=True)
            signal = jnp.where(mask, regularised - baseline, 0.0) / payoff_range
        coplayers = _draw_profiles(key, rows)
        against = passes.action_values(
            passes.coplayer_reach(plans, coplayers), policy, jnp.zeros_like(temperature)
        )
        value = jnp.sum(policy * against.action, axis=1) / jnp.maximum(against.reach, MIN_REACH)
        likelihood = None
        if tables.readout is not None:
            each = jnp.broadcast_to(jnp.eye(size), rows.joint.shape)
            alone, strategies = passes.coplayer_reach(plans, each), policy[:, :, :size]
            likelihood = passes.action_values(alone, strategies, jnp.zeros(each.shape[:2])).reach
        importance = values.reach
        if by_play:
            importance *= 0.5 * (played[passes.infoset_parent] + even_reach)
        spread = seat @ (1.0 / seat.sum(axis=0))
        return ExactExperience(
            rows=rows,
            signal=signal,
            weight=_normalise(importance, seat) * (seat @ objective.respond),
            teacher=teacher,
            # Half by reach, half everywhere: a strategy must also stay put where its own row never
            # leads.
            teacher_weight=0.5
            * (_normalise(values.reach, seat) + spread[:, None])
            * (seat @ objective.hold),
            coplayers=coplayers,
            value=value / payoff_range,
            value_weight=_normalise(against.reach, seat),
            likelihood=likelihood,
        )

    def loss(params: Any, experience: ExactExperience) -> tuple[Array, dict[str, Array]]:
        log_probs, value = tables.forward(params, experience.rows, experience.coplayers)
        improvement, holding = policy_losses(log_probs, mask, experience.signal, experience.teacher)
        policy_loss = jnp.sum(experience.weight * improvement)
        hold_loss = jnp.sum(experience.teacher_weight * holding)
        critic_loss = jnp.sum(experience.value_weight * (value - experience.value) ** 2)
        divergence = None
        if tables.readout is not None:
            divergence = readout_divergence(params, experience)
        return summed(policy_loss + hold_loss, critic_loss, divergence)

    def drawn_loss(
        params: Any, experience: ExactExperience, key: Any
    ) -> tuple[Array, dict[str, Array]]:
        """Of the policy, an unbiased estimate of `loss`; critic and read-out are fitted where it
        is.
        """
        rows, weight = experience.rows, experience.weight + experience.teacher_weight
        state, strategy = draw_states(key, weight, config.learner.sample)
        log_probs, value = tables.forward_drawn(params, rows, experience.coplayers, state, strategy)
        improvement, holding = policy_losses(
            log_probs,
            mask[state, :, 0],
            experience.signal[state, :, strategy],
            experience.teacher[state, :, strategy],
        )
        responds = (experience.weight / jnp.maximum(weight, MIN_REACH))[state, strategy]
        policy_loss = weight.sum() * jnp.mean(responds * improvement + (1 - responds) * holding)
        possible = experience.value_weight[state, strategy] > 0
        error = jnp.where(possible, value - experience.value[state, strategy], 0.0)
        critic_loss = tree.num_players * rows.every.shape[1] * jnp.mean(error**2)
        divergence = None
        if tables.readout is not None:
            found = tables.opponent_log_likelihoods(params)[state]
            prior = rows.every[owner[state], strategy]
            divergence = jnp.mean(divergence_from_bayes(found, experience.likelihood[state], prior))
        return summed(policy_loss, critic_loss, divergence)

    def policy_losses(
        log_probs: Array, legal: Array, signal: Array, teacher: Array
    ) -> tuple[Array, Array]:
        """Of responding and of staying, with actions on axis 1."""
        if rule == "soft_improvement":
            improvement = -jnp.sum(jnp.where(legal, signal * log_probs, 0.0), axis=1)
        else:
            improvement = -jnp.sum(jnp.exp(log_probs) * signal, axis=1)
        return improvement, -jnp.sum(jnp.where(legal, teacher * log_probs, 0.0), axis=1)

    def summed(
        policy_loss: Array, critic_loss: Array, divergence: Array | None
    ) -> tuple[Array, dict[str, Array]]:
        scale = 1.0 / (tree.num_players * config.population.size)
        total = scale * (policy_loss + critic_weight * critic_loss)
        metrics = {"train/critic_loss": scale * critic_loss}
        if divergence is not None:
            total += config.learner.readout_weight * divergence
            metrics["train/readout_divergence"] = divergence
        return total, metrics | {"train/loss": total}

    def readout_divergence(params: Any, experience: ExactExperience) -> Array:
        """Mean over the strategies and mixtures that meet somebody, by the reach of what they see
        through chance and opponent, in nats.
        """
        every, likelihood = experience.rows.every, experience.likelihood
        prior = jnp.einsum("sp,pjk->sjk", seat, every)
        found = tables.opponent_log_likelihoods(params)
        divergence = divergence_from_bayes(found[:, None], likelihood[:, None], prior)
        reach = jnp.einsum("sjk,sk->sj", prior, likelihood)
        met = jnp.sum(every, axis=(0, 2)) > 0
        return jnp.sum(_normalise(reach, seat) * divergence) / (
            tree.num_players * jnp.maximum(met.sum(), 1)
        )

    def update(
        state: LearnerState, experience: ExactExperience, key: Any
    ) -> tuple[LearnerState, dict[str, Array]]:
        def one_step(state: LearnerState, key: Any) -> tuple[LearnerState, dict[str, Array]]:
            if config.learner.sample:
                of_step = jax.grad(drawn_loss, has_aux=True)
                gradient, metrics = of_step(state.params, experience, key)
            else:
                gradient, metrics = jax.grad(loss, has_aux=True)(state.params, experience)
            params, opt_state = optimizer.apply(gradient, state.params, state.optimizer, state.step)
            return LearnerState(params, opt_state, state.step + 1), metrics

        keys = jax.random.split(key, config.learner.updates_per_target)
        state, metrics = jax.lax.scan(one_step, state, keys)
        return state, jax.tree.map(lambda x: x[-1], metrics)

    init = jit_once(init)
    return Learner(
        init=init,
        collect=jax.jit(collect),
        update=jax.jit(update),
        restart=make_restart(config, init),
        steps_per_update=config.learner.updates_per_target,
    )


def _own_reach_of_uniform_play(tables: TreePopulation) -> Float[Array, "S 1"]:
    """How often a seat that plays uniformly goes to each of its information states, if others let
    it.
    """
    policy = jnp.asarray(tables.tree.uniform_policy(), jnp.float32)[:, :, None]
    return jit_once(tables.passes.plans)(policy)[tables.passes.infoset_parent]


def _draw_profiles(key: Any, rows: Rows) -> Float[Array, "P K M"]:
    """One pure co-player profile per strategy, uniform over all of them."""
    *shape, num_profiles = rows.every.shape
    return jax.nn.one_hot(jax.random.randint(key, shape, 0, num_profiles), num_profiles)


def _normalise(reach: Float[Array, "S K"], seat: Float[np.ndarray, "S P"]) -> Float[Array, "S K"]:
    """Divides by the sum over each seat, so that every strategy counts alike."""
    total = seat.T @ reach
    return reach / jnp.maximum(seat @ total, MIN_REACH)
