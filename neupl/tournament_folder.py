"""The folder of a tournament: what it is, a log of all games, and what was made of them.

`settings.json` is written first and says what the tournament is; `games.jsonl` grows by a line for
every block of games; everything else follows from the two and can be made again.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluation.replay import SUFFIX, Replay, replay_bytes
from evaluation.tournament.items import ItemResult, result_of_json
from evaluation.types import DataError
from neupl.durable_files import TEMPORARY_SUFFIX, write_durably
from neupl.errors import UserError

SETTINGS_FILE, LOG_FILE, REPLAYS = "settings.json", "games.jsonl", "replays"
FORMAT_VERSION = 1


class TournamentFolder:
    """An open folder, locked until `close`."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        """Opens a folder, or makes it.

        Args:
          path: of the folder.
          settings: what the tournament is, plain JSON; a folder that exists must hold the same.

        Raises:
          UserError: the folder holds something else, or another process writes to it.
        """
        self.path = path
        content = {"format_version": FORMAT_VERSION, **settings}
        known = read_settings(path)
        if known is None:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise UserError(
                    f"{path} is not empty and no tournament", hint="choose another --out"
                )
            path.mkdir(parents=True, exist_ok=True)
        elif known != content:
            changed = [k for k in content if known.get(k) != content[k]]
            raise UserError(
                f"{path} holds another tournament: {', '.join(changed)} differ",
                hint="choose another --out, or continue this one by `neupl tournament --out DIR`",
            )
        self._lock = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise UserError(f"another process is writing to the tournament {path}") from error
        if known is None:
            self.write(SETTINGS_FILE, (json.dumps(content, indent=1) + "\n").encode())
        (path / REPLAYS).mkdir(exist_ok=True)
        self._remove_leftovers()
        self._log = (path / LOG_FILE).open("ab", buffering=0)

    def __enter__(self) -> "TournamentFolder":
        return self

    def __exit__(self, *exception: object) -> None:
        self._log.close()
        os.close(self._lock)

    def results(self) -> Iterator[ItemResult]:
        """All blocks of games in the log.

        Raises:
          DataError: a line is broken.
        """
        path = self.path / LOG_FILE
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            try:
                yield result_of_json(json.loads(line))
            except (ValueError, DataError) as error:
                raise DataError(f"{path}, line {number}: {error}") from error

    def add(self, result: ItemResult) -> None:
        """Keeps a block of games: its replays first, so that no line is without them."""
        for number, replay in enumerate(result.replays):
            self._add_replay(result, number, replay)
        line = json.dumps(result.to_json(), separators=(",", ":"), allow_nan=False) + "\n"
        rest = line.encode()
        while rest:
            rest = rest[self._log.write(rest) :]

    def write(self, name: str, content: bytes) -> None:
        """Replaces a file, whole or not at all."""
        write_durably(self.path / name, content)

    def _add_replay(self, result: ItemResult, number: int, replay: Replay) -> None:
        group = "-".join(map(str, result.item.group))
        self.write(f"{REPLAYS}/{group}-{number}{SUFFIX}", replay_bytes(replay))

    def _remove_leftovers(self) -> None:
        """Removes what a killed process could not finish writing."""
        for folder in (self.path, self.path / REPLAYS):
            for leftover in folder.glob(f"*{TEMPORARY_SUFFIX}"):
                leftover.unlink()
        path = self.path / LOG_FILE
        if not path.exists():
            return
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            write_durably(path, whole)


def read_settings(path: Path) -> dict[str, Any] | None:
    """What the tournament in a folder is; `None` where there is none.

    Raises:
      UserError: its settings are broken.
    """
    file = path / SETTINGS_FILE
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_bytes())
        if not isinstance(content, dict) or content["format_version"] != FORMAT_VERSION:
            raise ValueError(f"it is not of format {FORMAT_VERSION}")
    except (ValueError, KeyError) as error:
        raise UserError(f"{file} is broken: {error}") from error
    return content


def free_tournament_folder(game: str) -> Path:
    """The first `tournaments/GAME-N` that is not there yet."""
    stem = "".join(c if c.isalnum() else "_" for c in Path(game).stem).strip("_")[:40]
    number = 1
    while (path := Path("tournaments") / f"{stem}-{number}").exists():
        number += 1
    return path
