"""The sampled learner by maximum a posteriori policy optimisation (MPO, Abdolmaleki et al. 2018,
arXiv 1806.06920), the algorithm of the NeuPL papers: all strategies at once, from replayed episodes
of a `Game` or `HostGame`.

The critic tells values of actions against a strategy's row. It is fitted to Retrace targets (Munos
et al. 2016, arXiv 1606.02647) of the policy at the start of the update, the target policy. E-step:
the improved policy of an observation maximises value plus temperature times entropy, with a bound
on its mean divergence from the target policy,

    q(a) = softmax((Q(a) + eta log pi(a)) / (eta + temperature)),

which for a temperature of 0 is the paper's; with one, what a strategy converges to is the
entropy-regularised response that its temperature asks for. Action ids are few, so that sums over
them are exact; of continuous actions `learner.samples` are drawn from the target policy and weighed
against each other. The multiplier `eta` is found by bisection instead of gradient steps. M-step:
the network is drawn to the improved policy by cross-entropy, with a bound on how far it moves; of
normal distributions mean and standard deviation each have their own (Abdolmaleki et al. 2018, arXiv
1812.02256), so that one does not shrink because the other has to move.

A network with a memory goes through replayed episodes anew, from their beginning: what it would
have remembered under other parameters needs not be kept.

The critic is not told the opponent, unlike that of PPO: an improved policy of action values that
know whom they are against would respond to somebody that the strategy cannot see.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32

from games.teams import by_player, player_seats
from games.types import Game, HostGame
from neupl.action_distribution import action_distribution
from neupl.conditional_network import coplayer_marginals
from neupl.config import Config
from neupl.errors import UserError
from neupl.jit_once import jit_once
from neupl.learners.blocks import keys_of_blocks
from neupl.learners.first_parameters import first_parameters
from neupl.learners.focal_lanes import focal_task, lane_weights, one_size
from neupl.learners.mpo_steps import (
    find_eta,
    improved_log_weights,
    next_alpha,
    retrace,
)
from neupl.learners.optimizer import Optimizer, make_restart
from neupl.learners.replay import (
    Played,
    ReplayBlock,
    empty_replay,
    focal_episodes,
    keep,
    some_lanes,
    tasks_of,
    together,
)
from neupl.matches import Matches, draw_matches
from neupl.networks import make_network
from neupl.observation_statistics import updated_statistics
from neupl.opponent_readout import log_likelihoods, log_posterior, make_readout
from neupl.population_actor import Playing, PopulationActor
from neupl.rollout import make_actor_play
from neupl.types import Blocks, Learner, LearnerState, Objective, Rows


class MPOState(NamedTuple):
    """What the learner carries beside parameters.

    Attributes:
      network: state of the optimiser.
      alpha: multipliers of the M-step's bounds, one per part of the distribution that has its own.
      replay: the last batches.
    """

    network: Any
    alpha: Float32[np.ndarray, "n"]
    replay: Played


class MPOExperience(NamedTuple):
    """A batch of episodes.

    Attributes:
      rows: the strategies that played.
      played: what focal seats decided.
      objective: the task of the batch.
      matches: who played in each lane.
      returns: `[B, P]` of all seats, in game points.
    """

    rows: Rows
    played: Played
    objective: Objective
    matches: Matches
    returns: Float32[np.ndarray, "B P"]


def make_mpo_learner(game: Game | HostGame, actor: PopulationActor, config: Config) -> Learner:
    """Builds the learner of one game.

    Args:
      game: what is played.
      actor: plays all seats by the network that learns.
      config: network, learner, population and training are read.

    Raises:
      UserError: the seats have different actions or observations.
    """
    info, settings, size = by_player(game.info), config.learner, config.population.size
    # Of a batch: those of teams have one for each of their seats.
    num_lanes = settings.episodes * len(player_seats(game.info))
    num_tables = 1 if config.population.symmetric else info.num_players
    distribution = action_distribution(info)
    num_actions = one_size(info.num_actions, "actions")
    num_outputs = distribution.num_outputs(num_actions)
    network = make_network(config.network, num_outputs, continuous=info.continuous)
    readout = make_readout(config.network, size)
    if config.network.memory != "none" and info.continuous:
        raise UserError(
            f"network.memory is {config.network.memory!r} and learner.kind mpo, but the actions of "
            f"{info.name} are continuous: MPO's critic has no memory of those",
            hint="set learner.kind=ppo, or network.memory=none",
        )
    observation_size = one_size(info.observation_size, "observations")
    play = make_actor_play(game, actor, record=True)
    optimizer = Optimizer(config)

    def init(key: Any) -> LearnerState:
        params = draw(key)
        replay = empty_replay(played_like(), settings.replay)
        alpha = jnp.ones(distribution.num_parts)
        state = MPOState(optimizer.init(params), alpha, replay)
        return LearnerState(params, state, jnp.zeros((), jnp.int32))

    @jit_once
    def draw(key: Any) -> Any:
        action = jnp.zeros((1, 1, num_actions)) if info.continuous else None
        return first_parameters(network, readout, key, config=config, info=info, action=action)

    def rows_like() -> Rows:
        shape = (info.num_players, size, size ** (info.num_players - 1))
        asked = None
        if config.graph.simplex_share > 0:
            asked = np.zeros((shape[0], config.graph.simplex_mixtures, shape[2]), np.float32)
        return Rows(np.zeros(shape, np.float32), np.zeros(shape[:2], np.int32), asked)

    def played_like() -> Played:
        """A batch without episodes."""
        lanes, steps = num_lanes, info.max_steps
        return Played(
            rows=rows_like(),
            observation=np.zeros((steps, lanes, observation_size), np.float32),
            legal_mask=np.ones((steps, lanes, num_actions), bool),
            action=np.zeros((steps, lanes, num_actions), np.float32)
            if info.continuous
            else np.zeros((steps, lanes), np.int32),
            log_prob=np.zeros((steps, lanes), np.float32),
            reward=np.zeros((steps, lanes), np.float32),
            decided=np.zeros((steps, lanes), bool),
            temperature=np.zeros(lanes, np.float32),
            seat=np.zeros(lanes, np.int32),
            profile=np.zeros((lanes, info.num_players), np.int32),
            batch=np.int32(-1),
        )

    def play_block(params: Any, objective: Objective, key: Any) -> ReplayBlock:
        match_key, play_key = jax.random.split(key)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(match_key)))
        rows = jax.tree.map(np.asarray, objective.rows)
        matches = draw_matches(
            rng,
            np.asarray(rows.every),
            lane_weights(objective),
            lanes=settings.episodes // settings.blocks,
            num_strategies=size,
        )
        lanes = len(matches.seat)
        episodes = play(lanes, play_key, Playing(params, rows, matches.profile))
        trajectory = jax.tree.map(np.asarray, episodes.trajectory)
        own = matches.along(trajectory.discount.shape[1])
        played = focal_episodes(
            trajectory,
            own,
            rows,
            focal_task(own, objective)[0],
            payoff_range=info.payoff_range,
            longest=info.max_steps,
        )
        return ReplayBlock(played, matches, np.asarray(episodes.returns))

    def join(params: Any, objective: Objective, blocks: Sequence[ReplayBlock]) -> MPOExperience:
        played = together([block.played for block in blocks])
        others = (block[1:] for block in blocks)
        matches, returns = jax.tree.map(lambda *parts: np.concatenate(parts), *others)
        return MPOExperience(played.rows, played, objective, matches, returns)

    block_keys = functools.partial(keys_of_blocks, number=settings.blocks)

    def collect(params: Any, objective: Objective, key: Any) -> MPOExperience:
        blocks = [play_block(params, objective, own) for own in block_keys(key)]
        return join(params, objective, blocks)

    def told_of(params, batch):
        """What heads read at every decision, `[D * L, ...]`: the observation, or the memory after
        it.
        """
        if config.network.memory == "none":
            return flat(batch.observation)
        previous = jnp.concatenate([jnp.full_like(batch.action[:1], -1), batch.action[:-1]])
        remembered = network.apply(
            params,
            batch.observation,
            table_of(batch.seat),
            previous,
            start=jnp.zeros((batch.action.shape[1], config.network.memory_size)),
            fresh=jnp.zeros(batch.action.shape, bool),
            moved=batch.decided,
            method="unroll",
        )
        return flat(remembered)

    def apply(params, told, rows, batch, action=None):
        """Parameters of the policy of every decision, `[D * L, ...]`, and values: of all actions,
        or of `action` `[D * L, C, A]` where these are continuous.
        """
        steps, lanes = batch.action.shape[:2]
        asked = {} if action is None else {"action": action}
        strategies = rows.every.shape[1]
        profile = jax.nn.one_hot(batch.profile[:, :1], strategies)
        if info.num_players > 1:
            # The row in the place of the opponent drawn: the critic is of the whole task.
            met = coplayer_marginals(rows.every, size)[batch.seat, batch.profile[:, 0]]
            met = met.reshape(lanes, info.num_players - 1, size)
            met = jnp.pad(met, ((0, 0), (0, 0), (0, strategies - size)))
            profile = jnp.concatenate([profile, met], axis=1)
        profile = jnp.tile(profile, (steps, 1, 1))
        outputs, values = network.apply(
            params,
            told,
            jnp.tile(table_of(batch.seat), (steps, 1)),
            rows.tables(num_tables),
            profile=profile,
            **asked,
        )
        return distribution.parameters(outputs, flat(batch.legal_mask)), values

    def flat(field):
        """`[D * L, ...]` from `[D, L, ...]`."""
        return field.reshape(-1, *field.shape[2:])

    def candidates(policy, key):
        """Actions of every decision to choose between, with their log-weights under the policy: all
        of them, or draws `[D * L, C, A]`.
        """
        if not info.continuous:
            return None, policy
        keys = jax.random.split(key, settings.samples)
        drawn = jax.vmap(lambda own: distribution.sample(policy, own), out_axes=1)(keys)
        return drawn, jnp.full(drawn.shape[:2], -jnp.log(float(settings.samples)))

    def log_probs_of(policy, drawn):
        """`[D * L, C]` of the candidates under a policy."""
        if drawn is None:
            return policy
        return jax.vmap(distribution.log_prob, (None, 1), 1)(policy, drawn)

    def values_of(values, batch, drawn):
        """Values of the candidates, and of what was done."""
        if drawn is None:
            return values, jnp.take_along_axis(values, flat(batch.action)[:, None], axis=1)[:, 0]
        return values[:, :-1], values[:, -1]

    def table_of(seat):
        return jax.nn.one_hot(seat if num_tables > 1 else jnp.zeros_like(seat), num_tables)

    def loss(params, target, teacher, alpha, rows, batch, respond, hold, key, with_teacher):
        shape, legal = batch.action.shape[:2], flat(batch.legal_mask)
        told, old_told = told_of(params, batch), told_of(target, batch)
        old, _ = jax.lax.stop_gradient(apply(target, old_told, rows, batch))
        drawn, log_weights = candidates(old, key)
        asked = None
        if drawn is not None:
            asked = jnp.concatenate([drawn, flat(batch.action)[:, None]], axis=1)
        policy, values = apply(params, told, rows, batch, asked)
        _, old_values = jax.lax.stop_gradient(apply(target, old_told, rows, batch, asked))
        values, done = values_of(values, batch, drawn)
        old_values, old_done = values_of(old_values, batch, drawn)
        there = legal if drawn is None else jnp.ones(drawn.shape[:2], bool)

        tau = jnp.tile(batch.temperature, shape[0])[:, None]
        worth = old_values - tau * log_probs_of(old, drawn)
        value = jnp.sum(jnp.where(there, jnp.exp(log_weights) * worth, 0.0), axis=1)
        surprise = flat(batch.log_prob) - distribution.log_prob(old, flat(batch.action))
        parts = (value, old_done, jnp.exp(-surprise), flat(batch.reward), flat(batch.decided))
        returns = retrace(*(part.reshape(shape) for part in parts), trace=settings.trace)
        error = (done - flat(returns)) ** 2

        decided = flat(batch.decided).astype(jnp.float32)
        respond, hold = (jnp.tile(part, shape[0]) for part in (respond, hold))
        weight = decided * respond
        candidate = (log_weights, worth, tau, there)
        eta = find_eta(*candidate, weight=weight, bound=settings.improvement)
        improved = jnp.exp(improved_log_weights(*candidate, eta))
        fit, moved = 0.0, []
        for part in distribution.parts(policy, old):
            log_probs = log_probs_of(part, drawn)
            fit = fit - jnp.sum(improved * jnp.where(there, log_probs, 0.0), axis=1)
            moved.append(distribution.divergence(old, part, legal))
        moved = jnp.stack(moved)
        holding = jnp.zeros(())
        if with_teacher:
            taught, _ = apply(teacher, told_of(teacher, batch), rows, batch)
            holding = distribution.divergence(taught, policy, legal)

        def mean(part: Array, over: Array) -> Array:
            return jnp.sum(part * over, axis=-1) / jnp.maximum(over.sum(), 1.0)

        learned = decided * jnp.maximum(respond, hold)
        policy_loss = jnp.sum(weight * (fit + alpha @ moved) + decided * hold * holding)
        critic_error = mean(error, learned)
        total = (
            policy_loss / jnp.maximum(learned.sum(), 1.0) + settings.critic_weight * critic_error
        )
        movement = mean(moved, weight)
        metrics = {
            "train/critic_error": critic_error,
            "train/entropy": mean(distribution.entropy(policy, legal), weight),
            "train/movement": movement,
            "train/eta": eta,
            "replay/behaviour_divergence": mean(surprise, decided),
        }
        if readout is not None:
            surprised = mean(flat(readout_surprise(params, told, rows, batch)), decided)
            total += settings.readout_weight * surprised
            metrics["train/readout_surprise"] = surprised
        return total, metrics | {"train/loss": total}

    def readout_surprise(params, told, rows, batch):
        """Nats by which the read-out is surprised to be told who the opponent is."""
        steps, lanes = batch.action.shape[:2]
        seat = jnp.tile(table_of(batch.seat), (steps, 1))
        found = log_likelihoods(readout, params, told, seat).reshape(steps, lanes, -1)
        prior = rows.every[batch.seat, batch.profile[:, 0]]
        posterior = log_posterior(found, jnp.broadcast_to(prior, found.shape))
        return posterior[:, jnp.arange(lanes), batch.profile[:, 1]] * -1.0

    @functools.partial(jax.jit, static_argnames="with_teacher")
    def one_step(
        params, opt_state, alpha, target, teacher, batch, respond, hold, step, key, with_teacher
    ):
        rows = jax.tree.map(jnp.asarray, batch.rows)
        gradient, metrics = jax.grad(loss, has_aux=True)(
            params, target, teacher, alpha, rows, batch, respond, hold, key, with_teacher
        )
        movement = metrics["train/movement"]
        alpha = next_alpha(alpha, movement, bound=settings.movement)
        metrics["train/movement"] = movement.max()
        return *optimizer.apply(gradient, params, opt_state, step), alpha, metrics

    def update(
        state: LearnerState, experience: MPOExperience, key: Any
    ) -> tuple[LearnerState, dict[str, Any]]:
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        objective, number = experience.objective, int(state.step)
        replay = keep(jax.tree.map(np.asarray, state.optimizer.replay), experience.played, number)
        filled = np.flatnonzero(replay.batch >= 0).tolist()
        tasks = {slot: tasks_of(_at(replay, slot), objective) for slot in filled}
        useful = {slot: np.flatnonzero(np.maximum(*tasks[slot])) for slot in filled}
        # Batches of strategies that have all been given other rows teach nothing any more.
        filled = [slot for slot in filled if len(useful[slot])] or filled
        # Always as many, so that one program serves all steps.
        lanes = min(max(settings.minibatch // info.max_steps, 1), num_lanes)
        params, opt_state, alpha = state.params, state.optimizer.network, state.optimizer.alpha
        with_teacher = any(bool(hold.any()) for _, hold in tasks.values())
        ages, found = [], []
        for number_of_step in range(max(settings.epochs * num_lanes // lanes, 1)):
            slot = filled[rng.integers(len(filled))]
            respond, hold = tasks[slot]
            some = useful[slot] if len(useful[slot]) else np.arange(num_lanes)
            index = rng.choice(some, size=lanes, replace=len(some) < lanes)
            params, opt_state, alpha, metrics = one_step(
                params, opt_state, alpha, state.params, objective.teacher,
                some_lanes(_at(replay, slot), index), respond[index], hold[index], state.step,
                jax.random.fold_in(key, number_of_step), with_teacher,
            )  # fmt: skip
            found.append(metrics)
            ages.append(number - int(replay.batch[slot]))
        metrics = {name: float(np.mean([m[name] for m in found])) for name in metrics}
        metrics |= {"replay/age": float(np.mean(ages)), "train/alpha": float(alpha.max())}
        if config.network.normalise:
            # Last: what was played is compared with what the same statistics make of it.
            played = experience.played
            params = updated_statistics(params, played.observation[played.decided])
        carried = MPOState(opt_state, alpha, replay)
        return LearnerState(params, carried, state.step + 1), metrics

    return Learner(
        init=init,
        collect=collect,
        update=update,
        restart=make_restart(config, init),
        steps_per_update=1,
        blocks=Blocks(block_keys, play_block, join, Objective.without_teacher),
    )


def _at(replay: Played, slot: int) -> Played:
    return jax.tree.map(lambda field: field[slot], replay)
