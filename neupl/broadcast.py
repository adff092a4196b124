"""What many items of work share and later ones do not, such as parameters that are being learned:
every worker, or every node of a cluster, is told each version once.
"""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Broadcast:
    """A version of what items share.

    Attributes:
      version: no other broadcast of the same map has this number.
      content: picklable.
    """

    version: int
    content: Any = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Informed:
    """An item whose result also follows from a broadcast.

    A map hands it to a worker without the broadcast where that worker has heard it, and with it
    again before the item is done: functions see it whole.

    Attributes:
      broadcast: that version and no other.
      item: the rest.
    """

    broadcast: Broadcast
    item: Any
