"""The map over items of work by processes of this machine.

Each worker has a pipe of its own, so that a process that dies or is killed takes nothing with it
but the item in its hands.
"""

import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

from neupl.broadcast import Broadcast, Informed
from neupl.crew import Crew, Outcome, attempt
from neupl.incidents import Incidents, MapFn
from neupl.one_thread import WORKER


class WorkerLost(Exception):
    """A worker died with what it had in hand."""


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
        lost=(WorkerLost,),
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
    """See `neupl.crew.Worker`.

    A thread hands items over and waits for their results, one after the other. The process alone
    holds its end of the pipe, so that its death ends every wait, also for a result of which a part
    has come already: an executor of `concurrent.futures` would wait for the rest for ever.
    """

    def __init__(self, function: Callable[[Any, Any], Any], state: Any) -> None:
        # A fork of a process that runs JAX may stop for ever.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, function, state))
        self._process.start()
        theirs.close()
        self.name = str(self._process.pid)
        self.ready: concurrent.futures.Future = concurrent.futures.Future()
        self._calls: queue.SimpleQueue = queue.SimpleQueue()
        self._heard: int | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def submit(self, item: Any) -> concurrent.futures.Future:
        if isinstance(item, Informed):
            version = item.broadcast.version
            if version == self._heard:
                item = dataclasses.replace(item, broadcast=Broadcast(version, None))
            self._heard = version
        future: concurrent.futures.Future = concurrent.futures.Future()
        self._calls.put((item, future))
        return future

    def stop(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()
        self._calls.put(None)

    def _serve(self) -> None:
        """Answers calls until the worker is let go; those after its death by its loss."""
        _settle(self.ready, self._connection.recv)
        while (call := self._calls.get()) is not None:
            item, future = call
            _settle(future, lambda item=item: self._exchange(item))
        self._process.join()
        self._connection.close()

    def _exchange(self, item: Any) -> Outcome:
        self._connection.send(item)
        return self._connection.recv()


def _settle(future: concurrent.futures.Future, work: Callable[[], Any]) -> None:
    try:
        future.set_result(work())
    except (EOFError, OSError) as error:
        future.set_exception(WorkerLost(str(error)))
    except Exception as error:
        future.set_exception(error)


def _work(connection: Connection, function: Callable[[Any, Any], Any], state: Any) -> None:
    """The process of a worker."""
    # Ctrl-C goes to all processes of a terminal; the first one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection.send(os.getpid())
    heard: Broadcast | None = None
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        if isinstance(item, Informed):
            if heard is None or item.broadcast.version != heard.version:
                heard = item.broadcast
            item = dataclasses.replace(item, broadcast=heard)
        outcome = attempt(function, state, item)
        try:
            message = ForkingPickler.dumps(outcome)
        except Exception as error:
            message = ForkingPickler.dumps(Outcome(error=TypeError(f"result of {item}: {error}")))
        connection.send_bytes(message)


def _end_with_parent() -> None:
    """A worker whose parent was killed would go on for nobody, and hold on to what it writes."""
    multiprocessing.parent_process().join()
    os._exit(1)
