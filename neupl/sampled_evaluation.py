"""Evaluates a population from episodes while it trains: payoffs, the gate, and what a response to
it gains.

Every episode of training is also one of the profile that was played; what the meta-strategy hangs
on most is played besides, in parts that workers may play (`neupl.profile_play`). Payoffs are the
mean returns, or what a payoff head makes of them. Gains are read off the payoffs of the newest
response against the others: that is what a response of this learner finds, a lower bound of the
true gains up to noise.
"""

import copy
import time
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Float64, Int32

from games.teams import by_player
from games.types import Game, HostGame
from neupl import sampled_gate
from neupl.action_distribution import action_distribution
from neupl.config import Config
from neupl.evaluation import Evaluation, Measurement, member_distance
from neupl.evaluation_budget import allocate, importance
from neupl.item_play import ItemPlay, PlayItems
from neupl.learners.mpo import MPOExperience
from neupl.learners.ppo import PPOExperience
from neupl.payoff_calibration import Calibration, calibration, estimated_apart
from neupl.payoff_head import HeadState, make_payoff_head
from neupl.payoff_statistics import (
    PayoffStatistics,
    add,
    antisymmetric,
    decay,
    empty,
    forget,
    mean_returns,
    means,
    pool_permutations,
    standard_deviations,
    standard_errors,
)
from neupl.population_actor import PopulationActor, Seen
from neupl.profile_play import ProfilePlay, cut, joined, waves
from neupl.recurrent_network import Recall
from neupl.sampled_gate import GateHistory
from neupl.types import Objective, Rows
from solvers.meta.registry import MetaSolver

# Episodes below which no profile of admitted strategies should stay, and its least weight. Means of
# fewer are not near enough to normal to be compared with estimates.
LEAST_EPISODES, LEAST_WEIGHT = 16, 0.05
# Episodes of the final measurement that are allotted at a time, at first.
FINAL_LANES = 20_000
# Decisions at which the distance between strategies is measured.
PROBES = 512
# The stream of the payoff head's first parameters, between those of the steps and those of
# `neupl.training`.
HEAD_STREAM = 2**31


class SampledEstimates(NamedTuple):
    """What is carried from one evaluation to the next.

    Attributes:
      statistics: of the payoffs of all profiles.
      history: of the gate.
      focal_count: `[P, K]` training episodes of each strategy since the last evaluation.
      focal_total: `[P, K]` sums of their returns, in game points.
      focal_square: `[P, K]` sums of the squares of their returns.
      head: the payoff head; empty where payoffs are the mean returns.
    """

    statistics: PayoffStatistics
    history: GateHistory
    focal_count: Float64[np.ndarray, "P K"]
    focal_total: Float64[np.ndarray, "P K"]
    focal_square: Float64[np.ndarray, "P K"]
    head: HeadState | tuple[()] = ()


class _Played(NamedTuple):
    """Episodes of an evaluation.

    Attributes:
      profiles: the strategy that each seat played.
      returns: of the seats, in game points.
      probes: decisions that were kept, if any.
      recall: what the seats carried to them.
    """

    profiles: Int32[np.ndarray, "B P"]
    returns: Float[np.ndarray, "B P"]
    probes: Seen | None
    recall: Recall | None


class SampledEvaluator:
    """See `neupl.evaluation.Evaluator`."""

    exact = False
    unit = "payoff ranges"

    def __init__(
        self, game: Game | HostGame, actor: PopulationActor, config: Config, solver: MetaSolver
    ) -> None:
        self._info, self._config, self._solver = by_player(game.info), config, solver
        self._solve_s = 0.0
        self._actor = actor
        self._distance = action_distribution(game.info).distance
        self._play = ItemPlay(ProfilePlay(game, actor, config))
        self._head = None
        if config.evaluation.payoffs == "learned":
            size, symmetric = config.population.size, config.population.symmetric
            self._head = make_payoff_head(self._info, size, symmetric=symmetric)

    def played_by(self, play_items: PlayItems) -> "SampledEvaluator":
        """See `Evaluator`."""
        other = copy.copy(self)
        other._play = self._play.by(play_items)
        return other

    def begin(self) -> SampledEstimates:
        """See `Evaluator`."""
        size, players = self._config.population.size, self._info.num_players
        zeros = np.zeros((players, size))
        head = ()
        if self._head is not None:
            key = jax.random.fold_in(jax.random.key(self._config.seed), HEAD_STREAM)
            head = self._head.init(key)
        return SampledEstimates(
            empty(size, players),
            sampled_gate.empty(self._config.evaluation.window, players, size),
            *(zeros, zeros, zeros),
            head,
        )

    def observe(
        self, carried: SampledEstimates, experience: PPOExperience | MPOExperience
    ) -> SampledEstimates:
        """See `Evaluator`."""
        seat, profile = experience.matches
        # Responses to mixtures that were asked about are no strategies: nobody meets them.
        known = (profile < carried.focal_count.shape[1]).all(axis=1)
        seat, profile, returns = seat[known], profile[known], experience.returns[known]
        lanes = np.arange(len(seat))
        mine = returns[lanes, seat].astype(np.float64)
        cells = np.ravel_multi_index((seat, profile[lanes, seat]), carried.focal_count.shape)

        def summed(weights: np.ndarray) -> np.ndarray:
            size = carried.focal_count.size
            return np.bincount(cells, weights, minlength=size).reshape(carried.focal_count.shape)

        return carried._replace(
            statistics=add(carried.statistics, profile, returns),
            focal_count=carried.focal_count + summed(np.ones_like(mine)),
            focal_total=carried.focal_total + summed(mine),
            focal_square=carried.focal_square + summed(mine**2),
        )

    def restart(self, carried: SampledEstimates, strategy: int) -> SampledEstimates:
        """See `Evaluator`."""
        return carried._replace(
            statistics=forget(carried.statistics, strategy),
            history=sampled_gate.restart(carried.history, strategy),
            head=() if self._head is None else self._head.restart(carried.head, strategy),
        )

    def evaluate(
        self,
        params: Any,
        objective: Objective,
        carried: SampledEstimates,
        *,
        num_admitted: int,
        newest: int,
        key: Any,
    ) -> tuple[Evaluation, SampledEstimates]:
        """See `Evaluator`."""
        settings = self._config.evaluation
        self._solve_s = 0.0
        history = carried.history
        if carried.focal_count.any():
            history = sampled_gate.record(history, *_focal_values(carried))
        known, rows = carried.statistics, objective.rows
        head, expected = self._estimate(carried.head, rows, known)
        played = self._play_more(
            (params, rows), known, expected, num_admitted, settings.episodes, key,
            lanes=-(-settings.episodes // settings.blocks), probes=PROBES,
        )  # fmt: skip
        found = self._compare(known, expected, played, num_admitted)
        statistics = add(known, played.profiles, played.returns)
        distance = np.nan
        if self._actor.shares_memory:
            every = self._actor.every_strategy(params, rows, played.probes, played.recall)
            distance = member_distance(np.asarray(every)[:num_admitted], self._distance)
        head, payoffs = self._estimate(head, rows, statistics)
        errors = self._errors(statistics)
        everybody = list(range(num_admitted))
        meta_strategy = self._solve(payoffs, everybody)
        gains, gains_error = np.full(self._info.num_players, np.inf), 0.0
        others = [k for k in everybody if k != newest]
        if newest and others:
            gains, gains_error = _gains(payoffs, errors, self._solve(payoffs, others), newest)
            if self._config.population.symmetric:
                # All seats gain the same, by the same episodes.
                gains_error *= np.sqrt(self._info.num_players)
        respond = np.asarray(objective.respond).max(axis=0)
        range_ = self._info.payoff_range
        _, least = sampled_gate.improvement(history)
        asked = least[:, respond > 0]
        # What moves leaves its past behind; what is held only slowly.
        keep = np.where(respond > 0, settings.memory, 1 - (1 - settings.memory) / 10)
        zeros = np.zeros_like(carried.focal_count)
        evaluation = Evaluation(
            payoffs=payoffs,
            meta_strategy=meta_strategy,
            gains=gains,
            member_distance=distance,
            left=float(np.max(asked, initial=-np.inf)) / range_ if asked.size else 0.0,
            ready=sampled_gate.is_open(history, respond, settings.improvement * range_),
            gains_error=gains_error,
            payoff_errors=errors,
            calibration=found,
            solve_s=self._solve_s,
        )
        remembered = decay(statistics, keep)
        return evaluation, SampledEstimates(remembered, history, zeros, zeros, zeros, head)

    def measure(self, params: Any, rows: Rows, *, num_admitted: int, key: Any) -> Measurement:
        """See `Evaluator`: from episodes of the finished policies alone, without a head."""
        settings = self._config.evaluation
        statistics = empty(self._config.population.size, self._info.num_players)
        episodes, blocks = settings.final_episodes, settings.blocks
        lanes = -(-min(episodes, FINAL_LANES) // blocks)
        shared = (params, rows)
        for wave, number in enumerate(waves(episodes, first=FINAL_LANES, parts=blocks)):
            found = self._play_more(
                shared, statistics, self._means(statistics), num_admitted, number,
                jax.random.fold_in(key, wave), lanes=lanes,
            )  # fmt: skip
            statistics = add(statistics, found.profiles, found.returns)
        payoffs = self._means(statistics)
        meta_strategy = self._solve(payoffs, list(range(num_admitted)))
        return Measurement(payoffs, self._errors(statistics), meta_strategy, episodes)

    def _play_more(
        self, shared, statistics, payoffs, num_admitted, episodes, key, *, lanes, probes=0
    ) -> _Played:
        """Plays what matters most for the meta-strategy, and most of all what is not known yet; in
        parts of so many lanes.
        """
        meta_strategy = self._solve(payoffs, list(range(num_admitted)))
        seen = self._seen(statistics)
        number = allocate(
            standard_deviations(seen, mean_returns(seen), self._info.payoff_range),
            seen.count,
            importance(meta_strategy, num_admitted, LEAST_WEIGHT),
            episodes,
            least=LEAST_EPISODES,
            symmetric=self._config.population.symmetric,
        )
        profiles = np.repeat(np.argwhere(number >= 0), number.reshape(-1), axis=0).astype(np.int32)
        parts = cut(profiles, key, lanes=lanes, probes=probes)
        found = joined(self._play(shared, parts), len(profiles))
        return _Played(profiles, *found)

    def _compare(self, known, expected, played: _Played, num_admitted) -> Calibration | None:
        """Payoffs as they were expected beside new episodes; `None` without enough of any."""
        new = add(empty(self._config.population.size, self._info.num_players), *played[:2])
        after = self._seen(add(known, *played[:2]))
        deviation = standard_deviations(after, mean_returns(after), self._info.payoff_range)
        count = np.maximum(new.count, 1.0)[..., None]
        compared = self._apart(num_admitted) & (new.count >= LEAST_EPISODES)[..., None]
        if not compared.any():
            return None
        given = (expected, self._errors(known), new.total / count, deviation / np.sqrt(count))
        return calibration(*(part[compared] for part in given))

    def _apart(self, num_admitted: int) -> Bool[np.ndarray, "... P"]:
        return estimated_apart(
            self._info.num_players,
            self._config.population.size,
            num_admitted,
            zero_sum=self._info.utility == "zero_sum",
            symmetric=self._config.population.symmetric,
        )

    def _estimate(self, head, rows: Rows, statistics) -> tuple[Any, Float64[np.ndarray, "..."]]:
        """The payoffs as this run knows them, and the head that has learned from the statistics."""
        if self._head is None:
            return head, self._means(statistics)
        seen = self._seen(statistics)
        mean = seen.total / np.where(seen.count > 0, seen.count, 1.0)[..., None]
        head = self._head.fit(head, rows.joint, seen.count, mean)
        return head, self._head.predict(head, rows.joint)

    def _means(self, statistics: PayoffStatistics) -> Float64[np.ndarray, "..."]:
        seen = self._seen(statistics)
        payoffs = means(seen, mean_returns(seen))
        zero_sum = self._info.num_players == 2 and self._info.utility == "zero_sum"
        return antisymmetric(payoffs) if zero_sum else payoffs

    def _errors(self, statistics: PayoffStatistics) -> Float64[np.ndarray, "..."]:
        """Standard errors of the mean returns, which stand for those of a head as well."""
        seen = self._seen(statistics)
        return standard_errors(seen, mean_returns(seen), self._info.payoff_range)

    def _seen(self, statistics: PayoffStatistics) -> PayoffStatistics:
        """What is known of each profile: seats of symmetric populations share their episodes."""
        return pool_permutations(statistics) if self._config.population.symmetric else statistics

    def _solve(self, payoffs, members: list[int]) -> Float64[np.ndarray, "P K"]:
        """The meta-strategy of some strategies, which nobody else has a part in."""
        players, size = self._info.num_players, self._config.population.size
        start = time.perf_counter()
        solution = self._solver(payoffs[np.ix_(*[members] * players)])
        self._solve_s += time.perf_counter() - start
        meta_strategy = np.zeros((players, size))
        for player, marginal in enumerate(solution.marginals()):
            meta_strategy[player, members] = marginal / marginal.sum()
        return meta_strategy


def _focal_values(carried: SampledEstimates) -> tuple[np.ndarray, np.ndarray]:
    """Mean returns of the strategies against their rows, and standard errors; NaN without any."""
    count = np.where(carried.focal_count > 1, carried.focal_count, np.nan)
    mean = carried.focal_total / count
    variance = np.maximum(carried.focal_square / count - mean**2, 0.0)
    return mean, np.sqrt(variance / (count - 1))


def _gains(payoffs, errors, meta_strategy, newest: int) -> tuple[Float64[np.ndarray, "P"], float]:
    """What each seat gains by the newest strategy over the mixture of the others, at least 0; and
    the standard error of the sum, as if the mixture had been known.
    """
    players = payoffs.shape[-1]
    gains, variance = np.zeros(players), 0.0
    for player in range(players):
        change = -meta_strategy[player].copy()
        change[newest] = 1.0
        weights = np.ones(())
        for seat in range(players):
            mixture = change if seat == player else meta_strategy[seat]
            weights = np.multiply.outer(weights, mixture)
        gains[player] = np.vdot(weights, payoffs[..., player])
        variance += float(np.vdot(weights**2, errors[..., player] ** 2))
    return np.maximum(gains, 0.0), float(np.sqrt(variance))
