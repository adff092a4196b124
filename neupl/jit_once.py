"""Compilation of what runs once, such as the first draw of a network's parameters."""

from collections.abc import Callable
from typing import Any

import jax

# The lowest level at which XLA keeps the bits of its default one; measured on first parameters,
# where it compiles twice as fast: each draw of a random array is a program of its own.
LEVEL = 1


def jit_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.jit` for a function whose compilation would take longer than it runs: optimised less."""
    if jax.config.read("jax_disable_most_optimizations"):
        return jax.jit(function)
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": LEVEL})
