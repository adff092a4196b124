"""Episodes of strategies and responses that are measured, in parts that anybody may play."""

import copy
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Float32, Float64, Int32, UInt32

from games.types import Game, HostGame
from neupl.item_play import ItemPlay, PlayItems
from neupl.jpsro.joint_episodes import DrawnPairs, Played, padded
from neupl.jpsro.network import ResponseNetwork
from neupl.jpsro.policy_change import PolicyComparison
from neupl.jpsro.profile_payoffs import PlayProfiles
from neupl.jpsro.response_actor import Meeting, ResponseActor
from neupl.rollout import Trajectory, make_actor_play

# Of an episode: what the seats got; also what they did; also how likely others do that.
Kept = Literal["returns", "decisions", "likelihoods"]


class MeetingPart(NamedTuple):
    """Episodes to play.

    Attributes:
      key: data of their random key.
      profile: who plays every seat, as `neupl.jpsro.response_actor` reads it.
      kept: what is wanted of them.
    """

    key: UInt32[np.ndarray, "2"]
    profile: Int32[np.ndarray, "B P"]
    kept: Kept


class PlayedMeeting(NamedTuple):
    """Episodes that were played.

    Attributes:
      returns: of every seat, in game points.
      trajectory: what was done, where `decisions` are wanted.
      likelihoods: log-probability of all that each seat did, by each strategy of it, where they are
        wanted.
    """

    returns: Float32[np.ndarray, "B P"]
    trajectory: Trajectory | None
    likelihoods: Float64[np.ndarray, "B P K"] | None


class MeetingPlay:
    """Plays parts of one game: `play((params, frozen, mixtures), part)`; see `Meeting`."""

    def __init__(self, game: Game | HostGame, network: ResponseNetwork) -> None:
        """Takes the network without its parameters."""
        actor = ResponseActor(game.info, network)
        self._play, self._record = (
            make_actor_play(game, actor, record=record) for record in (False, True)
        )
        self._compare = PolicyComparison(network)

    def __call__(
        self, shared: tuple[Any, Any, Float[np.ndarray, "P R M"]], part: MeetingPart
    ) -> PlayedMeeting:
        """See `MeetingPart`."""
        key = jax.random.wrap_key_data(part.key)
        play = self._play if part.kept == "returns" else self._record
        episodes = play(len(part.profile), key, Meeting(*shared, part.profile))
        returns = np.asarray(episodes.returns)
        trajectory = jax.tree.map(np.asarray, episodes.trajectory)
        if part.kept != "likelihoods":
            return PlayedMeeting(returns, trajectory, None)
        _, frozen, _ = shared
        played = Played(part.profile, returns, trajectory)
        return PlayedMeeting(returns, None, self._compare.played_by_every(frozen, played))


class MeasuredEpisodes:
    """What a population and the responses to it are measured by, in batches of one size."""

    def __init__(
        self, game: Game | HostGame, network: ResponseNetwork, *, lanes: int, num_responders: int
    ) -> None:
        """Takes the network without its parameters, the size of batches, and the responses per
        seat.
        """
        players, self._size, self._lanes = network.num_players, network.num_strategies, lanes
        self._play = ItemPlay(MeetingPlay(game, network))
        # Mixtures for where nobody responds.
        shape = (players, num_responders, self._size ** (players - 1))
        self._nobody = np.zeros(shape, np.float32)

    def by(self, play_items: PlayItems) -> "MeasuredEpisodes":
        """The same, played by others."""
        other = copy.copy(self)
        other._play = self._play.by(play_items)
        return other

    def pair(self, drawn: DrawnPairs, key: Any, kept: Kept) -> tuple[MeetingPart, MeetingPart]:
        """Episodes without and with responses; consumes `key`."""
        response = drawn.profile.copy()
        response[np.arange(len(drawn.seat)), drawn.seat] = self._size + drawn.advice
        # The same key: the same cards, and the same luck of everybody until somebody decides else.
        return part_of(drawn.profile, key, kept), part_of(response, key, kept)

    def played(
        self, shared: tuple[Any, Any, Float[np.ndarray, "P R M"]], parts: list[MeetingPart]
    ) -> list[Played]:
        """What came of parts; see `MeetingPlay`."""
        return [
            Played(part.profile, found.returns, found.trajectory)
            for part, found in zip(parts, self._play(shared, parts), strict=True)
        ]

    def of_profiles(self, params: Any) -> PlayProfiles:
        """Plays strategies as parameters have them, any number of profiles."""
        shared = (params, params, self._nobody)

        def play(profiles: np.ndarray, key: Any) -> tuple[np.ndarray, np.ndarray]:
            batches = padded(profiles, self._lanes)
            parts = [
                part_of(profile, jax.random.fold_in(key, batch), "likelihoods")
                for batch, (profile, _) in enumerate(batches)
            ]
            found = zip(self._play(shared, parts), batches, strict=True)
            each = [(part.likelihoods[:n], part.returns[:n]) for part, (_, n) in found]
            likelihoods, returns = zip(*each, strict=True)
            return np.concatenate(likelihoods), np.concatenate(returns)

        return play


def part_of(profile: Int32[np.ndarray, "B P"], key: Any, kept: Kept) -> MeetingPart:
    """A part with a key of its own, which it consumes."""
    return MeetingPart(np.asarray(jax.random.key_data(key)), profile, kept)
