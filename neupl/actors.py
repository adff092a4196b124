"""Actors beside a learner: workers play the blocks of every batch of one training run, the learner
updates.

Without staleness the two take turns. A block follows from parameters, task and key, so that what is
learned is the same to the bit for any number of workers, and without any.

With staleness actors go on playing while the learner updates (as in IMPALA, Espeholt et al. 2018,
arXiv 1802.01561; what corrects for the policies that played is PPO's ratio, clipped). As many
blocks are on their way as the learner will use within the bound; there are no more until it has
taken some. A block that comes later, because its worker was slow or was lost, is dropped, and so is
one of another task: nobody learns from episodes against opponents that were exchanged since.

Parameters go out once a version (`neupl.broadcast`).
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import UInt32

from neupl.broadcast import Broadcast, Informed
from neupl.config import Config
from neupl.crew import LATER
from neupl.errors import UserError
from neupl.incidents import Incidents, MapFn
from neupl.problem import make_playing_learner
from neupl.types import Blocks, Learner, LearnerState, Objective
from neupl.workers import Workers


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


def play_block(config: Config, item: Informed) -> PlayedBlock:
    """What an actor does: plays a block with parameters and task of the broadcast."""
    params, objective = item.broadcast.content
    number, version, key = item.item
    episodes = _learner(config).blocks.play(params, objective, jax.random.wrap_key_data(key))
    return PlayedBlock(number, version, jax.tree.map(np.asarray, episodes))


@functools.lru_cache(maxsize=1)
def _learner(config: Config) -> Learner:
    """Made once in every worker."""
    return make_playing_learner(config)


def check_actors(config: Config, workers: Workers) -> None:
    """Refuses what cannot be shared out.

    Raises:
      UserError: the run's batches are one piece, or it needs actors and has none.
    """
    if config.training.staleness > 0 and workers.number is None and workers.ray is None:
        raise UserError(
            f"training.staleness is {config.training.staleness}: actors play beside the learner, "
            "and there are none",
            hint="give --workers N or --ray ADDRESS, or set training.staleness=0",
        )
    if workers.here:
        return
    if config.learner.kind != "ppo" or config.graph.kind == "jpsro":
        raise UserError(
            f"a run of learner.kind {config.learner.kind!r} and graph.kind {config.graph.kind!r} "
            "is one piece of work: episodes are shared out with learner.kind=ppo, unless "
            "graph.kind is jpsro",
            hint="--workers and --ray share out the runs of a study: --seeds N, --sweep KEY=A,B,C",
        )
    if config.learner.blocks == 1 and config.training.staleness == 0:
        raise UserError(
            "learner.blocks is 1: a batch of episodes is one piece, with nothing to share out",
            hint="--set learner.blocks=N, best a multiple of the workers; results then hang on N, "
            "not on the workers",
        )


@contextlib.contextmanager
def with_actors(learner: Learner, config: Config, workers: Workers) -> Iterator[Learner]:
    """The learner whose batches are collected by workers.

    Args:
      learner: of this process; as it is where the workers are this process.
      config: of the run.
      workers: who collects; see `check_actors`.
    """
    staleness = config.training.staleness
    if workers.here and staleness == 0:
        yield learner
        return
    with workers.map(play_block, config, beside=staleness > 0) as map_fn:
        if staleness > 0:
            actors = Beside(learner.blocks, map_fn, staleness=staleness)
        else:
            actors = InTurns(learner.blocks, map_fn)
        with contextlib.closing(actors):

            def update(
                state: LearnerState, experience: Any, key: Any
            ) -> tuple[LearnerState, dict[str, Any]]:
                state, metrics = learner.update(state, experience, key)
                return state, metrics | actors.metrics() | _told(workers.incidents)

            yield learner._replace(collect=actors.collect, update=update)


class InTurns:
    """All blocks of a batch are played with the same parameters."""

    def __init__(self, blocks: Blocks, map_fn: MapFn) -> None:
        """Plays by a map of `play_block`, or of what stands for it."""
        self._blocks, self._map_fn, self._version = blocks, map_fn, 0

    def collect(self, params: Any, objective: Objective, key: Any) -> Any:
        """See `Learner`."""
        broadcast = broadcast_of(self._version, params, objective)
        items = [
            Informed(broadcast, BlockKey(number, self._version, _key_data(own_key)))
            for number, own_key in enumerate(self._blocks.keys(key))
        ]
        self._version += 1
        played = sorted(self._map_fn(items), key=lambda block: block.number)
        return self._blocks.join(params, objective, [block.episodes for block in played])

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
        self._on_their_way = 0
        self._ages: list[int] = []
        self._results = map_fn(self._items())

    def collect(self, params: Any, objective: Objective, key: Any) -> Any:
        """See `Learner`."""
        self._version += 1
        weights = (objective.respond, objective.hold)
        task = [np.asarray(part) for part in (*objective.rows[:2], *weights)]
        if self._task is None or not all(map(np.array_equal, task, self._task)):
            self._oldest, self._task = self._version, task
        self._broadcast = broadcast_of(self._version, params, objective)
        self._key, self._drawn, self._size = key, 0, len(self._blocks.keys(key))
        played: list[PlayedBlock] = []
        while len(played) < self._size:
            block = next(self._results)
            self._on_their_way -= 1
            late = self._version - block.version > self._staleness
            if late or block.version < self._oldest:
                self._dropped += 1
            else:
                played.append(block)
        played.sort(key=lambda block: block.number)
        self._ages = [self._version - block.version for block in played]
        return self._blocks.join(params, objective, [block.episodes for block in played])

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
            if self._on_their_way >= self._staleness * self._size:
                yield LATER
                continue
            key = jax.random.fold_in(self._key, self._drawn)
            item = BlockKey(self._number, self._version, _key_data(key))
            self._on_their_way += 1
            self._number += 1
            self._drawn += 1
            yield Informed(self._broadcast, item)


def broadcast_of(version: int, params: Any, objective: Objective) -> Broadcast:
    """What all blocks of a version share; the teacher is for the learner alone."""
    task = objective._replace(teacher=())
    return Broadcast(version, jax.tree.map(np.asarray, (params, task)))


def _key_data(key: Any) -> UInt32[np.ndarray, "2"]:
    return np.asarray(jax.random.key_data(key))


def _told(incidents: Incidents) -> dict[str, float]:
    return {
        "actors/lost": float(incidents.lost),
        "actors/over_limit": float(incidents.over_limit),
        "actors/begun_again": float(incidents.repeated),
    }
