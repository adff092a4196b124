"""First parameters of the network that a sampled learner trains."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from games.types import GameInfo
from neupl.config import Config
from neupl.networks import PopulationNetwork, memory_size
from neupl.opponent_readout import OpponentReadout, add_readout
from neupl.recurrent_network import no_recall
from neupl.types import Rows


def first_parameters(
    network: PopulationNetwork,
    readout: OpponentReadout | None,
    key: Any,
    *,
    config: Config,
    info: GameInfo,
    action: Float[Array, "1 1 A"] | None = None,
) -> Any:
    """Draws the parameters of a network, and of the read-out beside it.

    Args:
      network: of a population.
      readout: tells whom a strategy meets; `None` for none.
      key: consumed.
      config: network and population are read.
      info: of the game; all seats have observations of one size.
      action: any continuous action, where the critic is told one.
    """
    size, players = config.population.size, info.num_players
    num_tables = 1 if config.population.symmetric else players
    rows = Rows(
        jnp.zeros((players, size, size ** (players - 1))), jnp.zeros((players, size), jnp.int32)
    ).tables(num_tables)
    observation = jnp.zeros((1, info.observation_size[0]))
    told = {}
    if config.network.critic_reads == "privileged":
        told["privileged"] = jnp.zeros((1, info.privileged_size))
    seat, profile = jnp.zeros((1, num_tables)), jnp.zeros((1, players, size))
    remembered = memory_size(config.network)
    if remembered is not None:
        length = info.num_actions[0] if info.continuous else None
        recall = no_recall(1, remembered, action_length=length)
        params = network.init(key, observation, seat, recall, rows, profile, method="first", **told)
    elif action is not None:
        params = network.init(key, observation, seat, rows, profile=profile, action=action)
    else:
        params = network.init(key, observation, seat, rows, profile=profile, **told)
    width = observation.shape[1] if remembered is None else remembered
    return add_readout(
        readout, params, jax.random.fold_in(key, 1), width=width, num_tables=num_tables
    )
