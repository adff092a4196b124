"""A start from another population: its network goes on learning, here or in another game that is
seen and played alike; or what it remembers by does, under heads that are new.
"""

from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from neupl.errors import UserError
from neupl.population import Population
from neupl.stored_population import load_population
from neupl.types import Learner, LearnerState

KEY = "learner.start"
# Layers of `neupl.recurrent_network.RecurrentNetwork` before its heads.
MEMORY_LAYERS = ("encoder_", "core_")


def with_inherited_parameters(
    learner: Learner, name: str, *, parts: Literal["all", "memory"] = "all"
) -> Learner:
    """The learner, whose network starts with parameters of another population; the optimiser starts
    anew.

    Args:
      learner: of a run that plays.
      name: `RUN`, or the folder of a population.
      parts: all parameters, the critic and what it knows of observations among them; or encoder and
        recurrent core alone, whose population may be of another size.

    Raises:
      UserError: there is no such population; what `init` returns raises it too where the networks
        are of different shapes, or there is no memory to inherit.
    """
    population = load_population(Path(name))
    if not isinstance(population, Population):
        raise UserError(f"{KEY} is {name!r}: it has no network")

    def init(key: Any) -> LearnerState:
        state = learner.init(key)
        own, found = (_chosen(params, parts) for params in (state.params, population.params))
        if not found:
            raise UserError(f"{KEY} is {name!r}: its network has no memory to inherit")
        # Single numbers come back from a file as arrays of one.
        shapes = [{path: np.shape(x) or (1,) for path, x in part.items()} for part in (own, found)]
        if shapes[0] != shapes[1]:
            here, there = shapes
            differs = sorted(path for path in {*here, *there} if here.get(path) != there.get(path))
            path = differs[0]
            raise UserError(
                f"{KEY} is {name!r}, whose network is another one: {path} is {there.get(path)}, "
                f"here {here.get(path)}",
                hint="set `network` and `population.size` as they are there"
                if parts == "all"
                else "set `network.memory_size` and `network.encoder_sizes` as they are there",
            )

        def inherit(path: Any, old: Any) -> Any:
            name = _name(path)
            return jnp.reshape(found[name], jnp.shape(old)) if name in found else old

        return state._replace(params=jax.tree_util.tree_map_with_path(inherit, state.params))

    return learner._replace(init=init)


def _chosen(params: Any, parts: str) -> dict[str, Any]:
    leaves = {_name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]}
    if parts == "all":
        return leaves
    return {
        name: leaf
        for name, leaf in leaves.items()
        if any(layer.startswith(MEMORY_LAYERS) for layer in name.split("/"))
    }


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
