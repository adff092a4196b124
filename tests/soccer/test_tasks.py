"""What tasks say of themselves where MuJoCo is not installed, and what the documentation says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from games.registry import SIMULATED_GAMES, load_game
from soccer import observations, pitch, robot
from soccer.rewards import TERMS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "soccer.md").read_text()

WITHOUT_MUJOCO = """
import sys
sys.modules["mujoco"] = None
import numpy as np
from games.catalogue import _simulated
from games.registry import load_game
from games.types import GameError
print([s.exact for s in _simulated() if s.name == "soccer/duel"])
game = load_game("soccer/duel")
print(game.info.observation_size, game.missing)
try:
    game.init(np.zeros(1, np.uint64))
except GameError as error:
    print(error)
"""


def test_without_mujoco_the_games_are_listed_and_say_what_to_install():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MUJOCO], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    needs = "needs MuJoCo (pip install -c constraints.txt -e '.[soccer]')"
    assert done.stdout.splitlines() == [
        f'["has no game tree and {needs}"]',
        f"(267, 267) {needs}",
        f"soccer/duel {needs}",
    ]


def test_documentation_lists_every_number_of_an_observation():
    page = PAGE[: PAGE.index("## Boxheads")]
    rows = re.findall(r"^\| (\d+)-(\d+) \| `(\w+)` \| (\S+) \|", page, re.MULTILINE)
    listed = {name: (int(first), int(last) + 1, unit) for first, last, name, unit in rows}
    for name, item, place in observations.layout():
        if name.endswith("[0]") or "[" not in name:
            assert listed[item.name] == (place.start, place.stop, item.unit), name


def test_documentation_names_tasks_and_terms():
    for name in SIMULATED_GAMES:
        if name.startswith("soccer/"):
            assert f"`{name}`" in PAGE
            assert load_game(name).info.name == name
    assert [term for term in TERMS if f"`{term}`" not in PAGE] == ["progress"]


def test_model_of_a_match_names_bad_numbers_of_robots():
    with pytest.raises(ValueError, match="there are 9 robots, expected 1 to 8"):
        pitch.match_xml((0,) * 9)
    assert pitch.match_xml((0, 1)).count("<position ") == 2 * robot.NUM_JOINTS
