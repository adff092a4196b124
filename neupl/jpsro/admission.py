"""How the responses of an iteration of NeuPL-JPSRO become strategies when it ends."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float64

from neupl.jpsro.iteration import Inspection
from neupl.jpsro.meta_game import plans_of
from neupl.jpsro.state import JointState

if TYPE_CHECKING:
    from neupl.jpsro.training import JointProblem


def admit(
    problem: "JointProblem",
    state: JointState,
    found: Inspection,
    *,
    mixtures: Float[np.ndarray, "P K M"],
) -> tuple[Any, Float64[np.ndarray, "K Q"]]:
    """The variables of the network with the new strategies, and what all strategies then play.

    What is distilled is there already; else the response itself takes the place that was chosen.

    Args:
      problem: what is trained.
      state: at the end of the iteration.
      found: of that state.
      mixtures: what every strategy responds to, the new ones included.

    Raises:
      FloatingPointError: a probability is not finite.
    """
    tables, variables = problem.tables, state.learner.params
    if tables.network.distils:
        return variables, found.plans
    variables = tables.network.admitted(
        variables, slot=state.slot, responder=state.responder, mixtures=mixtures
    )
    return variables, plans_of(tables.tree, np.asarray(tables.policies(variables)))
