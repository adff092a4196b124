"""Measures a run of NeuPL-JPSRO from episodes alone.

What can be gained from a joint is estimated by the responses that were trained against it, one
iteration late: a lower bound of its gap, up to noise. It is measured in episodes that nobody learns
from, and that workers may play (`neupl.jpsro.meeting_play`). Payoffs are mean returns of all
episodes that the strategies have played as they are, or nearly so, or what a payoff head makes of
these.
"""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Float64

from games.types import Game, HostGame
from neupl import sampled_gate
from neupl.config import Config
from neupl.item_play import PlayItems
from neupl.jpsro.iteration import begun, looks_for_something_new
from neupl.jpsro.joint_episodes import (
    DrawnPairs,
    Pairs,
    Played,
    draw_pairs,
    joined,
    lanes_for,
    mean_and_error,
    mean_gains,
    seat_gains,
)
from neupl.jpsro.meeting_play import MeasuredEpisodes, part_of
from neupl.jpsro.meta_game import advice_mixtures, solve_joints, spread, without_rounding
from neupl.jpsro.network import ResponseNetwork
from neupl.jpsro.policy_change import (
    PolicyComparison,
    decisions,
    episode_weights,
    mean_change,
    sequence_distances,
    strategy_changes,
)
from neupl.jpsro.ppo_learner import ResponseEpisodes
from neupl.jpsro.profile_payoffs import (
    payoffs_and_errors,
    play_the_unknown,
    play_what_matters,
)
from neupl.jpsro.sampled_inspection import JointEstimates, SampledInspection
from neupl.jpsro.sampled_selection import gap_estimate, keep_newest, snapshot_of
from neupl.jpsro.state import JointSnapshot, JointState, KeptEstimates
from neupl.jpsro.task import ResponseTask
from neupl.jpsro.types import JointProblem
from neupl.payoff_head import HeadState, make_payoff_head
from neupl.payoff_statistics import PayoffStatistics, add, decay, empty
from neupl.selection import SURE

# How many times the episodes of an evaluation are played for what responses gained in the end, and
# for the meta-game, whose episodes tell more.
GAIN_SHARE, PAYOFF_SHARE = 8, 4
# How often the payoff head is fitted to a meta-game: a strategy is new to it, and is asked for as
# soon as it has been played.
HEAD_FITS = 20
# The streams of evaluations within an iteration, of their conclusion, of the meta-game, of the
# final measurement, and of the payoff head's first parameters.
INSPECTION_STREAM, GAIN_STREAM, PAYOFF_STREAM, FINAL_STREAM, HEAD_STREAM = range(
    2**32 - 4, 2**32 - 9, -1
)


class SampledJointEvaluator:
    """See `neupl.jpsro.types.JointEvaluator`."""

    def __init__(self, game: Game | HostGame, network: ResponseNetwork, config: Config) -> None:
        """Takes the game as it is played and the network without its parameters."""
        self._size, self._players = network.num_strategies, game.info.num_players
        self._range = game.info.payoff_range
        self._lanes = lanes_for(config.evaluation.episodes, self._players)
        self._compare = PolicyComparison(network)
        self._responders = 1 if config.jpsro.concept == "cce" else self._size
        self._episodes = MeasuredEpisodes(
            game, network, lanes=self._lanes, num_responders=self._responders
        )
        self._head = None
        if config.evaluation.payoffs == "learned":
            self._head = make_payoff_head(game.info, self._size, symmetric=False)

    def played_by(self, play_items: PlayItems) -> "SampledJointEvaluator":
        """See `JointEvaluator`."""
        other = copy.copy(self)
        other._episodes = self._episodes.by(play_items)
        return other

    def begin(self, problem: JointProblem) -> tuple[JointEstimates, KeptEstimates]:
        """See `JointEvaluator`."""
        window, statistics = problem.config.evaluation.window, empty(self._size, self._players)
        head = () if self._head is None else self._head.init(_key(problem, HEAD_STREAM, 0))
        estimates = JointEstimates(
            statistics=statistics,
            history=sampled_gate.empty(window, self._players, self._responders),
            judged=np.bool_(False),
            idle=np.bool_(False),
            least_gap=np.float64(np.inf),
            least_error=np.float64(0.0),
            head=head,
        )
        nothing = np.zeros(self._players), *(np.zeros_like(statistics.total) for _ in range(3))
        return estimates, KeptEstimates(*nothing, np.int64(0))

    def tree_task(
        self, problem: JointProblem, state: JointState, mixtures: Float[np.ndarray, "P R M"]
    ) -> None:
        """See `JointEvaluator`."""

    def observe(self, estimates: JointEstimates, experience: ResponseEpisodes) -> JointEstimates:
        """See `JointEvaluator`; episodes without a response are episodes of their profile."""
        profile = experience.matches.profile
        known = (profile < self._size).all(axis=1)
        statistics = add(estimates.statistics, profile[known], experience.returns[known])
        return estimates._replace(statistics=statistics)

    def inspect(
        self,
        problem: JointProblem,
        state: JointState,
        task: ResponseTask,
        metrics: Mapping[str, Any],
    ) -> SampledInspection:
        """See `JointEvaluator`; of the metrics, the loss is read."""
        if not np.isfinite(metrics["train/loss"]):
            raise FloatingPointError("the loss is not finite")
        settings, range_ = problem.config, problem.info.payoff_range
        key = _key(problem, INSPECTION_STREAM, int(state.learner.step))
        draw_key, pair_key, rest_key = jax.random.split(key, 3)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(draw_key)))
        mixtures = np.asarray(task.mixtures)
        drawn = self._draw(problem, state, rng)
        others = rng.integers(0, state.sizes, (self._lanes, self._players), np.int32)
        followed, responded, rest = self._episodes.played(
            (state.learner.params, state.frozen, mixtures),
            [
                *self._episodes.pair(drawn, pair_key, "decisions"),
                part_of(others, rest_key, "decisions"),
            ],
        )
        pairs = Pairs(drawn.seat, drawn.advice, followed, responded)
        statistics = state.estimates.statistics
        for played in (pairs.followed, rest):
            statistics = add(statistics, played.profile, played.returns)
        gain, error = mean_gains(pairs, self._responders)
        history = sampled_gate.record(state.estimates.history, gain, error)
        waited = int(state.learner.step) - int(state.started)
        cap = settings.training.max_steps_per_row
        threshold = settings.evaluation.improvement * range_
        still = sampled_gate.is_open(history, np.ones(self._responders), threshold)
        _, improving = sampled_gate.improvement(history)
        left, left_error = self._strategy_left(state, pairs)
        drift, drift_error, divergence = self._drift(state, task, (pairs.followed, rest))
        found = SampledInspection(
            pairs=pairs,
            gain=gain,
            gain_error=error,
            strategy_left=left,
            strategy_error=left_error,
            drift=drift,
            drift_error=drift_error,
            divergence=divergence,
            improving=float(improving.max()) / range_,
            ready=bool(still or waited >= cap / 2),
            over=False,
            estimates=state.estimates._replace(statistics=statistics, history=history),
        )
        chosen = np.arange(self._players), state.responder
        may_miss = np.maximum(settings.jpsro.shortfall * gain, settings.jpsro.tolerance * range_)
        learned = bool((left + SURE * left_error <= may_miss[chosen]).all())
        steady = found.shown_drift <= settings.jpsro.drift * range_
        over = (state.slot >= 0).all() and ((learned and steady) or waited >= cap)
        return dataclasses.replace(found, over=bool(over))

    def gained(self, state: JointState, found: SampledInspection) -> Float64[np.ndarray, "P R"]:
        """See `JointEvaluator`."""
        return found.gain

    def apart(
        self,
        problem: JointProblem,
        state: JointState,
        found: SampledInspection,
        *,
        player: int,
        responder: int,
    ) -> Float64[np.ndarray, "K"]:
        """See `JointEvaluator`; over the sequences that the episodes of the response came by."""
        pairs, size = found.pairs, int(state.sizes[player])
        lanes = (pairs.seat == player) & (pairs.advice == responder)
        where = decisions(pairs.responded, lanes, seat=player)
        if not len(where[0]):
            # Who has nothing to decide does what strategy 0 does.
            return np.zeros(size)
        mixtures, _ = advice_mixtures(state.joint, concept=problem.config.jpsro.concept)
        strategies, response = self._compare.every(
            state.learner.params, mixtures.astype(np.float32), pairs.responded, where
        )
        return sequence_distances(pairs.responded, where, strategies, response)[:size]

    def close(
        self, problem: JointProblem, state: JointState, found: SampledInspection
    ) -> tuple[JointState, dict[str, float]]:
        """See `JointEvaluator`: what the responses gain in the end is the gap of the joint, and the
        population that it was a joint of is kept unless it is shown to be worse than another.
        """
        key = _key(problem, GAIN_STREAM, int(state.iteration))
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        mixtures, _ = advice_mixtures(state.joint, concept=problem.config.jpsro.concept)
        batches = range(-(-GAIN_SHARE * problem.config.evaluation.episodes // (2 * self._lanes)))
        drawn = [self._draw(problem, state, rng) for _ in batches]
        parts = [
            part
            for batch in batches
            for part in self._episodes.pair(drawn[batch], jax.random.fold_in(key, batch), "returns")
        ]
        played = iter(
            self._episodes.played(
                (state.learner.params, state.frozen, mixtures.astype(np.float32)), parts
            )
        )
        pairs = joined([Pairs(draw[0], draw[1], next(played), next(played)) for draw in drawn])
        gains, errors = seat_gains(pairs)
        values, _ = mean_and_error(pairs.followed.returns.astype(np.float64))
        followed = pairs.followed
        statistics = add(state.estimates.statistics, followed.profile, followed.returns)
        payoffs, payoff_errors = payoffs_and_errors(statistics, problem.info.payoff_range)
        if self._head is not None:
            payoffs = self._head.predict(state.estimates.head, state.mixtures)
        candidate = snapshot_of(state, payoffs, payoff_errors, gains, errors, values)
        state = keep_newest(problem, state, candidate)
        gap, error = gap_estimate(candidate)
        nothing = problem.config.jpsro.tolerance * problem.info.payoff_range
        estimates = state.estimates._replace(
            statistics=decay(statistics, _kept_share(problem, state)),
            idle=np.bool_((gains - SURE * errors <= nothing).all()),
        )
        if gap < estimates.least_gap:
            estimates = estimates._replace(least_gap=np.float64(gap), least_error=np.float64(error))
        line = {
            "eval/gap_estimate": gap,
            "eval/gap_error": error,
            "eval/welfare": float(values.sum()),
            "evaluation/gain_episodes": 2 * len(pairs.seat),
        }
        for player, (gain, wrong, value) in enumerate(zip(gains, errors, values, strict=True)):
            line |= {f"eval/gain_{player}": float(gain), f"eval/gain_error_{player}": float(wrong)}
            line[f"eval/value_{player}"] = float(value)
        return state._replace(estimates=estimates), line

    def open(
        self, problem: JointProblem, state: JointState, *, stalled: bool
    ) -> tuple[JointState, dict[str, float]]:
        """See `JointEvaluator`: first every profile is played, then what the joint that solves
        these payoffs hangs on.
        """
        config, range_, sizes = problem.config, problem.info.payoff_range, state.sizes
        size, settings = config.population.size, config.jpsro
        key = _key(problem, PAYOFF_STREAM, int(state.iteration))
        unknown_key, known_key = jax.random.split(key)
        play, episodes = (
            self._episodes.of_profiles(state.frozen),
            PAYOFF_SHARE * config.evaluation.episodes,
        )
        statistics, more = play_the_unknown(state.estimates.statistics, sizes, play, unknown_key)
        inside = tuple(slice(own) for own in sizes)
        payoffs, _, head = self._payoffs(state, statistics, state.estimates.head)
        first = solve_joints(payoffs[inside], solver=problem.solver, judge=None)
        statistics = play_what_matters(
            statistics, spread(first.solved, size, self._players), sizes, episodes,
            play, known_key, payoff_range=range_,
        )  # fmt: skip
        payoffs, errors, head = self._payoffs(state, statistics, head)
        idle = stalled or bool(state.estimates.idle)
        novel = looks_for_something_new(settings, idle=idle)
        judge = problem.judge if novel and idle else None
        joints = solve_joints(payoffs[inside], solver=problem.solver, judge=judge)
        met = joints.solved if joints.judged is None else joints.judged
        joint = spread(without_rounding(met), size, self._players)
        _, heard = advice_mixtures(joint, concept=settings.concept)
        estimates = state.estimates._replace(
            statistics=statistics,
            history=sampled_gate.empty(config.evaluation.window, self._players, self._responders),
            judged=np.bool_(joints.judged is not None),
            head=head,
        )
        state = begun(
            state._replace(estimates=estimates),
            payoffs=payoffs,
            joint=joint,
            best=np.zeros_like(heard),
            follow=np.zeros_like(heard),
            heard=heard,
            novel=novel,
        )
        return state, _opening_metrics(state, errors[inside], more + episodes) | {
            "time/solve_s": first.solve_s + joints.solve_s
        }

    def finish(self, problem: JointProblem, best: JointSnapshot) -> JointSnapshot:
        """See `JointEvaluator`: payoffs by episodes of the finished policies alone."""
        key, range_ = _key(problem, FINAL_STREAM, 0), problem.info.payoff_range
        episodes = problem.config.evaluation.final_episodes
        statistics = play_what_matters(
            empty(self._size, self._players), best.joint, best.sizes, episodes,
            self._episodes.of_profiles(best.params), key, payoff_range=range_,
        )  # fmt: skip
        payoffs, errors = payoffs_and_errors(statistics, range_)
        return best._replace(
            payoffs=payoffs,
            values=np.tensordot(best.joint, payoffs, axes=self._players),
            estimated=best.estimated._replace(payoff_errors=errors, episodes=np.int64(episodes)),
        )

    def _payoffs(
        self, state: JointState, statistics: PayoffStatistics, head: HeadState | tuple[()]
    ) -> tuple[Float64[np.ndarray, "... P"], Float64[np.ndarray, "... P"], Any]:
        """Payoffs, standard errors of the mean returns, and the head as it is fitted to these.

        A strategy enters the head by what it was a response to, where a row of the interaction
        graph stands in other runs. One that takes another's place goes on from that one's index.
        """
        payoffs, errors = payoffs_and_errors(statistics, self._range)
        if self._head is None:
            return payoffs, errors, head
        for _ in range(HEAD_FITS):
            head = self._head.fit(head, state.mixtures, statistics.count, payoffs)
        return self._head.predict(head, state.mixtures), errors, head

    def _draw(self, problem, state, rng) -> DrawnPairs:
        concept = problem.config.jpsro.concept
        return draw_pairs(rng, state.joint, lanes=self._lanes, concept=concept)

    def _strategy_left(
        self, state: JointState, pairs: Pairs
    ) -> tuple[Float64[np.ndarray, "P"], Float64[np.ndarray, "P"]]:
        """What the new strategies would have earned less in the responses' episodes, and standard
        errors; 0 until it is decided which they are.
        """
        left, error = np.zeros(self._players), np.zeros(self._players)
        for player in range(self._players):
            slot = int(state.slot[player])
            lanes = (pairs.seat == player) & (pairs.advice == state.responder[player])
            where = decisions(pairs.responded, lanes, seat=player)
            if slot <= 0 or not len(where[0]):
                continue
            own = np.full(len(where[0]), slot, np.int32)
            log_ratio = self._compare.instead(state.learner.params, pairs.responded, where, own)
            number = np.cumsum(lanes) - 1
            weights = episode_weights(log_ratio, number[where[1]], int(lanes.sum()))
            returns = pairs.responded.returns[lanes, player].astype(np.float64)
            change, error[player] = mean_change(weights, returns, payoff_range=self._range)
            left[player] = -change
        return left, error

    def _drift(
        self, state: JointState, task: ResponseTask, batches: tuple[Played, ...]
    ) -> tuple[Float64[np.ndarray, "P K"], ...]:
        """How payoffs of earlier strategies have changed, standard errors, and divergences."""
        held = np.asarray(task.held) > 0
        nats, count = np.zeros(held.shape), np.zeros(held.shape)
        weights = []
        for played in batches:
            when, lane, seat = decisions(played, np.ones(len(played.profile), bool))
            kept = held[seat, played.profile[lane, seat]]
            where = when[kept], lane[kept], seat[kept]
            log_ratio = np.zeros(0)
            if kept.any():
                log_ratio, divergence = self._compare.moved(
                    state.frozen, state.learner.params, played, where
                )
                own = where[2], played.profile[where[1], where[2]]
                np.add.at(nats, own, divergence)
                np.add.at(count, own, 1.0)
            weights.append(episode_weights(log_ratio, where[1], len(played.profile)))
        mean, error = strategy_changes(
            np.concatenate(weights),
            np.concatenate([played.returns for played in batches]).astype(np.float64),
            np.concatenate([played.profile for played in batches]),
            size=self._size,
            payoff_range=self._range,
        )
        return np.where(held, mean, 0.0), error, nats / np.maximum(count, 1.0)


def _key(problem: JointProblem, stream: int, number: int) -> jax.Array:
    key = jax.random.fold_in(jax.random.key(problem.config.seed), stream)
    return jax.random.fold_in(key, number)


def _kept_share(problem: JointProblem, state: JointState) -> Float64[np.ndarray, "P K"]:
    """What of its past each strategy keeps: nothing where it is another now, nearly all where it
    was held, as `evaluation.memory` has it.
    """
    size, players = problem.config.population.size, problem.info.num_players
    keep = np.full((players, size), 1 - (1 - problem.config.evaluation.memory) / 10)
    keep[:, 0] = 1.0
    joined = np.flatnonzero(state.slot > 0)
    keep[joined, state.slot[joined]] = 0.0
    return keep


def _opening_metrics(
    state: JointState, errors: Float[np.ndarray, "..."], episodes: int
) -> dict[str, float]:
    best = state.best_so_far
    line = {
        "eval/payoff_error": float(errors.mean()),
        "evaluation/payoff_episodes": episodes,
        "population/iteration": int(state.iteration),
        "population/novel": int(state.novel),
    }
    if np.isfinite(best.gains).all():
        gap, error = gap_estimate(best)
        line |= {
            "eval/best_gap_estimate": gap,
            "eval/best_gap_error": error,
            "eval/best_welfare": float(best.values.sum()),
        }
    for player, own in enumerate(state.sizes):
        line[f"population/size_{player}"] = int(own)
    return line
