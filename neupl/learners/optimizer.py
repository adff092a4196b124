"""How parameters move: Adam with clipped gradients and a falling rate, for one network or many."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from neupl.config import Config
from neupl.separate_networks import per_network
from neupl.types import LearnerState


class Optimizer:
    """Turns gradients into parameters; the learning rate follows the step of the learner.

    Attributes:
      init: `(params) -> state`.
    """

    def __init__(
        self,
        config: Config,
        *,
        steps: int | None = None,
        rates: tuple[float, float] | None = None,
    ) -> None:
        """Reads the learner and the kind of network; the rate falls over `steps`, by default those
        of the run, from the first to the last of `rates`, by default the learner's.
        """
        settings = config.learner
        transform = optax.chain(
            optax.clip_by_global_norm(settings.max_gradient_norm), optax.scale_by_adam()
        )
        if config.network.kind != "conditional":
            transform = per_network(transform)
        self.init = transform.init
        self._update = transform.update
        self._rate = optax.linear_schedule(
            *(rates or (settings.learning_rate, settings.final_learning_rate)),
            config.training.steps if steps is None else steps,
        )

    def apply(self, gradient: Any, params: Any, state: Any, step: Any) -> tuple[Any, Any]:
        """Returns the parameters and the state after a step against the gradient."""
        change, state = self._update(gradient, state, params)
        change = jax.tree.map(lambda x: -self._rate(step) * x, change)
        return optax.apply_updates(params, change), state


# `(state, strategy, predecessor, key) -> state`; see `neupl.types.Learner`.
Restart = Callable[[LearnerState, int, int, Any], LearnerState]


def make_restart(config: Config, init: Callable[[Any], LearnerState]) -> Restart:
    """What a learner does about a strategy that gets a new row: nothing where a network plays rows,
    but a strategy with a network of its own starts over with it.
    """
    kind, size = config.network.kind, config.population.size

    def restart(state: LearnerState, strategy: int, predecessor: int, key: Any) -> LearnerState:
        if kind == "conditional":
            return state
        fresh = init(key)
        source, start = (fresh, strategy) if kind == "separate" else (state, predecessor)

        def put(leaf: Any, from_leaf: Any, which: int) -> Any:
            # Strategy k of table t is number t * K + k.
            tables = jnp.reshape(leaf, (-1, size, *jnp.shape(leaf)[1:]))
            chosen = jnp.reshape(from_leaf, tables.shape)[:, which]
            return tables.at[:, strategy].set(chosen).reshape(jnp.shape(leaf))

        return LearnerState(
            jax.tree.map(lambda old, new: put(old, new, start), state.params, source.params),
            jax.tree.map(
                lambda old, new: put(old, new, strategy), state.optimizer, fresh.optimizer
            ),
            state.step,
        )

    return restart
