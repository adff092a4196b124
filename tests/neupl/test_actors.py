"""Episodes that are played by actors: blocks of a batch, in turns with the learner or beside it."""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from neupl.actors import Beside, BlockKey, InTurns, PlayedBlock, check_actors, play_block
from neupl.config import Config
from neupl.config_io import load_config
from neupl.crew import LATER
from neupl.errors import UserError
from neupl.problem import make_playing_learner
from neupl.types import Blocks, Objective, Rows
from neupl.workers import Workers


def config_of(*settings: str) -> Config:
    return load_config(Config, None, ("learner.kind=ppo", *settings))


def objective_of(*, rows: float = 1.0, temperature: float = 0.1, teacher: Any = ()) -> Objective:
    """Strategy 1 responds to strategy 0."""
    joint, respond = np.zeros((2, 3, 3), np.float32), np.zeros((2, 3), np.float32)
    joint[:, 1, 0], respond[:, 1] = rows, 1.0
    identity = np.tile(np.array([0, 1, 0], np.int32), (2, 1))
    warm = np.full((2, 3), temperature, np.float32)
    return Objective(Rows(joint, identity), warm, respond, 0 * respond, teacher)


def test_a_batch_is_its_blocks_whoever_plays_them_and_in_whatever_order():
    config = config_of(
        "learner.episodes=24", "learner.blocks=3", "population.size=3", "network.hidden_sizes=[4]"
    )
    learner = make_playing_learner(config)
    params = learner.init(jax.random.key(0)).params
    task, key = objective_of(teacher=params), jax.random.key(5)
    here = learner.collect(params, task, key)
    assert here.returns.shape == (24, 2) and len(here.matches.seat) == 24
    # Blocks are not copies of one.
    thirds = np.split(here.returns, 3)
    assert not np.array_equal(thirds[0], thirds[1])
    taken = []

    def from_the_last(items):
        for item in sorted(items, key=lambda item: -item.item.number):
            assert item.broadcast.content[1].teacher == ()
            taken.append(item.item.number)
            yield play_block(config, item)

    actors = InTurns(learner.blocks, from_the_last)
    there = actors.collect(params, task, key)
    assert taken == [2, 1, 0] and actors.metrics() == {}
    assert jax.tree.structure(there) == jax.tree.structure(here)
    for one, other in zip(jax.tree.leaves(there), jax.tree.leaves(here), strict=True):
        np.testing.assert_array_equal(one, other)


class Scripted(NamedTuple):
    """A crew of one who plays what it was given in a scripted order.

    Attributes:
      taken: all that was handed out.
      order: `(given) -> index` of what is done next.
    """

    taken: list[BlockKey]
    order: Any

    def map(self, items):
        given, items = [], iter(items)
        while True:
            while (item := next(items)) is not LATER:
                self.taken.append(item.item)
                given.append(item.item)
            number, version, key = given.pop(self.order(given))
            yield PlayedBlock(number, version, (number, version, key.tolist()))


BLOCKS = Blocks(
    keys=lambda key: list(jax.random.split(key, 2)),
    play=None,
    join=lambda params, objective, blocks: blocks,
)


def collected(actors: Beside, step: int, **task: float) -> list:
    key = jax.random.fold_in(jax.random.key(0), step)
    return actors.collect(np.float32(step), objective_of(**task), key)


@pytest.mark.parametrize("staleness", [1, 2])
def test_actors_are_ahead_by_as_much_as_is_allowed_and_nothing_is_dropped(staleness):
    crew = Scripted([], lambda given: 0)
    actors, versions = Beside(BLOCKS, crew.map, staleness=staleness), []
    for step in range(6):
        found = collected(actors, step, temperature=1.0 / (step + 1))
        assert [number for number, _, _ in found] == [2 * step, 2 * step + 1]
        versions.append([version for _, version, _ in found])
        # What is on its way is what the next steps will use, and no more.
        assert len(crew.taken) <= 2 * (step + 1) + 2 * staleness
    ages = step - np.array(versions[-1])
    assert ages.max() == staleness and actors.metrics() == {
        "actors/staleness_mean": ages.mean(), "actors/staleness_max": staleness,
        "actors/dropped": 0,
    }  # fmt: skip
    assert len({tuple(item.key.tolist()) for item in crew.taken}) == len(crew.taken)


def test_what_comes_too_late_is_dropped():
    # The very first block is done after seven others, as if its worker had been lost.
    done = iter(range(99))
    crew = Scripted([], lambda given: int(given[0].number == 0 and next(done) < 7))
    actors = Beside(BLOCKS, crew.map, staleness=1)
    found = [collected(actors, step) for step in range(6)]
    numbers = [number for batch in found for number, _, _ in batch]
    assert 0 not in numbers and len(set(numbers)) == 12
    for step, batch in enumerate(found):
        assert all(step - version <= 1 for _, version, _ in batch)
    assert actors.metrics()["actors/dropped"] == 1


def test_episodes_of_another_task_are_dropped():
    """Nobody learns from episodes against opponents that were exchanged since."""
    crew = Scripted([], lambda given: 0)
    actors = Beside(BLOCKS, crew.map, staleness=2)
    for step in range(3):
        collected(actors, step)
    on_their_way = len(crew.taken) - 6
    found = collected(actors, 3, rows=0.5)
    assert [version for _, version, _ in found] == [3, 3]
    assert actors.metrics()["actors/dropped"] == on_their_way > 0
    assert actors.metrics()["actors/staleness_max"] == 0


@pytest.mark.parametrize(
    ("settings", "workers", "message"),
    [
        (("learner.kind=exact",), Workers(number=2), "is one piece of work"),
        (("graph.kind=jpsro",), Workers(ray="auto"), "is one piece of work"),
        ((), Workers(number=2), "learner.blocks is 1"),
        (("training.staleness=2",), Workers(), "and there are none"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(settings, workers, message):
    with pytest.raises(UserError, match=message) as raised:
        check_actors(config_of(*settings), workers)
    assert raised.value.hint


def test_one_piece_may_be_played_by_one_worker():
    check_actors(config_of(), Workers(number=1))
    check_actors(config_of("training.staleness=1"), Workers(number=1))
    check_actors(config_of("learner.blocks=8"), Workers(number=2, item_limit_s=9.0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("learner.blocks=3",), "divisor of learner.episodes"),
        (("learner.blocks=0",), "divisor of learner.episodes"),
        (("learner.kind=mpo", "learner.blocks=2"), "learner.blocks"),
        (("training.staleness=-1",), "training.staleness"),
        (("training.staleness=1", "graph.simplex_share=0.5"), "training.staleness"),
    ],
)
def test_impossible_blocks_and_ages_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        config_of(*settings)


def test_configurations_can_be_told_apart_by_workers():
    """They make one learner of each."""
    assert hash(config_of()) == hash(dataclasses.replace(config_of()))
