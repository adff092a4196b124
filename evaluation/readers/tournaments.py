"""The payoffs of a tournament: `tournament.json`, as `neupl tournament` writes it."""

import json
from pathlib import Path

import numpy as np

from evaluation.tournament.standings import meta_game
from evaluation.types import DataError
from games.normal_form import NormalForm
from games.types import GameError

TOURNAMENT_FILE = "tournament.json"


def is_tournament(folder: Path) -> bool:
    """Whether a folder is that of a tournament."""
    return (folder / TOURNAMENT_FILE).is_file()


def read_tournament(path: Path, content: bytes) -> NormalForm:
    """The game of sending an entrant into a random seat, from a tournament's file.

    Raises:
      DataError: it is no tournament, or not every group met.
    """
    try:
        found = json.loads(content)
        names, payoffs = found["entrants"], np.array(found["mean_payoffs"], np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no tournament: {error!r}") from error
    if np.isnan(payoffs).any():
        raise DataError(
            f"{path}: not every group met, so there is no game to solve; rate "
            f"{path.with_name('battles.csv')} instead"
        )
    try:
        return meta_game(payoffs, names, str(path))
    except (GameError, TypeError) as error:
        raise DataError(f"{path}: {error}") from error
