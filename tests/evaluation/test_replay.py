"""Replays: written and read to the bit, re-played by the game itself, and broken ones refused."""

import dataclasses
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.match import play_match
from evaluation.players import Choice, OpenSpielPlayer, TablePlayer, UniformPlayer
from evaluation.replay import CHANCE, Move, Replay, Step, parse_replay, replay_bytes
from evaluation.replay_film import FRAME_MS, LAST_FRAME_MS, PICTURE_MS, gif_bytes, mp4_bytes
from evaluation.replay_frames import frames
from evaluation.replay_states import check_replay
from evaluation.types import DataError
from games.normal_form import NormalForm
from games.open_spiel_tree import load_open_spiel
from games.payoff_files import write_payoffs
from games.registry import load_lanes

GAMES = ("kuhn_poker", "leduc_poker", "kuhn_poker(players=3)", "goofspiel(num_cards=3)")


def recorded(game: str, *, number: int = 3, max_nodes: int = 5_000_000) -> tuple[Replay, ...]:
    lanes = load_lanes(game, max_nodes=max_nodes)
    players = [UniformPlayer()] * lanes.info.num_players
    names = [f"strategy {seat}" for seat in range(len(players))]
    seeds = np.arange(number, dtype=np.uint64)
    return play_match(lanes, players, seeds, names=names, num_replays=number).replays


@pytest.mark.parametrize("game", GAMES)
def test_a_replay_is_read_as_it_was_written_and_the_game_agrees(game):
    for replay in recorded(game):
        content = replay_bytes(replay)
        again = parse_replay(content)
        assert replay_bytes(again) == content
        assert dataclasses.replace(again, steps=()) == dataclasses.replace(replay, steps=())
        assert check_replay(again) == []


@pytest.mark.parametrize("game", ["tic_tac_toe", "goofspiel(num_cards=4)"])
def test_games_without_a_tree_are_re_played_by_open_spiel(game):
    for replay in recorded(game, max_nodes=100):
        assert replay.driver == "open_spiel"
        assert check_replay(replay) == []


@pytest.mark.slow
def test_simulated_games_are_re_played_from_the_seed():
    replay = recorded("running_with_scissors(step_limit=3)", number=1)[0]
    assert replay.driver == "seed" and check_replay(replay) == []
    assert check_replay(dataclasses.replace(replay, seed=77))


def test_payoff_files_are_re_played_on_their_tree(tmp_path):
    path = tmp_path / "game.json"
    write_payoffs(NormalForm(np.arange(8.0).reshape(2, 2, 2)), path)
    replay = recorded(str(path), number=1)[0]
    assert replay.driver == "tree" and check_replay(replay) == []
    first, second = (step.moves[0].action for step in replay.steps)
    assert replay.returns == (4 * first + 2 * second, 4 * first + 2 * second + 1)


def test_a_kuhn_game_by_hand():
    """Cards K (2) and J (0); seat 0 passes, seat 1 bets, seat 0 bets: the king wins 2."""
    moves = [(CHANCE, 2), (CHANCE, 0), (0, 0), (1, 1), (0, 1)]
    steps = tuple(
        Step((Move(who, action, () if who < 0 else (0, 1), None, ""),)) for who, action in moves
    )
    replay = Replay("kuhn_poker", "open_spiel", 0, ("a", "b"), steps, (2.0, -2.0))
    differences = check_replay(replay)
    # Only the observations, which the hand did not hash, differ.
    assert len(differences) == 3 and all("observes" in words for words in differences)
    shown = list(frames(replay))
    assert [frame.moves[0].action for frame in shown[2:5]] == ["Pass", "Bet", "Bet"]
    assert [frame.moves[0].action for frame in shown[:2]] == ["K to seat 0", "J to seat 1"]
    assert shown[-1].returns == (2.0, -2.0)
    assert shown[-1].scene["seats"] == [{"card": "K", "chips": 2}, {"card": "J", "chips": 2}]


@pytest.mark.parametrize(
    ("game", "names"),
    [
        ("leduc_poker", ["Q♠ to seat 0", "K♥ to seat 1", "Q♥ on the table"]),
        ("leduc_poker(suit_isomorphism=True)", ["Q to seat 0", "K to seat 1", "Q on the table"]),
    ],
)
def test_cards_have_their_names(game, names):
    """Outcomes are 2 x rank + suit, spades first, or the rank alone; both seats call."""
    cards = [1, 2, 1] if "suit" in game else [2, 5, 3]
    moves = [(CHANCE, cards[0]), (CHANCE, cards[1]), (0, 1), (1, 1), (CHANCE, cards[2])]
    steps = tuple(Step((Move(who, action, (), None, ""),)) for who, action in moves)
    shown = list(frames(Replay(game, "open_spiel", 0, ("a", "b"), steps, (0.0, 0.0))))
    assert [f.moves[0].action for f in shown if f.moves and f.moves[0].seat < 0] == names
    assert shown[-1].scene["public"] == [names[2].split()[0]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"returns": (5.0, -5.0)}, "returns are"),
        ({"steps": ()}, "not over"),
        ({"game": "leduc_poker"}, "legal actions of seat"),
        ({"seats": ("a", "b"), "steps": "other card"}, "observes"),
    ],
)
def test_what_differs_from_the_game_is_named(change, words):
    replay = recorded("kuhn_poker", number=1)[0]
    if change.get("steps") == "other card":
        others = (set(range(3)) - {step.moves[0].action for step in replay.steps[:2]}).pop()
        change["steps"] = (Step((Move(CHANCE, others),)), *replay.steps[1:])
    assert any(words in found for found in check_replay(dataclasses.replace(replay, **change)))


def test_probabilities_are_those_of_the_table():
    lanes = load_lanes("kuhn_poker")
    table = np.where(np.arange(2) == 0, 0.25, 0.75) * np.ones((lanes.tree.num_infosets, 1))
    players = [TablePlayer(table)] * 2
    seeds = np.arange(600, dtype=np.uint64)
    result = play_match(lanes, players, seeds, names=["a", "b"], num_replays=600)
    first = [replay.steps[2].moves[0] for replay in result.replays]
    assert {move.probabilities for move in first} == {(0.25, 0.75)}
    # 6 standard errors: a false alarm below 1e-8.
    assert abs(np.mean([move.action for move in first]) - 0.75) < 6 * np.sqrt(0.1875 / 600)


CONTENT = replay_bytes(
    Replay(
        game="kuhn_poker",
        driver="open_spiel",
        seed=2**63 + 5,
        seats=("<b>&", "\u202e\ud7ff"),
        steps=(
            Step((Move(CHANCE, 1),)),
            Step((Move(0, 1, (0, 1), (0.5, 0.5), "ab"),), (1.0, -1.0)),
        ),
        returns=(1.0, -1.0),
    )
)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(CONTENT) - 1), st.integers(0, 255), st.booleans())
def test_a_cut_or_altered_file_is_refused_in_words(place, byte, cut):
    changed = CONTENT[:place] if cut else CONTENT[:place] + bytes([byte]) + CONTENT[place + 1 :]
    if changed == CONTENT:
        return
    try:
        replay = parse_replay(changed, "file")
    except DataError as error:
        assert "file" in str(error)
    else:
        # White space and digits of the last line mean the same or are no part of what it covers.
        assert replay.steps == parse_replay(CONTENT).steps


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200))
def test_other_files_are_refused_in_words(content):
    with pytest.raises(DataError):
        parse_replay(content)


@pytest.mark.parametrize("field", ["game", "driver", "seed", "seats", "versions"])
def test_a_header_without_a_field_is_refused(field):
    first, rest = CONTENT.split(b"\n", 1)
    header = json.loads(first)
    del header[field]
    body = json.dumps(header).encode() + b"\n" + rest
    with pytest.raises(DataError, match="corrupt"):
        parse_replay(body)


def test_another_version_is_refused():
    with pytest.raises(DataError, match="version 2; this program reads 1"):
        parse_replay(CONTENT.replace(b'"version":1', b'"version":2'))


class Failing:
    """Breaks the rules at its second decision in lanes with an odd number."""

    def __init__(self, how: str) -> None:
        self._how, self._turns = how, 0

    def begin(self, seeds):
        self._turns = 0

    def choose(self, turn):
        self._turns += 1
        if self._how == "crash":
            raise ZeroDivisionError("by\nzero")
        if self._how == "timeout" and self._turns > 1:
            while True:
                pass
        action = turn.legal.argmax(axis=1)
        if self._how == "illegal":
            action = np.where(turn.lanes % 2 == 1, 7, action)
        return Choice(action, None)


@pytest.mark.parametrize("how", ["illegal", "crash", "timeout"])
def test_what_a_player_does_wrong_is_its_own_loss(how):
    lanes = load_lanes("tic_tac_toe", max_nodes=100)
    players = [UniformPlayer(), Failing(how)]
    limit = 0.2 if how == "timeout" else None
    seeds = np.arange(6, dtype=np.uint64)
    result = play_match(lanes, players, seeds, names=["u", "f"], move_limit_s=limit, num_replays=6)
    assert {forfeit.reason for _, forfeit in result.forfeits} == {how}
    assert {forfeit.seat for _, forfeit in result.forfeits} == {1}
    lost = [lane for lane, _ in result.forfeits]
    assert lost == ([1, 3, 5] if how == "illegal" else list(range(6)))
    np.testing.assert_array_equal(result.returns[lost], [[1, -1]] * len(lost))
    for lane, replay in enumerate(result.replays):
        assert (replay.forfeit is not None) == (lane in lost)
        assert check_replay(parse_replay(replay_bytes(replay))) == []


def test_tree_search_plays_by_its_seed_and_beats_random_play():
    lanes = load_lanes("tic_tac_toe", max_nodes=100)
    game = load_open_spiel("tic_tac_toe").turn_based
    seeds = np.arange(20, dtype=np.uint64)

    def returns():
        players = [OpenSpielPlayer(game, simulations=50), UniformPlayer()]
        return play_match(lanes, players, seeds, names=["m", "u"]).returns

    first = returns()
    np.testing.assert_array_equal(first, returns())
    assert first[:, 0].mean() > 0.7


@pytest.mark.parametrize("game", ["leduc_poker", "running_with_scissors(step_limit=3)"])
def test_a_film_has_a_frame_for_every_position(game):
    from PIL import Image

    replay = recorded(game, number=1)[0]
    film = Image.open(io.BytesIO(gif_bytes(replay)))
    assert film.format == "GIF"
    # Equal pictures, such as those before a chance event nobody sees, may be stored as one.
    shown = 0
    for number in range(film.n_frames):
        film.seek(number)
        shown += film.info["duration"]
    each = FRAME_MS if game == "leduc_poker" else PICTURE_MS
    assert shown == each * len(replay.steps) + LAST_FRAME_MS


def test_the_mp4_lasts_as_long_as_the_gif(tmp_path):
    replay = recorded("kuhn_poker", number=1)[0]
    try:
        import imageio_ffmpeg
    except ImportError:
        with pytest.raises(ModuleNotFoundError, match="imageio-ffmpeg"):
            mp4_bytes(replay)
        return
    path = tmp_path / "film.mp4"
    path.write_bytes(mp4_bytes(replay))
    number, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert number >= len(replay.steps) + 1
    assert seconds == pytest.approx((FRAME_MS * len(replay.steps) + LAST_FRAME_MS) / 1000, abs=0.2)
