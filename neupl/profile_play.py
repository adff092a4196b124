"""Episodes of given profiles of strategies, in parts of one size that anybody may play.

A part follows from parameters, rows, profiles and a key of its own: payoffs hang on the number of
parts, not on who plays them.
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int, Int32, UInt32

from games.types import Game, HostGame
from neupl.config import Config
from neupl.device_mesh import DeviceMesh
from neupl.learners.blocks import keys_of_blocks
from neupl.population_actor import ActorMemory, Playing, PopulationActor, Seen
from neupl.recurrent_network import Recall
from neupl.rollout import Trajectory, make_actor_play
from neupl.types import Rows


class ProfilePart(NamedTuple):
    """Episodes to play.

    Attributes:
      key: data of their random key.
      profiles: the strategy of every seat.
      probes: decisions to keep; for 0 nothing is recorded.
    """

    key: UInt32[np.ndarray, "2"]
    profiles: Int32[np.ndarray, "B P"]
    probes: int


class PlayedPart(NamedTuple):
    """Episodes that were played.

    Attributes:
      returns: of the seats, in game points.
      probes: decisions, spread evenly over all of the episodes; `None` where none are kept.
      recall: what the seats carried to them; `None` where they carry nothing.
    """

    returns: Float[np.ndarray, "B P"]
    probes: Seen | None
    recall: Recall | None


class ProfilePlay:
    """Plays parts of one game: `play((params, rows), part)`."""

    def __init__(self, game: Game | HostGame, actor: PopulationActor, config: Config) -> None:
        """Takes who plays all seats, without parameters."""
        mesh = DeviceMesh(config.learner.devices)
        self._play, self._record = (
            make_actor_play(game, actor, record=record, mesh=mesh) for record in (False, True)
        )

    def __call__(self, shared: tuple[Any, Rows], part: ProfilePart) -> PlayedPart:
        """See `ProfilePart`."""
        play = self._record if part.probes else self._play
        key = jax.random.wrap_key_data(part.key)
        played = play(len(part.profiles), key, Playing(*shared, part.profiles))
        probes, recall = None, None
        if part.probes:
            probes, recall = _probes(played.trajectory, part.probes)
        return PlayedPart(np.asarray(played.returns), probes, recall)


def cut(
    profiles: Int[np.ndarray, "N P"], key: Any, *, lanes: int, probes: int = 0
) -> list[ProfilePart]:
    """Parts of `lanes` episodes, or one of all where there are fewer; the last one is filled up
    with profiles from the beginning, whose episodes `joined` leaves out. Consumes `key`.
    """
    lanes = min(lanes, len(profiles))
    number = -(-len(profiles) // lanes)
    filled = np.resize(profiles, (number, lanes, profiles.shape[1])).astype(np.int32)
    shares = np.diff(np.arange(number + 1) * probes // number)
    return [
        ProfilePart(np.asarray(jax.random.key_data(own_key)), part, int(share))
        for own_key, part, share in zip(keys_of_blocks(key, number), filled, shares, strict=True)
    ]


def waves(episodes: int, *, first: int, parts: int) -> list[int]:
    """Sizes of the waves in which episodes are allotted: what is known by then allots as many again
    well enough, up to `parts` times the first.
    """
    sizes: list[int] = []
    while (played := sum(sizes)) < episodes:
        size = max(first, min(played, first * parts))
        sizes.append(min(size, episodes - played))
    return sizes


def joined(played: list[PlayedPart], episodes: int) -> PlayedPart:
    """The first so many episodes of all parts, and all decisions that were kept."""
    returns = np.concatenate([part.returns for part in played])[:episodes]
    kept = [(part.probes, part.recall) for part in played if part.probes is not None]
    probes, recall = None, None
    if kept:
        probes, recall = jax.tree.map(lambda *parts: np.concatenate(parts), *kept)
    return PlayedPart(returns, probes, recall)


def _probes(trajectory: Trajectory, number: int) -> tuple[Seen, Recall | None]:
    """A fixed number of decisions, spread evenly over all of the episodes, and what the seats
    carried to them; where they carry a memory, decisions at which it was recorded.
    """
    to_move = np.asarray(trajectory.to_move)
    memory = trajectory.memory if isinstance(trajectory.memory, ActorMemory) else ActorMemory()
    remembers = not isinstance(memory.hidden, tuple)
    stretch = -(-len(to_move) // len(memory.hidden)) if remembers else 1
    when, lane, seat = np.nonzero(to_move[::stretch])
    few = np.arange(number) * len(when) // number
    when, lane, seat = when[few], lane[few], seat[few]
    nobody = np.zeros((number, to_move.shape[-1]), np.int32)
    recall = None
    if remembers:
        recall = Recall(*(np.asarray(x)[when, lane, seat] for x in (memory.hidden, memory.action)))
    observation, mask = (
        np.asarray(field)[when * stretch, lane, seat]
        for field in (trajectory.observation, trajectory.legal_mask)
    )
    return Seen(observation, mask, seat, nobody), recall
