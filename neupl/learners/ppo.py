"""The sampled learner: proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) of all
strategies at once, from whole episodes of a `Game` or `HostGame`.

`collect` plays a batch of episodes. In every lane one seat plays a strategy that learns, the others
one draw from its row; only the focal seat's decisions are kept. `update` goes over them a few times
in minibatches. The entropy of each decision has its own weight, the strategy's temperature in
payoff ranges, and so have the entropies of the decisions that follow it, which are part of the
return. Advantages are divided by their standard deviation over the batch, and temperatures by the
same number, so that they keep their meaning. Strategies that are held are drawn to the teacher by
its divergence from them, where they go themselves.

With `learner.mirror` the policy is also drawn to the one that played the batch: with the entropy,
one step of magnetic mirror descent (Sokota et al. 2023, arXiv 2206.05825) in its form for policies
that are networks.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32, Int32

from games.types import Game, HostGame
from neupl.config import Config
from neupl.errors import UserError
from neupl.learners.optimizer import Optimizer, make_restart
from neupl.matches import Matches, draw_matches, seat_order
from neupl.networks import make_network
from neupl.population_actor import Playing, PopulationActor, Seen, apply_network
from neupl.rollout import Trajectory, make_actor_play
from neupl.types import Learner, LearnerState, Objective, Rows

# Share of the lanes that strategies which are held get, where others respond. They are to stay
# where they are: that takes fewer episodes than to learn something.
HELD_SHARE = 0.25

# Advantages of a batch whose standard deviation is below this share of the payoff range are noise.
LEAST_SPREAD = 1e-4


class Decisions(NamedTuple):
    """`N` decisions of focal seats, of which some may be padding.

    Attributes:
      seen: what was decided about.
      action: what was done.
      log_prob: its log-probability when it was done.
      advantage: estimate in payoff ranges.
      target: of the value, in payoff ranges.
      temperature: weight of the entropy, in payoff ranges per nat.
      respond: 1 where the strategy improves.
      hold: 1 where it stays with the teacher.
      counts: 1, or 0 for padding.
    """

    seen: Seen
    action: Int32[np.ndarray, "N"]
    log_prob: Float32[np.ndarray, "N"]
    advantage: Float32[np.ndarray, "N"]
    target: Float32[np.ndarray, "N"]
    temperature: Float32[np.ndarray, "N"]
    respond: Float32[np.ndarray, "N"]
    hold: Float32[np.ndarray, "N"]
    counts: Float32[np.ndarray, "N"]


class PPOExperience(NamedTuple):
    """A batch of episodes.

    Attributes:
      rows: the strategies that played.
      behaviour: parameters that played.
      teacher: parameters that held strategies are drawn to.
      decisions: of the focal seats.
      matches: who played in each lane.
      returns: `[B, P]` of all seats, in game points.
    """

    rows: Rows
    behaviour: Any
    teacher: Any
    decisions: Decisions
    matches: Matches
    returns: Float32[np.ndarray, "B P"]


def make_ppo_learner(game: Game | HostGame, actor: PopulationActor, config: Config) -> Learner:
    """Builds the learner of one game.

    Args:
      game: what is played.
      actor: plays all seats by the network that learns.
      config: network, learner, population and training are read.

    Raises:
      UserError: the seats have different actions or observations.
    """
    info, settings = game.info, config.learner
    num_tables = 1 if config.population.symmetric else info.num_players
    network = make_network(config.network, _one_size(info.num_actions, "actions"))
    observation_size = _one_size(info.observation_size, "observations")
    play = make_actor_play(game, actor, record=True)
    optimizer = Optimizer(config)
    apply = functools.partial(apply_network, network, num_tables=num_tables)

    def init(key: Any) -> LearnerState:
        size, players = config.population.size, info.num_players
        joint = jnp.zeros((players, size, size ** (players - 1)))
        rows = Rows(joint, jnp.zeros((players, size), jnp.int32))
        params = network.init(
            key,
            jnp.zeros((1, observation_size)),
            jnp.zeros((1, num_tables)),
            Rows(rows.joint[:num_tables], rows.identity[:num_tables]),
            profile=jnp.zeros((1, players, size)),
        )
        return LearnerState(params, optimizer.init(params), jnp.zeros((), jnp.int32))

    def collect(params: Any, objective: Objective, key: Any) -> PPOExperience:
        match_key, play_key = jax.random.split(key)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(match_key)))
        rows = Rows(np.asarray(objective.rows.joint), np.asarray(objective.rows.identity))
        matches = draw_matches(rng, rows.joint, lane_weights(objective), lanes=settings.episodes)
        episodes = play(settings.episodes, play_key, Playing(params, rows, matches.profile))
        decisions = focal_decisions(
            jax.tree.map(np.asarray, episodes.trajectory),
            matches,
            objective,
            payoff_range=info.payoff_range,
            trace=settings.trace,
        )
        returns = np.asarray(episodes.returns)
        return PPOExperience(rows, params, objective.teacher, decisions, matches, returns)

    def loss(params, behaviour, teacher, rows, batch: Decisions, spread, with_teacher):
        log_probs, value = apply(params, rows, batch.seen)
        legal = batch.seen.legal_mask
        probabilities = jnp.where(legal, jnp.exp(log_probs), 0.0)
        chosen = jnp.take_along_axis(log_probs, batch.action[:, None], axis=1)[:, 0]
        ratio = jnp.exp(chosen - batch.log_prob)
        clipped = jnp.clip(ratio, 1 - settings.clip, 1 + settings.clip)
        gain = jnp.minimum(ratio * batch.advantage, clipped * batch.advantage)
        entropy = -jnp.sum(jnp.where(legal, probabilities * log_probs, 0.0), axis=1)
        moved = jnp.zeros(())
        if settings.mirror:
            before, _ = apply(behaviour, rows, batch.seen)
            moved = jnp.sum(jnp.where(legal, probabilities * (log_probs - before), 0.0), axis=1)
        gain = gain + batch.temperature * entropy - settings.mirror * moved
        improvement = batch.respond * gain / spread
        holding = jnp.zeros(())
        if with_teacher:
            taught, _ = apply(teacher, rows, batch.seen)
            known = jnp.where(legal, jnp.exp(taught), 0.0)
            holding = jnp.sum(jnp.where(legal, known * (taught - log_probs), 0.0), axis=1)
        error = (value - batch.target) ** 2
        total = (
            batch.counts
            @ (settings.critic_weight * error - improvement + batch.hold * holding)
            / jnp.maximum(batch.counts.sum(), 1.0)
        )
        approximate_kl = (
            batch.counts @ (batch.log_prob - chosen) / jnp.maximum(batch.counts.sum(), 1.0)
        )
        return total, {
            "train/loss": total,
            "train/critic_error": batch.counts @ error / jnp.maximum(batch.counts.sum(), 1.0),
            "train/entropy": batch.counts @ entropy / jnp.maximum(batch.counts.sum(), 1.0),
            "train/approximate_kl": approximate_kl,
        }

    @functools.partial(jax.jit, static_argnames="with_teacher")
    def one_step(params, opt_state, behaviour, teacher, rows, batch, spread, step, with_teacher):
        gradient, metrics = jax.grad(loss, has_aux=True)(
            params, behaviour, teacher, rows, batch, spread, with_teacher
        )
        return *optimizer.apply(gradient, params, opt_state, step), metrics

    def update(
        state: LearnerState, experience: PPOExperience, key: Any
    ) -> tuple[LearnerState, dict[str, Any]]:
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        decisions = experience.decisions
        responding = decisions.advantage[decisions.respond > 0]
        spread = np.float32(max(float(responding.std()) if len(responding) else 0.0, LEAST_SPREAD))
        with_teacher = bool((decisions.hold > 0).any())
        params, opt_state = state.params, state.optimizer
        for _ in range(settings.epochs):
            for batch in minibatches(decisions, settings.minibatch, rng):
                params, opt_state, metrics = one_step(
                    params, opt_state, experience.behaviour, experience.teacher,
                    experience.rows, batch, spread, state.step, with_teacher,
                )  # fmt: skip
        metrics = {name: float(value) for name, value in metrics.items()}
        metrics["train/advantage_spread"] = float(spread)
        return LearnerState(params, opt_state, state.step + 1), metrics

    init = jax.jit(init)
    return Learner(
        init=init,
        collect=collect,
        update=update,
        restart=make_restart(config, init),
        steps_per_update=1,
    )


def lane_weights(objective: Objective) -> Float[np.ndarray, "P K"]:
    """How many lanes each strategy gets, relative to the others: those that are held `HELD_SHARE`
    of all and those that respond the rest, where there are both; every strategy with a row alike
    where there is neither.
    """
    joint = np.asarray(objective.rows.joint)
    met = joint.sum(axis=-1) > 0
    shares = ((objective.respond, 1 - HELD_SHARE), (objective.hold, HELD_SHARE))
    parts = [(np.asarray(part) * met, share) for part, share in shares]
    parts = [(part / part.sum(), share) for part, share in parts if part.sum() > 0]
    return sum(part * share for part, share in parts) if parts else met.astype(np.float64)


def focal_decisions(
    trajectory: Trajectory,
    matches: Matches,
    objective: Objective,
    *,
    payoff_range: float,
    trace: float,
) -> Decisions:
    """What the focal seats decided, with advantages by generalised advantage estimation (Schulman
    et al. 2016, arXiv 1506.02438) over the seat's own decisions, without discounting. The return of
    a decision holds the entropies of the seat's decisions after it, each as the surprise
    `-log_prob` of what was done there; its own entropy stands in the loss.

    Args:
      trajectory: NumPy arrays, values in payoff ranges.
      matches: who played.
      objective: temperatures and weights of the strategies.
      payoff_range: of the game.
      trace: lambda of the estimator; 1 takes returns as they came.
    """
    lanes = np.arange(len(matches.seat))
    seat = matches.seat
    moved = trajectory.to_move[:, lanes, seat]
    reward = trajectory.rewards[:, lanes, seat] / payoff_range
    value = trajectory.value[:, lanes, seat]
    advantage = np.zeros(moved.shape, np.float32)
    strategy = matches.profile[lanes, seat]
    temperature = np.asarray(objective.temperature)[seat, strategy] / np.float32(payoff_range)
    surprise = -temperature * trajectory.log_prob[:, lanes, seat]
    collected = np.zeros(len(lanes), np.float32)
    next_value, next_advantage = np.zeros_like(collected), np.zeros_like(collected)
    for t in reversed(range(len(moved))):
        collected += reward[t]
        now = moved[t]
        delta = collected + next_value - value[t]
        advantage[t] = np.where(now, delta + trace * next_advantage, 0.0)
        next_advantage = np.where(now, advantage[t], next_advantage)
        next_value = np.where(now, value[t] + surprise[t], next_value)
        collected = np.where(now, 0.0, collected)
    when, lane = np.nonzero(moved)
    focal = seat[lane]
    order = seat_order(matches.profile.shape[1])[focal]
    profile = np.take_along_axis(matches.profile[lane], order, axis=1)
    return Decisions(
        seen=Seen(
            trajectory.observation[when, lane, focal],
            trajectory.legal_mask[when, lane, focal],
            focal,
            profile,
        ),
        action=trajectory.action[when, lane, focal],
        log_prob=trajectory.log_prob[when, lane, focal],
        advantage=advantage[when, lane],
        target=advantage[when, lane] + value[when, lane],
        temperature=temperature[lane],
        respond=np.sign(np.asarray(objective.respond)[focal, strategy[lane]]),
        hold=np.sign(np.asarray(objective.hold)[focal, strategy[lane]]),
        counts=np.ones(len(when), np.float32),
    )


def minibatches(decisions: Decisions, size: int, rng: np.random.Generator) -> Any:
    """The decisions in random order, in parts padded to the same size.

    All have as many decisions, to one: the optimiser takes as large a step on a few as on many.
    """
    count = len(decisions.action)
    for chosen in np.array_split(rng.permutation(count), max(-(-count // size), 1)):
        padded = np.concatenate([chosen, np.zeros(size - len(chosen), chosen.dtype)])
        part = jax.tree.map(lambda field, index=padded: field[index], decisions)
        counts = (np.arange(size) < len(chosen)).astype(np.float32)
        yield part._replace(counts=counts)


def _one_size(sizes: tuple[int, ...], what: str) -> int:
    if len(set(sizes)) != 1:
        raise UserError(
            f"the seats have different numbers of {what}, {sizes}: one network for all "
            "of them needs equal ones"
        )
    return sizes[0]
