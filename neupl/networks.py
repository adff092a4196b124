"""The network that a configuration describes, and what its outputs mean."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from neupl.conditional_network import ConditionalNetwork
from neupl.config import NetworkConfig
from neupl.recurrent_network import RecurrentNetwork
from neupl.separate_networks import SeparateNetworks
from neupl.separate_recurrent_networks import SeparateRecurrentNetworks

# Large enough to silence an illegal action in float32, small enough that differences stay finite.
ILLEGAL_LOGIT = -1e9

# Called alike: all strategies at every observation, or one strategy at each.
RememberingNetwork = RecurrentNetwork | SeparateRecurrentNetworks
PopulationNetwork = ConditionalNetwork | SeparateNetworks | RememberingNetwork


def make_network(
    config: NetworkConfig, num_actions: int, *, continuous: bool = False
) -> PopulationNetwork:
    """The network that a configuration describes.

    Args:
      config: describes it.
      num_actions: outputs of the policy: one per action id; for continuous actions what
        `neupl.action_distribution` asks for.
      continuous: whether actions are: a memory and a critic of action values are told them then.
    """
    if config.kind != "conditional" and config.memory == "gru":
        return SeparateRecurrentNetworks(
            num_actions=num_actions,
            encoder_sizes=config.encoder_sizes,
            memory_size=config.memory_size,
            hidden_sizes=config.hidden_sizes,
            critic_hidden_size=config.critic_hidden_size,
            continuous=continuous,
        )
    if config.kind != "conditional":
        return SeparateNetworks(
            num_actions=num_actions,
            hidden_sizes=config.hidden_sizes,
            critic_hidden_size=config.critic_hidden_size,
            critic_observes=config.critic_reads == "observation",
            normalise=config.normalise,
        )
    if config.memory == "gru":
        return RecurrentNetwork(
            num_actions=num_actions,
            encoder_sizes=config.encoder_sizes,
            memory_size=config.memory_size,
            hidden_sizes=config.hidden_sizes,
            embedding_size=config.embedding_size,
            use_index=config.use_index,
            critic_hidden_size=config.critic_hidden_size,
            action_values=config.critic == "action_values",
            continuous=continuous,
            normalise=config.normalise,
            privileged_critic=config.critic_reads == "privileged",
        )
    return ConditionalNetwork(
        num_actions=num_actions,
        hidden_sizes=config.hidden_sizes,
        embedding_size=config.embedding_size,
        use_index=config.use_index,
        critic_hidden_size=config.critic_hidden_size,
        action_values=config.critic == "action_values" and not continuous,
        told_action=config.critic == "action_values" and continuous,
        critic_observes=config.critic_reads != "features",
        normalise=config.normalise,
        privileged_critic=config.critic_reads == "privileged",
        normalise_privileged=config.normalise,
    )


def network_config(manifest: Mapping[str, Any]) -> NetworkConfig:
    """The network that the manifest of a population describes.

    Raises:
      KeyError, TypeError: something is missing, or unknown.
    """
    content = dict(manifest["network"])
    # JSON has no tuples.
    tuples = {name: tuple(value) for name, value in content.items() if isinstance(value, list)}
    return NetworkConfig(**content | tuples)


def memory_size(config: NetworkConfig) -> int | None:
    """Width of the memory; `None` for networks without one."""
    return config.memory_size if config.memory == "gru" else None


def observation_size(
    config: NetworkConfig, params: Any, num_tables: int, *, num_actions: int
) -> int:
    """Numbers in an observation of a network with these parameters."""
    first = "encoder_0" if config.encoder_sizes else "core_input"
    if config.memory == "gru" and config.kind != "conditional":
        # Each is told its last action, and has one table.
        return np.shape(params["params"]["networks"][first]["kernel"])[1] - num_actions
    if config.memory == "gru":
        # The encoder is told the table and the last action too.
        return np.shape(params["params"][first]["kernel"])[0] - num_tables - num_actions
    if config.kind != "conditional":
        return np.shape(params["params"]["networks"]["hidden_0"]["kernel"])[1]
    # The conditional network is told the table too.
    return np.shape(params["params"]["hidden_0"]["kernel"])[0] - num_tables


def masked_log_probs(
    logits: Float[Array, "*batch A"], mask: Bool[Array | np.ndarray, "... A"]
) -> Float[Array, "*batch A"]:
    """Log-probabilities over the legal actions (`mask` broadcasts); about `ILLEGAL_LOGIT`
    elsewhere.
    """
    return jax.nn.log_softmax(jnp.where(mask, logits, ILLEGAL_LOGIT))
