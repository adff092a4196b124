"""Where compiled games and programs are kept."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$NEUPL_CACHE`, else `neupl/` under `$XDG_CACHE_HOME` or `~/.cache`; it may not exist yet,
    and may be deleted at any time.
    """
    if chosen := os.environ.get("NEUPL_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neupl"
