"""Replays of MuJoCo's games: as played, simulated again, and drawn where MuJoCo has the bodies."""

import dataclasses
import importlib.resources
import json

import numpy as np
import pytest

from evaluation.match import play_match
from evaluation.pages.replay_page import replay_page
from evaluation.physics_replay import coordinates, model_content, physics_of
from evaluation.players import Choice, PolicyPlayer, Turn
from evaluation.replay import Replay, Step, bytes_of, floats_of, parse_replay, replay_bytes
from evaluation.replay_frames import frames
from evaluation.replay_states import check_replay
from evaluation.types import DataError
from games.registry import load_lanes
from tests.evaluation.browser import dom_and_complaints, needs_browser


def made_up(**changes: object) -> Replay:
    steps = tuple(
        Step((), (0.5, -0.5), None, bytes_of(np.arange(3) + k), bytes_of(np.full(4, 0.1 * k)))
        for k in range(2)
    )
    replay = Replay(
        game="soccer/duel",
        driver="physics",
        seed=2**64 - 1,
        seats=("a", "b"),
        steps=steps,
        returns=(1.0, -1.0),
        start=bytes_of(np.array([1 / 3, 0.0, -2.0])),
    )
    return dataclasses.replace(replay, **changes)


def test_coordinates_and_commands_are_kept_to_the_bit():
    again = parse_replay(replay_bytes(made_up()))
    assert again == made_up()
    np.testing.assert_array_equal(
        coordinates(again), np.float32([[1 / 3, 0, -2], [0, 1, 2], [1, 2, 3]])
    )
    shown = list(frames(again))
    assert [frame.returns for frame in shown] == [(0, 0), (0.5, -0.5), (1, -1)]
    assert shown[1].moves[0].action == "commands +0.10 +0.10"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": b"abc"}, "no float32"),
        ({"start": bytes_of(np.zeros(2))}, "other coordinates"),
        ({"steps": (Step((), (), None, bytes_of(np.zeros(3)), b""),)}, "no commands"),
    ],
)
def test_what_is_no_physics_is_refused(changes, words):
    with pytest.raises(DataError, match=words):
        parse_replay(replay_bytes(made_up(**changes)))


def test_coordinates_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="not finite"):
        coordinates(made_up(start=bytes_of(np.array([np.nan, 0, 0]))))


class Wavering:
    """Commands that change, and in one lane become infinite."""

    def begin(self, seeds: np.ndarray) -> None:
        """Starts over."""
        self.time = 0

    def choose(self, turn: Turn) -> Choice:
        """Waves."""
        self.time += 1
        action = np.full(turn.legal.shape, 0.5 * np.sin(0.3 * self.time), np.float32)
        action[(turn.lanes == 1) & (self.time > 5)] = np.inf
        return Choice(action, None)


@pytest.fixture(scope="module")
def played() -> tuple[Replay, ...]:
    pytest.importorskip("mujoco")
    lanes = load_lanes("soccer/get_up")
    seeds = np.arange(2, dtype=np.uint64)
    return play_match(lanes, [Wavering()], seeds, names=["w"], num_replays=2).replays


def test_an_episode_is_simulated_again_from_seed_and_commands(played):
    whole, lost = played
    assert check_replay(parse_replay(replay_bytes(whole))) == []
    assert len(whole.steps) == 400 and whole.forfeit is None
    # The other lane is forfeited at its sixth decision, and agrees until then.
    assert lost.forfeit.reason == "illegal" and len(lost.steps) == 5
    assert check_replay(lost) == []

    steps = list(whole.steps)
    commands = floats_of(steps[7].commands) + np.float32(0.2)
    steps[7] = dataclasses.replace(steps[7], commands=bytes_of(commands))
    (difference,) = check_replay(dataclasses.replace(whole, steps=tuple(steps)))
    assert difference.startswith("moment 8: coordinates differ by")
    (difference,) = check_replay(dataclasses.replace(whole, steps=whole.steps[:9]))
    assert "not over" in difference or "returns" in difference


@pytest.mark.slow
def test_scripted_robots_play_as_in_an_exhibition():
    pytest.importorskip("mujoco")
    from soccer import bots, exhibition

    lanes, seeds = load_lanes("soccer/get_up"), np.array([3], np.uint64)
    results = exhibition.play(lanes, [bots.Stand()], seeds, record=1)
    matched = play_match(lanes, [PolicyPlayer(bots.Stand())], seeds, names=["s"], num_replays=1)
    np.testing.assert_allclose(matched.returns, results.returns, atol=1e-6)
    np.testing.assert_array_equal(coordinates(matched.replays[0]), results.recording[:, 0])


@needs_browser
def test_the_page_puts_bodies_where_mujoco_does(played, tmp_path):
    mujoco = pytest.importorskip("mujoco")
    lanes, moment = physics_of(played[0]), 120
    numbers = coordinates(played[0])[moment]
    data = mujoco.MjData(lanes.model)
    data.qpos[:] = numbers
    mujoco.mj_kinematics(lanes.model, data)
    folder = importlib.resources.files("evaluation.pages")
    scripts = "".join(folder.joinpath(name).read_text() for name in ("scenes.js", "physics.js"))
    page = tmp_path / "bodies.html"
    page.write_text(
        f"<pre id=said></pre><script>{scripts}\n"
        f"const places = neuplPhysics.bodiesOf({json.dumps(model_content(lanes))}, "
        f"new Float32Array({numbers.tolist()}));\n"
        "document.getElementById('said').textContent = "
        "JSON.stringify(places.map((place) => [place.pos, place.quat]));</script>"
    )
    dom, complaints = dom_and_complaints(page)
    assert complaints == ""
    found = json.loads(dom.split('<pre id="said">')[1].split("</pre>")[0])
    for body, (place, turn) in enumerate(found):
        np.testing.assert_allclose(place, data.xpos[body], atol=1e-5)
        # A turn has two quaternions.
        assert abs(np.dot(turn, data.xquat[body])) == pytest.approx(1, abs=1e-6)


@needs_browser
def test_the_page_draws_robots_and_does_not_complain(played, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(replay_page([("one", played[0])]))
    dom, complaints = dom_and_complaints(page)
    assert complaints == ""
    assert dom.count("<polygon") > 5 and "0 / 400" in dom
