"""Matches between policies: results, and what is needed to show them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64, UInt64

from games.mujoco_host import MujocoHost
from games.types import GameError, Policy


class Results(NamedTuple):
    """How `B` episodes went.

    Attributes:
      returns: sum of the rewards of each seat, in game points.
      steps: lengths, in control steps.
      score: goals of the home and the away team.
      broken: which episodes the guard ended.
      recording: coordinates before every step and at the end, of the first lanes; after an episode
        has ended they stay as they are.
    """

    returns: Float64[np.ndarray, "B P"]
    steps: Int32[np.ndarray, "B"]
    score: Int64[np.ndarray, "B 2"]
    broken: Bool[np.ndarray, "B"]
    recording: Float32[np.ndarray, "T record nq"]


def play(
    game: MujocoHost, policies: Sequence[Policy], seeds: UInt64[np.ndarray, "B"], *, record: int = 0
) -> Results:
    """Plays an episode per seed to its end.

    Args:
      game: a task of `soccer.tasks`.
      policies: of each seat; they are asked with observations of all lanes. Keys are not drawn:
        policies that sample need a stream of their own.
      seeds: of the episodes.
      record: how many of the first lanes to record.

    Raises:
      GameError: the number of policies is not that of the seats.
    """
    if len(policies) != game.info.num_players:
        raise GameError(
            f"{game.info.name} has {game.info.num_players} seats, but there are "
            f"{len(policies)} policies"
        )
    states = game.init(seeds)
    now = game.restart(states)
    memories = [policy.initial_memory(len(seeds)) for policy in policies]
    returns = np.zeros((len(seeds), len(policies)))
    frames = [states.qpos[:record].astype(np.float32)]
    while now.discount.any():
        seen = game.observe(states)
        actions = np.empty((len(seeds), len(policies), game.info.num_actions[0]), np.float32)
        for seat, policy in enumerate(policies):
            actions[:, seat], _, memories[seat] = policy.act(
                memories[seat], seen[:, seat], now.legal_mask[:, seat], None
            )
        states, now = game.step(states, actions)
        returns += now.rewards
        frames.append(states.qpos[:record].astype(np.float32))
    return Results(
        returns=returns,
        steps=states.steps.copy(),
        score=states.memory.score.copy(),
        broken=states.broken > 0,
        recording=np.stack(frames),
    )
