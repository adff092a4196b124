"""How long a best response is trained, chosen and measured: in seconds, or in batches."""

import dataclasses
import time
from collections.abc import Callable

# Shares of the budget at which training ends, and the choice among snapshots; the rest is for the
# measurement.
TRAINED, CHOSEN = 0.7, 0.8

# Called after every batch with the work done, the work in all (in the budget's unit) and the stage.
OnProgress = Callable[[float, float, str], None]


@dataclasses.dataclass(frozen=True)
class Budget:
    """Seconds of wall-clock time in all, or exactly so many batches of training.

    Attributes:
      seconds: of all stages, compilation included; every stage plays at least one batch of each
        thing that it compares, however short they are.
      batches: of training; the other stages get theirs in proportion.
    """

    seconds: float | None = None
    batches: int | None = None

    def __post_init__(self) -> None:
        """Raises `ValueError` unless exactly one is given, and positive."""
        if (self.seconds is None) == (self.batches is None):
            raise ValueError("a budget is either in seconds or in batches")
        for name, amount in (("seconds", self.seconds), ("batches", self.batches)):
            if amount is not None and not 0 < amount < float("inf"):
                raise ValueError(f"{name} is {amount!r}: it must be positive and finite")


class Work:
    """What of a budget is spent; the clock starts when this is made."""

    def __init__(self, budget: Budget, on_progress: OnProgress | None) -> None:
        self._budget, self._on_progress = budget, on_progress
        self._start = time.perf_counter()
        self._batches = 0

    @property
    def elapsed_s(self) -> float:
        """Wall-clock time so far."""
        return time.perf_counter() - self._start

    def share(self) -> float:
        """How much of the budget is spent; above 1 when it is exceeded."""
        if self._budget.seconds is not None:
            return self.elapsed_s / self._budget.seconds
        # A multiple of TRAINED at the end of the training, without rounding.
        return self._batches / self._budget.batches * TRAINED

    def finish_batch(self, stage: str) -> None:
        """Counts a batch of any stage."""
        self._batches += 1
        if self._on_progress is not None:
            total = self._budget.seconds or self._budget.batches / TRAINED
            self._on_progress(min(self.share(), 1.0) * total, total, stage)
