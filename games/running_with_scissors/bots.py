"""Scripted players of running-with-scissors that collect one type: the pure strategies of the game.

Functions of one observation, without memory. They stand in for the first policies of a population:
the strategy 0 of NeuPL (Liu et al. 2022, arXiv 2202.07415) picks up all the rocks it sees.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32

from games.running_with_scissors import rules
from games.running_with_scissors.game import NUM_PLANES
from games.running_with_scissors.rules import PAPER, ROCK, SCISSORS, VIEW, Action

# Share of its type in the inventory with which a player is ready for the end.
ENOUGH = 0.6
# Share of random moves, which free players that block each other.
RANDOM_MOVES = 0.1
# Probability of each turn where nothing is to be seen and nothing is in the way.
TURN = 0.05

_AHEAD, _RIGHT = VIEW.T
_DISTANCE = np.abs(VIEW).sum(axis=1)
# The first step towards each cell of the view, and the cell in front.
_TOWARDS = np.where(
    _AHEAD > 0, Action.FORWARD, np.where(_RIGHT > 0, Action.RIGHT, Action.LEFT)
).astype(np.int32)
_FRONT = int(np.flatnonzero((_AHEAD == 1) & (_RIGHT == 0))[0])


def collect(
    observation: Float[Array, "O"], legal_mask: Bool[Array, "A"], *, kind: int
) -> Float32[Array, "A"]:
    """Probabilities of the actions of a player that goes for the nearest resource of a type.

    Where it sees none it wanders around everything else. Once its type is more than `ENOUGH` of its
    inventory, it tags whom its beam strikes.

    Args:
      observation: of the player; see `RunningWithScissors.observe`.
      legal_mask: legal actions, all of them or none but the dummy.
      kind: `ROCK`, `PAPER` or `SCISSORS`.
    """
    planes = observation[: NUM_PLANES * len(VIEW)].reshape(NUM_PLANES, len(VIEW)) > 0
    wanted, other = planes[kind - 1], planes[-1]
    avoided = (planes.sum(axis=0) > wanted)[_FRONT]
    nearest = jnp.argmin(jnp.where(wanted, _DISTANCE, _DISTANCE.max() + 1))
    seek = _always(jnp.asarray(_TOWARDS)[nearest])
    forward = jnp.where(avoided, 0.0, 1 - 2 * TURN)
    turn = (1 - forward) / 2
    wander = (
        forward * _always(Action.FORWARD)
        + turn * _always(Action.TURN_LEFT)
        + turn * _always(Action.TURN_RIGHT)
    )
    directed = jnp.where(wanted.any(), seek, wander)
    moves = jnp.arange(len(Action)) != Action.TAG
    probabilities = (1 - RANDOM_MOVES) * directed + RANDOM_MOVES * moves / moves.sum()
    strikes = (other & rules.in_beam(_AHEAD, _RIGHT)).any()
    held = 2.0 ** observation[-3:]
    enough = held[kind - 1] > ENOUGH * held.sum()
    probabilities = jnp.where(strikes & enough, _always(Action.TAG), probabilities)
    return jnp.where(legal_mask.all(), probabilities, _always(Action.STAY))


collect_rocks = functools.partial(collect, kind=ROCK)
collect_papers = functools.partial(collect, kind=PAPER)
collect_scissors = functools.partial(collect, kind=SCISSORS)


def _always(action):
    return jax.nn.one_hot(action, len(Action), dtype=jnp.float32)
