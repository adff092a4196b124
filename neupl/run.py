"""The run folder: everything that a run leaves behind, readable without the program that wrote it.

`config.yaml` (resolved), `provenance.json`, `metrics.jsonl`, `graph.jsonl`, `tensorboard/`,
`checkpoints/`, `population/`, `responses.json`, `certificate.json`, `report/`. A step's metrics are
logged before its checkpoint is saved, so a checkpoint of step s covers all lines up to s, and a
resumed run drops the lines after it.
"""

import fcntl
import io
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, SupportsFloat

import numpy as np

from neupl import checkpoint
from neupl.durable_files import TEMPORARY_SUFFIX, write_durably
from neupl.errors import UserError
from neupl.provenance import provenance
from neupl.tensorboard_file import TensorBoardFile

CONFIG_FILE = "config.yaml"
PROVENANCE_FILE = "provenance.json"
METRICS_FILE = "metrics.jsonl"
GRAPH_FILE = "graph.jsonl"
CERTIFICATE_FILE = "certificate.json"
# What trained responses gained on the way to the mixture, where it was chosen against them.
RESPONSES_FILE = "responses.json"
# The one-page picture, in `report/`.
SUMMARY_FILE = "summary.png"


class Run:
    """An open run folder. Reading is free; the first write locks it until `close` or exit."""

    def __init__(self, path: Path) -> None:
        """Use `Run.create` or `Run.open`."""
        self.path = path
        self._lock: int | None = None
        self._logs: dict[str, io.FileIO] = {}
        self._tensorboard: TensorBoardFile | None = None
        self._purge_step: int | None = None

    @staticmethod
    def check_free(path: Path) -> None:
        """Makes sure that a new run can be created at `path`; writes nothing.

        Raises:
          UserError: the folder holds a run or other files.
        """
        if (path / CONFIG_FILE).exists():
            raise UserError(
                f"{path} already holds a run",
                hint=f"continue it with `neupl resume {path}`, or choose another --out",
            )
        if path.is_dir() and any(path.iterdir()):
            raise UserError(f"{path} is not empty and not a run", hint="choose another --out")

    @classmethod
    def create(cls, path: Path, *, config_text: str, command: Sequence[str], seed: int) -> "Run":
        """Starts a new run folder with its configuration and provenance.

        Args:
          path: a folder that is absent or empty.
          config_text: the resolved configuration as YAML.
          command: the command line, program included.
          seed: the run's seed.

        Raises:
          UserError: the folder holds a run or other files, or cannot be written.
        """
        path = Path(path)
        cls.check_free(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            run = cls(path)
            run.lock()
            run.write_json(PROVENANCE_FILE, {**provenance(command, seed=seed), "resumed": []})
            # Last, because its presence makes the folder a run.
            write_durably(path / CONFIG_FILE, config_text.encode())
        except OSError as error:
            raise UserError(f"cannot create the run folder {path}: {error.strerror}") from error
        return run

    @classmethod
    def open(cls, path: Path) -> "Run":
        """Opens an existing run folder.

        Raises:
          UserError: there is no run at `path`.
        """
        path = Path(path)
        if not (path / CONFIG_FILE).is_file():
            missing = "has no config.yaml" if path.is_dir() else "is not a folder"
            raise UserError(f"there is no run at {path}: it {missing}")
        return cls(path)

    @property
    def config_path(self) -> Path:
        """The resolved configuration."""
        return self.path / CONFIG_FILE

    @property
    def checkpoints_path(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def population_path(self) -> Path:
        """Folder of the exported population."""
        return self.path / "population"

    @property
    def report_path(self) -> Path:
        """Folder of pictures and pages."""
        return self.path / "report"

    def log(self, step: int, metrics: Mapping[str, SupportsFloat | str | None]) -> None:
        """Appends a line to `metrics.jsonl` and the numbers among `metrics` to TensorBoard.

        Args:
          step: iterations done.
          metrics: `group/name` to a number, text or `None`; a number that is not finite is written
            as `null`.

        Raises:
          OSError: the disk is full.
        """
        line = {"step": step} | {name: _plain_number(value) for name, value in metrics.items()}
        self._append(METRICS_FILE, line)
        numbers = {n: v for n, v in line.items() if type(v) in (int, float) and n != "step"}
        if numbers:
            self._event_file().scalars(step, numbers)

    def log_graph(self, step: int, graphs: Sequence[Mapping[str, Any]]) -> None:
        """Appends a line to `graph.jsonl`: whom training meets from `step` on.

        Args:
          step: steps done.
          graphs: as `graph_history.graphs_content` makes them.

        Raises:
          OSError: the disk is full.
        """
        self._append(GRAPH_FILE, {"step": step, "graphs": list(graphs)})

    def image(self, step: int, tag: str, png: bytes) -> None:
        """Adds a PNG picture to TensorBoard."""
        self._event_file().image(step, tag, png)

    def save_checkpoint(
        self,
        step: int,
        *,
        arrays: Mapping[str, np.ndarray | np.generic],
        manifest: Mapping[str, Any],
        keep: int = 2,
    ) -> Path:
        """Saves a checkpoint once all metrics logged so far are on disk; see `checkpoint.save`."""
        self.lock()
        for log in self._logs.values():
            os.fsync(log.fileno())
        return checkpoint.save(
            self.checkpoints_path, step=step, arrays=arrays, manifest=manifest, keep=keep
        )

    def rewind(self, step: int, *, command: Sequence[str] = ()) -> None:
        """Forgets the metrics after `step`, so that going on from its checkpoint repeats nothing.

        TensorBoard is told to forget them as well, in a new file. What a killed process could not
        finish writing is removed.

        Args:
          step: the checkpoint's step.
          command: the command line that resumes; recorded with versions and device under `resumed`.

        Raises:
          UserError: another process is writing to this run.
        """
        self.lock()
        self._close_files()
        self._remove_leftovers()
        for name in (METRICS_FILE, GRAPH_FILE):
            lines = zip(self._whole_lines(name), self.lines(name), strict=True)
            kept = [line for line, content in lines if content["step"] <= step]
            if name == METRICS_FILE or (self.path / name).exists():
                write_durably(self.path / name, b"".join(kept))
        self._purge_step = step + 1
        origin = self.read_json(PROVENANCE_FILE)
        again = {"step": step, **provenance(command, seed=origin["seed"])}
        self.write_json(PROVENANCE_FILE, {**origin, "resumed": [*origin["resumed"], again]})

    def metrics(self) -> list[dict[str, Any]]:
        """All complete metric lines, oldest first; errors as in `lines`."""
        return self.lines(METRICS_FILE)

    def lines(self, name: str) -> list[dict[str, Any]]:
        """All complete lines of `metrics.jsonl` or `graph.jsonl`, oldest first.

        Raises:
          UserError: a line is not what is written there.
        """
        kind = {METRICS_FILE: "metric line", GRAPH_FILE: "line of a graph"}[name]
        lines = []
        for number, line in enumerate(self._whole_lines(name), start=1):
            try:
                lines.append(json.loads(line))
                lines[-1]["step"]
            except (ValueError, TypeError, KeyError) as error:
                raise UserError(
                    f"{self.path / name}, line {number} is not a {kind}: {error}"
                ) from error
        return lines

    def write_json(self, name: str, content: Any) -> Path:
        """Replaces the file `name` by an indented JSON object, whole or not at all."""
        self.lock()
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, (json.dumps(content, indent=1) + "\n").encode())
        return path

    def read_json(self, name: str) -> Any:
        """Returns the content of the JSON file `name`.

        Raises:
          UserError: the file is absent or broken.
        """
        path = self.path / name
        try:
            return json.loads(path.read_bytes())
        except FileNotFoundError as error:
            raise UserError(f"the run {self.path} has no {name}") from error
        except ValueError as error:
            raise UserError(f"{path} is not valid JSON: {error}") from error

    def lock(self) -> None:
        """Makes this process the run's only writer; every write does so by itself.

        The folder itself is locked: that needs no file and dies with the process.

        Raises:
          UserError: another process is writing to this run.
        """
        if self._lock is not None:
            return
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise UserError(f"another process is writing to the run {self.path}") from error
        self._lock = descriptor

    def close(self) -> None:
        """Closes the files and gives the lock back; the run can be used again."""
        self._close_files()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _close_files(self) -> None:
        for log in self._logs.values():
            log.close()
        self._logs.clear()
        if self._tensorboard is not None:
            self._tensorboard.close()
            self._tensorboard = None

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _remove_leftovers(self) -> None:
        for folder in (self.path, self.report_path):
            for leftover in folder.glob(f"*{TEMPORARY_SUFFIX}"):
                if leftover.is_dir():
                    shutil.rmtree(leftover)
                else:
                    leftover.unlink()

    def _event_file(self) -> TensorBoardFile:
        if self._tensorboard is None:
            self.lock()
            folder = self.path / "tensorboard"
            self._tensorboard = TensorBoardFile(folder, purge_step=self._purge_step)
        return self._tensorboard

    def _append(self, name: str, content: Mapping[str, Any]) -> None:
        """Adds a line of JSON."""
        if name not in self._logs:
            self.lock()
            # Unbuffered: a killed process leaves at most the last line torn, which `rewind` drops.
            self._logs[name] = (self.path / name).open("ab", buffering=0)
        # On a nearly full disk the first write takes only a part, and the second says why.
        rest = (json.dumps(content, allow_nan=False) + "\n").encode()
        while rest:
            rest = rest[self._logs[name].write(rest) :]

    def _whole_lines(self, name: str) -> list[bytes]:
        path = self.path / name
        if not path.exists():
            return []
        lines = path.read_bytes().splitlines(keepends=True)
        # What follows the last line end is a line that a killed process could not finish.
        return [line for line in lines if line.endswith(b"\n")]


def free_folder(game: str) -> Path:
    """The first `runs/GAME-N` that is not there yet."""
    stem = "".join(c if c.isalnum() else "_" for c in Path(game).stem).strip("_")[:40]
    number = 1
    while (path := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return path


def _plain_number(value: Any) -> Any:
    """NumPy and JAX scalars as Python numbers; what JSON cannot say (NaN, infinity) as `None`."""
    if value is None or isinstance(value, str | bool | int):
        return value
    number = np.asarray(value).item()
    return None if isinstance(number, float) and not math.isfinite(number) else number
