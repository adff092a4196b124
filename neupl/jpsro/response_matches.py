"""Who meets whom while the responses of an iteration learn from episodes."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from neupl.jpsro.task import ResponseTask
from neupl.matches import Matches, draw_matches

# Share of the lanes in which nobody learns to respond: strategies meet strategies that the mixtures
# do not let them meet, so that what they do there stays as it is.
REHEARSAL_SHARE = 0.25
# Shares of the seats of those lanes that the response and strategy 0 get; the latter goes wherever
# the rules allow, and the rest is alike for all other strategies.
RESPONSE_SHARE, SINK_SHARE = 0.25, 0.25


class ResponseMatches(NamedTuple):
    """`B` lanes, in profiles as `neupl.jpsro.response_actor` reads them.

    Attributes:
      focal: `[F]` the first lanes, in which one seat plays a response against a draw of the
        mixture that it responds to.
      rehearsal: `[B - F, P]` profiles of the other lanes, whatever they are.
    """

    focal: Matches
    rehearsal: np.ndarray

    @property
    def profile(self) -> np.ndarray:
        """`[B, P]` profiles of all lanes."""
        return np.concatenate([self.focal.profile, self.rehearsal])


def joined_matches(
    blocks: Sequence[ResponseMatches], of_lane: Sequence[np.ndarray]
) -> tuple[ResponseMatches, np.ndarray]:
    """The lanes of several blocks, and what is told of each of them, `[B, ...]`: all those come
    first in which a response learns.
    """
    focal = [len(matches.focal.seat) for matches in blocks]
    parts = list(zip(of_lane, focal, strict=True))
    told = [part[:first] for part, first in parts] + [part[first:] for part, first in parts]
    together = jax.tree.map(lambda *fields: np.concatenate(fields), *blocks)
    return together, np.concatenate(told)


def draw_response_matches(
    rng: np.random.Generator, task: ResponseTask, *, lanes: int
) -> ResponseMatches:
    """Draws the lanes of one batch; `rng` is consumed.

    Co-players of a response are one draw from the joint mixture for the whole episode, spread over
    the mixture as evenly as lanes can be; seats and their responses get lanes alike.
    """
    mixtures = np.asarray(task.mixtures)
    players, responders, _ = mixtures.shape
    size = np.shape(task.held)[1]
    rehearsal = int(lanes * REHEARSAL_SHARE)
    joint = np.zeros((players, size, mixtures.shape[2]))
    joint[:, :responders] = mixtures
    weight = joint.any(axis=2) / np.maximum(joint.any(axis=2).sum(axis=1, keepdims=True), 1)
    matches = draw_matches(rng, joint, weight, lanes=lanes - rehearsal)
    every = np.arange(len(matches.seat))
    matches.profile[every, matches.seat] += size
    profile = np.empty((rehearsal, players), np.int32)
    for player in range(players):
        admitted = 1 + np.flatnonzero(np.asarray(task.held)[player, 1:])
        known = np.concatenate([[0, size + int(task.responder[player])], admitted])
        rest = 1 - RESPONSE_SHARE - SINK_SHARE
        share = np.array(
            [SINK_SHARE, RESPONSE_SHARE, *[rest / max(len(admitted), 1)] * len(admitted)]
        )
        profile[:, player] = rng.choice(known, size=rehearsal, p=share / share.sum())
    return ResponseMatches(matches, profile)
