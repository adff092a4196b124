"""Items of work that have accidents, each once; which ones had theirs is written in a folder."""

import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neupl.broadcast import Informed


class OddError(Exception):
    """Cannot be made again from what it was made with, as other processes would have to."""

    def __init__(self, number: int, words: str) -> None:
        super().__init__(f"{words} of {number}")


class Item(NamedTuple):
    """An accident, or none (`""`), and a number from which the result follows."""

    accident: str
    number: int


def do(folder: Path, item: Item) -> tuple[int, np.ndarray]:
    """Random numbers that follow from the item; a marker per attempt stays in the folder."""
    attempts = len(list(folder.glob(f"{item.number}-*")))
    (folder / f"{item.number}-{attempts}-{os.getpid()}").touch()
    if item.accident == "raises":
        raise ValueError(f"no result of {item.number}")
    if item.accident == "raises oddly":
        raise OddError(item.number, "no result")
    if item.accident == "nan":
        return item.number, np.array([1.0, np.nan])
    if item.accident == "always dies" or (item.accident == "dies" and attempts == 0):
        os.kill(os.getpid(), signal.SIGKILL)
    if item.accident == "dies while it tells" and attempts == 0:
        Connection._send = _send_a_half
    if item.accident == "hangs" and attempts == 0:
        # Longer than any test.
        time.sleep(1000)
    return item.number, np.random.default_rng(item.number).normal(size=3)


def _send_a_half(connection: Connection, message: bytes) -> None:
    os.write(connection.fileno(), bytes(message)[: len(message) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


class Marked:
    """A number that leaves a marker in a folder wherever it arrives."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number

    def __reduce__(self) -> tuple:
        return arrived, (self.folder, self.number)


def arrived(folder: Path, number: int) -> Marked:
    """What the other process gets."""
    (folder / f"broadcast-{number}-{os.getpid()}-{time.monotonic_ns()}").touch()
    return Marked(folder, number)


def multiply(folder: Path, item: Informed) -> tuple[int, int, int]:
    """The number of the broadcast times that of the item, and who says so; dies once at 7."""
    attempts = len(list(folder.glob("seven-*")))
    if item.item == 7 and attempts == 0:
        (folder / f"seven-{os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item.item, item.broadcast.content.number * item.item, os.getpid()


def expected(items: list[Item]) -> list[tuple[int, list[float]]]:
    """What an undisturbed map would return, in order."""
    return [(i.number, np.random.default_rng(i.number).normal(size=3).tolist()) for i in items]


def plain(results: list[tuple[int, np.ndarray]]) -> list[tuple[int, list[float]]]:
    """Results in the order of their items, to be compared bit for bit."""
    return sorted((number, draws.tolist()) for number, draws in results)


def attempts_of(folder: Path, number: int) -> int:
    """How often an item was begun."""
    return len(list(folder.glob(f"{number}-*")))
