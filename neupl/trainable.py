"""What a training run needs of the thing it trains, whichever loop that is."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from neupl.config import Config
from neupl.run import Run

# Called after every evaluation with the new state and the metrics of the line.
OnEvaluation = Callable[[Any, dict[str, float]], None]


@runtime_checkable
class Trainable(Protocol):
    """A population in training. States are pytrees of arrays with the steps so far in
    `learner.step`; a checkpoint is a state and nothing else.

    Attributes:
      config: of the run.
    """

    config: Config

    def initial_state(self) -> Any:
        """The state before the first step."""
        ...

    def train(self, state: Any, *, on_evaluation: OnEvaluation) -> Any:
        """Trains to the configured number of steps.

        Raises:
          TrainingError: training diverged.
          SolverError: the meta-game could not be solved.
        """
        ...

    def conclude(self, run: Run, state: Any, *, quiet: bool) -> Any:
        """Does what is left when the last step is done, before anything is exported.

        Raises:
          SolverError: the meta-game could not be solved.
        """
        ...

    def export(self, folder: Path, state: Any) -> None:
        """Writes the best population so far to `folder`.

        Raises:
          UserError: `folder` holds something that is not a population.
        """
        ...

    def certify(self, run: Run, state: Any, *, quiet: bool) -> Any:
        """Exports to the run's folder, certifies what was exported and draws the summary.

        Raises:
          CheckFailed: OpenSpiel disagrees.
        """
        ...

    def graph(self, state: Any) -> tuple[np.ndarray, tuple[int, ...]]:
        """Whom every strategy responds to, `[P, K, M]` over the joint of its co-players, and the
        strategies of each seat.
        """
        ...

    def images(self, state: Any) -> Mapping[str, bytes]:
        """PNG pictures of the state, by tag."""
        ...

    def progress(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """What people follow of a line of metrics."""
        ...

    def shortfall(self, metrics: Sequence[Mapping[str, Any]]) -> str | None:
        """Why a finished run has learned nothing, in words; `None` if it has learned something."""
        ...
