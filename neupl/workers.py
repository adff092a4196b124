"""Who does the work: the map over items of work that is injected into whatever can be done in
pieces.

An item is done by a pure function of a module, from the item and a state that all items share; its
random keys follow from the item. So the results are the same from this process, from several, and
from the machines of a Ray cluster, in whatever order they come.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from neupl.errors import UserError
from neupl.finite_results import check_finite
from neupl.incidents import Incidents, MapFn


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workers:
    """Processes of this machine, or of a Ray cluster.

    Attributes:
      number: of workers, each with one thread; by default one, and as many as the cluster has cores
        where Ray is used.
      ray: address of a Ray cluster; `"auto"` finds the one that this machine belongs to, `"local"`
        starts one; `None` for processes of this machine.
      item_limit_s: seconds that an item may take before its worker is killed and it is begun again.
      incidents: what went wrong so far.
    """

    number: int | None = None
    ray: str | None = None
    item_limit_s: float | None = None
    incidents: Incidents = dataclasses.field(default_factory=Incidents, compare=False)

    def __post_init__(self) -> None:
        """Raises `UserError` where a number is impossible."""
        if self.number is not None and self.number < 1:
            raise UserError(f"--workers is {self.number}, expected at least 1")
        if self.item_limit_s is not None and not self.item_limit_s > 0:
            raise UserError(f"--item-limit-s is {self.item_limit_s}, expected more than 0")

    @property
    def here(self) -> bool:
        """Whether all work is done by this process: by one worker without a limit."""
        return self.ray is None and self.number in (None, 1) and self.item_limit_s is None

    @contextlib.contextmanager
    def map(
        self, function: Callable[[Any, Any], Any], state: Any, *, beside: bool = False
    ) -> Iterator[MapFn]:
        """Gives a map of `function(state, item)` over items, results as they are done.

        An item whose worker dies or is killed is done again by another one; what an item raises
        comes out of the map. Items may be `neupl.broadcast.Informed`.

        Args:
          function: of a module, so that other processes find it.
          state: picklable; handed to every worker once.
          beside: whether a single worker is to be another process, too.

        Raises:
          UserError: an item returned NaN or lost too many workers, or Ray is not there.
        """
        care = {"limit_s": self.item_limit_s, "incidents": self.incidents}
        if self.ray is not None:
            from neupl.ray_map import ray_map

            with ray_map(
                function, state, address=self.ray, num_workers=self.number, **care
            ) as map_fn:
                yield map_fn
        elif self.here and not beside:
            yield lambda items: (check_finite(item, function(state, item)) for item in items)
        else:
            from neupl.process_map import process_map

            with process_map(function, state, num_workers=self.number or 1, **care) as map_fn:
                yield map_fn


THIS_PROCESS = Workers()
