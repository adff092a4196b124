"""The contracts of training: an objective says who learns what, a learner makes it so."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int


class Rows(NamedTuple):
    """What every strategy of every seat is, and whom it meets.

    Attributes:
      joint: `[P, K, M]` distribution over the `M = K ** (P - 1)` joint profiles of the co-players,
        in ascending seat order, last co-player fastest; zero where nothing has been assigned.
      identity: `[P, K]` first strategy of the seat with an equal row: equal rows are one strategy.
    """

    joint: Float[Array, "P K M"]
    identity: Int[Array, "P K"]


class Objective(NamedTuple):
    """One training task for the whole population: best response, distillation and regularisation
    alike.

    Attributes:
      rows: whom each strategy meets.
      temperature: `[P, K]` weight of the entropy of each decision, in game points per nat.
      respond: `[P, K]` weight of improving each strategy against its row.
      hold: `[P, K]` weight of keeping each strategy where the teacher has it.
      teacher: parameters of the frozen copy that `hold` refers to.
    """

    rows: Rows
    temperature: Float[Array, "P K"]
    respond: Float[Array, "P K"]
    hold: Float[Array, "P K"]
    teacher: Any


class LearnerState(NamedTuple):
    """What a learner carries: parameters, optimiser state, and the number of gradient steps so
    far.
    """

    params: Any
    optimizer: Any
    step: Int[Array, ""]


class Learner(NamedTuple):
    """Pure functions that train the conditional network; `collect` is the part that workers can do.

    Attributes:
      init: `(key) -> LearnerState`.
      collect: `(params, objective, key) -> experience`; consumes `key`.
      update: `(state, experience, key) -> (state, metrics)`: some steps; consumes `key`.
      restart: `(state, strategy, predecessor, key) -> state`: before a strategy learns to respond
        to a new row; its predecessor is the newest response so far. Consumes `key`.
      steps_per_update: by how many `update` raises the step.
    """

    init: Callable[[Any], LearnerState]
    collect: Callable[[Any, Objective, Any], Any]
    update: Callable[[LearnerState, Any, Any], tuple[LearnerState, dict[str, Any]]]
    restart: Callable[[LearnerState, int, int, Any], LearnerState]
    steps_per_update: int
