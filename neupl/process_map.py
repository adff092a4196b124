"""The map over items of work that is injected into what can be done in pieces: in this process or
in several, in any order of completion.
"""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from neupl.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")
MapFn = Callable[[Iterable[Any]], Iterator[Any]]

# Tasks that wait for each worker: enough that none is idle, few enough that little is lost.
_WAITING = 3
# One thread a process: a worker more is worth more than a thread more.
_ONE_THREAD = {"NPROC": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

_state: Any = None


@contextlib.contextmanager
def task_map(
    num_workers: int, function: Callable[[Any, Task], Result], state: Any
) -> Iterator[MapFn]:
    """Gives a map of `function(state, task)` over tasks, results as they are done.

    Args:
      num_workers: processes; 1 works in this one.
      function: of a module, so that processes find it.
      state: picklable; handed to every process once.

    Raises:
      UserError: a worker process died.
    """
    if num_workers == 1:
        yield lambda tasks: (function(state, task) for task in tasks)
        return
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    pool = concurrent.futures.ProcessPoolExecutor(
        num_workers,
        # A fork of a process that runs JAX may stop for ever.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(state,),
    )
    try:
        yield lambda tasks: _results(pool, num_workers, function, tasks)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _results(
    pool: concurrent.futures.Executor,
    num_workers: int,
    function: Callable[[Any, Task], Result],
    tasks: Iterable[Task],
) -> Iterator[Result]:
    waiting: set[concurrent.futures.Future] = set()
    left = iter(tasks)
    try:
        while True:
            while len(waiting) < _WAITING * num_workers:
                task = next(left, None)
                if task is None:
                    break
                waiting.add(pool.submit(_work, function, task))
            if not waiting:
                return
            done, waiting = concurrent.futures.wait(
                waiting, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process died", hint="what was done is saved; try again, or --workers 1"
        ) from error


def _start(state: Any) -> None:
    global _state
    _state = state
    # Ctrl-C goes to all processes of a terminal; the first one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _work(function: Callable[[Any, Task], Result], task: Task) -> Result:
    return function(_state, task)
