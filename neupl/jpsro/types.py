"""The contracts of NeuPL-JPSRO: what is trained, and who tells the loop how far it has come, from a
game tree or from episodes.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float64

from games.types import GameInfo
from neupl.config import Config
from neupl.item_play import PlayItems
from neupl.jpsro.networks import JointNetwork
from neupl.jpsro.state import JointSnapshot, JointState
from neupl.jpsro.tables import ResponseTables
from neupl.jpsro.task import ResponseTask, TreeTask
from neupl.types import Learner
from solvers.meta.registry import MetaSolver


@dataclasses.dataclass(frozen=True)
class JointProblem:
    """What is trained.

    Attributes:
      info: static facts of the game.
      config: of the run.
      network: plays strategies and responses.
      tables: the network on the compiled game; `None` in runs that only play.
      learner: of responses.
      evaluator: measures, on the game tree or from episodes.
      solver: the meta-solver.
      judge: solves for a second joint to be measured; `None` for none.
    """

    info: GameInfo
    config: Config
    network: JointNetwork
    tables: ResponseTables | None
    learner: Learner
    evaluator: "JointEvaluator"
    solver: MetaSolver
    judge: MetaSolver | None


@runtime_checkable
class Inspection(Protocol):
    """How far an iteration has come.

    Attributes:
      estimates: what the evaluator carries on.
      ready: whether the responses are good enough to become strategies.
      over: whether the iteration is.
    """

    estimates: Any
    ready: bool
    over: bool

    def metrics(self) -> dict[str, float]:
        """What is logged of it."""
        ...


@runtime_checkable
class JointEvaluator(Protocol):
    """Measures a population, its joint and the responses to it while they train. It keeps nothing
    itself: what it has to remember is `JointState.estimates`, arrays.
    """

    def played_by(self, play_items: PlayItems) -> "JointEvaluator":
        """The same evaluator with its episodes played by others; itself where it plays none."""
        ...

    def begin(self, problem: JointProblem) -> tuple[Any, Any]:
        """The first `JointState.estimates` and `JointSnapshot.estimated`."""
        ...

    def tree_task(
        self, problem: JointProblem, state: JointState, mixtures: Float[np.ndarray, "P R M"]
    ) -> TreeTask | None:
        """What learning on the game tree needs of a task; `None` where there is no tree."""
        ...

    def observe(self, estimates: Any, experience: Any) -> Any:
        """Takes in a batch of training."""
        ...

    def inspect(
        self,
        problem: JointProblem,
        state: JointState,
        task: ResponseTask,
        metrics: Mapping[str, Any],
    ) -> Inspection:
        """Measures strategies and responses against the frozen co-players.

        Args:
          problem: what is trained.
          state: with the parameters to be measured.
          task: of this iteration.
          metrics: of the learner's last update.

        Raises:
          FloatingPointError: a probability is not finite.
        """
        ...

    def gained(self, state: JointState, found: Any) -> Float64[np.ndarray, "P R"]:
        """What each response gains over following the advice it is for, times how likely that is,
        in game points.
        """
        ...

    def apart(
        self, problem: JointProblem, state: JointState, found: Any, *, player: int, responder: int
    ) -> Float64[np.ndarray, "K"]:
        """How far each strategy of a seat is from its response: the largest difference of the
        probabilities with which they play a sequence of the seat's own actions.
        """
        ...

    def close(
        self, problem: JointProblem, state: JointState, found: Any
    ) -> tuple[JointState, dict[str, float]]:
        """Says what is to be said of an iteration when its responses are done, before they join."""
        ...

    def open(
        self, problem: JointProblem, state: JointState, *, stalled: bool
    ) -> tuple[JointState, dict[str, float]]:
        """Measures and solves the meta-game of the frozen strategies, and begins an iteration.

        Args:
          problem: what is trained.
          state: whose `frozen`, `sizes` and `mixtures` are those of the new iteration.
          stalled: whether the last iteration brought nothing new.

        Raises:
          SolverError: the meta-game could not be solved.
        """
        ...

    def finish(self, problem: JointProblem, best: JointSnapshot) -> JointSnapshot:
        """The population that is kept, as precisely measured as it can be."""
        ...
