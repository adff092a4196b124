"""`neupl play`: a person against a strategy or the mixture of a run."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from neupl.cli.options import OutputOptions
from neupl.cli.output import print_json

if TYPE_CHECKING:
    from evaluation.replay import Replay


@dataclasses.dataclass(frozen=True, kw_only=True)
class Play(OutputOptions):
    """Play against a run, a solve or a population: in the terminal, or on a page in the browser.

    You are told what your seat knows, and nothing else; after each game you see all of it, and how
    likely your opponent was to do what it did.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run, solve or population folder."""

    member: Annotated[str, tyro.conf.arg(metavar="k|nash")] = "nash"
    """The strategy to play against, or the mixture of all; it sits in all seats but yours."""

    seat: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Where you sit."""

    games: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Stop after so many games."""

    seed: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Seed of cards and of your opponent; by default another one each time."""

    html: Annotated[Path | None, tyro.conf.arg(metavar="FILE.html")] = None
    """Write a page to play on instead: the game and all policies are in it, for games of small
    trees."""

    replays: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Keep your games as replays in this folder."""


def run(command: Play) -> int:
    """Plays, or writes the page."""
    import secrets

    from neupl.errors import UserError
    from neupl.play import Quit, load_opponent, play_games

    if command.html is not None:
        return _write_page(command)
    if command.games is not None and command.games < 1:
        raise UserError(f"--games is {command.games}, expected at least 1")
    lanes, opponent = load_opponent(str(command.run), command.member)
    seed = secrets.randbits(32) if command.seed is None else command.seed
    out = sys.stderr if command.json else sys.stdout

    def ask(words: str) -> str:
        print(words, end="", file=out, flush=True)
        answer = sys.stdin.readline()
        if not answer:
            raise Quit
        return answer

    print(f"{lanes.info.name}: you sit in seat {command.seat}, against {opponent.name}", file=out)
    played: list[float] = []
    try:
        for replay in play_games(lanes, opponent, seat=command.seat, ask=ask, seed=seed):
            played.append(replay.returns[command.seat])
            print("\n".join(_told(replay, command.seat, played)), file=out)
            if command.replays is not None:
                _keep(command.replays, replay)
            if command.games is not None and len(played) >= command.games:
                break
    except Quit:
        print(file=out)
    if command.json:
        content = {"game": lanes.info.name, "opponent": opponent.name, "seat": command.seat}
        print_json({**content, "seed": seed, "returns": played})
    else:
        print(f"{len(played)} games, {sum(played):+g} game points in all")
    return 0


def _told(replay: "Replay", seat: int, played: list[float]) -> list[str]:
    """A finished game in words: every move, and what others thought."""
    from evaluation.replay_frames import frames

    lines, last = ["", "The game:"], ""
    for frame in frames(replay):
        for move in frame.moves:
            who = {-1: "chance", seat: "you"}.get(move.seat, f"seat {move.seat}")
            shares = [f"{name} {share:.3f}" for name, share in move.options if share is not None]
            lines.append(f"  {who}: {move.action}" + (f"   ({', '.join(shares)})" * bool(shares)))
        last = frame.text
    lines += [f"  {line}" for line in last.rstrip("\n").split("\n")]
    total = sum(played)
    lines.append(f"You get {played[-1]:+g}; {total:+g} after {len(played)} games.")
    return lines


def _keep(folder: Path, replay: "Replay") -> None:
    """Writes a replay beside those that the folder has, whose names are numbers."""
    from evaluation.replay import SUFFIX, replay_bytes
    from neupl.durable_files import write_durably

    folder.mkdir(parents=True, exist_ok=True)
    names = [file.name.removesuffix(SUFFIX) for file in folder.glob(f"*{SUFFIX}")]
    number = 1 + max((int(name) for name in names if name.isdecimal()), default=0)
    write_durably(folder / f"{number:04d}{SUFFIX}", replay_bytes(replay))


def _write_page(command: Play) -> int:
    from evaluation.pages.play_page import play_page
    from games.tree_lanes import TreeLanes
    from neupl.durable_files import write_durably
    from neupl.errors import UserError
    from neupl.play import load_opponent, opponents_of, title_of

    page, path = command.html, str(command.run)
    if page.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--html {page}: expected a name that ends in .html")
    member = "0" if command.member == "nash" else command.member
    lanes, _ = load_opponent(path, member)
    if not isinstance(lanes, TreeLanes):
        raise UserError(
            f"{lanes.info.name} has no tree that a page could hold", hint="play in the terminal"
        )
    content = play_page(lanes, opponents_of(path, lanes), title=title_of(path, lanes))
    try:
        write_durably(page, content.encode())
    except OSError as error:
        raise UserError(f"--html {page}: {error.strerror or error}") from error
    if command.json:
        print_json({"page": str(page)})
    else:
        print(f"wrote {page}")
    return 0
