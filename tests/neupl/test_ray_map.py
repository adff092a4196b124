"""The map over items of work on a Ray cluster of three nodes on this machine, one of them the head,
which has no cores: the same results, and what becomes of lost workers and nodes.
"""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from evaluation.tournament.items import Item, Setup, play_item
from games.registry import load_lanes
from neupl.entrants import make_entrants
from neupl.errors import UserError
from neupl.workers import Workers
from tests.ray_cluster import add_node, start_cluster

ray = pytest.importorskip("ray", reason="the extra [ray] is not installed")
psutil = pytest.importorskip("psutil", reason="finds the node of a process")

pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets and files to the collector.
    pytest.mark.filterwarnings("ignore"),
]

NODES = 2
PATIENCE_S = 300


@pytest.fixture
def accidents(monkeypatch):
    """The module of the items, importable by the workers as well."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import accident_items

    return accident_items


@pytest.fixture(scope="module")
def cluster():
    """A head without cores and two nodes with one each."""
    cluster = start_cluster(NODES)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_serial_processes_and_ray_play_the_same_games_to_the_bit(cluster, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    game = "kuhn_poker"
    entrants = make_entrants(
        ("openspiel:random", "openspiel:mcts(simulations=5)"), game, load_lanes(game)
    )
    setup = Setup(game, entrants, 3, 8, None, 0, 5_000_000)
    items = [Item((0, 1), block) for block in range(6)]
    found = []
    for workers in (Workers(), Workers(number=2), Workers(ray=cluster.address)):
        with workers.map(play_item, setup) as map_fn:
            results = {result.item: result.returns for result in map_fn(items)}
        found.append(np.stack([results[item] for item in items]))
    assert found[0].any()
    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_killed_hanging_raising_and_broken_items(cluster, accidents, tmp_path):
    workers = Workers(ray=cluster.address, item_limit_s=8.0)
    kinds = ["", "dies", "", "hangs", ""]
    items = [accidents.Item(kind, number) for number, kind in enumerate(kinds)]
    with workers.map(accidents.do, tmp_path) as map_fn:
        assert accidents.plain(map_fn(items)) == accidents.expected(items)
        assert accidents.attempts_of(tmp_path, 1) == accidents.attempts_of(tmp_path, 3) == 2
        assert (workers.incidents.lost, workers.incidents.over_limit) == (1, 1)
        with pytest.raises(UserError, match=r"number=9\) returned NaN"):
            list(map_fn([accidents.Item("nan", 9)]))
        with pytest.raises(ValueError) as raised:
            list(map_fn([accidents.Item("raises", 8)]))
        assert str(raised.value) == "no result of 8"
        items = [accidents.Item("", number) for number in (20, 21)]
        assert accidents.plain(map_fn(items)) == accidents.expected(items)


def test_items_of_a_lost_node_are_done_by_others(cluster, accidents, tmp_path):
    killed = threading.Thread(target=_kill_node_of, args=(cluster, tmp_path, 2), daemon=True)
    killed.start()
    items = [accidents.Item("hangs" if number == 2 else "", number) for number in range(8)]
    # The limit only ends the test if the loss of the node goes unnoticed.
    workers = Workers(ray=cluster.address, item_limit_s=PATIENCE_S)
    with workers.map(accidents.do, tmp_path) as map_fn:
        assert accidents.plain(map_fn(items)) == accidents.expected(items)
    killed.join()
    assert workers.incidents.lost >= 1 and workers.incidents.over_limit == 0
    assert accidents.attempts_of(tmp_path, 2) == 2
    alive = [node for node in cluster.nodes_with_cores if _raylet(node).poll() is None]
    assert len(alive) == NODES - 1
    # A node that joins while a map works gets a worker.
    add_node(cluster, 1)


def test_an_address_where_nobody_answers_is_one_error():
    with (
        pytest.raises(UserError, match="no Ray cluster answers"),
        Workers(ray="127.0.0.1:1").map(_nothing, None),
    ):
        pass


def _nothing(state: None, item: int) -> int:
    return item


def _raylet(node):
    return node.all_processes["raylet"][0].process


def _kill_node_of(cluster, folder: Path, number: int) -> None:
    """Kills the node that has begun an item, without a word to anybody."""
    deadline = time.monotonic() + PATIENCE_S
    while not (begun := list(folder.glob(f"{number}-*"))):
        if time.monotonic() > deadline:
            return
        time.sleep(0.1)
    ancestors = {p.pid for p in psutil.Process(int(begun[0].name.rpartition("-")[2])).parents()}
    node = next(n for n in cluster.nodes_with_cores if _raylet(n).pid in ancestors)
    os.kill(_raylet(node).pid, signal.SIGKILL)
