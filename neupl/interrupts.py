"""Ctrl-C, and SIGTERM as schedulers send it: both ask a run to stop, neither costs its state.

An exception that a signal handler raises can be lost: Python ignores it inside a callback of the
garbage collector, of which JAX has some. A loop therefore asks `StopRequest` between two steps.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], None] | signal.Handlers

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """A handler that remembers the first signal and raises `KeyboardInterrupt` at the second.

    Attributes:
      received: whether somebody has asked to stop.
    """

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.received = False

    def __call__(self, signal_number: int, frame: FrameType | None) -> None:
        """Handles a signal."""
        if self.received:
            raise KeyboardInterrupt
        self.received = True

    def check(self) -> None:
        """Raises `KeyboardInterrupt` if somebody has asked to stop."""
        if self.received:
            raise KeyboardInterrupt


def raise_interrupt(signal_number: int, frame: FrameType | None) -> None:
    """A handler that stops at once."""
    raise KeyboardInterrupt


@contextmanager
def interrupts_handled_by(handler: Handler) -> Iterator[None]:
    """Gives both signals to `handler`; `signal.SIG_IGN` lets a short piece of work finish.

    Only the main thread of a process receives signals; elsewhere nothing changes.
    """
    try:
        previous: list[Any] = [signal.signal(number, handler) for number in _SIGNALS]
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        for number, before in zip(_SIGNALS, previous, strict=True):
            signal.signal(number, before)
