"""The page of one run or of several side by side: the certificate first, then how it got there."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.pages.curve_figure import Curve, curves_svg
from evaluation.pages.graph_figure import graph_figure
from evaluation.pages.page import Section, name, page, text
from evaluation.pages.replay_page import ASSETS, replay_content, viewer
from evaluation.pages.run_summary import Graph, GraphMoment, RunSummary, Track
from evaluation.pages.tables import Cell, Column, bar, table

MAX_SHOWN = 32
# Changes of the graph that a page has; the run's folder has all.
MAX_MOMENTS = 100
_STRONGEST = 0.62
_QUANTITIES = {
    "nash_conv": "NashConv",
    "exploitability": "exploitability",
    "cce_gap": "CCE gap",
    "ce_gap": "CE gap",
    "mean_return": "mean return",
}
_METHODS = {
    "exact": "exact",
    "sampled": "sampled",
    "trained_best_response": "a lower bound by a trained best response",
}


def run_page(runs: Sequence[RunSummary], comparisons: Sequence[Mapping[str, Any]] = ()) -> str:
    """One self-contained HTML page.

    Args:
      runs: at least one.
      comparisons: relative population performance between runs of a game, each with `first`,
        `second` and `value`.
    """
    sections = [Section("certificate", "Certificate", _certificates(runs))]
    if any(run.gaps for run in runs):
        sections.append(Section("progress", "Progress", _progress(runs)))
    if comparisons:
        sections.append(Section("comparison", "Runs against each other", _compared(comparisons)))
    for number, run in enumerate(runs):
        sections += _run_sections(run, number, alone=len(runs) == 1)
    replays = [(label, replay) for run in runs for label, replay in run.replays]
    if replays:
        sections.append(Section("watch", "Sample games", viewer()))
    sections.append(Section("provenance", "Configuration and provenance", _facts(runs)))
    title = f"Run {runs[0].name}" if len(runs) == 1 else f"{len(runs)} runs"
    embedded = {
        "runs": [run_content(run) for run in runs],
        "relative_performance": list(comparisons),
        "replays": [replay_content(label, replay) for label, replay in replays],
    }
    games = ", ".join(dict.fromkeys(run.game for run in runs))
    return page(
        title,
        sections,
        lead=f'<p class="lead">{text(games)}. {_lead(runs)}</p>',
        embedded=embedded,
        assets=ASSETS if replays else ("replay.css",),
    )


def run_content(run: RunSummary) -> dict[str, Any]:
    """The numbers of a run for programs, as strict JSON."""
    return {
        "name": run.name,
        "game": run.game,
        "method": run.method,
        "certificate": run.certificate,
        "gaps": [dataclasses.asdict(track) for track in run.gaps],
        "tracks": [dataclasses.asdict(track) for track in run.tracks],
        "payoffs": None if run.payoffs is None else run.payoffs.tolist(),
        "payoffs_are": run.payoffs_are,
        "mixtures": [own.tolist() for own in run.mixtures],
        "graphs": _graph_content(run.graphs),
        "history": [
            {"step": moment.step, "graphs": _graph_content(moment.graphs)}
            for moment in _thinned(run.history)
        ],
        "sizes": dict(run.sizes),
        "transitive": run.transitivity and _finite(run.transitivity.transitive),
        "cyclic": run.transitivity and _finite(run.transitivity.cyclic),
    }


def _graph_content(graphs: Sequence[Graph]) -> list[dict[str, Any]]:
    return [{"player": g.player, "coplayer": g.coplayer, "rows": g.rows.tolist()} for g in graphs]


def _thinned(history: Sequence[GraphMoment]) -> list[GraphMoment]:
    """At most `MAX_MOMENTS`, spread over all, the first and the last among them."""
    places = np.linspace(0, len(history) - 1, min(len(history), MAX_MOMENTS))
    return [history[int(place)] for place in places.round()]


def _lead(runs: Sequence[RunSummary]) -> str:
    if len(runs) > 1:
        return f"{len(runs)} runs side by side."
    certificate = runs[0].certificate
    if certificate is None:
        return "Not certified yet: the run has not finished."
    quantity = _QUANTITIES.get(certificate["quantity"], certificate["quantity"])
    words = f"{quantity} of its {text(certificate['object'])}: "
    return words + f"<strong>{certificate['value']:.6g}</strong>, {_how(certificate)}."


def _how(certificate: Mapping[str, Any]) -> str:
    return _METHODS.get(certificate["method"], certificate["method"])


def _certificates(runs: Sequence[RunSummary]) -> str:
    rows = []
    for run in runs:
        own = run.certificate
        if own is None:
            rows.append([Cell(name(run.name), run.name, head=True), *[Cell("none yet")] * 6])
            continue
        interval = own["interval"]
        theirs = own["openspiel_value"]
        rows.append(
            [
                Cell(name(run.name), run.name, head=True),
                Cell(text(_QUANTITIES.get(own["quantity"], own["quantity"]))),
                Cell(f"{own['value']:.9g}", own["value"]),
                Cell("not asked" if theirs is None else f"{theirs:.9g}", theirs),
                Cell(text(_how(own))),
                Cell(text(", ".join(f"{gain:.6g}" for gain in own["per_player"]))),
                Cell("none" if interval is None else f"{interval[0]:.5g} to {interval[1]:.5g}"),
            ]
        )
    columns = [
        Column("Run", kind="text"),
        Column("Quantity", kind="text"),
        Column("Value"),
        Column("By OpenSpiel"),
        Column("Method", kind="text"),
        Column("Per seat", kind="text"),
        Column("95 %"),
    ]
    objects = "; ".join(
        dict.fromkeys(run.certificate["object"] for run in runs if run.certificate is not None)
    )
    caption = "In game points; what each seat can gain by a best response, or what it earns alone. "
    caption += f"Of: {objects or '-'}."
    methods = "".join(
        f"<dt>{name(run.name)}</dt><dd>{text(run.method)}, {text(run.game)}</dd>" for run in runs
    )
    return table("Certificate", caption, columns, rows) + f"<dl>{methods}</dl>"


def _progress(runs: Sequence[RunSummary]) -> str:
    parts = []
    for against in ("steps", "seconds"):
        curves = [
            Curve(_curve_name(runs, run, track), getattr(track, against), track.values)
            for run in runs
            for track in (run.gaps if len(runs) == 1 else run.gaps[:1])
            if len(getattr(track, against)) == len(track.values)
        ]
        if curves:
            label = f"{runs[0].gaps[0].title if runs[0].gaps else 'Gap'} against {against}"
            svg = curves_svg(label, curves, x_title=against, y_title="game points")
            parts.append(f"<figure>{svg}<figcaption>{text(label)}</figcaption></figure>")
    return f'<div class="columns">{"".join(parts)}</div>'


def _curve_name(runs: Sequence[RunSummary], run: RunSummary, track: Track) -> str:
    return track.title if len(runs) == 1 else run.name


def _compared(comparisons: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            Cell(name(one["first"]), one["first"], head=True),
            Cell(name(one["second"]), one["second"]),
            Cell(f"{one['value'] + 0.0:.6g}", one["value"]),
        ]
        for one in comparisons
    ]
    columns = [Column("Population", kind="text"), Column("Against", kind="text"), Column("Value")]
    caption = (
        "Relative population performance (Balduzzi et al. 2019), exact: the value of the game in "
        "which each side mixes the strategies of its population, to the first, in game points."
    )
    return table("Runs against each other", caption, columns, rows)


def _run_sections(run: RunSummary, number: int, *, alone: bool) -> list[Section]:
    of = "" if alone else f" of {run.name}"
    parts = []
    if run.payoffs is not None and run.payoffs[..., 0].size > 1:
        parts.append(Section(f"payoffs-{number}", f"Payoffs{of}", _payoffs(run)))
    if run.graphs or run.history:
        body = (_graphs(run) if run.graphs else "") + _history(run)
        parts.append(Section(f"graph-{number}", f"Interaction graph{of}", body))
    parts.append(Section(f"population-{number}", f"Population{of}", _population(run)))
    if run.tracks:
        parts.append(Section(f"tracks-{number}", f"Training{of}", _tracks(run)))
    if max(map(len, run.mixtures), default=0) > 1:
        parts.append(Section(f"strategies-{number}", f"Strategies{of}", _strategies(run)))
    return parts


def _payoffs(run: RunSummary) -> str:
    others = tuple(range(2, run.payoffs.ndim - 1))
    matrix = run.payoffs[..., 0].mean(axis=others) if others else run.payoffs[..., 0]
    third = "; other seats mix all their strategies alike" if others else ""
    caption = (
        f"What strategy k of seat 0 (row) earns against strategy l of seat 1 (column), in game "
        f"points, {run.payoffs_are}{third}. Blue earns, orange loses."
    )
    return _heat("Payoffs of seat 0", caption, matrix, signed=True)


def _graphs(run: RunSummary) -> str:
    tables = [
        _heat(
            f"Seat {graph.player} meets seat {graph.coplayer}",
            f"Row k: how often strategy k of seat {graph.player} met each strategy of seat "
            f"{graph.coplayer} in training, in percent.",
            graph.rows,
            signed=False,
        )
        for graph in run.graphs
        if (graph.player, graph.coplayer) not in _repeated([run.graphs])
    ]
    return (
        "<p>Strategies stand in the order in which they joined, so that reading down is reading "
        "through time: a row is what its strategy was asked to beat. One that was given another "
        "row since may respond to later ones.</p>"
        f'<div class="columns">{"".join(tables)}</div>'
    )


def _history(run: RunSummary) -> str:
    """The graph over time: a figure for every seat and co-player."""
    moments = _thinned(run.history)
    if not moments:
        return ""
    end = max((step for track in (*run.gaps, *run.tracks) for step in track.steps), default=0.0)
    pairs = {(g.player, g.coplayer) for moment in moments for g in moment.graphs}
    figures = []
    for player, coplayer in sorted(pairs - _repeated([moment.graphs for moment in moments])):
        known = [
            (moment.step, graph.rows[:MAX_SHOWN])
            for moment in moments
            for graph in moment.graphs
            if (graph.player, graph.coplayer) == (player, coplayer)
        ]
        if not any(rows.any() for _, rows in known):
            continue
        label = f"Whom strategies of seat {player} were trained against, over the steps"
        steps, rows = zip(*known, strict=True)
        caption = (
            f"{label}: a strip per strategy, in which the strategies of seat {coplayer} that it "
            "responded to are stacked by their shares, with their numbers."
        )
        svg = graph_figure(label, steps, rows, end)
        figures.append(f"<figure>{svg}<figcaption>{text(caption)}</figcaption></figure>")
    few = len(moments) < len(run.history)
    said = f"<p>{len(moments)} of {len(run.history)} changes are shown.</p>" if few else ""
    return f'<h3>Over time</h3>{said}<div class="columns">{"".join(figures)}</div>'


def _repeated(moments: Sequence[Sequence[Graph]]) -> set[tuple[int, int]]:
    """Seat 1 of two, where it always met whom seat 0 met: shown once."""
    for graphs in moments:
        if len(graphs) != 2 or graphs[0].rows.shape != graphs[1].rows.shape:
            return set()
        if not np.allclose(graphs[0].rows, graphs[1].rows, atol=1e-9):
            return set()
    return {(1, 0)}


def _heat(label: str, caption: str, matrix: np.ndarray, *, signed: bool) -> str:
    shown = matrix[:MAX_SHOWN, :MAX_SHOWN]
    largest = float(np.abs(matrix).max(initial=0.0)) or 1.0
    digits = int(np.clip(2 - np.floor(np.log10(largest)), 0, 8))
    rows = []
    for k, row in enumerate(shown):
        cells = [Cell(str(k), k, head=True)]
        for value in row:
            strength = _STRONGEST * abs(value) / (largest if signed else 1.0)
            sign = "gain" if value >= 0 else "loss"
            style = f"background:rgb(var(--{sign}-rgb) / {strength:.2f})"
            words = f"{round(value, digits) + 0.0:.{digits}f}" if signed else f"{100 * value:.0f}"
            cells.append(Cell(words if signed or value >= 0.005 else "", value, style=style))
        rows.append(cells)
    columns = [Column("", kind="text"), *(Column(str(k)) for k in range(shown.shape[1]))]
    of = f" The first {MAX_SHOWN}." if max(matrix.shape) > MAX_SHOWN else ""
    return table(label, caption + of, columns, rows, kind="heat")


def _population(run: RunSummary) -> str:
    rows = "".join(f"<dt>{text(key)}</dt><dd>{value:.4g}</dd>" for key, value in run.sizes.items())
    words = ""
    if run.transitivity is not None and np.isfinite(run.transitivity.transitive):
        words = (
            f"<p>Ratings explain {100 * run.transitivity.transitive:.1f} % of the squared payoffs, "
            f"cycles the other {100 * run.transitivity.cyclic:.1f} %.</p>"
        )
    return f"<dl>{rows}</dl>{words}"


def _tracks(run: RunSummary) -> str:
    figures = []
    for track in run.tracks:
        svg = curves_svg(
            track.title, [Curve("", track.steps, track.values)], x_title="steps", y_title=""
        )
        figures.append(f"<figure>{svg}<figcaption>{text(track.title)}</figcaption></figure>")
    return f'<div class="columns">{"".join(figures)}</div>'


def _strategies(run: RunSummary) -> str:
    """A part per strategy: how often it is played, whom it was trained to beat, what it earns."""
    parts = []
    for k in range(min(max(map(len, run.mixtures)), MAX_SHOWN)):
        rows = []
        for seat, own in enumerate(run.mixtures):
            if k < len(own):
                cells = [Cell(str(seat), seat, head=True), Cell(f"{100 * own[k]:.2f} %", own[k])]
                cells.append(Cell(bar(own[k])))
                cells.append(Cell(_against_mixture(run, seat, k)))
                cells.append(Cell(text(_met(run, seat, k))))
                rows.append(cells)
        columns = [
            Column("Seat"),
            Column("Played"),
            Column("Share", kind="bar"),
            Column("Earns", note="against the mixtures of the others, in game points"),
            Column("Trained against", kind="text"),
        ]
        caption = "How often the certified mixture plays it, and what it earns against the others'."
        body = table(f"Strategy {k}", caption, columns, rows)
        numbers = run.samples[k] if k < len(run.samples) else ()
        labels = "".join(f"<li>{name(run.replays[number][0])}</li>" for number in numbers)
        games = f"<p>Sample games, under <a href='#watch'>Sample games</a>:</p><ul>{labels}</ul>"
        opened = " open" if k == 0 else ""
        body += games if labels else ""
        parts.append(f"<details{opened}><summary>Strategy {k}</summary>{body}</details>")
    return "\n".join(parts)


def _against_mixture(run: RunSummary, seat: int, k: int) -> str:
    if run.payoffs is None:
        return ""
    values = np.moveaxis(run.payoffs[..., seat], seat, 0)[k]
    for other, own in enumerate(run.mixtures):
        if other != seat:
            values = np.tensordot(own, values, axes=1)
    return f"{float(values) + 0.0:.5g}"


def _met(run: RunSummary, seat: int, k: int) -> str:
    said = []
    for graph in run.graphs:
        if graph.player == seat and k < len(graph.rows) and graph.rows[k].any():
            order = np.argsort(-graph.rows[k], kind="stable")[:3]
            own = graph.rows[k]
            shares = [f"{j} ({100 * own[j]:.0f} %)" for j in order if own[j] > 0.005]
            said.append(f"seat {graph.coplayer}: {', '.join(shares)}")
    return "; ".join(said) or "nobody"


def _facts(runs: Sequence[RunSummary]) -> str:
    headings = list(dict.fromkeys(heading for run in runs for heading in run.facts))
    parts = []
    for heading in headings:
        keys = list(dict.fromkeys(key for run in runs for key in run.facts.get(heading, ())))
        rows = []
        for key in keys:
            values = [run.facts.get(heading, {}).get(key, "") for run in runs]
            strong = len({str(value) for value in values}) > 1
            cells = [Cell(text(key), key, head=True)]
            for value in values:
                words = text(value)
                cells.append(Cell(f"<strong>{words}</strong>" if strong else words))
            rows.append(cells)
        columns = [Column("", kind="text"), *(Column(run.name, kind="text") for run in runs)]
        caption = "What differs between runs is bold." if len(runs) > 1 else "As recorded."
        parts.append(
            f"<details><summary>{text(heading)}</summary>{table(heading, caption, columns, rows)}"
            "</details>"
        )
    return "\n".join(parts)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
