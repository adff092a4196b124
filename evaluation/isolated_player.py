"""Players in processes of their own: a bot that raises, hangs or kills its process loses its games
and nothing else.

What it is asked goes through a pipe: seeds, what the seat sees, and legal actions. A process that
has ended starts again with the next match.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn

import numpy as np
from jaxtyping import UInt64

from evaluation.players import Choice, MoveTimeoutError, Player, PlayerError, Turn

# How long a call may take where nobody set a limit: whatever takes longer is taken to hang.
PATIENCE_S = 60.0
# What the processes need whoever plays: imported once, by the server that they are forked from.
_PRELOADED = ["evaluation.isolated_player"]


class IsolatedPlayer:
    """A player that sees what its seat observes, in a process of its own; see `Player`."""

    def __init__(self, make: Callable[[], Player], *, patience_s: float = PATIENCE_S) -> None:
        """Remembers how the player is made; the process starts with the first match.

        Args:
          make: makes the player, in its process; picklable.
          patience_s: seconds that a call may take where the turn sets no limit.
        """
        self._make, self._patience_s = make, patience_s
        self._process: Any = None
        self._pipe: Connection | None = None
        self._ended = "it has not begun"

    def begin(self, seeds: UInt64[np.ndarray, "B"]) -> None:
        """See `Player`.

        Raises:
          PlayerError: the player cannot be made, raised, or its process ended.
          MoveTimeoutError: it hangs.
        """
        if self._pipe is None:
            self._start()
        self._ask("begin", (np.asarray(seeds),), self._patience_s)

    def choose(self, turn: Turn) -> Choice:
        """See `Player`; errors as in `begin`."""
        asked = turn.lanes, turn.observe(), turn.legal, turn.infoset, turn.uniform
        limit_s = self._patience_s if turn.limit_s is None else turn.limit_s
        return Choice(*self._ask("choose", asked, limit_s))

    def close(self) -> None:
        """Ends the process."""
        if self._pipe is not None:
            self._kill("it was ended")

    def _start(self) -> None:
        # Forked from a server that imported everything and runs no thread: a start costs nothing.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._make, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def _ask(self, what: str, content: tuple, limit_s: float) -> Any:
        if self._pipe is None:
            raise PlayerError(self._ended)
        try:
            self._pipe.send((what, content))
            if not self._pipe.poll(limit_s):
                raise MoveTimeoutError(f"no answer within {limit_s:g} s")
            done, answer = self._pipe.recv()
        except (EOFError, OSError):
            self._kill(None)
            raise PlayerError(self._ended) from None
        except BaseException as error:
            # Whatever it may still answer is too late.
            self._kill(f"its process was ended: {error or 'it took too long'}")
            raise
        if not done:
            raise PlayerError(answer)
        return answer

    def _kill(self, why: str | None) -> None:
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        pipe.close()
        if why is None:
            # It closed its end of the pipe; its exit code follows.
            process.join(timeout=5.0)
            why = _ending(process.exitcode)
        self._ended = why
        process.kill()
        process.join()


def _ending(code: int | None) -> str:
    if code is None:
        return "its process closed the connection"
    if code < 0:
        return f"its process was killed by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}"


def _serve(make: Callable[[], Player], pipe: Connection) -> NoReturn:
    """Answers until nobody asks any more."""
    # Ctrl-C goes to all processes of a terminal; whoever asks decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What it prints must not mix with what the program prints.
    os.dup2(2, 1)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    player: Player | None = None
    with contextlib.suppress(EOFError, OSError):
        while True:
            what, content = pipe.recv()
            try:
                if player is None:
                    player = make()
                answer: Any = None
                if what == "begin":
                    player.begin(*content)
                else:
                    choice = player.choose(_turn(*content))
                    told = choice.probabilities
                    answer = np.asarray(choice.action), None if told is None else np.asarray(told)
                done = True
            except Exception as error:  # whatever it raises is told
                done, answer = False, f"{type(error).__name__}: {' '.join(str(error).split())}"
            pipe.send((done, answer))
    os._exit(0)


def _turn(
    lanes: np.ndarray,
    observation: np.ndarray,
    legal: np.ndarray,
    infoset: np.ndarray | None,
    uniform: np.ndarray,
) -> Turn:
    return Turn(lanes, lambda: observation, legal, infoset, uniform, _no_state)


def _no_state(lane: int) -> NoReturn:
    raise TypeError("a player in a process of its own sees observations alone")


def _leave_with_parent() -> NoReturn:
    """Ends this process, hanging or not, when the one that asks is gone."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
