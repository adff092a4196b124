"""One iteration of NeuPL-JPSRO as a training task: respond, distil, regularise."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int, UInt32


class TreeTask(NamedTuple):
    """What learning on the game tree needs besides.

    Attributes:
      reach: per seat, `[Z, R]` probability of each terminal under chance and these mixtures of the
        co-players as they were when the iteration began.
      magnet: `[S, A, R]` log-probabilities to which responses are drawn where nothing else tells
        actions apart; 0 everywhere for entropy.
      frozen: `[S, A, K]` probabilities of all strategies when the iteration began.
      importance: `[S, K]` how much a strategy counts at an information state; sums to 1 over a
        seat.
    """

    reach: tuple[Float[Array | np.ndarray, "Z R"], ...]
    magnet: Float[Array | np.ndarray, "S A R"]
    frozen: Float[Array | np.ndarray, "S A K"]
    importance: Float[Array | np.ndarray, "S K"]


class ResponseTask(NamedTuple):
    """What does not change while the responses of one iteration are learned.

    Attributes:
      mixtures: `[P, R, M]` the joint mixtures of the co-players that are responded to.
      temperature: `[P, R]` weight of the divergence of each decision from the magnet, in game
        points per nat.
      magnet_share: share of the temperature that draws to the magnet, in [0, 1]; the rest is
        entropy.
      slot: `[P]` strategy that the response is distilled into.
      distil: `[P]` weight of distilling.
      responder: `[P]` which of the `R` responses is distilled.
      held: `[P, K]` 1 for strategies that stay as they were when the iteration began.
      started: step at which the iteration began.
      frozen_params: parameters when the iteration began; by them co-players play episodes.
      novel: 1 where ties are broken at random, else 0.
      magnet_key: data of the key that the policy follows from which breaks them in episodes; never
        used up.
      on_tree: what only a game tree tells; `None` in runs that only play.
    """

    mixtures: Float[Array | np.ndarray, "P R M"]
    temperature: Float[Array | np.ndarray, "P R"]
    magnet_share: Float[Array | np.ndarray, ""]
    slot: Int[Array | np.ndarray, "P"]
    distil: Float[Array | np.ndarray, "P"]
    responder: Int[Array | np.ndarray, "P"]
    held: Float[Array | np.ndarray, "P K"]
    started: Int[Array | np.ndarray, ""]
    frozen_params: Any
    novel: Float[Array | np.ndarray, ""]
    magnet_key: UInt32[Array | np.ndarray, "2"]
    on_tree: TreeTask | None

    def without_tree(self) -> "ResponseTask":
        """What playing hangs on."""
        return self._replace(on_tree=None)
