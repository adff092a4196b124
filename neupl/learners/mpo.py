"""The sampled learner by maximum a posteriori policy optimisation (MPO, Abdolmaleki et al. 2018,
arXiv 1806.06920), the algorithm of the NeuPL papers, for discrete actions: all strategies at once,
from replayed episodes of a `Game` or `HostGame`.

The critic tells the value of every action against a strategy's row. It is fitted to Retrace targets
(Munos et al. 2016, arXiv 1606.02647) of the policy at the start of the update, the target policy.
E-step: the improved policy of an observation maximises value plus temperature times entropy, with a
bound on its mean divergence from the target policy,

    q(a) = softmax((Q(a) + eta log pi(a)) / (eta + temperature)),

which for a temperature of 0 is the paper's; with one, what a strategy converges to is the
entropy-regularised response that its temperature asks for. Actions are few, so that sums over them
are exact, and the multiplier `eta` is found by bisection instead of gradient steps. M-step: the
network is drawn to the improved policy by cross-entropy, with a bound on how far it moves.

The critic is not told the opponent, unlike that of PPO: an improved policy of action values that
know whom they are against would respond to somebody that the strategy cannot see.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32

from games.types import Game, HostGame
from neupl.action_distribution import CATEGORICAL
from neupl.conditional_network import coplayer_marginals
from neupl.config import Config
from neupl.errors import UserError
from neupl.learners.focal_lanes import focal_task, lane_weights, one_size
from neupl.learners.optimizer import Optimizer, make_restart
from neupl.learners.replay import Played, empty_replay, focal_episodes, keep, tasks_of
from neupl.matches import Matches, draw_matches
from neupl.networks import make_network, masked_log_probs
from neupl.opponent_readout import add_readout, log_likelihoods, log_posterior, make_readout
from neupl.population_actor import Playing, PopulationActor
from neupl.rollout import make_actor_play
from neupl.types import Learner, LearnerState, Objective, Rows

# The multiplier of the E-step is looked for between these, in payoff ranges per nat.
LEAST_ETA, MOST_ETA, HALVINGS = 1e-5, 1e2, 30
# How fast the multiplier of the M-step's bound grows or falls, a step, and where it ends.
ALPHA_RATE, LEAST_ALPHA, MOST_ALPHA = 0.05, 1e-3, 1e3


class MPOState(NamedTuple):
    """What the learner carries beside parameters.

    Attributes:
      network: state of the optimiser.
      alpha: multiplier of the M-step's bound.
      replay: the last batches.
    """

    network: Any
    alpha: Float32[np.ndarray, ""]
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
      UserError: the seats have different actions or observations, or actions are continuous.
    """
    info, settings, size = game.info, config.learner, config.population.size
    num_tables = 1 if config.population.symmetric else info.num_players
    if info.continuous:
        raise UserError(
            f"learner.kind is 'mpo', but the actions of {info.name} are continuous",
            hint="set learner.kind=ppo",
        )
    num_actions = one_size(info.num_actions, "actions")
    network = make_network(config.network, num_actions)
    readout = make_readout(config.network, size)
    observation_size = one_size(info.observation_size, "observations")
    play = make_actor_play(game, actor, record=True)
    optimizer = Optimizer(config)

    def init(key: Any) -> LearnerState:
        params = jax.jit(init_params)(key)
        replay = empty_replay(played_like(), settings.replay)
        state = MPOState(optimizer.init(params), jnp.ones(()), replay)
        return LearnerState(params, state, jnp.zeros((), jnp.int32))

    def init_params(key: Any) -> Any:
        rows = jax.tree.map(jnp.asarray, rows_like()._replace(asked=None))
        params = network.init(
            key,
            jnp.zeros((1, observation_size)),
            jnp.zeros((1, num_tables)),
            rows.tables(num_tables),
            profile=jnp.zeros((1, info.num_players, size)),
        )
        return add_readout(
            readout,
            params,
            jax.random.fold_in(key, 1),
            width=observation_size,
            num_tables=num_tables,
        )

    def rows_like() -> Rows:
        shape = (info.num_players, size, size ** (info.num_players - 1))
        asked = None
        if config.graph.simplex_share > 0:
            asked = np.zeros((shape[0], config.graph.simplex_mixtures, shape[2]), np.float32)
        return Rows(np.zeros(shape, np.float32), np.zeros(shape[:2], np.int32), asked)

    def played_like() -> Played:
        """A batch without episodes."""
        lanes, steps = settings.episodes, info.max_steps
        return Played(
            rows=rows_like(),
            observation=np.zeros((steps, lanes, observation_size), np.float32),
            legal_mask=np.ones((steps, lanes, num_actions), bool),
            action=np.zeros((steps, lanes), np.int32),
            log_prob=np.zeros((steps, lanes), np.float32),
            reward=np.zeros((steps, lanes), np.float32),
            decided=np.zeros((steps, lanes), bool),
            temperature=np.zeros(lanes, np.float32),
            seat=np.zeros(lanes, np.int32),
            profile=np.zeros((lanes, info.num_players), np.int32),
            batch=np.int32(-1),
        )

    def collect(params: Any, objective: Objective, key: Any) -> MPOExperience:
        match_key, play_key = jax.random.split(key)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(match_key)))
        rows = jax.tree.map(np.asarray, objective.rows)
        matches = draw_matches(
            rng,
            np.asarray(rows.every),
            lane_weights(objective),
            lanes=settings.episodes,
            num_strategies=size,
        )
        episodes = play(settings.episodes, play_key, Playing(params, rows, matches.profile))
        played = focal_episodes(
            jax.tree.map(np.asarray, episodes.trajectory),
            matches,
            rows,
            focal_task(matches, objective)[0],
            payoff_range=info.payoff_range,
            longest=info.max_steps,
        )
        return MPOExperience(rows, played, objective, matches, np.asarray(episodes.returns))

    def apply(params, rows, batch):
        """Log-probabilities and action values of every decision, `[D, L, A]`."""
        steps, lanes = batch.action.shape
        strategies = rows.every.shape[1]
        own = jax.nn.one_hot(batch.profile[:, :1], strategies)
        # The row in the place of the opponent drawn: the critic is of the whole task.
        met = coplayer_marginals(rows.every, size)[batch.seat, batch.profile[:, 0]]
        met = met.reshape(lanes, info.num_players - 1, size)
        met = jnp.pad(met, ((0, 0), (0, 0), (0, strategies - size)))
        profile = jnp.tile(jnp.concatenate([own, met], axis=1), (steps, 1, 1))
        logits, values = network.apply(
            params,
            batch.observation.reshape(steps * lanes, -1),
            jnp.tile(table_of(batch.seat), (steps, 1)),
            rows.tables(num_tables),
            profile=profile,
        )
        shape = (steps, lanes, num_actions)
        return masked_log_probs(logits.reshape(shape), batch.legal_mask), values.reshape(shape)

    def table_of(seat):
        return jax.nn.one_hot(seat if num_tables > 1 else jnp.zeros_like(seat), num_tables)

    def loss(params, target, teacher, alpha, rows, batch, respond, hold, with_teacher):
        log_probs, values = apply(params, rows, batch)
        old_log_probs, old_values = jax.lax.stop_gradient(apply(target, rows, batch))
        legal, decided = batch.legal_mask, batch.decided.astype(jnp.float32)
        returns = retrace(
            old_log_probs,
            old_values,
            batch,
            trace=settings.trace,
        )
        chosen = jnp.take_along_axis(values, batch.action[..., None], axis=2)[..., 0]
        error = (chosen - returns) ** 2

        weight = decided * respond
        tau = batch.temperature[None, :, None]
        eta = find_eta(
            old_log_probs, old_values, tau, legal, weight=weight, bound=settings.improvement
        )
        improved = improved_log_probs(old_log_probs, old_values, tau, legal, eta)
        sums = functools.partial(jnp.einsum, "dla,dla->dl")
        fit = -sums(jnp.exp(improved), jnp.where(legal, log_probs, 0.0))
        flat = (-1, num_actions)
        moved = CATEGORICAL.divergence(
            old_log_probs.reshape(flat), log_probs.reshape(flat), legal.reshape(flat)
        ).reshape(decided.shape)
        holding = jnp.zeros(())
        if with_teacher:
            taught, _ = apply(teacher, rows, batch)
            holding = CATEGORICAL.divergence(
                taught.reshape(flat), log_probs.reshape(flat), legal.reshape(flat)
            ).reshape(decided.shape)

        def mean(part: Array, over: Array) -> Array:
            return jnp.sum(part * over) / jnp.maximum(over.sum(), 1.0)

        learned = decided * jnp.maximum(respond, hold)
        policy_loss = jnp.sum(weight * (fit + alpha * moved) + decided * hold * holding)
        critic_error = mean(error, learned)
        total = (
            policy_loss / jnp.maximum(learned.sum(), 1.0) + settings.critic_weight * critic_error
        )
        metrics = {
            "train/critic_error": critic_error,
            "train/entropy": -mean(sums(jnp.exp(log_probs), jnp.where(legal, log_probs, 0.0)),
                                   weight),
            "train/movement": mean(moved, weight),
            "train/eta": eta,
            "replay/behaviour_divergence": mean(
                batch.log_prob
                - jnp.take_along_axis(old_log_probs, batch.action[..., None], axis=2)[..., 0],
                decided,
            ),
        }  # fmt: skip
        if readout is not None:
            surprise = mean(readout_surprise(params, rows, batch), decided)
            total += settings.readout_weight * surprise
            metrics["train/readout_surprise"] = surprise
        return total, metrics | {"train/loss": total}

    def readout_surprise(params, rows, batch):
        """Nats by which the read-out is surprised to be told who the opponent is."""
        steps, lanes = batch.action.shape
        seat = jnp.tile(table_of(batch.seat), (steps, 1))
        told = batch.observation.reshape(steps * lanes, -1)
        found = log_likelihoods(readout, params, told, seat).reshape(steps, lanes, -1)
        prior = rows.every[batch.seat, batch.profile[:, 0]]
        posterior = log_posterior(found, jnp.broadcast_to(prior, found.shape))
        return posterior[:, jnp.arange(lanes), batch.profile[:, 1]] * -1.0

    @functools.partial(jax.jit, static_argnames="with_teacher")
    def one_step(
        params, opt_state, alpha, target, teacher, batch, respond, hold, step, with_teacher
    ):
        rows = jax.tree.map(jnp.asarray, batch.rows)
        gradient, metrics = jax.grad(loss, has_aux=True)(
            params, target, teacher, alpha, rows, batch, respond, hold, with_teacher
        )
        alpha = next_alpha(alpha, metrics["train/movement"], bound=settings.movement)
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
        lanes = min(max(settings.minibatch // info.max_steps, 1), settings.episodes)
        params, opt_state, alpha = state.params, state.optimizer.network, state.optimizer.alpha
        with_teacher = any(bool(hold.any()) for _, hold in tasks.values())
        ages, found = [], []
        for _ in range(max(settings.epochs * settings.episodes // lanes, 1)):
            slot = filled[rng.integers(len(filled))]
            respond, hold = tasks[slot]
            some = useful[slot] if len(useful[slot]) else np.arange(settings.episodes)
            index = rng.choice(some, size=lanes, replace=len(some) < lanes)
            params, opt_state, alpha, metrics = one_step(
                params, opt_state, alpha, state.params, objective.teacher,
                _lanes(_at(replay, slot), index), respond[index], hold[index], state.step,
                with_teacher,
            )  # fmt: skip
            found.append(metrics)
            ages.append(number - int(replay.batch[slot]))
        metrics = {name: float(np.mean([m[name] for m in found])) for name in metrics}
        metrics |= {"replay/age": float(np.mean(ages)), "train/alpha": float(alpha)}
        carried = MPOState(opt_state, alpha, replay)
        return LearnerState(params, carried, state.step + 1), metrics

    return Learner(
        init=init,
        collect=collect,
        update=update,
        restart=make_restart(config, init),
        steps_per_update=1,
    )


def retrace(
    log_probs: Float[Array, "D L A"],
    values: Float[Array, "D L A"],
    batch: Played,
    *,
    trace: float,
) -> Float[Array, "D L"]:
    """Retrace targets of the values of what was done (Munos et al. 2016, equation 4), without
    discounting, in payoff ranges. The return of a decision holds the entropies of the seat's
    decisions after it.

    Args:
      log_probs: of the target policy.
      values: of actions under the target policy.
      batch: episodes of other policies.
      trace: lambda; 0 takes one step.
    """
    legal = batch.legal_mask
    paid = values - batch.temperature[None, :, None] * log_probs
    value = jnp.sum(jnp.where(legal, jnp.exp(log_probs) * paid, 0.0), axis=2)

    def of_action(field: Array) -> Array:
        return jnp.take_along_axis(field, batch.action[..., None], axis=2)[..., 0]

    kept = trace * jnp.minimum(1.0, jnp.exp(of_action(log_probs) - batch.log_prob))
    done = of_action(values)

    def before(after: Array, at: tuple) -> tuple[Array, Array]:
        reward, value, kept, done, decided = at
        target = reward + after
        # What this decision lends to the one before; nothing where there is none.
        return jnp.where(decided, value + kept * (target - done), 0.0), target

    fields = (batch.reward, value, kept, done, batch.decided)
    return jax.lax.scan(before, jnp.zeros(batch.action.shape[1]), fields, reverse=True)[1]


def improved_log_probs(
    log_probs: Float[Array, "*N A"],
    values: Float[Array, "*N A"],
    temperature: Float[Array, "..."],
    legal: Bool[Array, "*N A"],
    eta: Float[Array, ""],
) -> Float[Array, "*N A"]:
    """The E-step: what maximises value plus temperature times entropy minus `eta` times the
    divergence from the policy.
    """
    scaled = (values + eta * log_probs) / (eta + temperature)
    return masked_log_probs(scaled, legal)


def find_eta(
    log_probs: Float[Array, "*N A"],
    values: Float[Array, "*N A"],
    temperature: Float[Array, "..."],
    legal: Bool[Array, "*N A"],
    *,
    weight: Float[Array, "*N"],
    bound: float,
) -> Float[Array, ""]:
    """The multiplier with which the improved policy diverges by `bound` nats from the policy, on
    the weighted mean; the least one where it never does. It minimises the dual of the E-step.
    """

    def diverges(eta: Array) -> Array:
        improved = improved_log_probs(log_probs, values, temperature, legal, eta)
        apart = jnp.where(legal, jnp.exp(improved) * (improved - log_probs), 0.0).sum(axis=-1)
        return jnp.sum(weight * apart) / jnp.maximum(weight.sum(), 1.0)

    def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        too_far = diverges(jnp.exp(middle)) > bound
        return jnp.where(too_far, middle, low), jnp.where(too_far, high, middle)

    ends = (jnp.log(jnp.float32(LEAST_ETA)), jnp.log(jnp.float32(MOST_ETA)))
    return jnp.exp(jax.lax.fori_loop(0, HALVINGS, halve, ends)[1])


def next_alpha(
    alpha: Float[Array, ""], movement: Float[Array, ""], *, bound: float
) -> Float[Array, ""]:
    """The multiplier of the M-step after a step: greater where the policy has moved too far."""
    excess = jnp.clip(movement / bound - 1.0, -1.0, 1.0)
    return jnp.clip(alpha * jnp.exp(ALPHA_RATE * excess), LEAST_ALPHA, MOST_ALPHA)


def _at(replay: Played, slot: int) -> Played:
    return jax.tree.map(lambda field: field[slot], replay)


def _lanes(played: Played, index: np.ndarray) -> Played:
    """Some lanes of a batch, its rows as they are."""
    by_step = ("observation", "legal_mask", "action", "log_prob", "reward", "decided")
    by_lane = ("temperature", "seat", "profile")
    return played._replace(
        **{name: getattr(played, name)[:, index] for name in by_step},
        **{name: getattr(played, name)[index] for name in by_lane},
    )
