"""What the population loop carries from one evaluation to the next, and how it becomes a
checkpoint.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from neupl.errors import UserError
from neupl.types import LearnerState


class Snapshot(NamedTuple):
    """The best-certified population so far."""

    params: Any
    joint: np.ndarray
    meta_strategy: np.ndarray
    gains: np.ndarray
    gains_error: np.ndarray
    payoffs: np.ndarray
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


def to_arrays(state: TrainingState) -> dict[str, np.ndarray]:
    """Every leaf of the state by its path, ready to be saved."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {_name(path): np.asarray(leaf) for path, leaf in leaves}


def from_arrays(template: TrainingState, arrays: Mapping[str, np.ndarray]) -> TrainingState:
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
