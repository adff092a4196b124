"""What a training run is of, and the task that its state stands for."""

import dataclasses

import numpy as np

from games.types import GameInfo
from neupl.config import Config
from neupl.evaluation import Evaluator
from neupl.interaction_graph import first_equal_row
from neupl.temperature import temperatures
from neupl.training_state import TrainingState
from neupl.tree_population import TreePopulation
from neupl.types import Learner, Objective, Rows
from solvers.meta.registry import MetaSolver


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is trained: a game, its learner, its meta-solver, and who evaluates.

    Attributes:
      info: static facts of the game.
      config: of the run.
      learner: trains the network.
      evaluator: evaluates the population, exactly or from episodes.
      solver: the meta-solver.
      tables: the population on the compiled game; `None` in runs that only play.
    """

    info: GameInfo
    config: Config
    learner: Learner
    evaluator: Evaluator
    solver: MetaSolver
    tables: TreePopulation | None


def objective_of(problem: Problem, state: TrainingState) -> Objective:
    """The training task that the state stands for."""
    num_players = problem.info.num_players
    return Objective(
        rows=rows_of(state.joint),
        temperature=np.tile(
            temperatures(problem.config, state, payoff_range=problem.info.payoff_range),
            (num_players, 1),
        ),
        respond=np.tile(state.respond, (num_players, 1)).astype(np.float32),
        hold=np.tile(state.hold, (num_players, 1)).astype(np.float32),
        teacher=state.teacher,
    )


def rows_of(joint: np.ndarray) -> Rows:
    """Rows with their identities, as the network takes them."""
    return Rows(joint.astype(np.float32), first_equal_row(joint))
