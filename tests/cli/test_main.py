"""The command itself: help at once, one line per error, the documented exit codes."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import neupl as package
from neupl.cli import COMMANDS, main

FAILING = """
    import dataclasses, errno
    import tyro
    from games.types import GameError
    from neupl.cli.options import OutputOptions, RunOptions
    from neupl.errors import CheckFailed, Interrupted, UserError
    from solvers.types import SolverError

    FAILURES = {
        "user": UserError("the seed is -1:\\n  it must be >= 0", hint="leave it out"),
        "game": GameError("unknown game 'x'"),
        "solver": SolverError("gap 0.1 after 10 iterations"),
        "full": OSError(errno.ENOSPC, "No space left on device", "/somewhere/file"),
        "memory": MemoryError(),
        "defect": ValueError("shapes differ"),
        "check": CheckFailed("values differ by 0.1", report={"difference": 0.1}),
        "interrupt": KeyboardInterrupt(),
        "stopped": Interrupted("step 7 is saved; `neupl resume run` continues"),
        "pipe": BrokenPipeError(),
    }

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Fail(RunOptions):
        \"\"\"Fails as told.\"\"\"

        kind: tyro.conf.Positional[str]
        \"\"\"How.\"\"\"

    def run(command):
        if command.kind == "options":
            print(command)
            return 0
        raise FAILURES[command.kind]
"""


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers the command `fail KIND`."""
    (tmp_path / "failing_command.py").write_text(textwrap.dedent(FAILING))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(COMMANDS, "fail", "failing_command:Fail")
    monkeypatch.delitem(sys.modules, "failing_command", raising=False)


@pytest.mark.parametrize(
    ("kind", "code", "lines"),
    [
        ("user", 2, ["error: the seed is -1: it must be >= 0", "hint: leave it out"]),
        ("game", 2, ["error: unknown game 'x'"]),
        ("solver", 2, ["error: gap 0.1 after 10 iterations"]),
        (
            "full",
            2,
            [
                "error: No space left on device: /somewhere/file",
                "hint: free disk space or choose another folder",
            ],
        ),
        ("memory", 2, ["error: out of memory", "hint: choose a smaller game or population"]),
        ("check", 1, ["check failed: values differ by 0.1"]),
        ("interrupt", 130, ["interrupted: nothing was saved"]),
        ("stopped", 130, ["interrupted: step 7 is saved; `neupl resume run` continues"]),
    ],
)
def test_failure_is_one_line_without_traceback(kind, code, lines, failing, capfd, monkeypatch):
    monkeypatch.delenv("NEUPL_DEBUG", raising=False)
    assert main(["fail", kind]) == code
    printed = capfd.readouterr()
    assert printed.err.splitlines() == lines
    assert printed.out == ""


def test_debug_variable_shows_the_traceback(failing, capfd, monkeypatch):
    monkeypatch.setenv("NEUPL_DEBUG", "1")
    assert main(["fail", "user"]) == 2
    assert "Traceback" in capfd.readouterr().err


def test_defect_shows_the_traceback_and_its_own_code(failing, capfd):
    assert main(["fail", "defect"]) == 70
    printed = capfd.readouterr().err
    assert "Traceback" in printed
    assert "error: ValueError: shapes differ" in printed


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("user", {"error": "the seed is -1: it must be >= 0", "exit_code": 2}),
        ("check", {"difference": 0.1}),
        ("stopped", {"error": "step 7 is saved; `neupl resume run` continues", "exit_code": 130}),
    ],
)
def test_json_failure_is_one_object_on_stdout(kind, expected, failing, capfd):
    main(["fail", kind, "--json"])
    assert json.loads(capfd.readouterr().out) == expected


def test_options_of_a_run_are_understood(failing, capfd):
    settings = ["--set", "a=1", "--seed", "3", "--set", "b.c=[1,2]", "--out", "there", "--quiet"]
    assert main(["fail", "options", *settings]) == 0
    shown = capfd.readouterr().out
    assert "overrides=('a=1', 'b.c=[1,2]')" in shown
    assert "seed=3" in shown
    assert "quiet=True" in shown


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "subcommand"),
        (["trian"], "trian"),
        (["info"], "PATH"),
        (["info", "run", "--sedd", "3"], "--sedd"),
        (["doctor", "extra"], "extra"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_why(arguments, expected, capfd):
    assert main(arguments) == 2
    printed = capfd.readouterr()
    assert expected in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_every_option(name, capfd):
    assert main([name, "--help"]) == 0
    shown = capfd.readouterr().out
    assert f"usage: neupl {name}" in shown
    assert "--json" in shown


def test_help_lists_every_command(capfd):
    assert main(["--help"]) == 0
    shown = capfd.readouterr().out
    for name in COMMANDS:
        assert f"• {name} " in shown


def test_version_is_that_of_the_package(neupl):
    assert neupl("--version").stdout == f"neupl {package.__version__}\n"


def test_reader_that_leaves_early_is_not_an_error(neupl, tmp_path):
    root = Path(package.__file__).parent.parent
    command = f"{sys.executable} -m neupl doctor | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith("package")


def test_warnings_of_the_library_reach_stderr_once(failing, tmp_path, neupl):
    code = (
        "import logging; from neupl.cli import main; main(['--version']); main(['--help']);"
        "main(['--help']); logging.getLogger('neupl.x').warning('careful')"
    )
    root = Path(package.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stderr == "WARNING: careful\n"
