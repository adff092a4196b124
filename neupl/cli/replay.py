"""`neupl replay`: watches an episode again, checks it against the game, or makes a page of it."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from neupl.cli.options import Flag, OutputOptions
from neupl.cli.output import print_json

if TYPE_CHECKING:
    from evaluation.replay import Replay as Episode


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replay(OutputOptions):
    """Shows replays as text, re-plays them to check that nothing differs, or makes a page or film.

    A file needs no trainer and no policies to be read: the game is enough.
    """

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """Replay files (`*.replay.jsonl`), or folders of them, such as that of a tournament or run."""

    check: Flag = False
    """Re-play the moves in the game: legal actions, observations, rewards and returns must be those
    of the file. Exit code 1 if any differs."""

    html: Annotated[Path | None, tyro.conf.arg(metavar="FILE.html")] = None
    """Write a page that plays the replays, without any other file or network."""

    gif: Annotated[Path | None, tyro.conf.arg(metavar="FILE.gif")] = None
    """Write a film of one replay."""

    mp4: Annotated[Path | None, tyro.conf.arg(metavar="FILE.mp4")] = None
    """The same as an MP4; needs imageio-ffmpeg."""


def run(command: Replay) -> int:
    """Reads the files and does what was asked."""
    from neupl.errors import CheckFailed

    replays = dict(read_replays(command.files))
    found = {}
    if command.check:
        from evaluation.replay_states import check_replay

        found = {str(path): check_replay(replay) for path, replay in replays.items()}
    if command.html is not None:
        write_page(command.html, replays)
    films = [film for film in (command.gif, command.mp4) if film is not None]
    for film in films:
        write_film(film, replays, kind=".gif" if film is command.gif else ".mp4")
    report = {
        "replays": [
            {
                "file": str(path),
                "game": replay.game,
                "seats": replay.seats,
                "steps": len(replay.steps),
                "returns": replay.returns,
                "forfeit": replay.forfeit and dataclasses.asdict(replay.forfeit),
                **({"differences": found[str(path)]} if command.check else {}),
            }
            for path, replay in replays.items()
        ],
        "page": command.html and str(command.html),
        "films": list(map(str, films)),
    }
    wrong = {path: words for path, words in found.items() if words}
    if wrong:
        path, words = next(iter(wrong.items()))
        raise CheckFailed(
            f"{len(wrong)} of {len(replays)} replays differ from the game: {path}: {words[0]}",
            report=report,
        )
    if command.json:
        print_json(report)
    elif command.check:
        for path, replay in replays.items():
            print(f"{path}: {len(replay.steps)} steps re-played, nothing differs")
    elif command.html is None and not films:
        for path, replay in replays.items():
            print("\n".join(_told(path, replay)))
    for written in filter(None, () if command.json else (command.html, *films)):
        print(f"wrote {written}")
    return 0


def read_replays(paths: tuple[Path, ...]) -> "Iterator[tuple[Path, Episode]]":
    """The replays at some paths; of folders all that lie in them.

    Raises:
      UserError: there is none.
      DataError: one is broken.
    """
    from evaluation.replay import SUFFIX, parse_replay
    from neupl.errors import UserError

    for path in paths:
        files = sorted(path.rglob(f"*{SUFFIX}")) if path.is_dir() else [path]
        if not files:
            raise UserError(
                f"there is no replay in {path}",
                hint=f"replays end in {SUFFIX}; `neupl tournament --replays N` writes some",
            )
        for file in files:
            yield file, parse_replay(file.read_bytes(), str(file))


def write_page(page: Path, replays: "dict[Path, Episode]") -> None:
    """Writes the page of some replays.

    Raises:
      UserError: it cannot be written there.
    """
    from evaluation.pages.replay_page import replay_page
    from neupl.durable_files import write_durably
    from neupl.errors import UserError

    if page.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--html {page}: expected a name that ends in .html")
    content = replay_page([(path.name, replay) for path, replay in replays.items()])
    try:
        write_durably(page, content.encode())
    except OSError as error:
        raise UserError(f"--html {page}: {error.strerror or error}") from error


def write_film(film: Path, replays: "dict[Path, Episode]", *, kind: str) -> None:
    """Writes the film of a replay.

    Args:
      film: the file.
      replays: the only one.
      kind: `.gif` or `.mp4`.

    Raises:
      UserError: there are several, it is too long, what is needed is not installed, or it cannot be
        written there.
    """
    from evaluation.replay_film import gif_bytes, mp4_bytes
    from evaluation.types import DataError
    from games.types import GameError
    from neupl.durable_files import write_durably
    from neupl.errors import UserError
    from soccer.drawing import draw_frames

    option = f"--{kind[1:]}"
    if film.suffix.lower() != kind:
        raise UserError(f"{option} {film}: expected a name that ends in {kind}")
    if len(replays) != 1:
        raise UserError(
            f"{option} films one replay, there are {len(replays)}", hint="name one file"
        )
    film_bytes = {".gif": gif_bytes, ".mp4": mp4_bytes}[kind]
    try:
        write_durably(film, film_bytes(next(iter(replays.values())), draw=draw_frames))
    except (DataError, GameError):
        raise
    except ModuleNotFoundError as error:
        raise UserError(f"{option} {film}: {error}") from error
    except ValueError as error:
        raise UserError(f"{option} {film}: {error}", hint="use --html") from error
    except OSError as error:
        raise UserError(f"{option} {film}: {error.strerror or error}") from error


def _told(path: Path, replay: "Episode") -> Iterator[str]:
    """A replay as lines of text."""
    from evaluation.pages.page import seen
    from evaluation.replay_frames import frames

    yield f"{path}: {replay.game}, seed {replay.seed}"
    for seat, name in enumerate(replay.seats):
        yield f"  seat {seat}: {seen(name)}"
    for number, frame in enumerate(frames(replay)):
        yield ""
        yield f"step {number}" if frame.moves else f"end after {number} steps"
        yield from (f"  {line}" for line in frame.text.rstrip("\n").split("\n"))
        for move in frame.moves:
            who = "chance" if move.seat < 0 else f"seat {move.seat}"
            shares = ", ".join(
                f"{name} {share:.3f}" for name, share in move.options if share is not None
            )
            yield f"  {who}: {move.action}" + (f"   ({shares})" if shares else "")
        for about, possible in frame.beliefs:
            shares = ", ".join(f"{words} {share:.3f}" for words, share in possible)
            yield f"  seat {frame.moves[0].seat} believes, of {about}: {shares}"
    if replay.forfeit is not None:
        lost = replay.forfeit
        yield f"seat {lost.seat} forfeits ({lost.reason}): {seen(lost.detail)}"
    yield "returns: " + ", ".join(f"seat {s} {r:+g}" for s, r in enumerate(replay.returns))
    yield ""
