"""A crew of workers that are lost now and then: hands out items, hands them out again, collects.

Where the workers are is a backend's affair (`neupl.process_map`, `neupl.ray_map`).
"""

import collections
import concurrent.futures
import dataclasses
import logging
import pickle
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

from neupl.errors import UserError
from neupl.finite_results import check_finite
from neupl.incidents import Incidents

log = logging.getLogger(__name__)

# An item that says: nothing now, ask again when a result has been taken.
LATER = object()

# Seconds within which a worker did its last item if it is to have a second one waiting: what waits
# behind a long item could be with somebody else.
_SHORT_S = 1.0
# How often an item is begun before it is blamed for what happens to its workers.
MAX_ATTEMPTS = 4
# Workers in a row that may die before they ever worked.
_MAX_FALSE_STARTS = 4
# Seconds between two looks at limits and at the size of the crew.
_LOOK_S = 0.5
# Seconds without any worker after which the user is told.
_PATIENCE_S = 60.0
# Seconds that workers may take to save what they are in the middle of.
_GRACE_S = 30.0


@runtime_checkable
class Worker(Protocol):
    """A process that does items one after the other.

    Attributes:
      ready: done when the process is up.
      name: where it is, for people.
    """

    ready: concurrent.futures.Future
    name: str

    def submit(self, item: Any) -> concurrent.futures.Future:
        """Hands an item over; the future holds an `Outcome`, or the error of a lost worker."""

    def stop(self) -> None:
        """Asks the process to save what it can and to end."""

    def kill(self) -> None:
        """Ends the process at once."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A result, or what was raised instead."""

    result: Any = None
    error: Exception | None = None


def attempt(function: Callable[[Any, Any], Any], state: Any, item: Any) -> Outcome:
    """Does an item in a worker; what it raises is told apart from the death of the worker."""
    try:
        return Outcome(function(state, item))
    except Exception as error:
        trace = f"in item {item}, done by a worker:\n{traceback.format_exc()}"
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            error = RuntimeError(f"{type(error).__name__}: {error}")
        error.add_note(trace)
        return Outcome(error=error)


@dataclasses.dataclass
class _Item:
    content: Any
    attempts: int = 0


@dataclasses.dataclass
class _Member:
    """A worker and the items it has; the first one is in work."""

    worker: Worker
    items: "collections.deque[tuple[_Item, concurrent.futures.Future]]" = dataclasses.field(
        default_factory=collections.deque
    )
    since: float = 0.0
    last_s: float | None = None

    @property
    def is_ready(self) -> bool:
        return self.worker.ready.done()

    @property
    def capacity(self) -> int:
        return 2 if self.last_s is not None and self.last_s < _SHORT_S else 1


class Crew:
    """Workers and what they are doing; `map` may be called again and again until `close`."""

    def __init__(
        self,
        start_worker: Callable[[], Worker],
        *,
        size: Callable[[], int],
        lost: tuple[type[BaseException], ...],
        limit_s: float | None,
        incidents: Incidents,
    ) -> None:
        """Starts nobody yet.

        Args:
          start_worker: makes a worker that is on its way up.
          size: how many workers there should be now.
          lost: what a future raises when its worker was lost.
          limit_s: seconds that an item may take.
          incidents: counts what goes wrong.
        """
        self._start_worker, self._size, self._lost = start_worker, size, lost
        self._limit_s, self._incidents = limit_s, incidents
        self._members: list[_Member] = []
        self._backlog: collections.deque[_Item] = collections.deque()
        self._false_starts = 0

    def map(self, items: Iterable[Any]) -> Iterator[Any]:
        """Results of the items, as they are done.

        Args:
          items: taken as workers have room for them; `LATER` for as long as there is to be none.

        Raises:
          UserError: an item lost too many workers or returned NaN, or workers do not start.
        """
        left = (None if content is LATER else _Item(content) for content in items)
        idle_since = time.monotonic()
        try:
            while True:
                self._hand_out(left)
                if not any(member.items for member in self._members) and not self._backlog:
                    return
                if any(member.is_ready for member in self._members):
                    idle_since = time.monotonic()
                elif time.monotonic() - idle_since > _PATIENCE_S:
                    log.warning("no worker yet: waiting for free cores (--workers, or the cluster)")
                    idle_since = float("inf")
                self._wait()
                for item, outcome in self._collect():
                    if outcome.error is not None:
                        raise outcome.error
                    yield check_finite(item.content, outcome.result)
        finally:
            # Whoever still works does so for nobody.
            self._backlog.clear()
            self._stop([member for member in self._members if member.items])

    def close(self) -> None:
        """Ends all workers."""
        self._stop(list(self._members))

    def _hand_out(self, left: Iterator[_Item | None]) -> None:
        wanted = self._size()
        while len(self._backlog) < wanted and (item := next(left, None)) is not None:
            self._backlog.append(item)
        # Nobody is started who would find nothing to do.
        free = sum(not member.items for member in self._members)
        for _ in range(min(wanted - len(self._members), len(self._backlog) - free)):
            self._members.append(_Member(self._start_worker()))
        # All of them get one before anybody gets a second.
        for depth in (1, 2):
            for member in self._members:
                if not member.is_ready or member.worker.ready.exception() is not None:
                    continue
                if len(member.items) < min(depth, member.capacity):
                    item = self._backlog.popleft() if self._backlog else next(left, None)
                    if item is None:
                        return
                    if not member.items:
                        member.since = time.monotonic()
                    member.items.append((item, self._submitted(member.worker, item)))

    def _submitted(self, worker: Worker, item: _Item) -> concurrent.futures.Future:
        try:
            return worker.submit(item.content)
        except self._lost as error:
            # It died while it had nothing to do.
            future: concurrent.futures.Future = concurrent.futures.Future()
            future.set_exception(error)
            return future

    def _wait(self) -> None:
        waiting = []
        for member in self._members:
            if not member.is_ready:
                waiting.append(member.worker.ready)
            waiting += [future for _, future in member.items]
        concurrent.futures.wait(waiting, _LOOK_S, concurrent.futures.FIRST_COMPLETED)

    def _collect(self) -> Iterator[tuple[_Item, Outcome]]:
        """What is done; whoever was lost or is late is replaced."""
        for member in list(self._members):
            if member.is_ready and (error := member.worker.ready.exception()) is not None:
                self._replace(member, f"it did not start: {error}")
                continue
            while member.items and member.items[0][1].done():
                item, future = member.items[0]
                error = future.exception()
                if isinstance(error, self._lost):
                    self._incidents.lost += 1
                    self._replace(member, "it died or its machine was lost")
                    break
                member.items.popleft()
                now = time.monotonic()
                member.last_s, member.since = now - member.since, now
                self._false_starts = 0
                yield item, Outcome(error=error) if error else future.result()
            late = self._limit_s is not None and time.monotonic() - member.since > self._limit_s
            if late and member.items and member in self._members:
                self._incidents.over_limit += 1
                self._replace(member, f"an item took more than {self._limit_s:g} s")

    def _replace(self, member: _Member, reason: str) -> None:
        """Lets a worker go; its items are begun again by others, the first one blamed."""
        items = [item for item, _ in member.items]
        self._dismiss(member)
        if not items:
            self._incidents.lost += 1
            self._false_starts += 1
            if self._false_starts >= _MAX_FALSE_STARTS:
                raise UserError(
                    f"{self._false_starts} workers in a row did not start; the last one: {reason}",
                    hint="look for memory and for what is installed where the workers are",
                )
        log.warning("worker %s is replaced: %s", member.worker.name, reason)
        if items:
            items[0].attempts += 1
            self._incidents.repeated += 1
            if items[0].attempts >= MAX_ATTEMPTS:
                raise UserError(
                    f"item {items[0].content} lost its worker {items[0].attempts} times; the last "
                    f"time {reason}",
                    hint="more memory, a longer --item-limit-s, or --workers 1 may help",
                )
        self._backlog.extendleft(reversed(items))

    def _stop(self, members: list[_Member]) -> None:
        for member in members:
            member.worker.stop()
        in_work = [member.items[0][1] for member in members if member.items]
        concurrent.futures.wait(in_work, _GRACE_S)
        for member in members:
            self._dismiss(member)

    def _dismiss(self, member: _Member) -> None:
        self._members.remove(member)
        member.worker.kill()
