"""Keeps what XLA has compiled: the second command on a game starts sooner than the first."""

import hashlib
import os
import platform
from pathlib import Path

from games.cache_folder import cache_folder

# What compiles faster than this, in seconds, is not worth a file.
LEAST_SECONDS = "0.1"


def keep_compiled_code() -> None:
    """Tells JAX where to keep compiled programs, before it is imported for the first time.

    The user's own settings of JAX take precedence (`JAX_ENABLE_COMPILATION_CACHE=false` keeps
    nothing), and where the folder cannot be written nothing is kept.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = compiled_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", LEAST_SECONDS)


def compiled_folder() -> Path:
    """A folder of the cache for processors like this one: programs use all instructions that there
    are, and home folders are shared by machines that differ.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        processor = platform.processor()
    key = hashlib.sha256(f"{platform.machine()} {processor}".encode()).hexdigest()[:16]
    return cache_folder() / f"compiled-{key}"
