"""Options that several commands share, so that they are spelt and explained the same everywhere."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from neupl.workers import Workers

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


_WORKER_OPTIONS = ("workers", "ray", "item_limit_s")


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """Options of commands whose work falls into items that anybody may do."""

    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Processes, one thread each; with --ray at most so many of the cluster, by default all its
    cores. Results are the same for any number."""

    ray: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """Work on a Ray cluster: HOST:PORT, `auto` for the one that this machine belongs to, or `local`
    to start one here. Needs the extra [ray]."""

    item_limit_s: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """Seconds that one item of work may take; its worker is then killed and the item begun again.
    By default no limit."""

    @property
    def is_shared_out(self) -> bool:
        """Whether any of the options is given."""
        return any(getattr(self, name) is not None for name in _WORKER_OPTIONS)

    def make_workers(self) -> "Workers":
        """Who does the work; comes first in a command, since this process is to compute as they do.

        Raises:
          UserError: a number is impossible.
        """
        from neupl.one_thread import compute_by_one_thread
        from neupl.workers import Workers

        compute_by_one_thread()
        return Workers(number=self.workers, ray=self.ray, item_limit_s=self.item_limit_s)

    def refuse_workers(self, reason: str) -> None:
        """Refuses the options where the work is one piece.

        Raises:
          UserError: one of them is given; `reason` follows its name.
        """
        from neupl.errors import UserError

        for name in _WORKER_OPTIONS:
            if getattr(self, name) is not None:
                raise UserError(f"--{name.replace('_', '-')} {reason}")
