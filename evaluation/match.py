"""A match: the same entrants in the same seats, many episodes at once.

What an entrant does wrong costs it its own episode and nothing else: an illegal move, an exception
or a move that took too long is a forfeit, recorded with its reason.
"""

import contextlib
import dataclasses
import functools
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyspiel
from jaxtyping import Float64, Int, UInt64

from evaluation.players import Choice, MoveTimeoutError, Player, PlayerError, Turn
from evaluation.recorder import Recorder
from evaluation.replay import Forfeit, Replay
from games.lane_streams import make_streams
from games.open_spiel_host import OpenSpielHost
from games.open_spiel_tree import load_open_spiel
from games.teams import players_of_seats
from games.tree_lanes import TreeLanes
from games.types import GameError, GameInfo, HostGame

# Streams of the seats' own draws: far from those of chance, which start at the seeds themselves.
_SEAT_STREAM = 0xD1B54A32D192ED03


class LaneForfeit(NamedTuple):
    """A forfeit and the lane in which it happened."""

    lane: int
    forfeit: Forfeit


@dataclasses.dataclass(frozen=True, eq=False)
class MatchResult:
    """`B` complete episodes.

    Attributes:
      returns: `[B, P]`, in game points; those of forfeits by `forfeit_returns`.
      length: `[B]` decisions of any seat.
      forfeits: in the order in which they happened.
      replays: of the first lanes, as many as were asked for.
    """

    returns: Float64[np.ndarray, "B P"]
    length: Int[np.ndarray, "B"]
    forfeits: tuple[LaneForfeit, ...]
    replays: tuple[Replay, ...]


def play_match(
    lanes: HostGame,
    players: Sequence[Player],
    seeds: UInt64[np.ndarray, "B"],
    *,
    names: Sequence[str],
    move_limit_s: float | None = None,
    num_replays: int = 0,
) -> MatchResult:
    """Plays one episode per seed.

    Args:
      lanes: the game.
      players: one per seat.
      seeds: of chance, and of what players draw.
      names: of the players, for replays.
      move_limit_s: seconds that a decision may take, times the number of lanes decided at once; the
        first decision of a match, in which a player may compile, is not timed.
      num_replays: of the first lanes, to be recorded.

    Raises:
      GameError: the game outlasts its own bound on steps.
    """
    B, P = len(seeds), lanes.info.num_players
    states = lanes.init(seeds)
    now = lanes.restart(states)
    draws = [make_streams(seeds + np.uint64(_SEAT_STREAM * (s + 1) % 2**64)) for s in range(P)]
    recorder = Recorder(lanes, states, seeds, names, min(num_replays, B), players)
    returns, length = np.zeros((B, P)), np.zeros(B, np.int64)
    lost: dict[int, Forfeit] = {}
    started: set[int] = set()
    for _ in range(lanes.info.max_steps + 1):
        playing = np.asarray(now.discount > 0)
        playing[list(lost)] = False
        if not playing.any():
            break
        legal, to_move = np.asarray(now.legal_mask), np.asarray(now.to_move)
        actions = _no_actions(lanes.info, B)
        observed = functools.lru_cache(functools.partial(_observed, lanes, states))
        infoset = lanes.infosets(states) if isinstance(lanes, TreeLanes) else None
        told: list[Choice | None] = [None] * P
        deciding: list[np.ndarray] = []
        for seat, player in enumerate(players):
            asked = np.flatnonzero(to_move[:, seat] & playing)
            deciding.append(asked)
            if not len(asked):
                continue
            limit = None if move_limit_s is None or seat not in started else move_limit_s
            turn = Turn(
                lanes=asked,
                observe=lambda asked=asked, seat=seat, seen=observed: seen()[asked, seat],
                legal=legal[asked, seat],
                infoset=None if infoset is None else infoset[asked],
                uniform=draws[seat].uniform(asked),
                state=lambda lane, states=states: open_spiel_state(lanes, states, lane),
                limit_s=None if limit is None else limit * len(asked),
            )
            begin = None if seat in started else seeds
            started.add(seat)
            kind = lanes.info.continuous
            choice, failures = _ask(player, turn, seat, begin=begin, limit_s=limit, continuous=kind)
            lost |= {int(asked[row]): forfeit for row, forfeit in failures.items()}
            told[seat] = choice
            if choice is not None:
                actions[asked, seat] = choice.action
        if lost:
            # Lanes that are lost go on with any legal actions; nobody looks at them.
            own = list(lost)
            playing[own] = False
            actions[own] = 0 if lanes.info.continuous else legal[own].argmax(axis=-1)
        recorder.decided(states, deciding, legal, told, playing)
        for asked in deciding:
            length[asked] += 1
        states, now = lanes.step(states, actions)
        returns[playing] += now.rewards[playing]
        recorder.stepped(states, actions, now.rewards, playing)
    else:
        raise GameError(
            f"{lanes.info.name} goes on after the {lanes.info.max_steps} steps that its "
            "info.max_steps allows"
        )
    for lane, forfeit in lost.items():
        returns[lane] = forfeit_returns(lanes.info, returns[lane], forfeit.seat)
    return MatchResult(
        returns=returns,
        length=length,
        forfeits=tuple(LaneForfeit(lane, forfeit) for lane, forfeit in lost.items()),
        replays=recorder.replays(states, returns, lost),
    )


def forfeit_returns(
    info: GameInfo, paid: Float64[np.ndarray, "P"], seat: int
) -> Float64[np.ndarray, "P"]:
    """Returns of an episode that a seat forfeited, in game points.

    It gets the least return of the game, and so do the other seats of its player. Of a zero-sum
    game the others share what they lose; of any other game they keep what they had been paid.
    """
    returns, players = paid.copy(), np.array(players_of_seats(info))
    lost = players == players[seat]
    returns[lost] = info.min_return
    if info.utility == "zero_sum":
        returns[~lost] = -info.min_return * lost.sum() / (~lost).sum()
    return returns


def open_spiel_state(lanes: HostGame, states: object, lane: int) -> object:
    """OpenSpiel's state of a lane.

    Raises:
      TypeError: OpenSpiel does not know the game.
    """
    if isinstance(lanes, OpenSpielHost):
        return lanes.state_of(states, lane)
    if isinstance(lanes, TreeLanes):
        state = _open_spiel_game(lanes.tree.name).new_initial_state()
        for _, action in lanes.history(states, lane):
            state.apply_action(action)
        return state
    raise TypeError(f"{lanes.info.name} is no game of OpenSpiel's")


def _no_actions(info: GameInfo, num_lanes: int) -> np.ndarray:
    if info.continuous:
        return np.zeros((num_lanes, info.num_players, info.num_actions[0]), np.float32)
    return np.zeros((num_lanes, info.num_players), np.int32)


def _observed(lanes: HostGame, states: object) -> np.ndarray:
    return np.asarray(lanes.observe(states))


@functools.lru_cache(maxsize=4)
def _open_spiel_game(name: str) -> pyspiel.Game:
    return load_open_spiel(name).turn_based


def _ask(
    player: Player,
    turn: Turn,
    seat: int,
    *,
    begin: np.ndarray | None,
    limit_s: float | None,
    continuous: bool,
) -> tuple[Choice | None, dict[int, Forfeit]]:
    """What a player chose, and which rows of the turn it forfeits."""
    everywhere = range(len(turn.lanes))
    try:
        if begin is not None:
            player.begin(begin)
        with _limited(turn.limit_s):
            choice = player.choose(turn)
        action = np.asarray(choice.action)
        expected = (len(turn.lanes), turn.legal.shape[1])[: 2 if continuous else 1]
        number = np.floating if continuous else np.integer
        if action.shape != expected or not np.issubdtype(action.dtype, number):
            raise TypeError(f"actions have shape {action.shape} and type {action.dtype}")
    except MoveTimeoutError as error:
        detail = str(error) if limit_s is None else f"more than {limit_s:g} s for a decision"
        return None, dict.fromkeys(everywhere, Forfeit(seat, "timeout", detail))
    except Exception as error:  # whatever an entrant raises is its own loss
        kind = "" if isinstance(error, PlayerError) else f"{type(error).__name__}: "
        detail = f"{kind}{' '.join(str(error).split())}"[:200]
        return None, dict.fromkeys(everywhere, Forfeit(seat, "crash", detail))
    if continuous:
        finite = np.isfinite(action).all(axis=1)
        lost = Forfeit(seat, "illegal", "a command that is not finite")
        action = np.where(finite[:, None], action, 0.0)
        return Choice(action, choice.probabilities), {
            int(row): lost for row in np.flatnonzero(~finite)
        }
    inside = (action >= 0) & (action < turn.legal.shape[1])
    legal = inside & turn.legal[np.arange(len(action)), np.where(inside, action, 0)]
    return Choice(action, choice.probabilities), {
        int(row): Forfeit(
            seat,
            "illegal",
            f"action {int(action[row])}; legal are {np.flatnonzero(turn.legal[row]).tolist()}",
        )
        for row in np.flatnonzero(~legal)
    }


@contextlib.contextmanager
def _limited(seconds: float | None) -> Iterator[None]:
    """Raises `MoveTimeoutError` in Python code that takes too long, or after code that cannot be
    interrupted has returned too late.
    """
    if seconds is None:
        yield
        return
    start = time.monotonic()
    interruptible = threading.current_thread() is threading.main_thread()

    def stop(signal_number: int, frame: object) -> None:
        raise MoveTimeoutError

    if interruptible:
        before = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        if interruptible:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    if time.monotonic() - start > seconds:
        raise MoveTimeoutError
