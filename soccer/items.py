"""The items that observations are made of: how many numbers, in which unit, and how each looks in
a mirror.
"""

from typing import Literal, NamedTuple

import numpy as np

from soccer import robot

Kind = Literal["joints", "drives", "vector", "axial", "plane", "number"]
_SIZE: dict[str, int] = {
    "joints": robot.NUM_JOINTS,
    "drives": 3,
    "vector": 3,
    "axial": 3,
    "plane": 2,
    "number": 1,
}
_SIGN: dict[str, tuple[float, ...]] = {
    "drives": (1, -1, 1), "vector": (1, -1, 1), "axial": (-1, 1, -1), "plane": (1, -1),
    "number": (1,),
}  # fmt: skip


class Item(NamedTuple):
    """Some numbers of an observation.

    Attributes:
      name: what they are.
      kind: `joints` (20 in the order of `robot.JOINTS`), `drives` (of a boxhead: ahead, turn to the
        left, kick), `vector` or `axial` (x, y, z in the body frame; axial vectors are angular
        velocities), `plane` (ahead, left in the heading frame), or a `number` that a mirror leaves
        alone.
      unit: of each.
      meaning: in words.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str

    @property
    def size(self) -> int:
        """How many numbers."""
        return _SIZE[self.kind]


def size_of(items: tuple[Item, ...]) -> int:
    """How many numbers some items are."""
    return sum(item.size for item in items)


def mirror_item(item: Item, numbers: np.ndarray) -> np.ndarray:
    """The mirror image of the numbers `[..., size]` of an item."""
    if item.kind == "joints":
        return robot.mirror_joints(numbers)
    return numbers * np.array(_SIGN[item.kind], numbers.dtype)
