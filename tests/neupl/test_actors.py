"""Episodes that are played by actors: blocks of a batch, in turns with the learner or beside it."""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from neupl import sampled_evaluation
from neupl.actors import (
    Beside,
    BlockKey,
    DonePart,
    InTurns,
    Part,
    PlayedBlock,
    check_actors,
    do_item,
)
from neupl.broadcast import Informed
from neupl.config import Config
from neupl.config_io import load_config
from neupl.crew import LATER
from neupl.errors import UserError
from neupl.problem import make_playing_learner, make_problem
from neupl.sampled_evaluation import SampledEvaluator
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


def tiny(*settings: str) -> Config:
    return config_of("population.size=3", "network.hidden_sizes=[4]", *settings)


def from_the_last(config: Config, taken: list[Informed]) -> Any:
    """A map of actors whose last item is done first."""

    def map_fn(items):
        for item in sorted(items, key=lambda item: -item.item.number):
            taken.append(item)
            yield do_item(config, item)

    return map_fn


@pytest.mark.parametrize("kind", ["ppo", pytest.param("mpo", marks=pytest.mark.slow)])
def test_a_batch_is_its_blocks_whoever_plays_them_and_in_whatever_order(kind):
    config = tiny(f"learner.kind={kind}", "learner.episodes=24", "learner.blocks=3")
    learner = make_playing_learner(config)
    params = learner.init(jax.random.key(0)).params
    task, key = objective_of(teacher=params), jax.random.key(5)
    here = learner.collect(params, task, key)
    assert here.returns.shape == (24, 2) and len(here.matches.seat) == 24
    # Blocks are not copies of one.
    thirds = np.split(here.returns, 3)
    assert not np.array_equal(thirds[0], thirds[1])
    taken = []
    actors = InTurns(learner.blocks, from_the_last(config, taken))
    there = actors.collect(params, task, key)
    assert [item.item.number for item in taken] == [2, 1, 0] and actors.metrics() == {}
    assert all(item.broadcast.content[1].teacher == () for item in taken)
    assert_same(there, here)


def test_an_evaluation_is_its_parts_whoever_plays_them_and_in_whatever_order(monkeypatch):
    """Waves of the last measurement: 200 episodes, as many again, then 400, then what is left."""
    monkeypatch.setattr(sampled_evaluation, "FINAL_LANES", 200)
    config = tiny("evaluation.episodes=50", "evaluation.blocks=3", "evaluation.final_episodes=1000")
    problem, _ = make_problem(config)
    params, task = problem.learner.init(jax.random.key(0)).params, objective_of()

    def found(evaluator: SampledEvaluator) -> tuple:
        asked = {"num_admitted": 3, "key": jax.random.key(7)}
        evaluated = evaluator.evaluate(params, task, evaluator.begin(), newest=2, **asked)
        measured = evaluator.measure(params, task.rows, **asked)
        evaluation, carried = evaluated
        return evaluation._replace(solve_s=0.0), carried, measured

    here, taken = found(problem.evaluator), []
    actors = InTurns(problem.learner.blocks, from_the_last(config, taken))
    assert_same(found(problem.evaluator.played_by(actors.play_items)), here)
    assert here[1].statistics.count.sum() < 50 and here[2].episodes == 1000
    numbers = [item.item.number for item in taken]
    assert numbers == [2, 1, 0, *[2, 1, 0] * 2, *range(5, -1, -1), 2, 1, 0]
    assert {len(item.item.item.profiles) for item in taken} == {17, 67}
    assert sum(item.item.item.probes for item in taken) == sampled_evaluation.PROBES
    # The parameters of a measurement are told once.
    assert [item.broadcast.version for item in taken] == [0] * 3 + [1] * 15


def assert_same(one: Any, other: Any) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for its, theirs in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(its, theirs)


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
            done = given.pop(self.order(given))
            if isinstance(done, Part):
                yield DonePart(done.number, -done.item)
                continue
            number, version, key = done
            yield PlayedBlock(number, version, (number, version, key.tolist()))


BLOCKS = Blocks(
    keys=lambda key: list(jax.random.split(key, 2)),
    play=None,
    join=lambda params, objective, blocks: blocks,
    told=Objective.without_teacher,
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


def test_an_evaluation_beside_the_learner_loses_no_block():
    crew = Scripted([], lambda given: 0)
    actors = Beside(BLOCKS, crew.map, staleness=2)
    # As a run does that was resumed at its end.
    assert actors.play_items("parameters", [3, 5]) == [-3, -5]
    assert len(crew.taken) == 2
    numbers = []
    for step in range(4):
        numbers += [number for number, _, _ in collected(actors, step)]
        assert actors.play_items("parameters", [step, 7]) == [-step, -7]
    assert numbers == list(range(8)) and actors.metrics()["actors/dropped"] == 0
    assert len(crew.taken) <= 2 + 4 * 2 + 2 * (4 + 2)


@pytest.mark.parametrize(
    ("settings", "workers", "message"),
    [
        (("learner.kind=exact",), Workers(number=2), "is one piece of work"),
        (("graph.kind=jpsro",), Workers(ray="auto"), "learner.blocks is 1"),
        ((), Workers(number=2), "learner.blocks is 1 and evaluation.blocks too"),
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


def test_any_part_of_a_run_may_be_shared_out_alone():
    for settings in (
        ("learner.kind=mpo", "learner.blocks=4"),
        ("evaluation.blocks=4",),
        ("graph.kind=jpsro", "learner.blocks=4"),
        ("graph.kind=jpsro", "evaluation.payoffs=sampled"),
    ):
        check_actors(config_of(*settings), Workers(number=2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("learner.blocks=3",), "divisor of learner.episodes"),
        (("learner.blocks=0",), "divisor of learner.episodes"),
        (("learner.kind=exact", "learner.blocks=2"), "learner.blocks"),
        (("evaluation.blocks=0",), "evaluation.blocks"),
        (("evaluation.blocks=9", "evaluation.episodes=8"), "evaluation.blocks"),
        (("evaluation.blocks=2", "evaluation.payoffs=exact"), "evaluation.blocks"),
        (("evaluation.blocks=2", "graph.kind=jpsro"), "evaluation.blocks"),
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
