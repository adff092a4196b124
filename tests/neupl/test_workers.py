"""The map over items of work in this process and in several, with workers that have accidents."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from neupl.broadcast import Broadcast, Informed
from neupl.crew import LATER
from neupl.errors import UserError
from neupl.finite_results import check_finite
from neupl.workers import Workers


@pytest.fixture
def accidents(monkeypatch):
    """The module of the items, importable by the workers as well."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import accident_items

    return accident_items


def test_every_item_is_done_once_in_one_process_and_in_two(accidents, tmp_path):
    items = [accidents.Item("", number) for number in range(9)]
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        workers = Workers(number=number)
        with workers.map(accidents.do, folder) as map_fn:
            first = accidents.plain(map_fn(items[:5]))
            # A map is used again and again, as waves of a tournament do.
            rest = accidents.plain(map_fn(iter(items[5:])))
            assert list(map_fn([])) == []
        assert first + rest == accidents.expected(items)
        assert [accidents.attempts_of(folder, i.number) for i in items] == [1] * 9
        assert workers.incidents.describe() == ""
        processes = {path.name.rpartition("-")[2] for path in folder.iterdir()}
        assert (processes == {str(os.getpid())}) == (number == 1)
    assert all(name not in os.environ or os.environ[name] for name in ("NPROC",))


def test_items_of_killed_and_of_hanging_workers_are_begun_again(accidents, tmp_path):
    kinds = ["", "dies", "", "hangs", "", "dies while it tells", ""]
    items = [accidents.Item(kind, number) for number, kind in enumerate(kinds)]
    workers = Workers(number=2, item_limit_s=3.0)
    with workers.map(accidents.do, tmp_path) as map_fn:
        found = accidents.plain(map_fn(items))
    assert found == accidents.expected(items)
    assert accidents.attempts_of(tmp_path, 1) == accidents.attempts_of(tmp_path, 3) == 2
    assert accidents.attempts_of(tmp_path, 5) == 2
    assert (workers.incidents.lost, workers.incidents.over_limit) == (2, 1)
    assert workers.incidents.repeated == 3
    assert "2 workers lost, 1 items over their limit" in workers.incidents.describe()


def test_an_item_that_always_kills_its_worker_is_blamed(accidents, tmp_path):
    items = [accidents.Item("always dies", 7)]
    with (
        Workers(number=2).map(accidents.do, tmp_path) as map_fn,
        pytest.raises(UserError, match=r"number=7\) lost its worker 4 times"),
    ):
        list(map_fn(items))
    assert accidents.attempts_of(tmp_path, 7) == 4


def test_workers_hear_a_broadcast_once_and_replaced_ones_again(accidents, tmp_path):
    workers, tellers = Workers(number=2), set()
    with workers.map(accidents.multiply, tmp_path) as map_fn:
        for version, items in enumerate(([1, 2, 3, 4, 5, 6], [6, 7, 8, 9], [10, 11])):
            broadcast = Broadcast(version, accidents.Marked(tmp_path, version + 2))
            told = list(map_fn(Informed(broadcast, item) for item in items))
            assert sorted(pair[:2] for pair in told) == [(i, (version + 2) * i) for i in items]
            tellers |= {(version + 2, pid) for _, _, pid in told}
    assert workers.incidents.lost == workers.incidents.repeated == 1
    heard = [tuple(map(int, path.name.split("-")[1:3])) for path in tmp_path.glob("broadcast-*")]
    assert len(heard) == len(set(heard)) and set(heard) >= tellers


def test_a_map_waits_for_items_that_come_later(accidents, tmp_path):
    on_their_way, most = 0, 0

    def items():
        nonlocal on_their_way
        for number in range(6):
            while on_their_way == 2:
                yield LATER
            on_their_way += 1
            yield accidents.Item("", number)

    found = []
    with Workers(number=2).map(accidents.do, tmp_path) as map_fn:
        for result in map_fn(items()):
            most = max(most, on_their_way)
            on_their_way -= 1
            found.append(result)
    assert accidents.plain(found) == accidents.expected(
        [accidents.Item("", number) for number in range(6)]
    )
    assert most == 2


@pytest.mark.parametrize("number", [1, 2])
def test_what_an_item_raises_comes_out_and_nan_names_the_item(accidents, tmp_path, number):
    workers = Workers(number=number)
    with workers.map(accidents.do, tmp_path) as map_fn:
        with pytest.raises(ValueError, match="no result of 3"):
            list(map_fn([accidents.Item("raises", 3)]))
        with pytest.raises((accidents.OddError, RuntimeError), match="no result of 6"):
            list(map_fn([accidents.Item("raises oddly", 6)]))
        with pytest.raises(UserError, match=r"number=4\) returned NaN in \[1\]\[1\]"):
            list(map_fn([accidents.Item("nan", 4)]))
        # Neither is tried again, and the map still works.
        assert accidents.plain(map_fn([accidents.Item("", 5)])) == accidents.expected(
            [accidents.Item("", 5)]
        )
    assert accidents.attempts_of(tmp_path, 3) == accidents.attempts_of(tmp_path, 4) == 1


def test_an_interrupted_map_does_not_wait_for_its_items(accidents, tmp_path):
    start = time.monotonic()
    with Workers(number=1, item_limit_s=500.0).map(accidents.do, tmp_path) as map_fn:
        results = map_fn([accidents.Item("", 0), accidents.Item("hangs", 1)])
        assert next(results)[0] == 0
        results.close()
    assert time.monotonic() - start < 100


DRIVER = """
import sys
from pathlib import Path
from accident_items import Item, do
from neupl.workers import Workers

if __name__ == "__main__":
    with Workers(number=2).map(do, Path(sys.argv[1])) as map_fn:
        list(map_fn([Item("hangs", 0), Item("hangs", 1)]))
"""


def test_workers_end_when_their_driver_is_killed(tmp_path):
    folder, script = tmp_path / "items", tmp_path / "driver.py"
    folder.mkdir()
    script.write_text(DRIVER)
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    driver = subprocess.Popen(
        [sys.executable, script, folder], env={**os.environ, "PYTHONPATH": path}
    )
    while len(list(folder.iterdir())) < 2:
        assert driver.poll() is None
        time.sleep(0.05)
    pids = [int(path.name.rpartition("-")[2]) for path in folder.iterdir()]
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    deadline = time.monotonic() + 60
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Pair(NamedTuple):
    one: float
    other: np.ndarray


@dataclasses.dataclass
class Deep:
    parts: dict


@pytest.mark.parametrize(
    ("result", "place"),
    [
        (float("nan"), "NaN$"),
        ({"a": [1.0, float("nan")]}, r"NaN in \['a'\]\[1\]$"),
        (Deep({"x": Pair(1.0, np.array([[0, 1], [2, np.nan]]))}), r"parts\['x'\].other\[1, 1\]$"),
        (Pair(np.float64("nan"), np.zeros(1)), "NaN in one"),
    ],
)
def test_nan_is_found_wherever_it_is(result, place):
    with pytest.raises(UserError, match=place):
        check_finite("i", result)


def test_infinities_and_integers_are_no_nan():
    result = Deep({"x": Pair(float("inf"), np.arange(3)), "text": "nan", "none": None})
    assert check_finite("i", result) is result


def test_without_ray_it_is_said_what_to_install(accidents, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(UserError, match="needs Ray, which is not installed") as raised,
        Workers(ray="auto").map(accidents.do, tmp_path),
    ):
        pass
    assert ".[ray]" in raised.value.hint


@pytest.mark.parametrize("wrong", [{"number": 0}, {"item_limit_s": 0.0}])
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(UserError, match="expected"):
        Workers(**wrong)
