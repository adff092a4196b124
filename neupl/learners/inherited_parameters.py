"""A start from another population: its network goes on learning, here or in another game that is
seen and played alike.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neupl.errors import UserError
from neupl.population import Population
from neupl.stored_population import load_population
from neupl.types import Learner, LearnerState

KEY = "learner.start"


def with_inherited_parameters(learner: Learner, name: str) -> Learner:
    """The learner, whose network starts with the parameters of another population, the critic and
    what it knows of observations among them; the optimiser starts anew.

    Args:
      learner: of a run that plays.
      name: `RUN`, or the folder of a population.

    Raises:
      UserError: there is no such population; what `init` returns raises it too where the networks
        are of different shapes.
    """
    population = load_population(Path(name))
    if not isinstance(population, Population):
        raise UserError(f"{KEY} is {name!r}: it has no network")

    def init(key: Any) -> LearnerState:
        state = learner.init(key)
        own, found = (_shapes(params) for params in (state.params, population.params))
        if own != found:
            differs = sorted(path for path in {*own, *found} if own.get(path) != found.get(path))
            path = differs[0]
            raise UserError(
                f"{KEY} is {name!r}, whose network is another one: {path} is {found.get(path)}, "
                f"here {own.get(path)}",
                hint="set `network` and `population.size` as they are there",
            )
        start = jax.tree.unflatten(
            jax.tree.structure(state.params),
            [
                jnp.reshape(leaf, jnp.shape(old))
                for leaf, old in zip(
                    jax.tree.leaves(population.params), jax.tree.leaves(state.params), strict=True
                )
            ],
        )
        return state._replace(params=start)

    return learner._replace(init=init)


def _shapes(params: Any) -> dict[str, tuple[int, ...]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    # Single numbers come back from a file as arrays of one.
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.shape(leaf) or (1,)
        for path, leaf in leaves
    }
