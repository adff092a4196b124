"""The sampled learner: proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) of all
strategies at once, from whole episodes of a `Game` or `HostGame`.

`collect` plays a batch of episodes, in blocks that do not hang on each other. In every lane one
seat plays a strategy that learns, the others one draw from its row; only the focal seat's decisions
are kept. `update` goes over them a few times in minibatches. The entropy of each decision has its
own weight, the strategy's temperature in payoff ranges, and so have the entropies of the decisions
that follow it, which are part of the return. Advantages are divided by their standard deviation
over the batch, and temperatures by the same number, so that they keep their meaning. Strategies
that are held are drawn to the teacher by its divergence from them, where they go themselves.

A critic may know more than the policy (`network.critic_reads`): then the game is played as critics
see it (`games.critic_view`).

A network with a memory learns from unrolls (`neupl.learners.unrolls`): parts of episodes, along
which the gradient reaches back to earlier observations.

Long episodes are learned from in pieces (`learner.horizon`): each lane plays so many steps, from
the start of an episode and through others, and the critic stands for what comes after. Lanes start
afresh with every batch, so that a batch depends on nothing but parameters and key.

Where a game is its own mirror image (`learner.symmetry`), half of what a gradient step sees is
mirrored (`neupl.learners.mirror_image`).

With `learner.teachers` it learns less, and is drawn the more to what a teacher would do, the less
it earns in comparison (`neupl.learners.distillation`).

With `learner.mirror` the policy is also drawn to the one that played the batch: with the entropy,
one step of magnetic mirror descent (Sokota et al. 2023, arXiv 2206.05825) in its form for policies
that are networks.
"""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from games.teams import by_player
from games.types import Game, HostGame
from neupl.action_distribution import action_distribution
from neupl.config import Config
from neupl.device_mesh import DeviceMesh
from neupl.errors import UserError
from neupl.jit_once import jit_once
from neupl.learners.blocks import keys_of_blocks
from neupl.learners.decisions import (
    Decisions,
    decisions_along,
    focal_decisions,
    focal_unrolls,
    minibatches,
)
from neupl.learners.distillation import first_teaching, make_teach
from neupl.learners.first_parameters import first_parameters
from neupl.learners.focal_lanes import lane_weights, one_size
from neupl.learners.mirror_image import half_mirrored, mirror_of
from neupl.learners.optimizer import Optimizer, make_restart
from neupl.learners.seen_by_network import (
    as_critics_see,
    make_see,
    owners_of,
    with_statistics_of,
)
from neupl.learners.unrolls import Unrolls
from neupl.matches import Matches, draw_matches
from neupl.networks import make_network
from neupl.opponent_readout import log_likelihoods, log_posterior, make_readout
from neupl.population_actor import Playing, PopulationActor, apply_network
from neupl.rollout import make_actor_play
from neupl.types import Blocks, Learner, LearnerState, Objective, Rows

if TYPE_CHECKING:
    from neupl.teachers import Teachers

# Advantages of a batch whose standard deviation is below this share of the payoff range are noise.
LEAST_SPREAD = 1e-4


class EpisodeBlock(NamedTuple):
    """Episodes of a part of a batch; fields as in `PPOExperience`."""

    decisions: Decisions | Unrolls
    matches: Matches
    returns: Float32[np.ndarray, "B P"]


class PPOExperience(NamedTuple):
    """A batch of episodes.

    Attributes:
      rows: the strategies that played.
      behaviour: parameters that played.
      teacher: parameters that held strategies are drawn to.
      decisions: of the focal seats; as unrolls where the network has a memory.
      matches: who played in each lane; no lanes where episodes may be cut off, or are of
        `learner.game`.
      returns: `[B, P]` of all seats, in game points.
    """

    rows: Rows
    behaviour: Any
    teacher: Any
    decisions: Decisions | Unrolls
    matches: Matches
    returns: Float32[np.ndarray, "B P"]


def make_ppo_learner(
    game: Game | HostGame,
    actor: PopulationActor,
    config: Config,
    *,
    teachers: "Teachers | None" = None,
) -> Learner:
    """Builds the learner of one game.

    Args:
      game: what is played.
      actor: plays all seats by the network that learns.
      config: network, learner, population and training are read.
      teachers: whom `learner.teachers` names, of a network without a memory.

    Raises:
      UserError: the seats have different actions or observations.
    """
    info, settings = by_player(game.info), config.learner
    lanes = settings.episodes // settings.blocks
    mesh = DeviceMesh(settings.devices)
    if lanes % mesh.size:
        raise UserError(
            f"a block is {lanes} episodes (learner.episodes, learner.blocks), which {mesh.size} "
            "devices cannot share alike",
            hint=f"make it a multiple of {mesh.size}, or set learner.devices=1",
        )
    num_tables = 1 if config.population.symmetric else info.num_players
    distribution = action_distribution(info)
    num_outputs = distribution.num_outputs(one_size(info.num_actions, "actions"))
    network = make_network(config.network, num_outputs, continuous=info.continuous)
    # Refuses a game whose seats see arrays of different sizes.
    observed = one_size(info.observation_size, "observations")
    shown = as_critics_see(game, config.network)
    mirror = mirror_of(shown) if settings.symmetry else None
    remembers = config.network.memory != "none"
    readout = make_readout(config.network, config.population.size)
    see = make_see(network, observed=observed, num_tables=num_tables, remembers=remembers)
    play = make_actor_play(
        shown,
        actor,
        record=True,
        restart=remembers or settings.horizon > 0,
        steps=settings.horizon or None,
        stretch=settings.unroll if remembers else None,
        mesh=mesh,
    )
    optimizer = Optimizer(config)
    apply = functools.partial(
        apply_network, network, num_tables=num_tables, distribution=distribution
    )

    teach = None
    if teachers is not None:
        expect = jax.jit(lambda *asked: apply(*asked)[1])
        rate, size = settings.teacher_rate, settings.minibatch
        teach = make_teach(teachers, expect, observed=observed, rate=rate, size=size)

    def init(key: Any) -> LearnerState:
        params = first_parameters(network, readout, key, config=config, info=info)
        teaching = () if teachers is None else first_teaching(teachers, params)
        return LearnerState(params, optimizer.init(params), jnp.zeros((), jnp.int32), teaching)

    block_keys = functools.partial(keys_of_blocks, number=settings.blocks)

    def play_block(params: Any, objective: Objective, key: Any) -> EpisodeBlock:
        match_key, play_key = jax.random.split(key)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(match_key)))
        rows = jax.tree.map(np.asarray, objective.rows)
        matches = draw_matches(
            rng,
            np.asarray(rows.every),
            lane_weights(objective),
            lanes=lanes,
            num_strategies=rows.joint.shape[1],
        )
        episodes = play(lanes, play_key, Playing(params, rows, matches.profile))
        trajectory = jax.tree.map(np.asarray, episodes.trajectory)
        decisions = (focal_unrolls if remembers else focal_decisions)(
            trajectory,
            matches.along(trajectory.discount.shape[1]),
            objective,
            payoff_range=info.payoff_range,
            trace=settings.trace,
            discount=settings.discount,
        )
        returns = np.asarray(episodes.returns)
        if settings.game or 0 < settings.horizon < info.max_steps:
            # What is of another game, or was cut off before its end, says nothing of returns.
            matches, returns = Matches(*(part[:0] for part in matches)), returns[:0]
        return EpisodeBlock(decisions, matches, returns)

    def join(params: Any, objective: Objective, blocks: Sequence[EpisodeBlock]) -> PPOExperience:
        rows, block = jax.tree.map(np.asarray, objective.rows), blocks[0]
        if len(blocks) > 1:
            block = jax.tree.map(lambda *parts: np.concatenate(parts), *blocks)
        return PPOExperience(rows, params, objective.teacher, *block)

    def collect(params: Any, objective: Objective, key: Any) -> PPOExperience:
        blocks = [play_block(params, objective, own_key) for own_key in block_keys(key)]
        return join(params, objective, blocks)

    def loss(params, behaviour, teacher, rows, part, spread, with_teacher):
        batch = decisions_along(part) if remembers else part
        seen = see(params, part)
        policy, value = apply(params, rows, seen)
        legal = batch.seen.legal_mask
        chosen = distribution.log_prob(policy, batch.action)
        gain = clipped_gain(chosen, batch, clip=settings.clip)
        entropy = distribution.entropy(policy, legal)
        moved = jnp.zeros(())
        if settings.mirror:
            before, _ = apply(behaviour, rows, see(behaviour, part))
            moved = distribution.divergence(policy, before, legal)
        gain = gain + batch.temperature * entropy - settings.mirror * moved
        improvement = batch.respond * gain / spread
        told = {}
        if batch.taught is not None:
            apart = distribution.divergence(policy, batch.taught, legal)
            weight = batch.teacher_weight
            improvement = (1 - weight) * improvement - weight * batch.respond * apart
            apart = batch.counts @ apart / jnp.maximum(batch.counts.sum(), 1.0)
            told["train/teacher_divergence"] = apart
        holding = jnp.zeros(())
        if with_teacher:
            taught, _ = apply(teacher, rows, see(teacher, part))
            holding = distribution.divergence(taught, policy, legal)
        error = (value - batch.target) ** 2
        total = (
            batch.counts
            @ (settings.critic_weight * error - improvement + batch.hold * holding)
            / jnp.maximum(batch.counts.sum(), 1.0)
        )
        approximate_kl = (
            batch.counts @ (batch.log_prob - chosen) / jnp.maximum(batch.counts.sum(), 1.0)
        )
        metrics = {
            "train/critic_error": batch.counts @ error / jnp.maximum(batch.counts.sum(), 1.0),
            "train/entropy": batch.counts @ entropy / jnp.maximum(batch.counts.sum(), 1.0),
            "train/approximate_kl": approximate_kl,
            **told,
        }
        if readout is not None:
            surprise = batch.counts @ readout_surprise(params, rows, seen)
            surprise /= jnp.maximum(batch.counts.sum(), 1.0)
            total += settings.readout_weight * surprise
            metrics["train/readout_surprise"] = surprise
        return total, metrics | {"train/loss": total}

    def readout_surprise(params, rows, seen) -> Float[Array, "N"]:
        """Nats by which the read-out is surprised to be told who the opponent is."""
        told = seen.observation if seen.remembered is None else seen.remembered
        table = seen.seat if num_tables > 1 else jnp.zeros_like(seen.seat)
        found = log_likelihoods(readout, params, told, jax.nn.one_hot(table, num_tables))
        prior = jnp.asarray(rows.every)[seen.seat, seen.profile[:, 0]]
        opponent = seen.profile[:, 1:2]
        return -jnp.take_along_axis(log_posterior(found, prior), opponent, axis=1)[:, 0]

    @functools.partial(jax.jit, static_argnames="with_teacher")
    def one_step(params, opt_state, behaviour, teacher, rows, batch, spread, step, with_teacher):
        gradient, metrics = jax.grad(loss, has_aux=True)(
            params, behaviour, teacher, rows, batch, spread, with_teacher
        )
        return *optimizer.apply(mesh.kept_copied(gradient), params, opt_state, step), metrics

    def update(
        state: LearnerState, experience: PPOExperience, key: Any
    ) -> tuple[LearnerState, dict[str, Any]]:
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        decisions = experience.decisions
        spread, teaching, told = advantage_spread(decisions), state.teaching, {}
        if teach is not None:
            teaching, decisions, told = teach(teaching, decisions, experience.rows, spread)
        with_teacher = bool((decisions.hold > 0).any())
        params, opt_state, behaviour, teacher = mesh.copied(
            (state.params, state.optimizer, experience.behaviour, experience.teacher)
        )
        # An unroll is as many decisions as it has steps.
        size = max(settings.minibatch // (decisions.action.shape[1] if remembers else 1), 1)
        size = -(-size // mesh.size) * mesh.size
        for _ in range(settings.epochs):
            for batch in minibatches(decisions, size, rng):
                if mirror is not None:
                    batch = half_mirrored(batch, mirror, rng)
                params, opt_state, metrics = one_step(
                    params, opt_state, behaviour, teacher,
                    experience.rows, mesh.spread(batch), spread, state.step, with_teacher,
                )  # fmt: skip
        metrics = {name: float(value) for name, value in metrics.items()} | told
        metrics["train/advantage_spread"] = float(spread)
        if config.network.normalise:
            # Last: what was played is compared with what the same statistics make of it.
            owner = owners_of(decisions, config, num_tables=num_tables)
            params = with_statistics_of(
                params, decisions, observed=observed, mirror=mirror, owner=owner
            )
        return LearnerState(params, opt_state, state.step + 1, teaching), metrics

    init = jit_once(init)
    return Learner(
        init=init,
        collect=collect,
        update=update,
        restart=make_restart(config, init),
        steps_per_update=1,
        blocks=Blocks(block_keys, play_block, join, Objective.without_teacher),
    )


def clipped_gain(chosen: Float[Array, "N"], batch: Decisions, *, clip: float) -> Float[Array, "N"]:
    """The clipped surrogate of PPO (Schulman et al. 2017, equation 7) of every decision, in payoff
    ranges.

    Args:
      chosen: log-probabilities of the actions now.
      batch: the decisions.
      clip: how far a probability may move, as a share of it.
    """
    ratio = jnp.exp(chosen - batch.log_prob)
    clipped = jnp.clip(ratio, 1 - clip, 1 + clip)
    return jnp.minimum(ratio * batch.advantage, clipped * batch.advantage)


def advantage_spread(decisions: Decisions | Unrolls) -> np.float32:
    """Standard deviation of the advantages of what improves, in payoff ranges; never 0."""
    weight = decisions.counts.T * decisions.respond
    responding = decisions.advantage.T[weight > 0]
    return np.float32(max(float(responding.std()) if len(responding) else 0.0, LEAST_SPREAD))
