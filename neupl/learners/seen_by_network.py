"""What a network sees of a batch: observations, what it remembers along unrolls, and what only its
critic is told.

Where the critic is privileged a batch is of the game as critics see it (`games.critic_view`): its
observations go on behind what the policy observes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from games.critic_view import with_critic_view
from games.types import Game, HostGame, Mirror
from neupl.config import Config, NetworkConfig
from neupl.errors import UserError
from neupl.learners.decisions import Decisions, decisions_along
from neupl.learners.mirror_image import mirrored
from neupl.learners.unrolls import Unrolls, unrolled_memory
from neupl.networks import PopulationNetwork
from neupl.observation_statistics import PRIVILEGED_COLLECTION, updated_statistics
from neupl.population_actor import Seen, critic_apart


def as_critics_see(game: Game | HostGame, config: NetworkConfig) -> Game | HostGame:
    """The game that a learner plays: as critics see it, where the network has a privileged one.

    Raises:
      UserError: critics may not see more of the game than players do.
    """
    if config.critic_reads != "privileged":
        return game
    if not game.info.privileged_size:
        raise UserError(
            f"network.critic_reads is 'privileged', but {game.info.name} shows critics no more "
            "than players",
            hint="set network.critic_reads=observation, or features",
        )
    return with_critic_view(game)


def make_see(
    network: PopulationNetwork, *, observed: int, num_tables: int, remembers: bool
) -> Callable[[Any, Decisions | Unrolls], Seen]:
    """Makes `(params, batch) -> Seen`: what the network decides by at every decision, step by step
    of unrolls, differentiable in the parameters.

    Args:
      network: with a memory or without.
      observed: numbers that the policy observes; those behind them are the critic's.
      num_tables: tables of strategies.
      remembers: whether the network has a memory, and batches are unrolls.
    """

    def see(params: Any, batch: Decisions | Unrolls) -> Seen:
        if not remembers:
            return critic_apart(batch.seen, observed)
        own = batch._replace(observation=batch.observation[..., :observed])
        memory = unrolled_memory(network, params, own, num_tables=num_tables)
        seen = critic_apart(decisions_along(batch).seen, observed)
        return seen._replace(remembered=memory.reshape(-1, memory.shape[-1]))

    return see


def with_statistics_of(
    params: Any,
    batch: Decisions | Unrolls,
    *,
    observed: int,
    mirror: Mirror | None,
    owner: Int[np.ndarray, "N"] | None = None,
) -> Any:
    """The variables of a network with the observations of a batch counted, and their mirror images
    where there is a mirror; as they are where the network does not normalise. Of a network per
    strategy each counts its own, as `owners_of` says.
    """
    numbers = _observations(batch)
    if mirror is not None:
        turned = mirrored(numbers, mirror.observation_order, mirror.observation_sign)
        numbers = np.concatenate([numbers, turned])
        owner = None if owner is None else np.tile(owner, 2)
    params = updated_statistics(params, numbers[:, :observed], owner=owner)
    return updated_statistics(params, numbers[:, observed:], collection=PRIVILEGED_COLLECTION)


def owners_of(
    decisions: Decisions, config: Config, *, num_tables: int
) -> Int[np.ndarray, "N"] | None:
    """Whose network decided, where every strategy has one."""
    if config.network.kind == "conditional":
        return None
    seen = decisions.seen
    table = seen.seat if num_tables > 1 else np.zeros_like(seen.seat)
    return table * config.population.size + seen.profile[:, 0]


def _observations(batch: Decisions | Unrolls) -> Float[np.ndarray, "N O"]:
    if isinstance(batch, Unrolls):
        return batch.observation[batch.counts > 0]
    return batch.seen.observation
