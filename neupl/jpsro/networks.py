"""The network of NeuPL-JPSRO that a configuration describes."""

from typing import Literal

from neupl.config import NetworkConfig
from neupl.jpsro.network import ResponseNetwork
from neupl.jpsro.row_network import RowNetwork
from neupl.jpsro.separate_response_networks import SeparateResponseNetworks

# How a response becomes a strategy; see `jpsro.form`.
Form = Literal["distil", "direct"]

# Called alike.
JointNetwork = ResponseNetwork | RowNetwork | SeparateResponseNetworks


def response_network(
    config: NetworkConfig, form: Form, *, num_actions: int, num_players: int, num_strategies: int
) -> JointNetwork:
    """The network that a configuration describes.

    Args:
      config: what it is made of.
      form: how a response becomes a strategy of a conditional network.
      num_actions: number of action ids.
      num_players: seats.
      num_strategies: capacity per seat.
    """
    if config.kind != "conditional":
        return SeparateResponseNetworks(
            num_actions=num_actions,
            num_players=num_players,
            num_strategies=num_strategies,
            hidden_sizes=config.hidden_sizes,
        )
    if form == "direct":
        return RowNetwork(
            num_actions=num_actions,
            num_players=num_players,
            num_strategies=num_strategies,
            hidden_sizes=config.hidden_sizes,
            embedding_size=config.embedding_size,
        )
    return ResponseNetwork(
        num_actions=num_actions,
        num_players=num_players,
        num_strategies=num_strategies,
        hidden_sizes=config.hidden_sizes,
        embedding_size=config.embedding_size,
        critic_hidden_size=config.critic_hidden_size,
    )
