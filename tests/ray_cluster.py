"""A Ray cluster of several nodes on this machine."""

from typing import Any

import pytest

STORE_BYTES = 80_000_000
# Ray gives a node 30 seconds to start, which a busy machine may need for more than one.
ATTEMPTS = 4


def start_cluster(num_nodes: int) -> Any:
    """A head without cores, which only directs, and nodes with one each, in `nodes_with_cores`."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    add_node(cluster, 0, include_dashboard=False)
    cluster.nodes_with_cores = [add_node(cluster, 1) for _ in range(num_nodes)]
    return cluster


def add_node(cluster: Any, num_cpus: int, **options: Any) -> Any:
    """One more node; a node that does not come up in time is started again."""
    for attempt in range(ATTEMPTS):
        try:
            return cluster.add_node(num_cpus=num_cpus, object_store_memory=STORE_BYTES, **options)
        except Exception as error:
            if "timed out" not in str(error) or attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("not reached")


def actors() -> list[int]:
    """Processes that do items, of this process, or of the cluster that it started."""
    psutil = pytest.importorskip("psutil", reason="finds processes")
    found = []
    for process in psutil.Process().children(recursive=True):
        line = " ".join(process.cmdline())
        if "spawn_main" in line or line.startswith("ray::_Actor"):
            found.append(process.pid)
    return found
