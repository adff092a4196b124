"""Shared test set-up: JAX on the CPU, caches in temporary folders, the command line as a
subprocess.

The environment is set here, before any test module imports JAX, and is inherited by the command
lines that tests start.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most of the time would go into making code fast that runs once.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# Workers of pytest-xdist share the cores; each must not open a thread pool for all of them.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("NPROC", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# The same examples every time, and no deadline: a machine may be busy.
settings.register_profile("neupl", derandomize=True, deadline=None, database=None)
settings.load_profile("neupl")

# The walk over a game tree recurses as deep as the game is long and is all inner loop: checked
# calls would double its stack and multiply its time.
_UNCHECKED = {"games.tree_walk"}


def _checked_modules() -> list[str]:
    packages = ("games", "solvers", "soccer", "evaluation", "neupl")
    paths = (path for package in packages for path in (ROOT / package).rglob("*.py"))
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}
    # Numba compiles the functions of `*_kernels` from their source and cannot see through a check.
    unchecked = ("__init__", "_kernels")
    return sorted(name for name in names - _UNCHECKED if not name.endswith(unchecked))


# Every other call of ours is checked: types, shapes, dtypes. An int is a float (PEP 484).
install_import_hook(
    _checked_modules(), "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
)

CommandLine = Callable[..., subprocess.CompletedProcess[str]]


def pytest_configure(config: pytest.Config) -> None:
    """Gives this test run its own cache of compiled games: no test sees an earlier run's."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.stash[_CACHE] = cache = tempfile.TemporaryDirectory(prefix="neupl-tests-")
        os.environ["NEUPL_CACHE"] = cache.name
        # What one worker or command line has compiled for a game, the others need not.
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{cache.name}/compiled")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes the cache."""
    if cache := config.stash.get(_CACHE, None):
        cache.cleanup()


_CACHE: pytest.StashKey[tempfile.TemporaryDirectory] = pytest.StashKey()


def command_environment(**changes: str) -> dict[str, str]:
    """The environment in which a test starts a Python process that imports this checkout."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **changes}


@pytest.fixture
def neupl(tmp_path: Path) -> CommandLine:
    """Runs `neupl ARGUMENTS` as a user would, in a temporary folder; any exit code will do."""

    def run(
        *arguments: str | Path, timeout_s: float = 120, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "neupl", *map(str, arguments)],
            cwd=tmp_path,
            env=command_environment(**environment),
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    return run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB in memory; the test is skipped where mounting is not allowed."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
