"""Actors beside a learner: workers play the blocks of every batch of one training run and the parts
of its evaluations, the learner updates.

Without staleness the two take turns. A block follows from parameters, task and key, so that what is
learned is the same to the bit for any number of workers, and without any.

With staleness actors go on playing while the learner updates (as in IMPALA, Espeholt et al. 2018,
arXiv 1802.01561; what corrects for the policies that played is PPO's ratio, clipped). As many
blocks are on their way as the learner will use within the bound; there are no more until it has
taken some. A block that comes later, because its worker was slow or was lost, is dropped, and so is
one of another task: nobody learns from episodes against opponents that were exchanged since.

Parameters go out once a version (`neupl.broadcast`).
"""

import collections
import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jaxtyping import UInt32

from neupl.broadcast import Broadcast, Informed
from neupl.config import Config
from neupl.crew import LATER
from neupl.errors import UserError
from neupl.incidents import Incidents, MapFn
from neupl.item_play import PlayItem
from neupl.jpsro.problem import make_meeting_play, make_playing_response_learner
from neupl.jpsro.types import JointProblem
from neupl.payoff_source import joint_payoff_source
from neupl.problem import make_playing_learner, make_profile_play
from neupl.training_problem import Problem
from neupl.types import Blocks, Learner, LearnerState
from neupl.workers import Workers

AnyProblem = TypeVar("AnyProblem", Problem, JointProblem)


class BlockKey(NamedTuple):
    """A block to play.

    Attributes:
      number: in the order of the blocks of a run.
      version: of the parameters.
      key: data of its random key.
    """

    number: int
    version: int
    key: UInt32[np.ndarray, "2"]


class PlayedBlock(NamedTuple):
    """A block that was played.

    Attributes:
      number: as in `BlockKey`.
      version: as in `BlockKey`.
      episodes: of the learner.
    """

    number: int
    version: int
    episodes: Any


class Part(NamedTuple):
    """A part of an evaluation to play.

    Attributes:
      number: in the order of the parts of an evaluation.
      item: of the evaluator.
    """

    number: int
    item: Any


class DonePart(NamedTuple):
    """A part of an evaluation that was played.

    Attributes:
      number: as in `Part`.
      result: of the evaluator.
    """

    number: int
    result: Any


def do_item(config: Config, item: Informed) -> PlayedBlock | DonePart:
    """What an actor does: plays a block with parameters and task of the broadcast, or a part of an
    evaluation.
    """
    if isinstance(item.item, Part):
        number, part = item.item
        return DonePart(number, _evaluation(config)(item.broadcast.content, part))
    params, objective = item.broadcast.content
    number, version, key = item.item
    episodes = _learner(config).blocks.play(params, objective, jax.random.wrap_key_data(key))
    return PlayedBlock(number, version, jax.tree.map(np.asarray, episodes))


@functools.lru_cache(maxsize=1)
def _learner(config: Config) -> Learner:
    """Made once in every worker."""
    joint = config.graph.kind == "jpsro"
    return (make_playing_response_learner if joint else make_playing_learner)(config)


@functools.lru_cache(maxsize=1)
def _evaluation(config: Config) -> PlayItem:
    """Made once in every worker."""
    return (make_meeting_play if config.graph.kind == "jpsro" else make_profile_play)(config)


def check_actors(config: Config, workers: Workers) -> None:
    """Refuses what cannot be shared out.

    Raises:
      UserError: the run is one piece, or it needs actors and has none.
    """
    if config.training.staleness > 0 and workers.number is None and workers.ray is None:
        raise UserError(
            f"training.staleness is {config.training.staleness}: actors play beside the learner, "
            "and there are none",
            hint="give --workers N or --ray ADDRESS, or set training.staleness=0",
        )
    if workers.here:
        return
    if config.learner.kind == "exact":
        raise UserError(
            "a run of learner.kind 'exact' is one piece of work: episodes are shared out, with "
            "learner.kind=ppo or mpo",
            hint="--workers and --ray share out the runs of a study: --seeds N, --sweep KEY=A,B,C",
        )
    # A joint is measured in parts, whatever else is said.
    measured = joint_payoff_source(config.evaluation.payoffs) != "exact"
    in_parts = config.graph.kind == "jpsro" and measured
    in_blocks = max(config.learner.blocks, config.evaluation.blocks) > 1
    if not in_parts and not in_blocks and config.training.staleness == 0:
        raise UserError(
            "learner.blocks is 1 and evaluation.blocks too: a batch of episodes is one piece, and "
            "so is an evaluation, with nothing to share out",
            hint="--set learner.blocks=N --set evaluation.blocks=N, best a multiple of the "
            "workers; results then hang on N, not on the workers",
        )


@contextlib.contextmanager
def with_actors(problem: AnyProblem, workers: Workers) -> Iterator[AnyProblem]:
    """The problem whose batches are collected and whose evaluations are played by workers.

    Args:
      problem: of this process; as it is where the workers are this process.
      workers: who plays; see `check_actors`.
    """
    config, learner = problem.config, problem.learner
    staleness = config.training.staleness
    if workers.here and staleness == 0:
        yield problem
        return
    with workers.map(do_item, _for_actors(config), beside=staleness > 0) as map_fn:
        if staleness > 0:
            actors = Beside(learner.blocks, map_fn, staleness=staleness)
        else:
            actors = InTurns(learner.blocks, map_fn)
        with contextlib.closing(actors):

            def update(
                state: LearnerState, experience: Any, key: Any
            ) -> tuple[LearnerState, dict[str, Any]]:
                state, metrics = learner.update(state, experience, key)
                return state, metrics | actors.metrics() | _incidents(workers.incidents)

            told = learner._replace(update=update)
            if staleness > 0 or config.learner.blocks > 1:
                told = told._replace(collect=actors.collect)
            evaluator = problem.evaluator.played_by(actors.play_items)
            yield dataclasses.replace(problem, learner=told, evaluator=evaluator)


def _for_actors(config: Config) -> Config:
    """What workers are told: they have one device each, whatever the learner has."""
    return dataclasses.replace(config, learner=dataclasses.replace(config.learner, devices=1))


class _News:
    """Numbers what workers are told; what was told last needs no new number."""

    def __init__(self) -> None:
        self._number, self._content, self._broadcast = 0, None, None

    def __call__(self, content: Any) -> Broadcast:
        if self._broadcast is None or content is not self._content:
            self._broadcast = Broadcast(self._number, jax.tree.map(np.asarray, content))
            self._number, self._content = self._number + 1, content
        return self._broadcast


class InTurns:
    """All blocks of a batch are played with the same parameters."""

    def __init__(self, blocks: Blocks, map_fn: MapFn) -> None:
        """Plays by a map of `do_item`, or of what stands for it."""
        self._blocks, self._map_fn, self._version = blocks, map_fn, 0
        self._news = _News()

    def collect(self, params: Any, objective: Any, key: Any) -> Any:
        """See `Learner`."""
        broadcast = self._news((params, self._blocks.told(objective)))
        items = [
            Informed(broadcast, BlockKey(number, self._version, _key_data(own_key)))
            for number, own_key in enumerate(self._blocks.keys(key))
        ]
        self._version += 1
        played = sorted(self._map_fn(items), key=lambda block: block.number)
        return self._blocks.join(params, objective, [block.episodes for block in played])

    def play_items(self, shared: Any, items: Sequence[Any]) -> list[Any]:
        """See `neupl.item_play.PlayItems`."""
        played = self._map_fn(_parts(self._news(shared), items))
        return [part.result for part in sorted(played, key=lambda part: part.number)]

    def metrics(self) -> dict[str, float]:
        """Nothing: all are as new as can be."""
        return {}

    def close(self) -> None:
        """Nothing is on its way."""


class Beside:
    """Blocks are played while the learner updates."""

    def __init__(self, blocks: Blocks, map_fn: MapFn, *, staleness: int) -> None:
        """Plays by a map likewise; versions may be so many behind, at least 1."""
        self._blocks, self._staleness = blocks, staleness
        self._version, self._number, self._dropped = -1, 0, 0
        # The first version that played the present task.
        self._oldest, self._task = 0, None
        self._on_their_way, self._size = 0, 0
        # Parts of an evaluation to hand out first, and blocks that came while it was waited for.
        self._asked: collections.deque[Informed] = collections.deque()
        self._early: collections.deque[PlayedBlock] = collections.deque()
        self._news = _News()
        self._ages: list[int] = []
        self._results = map_fn(self._items())

    def collect(self, params: Any, objective: Any, key: Any) -> Any:
        """See `Learner`."""
        self._version += 1
        weights = (objective.respond, objective.hold)
        task = [np.asarray(part) for part in (*objective.rows[:2], *weights)]
        if self._task is None or not all(map(np.array_equal, task, self._task)):
            self._oldest, self._task = self._version, task
        self._broadcast = self._news((params, self._blocks.told(objective)))
        self._key, self._drawn, self._size = key, 0, len(self._blocks.keys(key))
        played: list[PlayedBlock] = []
        while len(played) < self._size:
            block = self._early.popleft() if self._early else next(self._results)
            self._on_their_way -= 1
            late = self._version - block.version > self._staleness
            if late or block.version < self._oldest:
                self._dropped += 1
            else:
                played.append(block)
        played.sort(key=lambda block: block.number)
        self._ages = [self._version - block.version for block in played]
        return self._blocks.join(params, objective, [block.episodes for block in played])

    def play_items(self, shared: Any, items: Sequence[Any]) -> list[Any]:
        """See `neupl.item_play.PlayItems`; meanwhile blocks of batches are played as well."""
        self._asked.extend(_parts(self._news(shared), items))
        results: dict[int, Any] = {}
        while len(results) < len(items):
            found = next(self._results)
            if isinstance(found, PlayedBlock):
                self._early.append(found)
            else:
                results[found.number] = found.result
        return [results[number] for number in range(len(items))]

    def metrics(self) -> dict[str, float]:
        """How many versions the last batch was behind, and how many blocks came too late so far."""
        return {
            "actors/staleness_mean": float(np.mean(self._ages)),
            "actors/staleness_max": float(max(self._ages)),
            "actors/dropped": float(self._dropped),
        }

    def close(self) -> None:
        """Lets what is on its way go."""
        self._results.close()

    def _items(self) -> Iterator[Any]:
        while True:
            if self._asked:
                yield self._asked.popleft()
                continue
            if self._on_their_way >= self._staleness * self._size:
                yield LATER
                continue
            key = jax.random.fold_in(self._key, self._drawn)
            item = BlockKey(self._number, self._version, _key_data(key))
            self._on_their_way += 1
            self._number += 1
            self._drawn += 1
            yield Informed(self._broadcast, item)


def _parts(broadcast: Broadcast, items: Sequence[Any]) -> list[Informed]:
    return [Informed(broadcast, Part(number, item)) for number, item in enumerate(items)]


def _key_data(key: Any) -> UInt32[np.ndarray, "2"]:
    return np.asarray(jax.random.key_data(key))


def _incidents(incidents: Incidents) -> dict[str, float]:
    return {
        "actors/lost": float(incidents.lost),
        "actors/over_limit": float(incidents.over_limit),
        "actors/begun_again": float(incidents.repeated),
    }
