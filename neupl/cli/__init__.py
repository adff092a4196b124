"""The `neupl` command: picks the subcommand, and turns what goes wrong into one line and an exit
code.

A command is a frozen dataclass (its field docstrings are the help) beside a function `run(command)
-> int`, one file per command. Those files import only light modules at the top, so that `neupl
--help` answers at once.

Exit codes: 0 done, 1 a check failed, 2 bad input or environment, 70 a defect of this program, 130
interrupted.
"""

import errno
import importlib
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Union

from neupl import __version__
from neupl.cli.output import print_json
from neupl.compiled_code import keep_compiled_code
from neupl.errors import CheckFailed, Interrupted, UserError

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "train": "neupl.cli.train:Train",
    "solve": "neupl.cli.solve:Solve",
    "resume": "neupl.cli.resume:Resume",
    "verify": "neupl.cli.verify:Verify",
    "evaluate": "neupl.cli.evaluate:Evaluate",
    "export": "neupl.cli.export:Export",
    "games": "neupl.cli.games:Games",
    "rate": "neupl.cli.rate:Rate",
    "report": "neupl.cli.report:Report",
    "tournament": "neupl.cli.tournament:Tournament",
    "replay": "neupl.cli.replay:Replay",
    "play": "neupl.cli.play:Play",
    "info": "neupl.cli.info:Info",
    "doctor": "neupl.cli.doctor:Doctor",
}

DEBUG_VARIABLE = "NEUPL_DEBUG"

DONE, CHECK_FAILED, BAD_INPUT, DEFECT, INTERRUPTED = 0, 1, 2, 70, 130

_DESCRIPTION = (
    "Trains populations of strategies in one conditional network and certifies what came out with "
    "exact solvers."
)
_OS_ERROR_HINTS = {
    errno.ENOSPC: "free disk space or choose another folder",
    errno.EDQUOT: "free disk space or choose another folder",
    errno.EACCES: "choose a folder that you may write",
    errno.EROFS: "choose a folder that you may write",
    errno.ENOTDIR: "a part of this path is a file, not a folder",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code.

    Args:
      argv: arguments without the program's name; those of the process by default.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:
        print(f"neupl {__version__}")
        return DONE
    _log_to_stderr()
    command = None
    try:
        command, run = _parse(arguments)
        keep_compiled_code()
        code = run(command)
        sys.stdout.flush()
        return code
    except SystemExit as usage:  # --help (0) or a usage error (2), already printed
        return usage.code if isinstance(usage.code, int) else BAD_INPUT
    except (KeyboardInterrupt, Interrupted) as interrupt:
        message = str(interrupt) or "nothing was saved"
        _say(f"interrupted: {message}")
        _say_to_program(command, {"error": message, "exit_code": INTERRUPTED})
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone, as in `neupl games | head`; the flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except CheckFailed as failure:
        _say(f"check failed: {failure}")
        report = {"error": str(failure), "exit_code": CHECK_FAILED}
        _say_to_program(command, report if failure.report is None else failure.report)
        return CHECK_FAILED
    except Exception as error:
        code, message, hint = _explain(error)
        if code == DEFECT or os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        _say(f"error: {message}" + (f"\nhint: {hint}" if hint else ""))
        _say_to_program(command, {"error": message, "exit_code": code})
        return code


def _parse(arguments: list[str]) -> tuple[Any, Callable[[Any], int]]:
    """Returns the command as a dataclass and the function that runs it.

    Raises:
      SystemExit: after printing help (code 0) or what is wrong with the arguments (code 2).
    """
    import tyro

    if arguments and arguments[0] in COMMANDS:
        name = arguments[0]
        command_type = _load(name)
        command = tyro.cli(command_type, prog=f"neupl {name}", args=arguments[1:])
    else:
        alternatives = []
        for name in COMMANDS:
            command_type = _load(name)
            summary = inspect.cleandoc(command_type.__doc__ or "").splitlines()[0]
            subcommand = tyro.conf.subcommand(name, description=summary)
            alternatives.append(Annotated[command_type, subcommand])
        any_command = Union[tuple(alternatives)]  # noqa: UP007 - the members are only known now
        command = tyro.cli(any_command, prog="neupl", description=_DESCRIPTION, args=arguments)
    return command, sys.modules[type(command).__module__].run


def _load(name: str) -> type:
    module_name, type_name = COMMANDS[name].split(":")
    return getattr(importlib.import_module(module_name), type_name)


def _explain(error: Exception) -> tuple[int, str, str]:
    """Exit code, message and hint for an exception that reached the top."""
    from evaluation.types import DataError
    from games.types import GameError
    from solvers.types import SolverError

    message = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, UserError):
        return BAD_INPUT, message, error.hint
    if isinstance(error, DataError | GameError | SolverError):
        return BAD_INPUT, message, ""
    if isinstance(error, OSError):
        return BAD_INPUT, _os_error_text(error), _OS_ERROR_HINTS.get(error.errno, "")
    if isinstance(error, MemoryError):
        return BAD_INPUT, "out of memory", "choose a smaller game or population"
    hint = "this is a defect of neupl; please report it with the lines above"
    return DEFECT, f"{type(error).__name__}: {message}", hint


def _os_error_text(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    return f"{reason}: {error.filename}" if error.filename else reason


class _StderrHandler(logging.Handler):
    """Prints to whatever stderr is now: a live panel replaces it while it is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def _log_to_stderr() -> None:
    root = logging.getLogger()
    if not root.handlers:
        handler = _StderrHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        root.addHandler(handler)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _say_to_program(command: Any, content: Mapping[str, Any]) -> None:
    """Keeps the promise of `--json`, one object on stdout, when the command itself did not."""
    if getattr(command, "json", False):
        print_json(content)
