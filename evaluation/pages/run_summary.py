"""What a run folder says, as its page takes it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64

from evaluation.relative_performance import Transitivity
from evaluation.replay import Replay


@dataclasses.dataclass(frozen=True)
class Track:
    """A figure of a run as it was logged.

    Attributes:
      title: what it is, with its unit.
      steps: at which it was logged.
      seconds: wall-clock time of training by then.
      values: finite.
    """

    title: str
    steps: tuple[float, ...]
    seconds: tuple[float, ...]
    values: tuple[float, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """Whom the strategies of a seat were trained against.

    Attributes:
      player: the seat that responds.
      coplayer: the seat that is met.
      rows: `[K, K]` row k is the mixture of the co-player's strategies that strategy k responds to.
    """

    player: int
    coplayer: int
    rows: Float64[np.ndarray, "K L"]


@dataclasses.dataclass(frozen=True, eq=False)
class GraphMoment:
    """The interaction graph from a step on.

    Attributes:
      step: from which on training met whom it says.
      graphs: as in `RunSummary.graphs`.
    """

    step: float
    graphs: tuple[Graph, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class RunSummary:
    """What a run folder says.

    Attributes:
      name: of the run.
      game: what `games.load_game` accepts.
      method: how it was made, in words.
      certificate: as in `certificate.json`; `None` while there is none.
      gaps: the gap as it was logged, the headline first.
      tracks: other figures as they were logged.
      payoffs: `[K_0, ..., K_{P-1}, P]` between the admitted strategies, in game points; `None`
        where there are too many.
      payoffs_are: `"exact"` or `"estimated"`.
      mixtures: per seat, how often each strategy is played.
      graphs: whom strategies were trained against; empty for solvers.
      history: the graph over the steps, from the first one on; empty where it was not logged.
      sizes: figures of how many strategies there really are, by name.
      transitivity: of two-player zero-sum payoffs, seats averaged out.
      facts: configuration and provenance, by heading.
      replays: sample games, by label.
      samples: per strategy of seat 0, numbers of its replays.
    """

    name: str
    game: str
    method: str
    certificate: Mapping[str, Any] | None
    gaps: tuple[Track, ...]
    tracks: tuple[Track, ...]
    payoffs: Float64[np.ndarray, "..."] | None
    payoffs_are: str
    mixtures: tuple[Float64[np.ndarray, "_"], ...]
    graphs: tuple[Graph, ...]
    sizes: Mapping[str, float]
    transitivity: Transitivity | None
    facts: Mapping[str, Mapping[str, Any]]
    replays: tuple[tuple[str, Replay], ...] = ()
    samples: tuple[tuple[int, ...], ...] = ()
    history: tuple[GraphMoment, ...] = ()
