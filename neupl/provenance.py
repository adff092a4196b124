"""Where a result came from: versions, source tree, device, environment flags."""

import datetime
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neupl import __version__

CORE_PACKAGES = (
    "jax", "jaxlib", "flax", "optax", "chex", "numpy", "scipy", "open_spiel", "safetensors",
)  # fmt: skip
ENVIRONMENT_FLAGS = (
    "NPROC", "XLA_FLAGS", "JAX_PLATFORMS", "JAX_ENABLE_X64", "JAX_DEFAULT_MATMUL_PRECISION",
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTHONHASHSEED",
)  # fmt: skip
_GIT_TIMEOUT_S = 20


def provenance(command: Sequence[str], *, seed: int) -> dict[str, Any]:
    """Returns everything that is needed to say how a run came about, as plain JSON.

    Imports JAX, because the device is part of the answer.

    Args:
      command: the command line, program included.
      seed: the run's seed.
    """
    return {
        "command": list(command),
        "seed": seed,
        "time_utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "git": git_state(Path(__file__).resolve().parent),
        "device": devices(),
        "environment": {name: os.environ[name] for name in ENVIRONMENT_FLAGS if name in os.environ},
        "machine": {
            "system": platform.platform(),
            "cpu": platform.machine(),
            "cores": usable_cores(),
        },
    }


def versions(packages: Sequence[str] = CORE_PACKAGES) -> dict[str, str | None]:
    """Versions of neupl, Python and `packages`; `None` for a package that is not installed."""
    found = {"neupl": __version__, "python": platform.python_version()}
    return found | {package: installed_version(package) for package in packages}


def installed_version(package: str) -> str | None:
    """The installed version of a distribution, without importing it; `None` when absent."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and local changes of the source tree around `folder`.

    Returns:
      `None` outside of a git checkout of this program; else `commit` (`None` before the first one),
      `dirty`, the `changed` lines of `git status --porcelain` and `diff_sha256` of the tracked
      changes (`None` when clean).
    """
    top = _git(folder, "rev-parse", "--show-toplevel")
    # A virtual environment may lie inside another project's checkout, whose commit says nothing
    # about this code.
    if top is None or not (Path(top) / "neupl" / "provenance.py").is_file():
        return None
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    changed = (_git(folder, "status", "--porcelain") or "").splitlines()
    difference = _git(folder, "diff", "HEAD") if commit and changed else None
    digest = hashlib.sha256(difference.encode()).hexdigest() if difference else None
    return {"commit": commit, "dirty": bool(changed), "changed": changed, "diff_sha256": digest}


def devices() -> dict[str, Any]:
    """JAX's backend, the kind of its devices and their number."""
    import jax

    found = jax.devices()
    return {"backend": jax.default_backend(), "kind": found[0].device_kind, "count": len(found)}


def usable_cores() -> int:
    """Cores that this process may run on (its affinity, not the machine's total)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            check=True,
            encoding="utf-8",
            errors="replace",
            timeout=_GIT_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.rstrip("\n")
