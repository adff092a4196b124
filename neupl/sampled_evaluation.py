"""Evaluates a population from episodes while it trains: payoffs, the gate, and what a response to
it gains.

Every episode of training is also one of the profile that was played; what the meta-strategy hangs
on most is played besides. Gains are read off the payoffs of the newest response against the others:
that is what a response of this learner finds, a lower bound of the true gains up to noise.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from games.types import Game, HostGame
from neupl import sampled_gate
from neupl.config import Config
from neupl.evaluation import Evaluation, member_distance
from neupl.evaluation_budget import allocate, importance
from neupl.learners.ppo import PPOExperience
from neupl.payoff_statistics import (
    PayoffStatistics,
    add,
    antisymmetric,
    decay,
    empty,
    forget,
    means,
    pool_permutations,
    standard_deviations,
)
from neupl.population_actor import Playing, PopulationActor, Seen
from neupl.rollout import Trajectory, make_actor_play
from neupl.sampled_gate import GateHistory
from neupl.types import Objective
from solvers.meta.registry import MetaSolver

# Episodes below which no profile of admitted strategies should stay, and its least weight.
LEAST_EPISODES, LEAST_WEIGHT = 16, 0.05
# Decisions at which the distance between strategies is measured.
PROBES = 512


class SampledEstimates(NamedTuple):
    """What is carried from one evaluation to the next.

    Attributes:
      statistics: of the payoffs of all profiles.
      history: of the gate.
      focal_count: `[P, K]` training episodes of each strategy since the last evaluation.
      focal_total: `[P, K]` sums of their returns, in game points.
      focal_square: `[P, K]` sums of the squares of their returns.
    """

    statistics: PayoffStatistics
    history: GateHistory
    focal_count: Float64[np.ndarray, "P K"]
    focal_total: Float64[np.ndarray, "P K"]
    focal_square: Float64[np.ndarray, "P K"]


class SampledEvaluator:
    """See `neupl.evaluation.Evaluator`."""

    exact = False
    unit = "payoff ranges"

    def __init__(
        self, game: Game | HostGame, actor: PopulationActor, config: Config, solver: MetaSolver
    ) -> None:
        self._info, self._config, self._solver = game.info, config, solver
        self._actor, self._play = actor, make_actor_play(game, actor, record=True)

    def begin(self) -> SampledEstimates:
        """See `Evaluator`."""
        size, players = self._config.population.size, self._info.num_players
        zeros = np.zeros((players, size))
        return SampledEstimates(
            empty(size, players),
            sampled_gate.empty(self._config.evaluation.window, players, size),
            *(zeros, zeros, zeros),
        )

    def observe(self, carried: SampledEstimates, experience: PPOExperience) -> SampledEstimates:
        """See `Evaluator`."""
        seat, profile = experience.matches
        lanes = np.arange(len(seat))
        mine = experience.returns[lanes, seat].astype(np.float64)
        cells = np.ravel_multi_index((seat, profile[lanes, seat]), carried.focal_count.shape)

        def summed(weights: np.ndarray) -> np.ndarray:
            size = carried.focal_count.size
            return np.bincount(cells, weights, minlength=size).reshape(carried.focal_count.shape)

        return carried._replace(
            statistics=add(carried.statistics, profile, experience.returns),
            focal_count=carried.focal_count + summed(np.ones_like(mine)),
            focal_total=carried.focal_total + summed(mine),
            focal_square=carried.focal_square + summed(mine**2),
        )

    def restart(self, carried: SampledEstimates, strategy: int) -> SampledEstimates:
        """See `Evaluator`."""
        return carried._replace(
            statistics=forget(carried.statistics, strategy),
            history=sampled_gate.restart(carried.history, strategy),
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
        history = carried.history
        if carried.focal_count.any():
            history = sampled_gate.record(history, *_focal_values(carried))
        statistics, distance = self._play_more(
            params, objective, carried.statistics, num_admitted, key
        )
        payoffs = self._payoffs(statistics)
        everybody = list(range(num_admitted))
        meta_strategy = self._solve(payoffs, everybody)
        gains = np.full(self._info.num_players, np.inf)
        others = [k for k in everybody if k != newest]
        if newest and others:
            gains = _gains(payoffs, self._solve(payoffs, others), newest)
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
        )
        return evaluation, SampledEstimates(decay(statistics, keep), history, zeros, zeros, zeros)

    def _play_more(
        self, params, objective, statistics, num_admitted, key
    ) -> tuple[PayoffStatistics, float]:
        """Plays what matters most for the meta-strategy, and most of all what is not known yet.

        Returns:
          The statistics with these episodes, and how far the strategies are apart in them.
        """
        settings = self._config.evaluation
        everybody = list(range(num_admitted))
        meta_strategy = self._solve(self._payoffs(statistics), everybody)
        symmetric = self._config.population.symmetric
        seen = pool_permutations(statistics) if symmetric else statistics
        number = allocate(
            standard_deviations(seen, self._prior(seen), self._info.payoff_range),
            seen.count,
            importance(meta_strategy, num_admitted, LEAST_WEIGHT),
            settings.episodes,
            least=LEAST_EPISODES,
            symmetric=symmetric,
        )
        profiles = np.repeat(np.argwhere(number >= 0), number.reshape(-1), axis=0).astype(np.int32)
        context = Playing(params, objective.rows, profiles)
        episodes = self._play(len(profiles), key, context)
        seen = _first_decisions(episodes.trajectory, PROBES)
        every = self._actor.every_strategy(params, objective.rows, seen)[:num_admitted]
        statistics = add(statistics, profiles, np.asarray(episodes.returns))
        return statistics, member_distance(np.asarray(every))

    def _payoffs(self, statistics: PayoffStatistics) -> Float64[np.ndarray, "..."]:
        symmetric = self._config.population.symmetric
        seen = pool_permutations(statistics) if symmetric else statistics
        payoffs = means(seen, self._prior(seen))
        zero_sum = self._info.num_players == 2 and self._info.utility == "zero_sum"
        return antisymmetric(payoffs) if zero_sum else payoffs

    def _prior(self, statistics: PayoffStatistics) -> Float64[np.ndarray, "P"]:
        """The mean return of each seat over all episodes, expected of unknown profiles too."""
        players = self._info.num_players
        total = statistics.total.reshape(-1, players).sum(axis=0)
        return total / max(float(statistics.count.sum()), 1.0)

    def _solve(self, payoffs, members: list[int]) -> Float64[np.ndarray, "P K"]:
        """The meta-strategy of some strategies, which nobody else has a part in."""
        players, size = self._info.num_players, self._config.population.size
        solution = self._solver(payoffs[np.ix_(*[members] * players)])
        meta_strategy = np.zeros((players, size))
        for player, marginal in enumerate(solution.marginals()):
            meta_strategy[player, members] = marginal / marginal.sum()
        return meta_strategy


def _first_decisions(trajectory: Trajectory, number: int) -> Seen:
    """The first decisions of the episodes, padded by the first one to a fixed number."""
    when, lane, seat = np.nonzero(np.asarray(trajectory.to_move))
    few = np.arange(number) % max(min(number, len(when)), 1)
    when, lane, seat = when[few], lane[few], seat[few]
    nobody = np.zeros((number, trajectory.to_move.shape[-1]), np.int32)
    observation = np.asarray(trajectory.observation)[when, lane, seat]
    return Seen(observation, np.asarray(trajectory.legal_mask)[when, lane, seat], seat, nobody)


def _focal_values(carried: SampledEstimates) -> tuple[np.ndarray, np.ndarray]:
    """Mean returns of the strategies against their rows, and standard errors; NaN without any."""
    count = np.where(carried.focal_count > 1, carried.focal_count, np.nan)
    mean = carried.focal_total / count
    variance = np.maximum(carried.focal_square / count - mean**2, 0.0)
    return mean, np.sqrt(variance / (count - 1))


def _gains(payoffs, meta_strategy, newest: int) -> Float64[np.ndarray, "P"]:
    """What each seat gains by the newest strategy over the mixture of the others; at least 0."""
    players = payoffs.shape[-1]
    gains = np.zeros(players)
    for player in range(players):
        table = np.moveaxis(payoffs[..., player], player, 0)
        for mixture in reversed(np.delete(meta_strategy, player, axis=0)):
            table = table @ mixture
        gains[player] = table[newest] - meta_strategy[player] @ table
    return np.maximum(gains, 0.0)
