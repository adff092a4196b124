"""Parts of a batch of episodes that do not hang on each other."""

from typing import Any

import jax


def keys_of_blocks(key: Any, number: int) -> list[Any]:
    """Keys of so many blocks; a single one gets the key itself. Consumes `key`."""
    if number == 1:
        return [key]
    return [jax.random.fold_in(key, block) for block in range(number)]
