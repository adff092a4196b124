"""What can go wrong for the user; `neupl.cli.main` turns each into one line and an exit code."""

from collections.abc import Mapping
from typing import Any


class UserError(Exception):
    """Bad input or a bad environment (exit code 2).

    Attributes:
      hint: what to do about it, one sentence; empty when the message already says so.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class CheckFailed(Exception):
    """A check ran to its end and did not hold (exit code 1).

    Attributes:
      report: what the check measured; printed as the command's JSON object under `--json`.
    """

    def __init__(self, message: str, *, report: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.report = report


class Interrupted(Exception):
    """The user stopped the work (exit code 130); the message says what was saved."""
