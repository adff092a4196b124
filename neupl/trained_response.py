"""Approximate exploitability: a fresh best response, trained by episodes against a frozen mixture.

For games of which nobody has a tree (Timbers et al. 2022, arXiv 2004.09677, train theirs by search;
ours by proximal policy optimisation). What the response gains is a lower bound of what the best
response would. Three stages use episodes of their own: training, the choice among snapshots of the
response, and the measurement of the one chosen, which is therefore not flattered by the choice.
The mixture itself is among the candidates, so that a response that gained nothing counts as 0.

Training may be restarted from other random numbers; restarts are items of work for any workers.
Every seat takes the restart whose response earned most in the episodes of the choice, and the
measurement of that one, so that the bound is no more flattered than by one.
"""

import dataclasses
import time
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Float64, Int

from games.registry import load_simulator
from games.teams import by_player
from games.tree_game import TreeGame
from games.types import Game, GameInfo, HostGame
from neupl.action_distribution import action_distribution
from neupl.errors import UserError
from neupl.frozen_mixture import frozen_mixture
from neupl.jpsro.played_population import PlayedJointPopulation
from neupl.learners import make_ppo_learner
from neupl.learners.ppo import PPOExperience
from neupl.networks import make_network, observation_size
from neupl.population import Population
from neupl.population_actor import Playing, PopulationActor
from neupl.profile_distribution import ProfileDistribution
from neupl.response_budget import CHOSEN, TRAINED, Budget, OnProgress, Work
from neupl.response_gain import (
    Returns,
    TrainedResponses,
    lower_bound,
    no_returns,
    pooled,
    seat_response,
)
from neupl.response_learning import (
    SCHEDULE_STEPS,
    likeliest_actions,
    response_config,
    response_temperature,
)
from neupl.rollout import Play, make_actor_play
from neupl.tabular_population import TabularPopulation
from neupl.types import Learner, LearnerState, Objective, Rows
from neupl.workers import THIS_PROCESS, Workers
from solvers.types import Certificate

# Snapshots of the response, evenly over its training, the last one at the end.
SNAPSHOTS = 4
# Streams of the random key; restarts have keys of their own from the last one on.
INIT_STREAM, TRAINING_STREAM, CHOICE_STREAM, MEASUREMENT_STREAM, RESTART_STREAM = range(5)


class Candidate(NamedTuple):
    """A snapshot of the response, or the mixture, which has no parameters."""

    name: str
    params: Any


MIXTURE = Candidate("mixture", None)


AnyPopulation = Population | TabularPopulation | PlayedJointPopulation


class _Setup(NamedTuple):
    """What all restarts share."""

    population: AnyPopulation
    budget: Budget
    seed: int


class _Restart(NamedTuple):
    """What came of one training.

    Attributes:
      number: of the restart.
      chosen: name of every seat's candidate.
      score: `[P]` its mean return in the episodes of the choice.
      responses: what it brought in fresh episodes; `None` where it is the mixture.
      mixture: what the mixture brought.
      batches: of training.
      episodes: of training.
    """

    number: int
    chosen: tuple[str, ...]
    score: Float64[np.ndarray, "P"]
    responses: tuple[Returns | None, ...]
    mixture: Returns
    batches: int
    episodes: int


def train_responses(
    population: AnyPopulation,
    *,
    name: str,
    budget: Budget,
    seed: int = 0,
    restarts: int = 1,
    workers: Workers = THIS_PROCESS,
    on_progress: OnProgress | None = None,
) -> TrainedResponses:
    """Trains a best response of every seat against a population's mixture and measures its gain.

    The game of a trained population is only played, never looked into. The tables of a solved one
    belong to a tree, which is then what is played.

    Args:
      population: as loaded from disk.
      name: what to call it in the certificate.
      budget: how long to work, of each restart.
      seed: of everything random; with a budget in batches the result depends on nothing else.
      restarts: trainings from different random numbers.
      workers: who does the restarts.
      on_progress: called now and then.

    Raises:
      UserError: the game is not the one that the population observes.
      GameError: the game cannot be played.
    """
    start = time.perf_counter()
    # A copy, without the compiled programs that hang on a population that has been asked.
    setup = _Setup(dataclasses.replace(population), budget, seed)
    if restarts == 1:
        found = [_restart(setup, 0, on_progress)]
    else:
        found = []
        with workers.map(_restart, setup) as map_fn:
            for restart in map_fn(range(restarts)):
                found.append(restart)
                if on_progress is not None:
                    on_progress(len(found), restarts, "restarts")
        found.sort(key=lambda restart: restart.number)
    mixture = pooled([restart.mixture for restart in found])
    taken = [found[best] for best in np.argmax([restart.score for restart in found], axis=0)]
    responses = [restart.responses[seat] for seat, restart in enumerate(taken)]
    seats = tuple(
        seat_response(seat, _called(restart, seat, restarts), responses[seat], mixture)
        for seat, restart in enumerate(taken)
    )
    value, interval = lower_bound(
        np.array([seat.gain for seat in seats]),
        np.array([seat.response_error**2 for seat in seats]),
        mixture.covariance,
        responding=np.array([response is not None for response in responses]),
    )
    seconds = time.perf_counter() - start
    correlated = isinstance(population, ProfileDistribution) and population.correlated
    certificate = Certificate(
        quantity="cce_gap" if correlated else "nash_conv",
        value=value,
        per_player=tuple(seat.gain for seat in seats),
        object=f"{'joint' if correlated else 'meta-strategy mixture'} of {name}",
        method="trained_best_response",
        interval=interval,
        openspiel_value=None,
        game=population.game,
        seconds=seconds,
    )
    batches = sum(restart.batches for restart in found)
    episodes = sum(restart.episodes for restart in found)
    return TrainedResponses(certificate, seats, restarts, batches, episodes, seconds)


def _called(restart: _Restart, seat: int, restarts: int) -> str:
    name = restart.chosen[seat]
    return name if restarts == 1 else f"{name}, restart {restart.number}"


def _restart(setup: _Setup, number: int, on_progress: OnProgress | None = None) -> _Restart:
    """Trains, chooses and measures from the random numbers of a restart."""
    work = Work(setup.budget, on_progress)
    key = jax.random.key(setup.seed)
    if number > 0:
        key = jax.random.fold_in(key, RESTART_STREAM + number)
    trainer = _make_trainer(setup.population, jax.random.fold_in(key, INIT_STREAM))
    candidates, batches = _train(trainer, work, jax.random.fold_in(key, TRAINING_STREAM))
    chosen, score = _choose(trainer, candidates, work, jax.random.fold_in(key, CHOICE_STREAM))
    key = jax.random.fold_in(key, MEASUREMENT_STREAM)
    responses, mixture = _measure(trainer, chosen, work, key)
    names = tuple(candidate.name for candidate in chosen)
    episodes = batches * trainer.lanes
    return _Restart(number, names, score, tuple(responses), mixture, batches, episodes)


class _Trainer(NamedTuple):
    """What plays and learns."""

    info: GameInfo
    learner: Learner
    play: Play
    rows: Rows
    initial: LearnerState
    lanes: int


def _make_trainer(population: AnyPopulation, key: Any) -> _Trainer:
    game = _load(population)
    info = by_player(game.info)
    # One response for all seats only where they are known to be interchangeable.
    symmetric = isinstance(population, Population) and population.symmetric and info.symmetric
    config = response_config(
        population.game,
        info,
        size=2,
        symmetric=symmetric,
        met=population.network if isinstance(population, Population) else None,
    )
    num_outputs = action_distribution(info).num_outputs(info.num_actions[0])
    actor = PopulationActor(
        info,
        make_network(config.network, num_outputs, continuous=info.continuous),
        num_tables=1 if symmetric else info.num_players,
        sink=frozen_mixture(population),
    )
    joint = np.zeros((info.num_players, 2, 2 ** (info.num_players - 1)), np.float32)
    joint[:, 1, 0] = 1.0
    rows = Rows(joint, np.tile(np.arange(2, dtype=np.int32), (info.num_players, 1)))
    learner = make_ppo_learner(game, actor, config)
    play, initial = make_actor_play(game, actor), learner.init(key)
    return _Trainer(info, learner, play, rows, initial, config.learner.episodes)


def _load(population: AnyPopulation) -> Game | HostGame:
    if isinstance(population, TabularPopulation):
        return TreeGame(population.tree())
    game = load_simulator(population.game)
    if isinstance(population, PlayedJointPopulation):
        observes = population.observation_size
    else:
        num_tables = 1 if population.symmetric else population.num_players
        observes = observation_size(
            population.network, population.params, num_tables, num_actions=population.num_actions
        )
    info = by_player(game.info)
    if info.observation_size != (observes,) * population.num_players:
        raise UserError(
            f"the population observes {observes} numbers, but {population.game} as it is played "
            f"shows {info.observation_size}: it was trained on another form of the game, of "
            f"{population.num_players} players"
        )
    return game


def _train(trainer: _Trainer, work: Work, key: Any) -> tuple[list[Candidate], int]:
    """Returns the mixture and the snapshots of the response to it, and the number of batches."""
    learner, info = trainer.learner, trainer.info
    shape = (info.num_players, 2)
    nobody = np.zeros(shape, np.float32)
    respond = np.tile(np.array([0.0, 1.0], np.float32), (info.num_players, 1))
    state = trainer.initial
    candidates = [MIXTURE]
    progress, batches = 0.0, 0
    while progress < 1:
        temperature = np.full(shape, response_temperature(info, progress), np.float32)
        objective = Objective(trainer.rows, temperature, respond, nobody, state.params)
        collect_key, update_key = jax.random.split(jax.random.fold_in(key, batches))
        experience: PPOExperience = learner.collect(state.params, objective, collect_key)
        state, _ = learner.update(state, experience, update_key)
        batches += 1
        work.finish_batch("training")
        before, progress = progress, min(work.share() / TRAINED, 1.0)
        # The learning rate falls with the step, which follows the budget here.
        state = state._replace(step=np.int32(progress * SCHEDULE_STEPS))
        if int(progress * SNAPSHOTS) > int(before * SNAPSHOTS):
            name = f"{100 * progress:.0f} % trained"
            candidates.append(Candidate(name, state.params))
            if not info.continuous:
                likeliest = likeliest_actions(state.params)
                candidates.append(Candidate(f"{name}, likeliest actions", likeliest))
    return candidates, batches


def _choose(
    trainer: _Trainer, candidates: list[Candidate], work: Work, key: Any
) -> tuple[list[Candidate], Float64[np.ndarray, "P"]]:
    """Returns every seat's candidate of greatest mean return, and those means."""
    lanes = np.arange(trainer.lanes)
    seat = lanes % trainer.info.num_players
    rounds = []
    while not rounds or work.share() < CHOSEN:
        rounds.append([])
        for candidate in candidates:
            key, play_key = jax.random.split(key)
            own = _play(trainer, candidate, seat, play_key)[lanes, seat]
            rounds[-1].append(np.bincount(seat, own) / np.bincount(seat))
            work.finish_batch("choosing")
    means = np.mean(rounds, axis=0)
    return [candidates[best] for best in np.argmax(means, axis=0)], means.max(axis=0)


def _measure(
    trainer: _Trainer, chosen: list[Candidate], work: Work, key: Any
) -> tuple[list[Returns | None], Returns]:
    """What comes of every seat's response (`None` for the mixture), and of the mixture, in fresh
    episodes.
    """
    players, lanes = trainer.info.num_players, trainer.lanes
    mixture = no_returns(players)
    responses = [no_returns(players) if own.params is not None else None for own in chosen]
    while mixture.count == 0 or work.share() < 1:
        key, play_key = jax.random.split(key)
        mixture = mixture.plus(_play(trainer, MIXTURE, np.zeros(lanes, np.int64), play_key))
        work.finish_batch("measuring")
        for seat, response in enumerate(responses):
            if response is not None:
                key, play_key = jax.random.split(key)
                returns = _play(trainer, chosen[seat], np.full(lanes, seat), play_key)
                responses[seat] = response.plus(returns)
                work.finish_batch("measuring")
    return responses, mixture


def _play(
    trainer: _Trainer, candidate: Candidate, seat: Int[np.ndarray, "B"], key: Any
) -> Float[np.ndarray, "B P"]:
    """Returns of episodes in which the candidate has one seat and the mixture the others."""
    profile = np.zeros((len(seat), trainer.info.num_players), np.int32)
    params = candidate.params
    if params is None:
        # Strategy 0 asks no parameters, but the program has a place for some.
        params = trainer.initial.params
    else:
        profile[np.arange(len(seat)), seat] = 1
    return np.asarray(trainer.play(len(seat), key, Playing(params, trainer.rows, profile)).returns)
