"""Tables of a page whose cells are coloured: win rates, and payoffs of two players.

A heat map that is a table: its numbers are read aloud, copied and printed.
"""

import numpy as np
from jaxtyping import Float64

from evaluation.pages.page import name
from evaluation.pages.rating_report import RatingReport
from evaluation.pages.tables import Cell, Column, table

# Above so many rows or columns a table would be too large to be read; the JSON beside it has all.
MAX_HEAT = 80
# How strongly the extreme cells are coloured: their numbers must stay readable.
_STRONGEST = 0.62


def win_rates_table(report: RatingReport, rates: Float64[np.ndarray, "n n"]) -> str:
    """How often rows won against columns."""
    place = {model: k for k, model in enumerate(report.evaluation.models)}
    models = [report.first.models[k] for k in report.first.order().tolist()]
    shown = [model for model in models if model in place][:MAX_HEAT]
    rows = []
    for row in shown:
        cells = [Cell(name(row), head=True)]
        for column in shown:
            rate = rates[place[row], place[column]]
            if row == column or np.isnan(rate):
                cells.append(Cell('<span aria-hidden="true">·</span>'))
                continue
            cells.append(Cell(f"{100 * rate:.0f}", rate, style=_coloured(2 * rate - 1)))
        rows.append(cells)
    columns = [Column("Model", kind="text"), *(Column(model) for model in shown)]
    of = f" Of the best {len(shown)}." if len(shown) < len(models) else ""
    caption = (
        "Percentage that the row won against the column over all prompts, a tie being half a win; "
        f"blue won, orange lost. Models stand in the order of the leaderboard.{of}"
    )
    return table("Win rates", caption, columns, rows, kind="heat")


def payoffs_table(report: RatingReport, payoffs: Float64[np.ndarray, "K M"]) -> str:
    """What each rated strategy earns against each of the opponent's."""
    game = report.evaluation
    opponents = game.strategy_names[1 - report.seat][:MAX_HEAT]
    # Relative to the mean, so that games of gains alone have two colours too.
    mean, largest = float(payoffs.mean()), float(np.ptp(payoffs)) or 1.0
    rows = []
    for k in report.first.order()[:MAX_HEAT]:
        own = payoffs[k, : len(opponents)]
        cells = [
            Cell(f"{value:.3g}", float(value), style=_coloured(2 * (value - mean) / largest))
            for value in own
        ]
        rows.append([Cell(name(report.first.models[k]), head=True), *cells])
    columns = [Column("Strategy", kind="text"), *(Column(each) for each in opponents)]
    of = f" Of the first {MAX_HEAT}." if max(payoffs.shape) > MAX_HEAT else ""
    caption = (
        f"What the strategy of the row earns against the column's, in game points (mean {mean:.3g}"
        "); blue is more than the mean, orange less. Rows stand in the order of the leaderboard."
        f"{of}"
    )
    return table("Payoffs", caption, columns, rows, kind="heat")


def _coloured(value: float) -> str:
    """The background of a cell, from -1 (loss) to 1 (gain)."""
    sign = "gain" if value >= 0 else "loss"
    return f"background:rgb(var(--{sign}-rgb) / {_STRONGEST * min(abs(value), 1.0):.2f})"
