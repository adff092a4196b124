"""Compiled game trees on disk: one `.npz` file per game, OpenSpiel version and layout of the
arrays.

A file is written under a temporary name and renamed, and one that cannot be read counts as absent.
"""

import dataclasses
import hashlib
import importlib.metadata
import logging
import os
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from games.cache_folder import cache_folder
from games.game_tree import GameTree

# Raise whenever the meaning of an array of `GameTree` changes, or the compiler numbers anything
# differently.
SCHEMA_VERSION = 1

_NAMES, _NAME_LENGTHS, _KEY = "infoset_name_utf8", "infoset_name_bytes", "cache_key"

_logger = logging.getLogger(__name__)


def cache_path(game_string: str) -> Path:
    """The file of one game, given as OpenSpiel's own full game string."""
    return (
        cache_folder()
        / f"tree-{hashlib.sha256(_full_key(game_string).encode()).hexdigest()[:32]}.npz"
    )


def load(game_string: str) -> GameTree | None:
    """Reads a tree, or returns None where there is no readable file of this game."""
    path = cache_path(game_string)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if str(stored[_KEY]) != _full_key(game_string):
                raise ValueError(f"it belongs to {stored[_KEY]}")
            names = stored[_NAMES].tobytes()
            ends = np.cumsum(stored[_NAME_LENGTHS])
            values = {
                field.name: _restore(stored[field.name])
                for field in dataclasses.fields(GameTree)
                if field.name != "infoset_name"
            }
            starts = ends - stored[_NAME_LENGTHS]
        values["infoset_name"] = tuple(
            names[lo:hi].decode() for lo, hi in zip(starts.tolist(), ends.tolist(), strict=True)
        )
        return GameTree(**values)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        _logger.warning("ignoring unreadable cache file %s: %s", path, error)
        return None


def store(game_string: str, tree: GameTree) -> None:
    """Writes a tree; a folder that cannot be written is reported in the log and otherwise
    ignored.
    """
    encoded = [name.encode() for name in tree.infoset_name]
    values = {
        field.name: np.asarray(getattr(tree, field.name))
        for field in dataclasses.fields(GameTree)
        if field.name != "infoset_name"
    }
    values[_NAMES] = np.frombuffer(b"".join(encoded), np.uint8)
    values[_NAME_LENGTHS] = np.array([len(name) for name in encoded], np.int64)
    values[_KEY] = np.array(_full_key(game_string))
    path = cache_path(game_string)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **values)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        _logger.warning("cannot write cache file %s: %s", path, error)


def _full_key(game_string: str) -> str:
    version = importlib.metadata.version("open_spiel")
    return f"{game_string} | open_spiel {version} | schema {SCHEMA_VERSION}"


def _restore(value: np.ndarray):
    """Scalars come back as Python objects, arrays as they are."""
    return value if value.ndim else value.item()
