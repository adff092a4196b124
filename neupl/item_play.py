"""Who plays the episodes of an evaluation: this process, or workers, with the same results."""

from collections.abc import Callable, Sequence
from typing import Any

# `(shared, item) -> result`: a pure function of what items share, such as parameters, and of one.
PlayItem = Callable[[Any, Any], Any]
# `(shared, items) -> results`, in the order of the items.
PlayItems = Callable[[Any, Sequence[Any]], list[Any]]


class ItemPlay:
    """Plays items; a single one here, since nobody else would be sooner done with it."""

    def __init__(self, play: PlayItem, elsewhere: PlayItems | None = None) -> None:
        """Plays by `play`, several items by `elsewhere`, which does what `play` does."""
        self._play, self._elsewhere = play, elsewhere

    def __call__(self, shared: Any, items: Sequence[Any]) -> list[Any]:
        """Results in the order of the items."""
        if self._elsewhere is None or len(items) == 1:
            return [self._play(shared, item) for item in items]
        return self._elsewhere(shared, items)

    def by(self, elsewhere: PlayItems) -> "ItemPlay":
        """The same, with several items played by others."""
        return ItemPlay(self._play, elsewhere)
