"""The README: its commands exist, and the test command is the one that `.ci/run` runs."""

import re
from pathlib import Path

import pytest

from neupl.cli import COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)


def test_every_command_in_the_readme_exists():
    used = {name for block in BLOCKS for name in re.findall(r"\bneupl ([a-z]+)", block)}
    assert used <= COMMANDS.keys()
    assert "train" in used


def test_every_file_in_the_readme_exists():
    names = set(re.findall(r"\b((?:configs|docs|scripts)/[\w./-]+\.\w+)", README))
    assert [name for name in sorted(names) if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize(
    ("marker", "ends_with"),
    [("first command", "neupl train configs/kuhn_poker.yaml"), ("test command", "pytest")],
)
def test_each_of_the_two_commands_sets_everything_up(marker, ends_with):
    (block,) = re.findall(rf"<!-- {marker} -->\n```bash\n(.*?)```", README, re.DOTALL)
    assert block.startswith("python3.11 -m venv ")
    assert "pip install -c constraints.txt -e " in block
    assert ends_with in block
