"""The rules of the house, read from the syntax trees: who imports whom, how heavy, how long."""

import ast
import functools
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

# What each package may import besides itself.
FLOORS = {
    "games": set(),
    "solvers": {"games"},
    "soccer": {"games"},
    "evaluation": {"games", "solvers"},
    "neupl": {"games", "solvers", "soccer", "evaluation"},
}

# Costly or optional packages: one module of ours may import each at its top, all others inside
# functions, so that who does not need them neither pays for them nor fails without them.
HEAVY = {
    "ray", "mujoco", "dm_control", "pettingzoo", "gymnasium", "matplotlib", "tensorboard", "cvxpy",
    "pgx",
}  # fmt: skip

# Imported by `neupl --help`, which must answer at once.
SLOW_FOR_HELP = ("jax", "numpy", "scipy", "pyspiel", "flax", "optax", "yaml", "matplotlib")

MAX_LINES, MAX_TEST_LINES = 600, 400


class Import(NamedTuple):
    """One imported module.

    Attributes:
      module: its dotted name, without the names taken from it.
      names: the names of a `from module import names`.
      at_top: whether it is executed when the importing module is imported.
      line: where it stands.
    """

    module: str
    names: tuple[str, ...]
    at_top: bool
    line: int


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


SOURCES = python_files(*FLOORS)


@functools.cache
def imports_of(path: Path) -> tuple[Import, ...]:
    return tuple(_imports(ast.parse(path.read_text()), at_top=True))


def _imports(node: ast.AST, *, at_top: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, (), at_top, child.lineno)
        elif isinstance(child, ast.ImportFrom):
            names = tuple(alias.name for alias in child.names)
            yield Import("." * child.level + (child.module or ""), names, at_top, child.lineno)
        elif _is_type_checking(child):
            continue
        else:
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, at_top=at_top and not function)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in (
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
    )


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SOURCES}


def modules_reached(imported: Import) -> set[str]:
    """Modules of this project that an import statement executes directly."""
    names = (f"{imported.module}.{name}" for name in imported.names)
    submodules = {name for name in names if name in MODULES}
    # `from package import module` needs the package only for the name of the module.
    taken = {name.rpartition(".")[2] for name in submodules}
    if imported.module in MODULES and (not imported.names or taken != set(imported.names)):
        return submodules | {imported.module}
    return submodules


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_walk_sees_the_packages():
    """Guards the tests below: a walk over nothing would pass them all."""
    assert {"games.types", "solvers.types", "neupl.run", "neupl.cli"} <= MODULES.keys()
    top = {i.module for i in imports_of(ROOT / "neupl/run.py") if i.at_top}
    assert {"neupl.errors", "numpy"} <= top
    inner = {i.module for i in imports_of(ROOT / "neupl/tensorboard_file.py") if not i.at_top}
    assert "tensorboard.compat.proto" in inner


@pytest.mark.parametrize("package", FLOORS)
def test_package_imports_only_floors_below_it(package):
    forbidden = FLOORS.keys() - FLOORS[package] - {package}
    found = [
        f"{where(path, i.line)} imports {i.module}"
        for path in python_files(package)
        for i in imports_of(path)
        if i.module.split(".")[0] in forbidden
    ]
    assert not found, "\n".join(found)


def test_no_source_imports_tests_scripts_or_relative_names():
    found = [
        f"{where(path, i.line)} imports {i.module}"
        for path in SOURCES
        for i in imports_of(path)
        if i.module.split(".")[0] in ("tests", "scripts", "")
    ]
    assert not found, "\n".join(found)


def test_no_modules_import_each_other_in_a_circle():
    """Imports inside functions count too: they hide a circle, they do not remove it.

    The packages' own `__init__` and the command table import by name when asked, and are exempt
    only from what they do by `importlib`, which no syntax tree shows.
    """
    graph = {
        name: {reached for i in imports_of(path) for reached in modules_reached(i)} - {name}
        for name, path in MODULES.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("heavy", sorted(HEAVY))
def test_at_most_one_module_imports_a_heavy_package_at_its_top(heavy):
    found = {
        module_name(path)
        for path in SOURCES
        for i in imports_of(path)
        if i.at_top and i.module.split(".")[0] == heavy
    }
    assert len(found) <= 1


def test_no_module_makes_a_jax_array_at_import():
    """Such an array would initialise the device when the module is imported."""
    found = [
        f"{where(path, call.lineno)} calls {name}"
        for path in SOURCES
        for call, name in _calls_at_import(ast.parse(path.read_text()))
        if name.startswith(("jnp.", "jax.numpy.", "jax.random.", "jax.device", "jax.lax."))
    ]
    assert not found, "\n".join(found)


def _calls_at_import(node: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Lambda):
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            # The body runs later; decorators and defaults run now.
            for part in (*child.decorator_list, *child.args.defaults, *child.args.kw_defaults):
                if part is not None:
                    yield from _calls_at_import(ast.Expression(part))
            continue
        if isinstance(child, ast.Call):
            yield child, ast.unparse(child.func)
        yield from _calls_at_import(child)


def test_calls_at_import_are_found():
    source = (
        "a = jnp.ones(3)\ndef f(x=jnp.zeros(2)):\n    return jnp.exp(x)\n"
        "class C:\n    b = jnp.eye(2)"
    )
    names = [name for _, name in _calls_at_import(ast.parse(source))]
    assert names == ["jnp.ones", "jnp.zeros", "jnp.eye"]


def test_files_stay_short():
    limits = [(path, MAX_LINES) for path in SOURCES + python_files("scripts")]
    limits += [(path, MAX_TEST_LINES) for path in python_files("tests")]
    found = [
        f"{path.relative_to(ROOT)} has {lines} lines, allowed are {limit}"
        for path, limit in limits
        if (lines := len(path.read_text().splitlines())) > limit
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "misc"])
def test_files_are_named_after_a_concept(name):
    assert not [path for path in SOURCES + python_files("scripts") if path.stem == name]


def test_every_source_module_says_what_it_is():
    silent = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def test_package_inits_only_re_export():
    """Nothing is defined in an `__init__` but names; `neupl.cli` is the command itself."""
    found = [
        where(path, node.lineno)
        for path in SOURCES
        if path.name == "__init__.py" and path.parent.name != "cli"
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
        or (isinstance(node, ast.FunctionDef) and not node.name.startswith("__"))
    ]
    assert not found


def test_help_imports_nothing_slow():
    code = (
        "import sys\nfrom neupl.cli import main\ncode = main(['--help'])\n"
        f"print(code, [m for m in {SLOW_FOR_HELP!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "0 []"
    assert "doctor" in done.stdout
