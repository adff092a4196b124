"""Files that are whole or absent: written under a temporary name, synced, then renamed."""

import os
from pathlib import Path

TEMPORARY_SUFFIX = ".partial"


def write_durably(path: Path, content: bytes) -> None:
    """Replaces `path` by `content` so that a crash at any moment leaves the old file or the new
    one.

    Args:
      path: the file; its folder must exist.
      content: the whole new content.

    Raises:
      OSError: the disk is full or the folder cannot be written; the old file is untouched.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` (renames, removals) survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
