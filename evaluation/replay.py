"""The one format of replays: what happened in an episode, readable and re-playable without whoever
played it.

A file is UTF-8 text of JSON lines: a header, a line for every step, and a last line with the
returns and a digest of all lines above, so that a truncated or altered file is told from a whole
one:

* header: `format`, `version`, `game`, `driver`, `seed`, `seats`, `versions`;
* a chance event: `{"c": outcome}`;
* decisions: `{"m": [[seat, action, [legal actions], [their probabilities] or null, observation]]}`,
  several where seats move at once, with the rewards `"r"` where any is not 0, and in games with a
  tree, where the policies of the others are known, what the mover should believe, `"b"`: `[share,
  [actions of a history, chance included]]` of every history that it cannot tell from the true one;
* where actions are vectors, the commands of all seats: `{"u": float32 in base64}`, and `"r"`;
* in physics the same, and before it `"q"`, the coordinates after the step; the header has those at
  the start. All of these are float32, little end first;
* the end: `returns`, `steps`, `forfeit` (`null` or the seat and why), `digest`.

`driver` says what determines the states: `"open_spiel"`, the history of OpenSpiel's game in
turn-based form, chance included; `"tree"`, the same of another game tree; `"seed"`, the seed of a
lane of `games.load_lanes` and the actions, or commands; `"physics"`, the seed and the commands,
and the states are in the file.
"""

import base64
import dataclasses
import hashlib
import json
import math
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32

from evaluation.types import DataError

FORMAT, VERSION = "neupl-replay", 1
SUFFIX = ".replay.jsonl"
DRIVERS = ("open_spiel", "tree", "seed", "physics")
CHANCE = -1

Driver = Literal["open_spiel", "tree", "seed", "physics"]
# Share and actions of every history that a seat holds possible.
Belief = tuple[tuple[float, tuple[int, ...]], ...]


@dataclasses.dataclass(frozen=True)
class Move:
    """What a seat, or chance, did at a step.

    Attributes:
      seat: who; `CHANCE` for a chance event.
      action: the action id, or the outcome.
      legal: ids of the legal actions; empty for chance.
      probabilities: with which the seat chose among `legal`; `None` where it does not tell.
      observation: hash of what the seat saw, 16 hexadecimal digits; empty for chance.
    """

    seat: int
    action: int
    legal: tuple[int, ...] = ()
    probabilities: tuple[float, ...] | None = None
    observation: str = ""


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of the game.

    Attributes:
      moves: of the seats that were to move, or of chance alone; none where actions are vectors.
      rewards: what each seat received after them, in game points; empty where nothing.
      belief: of the only mover, exact given the policies of all others; `None` where it knows all,
        or the policies are not known.
      coordinates: in physics, after the step, as the bytes of float32.
      commands: where actions are vectors, those of all seats in their order, likewise.
    """

    moves: tuple[Move, ...]
    rewards: tuple[float, ...] = ()
    belief: Belief | None = None
    coordinates: bytes = b""
    commands: bytes = b""


@dataclasses.dataclass(frozen=True)
class Forfeit:
    """An episode that an entrant lost by breaking off.

    Attributes:
      seat: where it sat.
      reason: `"illegal"`, `"crash"` or `"timeout"`.
      detail: what happened, in words.
    """

    seat: int
    reason: Literal["illegal", "crash", "timeout"]
    detail: str


@dataclasses.dataclass(frozen=True)
class Replay:
    """One episode.

    Attributes:
      game: what `games.load_lanes` accepts, parameters included.
      driver: what determines the states; see the module.
      seed: of the lane, 64 bits.
      seats: name of the strategy in each seat.
      steps: in their order.
      returns: of each seat, in game points.
      forfeit: why the episode ended early; `None` where it came to its end.
      versions: of the programs that made it.
      start: in physics, coordinates before the first step, as the bytes of float32.
    """

    game: str
    driver: Driver
    seed: int
    seats: tuple[str, ...]
    steps: tuple[Step, ...]
    returns: tuple[float, ...]
    forfeit: Forfeit | None = None
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    start: bytes = b""


def observation_hash(seen: bytes) -> str:
    """The hash of an observation, as text or as the bytes of its numbers."""
    return hashlib.blake2b(seen, digest_size=8).hexdigest()


def bytes_of(numbers: np.ndarray) -> bytes:
    """Numbers as a replay keeps them: float32, little end first."""
    return np.ascontiguousarray(numbers, "<f4").tobytes()


def floats_of(content: bytes) -> Float32[np.ndarray, "n"]:
    """The numbers that `bytes_of` made bytes."""
    return np.frombuffer(content, "<f4")


def replay_bytes(replay: Replay) -> bytes:
    """The content of a replay file."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "game": replay.game,
        "driver": replay.driver,
        "seed": replay.seed,
        "seats": list(replay.seats),
        "versions": replay.versions,
        **({"q": _packed(replay.start)} if replay.driver == "physics" else {}),
    }
    lines = [header, *map(_step_content, replay.steps)]
    above = "".join(f"{_compact(line)}\n" for line in lines).encode()
    end = {
        "returns": list(replay.returns),
        "steps": len(replay.steps),
        "forfeit": None if replay.forfeit is None else dataclasses.asdict(replay.forfeit),
        "digest": _digest(above),
    }
    return above + f"{_compact(end)}\n".encode()


def parse_replay(content: bytes, source: str = "replay") -> Replay:
    """The replay in the content of a file.

    Args:
      content: of the file.
      source: what messages should call it.

    Raises:
      DataError: it is no whole replay of this version; the message says where and what is wrong.
    """
    above, _, last = content.removesuffix(b"\n").rpartition(b"\n")
    lines = above.split(b"\n")
    header = _parsed(lines[0] if above else last, f"{source}, line 1")
    if header.get("format") != FORMAT:
        raise DataError(f"{source} is not a replay: its first line names no format {FORMAT!r}")
    if header.get("version") != VERSION:
        raise DataError(
            f"{source} has version {header.get('version')!r}; this program reads {VERSION}"
        )
    end = _parsed(last, f"{source}, last line") if above else {}
    if not content.endswith(b"\n") or "digest" not in end:
        raise DataError(f"{source} is truncated: its last line with the returns is missing")
    if end["digest"] != _digest(above + b"\n"):
        raise DataError(f"{source} is corrupt: its lines do not match the digest of the last one")
    try:
        steps = []
        for number, line in enumerate(lines[1:], start=2):
            steps.append(_parsed_step(_parsed(line, f"{source}, line {number}")))
        forfeit = end["forfeit"]
        replay = Replay(
            game=str(header["game"]),
            driver=header["driver"],
            seed=int(header["seed"]),
            seats=tuple(map(str, header["seats"])),
            steps=tuple(steps),
            returns=tuple(map(float, end["returns"])),
            forfeit=None if forfeit is None else Forfeit(**forfeit),
            versions=dict(header["versions"]),
            start=_unpacked(header.get("q", "")),
        )
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise DataError(f"{source} is not a whole replay: {error!r}") from error
    _check(replay, end["steps"], source)
    return replay


def _check(replay: Replay, num_steps: Any, source: str) -> None:
    seats = len(replay.seats)
    if replay.driver not in DRIVERS:
        raise DataError(f"{source}: driver {replay.driver!r} is none of {', '.join(DRIVERS)}")
    if not seats or len(replay.returns) != seats or num_steps != len(replay.steps):
        raise DataError(f"{source}: numbers of seats, returns or steps do not fit together")
    if not all(map(math.isfinite, replay.returns)):
        raise DataError(f"{source}: a return is not finite")
    for step in replay.steps:
        if replay.driver == "physics":
            if step.moves or not step.commands or len(step.coordinates) != len(replay.start):
                raise DataError(f"{source}: a step has no commands, or other coordinates")
            continue
        if step.commands and not step.moves and replay.driver == "seed":
            if (
                len(step.rewards) not in (0, seats)
                or not np.isfinite(floats_of(step.commands)).all()
            ):
                raise DataError(f"{source}: a command is not finite, or rewards of other seats")
            continue
        if not step.moves or len(step.rewards) not in (0, seats):
            raise DataError(f"{source}: a step has no move, or rewards of other seats")
        for move in step.moves:
            if move.seat == CHANCE and len(step.moves) == 1:
                continue
            told = move.probabilities
            if not 0 <= move.seat < seats or move.action not in move.legal:
                raise DataError(f"{source}: a move of seat {move.seat} is not among its legal ones")
            if told is not None and len(told) != len(move.legal):
                raise DataError(f"{source}: probabilities of other actions than the legal ones")
        if step.belief is not None and not all(share >= 0 for share, _ in step.belief):
            raise DataError(f"{source}: a belief has a share below 0")


def _step_content(step: Step) -> dict[str, Any]:
    if not step.moves:
        content: dict[str, Any] = {"u": _packed(step.commands)}
        if step.coordinates:
            content = {"q": _packed(step.coordinates), **content}
    elif step.moves[0].seat == CHANCE:
        content = {"c": step.moves[0].action}
    else:
        content = {"m": [_move_content(move) for move in step.moves]}
    if step.rewards:
        content["r"] = list(step.rewards)
    if step.belief is not None:
        content["b"] = [[_rounded(share), list(actions)] for share, actions in step.belief]
    return content


def _rounded(share: float) -> float:
    # Six digits: more than is left of a probability in float32.
    return float(f"{share:.6g}")


def _move_content(move: Move) -> list[Any]:
    told = move.probabilities
    rounded = None if told is None else [_rounded(share) for share in told]
    return [move.seat, move.action, list(move.legal), rounded, move.observation]


def _parsed_step(content: dict[str, Any]) -> Step:
    rewards = tuple(map(float, content.get("r", ())))
    if "u" in content:
        packed = _unpacked(content.get("q", "")), _unpacked(content["u"])
        return Step((), rewards, None, *packed)
    if "c" in content:
        return Step((Move(CHANCE, int(content["c"])),), rewards)
    belief = content.get("b")
    if belief is not None:
        belief = tuple((float(share), tuple(map(int, actions))) for share, actions in belief)
    return Step(tuple(_parsed_move(*move) for move in content["m"]), rewards, belief)


def _parsed_move(seat: Any, action: Any, legal: Any, told: Any, observation: Any) -> Move:
    shares = None if told is None else tuple(map(float, told))
    return Move(int(seat), int(action), tuple(map(int, legal)), shares, str(observation))


def _packed(numbers: bytes) -> str:
    return base64.b64encode(numbers).decode()


def _unpacked(content: str) -> bytes:
    numbers = base64.b64decode(content, validate=True)
    if len(numbers) % 4:
        raise ValueError("bytes of a replay are no float32")
    return numbers


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{where} is not a JSON object")
    return content


def _compact(content: dict[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def _digest(above: bytes) -> str:
    return hashlib.sha256(above).hexdigest()[:16]
