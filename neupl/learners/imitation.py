"""Imitation: before a network improves it learns to play as a demonstrator does, a scripted policy
or a strategy of another population.

The demonstrator plays, and the network learns the likeliest way to have done the same (behavioural
cloning). Continuous actions are played with noise and shown without it, so that the network also
sees what the demonstrator does after mistakes (Laskey et al. 2017, "DART: noise injection for
robust imitation learning", arXiv 1703.09327); the policy becomes as wide as the noise. The critic
learns what the demonstrator earns. All strategies become alike, whatever their rows will be: rows
are drawn anew for every batch.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from games.types import Game, GameInfo, HostGame, Policy, TimeStep
from neupl.action_distribution import action_distribution
from neupl.config import Config
from neupl.learners.decisions import Decisions, focal_decisions, minibatches, seen_at
from neupl.learners.mirror_image import half_mirrored, mirror_of, with_mirror_image
from neupl.learners.optimizer import Optimizer
from neupl.learners.ppo import PPOExperience
from neupl.matches import Matches
from neupl.networks import make_network
from neupl.observation_statistics import updated_statistics
from neupl.population_actor import apply_network
from neupl.rollout import Decision, SeatPolicies, Trajectory, make_actor_play
from neupl.types import LearnerPhase, LearnerState, Objective, Rows

# Of a batch, the stream of its rows.
ROWS_STREAM = 1


class Demonstration(NamedTuple):
    """Episodes of the demonstrator.

    Attributes:
      trajectory: NumPy arrays; its actions are those that were shown, without noise, its values 0.
      matches: focal seats, and the strategies that are to play like that.
    """

    trajectory: Trajectory
    matches: Matches


class _Shaken(SeatPolicies):
    """Policies whose continuous actions are played with noise."""

    def __init__(self, policies: tuple[Policy, ...], info: GameInfo, std: float) -> None:
        super().__init__(policies, info)
        self._std = std

    def decide(
        self, context: Any, memory: tuple, observation: Any, now: TimeStep, key: Any
    ) -> tuple[Decision, tuple]:
        """See `neupl.rollout.Actor`."""
        own_key, noise_key = jax.random.split(key)
        decision, memory = super().decide(context, memory, observation, now, own_key)
        noise = self._std * jax.random.normal(noise_key, decision.action.shape)
        return decision._replace(action=decision.action + noise), memory


def any_rows(rng: np.random.Generator, rows: Rows) -> Rows:
    """Rows as strategies may get them later: random mixtures, mostly of few, of strategies that are
    told apart. Before it is admitted a strategy has none, and would be shown as strategy 0.

    Args:
      rng: consumed.
      rows: the present ones; mixtures that are asked about stay.
    """
    joint = np.asarray(rows.joint)
    players, strategies, profiles = joint.shape
    drawn = rng.dirichlet(np.full(profiles, 1 / profiles), (players, strategies))
    apart = np.tile(np.arange(strategies, dtype=np.int32), (players, 1))
    present = jax.tree.map(np.asarray, rows)
    return present._replace(joint=drawn.astype(joint.dtype), identity=apart)


def make_demonstrate(
    game: Game | HostGame, demonstrators: Sequence[Policy], *, horizon: int, std: float
) -> Callable[..., Demonstration]:
    """Makes `(lanes, objective, key) -> Demonstration`, which consumes the key.

    Args:
      game: what is played.
      demonstrators: one per seat. Of continuous actions they must not sample: they are asked twice.
      horizon: steps of a lane; 0 plays one episode in each.
      std: standard deviation of the noise on continuous actions.
    """
    info, policies = game.info, tuple(demonstrators)
    actor = _Shaken(policies, info, std) if info.continuous else SeatPolicies(policies, info)
    play = make_actor_play(game, actor, record=True, restart=horizon > 0, steps=horizon or None)

    def demonstrate(lanes: int, objective: Objective, key: Any) -> Demonstration:
        draw_key, play_key = jax.random.split(key)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(draw_key)))
        num_strategies = objective.rows.joint.shape[1]
        matches = Matches(
            rng.integers(info.num_players, size=lanes).astype(np.int32),
            rng.integers(num_strategies, size=(lanes, info.num_players)).astype(np.int32),
        )
        played = play(lanes, play_key).trajectory
        trajectory = Trajectory(*map(np.asarray, played[:-1]))
        if info.continuous:
            trajectory = trajectory._replace(action=shown_actions(policies, trajectory))
        return Demonstration(trajectory, matches)

    return demonstrate


def shown_actions(
    policies: Sequence[Policy], trajectory: Trajectory
) -> Float32[np.ndarray, "T B P A"]:
    """What deterministic policies do at the observations of a trajectory, whatever was done."""
    shown = np.zeros_like(trajectory.action)
    steps, batch = trajectory.discount.shape
    for seat, policy in enumerate(policies):
        memory = policy.initial_memory(batch)
        for t in range(steps):
            moves = trajectory.to_move[t, :, seat]
            action, _, after = policy.act(
                memory, trajectory.observation[t, :, seat], trajectory.legal_mask[t, :, seat],
                jax.random.key(0),
            )  # fmt: skip
            shown[t, moves, seat] = np.asarray(action)[moves]
            # Afterwards another episode may begin.
            over = trajectory.discount[t] == 0
            begun = policy.initial_memory(batch)
            memory = jax.tree.map(
                lambda new, old, fresh, moves=moves, over=over: _where(
                    over, fresh, _where(moves, new, old)
                ),
                after, memory, begun,
            )  # fmt: skip
    return shown


def make_imitation(
    game: Game | HostGame, demonstrators: Sequence[Policy], config: Config
) -> LearnerPhase:
    """Builds what a PPO learner does before it improves, for networks without a memory.

    Args:
      game: what is played.
      demonstrators: one per seat; see `make_demonstrate`.
      config: network, learner and population are read.
    """
    info, settings = game.info, config.learner
    num_tables = 1 if config.population.symmetric else info.num_players
    distribution = action_distribution(info)
    network = make_network(config.network, distribution.num_outputs(info.num_actions[0]))
    mirror = mirror_of(game) if settings.symmetry else None
    optimizer = Optimizer(
        config, rates=(settings.imitation_learning_rate, settings.imitation_learning_rate)
    )
    apply = functools.partial(
        apply_network, network, num_tables=num_tables, distribution=distribution
    )
    expect = jax.jit(apply)
    demonstrate = make_demonstrate(
        game, demonstrators, horizon=settings.horizon, std=settings.imitation_std
    )

    def collect(params: Any, objective: Objective, key: Any) -> PPOExperience:
        seed = jax.random.key_data(jax.random.fold_in(key, ROWS_STREAM))
        rows = any_rows(np.random.default_rng(np.asarray(seed)), objective.rows)
        trajectory, matches = demonstrate(settings.episodes, objective, key)
        moved = trajectory.to_move[:, np.arange(len(matches.seat)), matches.seat]
        when, lane = np.nonzero(moved)
        where = (when, lane, matches.seat[lane])
        expected = trajectory.value.copy()
        expected[where] = expect(params, rows, seen_at(trajectory, matches.profile, where))[1]
        trajectory = trajectory._replace(value=expected)
        decisions = focal_decisions(
            trajectory, matches, objective, payoff_range=info.payoff_range,
            trace=settings.trace, discount=settings.discount,
        )  # fmt: skip
        # What a demonstrator earns says nothing of the strategies.
        nobody, nothing = Matches(*(part[:0] for part in matches)), np.zeros((0, info.num_players))
        return PPOExperience(
            rows, params, objective.teacher, decisions, nobody, nothing.astype(np.float32)
        )

    def loss(params: Any, rows: Rows, batch: Decisions, key: Any):
        policy, value = apply(params, rows, batch.seen)
        action = batch.action
        if info.continuous:
            # A policy that is as wide as this noise is least surprised.
            action = action + settings.imitation_std * jax.random.normal(key, action.shape)
        number = jnp.maximum(batch.counts.sum(), 1.0)
        surprise = batch.counts @ -distribution.log_prob(policy, action) / number
        error = batch.counts @ (value - batch.target) ** 2 / number
        total = surprise + settings.critic_weight * error
        return total, {
            "train/imitation_surprise": surprise, "train/critic_error": error, "train/loss": total,
        }  # fmt: skip

    @jax.jit
    def one_step(params, opt_state, rows, batch, key, step):
        gradient, metrics = jax.grad(loss, has_aux=True)(params, rows, batch, key)
        return *optimizer.apply(gradient, params, opt_state, step), metrics

    def update(
        state: LearnerState, experience: PPOExperience, key: Any
    ) -> tuple[LearnerState, dict[str, Any]]:
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        decisions, params, opt_state = experience.decisions, state.params, state.optimizer
        if config.network.normalise:
            params = updated_statistics(params, with_mirror_image(decisions, mirror))
        steps = 0
        for _ in range(settings.epochs):
            for batch in minibatches(decisions, settings.minibatch, rng):
                if mirror is not None:
                    batch = half_mirrored(batch, mirror, rng)
                steps += 1
                params, opt_state, metrics = one_step(
                    params, opt_state, experience.rows, batch, jax.random.fold_in(key, steps),
                    state.step,
                )  # fmt: skip
        metrics = {name: float(value) for name, value in metrics.items()}
        if int(state.step) + 1 == settings.imitation_steps:
            # Gradients of what follows are larger: steps sized for these would jump.
            opt_state = optimizer.init(params)
        return LearnerState(params, opt_state, state.step + 1), metrics

    return LearnerPhase(collect, update)


def _where(mask: np.ndarray, new: Any, old: Any) -> Any:
    new, old = np.asarray(new), np.asarray(old)
    return np.where(mask.reshape(-1, *(1,) * (new.ndim - 1)), new, old)
