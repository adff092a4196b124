"""Boxheads: what an action does, mirror images, both seats alike, scripts, what they see."""

import re
from pathlib import Path

import numpy as np
import pytest

from games.registry import load_game
from games.types import GameError, Policy
from neupl.entrants import _bots_of
from neupl.fixed_strategy import fixed_strategy
from soccer import boxhead, boxhead_bots, exhibition, observations, tasks
from soccer.boxhead import BOXHEAD

pytest.importorskip("mujoco", reason="MuJoCo is not installed: the extra [soccer]")

PAGE = (Path(__file__).parents[2] / "docs" / "soccer.md").read_text()
PLACE = {name: place for name, _, place in observations.layout(body=BOXHEAD)}


def placed(game, robots, ball, ball_velocity=(0, 0, 0)):
    """One lane: robots at rest at (x, y, heading), as if they had been there for long."""
    states = game.init(np.zeros(1, np.uint64))
    robots = np.array(robots, np.float64)
    own = BOXHEAD.standing(robots[:, :2], robots[:, 2]).reshape(-1)
    states.qpos[:] = np.concatenate([own, ball, [1, 0, 0, 0]])
    states.qvel[:] = 0
    states.qvel[0, -6:-3] = ball_velocity
    scene = game.task.scene(states, slice(None))
    for part, value in zip(states.memory.before, observations.remember(scene), strict=True):
        part[:] = value
    return states


def play(game, states, actions):
    """Observations and rewards of one lane, `[T, P, ...]`."""
    seen, paid = [], []
    for joint in actions:
        states, now = game.step(states, np.asarray(joint, np.float32)[None])
        seen.append(game.observe(states)[0])
        paid.append(now.rewards[0])
    return np.stack(seen), np.stack(paid)


def test_actions_drive_turn_and_jump():
    """Torque and damping balance at 0.72 / 0.04 = 18 rad/s, 1.51 m/s, and at 6 rad/s of turn. A
    thrust of 80 N against a head of 1.6 kg lifts it by more than the way of the wheel.
    """
    game = tasks.duel(body="boxhead", num_threads=1)
    still = [0, 0, 0]
    states = placed(game, [(-2, 0.5, 0), (2, -0.5, np.pi)], [0, 1.5, 0.09])
    seen, _ = play(game, states, [([1, 0, 0], still)] * 60)
    speed, across = seen[-1, 0, PLACE["velocity[0]"]]
    assert 1.3 < speed < 18 * boxhead.WHEEL_RADIUS and abs(across) < 0.05
    np.testing.assert_allclose(seen[-1, 0, PLACE["previous_action[0]"]], [1, 0, 0])
    np.testing.assert_allclose(seen[-1, 1, PLACE["velocity[0]"]], 0, atol=0.01)
    seen, _ = play(game, placed(game, [(-2, 0.5, 0), (2, -0.5, np.pi)], [0, 1.5, 0.09]),
                   [([0, 1, 0], still)] * 20)  # fmt: skip
    assert 5 < seen[-1, 0, PLACE["angular_velocity[0]"]][2] < 6.01
    states = placed(game, [(-2, 0.5, 0), (2, -0.5, np.pi)], [0, 1.5, 0.09])
    heights = []
    for step in range(30):
        states, _ = game.step(
            states, np.array([[[0, 0, 1 if step < 8 else -1], still]], np.float32)
        )
        heights.append(states.qpos[0, 2])
    assert boxhead.KICK_WAY < max(heights) < 0.3 and abs(heights[-1]) < 0.01
    assert not states.broken.any()


def test_mirror_images_and_seats_are_alike():
    """0.75 s in which both drive at the ball from either side, kick, and touch it."""
    game = tasks.duel(body="boxhead", shaped=1, num_threads=1)
    rng = np.random.default_rng(0)
    actions = rng.uniform(-0.3, 0.3, (30, 2, 3)) + np.array([1, 0, 0])
    robots, ball = np.array([(-0.5, 0.05, 0.1), (0.6, -0.1, 3.0)]), np.array([0.0, 0.1, 0.09])
    seen, paid = play(game, placed(game, robots, ball), actions)
    moved = seen[:, 0, PLACE["ball_velocity"]]
    assert np.abs(moved).max() > 0.5
    mirror = game.mirror
    image, image_paid = play(
        game, placed(game, robots * [1, -1, -1], ball * [1, -1, 1]), actions * mirror.action_sign
    )
    np.testing.assert_allclose(
        image[5:], seen[5:][..., mirror.observation_order] * mirror.observation_sign, atol=2e-3
    )
    np.testing.assert_allclose(image_paid, paid, atol=1e-5)
    turned = (robots * [-1, -1, 1] + [0, 0, np.pi])[::-1]
    other, other_paid = play(game, placed(game, turned, ball * [-1, -1, 1]), actions[:, ::-1])
    np.testing.assert_allclose(other[5:, ::-1], seen[5:], atol=2e-3)
    np.testing.assert_allclose(other_paid[:, ::-1], paid, atol=1e-5)


@pytest.mark.slow
def test_the_chaser_scores_on_who_stands():
    game = tasks.duel(body="boxhead", num_threads=1)
    game.info = game.info._replace(max_steps=520)
    chaser = boxhead_bots.Chaser()
    assert isinstance(chaser, Policy)
    seeds = np.arange(8, dtype=np.uint64)
    results = exhibition.play(game, [chaser, boxhead_bots.Stand()], seeds)
    assert results.returns[:, 0].sum() >= 6 and (results.returns.sum(axis=1) == 0).all()
    assert not results.broken.any()


def test_two_versus_two_plays_by_name():
    game = load_game("soccer/team(body=boxhead,seconds=1,shaped=1,num_threads=1)")
    assert game.info.name == "soccer/team(body=boxhead,seconds=1,shaped=1)"
    assert game.info.observation_size == (95,) * 4 and game.info.num_actions == (3,) * 4
    seeds = np.arange(4, dtype=np.uint64)
    players = [boxhead_bots.Chaser(), boxhead_bots.Keeper()] * 2
    results = exhibition.play(game, players, seeds)
    assert results.steps.tolist() == [40] * 4
    assert not results.broken.any() and np.isfinite(results.returns).all()
    known = game.task.observe_privileged(game.init(seeds))
    assert known.shape == (4, 4, 23) and np.isfinite(known).all()


def test_parameters_are_checked_and_bots_are_those_of_the_body():
    for name, message in (
        ("soccer/duel(body=octopus)", "body is octopus, allowed are humanoid and boxhead"),
        ("soccer/duel(body=boxhead,randomise=1)", "randomise=1 is of humanoids"),
        ("soccer/duel(seconds=0)", "seconds is 0, allowed are 1 and more"),
        ("soccer/duel(shaped=yes)", "whole numbers and words, by default"),
        ("soccer/get_up(body=boxhead)", "whole numbers, by default"),
    ):
        with pytest.raises(GameError, match=message):
            load_game(name)
    assert load_game("soccer/duel(body=humanoid,seconds=50)").info.name == "soccer/duel"
    assert _bots_of("soccer/duel(body=boxhead,shaped=1)")["chaser"] == "soccer.boxhead_bots:Chaser"
    assert _bots_of("soccer/duel(body=humanoid)")["chaser"] == "soccer.bots:Chaser"


def test_documentation_lists_every_number_of_a_boxheads_observation():
    page = PAGE[PAGE.index("## Boxheads") :]
    rows = re.findall(r"^\| (\d+)(?:-(\d+))? \| `(\w+)` \| (\S+) \|", page, re.MULTILINE)
    listed = {name: (int(first), int(last or first) + 1, unit) for first, last, name, unit in rows}
    for name, item, place in observations.layout(body=BOXHEAD):
        if name.endswith("[0]"):
            assert listed[item.name] == (place.start, place.stop, item.unit), name
    assert PLACE["ball"].start == 75 and PLACE["opponent_velocity"].stop == 87


def test_the_chaser_as_strategy_0_does_what_the_chaser_does():
    """In single precision, at 64 observations of places all over the pitch."""
    seen = np.random.default_rng(0).uniform(-2, 2, (64, 87)).astype(np.float32)
    mask = np.ones((64, 3), bool)
    wanted, _, _ = boxhead_bots.Chaser().act((), seen, mask, None)
    told = np.asarray(fixed_strategy("soccer.boxhead_bots:chase")(seen, mask))
    np.testing.assert_allclose(told[:, :3], wanted, atol=1e-4)
    np.testing.assert_allclose(np.exp(told[:, 3:]), 0.05, rtol=1e-5)
