"""The contracts of training: an objective says who learns what, a learner makes it so."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


class Rows(NamedTuple):
    """What every strategy of every seat is, and whom it meets.

    Attributes:
      joint: `[P, K, M]` distribution over the `M = K ** (P - 1)` joint profiles of the co-players,
        in ascending seat order, last co-player fastest; zero where nothing has been assigned.
      identity: `[P, K]` first strategy of the seat with an equal row: equal rows are one strategy.
      asked: `[P, N, M]` further mixtures to respond to, which are no strategy's row and have no
        index: numbers `K` to `K + N - 1` wherever a strategy is named. Nobody meets them.
    """

    joint: Float[Array, "P K M"]
    identity: Int[Array, "P K"]
    asked: Float[Array, "P N M"] | None = None

    @property
    def every(self) -> Float[Array | np.ndarray, "P J M"]:
        """Whom strategies and asked mixtures meet, in the order of their numbers."""
        if self.asked is None:
            return self.joint
        return jnp.concatenate([self.joint, self.asked], axis=1)

    def tables(self, count: int) -> "Rows":
        """Those of the first `count` seats: of one where all seats share a table."""
        asked = None if self.asked is None else self.asked[:count]
        return Rows(self.joint[:count], self.identity[:count], asked)


class Objective(NamedTuple):
    """One training task for the whole population: best response, distillation and regularisation
    alike.

    Attributes:
      rows: whom each strategy meets.
      temperature: `[P, K + N]` weight of the entropy of each decision, in game points per nat; of
        strategies, then of asked mixtures.
      respond: `[P, K + N]` weight of improving each of them against its row.
      hold: `[P, K + N]` weight of keeping each of them where the teacher has it.
      teacher: parameters of the frozen copy that `hold` refers to.
    """

    rows: Rows
    temperature: Float[Array, "P J"]
    respond: Float[Array, "P J"]
    hold: Float[Array, "P J"]
    teacher: Any

    def without_teacher(self) -> "Objective":
        """What playing hangs on."""
        return self._replace(teacher=())


class LearnerState(NamedTuple):
    """What a learner carries.

    Attributes:
      params: of the network.
      optimizer: state of the optimiser.
      step: number of gradient steps so far.
      teaching: of a network that is distilled, `neupl.learners.distillation.Teaching`.
    """

    params: Any
    optimizer: Any
    step: Int[Array, ""]
    teaching: Any = ()


class Blocks(NamedTuple):
    """The parts of a batch of episodes, which anybody may play, in any order: `collect` is to play
    a block with each of the keys and to join them.

    Attributes:
      keys: `(key) -> keys`, one a block; consumes `key`.
      play: `(params, objective, key) -> block`; consumes `key`.
      join: `(params, objective, blocks) -> experience`; blocks in the order of their keys.
      told: `(objective) -> objective` with nothing but what `play` reads.
    """

    keys: Callable[[Any], Sequence[Any]]
    play: Callable[[Any, Any, Any], Any]
    join: Callable[[Any, Any, Sequence[Any]], Any]
    told: Callable[[Any], Any]


class LearnerPhase(NamedTuple):
    """What a learner does for some steps before it goes its usual way; as in `Learner`."""

    collect: Callable[[Any, Objective, Any], Any]
    update: Callable[[LearnerState, Any, Any], tuple[LearnerState, dict[str, Any]]]


class Learner(NamedTuple):
    """Pure functions that train the conditional network.

    Attributes:
      init: `(key) -> LearnerState`.
      collect: `(params, objective, key) -> experience`; consumes `key`.
      update: `(state, experience, key) -> (state, metrics)`: some steps; consumes `key`.
      restart: `(state, strategy, predecessor, key) -> state`: before a strategy learns to respond
        to a new row; its predecessor is the newest response so far. Consumes `key`.
      steps_per_update: by how many `update` raises the step.
      blocks: the parts of `collect` that workers can do; `None` where it is one piece.
      imitation: what it does in the first `learner.imitation_steps`, where there is a demonstrator.
    """

    init: Callable[[Any], LearnerState]
    collect: Callable[[Any, Objective, Any], Any]
    update: Callable[[LearnerState, Any, Any], tuple[LearnerState, dict[str, Any]]]
    restart: Callable[[LearnerState, int, int, Any], LearnerState]
    steps_per_update: int
    blocks: Blocks | None = None
    imitation: LearnerPhase | None = None
