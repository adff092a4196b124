"""What workers are expected to do, and what went wrong with them and was made good."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

# Results of items, each as soon as it is there.
MapFn = Callable[[Iterable[Any]], Iterator[Any]]


@dataclasses.dataclass
class Incidents:
    """What went wrong and was made good.

    Attributes:
      lost: workers that died, or whose machine was lost, with an item or before it.
      over_limit: items that took longer than their limit; their workers were killed.
      repeated: items that were begun again.
    """

    lost: int = 0
    over_limit: int = 0
    repeated: int = 0

    def describe(self) -> str:
        """In words; empty where nothing went wrong."""
        if not (self.lost or self.over_limit):
            return ""
        return (
            f"{self.lost} workers lost, {self.over_limit} items over their limit, "
            f"{self.repeated} items begun again"
        )
