"""Normal-form games in files: Gambit `.nfg`, JSON, and NumPy's `.npy` and `.npz`.

JSON and `.npz` carry the fields of `NormalForm` by name (`.npz` the names of player p as
`strategy_names_p`); a bare nested list in JSON, and `.npy`, are the payoffs alone.
"""

import difflib
import json
import zipfile
from pathlib import Path

import numpy as np

from games.nfg_format import format_nfg, parse_nfg
from games.normal_form import NormalForm
from games.types import GameError

_FIELDS = ("payoffs", "strategy_names", "standard_errors", "counts")
_ARRAYS = {"payoffs": np.float64, "standard_errors": np.float64, "counts": np.int64}


def read_payoffs(path: str | Path) -> NormalForm:
    """Reads the normal-form game of a file, by its suffix.

    Raises:
      GameError: there is no such file, the suffix is unknown, or the content is not a normal-form
        game.
    """
    path = Path(path)
    readers = {".nfg": _read_nfg, ".json": _read_json, ".npy": _read_npy, ".npz": _read_npz}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise GameError(
            f"{path}: unknown suffix {path.suffix!r}; payoffs are read from {', '.join(readers)}"
        )
    try:
        return reader(path)
    except FileNotFoundError:
        raise GameError(f"{path}: no such file") from None
    except GameError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise GameError(f"{path}: not a readable {path.suffix} file: {error}") from error


def payoffs_json(game: NormalForm) -> str:
    """A normal-form game as the content of a `.json` file."""
    fields = {name: getattr(game, name) for name in _FIELDS if getattr(game, name) is not None}
    plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in fields.items()}
    return json.dumps(plain, indent=1)


def write_payoffs(game: NormalForm, path: str | Path) -> None:
    """Writes a normal-form game in the format of the suffix: `.nfg`, `.json`, `.npy` (payoffs
    alone) or `.npz`.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    fields = {name: getattr(game, name) for name in _FIELDS if getattr(game, name) is not None}
    if suffix == ".nfg":
        path.write_text(format_nfg(game))
    elif suffix == ".json":
        path.write_text(payoffs_json(game))
    elif suffix == ".npy":
        np.save(path, game.payoffs)
    elif suffix == ".npz":
        names = fields.pop("strategy_names")
        np.savez(path, **fields, **{f"strategy_names_{p}": row for p, row in enumerate(names)})
    else:
        raise GameError(
            f"{path}: unknown suffix {path.suffix!r}; "
            "payoffs are written to .nfg, .json, .npy, .npz"
        )


def _read_nfg(path: Path) -> NormalForm:
    return parse_nfg(path.read_text(), source=str(path))


def _read_json(path: Path) -> NormalForm:
    content = json.loads(path.read_text())
    if isinstance(content, list):
        content = {"payoffs": content}
    if not isinstance(content, dict):
        raise GameError(f"{path}: expected an object with 'payoffs' or a nested list of payoffs")
    return _from_fields(content, path)


def _read_npy(path: Path) -> NormalForm:
    return NormalForm(np.load(path, allow_pickle=False), name=str(path))


def _read_npz(path: Path) -> NormalForm:
    with np.load(path, allow_pickle=False) as stored:
        content = {name: stored[name] for name in stored.files}
    names = [content.pop(f"strategy_names_{p}", None) for p in range(len(content) + 1)]
    named = [row.tolist() for row in names if row is not None]
    if named:
        content["strategy_names"] = named
    return _from_fields(content, path)


def _from_fields(content: dict, path: Path) -> NormalForm:
    for key in content:
        if key not in _FIELDS:
            nearest = difflib.get_close_matches(key, _FIELDS, n=1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise GameError(f"{path}: unknown field {key!r}{hint} (allowed: {', '.join(_FIELDS)})")
    if "payoffs" not in content:
        raise GameError(f"{path}: no field 'payoffs'")
    arrays = {
        key: _array(path, key, content.pop(key), dtype)
        for key, dtype in _ARRAYS.items()
        if content.get(key) is not None
    }
    return NormalForm(**arrays, **content, name=str(path))


def _array(path: Path, field: str, value, dtype) -> np.ndarray:
    try:
        return np.array(value, dtype)
    except (TypeError, ValueError) as error:
        raise GameError(f"{path}: {field} is not a regular array of numbers: {error}") from None
