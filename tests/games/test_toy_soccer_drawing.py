"""Pictures of toy soccer, and replays of games whose actions are vectors."""

import dataclasses

import numpy as np
import pytest

from evaluation.match import play_match
from evaluation.players import PolicyPlayer
from evaluation.replay import Step, bytes_of, parse_replay, replay_bytes
from evaluation.replay_film import gif_bytes
from evaluation.replay_frames import SCENES, frames
from evaluation.replay_states import check_replay
from evaluation.types import DataError
from games.registry import load_lanes
from games.toy_soccer import rules
from games.toy_soccer.drawing import MARGIN, SCALE, draw, draw_text

STATE = rules.State(
    position=np.array([(-1.0, 0.5), (2.3, -1.9)], np.float32),
    velocity=np.zeros((2, 2), np.float32),
    ball=np.array((0.01, -0.01), np.float32),
    ball_velocity=np.zeros(2, np.float32),
    scored=np.int32(0),
    steps=np.int32(12),
    over=np.bool_(False),
)


def test_text_shows_everything():
    """A character is 0.125 m wide and 0.25 m high: player 0 is in column 12 and row 6."""
    lines = draw_text(STATE).splitlines()
    assert len(lines) == 19 and {len(line) for line in lines[:18]} == {42}
    assert lines[1 + 6][1 + 12] == "0" and lines[1 + 15][1 + 38] == "1"
    assert lines[1 + 8][1 + 20] == "o"
    # Goals are 0.8 m wide: rows whose middles are within 0.4 m of the centre spot.
    assert [line[0] for line in lines].count("|") == 4
    assert lines[-1] == "1.2 s, 0:0, ball +0.01 -0.01 m"
    assert draw_text(STATE._replace(scored=np.int32(-1), over=np.bool_(True))).endswith(
        "0:1, ball +0.01 -0.01 m, over"
    )


def test_picture_shows_discs_in_the_colours_of_their_teams_and_forces():
    picture = draw(STATE)

    def pixel(x, y):
        return picture[int(MARGIN + (2 - y) * SCALE), int(MARGIN + (x + 2.5) * SCALE)].tolist()

    assert picture.shape == (2 * (2 * SCALE + MARGIN), 2 * (2.5 * SCALE + MARGIN), 3)
    home, away, grass = pixel(-1.0, 0.5), pixel(2.3, -1.9), pixel(-1.0, 0.3)
    assert len({tuple(home), tuple(away), tuple(grass)}) == 3
    assert pixel(-1.14, 0.5) == home and pixel(-1.16, 0.5) == grass
    # The away team's force of 1 ahead points to negative x.
    changed = (draw(STATE, [[0, 0], [1, 0]]) != picture).any(axis=2).nonzero()[1]
    assert changed.min() < MARGIN + 4.55 * SCALE and changed.max() < MARGIN + 4.85 * SCALE


class Presses:
    """Always the same commands."""

    def initial_memory(self, batch):
        return ()

    def act(self, memory, observation, mask, key):
        return np.full((len(observation), 2), (0.5, -0.25), np.float32), np.zeros(2), ()


@pytest.fixture(scope="module")
def lanes():
    return load_lanes("toy_soccer(shaped=1,step_limit=3)")


@pytest.fixture(scope="module")
def replay(lanes):
    players = [PolicyPlayer(Presses()), PolicyPlayer(Presses())]
    seeds = np.arange(2, dtype=np.uint64)
    result = play_match(lanes, players, seeds, names=["one", "other"], num_replays=1)
    return result.replays[0]


def test_a_match_of_vectors_is_recorded_and_re_played_from_its_seed(replay):
    assert replay.driver == "seed" and len(replay.steps) == 3
    content = replay_bytes(replay)
    again = parse_replay(content)
    assert replay_bytes(again) == content and check_replay(again) == []
    broken = dataclasses.replace(again, steps=(Step((), commands=bytes_of(np.full(4, np.nan))),))
    with pytest.raises(DataError, match="a command is not finite"):
        parse_replay(replay_bytes(broken))


@pytest.mark.slow
def test_a_match_of_vectors_is_shown_and_told_from_another(replay):
    shown = list(frames(replay))
    assert shown[0].moves[1].action == "commands +0.50 -0.25" and not shown[-1].moves
    scene = shown[0].scene
    assert scene["kind"] in SCENES and [disc[3] for disc in scene["discs"]] == [0, 1, -1]
    assert gif_bytes(replay).startswith(b"GIF89a")
    other = dataclasses.replace(replay, seed=9, returns=(0.5, -0.5))
    assert "returns are" in check_replay(other)[0]
    short = dataclasses.replace(replay, steps=replay.steps[:2], returns=(0.0, 0.0))
    assert "after 2 steps the episode is not over" in check_replay(short)[0]
    lengthened = dataclasses.replace(replay, steps=(*replay.steps, replay.steps[0]))
    assert "the episode is over" in check_replay(lengthened)[0]
    few = dataclasses.replace(replay, steps=(Step((), commands=bytes_of(np.zeros(2))),))
    assert "2 commands" in check_replay(few)[-1]


def test_lanes_refuse_numbers_that_are_none(lanes):
    states = lanes.init(np.arange(2, dtype=np.uint64))
    actions = np.zeros((2, 2, 2), np.float32)
    actions[1, 0, 1] = np.nan
    with pytest.raises(ValueError, match="lane 1: the action of player 0 is not finite"):
        lanes.step(states, actions)
    with pytest.raises(ValueError, match=r"shape \(2, 2\), expected \(2, 2, 2\)"):
        lanes.step(states, actions[..., 0])
