"""What the population loop carries from one evaluation to the next, and how it becomes a
checkpoint.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from neupl.errors import UserError
from neupl.types import LearnerState

T = TypeVar("T", bound=tuple)


class Snapshot(NamedTuple):
    """The best-certified population so far.

    Attributes:
      params: of the network.
      joint: `[P, K, M]` rows of the interaction graph.
      meta_strategy: `[P, K]` each seat's mixture.
      gains: `[P]` what each seat gains by a best response, as known when it was kept.
      gains_error: standard error of their sum.
      payoffs: `[K, ..., K, P]`, in game points; at the end of a run as they were measured.
      payoff_errors: their standard errors, 0 where they are exact.
      running_payoffs: as training had them when the population was kept.
      running_errors: their standard errors.
      episodes: from which payoffs and meta-strategy were measured; 0 before.
      num_admitted: strategies in the population.
      step: of the run.
    """

    params: Any
    joint: np.ndarray
    meta_strategy: np.ndarray
    gains: np.ndarray
    gains_error: np.ndarray
    payoffs: np.ndarray
    payoff_errors: np.ndarray
    running_payoffs: np.ndarray
    running_errors: np.ndarray
    episodes: np.ndarray
    num_admitted: np.ndarray
    step: np.ndarray


class TrainingState(NamedTuple):
    """Everything that the loop carries; arrays throughout, so that a checkpoint is this and nothing
    else.

    Attributes:
      learner: parameters and optimiser.
      teacher: frozen copy of the parameters from the last readmission.
      joint: `[P, K, M]` rows of the interaction graph.
      response_number: `[K]` counts admissions and readmissions from 1; 0 for the sink and for
        strategies still outside.
      respond: `[K]` 1 for strategies that improve against their row.
      hold: `[K]` 1 for strategies that stay where the teacher has them.
      num_admitted: strategies in the population.
      admitted_step: step of the last admission.
      payoffs: `[K, ..., K, P]` of the last evaluation.
      estimates: what the evaluator carries.
      best: the population with the least NashConv so far.
    """

    learner: LearnerState
    teacher: Any
    joint: np.ndarray
    response_number: np.ndarray
    respond: np.ndarray
    hold: np.ndarray
    num_admitted: np.ndarray
    admitted_step: np.ndarray
    payoffs: np.ndarray
    estimates: Any
    best: Snapshot


def to_arrays(state: tuple) -> dict[str, np.ndarray]:
    """Every leaf of a state, a named tuple of arrays, by its path, ready to be saved."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {_name(path): np.asarray(leaf) for path, leaf in leaves}


def from_arrays(template: T, arrays: Mapping[str, np.ndarray]) -> T:
    """The state that `to_arrays` wrote.

    Args:
      template: a state of the same configuration; only its structure, shapes and dtypes are read.
      arrays: what a checkpoint holds.

    Raises:
      UserError: a leaf is missing or has another shape or dtype.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(template)
    restored = []
    for path, leaf in leaves:
        name, expected = _name(path), np.asarray(leaf)
        found = arrays.get(name)
        if found is None or found.shape != expected.shape or found.dtype != expected.dtype:
            have = "nothing" if found is None else f"{found.dtype} {found.shape}"
            raise UserError(
                f"the checkpoint does not fit the configuration: {name} should be "
                f"{expected.dtype} {expected.shape}, found {have}"
            )
        restored.append(found)
    return jax.tree_util.tree_unflatten(structure, restored)


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
