"""The map over items of work by a Ray cluster: one actor a core, on any node.

The state goes to the object store once, and from there once to every node. A lost actor or node
costs the items that were there, which others do again; a driver that was killed takes its actors
with it. Nodes that join get actors as soon as they are seen.
"""

import collections
import concurrent.futures
import contextlib
import logging
import os
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from neupl.broadcast import Broadcast, Informed
from neupl.compiled_code import keep_compiled_code
from neupl.crew import Crew, Outcome, attempt
from neupl.errors import UserError
from neupl.incidents import Incidents, MapFn
from neupl.one_thread import WORKER

# Variables that change what JAX computes; compiled programs are of a node's own processor.
_PASSED_ON, _OWN = ("JAX_", "XLA_"), ("JAX_COMPILATION_CACHE_DIR",)
# Where Ray keeps what opens its clusters to a user.
_TOKEN = Path("~/.ray/auth_token")
# Seconds that a cluster may take to answer.
_ANSWER_S = 10.0
# Seconds between two looks at the size of the cluster.
_LOOK_S = 5.0
# Broadcasts that are kept in the object store; items that were begun again may need older ones,
# which are put there again.
_KEPT_BROADCASTS = 4


@contextlib.contextmanager
def ray_map(
    function: Callable[[Any, Any], Any],
    state: Any,
    *,
    address: str,
    num_workers: int | None,
    limit_s: float | None,
    incidents: Incidents,
) -> Iterator[MapFn]:
    """See `neupl.workers.Workers.map`.

    Raises:
      UserError: Ray is not installed, or there is no cluster at the address.
    """
    # Ray would otherwise announce on every start how it treats GPUs of actors that ask for none.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        from ray import exceptions
    except ImportError as error:
        raise UserError(
            f"--ray {address} needs Ray, which is not installed",
            hint="pip install -c constraints.txt -e '.[ray]', on every node",
        ) from error
    with contextlib.ExitStack() as stack:
        # Ray prints what happens to workers on stdout, which belongs to the result.
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        if not ray.is_initialized():
            _connect(ray, address, num_workers)
            stack.callback(ray.shutdown)
        place = _Place(
            environment={
                name: value
                for name, value in os.environ.items()
                if name.startswith(_PASSED_ON) and name not in _OWN
            }
            | WORKER,
            folder=os.getcwd(),
            path=tuple(sys.path),
        )
        work = ray.put((function, state))
        make_actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Actor)
        broadcasts = _Broadcasts(ray)
        crew = Crew(
            lambda: _RayWorker(ray, make_actor.remote(place, [work]), broadcasts),
            size=_Size(ray, num_workers),
            lost=(
                exceptions.RayActorError,
                exceptions.ObjectLostError,
                exceptions.WorkerCrashedError,
                exceptions.NodeDiedError,
                exceptions.OutOfMemoryError,
            ),
            limit_s=limit_s,
            incidents=incidents,
        )
        stack.callback(crew.close)
        yield crew.map


def _connect(ray: Any, address: str, num_workers: int | None) -> None:
    # A cluster that is started here has a core for every worker that is asked for.
    own = {"num_cpus": num_workers, "include_dashboard": False} if address == "local" else {}
    try:
        host, colon, port = address.removeprefix("ray://").rpartition(":")
        if colon:
            # Ray itself asks for minutes.
            socket.create_connection((host, int(port)), timeout=_ANSWER_S).close()
        with warnings.catch_warnings():
            # JAX warns of every fork; a node is another program at once.
            warnings.filterwarnings("ignore", r"os\.fork\(\)", RuntimeWarning)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # Ray itself raises no narrower one where a node does not start.
        hint = "start one by `ray start --head`, give its ADDRESS:PORT, or --ray local"
        # A head closes its cluster where there is a token, but drivers are not told (Ray 2.60).
        if "RAY_AUTH_MODE" not in os.environ and _TOKEN.expanduser().exists():
            hint += f"; RAY_AUTH_MODE=token shows it the token in {_TOKEN}, which it may ask for"
        raise UserError(
            f"--ray {address}: no Ray cluster answers: {' '.join(str(error).split())}", hint=hint
        ) from error


class _Place:
    """Where the driver works, for nodes that share its files.

    Attributes:
      environment: variables that workers are to have.
      folder: the driver's.
      path: where it finds modules.
    """

    def __init__(self, *, environment: dict[str, str], folder: str, path: tuple[str, ...]) -> None:
        self.environment, self.folder, self.path = environment, folder, path

    def enter(self) -> None:
        """Makes this process find what the driver finds, as far as it is there."""
        # Before JAX is imported: XLA reads them once.
        os.environ.update(self.environment)
        keep_compiled_code()
        if os.path.isdir(self.folder):
            os.chdir(self.folder)
        for folder in self.path:
            if (folder == "" or os.path.isdir(folder)) and folder not in sys.path:
                sys.path.append(folder)


class _Size:
    """How many workers there should be: as asked, else as many as the cluster has cores."""

    def __init__(self, ray: Any, number: int | None) -> None:
        self._ray, self._number = ray, number
        self._seen, self._looked = 1, -float("inf")

    def __call__(self) -> int:
        if self._number is not None:
            return self._number
        if time.monotonic() - self._looked > _LOOK_S:
            self._seen = max(int(self._ray.cluster_resources().get("CPU", 1)), 1)
            self._looked = time.monotonic()
        return self._seen


class _Actor:
    """In a process of some node; `work` is a reference in a list, so that Ray leaves it to us."""

    def __init__(self, place: _Place, work: list[Any]) -> None:
        import ray

        place.enter()
        self._function, self._state = ray.get(work[0])
        self._heard: Broadcast | None = None

    def where(self) -> str:
        """The process and its node."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        return f"{os.getpid()} on node {node[:8]}"

    def do(self, item: Any) -> Outcome:
        """Does an item."""
        return attempt(self._function, self._state, item)

    def do_informed(self, item: Any, version: int, content: list[Any]) -> Outcome:
        """Does an item with a broadcast, a reference in a list likewise."""
        import ray

        if self._heard is None or self._heard.version != version:
            self._heard = Broadcast(version, ray.get(content[0]))
        return self.do(Informed(self._heard, item))


class _Broadcasts:
    """The latest broadcasts in the object store, from where every node fetches each once."""

    def __init__(self, ray: Any) -> None:
        self._ray, self._references = ray, collections.OrderedDict()

    def reference(self, broadcast: Broadcast) -> Any:
        if broadcast.version not in self._references:
            self._references[broadcast.version] = self._ray.put(broadcast.content)
            if len(self._references) > _KEPT_BROADCASTS:
                # It stays as long as items that were handed out need it.
                self._references.popitem(last=False)
        return self._references[broadcast.version]


class _RayWorker:
    """See `neupl.crew.Worker`."""

    name = "of the cluster"

    def __init__(self, ray: Any, actor: Any, broadcasts: _Broadcasts) -> None:
        self._ray, self._actor, self._broadcasts = ray, actor, broadcasts
        self.ready = actor.where.remote().future()
        self.ready.add_done_callback(self._take_name)

    def submit(self, item: Any) -> concurrent.futures.Future:
        if isinstance(item, Informed):
            told = [self._broadcasts.reference(item.broadcast)]
            return self._actor.do_informed.remote(item.item, item.broadcast.version, told).future()
        return self._actor.do.remote(item).future()

    def stop(self) -> None:
        self.kill()

    def kill(self) -> None:
        self._ray.kill(self._actor)

    def _take_name(self, ready: concurrent.futures.Future) -> None:
        if not ready.cancelled() and ready.exception() is None:
            self.name = str(ready.result())
