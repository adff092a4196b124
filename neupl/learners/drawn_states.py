"""Which information states of a large tree a gradient step looks at."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def draw_states(
    key: Any, weight: Float[Array, "S K"], number: int
) -> tuple[Int[Array, "B"], Int[Array, "B"]]:
    """Draws information states, each with a strategy, in proportion to their weight.

    They are as evenly spread as draws can be (systematic resampling: Douc et al. 2005, arXiv
    cs/0507025): what has a share `w` of the weight is drawn `number * w` times, rounded up or down.

    Args:
      key: a JAX random key, consumed.
      weight: at least 0, not 0 everywhere.
      number: `B`.

    Returns:
      Numbers of the information states and of the strategies.
    """
    ends = jnp.cumsum(weight.reshape(-1))
    points = (jnp.arange(number) + jax.random.uniform(key)) / number * ends[-1]
    # A point behind the last end by rounding belongs to the last one that has weight.
    last = jnp.searchsorted(ends, ends[-1])
    cell = jnp.minimum(jnp.searchsorted(ends, points, side="right"), last)
    return cell // weight.shape[1], cell % weight.shape[1]
