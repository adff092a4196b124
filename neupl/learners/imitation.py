"""Imitation: before a network improves it learns to play as a demonstrator does, a scripted policy
or a strategy of another population.

The demonstrator plays, and the network learns the likeliest way to have done the same (behavioural
cloning). Continuous actions are played with noise and shown without it, so that the network also
sees what the demonstrator does after mistakes (Laskey et al. 2017, "DART: noise injection for
robust imitation learning", arXiv 1703.09327); the policy becomes as wide as the noise. The critic
learns what the demonstrator earns. All strategies become alike, whatever their rows will be: rows
are drawn anew for every batch.

A demonstrator that says `reads_privileged = True` is shown what critics see (`games.critic_view`).

A network with a memory is told what was played, noise included, as it would be of its own actions,
and learns along unrolls (`neupl.learners.unrolls`) that start from what it remembers of the lane.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int32

from games.critic_view import with_critic_view
from games.teams import by_player
from games.types import Game, GameInfo, HostGame, Policy, TimeStep
from neupl.action_distribution import action_distribution
from neupl.config import Config
from neupl.learners.decisions import (
    Decisions,
    decisions_along,
    focal_decisions,
    focal_unrolls,
    minibatches,
    seen_at,
)
from neupl.learners.mirror_image import half_mirrored, mirror_of
from neupl.learners.optimizer import Optimizer
from neupl.learners.ppo import PPOExperience
from neupl.learners.seen_by_network import (
    as_critics_see,
    make_see,
    owners_of,
    with_statistics_of,
)
from neupl.learners.unrolls import Unrolls, lane_memory, lane_steps
from neupl.matches import Matches
from neupl.networks import make_network
from neupl.population_actor import ActorMemory, apply_network, critic_apart
from neupl.rollout import Decision, SeatPolicies, Trajectory, make_actor_play
from neupl.types import LearnerPhase, LearnerState, Objective, Rows

# Of a batch, the stream of its rows.
ROWS_STREAM = 1


class Demonstration(NamedTuple):
    """Episodes of the demonstrator.

    Attributes:
      trajectory: NumPy arrays; its values are 0.
      shown: `[T, B, P, ...]` the actions that are to be learned: those that were played, without
        noise.
      matches: focal seats, and the strategies that are to play like that.
    """

    trajectory: Trajectory
    shown: Int32[np.ndarray, "T B P"] | Float32[np.ndarray, "T B P A"]
    matches: Matches


class _Observing:
    """A policy that is shown the first `observed` numbers alone: what players observe."""

    def __init__(self, policy: Policy, observed: int) -> None:
        self._policy, self._observed = policy, observed
        self.initial_memory = policy.initial_memory

    def act(self, memory: Any, observation: Any, mask: Any, key: Any) -> tuple[Any, Any, Any]:
        """See `games.types.Policy`."""
        return self._policy.act(memory, observation[:, : self._observed], mask, key)


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
    game: Game | HostGame,
    demonstrators: Sequence[Policy],
    *,
    observed: int,
    horizon: int,
    std: float,
) -> Callable[..., Demonstration]:
    """Makes `(lanes, objective, key) -> Demonstration`, which consumes the key.

    Args:
      game: what is played.
      demonstrators: one per seat. Of continuous actions they must not sample: they are asked twice.
      observed: numbers of an observation that players see.
      horizon: steps of a lane; 0 plays one episode in each.
      std: standard deviation of the noise on continuous actions.
    """
    info = by_player(game.info)
    policies = tuple(
        policy if _is_informed(policy) else _Observing(policy, observed) for policy in demonstrators
    )
    actor = (
        _Shaken(policies, game.info, std) if info.continuous else SeatPolicies(policies, game.info)
    )
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
        shown = shown_actions(policies, trajectory) if info.continuous else trajectory.action
        return Demonstration(trajectory, shown, matches.along(trajectory.discount.shape[1]))

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
    """Builds what a PPO learner does before it improves.

    Args:
      game: what is played.
      demonstrators: one per seat; see `make_demonstrate`.
      config: network, learner and population are read.
    """
    info, settings = by_player(game.info), config.learner
    num_tables = 1 if config.population.symmetric else info.num_players
    distribution = action_distribution(info)
    network = make_network(
        config.network, distribution.num_outputs(info.num_actions[0]), continuous=info.continuous
    )
    remembers, observed = config.network.memory != "none", info.observation_size[0]
    see = make_see(network, observed=observed, num_tables=num_tables, remembers=remembers)
    informed = any(map(_is_informed, demonstrators))
    view = with_critic_view(game) if informed else as_critics_see(game, config.network)
    mirror = mirror_of(view) if settings.symmetry else None
    optimizer = Optimizer(
        config, rates=(settings.imitation_learning_rate, settings.imitation_learning_rate)
    )
    apply = functools.partial(
        apply_network, network, num_tables=num_tables, distribution=distribution
    )
    expect = jax.jit(apply)
    demonstrate = make_demonstrate(
        view,
        demonstrators,
        observed=observed,
        horizon=settings.horizon,
        std=settings.imitation_std,
    )

    recall = jax.jit(functools.partial(lane_memory, network, num_tables=num_tables))

    def collect(params: Any, objective: Objective, key: Any) -> PPOExperience:
        seed = jax.random.key_data(jax.random.fold_in(key, ROWS_STREAM))
        rows = any_rows(np.random.default_rng(np.asarray(seed)), objective.rows)
        trajectory, shown, matches = demonstrate(settings.episodes, objective, key)
        moved = trajectory.to_move[:, np.arange(len(matches.seat)), matches.seat]
        when, lane = np.nonzero(moved)
        where = (when, lane, matches.seat[lane])
        seen = critic_apart(seen_at(trajectory, matches.profile, where), observed)
        if remembers:
            steps = lane_steps(trajectory, matches.seat)
            steps = steps._replace(observation=steps.observation[..., :observed])
            hidden = np.asarray(recall(params, steps, matches.seat))
            seen = seen._replace(remembered=hidden[when, lane])
            trajectory = trajectory._replace(memory=_memories(hidden, settings.unroll, info))
        expected = trajectory.value.copy()
        expected[where] = expect(params, rows, seen)[1]
        trajectory = trajectory._replace(value=expected)
        parts = {
            "payoff_range": info.payoff_range,
            "trace": settings.trace,
            "discount": settings.discount,
        }
        if remembers:
            decisions = focal_unrolls(trajectory, matches, objective, **parts, taught=shown)
        else:
            shown_alone = trajectory._replace(action=shown)
            decisions = focal_decisions(shown_alone, matches, objective, **parts)
        # What a demonstrator earns says nothing of the strategies.
        nobody, nothing = Matches(*(part[:0] for part in matches)), np.zeros((0, info.num_players))
        return PPOExperience(
            rows, params, objective.teacher, decisions, nobody, nothing.astype(np.float32)
        )

    def loss(params: Any, rows: Rows, part: Decisions | Unrolls, key: Any):
        policy, value = apply(params, rows, see(params, part))
        batch = decisions_along(part) if remembers else part
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
            owner = owners_of(decisions, config, num_tables=num_tables)
            params = with_statistics_of(
                params, decisions, observed=observed, mirror=mirror, owner=owner
            )
        steps = 0
        # An unroll is as many decisions as it has steps.
        size = max(settings.minibatch // (decisions.action.shape[1] if remembers else 1), 1)
        for _ in range(settings.epochs):
            for batch in minibatches(decisions, size, rng):
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
        teaching = state.teaching
        if teaching:
            # This is the best that is known of what the teachers earn.
            teaching = teaching._replace(critic=params)
        return LearnerState(params, opt_state, state.step + 1, teaching), metrics

    return LearnerPhase(collect, update)


def _is_informed(policy: Policy) -> bool:
    return getattr(policy, "reads_privileged", False)


def _memories(hidden: Float32[np.ndarray, "T B H"], unroll: int, info: GameInfo) -> ActorMemory:
    """What lanes remember before each part of at most `unroll` steps, as an actor records it; by
    what they remember after each step, the same for all seats.
    """
    parts = -(-len(hidden) // unroll)
    length = -(-len(hidden) // parts)
    before = np.concatenate([np.zeros_like(hidden[:1]), hidden[length - 1 : -1 : length]])
    return ActorMemory(hidden=np.repeat(before[:, :, None], info.num_players, axis=2))


def _where(mask: np.ndarray, new: Any, old: Any) -> Any:
    new, old = np.asarray(new), np.asarray(old)
    return np.where(mask.reshape(-1, *(1,) * (new.ndim - 1)), new, old)
