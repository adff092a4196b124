"""How best responses are trained that belong to no population: their network, learner and
temperatures. Who meets them differs: see `neupl.trained_response` and `neupl.least_exploitable`.
"""

import dataclasses
from typing import Any

import jax

from games.types import GameInfo
from neupl.config import Config, LearnerConfig, NetworkConfig, PopulationConfig, TrainingConfig

# The learning rate is a function of the step; a budget in seconds has no steps of its own.
SCHEDULE_STEPS = 1000
# Entropy weight at the start and at the end, in payoff ranges per nat; falls geometrically. It is
# that of games of at most so many steps: entropies add up over an episode, payoffs do not, so that
# longer games get less in proportion.
FIRST_TEMPERATURE, LAST_TEMPERATURE = 0.03, 0.001
SHORT_EPISODE = 16
# Makes the likeliest action all but certain.
SHARPENING = 1e4

NETWORK = NetworkConfig(hidden_sizes=(256,), embedding_size=4, critic_hidden_size=64)
LEARNER = LearnerConfig(
    kind="ppo",
    learning_rate=8e-3,
    final_learning_rate=2e-4,
    episodes=2048,
    epochs=4,
    minibatch=512,
    critic_weight=0.5,
)
# A population that remembers is met by a response that does. A batch has fewer lanes, which play on
# for as many steps as the longest episode may have, and at least so many of them.
LEAST_LANES = 64
RECURRENT_MINIBATCH = 4096
# Where actions are continuous, episodes are long: a batch has as many lanes as a population that
# remembers has, of so many steps each.
HORIZON = 128
CONTINUOUS_LEARNER = dataclasses.replace(
    LEARNER, learning_rate=3e-4, final_learning_rate=1e-4, episodes=LEAST_LANES,
    horizon=HORIZON, discount=0.98, critic_weight=1.0, minibatch=1024,
)  # fmt: skip


def response_config(
    game: str, info: GameInfo, *, size: int, symmetric: bool, met: NetworkConfig | None
) -> Config:
    """Network and learner of responses, as the configuration of a population they are the last
    strategy of.

    Args:
      game: its name.
      info: of the game, by player.
      size: strategies, those that are met and the response.
      symmetric: whether one response serves all seats.
      met: the network of those that are met, where it is one.
    """
    network, settings = NETWORK, LEARNER
    if met is not None and met.memory != "none":
        network = dataclasses.replace(
            NETWORK,
            memory="gru",
            memory_size=met.memory_size,
            encoder_sizes=met.encoder_sizes,
            hidden_sizes=(64,),
        )
        lanes = min(max(LEARNER.episodes * SHORT_EPISODE // info.max_steps, LEAST_LANES), 2048)
        settings = dataclasses.replace(LEARNER, episodes=lanes, minibatch=RECURRENT_MINIBATCH)
    if info.continuous:
        reads = "observation" if network.memory == "none" else "features"
        network = dataclasses.replace(network, critic_reads=reads, normalise=True)
        settings = CONTINUOUS_LEARNER
    return Config(
        game=game,
        population=PopulationConfig(size=size, symmetric=symmetric),
        network=network,
        learner=settings,
        training=TrainingConfig(steps=SCHEDULE_STEPS),
    )


def response_temperature(info: GameInfo, progress: float) -> float:
    """Temperature of a response in game points per nat, `progress` of its training, 0 to 1, in."""
    share = FIRST_TEMPERATURE * (LAST_TEMPERATURE / FIRST_TEMPERATURE) ** progress
    return share * info.payoff_range * min(1.0, SHORT_EPISODE / info.max_steps)


def likeliest_actions(params: Any) -> Any:
    """The parameters of the same policy with its likeliest actions only; of discrete ones."""

    def sharper(path: tuple[Any, ...], leaf: Any) -> Any:
        return SHARPENING * leaf if jax.tree_util.DictKey("policy") in path else leaf

    return jax.tree_util.tree_map_with_path(sharper, params)
