"""Learns the responses of one iteration from whole episodes, and keeps what was learned before.

The losses are those of `neupl.jpsro.exact_learner`, on decisions instead of information states.
*Respond*: proximal policy optimisation of the response head (Schulman et al. 2017, arXiv
1707.06347; `neupl.learners.ppo`) on the focal seat's decisions, against co-players that are one
draw of the mixture, hidden, for the whole episode, as they were when the iteration began.
*Distil*: the new strategy is drawn to the response wherever the response decides. *Regularise*:
earlier strategies stay where they were wherever they decide, whoever they meet.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from games.types import Game, HostGame
from neupl.action_distribution import CATEGORICAL
from neupl.config import Config
from neupl.jit_once import jit_once
from neupl.jpsro.episode_magnet import make_episode_magnet
from neupl.jpsro.network import ResponseNetwork
from neupl.jpsro.response_actor import DecidingNetwork, Meeting, ResponseActor
from neupl.jpsro.response_matches import (
    ResponseMatches,
    draw_response_matches,
    joined_matches,
)
from neupl.jpsro.task import ResponseTask
from neupl.learners.blocks import keys_of_blocks
from neupl.learners.decisions import Decisions, lane_decisions, minibatches, seen_at
from neupl.learners.focal_lanes import one_size
from neupl.learners.optimizer import Optimizer
from neupl.learners.ppo import advantage_spread, clipped_gain
from neupl.networks import masked_log_probs
from neupl.population_actor import Seen
from neupl.rollout import Trajectory, make_actor_play
from neupl.types import Blocks, Learner, LearnerState

# Weight of the entropy of responses, in nats, where other co-players let them arrive, beside
# advantages of unit standard deviation; and of their divergence from the random policy that breaks
# ties, which is all that tells actions apart where the mixture never lets them arrive.
EVEN, RANDOM = 0.001, 0.1


class ResponseBlock(NamedTuple):
    """Episodes of a part of a batch; fields as in `ResponseEpisodes`."""

    decisions: Decisions
    held: Seen
    matches: ResponseMatches
    returns: Float32[np.ndarray, "B P"]


class ResponseEpisodes(NamedTuple):
    """A batch of episodes.

    Attributes:
      task: as it was given.
      decisions: of responses; those that improve, against their mixture, and others that do not.
      held: decisions of strategies that are held.
      held_share: how often each of those is rehearsed: every strategy alike; sums to 1, or is
        empty.
      matches: who played in each lane.
      returns: `[B, P]` of all seats, in game points.
    """

    task: ResponseTask
    decisions: Decisions
    held: Seen
    held_share: Float[np.ndarray, "D"]
    matches: ResponseMatches
    returns: Float32[np.ndarray, "B P"]


def make_ppo_response_learner(
    game: Game | HostGame, network: ResponseNetwork, config: Config, num_responders: int
) -> Learner:
    """Builds the learner of one game; its objectives are `ResponseTask`s.

    Args:
      game: what is played.
      network: plays strategies and responses.
      config: learner, jpsro and training are read.
      num_responders: responses `R` that are learned at a time, per seat.

    Raises:
      UserError: the seats have different actions or observations.
    """
    info, settings = game.info, config.learner
    lanes = settings.episodes // settings.blocks
    one_size(info.num_actions, "actions")
    observation_size = one_size(info.observation_size, "observations")
    asked = DecidingNetwork(network)
    play = make_actor_play(game, ResponseActor(info, network), record=True)
    magnet = make_episode_magnet(config.jpsro, info.num_players)
    magnet_of_batch = jax.jit(magnet)
    even_ties = config.jpsro.ties == "even"
    # Every iteration starts at full speed and ends slowly enough to stand still.
    optimizer = Optimizer(config, steps=config.training.max_steps_per_row)

    def init(key: Any) -> LearnerState:
        players, size = info.num_players, config.population.size
        params = network.init(
            key,
            jnp.zeros((1, observation_size)),
            jnp.zeros((1, players)),
            jnp.zeros((players, num_responders, size ** (players - 1))),
            method="everything_sampled",
        )
        return LearnerState(params, optimizer.init(params), jnp.zeros((), jnp.int32))

    def prior_of(
        trajectory: Trajectory, matches: ResponseMatches, task: ResponseTask
    ) -> Float[np.ndarray, "T F"] | None:
        """Log-probabilities of the focal seats' actions under the policy that breaks ties."""
        if even_ties and not task.novel:
            return None
        seat, lanes = matches.focal.seat, np.arange(len(matches.focal.seat))
        when = np.repeat(np.arange(len(trajectory.action)), len(lanes))
        where = (
            when,
            np.tile(lanes, len(trajectory.action)),
            np.tile(seat, len(when) // len(lanes)),
        )
        seen = seen_at(trajectory, matches.profile, where)
        log_probs = np.asarray(magnet_of_batch(task, seen))
        chosen = np.take_along_axis(log_probs, trajectory.action[where][:, None], axis=1)[:, 0]
        return chosen.reshape(-1, len(lanes))

    def play_block(params: Any, task: ResponseTask, key: Any) -> ResponseBlock:
        match_key, play_key = jax.random.split(key)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(match_key)))
        matches = draw_response_matches(rng, task, lanes=lanes)
        context = Meeting(params, task.frozen_params, task.mixtures, matches.profile)
        episodes = play(lanes, play_key, context)
        trajectory = jax.tree.map(np.asarray, episodes.trajectory)
        focal, count = matches.focal, len(matches.focal.seat)
        response = focal.profile[np.arange(count), focal.seat] - config.population.size
        ones = np.ones(count, np.float32)
        learning = lane_decisions(
            jax.tree.map(lambda x: x[:, :count], trajectory),
            focal,
            np.asarray(task.temperature)[focal.seat, response],
            respond=ones,
            hold=0 * ones,
            payoff_range=info.payoff_range,
            trace=settings.trace,
            prior=prior_of(trajectory, matches, task),
        )
        others, held = _rehearsed(trajectory, matches, np.asarray(task.held))
        decisions = jax.tree.map(lambda *parts: np.concatenate(parts), learning, others)
        return ResponseBlock(decisions, held, matches, np.asarray(episodes.returns))

    def join(params: Any, task: ResponseTask, blocks: Sequence[ResponseBlock]) -> ResponseEpisodes:
        learned = (block[:2] for block in blocks)
        decisions, held = jax.tree.map(lambda *parts: np.concatenate(parts), *learned)
        matches, returns = joined_matches(
            [block.matches for block in blocks], [block.returns for block in blocks]
        )
        share = _held_share(held, config.population.size)
        return ResponseEpisodes(task, decisions, held, share, matches, returns)

    block_keys = functools.partial(keys_of_blocks, number=settings.blocks)

    def collect(params: Any, task: ResponseTask, key: Any) -> ResponseEpisodes:
        return join(params, task, [play_block(params, task, own) for own in block_keys(key)])

    def lesson(log_probs: Array, task: ResponseTask, seen: Seen) -> Array:
        """Log-probabilities that strategies are taught: those of the response, ties broken."""
        legal = jnp.asarray(seen.legal_mask)
        logits = log_probs + config.jpsro.break_ties * magnet(task, seen)
        return jax.lax.stop_gradient(masked_log_probs(logits, legal))

    def loss(
        params: Any, task: ResponseTask, batch: Decisions, held: Seen | None, spread: Any
    ) -> tuple[Array, dict[str, Array]]:
        seen, legal = batch.seen, batch.seen.legal_mask
        log_probs, value = asked.response(params, seen, task.mixtures)
        chosen = CATEGORICAL.log_prob(log_probs, batch.action)
        gain = clipped_gain(chosen, batch, clip=settings.clip)
        entropy = -CATEGORICAL.divergence(log_probs, magnet(task, seen), legal)
        improvement = batch.respond * (gain + batch.temperature * entropy) / spread
        aside = jnp.where(task.novel > 0, RANDOM, EVEN)
        improvement += (1 - batch.respond) * aside * entropy
        error = batch.respond * (value - batch.target) ** 2
        new = asked.strategy(params, seen, task.slot[seen.seat])
        taught = CATEGORICAL.divergence(lesson(log_probs, task, seen), new, legal)
        is_new = seen.profile[:, 0] - network.num_strategies == task.responder[seen.seat]
        taught = taught * task.distil[seen.seat] * is_new
        total = settings.critic_weight * error - improvement + taught
        share = batch.counts / jnp.maximum(batch.counts.sum(), 1.0)
        total = share @ total
        if held is not None:
            own = held.profile[:, 0]
            before = asked.strategy(task.frozen_params, held, own)
            now = asked.strategy(params, held, own)
            each = task.held.sum() / info.num_players
            kept = CATEGORICAL.divergence(before, now, held.legal_mask).mean()
            total += config.jpsro.hold_weight * each * kept
        responding = batch.counts * batch.respond
        responding /= jnp.maximum(responding.sum(), 1.0)
        return total, {
            "train/loss": total,
            "train/critic_error": responding @ error,
            "train/entropy": responding @ entropy,
            "train/response_divergence": jnp.abs(responding @ (batch.log_prob - chosen)),
            "train/strategy_divergence": share @ taught,
        }

    @jax.jit
    def one_step(state, task, batch, held, spread):
        gradient, metrics = jax.grad(loss, has_aux=True)(state.params, task, batch, held, spread)
        since = state.step - task.started
        params, opt_state = optimizer.apply(gradient, state.params, state.optimizer, since)
        return LearnerState(params, opt_state, state.step), metrics

    def update(
        state: LearnerState, experience: ResponseEpisodes, key: Any
    ) -> tuple[LearnerState, dict[str, Any]]:
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        spread, held = advantage_spread(experience.decisions), None
        for _ in range(settings.epochs):
            for batch in minibatches(experience.decisions, settings.minibatch, rng):
                if len(experience.held_share):
                    some = rng.choice(
                        len(experience.held_share), settings.minibatch, p=experience.held_share
                    )
                    held = jax.tree.map(lambda field, index=some: field[index], experience.held)
                state, metrics = one_step(state, experience.task, batch, held, spread)
        metrics = {name: float(value) for name, value in metrics.items()}
        metrics["train/advantage_spread"] = float(spread)
        return state._replace(step=state.step + 1), metrics

    def restart(state: LearnerState, strategy: int, predecessor: int, key: Any) -> LearnerState:
        del strategy, predecessor, key  # all seats start over together
        # Every response starts with all actions alike: one that started as the last one ended would
        # not try what that had given up. Where the co-players never let a seat arrive nothing is
        # learned, and it plays what it starts with.
        params = dict(state.params["params"])
        params["response"] = jax.tree.map(jnp.zeros_like, params["response"])
        params = {"params": params}
        return LearnerState(params, optimizer.init(params), state.step)

    return Learner(
        init=jit_once(init),
        collect=collect,
        update=update,
        restart=restart,
        steps_per_update=1,
        blocks=Blocks(block_keys, play_block, join, ResponseTask.without_tree),
    )


def _rehearsed(
    trajectory: Trajectory, matches: ResponseMatches, held: Float[np.ndarray, "P K"]
) -> tuple[Decisions, Seen]:
    """Decisions of responses that do not improve, and those of strategies that are held."""
    size = held.shape[1]
    when, lane, seat = (part.astype(np.int32) for part in np.nonzero(trajectory.to_move))
    own = matches.profile[lane, seat]
    strays = (own >= size) & (lane >= len(matches.focal.seat))
    kept = (own < size) & (held[seat, np.minimum(own, size - 1)] > 0)

    def seen(which: np.ndarray) -> Seen:
        return seen_at(trajectory, matches.profile, (when[which], lane[which], seat[which]))

    nothing = np.zeros(int(strays.sum()), np.float32)
    decisions = Decisions(
        seen=seen(strays),
        action=nothing.astype(np.int32),
        log_prob=nothing,
        advantage=nothing,
        target=nothing,
        temperature=nothing,
        respond=nothing,
        hold=nothing,
        counts=np.ones_like(nothing),
    )
    return decisions, seen(kept)


def _held_share(held: Seen, size: int) -> Float[np.ndarray, "D"]:
    """How often each decision of strategies that are held is to be rehearsed."""
    strategy = held.seat * size + held.profile[:, 0]
    _, which, counts = np.unique(strategy, return_inverse=True, return_counts=True)
    return 1.0 / counts[which] / max(len(counts), 1)
