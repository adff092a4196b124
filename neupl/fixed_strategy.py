"""Strategy 0 as a function of the user's: `package.module:function`, found by its name."""

import importlib
from collections.abc import Callable

import jax
from jaxtyping import Array, Bool, Float

from games.registry import is_dotted_path
from neupl.errors import UserError

# `(observation [N, O], legal_mask [N, A]) -> [N, A]` probabilities; of continuous actions means and
# log standard deviations `[N, 2 A]`.
FixedStrategy = Callable[[Float[Array, "N O"], Bool[Array, "N A"]], Float[Array, "N D"]]


def is_fixed_strategy(sink: str) -> bool:
    """Whether a sink is named as a function."""
    return is_dotted_path(sink)


def fixed_strategy(sink: str) -> FixedStrategy:
    """The function at a dotted path, for many decisions at once.

    Args:
      sink: `package.module:function`, where `function(observation [O], legal_mask [A])` is pure JAX
        and returns the probabilities `[A]` of one decision, or of continuous actions the means and
        then the log standard deviations `[2 A]`.

    Raises:
      UserError: there is no such function.
    """
    module, _, function = sink.partition(":")
    try:
        return jax.vmap(getattr(importlib.import_module(module), function))
    except (ImportError, AttributeError, TypeError) as error:
        raise UserError(
            f"population.sink is {sink!r}, but there is no such function: {error}"
        ) from error
