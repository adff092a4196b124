"""The map over items of work by processes of this machine.

Each worker is an executor of one process, so that a process that dies or is killed takes nothing
with it but the item in its hands.
"""

import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from neupl.broadcast import Broadcast, Informed
from neupl.crew import Crew, Outcome, attempt
from neupl.incidents import Incidents, MapFn
from neupl.one_thread import WORKER

_work: tuple[Callable[[Any, Any], Any], Any] | None = None
_heard: Broadcast | None = None


@contextlib.contextmanager
def process_map(
    function: Callable[[Any, Any], Any],
    state: Any,
    *,
    num_workers: int,
    limit_s: float | None,
    incidents: Incidents,
) -> Iterator[MapFn]:
    """See `neupl.workers.Workers.map`."""
    before = {name: os.environ.get(name) for name in WORKER}
    os.environ.update(WORKER)
    crew = Crew(
        lambda: _ProcessWorker(function, state),
        size=lambda: num_workers,
        lost=(BrokenProcessPool,),
        limit_s=limit_s,
        incidents=incidents,
    )
    try:
        yield crew.map
    finally:
        crew.close()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _ProcessWorker:
    """See `neupl.crew.Worker`."""

    name = "on this machine"

    def __init__(self, function: Callable[[Any, Any], Any], state: Any) -> None:
        self._executor = concurrent.futures.ProcessPoolExecutor(
            1,
            # A fork of a process that runs JAX may stop for ever.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(function, state),
        )
        self.ready = self._executor.submit(os.getpid)
        self.ready.add_done_callback(self._take_name)
        self._heard: int | None = None

    def submit(self, item: Any) -> concurrent.futures.Future:
        if isinstance(item, Informed):
            version = item.broadcast.version
            if version == self._heard:
                item = dataclasses.replace(item, broadcast=Broadcast(version, None))
            self._heard = version
        return self._executor.submit(_do, item)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        # One that is still starting ends by itself: it finds no work.
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self.ready.done() and not self.ready.cancelled() and self.ready.exception() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.ready.result(), how)

    def _take_name(self, ready: concurrent.futures.Future) -> None:
        if not ready.cancelled() and ready.exception() is None:
            self.name = str(ready.result())


def _start(function: Callable[[Any, Any], Any], state: Any) -> None:
    global _work
    _work = (function, state)
    # Ctrl-C goes to all processes of a terminal; the first one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would go on for nobody, and hold on to what it writes."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _do(item: Any) -> Outcome:
    global _heard
    if isinstance(item, Informed):
        # Items come in the order in which they were handed over.
        if _heard is None or item.broadcast.version != _heard.version:
            _heard = item.broadcast
        item = dataclasses.replace(item, broadcast=_heard)
    return attempt(*_work, item)
