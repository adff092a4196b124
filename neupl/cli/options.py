"""Options that several commands share, so that they are spelt and explained the same everywhere."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Options of every command."""

    json: Flag = False
    """Print exactly one JSON object on stdout, for programs."""

    quiet: Flag = False
    """Show no progress."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions(OutputOptions):
    """Options of commands that make a run."""

    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """The run folder to create; by default a new one under `runs/`."""

    seed: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Seed of everything random; by default the configuration's."""

    overrides: Annotated[
        tuple[str, ...],
        tyro.conf.arg(name="set", metavar="KEY=VALUE"),
        tyro.conf.UseAppendAction,
    ] = ()
    """Set a configuration key, e.g. `--set learner.learning_rate=1e-3`; may be repeated."""
