"""The documents about solvers: their examples run, and the names they mention exist, here and in
OpenSpiel.
"""

import doctest
import importlib
import importlib.util
import re
from pathlib import Path

import pyspiel
import pytest

import solvers
from solvers.meta.registry import META_SOLVERS

ROOT = Path(__file__).parents[2]
SOLVERS = (ROOT / "docs" / "solvers.md").read_text()
WITH_EXAMPLES = sorted(p.name for p in (ROOT / "docs").glob("*.md") if ">>> " in p.read_text())
(PEER,) = importlib.util.find_spec("open_spiel").submodule_search_locations


def _map_from_openspiel() -> list[list[str]]:
    """The cells of each row of the table that leads from OpenSpiel's names to ours."""
    rows = re.findall(r"^\|(.+)\|$", SOLVERS.split("## Coming from OpenSpiel")[1], re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in rows[2:]]


def _names(text: str) -> list[str]:
    return re.findall(r"`([\w.]+)`", text)


def _peer_source(module: str) -> str:
    """Source of a module of OpenSpiel; importing some of them needs packages that we do not."""
    relative = Path(*module.split(".")).with_suffix(".py")
    (found,) = [
        path
        for folder in ("algorithms", "egt")
        if (path := Path(PEER) / "python" / folder / relative).is_file()
    ]
    return found.read_text()


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_give_what_is_written(name):
    text = (ROOT / "docs" / name).read_text()
    examples = doctest.DocTestParser().get_doctest(text, {}, name, name, 0)
    report: list[str] = []
    doctest.DocTestRunner(verbose=False).run(examples, out=report.append)
    assert examples.examples and not report, "".join(report)


def test_every_solver_of_the_overview_is_in_an_example():
    overview, *sections, _ = re.split(r"^## ", SOLVERS, flags=re.MULTILINE)
    assert [section.split("\n")[0] for section in sections if ">>> " not in section] == []
    functions = set(re.findall(r"`solvers\.\w+\.(\w+)`", overview))
    assert len(functions) > 12
    examples = "".join(re.findall(r"^(?:>>>|\.\.\.) .*\n", SOLVERS, flags=re.MULTILINE))
    assert {name for name in functions if not re.search(rf"\b{name}\b", examples)} == set()


def test_every_name_of_ours_exists():
    names = {name for name in _names(SOLVERS) if re.match(r"(solvers|games)\.", name)}
    names -= {"games.md"}
    assert len(names) > 30
    for name in names:
        module, attribute = name.rsplit(".", 1)
        if module.endswith("NormalForm"):
            module, owner = module.rsplit(".", 1)
            assert hasattr(getattr(importlib.import_module(module), owner), attribute), name
        else:
            assert hasattr(importlib.import_module(module), attribute), name


def test_every_name_of_openspiel_exists():
    names = {name for row in _map_from_openspiel() for name in _names(row[0]) if "." in name}
    assert len(names) > 30
    for name in names:
        module, attribute = name.rsplit(".", 1)
        if module == "pyspiel":
            assert hasattr(pyspiel, attribute), name
        else:
            definition = rf"^(?:class|def) {attribute}\b"
            assert re.search(definition, _peer_source(module), re.MULTILINE), name


def test_every_meta_solver_of_openspiel_is_mapped():
    table = _peer_source("jpsro").split("FLAG_TO_FUNC = dict(")[1]
    theirs = set(re.findall(r"^    (\w+)=", table, re.MULTILINE))
    assert len(theirs) >= 20
    rows = [row for row in _map_from_openspiel() if row[0].startswith("`jpsro`:")]
    mapped = {name for row in rows for name in _names(row[0])} - {"jpsro"}
    assert mapped == theirs
    for row in rows:
        same = _names(row[0]) if row[1].startswith("the same names") else _names(row[1])
        assert {name for name in same if "." not in name} - {"jpsro"} <= META_SOLVERS.keys()


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_every_file_that_is_named_exists(name):
    text = (ROOT / "docs" / name).read_text()
    linked = {f"docs/{target}" for target in re.findall(r"\]\(([\w./-]+)\)", text)}
    named = linked | set(re.findall(r"\bscripts/\w+\.py", text))
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []


def test_public_names_of_the_package():
    for name in solvers.__all__:
        assert getattr(solvers, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = solvers.nothing
