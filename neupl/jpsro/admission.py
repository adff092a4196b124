"""How the responses of an iteration of NeuPL-JPSRO become strategies when it ends."""

from typing import Any

import numpy as np
from jaxtyping import Float

from neupl.jpsro.networks import JointNetwork
from neupl.jpsro.state import JointState


def admit(network: JointNetwork, state: JointState, *, mixtures: Float[np.ndarray, "P K M"]) -> Any:
    """The variables of the network with the new strategies.

    What is distilled is there already; else the response itself takes the place that was chosen.

    Args:
      network: plays strategies and responses.
      state: at the end of the iteration.
      mixtures: what every strategy responds to, the new ones included.
    """
    variables = state.learner.params
    if network.distils:
        return variables
    return network.admitted(
        variables, slot=state.slot, responder=state.responder, mixtures=mixtures
    )
