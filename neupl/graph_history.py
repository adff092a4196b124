"""The interaction graph over the steps of a run: a line of `graph.jsonl` for every change of it.

A line says what strategies respond to from a step on: by seat and co-player the marginals of the
rows, as pairs of a strategy and its share. Nothing is repeated, so that a gated run has as many
lines as strategies, and a concurrent one a line per evaluation at most.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from evaluation.pages.run_summary import Graph, GraphMoment
from neupl.errors import UserError

# Shares are kept to so many digits; smaller ones are left out.
DIGITS = 6


def marginal_graphs(rows: Float[np.ndarray, "P K M"], sizes: Sequence[int]) -> tuple[Graph, ...]:
    """Marginals of the rows over each co-player.

    Args:
      rows: of every strategy, over the joint of its co-players, `M = K ** (P - 1)`.
      sizes: strategies of each seat.
    """
    P, K = rows.shape[:2]
    found = []
    for player in range(P):
        own = np.asarray(rows[player], np.float64).reshape((K,) * P)
        coplayers = [seat for seat in range(P) if seat != player]
        for axis, coplayer in enumerate(coplayers, start=1):
            others = tuple(other for other in range(1, P) if other != axis)
            marginal = own.sum(axis=others)[: sizes[player], : sizes[coplayer]]
            found.append(Graph(player, coplayer, marginal))
    return tuple(found)


def graphs_content(graphs: Sequence[Graph]) -> list[dict[str, Any]]:
    """Graphs as a line of `graph.jsonl` has them."""
    return [
        {
            "player": graph.player,
            "coplayer": graph.coplayer,
            "sizes": list(graph.rows.shape),
            "rows": [_pairs(row) for row in graph.rows],
        }
        for graph in graphs
    ]


def graph_moments(lines: Sequence[Mapping[str, Any]], source: str) -> tuple[GraphMoment, ...]:
    """The graphs of all lines, oldest first.

    Raises:
      UserError: a line is not what `graphs_content` makes.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            graphs = tuple(_graph(content) for content in line["graphs"])
            found.append(GraphMoment(float(line["step"]), graphs))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise UserError(
                f"{source}, line {number} is no interaction graph: {error!r}"
            ) from error
    return tuple(found)


def _pairs(row: Float64[np.ndarray, "L"]) -> list[list[float]]:
    shares = row.round(DIGITS)
    return [[int(k), float(shares[k])] for k in np.flatnonzero(shares)]


def _graph(content: Mapping[str, Any]) -> Graph:
    rows = np.zeros(content["sizes"])
    if rows.ndim != 2 or len(content["rows"]) != len(rows):
        raise ValueError(f"{len(content['rows'])} rows, sizes {content['sizes']}")
    for row, pairs in zip(rows, content["rows"], strict=True):
        for k, share in pairs:
            row[k] = share
    if not np.isfinite(rows).all():
        raise ValueError("a share is not finite")
    return Graph(int(content["player"]), int(content["coplayer"]), rows)
