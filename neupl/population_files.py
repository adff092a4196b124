"""The folder of a population: what is in it, written whole or not at all, read with its hash
checked.

`population.json` says what it is, `arrays.safetensors` holds the numbers, `MODEL_CARD.md` is for
people.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy

from neupl import __version__
from neupl.durable_files import write_durably
from neupl.errors import UserError

SCHEMA_VERSION = 1
MANIFEST_FILE = "population.json"
ARRAYS_FILE = "arrays.safetensors"
MODEL_CARD_FILE = "MODEL_CARD.md"

# Where the parameters of a network stand among the arrays.
NETWORK_PREFIX = "network/"


def check_replaceable(folder: Path) -> None:
    """Raises `UserError` where `folder` holds something that is not a population."""
    empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not empty and not (folder / MANIFEST_FILE).exists():
        raise UserError(f"{folder} is not empty and not a population", hint="choose another --out")


def write_files(
    folder: Path, *, manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray], model_card: str
) -> None:
    """Writes a population to `folder`, replacing a population that is there.

    Args:
      folder: created where absent; written beside and renamed, so that it is whole or absent.
      manifest: plain JSON; schema version, hash of the arrays and our version are added.
      arrays: tensors by name.
      model_card: Markdown.

    Raises:
      UserError: `folder` holds something that is not a population.
    """
    check_replaceable(folder)
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    content = safetensors.numpy.save(contiguous)
    header = {
        "schema_version": SCHEMA_VERSION,
        "arrays_sha256": hashlib.sha256(content).hexdigest(),
        "neupl_version": __version__,
    }
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    replaced = folder.with_name(f"{folder.name}.{os.getpid()}.replaced")
    try:
        partial.mkdir(parents=True)
        write_durably(partial / ARRAYS_FILE, content)
        write_durably(partial / MODEL_CARD_FILE, model_card.encode())
        write_durably(
            partial / MANIFEST_FILE, json.dumps({**header, **manifest}, indent=1).encode()
        )
        if folder.exists():
            folder.replace(replaced)
        partial.replace(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def find_folder(path: Path) -> Path:
    """The folder of the population at `path`, or of the run at `path`.

    Raises:
      UserError: there is no population.
    """
    folder = path
    if not (folder / MANIFEST_FILE).is_file() and (folder / "population").is_dir():
        folder = folder / "population"
    if not (folder / MANIFEST_FILE).is_file():
        raise UserError(
            f"there is no population at {path}",
            hint="a run has one when it is done; `neupl export RUN --out DIR` writes one earlier",
        )
    return folder


def read_files(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The manifest and the arrays of the population in `folder`.

    Raises:
      UserError: they have another schema version.
      OSError, SafetensorError, ValueError, KeyError, TypeError: they are broken.
    """
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    if manifest["schema_version"] != SCHEMA_VERSION:
        found = manifest["schema_version"]
        raise UserError(f"{folder} has format {found}, this version reads {SCHEMA_VERSION}")
    content = (folder / ARRAYS_FILE).read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest["arrays_sha256"]:
        raise ValueError(f"{ARRAYS_FILE} does not match the hash in {MANIFEST_FILE}")
    return manifest, safetensors.numpy.load(content)


def network_arrays(params: Any) -> dict[str, np.ndarray]:
    """The parameters of a network by their names among the arrays of a population."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return {
        NETWORK_PREFIX + jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in leaves
    }


def network_params(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The parameters that `network_arrays` named."""
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        if name.startswith(NETWORK_PREFIX):
            *folders, leaf = name.removeprefix(NETWORK_PREFIX).split("/")
            place = tree
            for folder in folders:
                place = place.setdefault(folder, {})
            place[leaf] = array
    return tree
