"""Checkpoints: one safetensors file and one JSON manifest, no pickle, readable on any device.

The manifest is written last and names its tensor file with size and hash: a checkpoint exists once
its manifest does, and is intact when they agree. Tensor files carry the hash in their name, so that
saving a step again never touches the files of the checkpoint it replaces.
"""

import dataclasses
import hashlib
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from neupl.durable_files import TEMPORARY_SUFFIX, write_durably
from neupl.errors import UserError

SCHEMA_VERSION = 1

# What safetensors both writes and reads back as NumPy arrays.
_DTYPES = tuple(
    np.dtype(name)
    for name in (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64",
    )
)  # fmt: skip

_MANIFEST_NAME = re.compile(r"step-(\d+)\.json")
_TENSORS_NAME = re.compile(r"step-\d+-[0-9a-f]{16}\.safetensors")

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The state of a run after `step` iterations.

    Attributes:
      step: iterations done.
      arrays: tensors by name, on the host, any shapes and dtypes.
      manifest: the JSON object that was saved beside them.
    """

    step: int
    arrays: dict[str, np.ndarray]
    manifest: dict[str, Any]


def save(
    folder: Path,
    *,
    step: int,
    arrays: Mapping[str, np.ndarray | np.generic],
    manifest: Mapping[str, Any],
    keep: int = 2,
) -> Path:
    """Saves a checkpoint and removes all but the newest `keep`.

    Args:
      folder: where the checkpoints of one run live; created when absent.
      step: iterations done, >= 0; an existing checkpoint of the same step is replaced.
      arrays: tensors by name, of boolean, integer or float16/32/64 dtype; scalars are welcome.
      manifest: counters and whatever else is plain JSON.
      keep: checkpoints that stay, >= 1.

    Returns:
      The path of the manifest.

    Raises:
      UserError: the files cannot be written; earlier checkpoints are untouched.
      ValueError: `step` or `keep` is out of range, or an array or the manifest cannot be stored.
    """
    if step < 0 or keep < 1:
        raise ValueError(f"step must be >= 0 and keep >= 1, not step={step}, keep={keep}")
    tensors = {name: _storable(name, array) for name, array in arrays.items()}
    content = safetensors.numpy.save(tensors)
    digest = hashlib.sha256(content).hexdigest()
    tensors_path = folder / f"step-{step:09d}-{digest[:16]}.safetensors"
    manifest_path = folder / f"step-{step:09d}.json"
    header = {
        "schema_version": SCHEMA_VERSION,
        "step": step,
        "tensors": {"file": tensors_path.name, "bytes": len(content), "sha256": digest},
        "manifest": dict(manifest),
    }
    text = json.dumps({**header, "sha256": _header_digest(header)}, indent=1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        write_durably(tensors_path, content)
        write_durably(manifest_path, text.encode())
        _remove_superseded(folder, step=step, keep=keep)
    except OSError as error:
        saved = [s for s in saved_steps(folder) if s != step]
        intact = f"the checkpoint of step {saved[-1]} is intact" if saved else "none existed before"
        raise UserError(
            f"cannot write the checkpoint of step {step} in {folder}: "
            f"{error.strerror or error}; {intact}",
            hint="free disk space or fix the folder, then continue with `neupl resume`",
        ) from error
    return manifest_path


def load(folder: Path) -> Checkpoint:
    """Loads the newest intact checkpoint; broken newer ones are skipped with a logged warning.

    Raises:
      UserError: no checkpoint is intact; the message names every broken one and its defect.
    """
    defects = []
    for step in reversed(saved_steps(folder)):
        path = _manifest_path(folder, step)
        try:
            checkpoint = _read(path)
        except (OSError, ValueError, safetensors.SafetensorError) as error:
            defects.append(f"{path.name}: {error}")
            _log.warning("checkpoint %s is broken (%s); trying the one before", path, error)
            continue
        return checkpoint
    if defects:
        raise UserError(f"no checkpoint in {folder} is intact: " + "; ".join(defects))
    raise UserError(f"there is no checkpoint in {folder}")


def saved_steps(folder: Path) -> list[int]:
    """Steps that have a manifest, ascending; whether they are intact only `load` finds out."""
    if not folder.is_dir():
        return []
    matches = (_MANIFEST_NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def _manifest_path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:09d}.json"


def _storable(name: str, array: np.ndarray | np.generic) -> np.ndarray:
    # `order="C"`: safetensors would write the buffer of a transposed view in the wrong order.
    array = np.asarray(array, order="C")
    if array.dtype not in _DTYPES:
        allowed = ", ".join(str(dtype) for dtype in _DTYPES)
        raise ValueError(f"array {name!r} has dtype {array.dtype}; a checkpoint stores {allowed}")
    return array


def _read(path: Path) -> Checkpoint:
    header = _read_header(path)
    tensors = header["tensors"]
    content = (path.parent / tensors["file"]).read_bytes()
    if len(content) != tensors["bytes"]:
        raise ValueError(f"{tensors['file']} has {len(content)} of {tensors['bytes']} bytes")
    if hashlib.sha256(content).hexdigest() != tensors["sha256"]:
        raise ValueError(f"the content of {tensors['file']} does not match its hash")
    return Checkpoint(header["step"], safetensors.numpy.load(content), header["manifest"])


def _read_header(path: Path) -> dict[str, Any]:
    header = json.loads(path.read_bytes())
    if not isinstance(header, dict):
        raise ValueError("the manifest is not a JSON object")
    digest = header.pop("sha256", None)
    if header.get("schema_version") != SCHEMA_VERSION:
        version = header.get("schema_version")
        raise ValueError(f"schema version {version!r}; this program reads {SCHEMA_VERSION}")
    if digest != _header_digest(header):
        raise ValueError("the content of the manifest does not match its hash")
    return header


def _header_digest(header: Mapping[str, Any]) -> str:
    # Through JSON once, so that what is hashed at save (tuples, integer keys) is what is read back.
    canonical = json.dumps(json.loads(json.dumps(header)), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _remove_leftovers(folder: Path) -> None:
    """Removes what killed saves left: partial files, and tensor files that no manifest names."""
    named = _tensor_files(folder)
    for path in folder.iterdir():
        orphan = _TENSORS_NAME.fullmatch(path.name) and path.name not in named
        if orphan or path.name.endswith(TEMPORARY_SUFFIX):
            path.unlink()


def _tensor_files(folder: Path) -> set[str]:
    names = set()
    for step in saved_steps(folder):
        try:
            names.add(_read_header(_manifest_path(folder, step))["tensors"]["file"])
        except (OSError, ValueError):
            continue
    return names


def _remove_superseded(folder: Path, *, step: int, keep: int) -> None:
    # Steps after the one just saved are broken checkpoints of a history that was not continued.
    steps = saved_steps(folder)
    continued = [s for s in steps if s <= step]
    for superseded in {*steps} - {*continued[-keep:]}:
        _manifest_path(folder, superseded).unlink()
    _remove_leftovers(folder)
