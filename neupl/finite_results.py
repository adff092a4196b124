"""A result with a NaN in it is an error where it arises, not a wrong payoff later."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

from neupl.errors import UserError


def check_finite(item: Any, result: Any) -> Any:
    """Returns the result of an item.

    Args:
      item: named in the error.
      result: numbers and arrays within dataclasses, mappings and sequences; infinities are allowed,
        they are honest bounds.

    Raises:
      UserError: a number is NaN.
    """
    place = next(_nan_places(result, ""), None)
    if place is not None:
        raise UserError(
            f"item {item} returned NaN{place and ' in ' + place}",
            hint="a policy or a payoff of it is broken, or the machine that did it is",
        )
    return result


def _nan_places(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, float):
        if math.isnan(value):
            yield place
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _nan_places(getattr(value, field.name), f"{place}.{field.name}".lstrip("."))
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _nan_places(part, f"{place}[{name!r}]")
    elif isinstance(value, tuple | list):
        for name, part in zip(getattr(value, "_fields", range(len(value))), value, strict=True):
            inside = f"{place}[{name}]" if isinstance(name, int) else f"{place}.{name}".lstrip(".")
            yield from _nan_places(part, inside)
    elif hasattr(value, "dtype") and hasattr(value, "shape"):
        import numpy as np

        array = np.asarray(value)
        if np.issubdtype(array.dtype, np.inexact) and np.isnan(array).any():
            yield f"{place}{np.argwhere(np.isnan(array))[0].tolist() or ''}"
