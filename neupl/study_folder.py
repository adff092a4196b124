"""The folder of a study: what it is, a run folder for every variant and seed, and its report.

`settings.json` is written last and makes the folder a study; every variant has its resolved
configuration in `variants/`, and what its seeds did in `runs/VARIANT/seed-N/`.
"""

import dataclasses
import fcntl
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from neupl.config import Config
from neupl.config_io import dump_config, load_config
from neupl.durable_files import write_durably
from neupl.errors import UserError

SETTINGS_FILE, VARIANTS, RUNS = "settings.json", "variants", "runs"
STUDY_FILE, PAGE_FILE, PICTURE_FILE = "study.json", "study.html", "study.png"
FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Variant:
    """A configuration of a study; its seed is replaced by those of the runs.

    Attributes:
      name: of its folders, such as `0-learner.learning_rate=0.01`; `all` where nothing is swept.
      overrides: what is swept, as `key=value`.
      config: resolved.
    """

    name: str
    overrides: tuple[str, ...]
    config: Config


class RunItem(NamedTuple):
    """A run of a study, an item of work."""

    variant: int
    seed: int


@dataclasses.dataclass(frozen=True)
class Study:
    """What a study is; picklable.

    Attributes:
      path: of its folder, absolute.
      variants: in their order.
      seeds: of every variant.
      command: the command line that made it.
    """

    path: Path
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    command: tuple[str, ...] = ()

    @property
    def items(self) -> list[RunItem]:
        """All runs: the first seed of every variant, then the second, and so on."""
        return [RunItem(v, seed) for seed in self.seeds for v in range(len(self.variants))]

    def config(self, item: RunItem) -> Config:
        """The configuration of a run."""
        return dataclasses.replace(self.variants[item.variant].config, seed=item.seed)

    def run_path(self, item: RunItem) -> Path:
        """The folder of a run."""
        return self.path / RUNS / self.variants[item.variant].name / f"seed-{item.seed}"


def is_study(path: Path) -> bool:
    """Whether a folder holds a study."""
    return (path / SETTINGS_FILE).is_file() and (path / VARIANTS).is_dir()


def create_study(study: Study) -> None:
    """Makes the folder of a study.

    Raises:
      UserError: there is something in it already.
    """
    path = study.path
    if is_study(path):
        raise UserError(
            f"{path} already holds a study",
            hint=f"continue it with `neupl resume {path}`, or choose another --out",
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} is not empty and no study", hint="choose another --out")
    try:
        (path / VARIANTS).mkdir(parents=True)
        for variant in study.variants:
            file = path / VARIANTS / f"{variant.name}.yaml"
            write_durably(file, dump_config(variant.config).encode())
        content = {
            "format_version": FORMAT_VERSION,
            "variants": {v.name: list(v.overrides) for v in study.variants},
            "seeds": list(study.seeds),
            "command": list(study.command),
        }
        write_durably(path / SETTINGS_FILE, _json_bytes(content))
    except OSError as error:
        raise UserError(f"cannot create the study {path}: {error.strerror}") from error


def open_study(path: Path) -> Study:
    """The study in a folder.

    Raises:
      UserError: there is none, or it is broken.
    """
    path = Path(path).absolute()
    file = path / SETTINGS_FILE
    try:
        content = json.loads(file.read_bytes())
        if content["format_version"] != FORMAT_VERSION:
            raise ValueError(f"it is not of format {FORMAT_VERSION}")
        variants = tuple(
            Variant(
                name, tuple(overrides), load_config(Config, path / VARIANTS / f"{name}.yaml", ())
            )
            for name, overrides in content["variants"].items()
        )
        return Study(path, variants, tuple(content["seeds"]), tuple(content["command"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file} is no study: {error}") from error


class StudyLock:
    """Makes a process the only one that works on a study, until the end of a `with` block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Raises `UserError` where another process works on it."""
        self._descriptor = os.open(self._path, os.O_RDONLY)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise UserError(f"another process is working on the study {self._path}") from error

    def __exit__(self, *exception: object) -> None:
        os.close(self._descriptor)


def write_study_file(study: Study, content: dict[str, Any]) -> None:
    """Replaces `study.json`, whole or not at all."""
    write_durably(study.path / STUDY_FILE, _json_bytes(content))


def free_study_folder(game: str) -> Path:
    """The first `studies/GAME-N` that is not there yet."""
    stem = "".join(c if c.isalnum() else "_" for c in Path(game).stem).strip("_")[:40]
    number = 1
    while (path := Path("studies") / f"{stem}-{number}").exists():
        number += 1
    return path


def _json_bytes(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()
