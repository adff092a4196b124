"""The page and the figures of `reproduce_jpsro.py`."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jpsro_targets
import numpy as np
from jpsro_cases import BEYOND, CASES, RECORDED_WITH, ZERO, ZERO_SUM_CASES
from jpsro_parts import CHECK_LIMIT_S, PROCESSES
from reproduction_report import STYLE, number, processor
from rock_paper_scissors import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["number", "processor", "summary", "write"]

Part = Mapping[str, Any]

LABELS = {
    "weigh": "ours, authors' process",
    "drop": "ours, dropping",
    "openspiel": "OpenSpiel",
    "openspiel_exact": "OpenSpiel, our meta-solver",
    "psro": "exact PSRO",
}
LINES = {
    "weigh": (COLOURS[1], "-"),
    "drop": (COLOURS[3], "-"),
    "openspiel": (COLOURS[2], "-"),
    "openspiel_exact": (COLOURS[2], (0, (2, 2))),
    "psro": (COLOURS[1], "-"),
}
# Gaps are drawn as if they were at least this, in game points.
FLOOR = 1e-9
SLOW_SHERIFF = (
    "With two rounds it is neither repeats nor how strategies are told apart: dropping repeats "
    "takes as long with the same ties, and nearly all strategies of the long runs differ in play "
    "and in payoffs. It is uniform rows where nobody arrives together with deterministic play "
    "elsewhere: with the lowest action there too, or with all ties shared, the first zero comes at "
    "the sixth iteration. Our reading: a deterministic response leaves much unreached; a co-player "
    "that leads the play there next meets uniform play, gains, and is answered, and so on through "
    "the bribes; where ties are shared, little is left unreached. The crash that was recorded is "
    "another matter: ECOS fails on the evaluation joint, which nothing else depends on."
)
PEER_COLUMNS = ("openspiel", "openspiel_exact")


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """Writes `jpsro.md`, `jpsro.json` and the figures of what was run."""
    from matplotlib import style

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "jpsro.json").write_text(_lines_of_parts(content))
    (folder / "jpsro.md").write_text(markdown(content))
    with style.context(["default", STYLE]):
        for name, games in _figures(content).items():
            if games:
                _draw(folder / f"jpsro_{name}.png", games)


def _lines_of_parts(content: Mapping[str, Any]) -> str:
    """JSON with a line per part: curves are long."""
    rest = {name: value for name, value in content.items() if name != "parts"}
    parts = ",\n  ".join(map(json.dumps, content["parts"]))
    return f'{json.dumps(rest, indent=1)[:-2]},\n "parts": [\n  {parts}\n ]\n}}\n'


def _figures(content: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Part]]]:
    """Parts to draw by figure, game and process."""
    games = {
        name: {p: part for p, part in parts.items() if p in LABELS and part["curve"]["gap"]}
        for name, parts in jpsro_targets.by_name(content["parts"]).items()
    }
    drawable = {name: parts for name, parts in games.items() if parts}
    return {
        "against_openspiel": {n: p for n, p in drawable.items() if "weigh" in p},
        "beyond_openspiel": {
            n: {"drop": p["drop"]} for n, p in drawable.items() if n in BEYOND and "drop" in p
        },
        "zero_sum": {n: p for n, p in drawable.items() if n in ZERO_SUM_CASES},
    }


def markdown(content: Mapping[str, Any]) -> str:
    """The report as a page."""
    versions = ", ".join(f"{name} {v}" for name, v in content["versions"].items() if v)
    machine, limits = content["machine"], content["limits"]
    games = jpsro_targets.by_name(content["parts"])
    figures = {name for name, drawn in _figures(content).items() if drawn}
    parts = [
        "# Exact JPSRO and PSRO",
        f"Written by `{content['command']}` on {machine['cores']} cores of {machine['processor']}, "
        "one process at a time, one thread each. Nothing is drawn at random: there are no seeds.",
        f"Versions: {versions}.",
        "All gaps are sums over seats of the exact gains from deviating in the whole game, in game "
        "points. Times are CPU seconds once libraries and compiled code are loaded; ours include "
        "compiling the tree, OpenSpiel's leave out what its loop spends on its evaluation joint. "
        f"One process of ours may take {limits['ours_s']:g} s, one of OpenSpiel's "
        f"{limits['openspiel_s']:g} CPU seconds, evaluation included; *stopped* is one that was "
        "ended inside a call.",
    ]
    if content["quick"]:
        parts.append("**A quick run under short limits: it shows that the script works.**")
    if not content["peer"]:
        parts.append(
            "**OpenSpiel's JPSRO did not run: cvxpy, cvxopt and ecos are not all installed.** No "
            "speed is compared."
        )
    if content["targets"]:
        parts += ["## Targets", _targets_table(content["targets"])]
    against = {n: p for n, p in games.items() if "weigh" in p}
    if against:
        parts += _against_part(against, "against_openspiel" in figures)
    if any(set(jpsro_targets.OTHER_TIES) & set(p) for p in against.values()):
        parts += _ties_part(against)
    beyond = {n: p["drop"] for n, p in games.items() if n in BEYOND and "drop" in p}
    if beyond:
        parts += _beyond_part(beyond)
    zero_sum = {n: p["psro"] for n, p in games.items() if n in ZERO_SUM_CASES}
    if zero_sum:
        parts += _zero_sum_part(zero_sum)
    return "\n\n".join(parts) + "\n"


def summary(content: Mapping[str, Any]) -> str:
    """What a terminal shows at the end."""
    return "\n".join(
        f"{t['game']:24s} {LABELS.get(t['process'], t['process'])}: {t['what']}: "
        f"{_measured(t['measured'])} (wanted {t['wanted']}): {'yes' if t['met'] else 'no'}"
        for t in content["targets"]
    )


def _targets_table(targets: Sequence[Mapping[str, Any]]) -> str:
    """Targets one by one; that OpenSpiel's measurements agree is one line where all do."""
    checks = [t for t in targets if t["wanted"] == "agree" and t["met"]]
    rows = [
        (t["game"], LABELS.get(t["process"], t["process"]), t["what"], t["wanted"],
         _measured(t["measured"]), "yes" if t["met"] else "**no**")
        for t in targets
        if t not in checks
    ]  # fmt: skip
    if checks:
        worst = max(t["measured"] for t in checks)
        rows.append(
            ("all others" if len(checks) < len(targets) else "all", "ours",
             f"final values by OpenSpiel, largest difference in {len(checks)} processes", "agree",
             f"{worst:.0e}", "yes")
        )  # fmt: skip
    return _table(("game", "process", "what", "wanted", "measured", "met"), rows)


def _measured(value: float | str | None) -> str:
    if value is None:
        return "never"
    return str(value) if isinstance(value, str | int) else number(value)


def _against_part(games: Mapping[str, Mapping[str, Part]], has_figure: bool) -> list[str]:
    refused = [n for n, p in games.items() if jpsro_targets.is_refused(p["weigh"])]
    compared = {n: p for n, p in games.items() if n not in refused}
    parts = [
        "## Against OpenSpiel's JPSRO",
        "Maximum-Gini CCE. The *authors' process* weighs strategies by how often they were found, "
        "tells them apart by their whole tables, and plays uniformly where the others never let "
        "the seat arrive, as `open_spiel.python.algorithms.jpsro` does: it calls `cce_dist` with "
        "`prob_cut_threshold=0`, so these information states are missing from the response, and "
        "become uniform when it is turned into a table. *Dropping* is another process with the "
        "same fixed points: a response that plays like an earlier strategy is dropped, and ties "
        "go to the lowest action everywhere.",
    ]
    if not compared:
        return parts + _refusals(games, refused)
    parts += [
        "Gap at iterations 1, 2, ... *Recorded* is "
        f"{RECORDED_WITH}; *agree* counts the leading gaps that are the recorded ones to the "
        "recorded digits, *as ours* those that are ours of the authors' process to 0.1 %. A "
        "sequence is determined only as long as no two responses are equally "
        "good: OpenSpiel compares values to the last bit, so that rounding, also of its quadratic "
        "program, picks among them; ours takes the lowest action among values within 1e-12 of the "
        "payoff range. OpenSpiel's own loop with our meta-solver in place of its "
        "quadratic program (*our meta-solver*) shows what of a departure the program is behind.",
        _table(("game", "source", "agree", "as ours", "gaps"), _sequence_rows(compared)),
        f"Where the gap is below {ZERO:g}: at first, and from where on to the end of the run. "
        "Strategies, those that joined (novel) and repeats are sums over seats.",
        _table(
            ("game", "process", "iterations", "ended by", "first zero", "zero from",
             "last gap", "novel", "repeats", "CPU seconds", "to start"),
            _count_rows(compared),
        ),
        *_speed_tables(compared),
    ]  # fmt: skip
    if has_figure:
        parts.append("![Gap over CPU seconds](jpsro_against_openspiel.png)")
    welfare = _welfare_rows(compared)
    if welfare:
        parts += [
            "The CCE of greatest welfare among the strategies of the last iteration, and its gap "
            "in the whole game.",
            _table(("game", "process", "sum of returns", "gap", "recorded"), welfare),
        ]
    parts += [f"**{n}**: {CASES[n].note}" for n in compared if CASES[n].note]
    return parts + _refusals(games, refused)


def _refusals(games: Mapping[str, Mapping[str, Part]], refused: Sequence[str]) -> list[str]:
    """What a game is refused for, with the error itself: a shortfall, in full."""
    parts = []
    for name in refused:
        error = games[name]["weigh"]["error"]
        parts += [
            f"**{name}: not reproduced.** {CASES[name].note} The error:",
            f"```text\n{error}\n```",
        ]
    return parts


def _sequence_rows(games: Mapping[str, Mapping[str, Part]]) -> list[tuple[Any, ...]]:
    rows = []
    for name, parts in games.items():
        text = CASES[name].recorded
        recorded = jpsro_targets.recorded_gaps(text)
        length = len(recorded) or 12
        if text:
            rows.append((name, "recorded", "", "", text))
        ours = parts["weigh"]["curve"]["gap"]
        for process in ("weigh", *PEER_COLUMNS, "drop"):
            gaps = parts[process]["curve"]["gap"] if process in parts else []
            if not gaps:
                continue
            agree = jpsro_targets.leading_agreement(gaps, recorded)
            count = f"{agree} of {min(length, len(gaps))}" if text and process != "drop" else ""
            same = ""
            if process in PEER_COLUMNS:
                same = f"{jpsro_targets.same_start(gaps, ours)} of {min(len(gaps), len(ours))}"
            shown = " ".join(_gap(g) for g in gaps[:length])
            rows.append((name, LABELS[process], count, same, shown))
    return rows


def _gap(value: float) -> str:
    """Three digits after the point as in the record, or three significant ones."""
    if value < ZERO:
        return "0"
    return f"{value:.3f}" if value >= 1e-3 else f"{value:.0e}"


def _count_rows(games: Mapping[str, Mapping[str, Part]]) -> list[tuple[Any, ...]]:
    rows = []
    for name, parts in games.items():
        for process in ("weigh", "drop", *PEER_COLUMNS):
            part = parts.get(process)
            if part is None:
                continue
            curve = part["curve"]
            if not curve["gap"]:
                rows.append((name, LABELS[process], 0, _ended(part), *("-",) * 7))
                continue
            first, last = (jpsro_targets.milestone(curve["gap"], k) for k in ("first", "from"))
            rows.append(
                (name, LABELS[process], len(curve["gap"]), _ended(part), first or "-", last or "-",
                 number(curve["gap"][-1]), sum(curve["novel"]), sum(curve["repeated"]),
                 f"{curve['cpu_s'][-1]:.3g}", f"{part['start']['startup_s']:.2f}")
            )  # fmt: skip
    return rows


def _ended(part: Part) -> str:
    words = {"failed": f"error: {part['error']}", "stuck": "no new strategy", "time": "time limit"}
    return words.get(part["status"], part["status"]).replace("|", "/")


def _speed_tables(games: Mapping[str, Mapping[str, Part]]) -> list[str]:
    rows = []
    for name, parts in games.items():
        for peer in PEER_COLUMNS:
            if peer not in parts:
                continue
            found = {
                process: jpsro_targets.speed(CASES[name].speed, parts[process], parts[peer])
                for process in ("weigh", "drop")
            }
            known = next(filter(None, found.values()), None)
            if known is None:
                continue
            more = "over " if known["bound"] else ""
            rows.append(
                (name, LABELS[peer], number(known["gap"]), f"{more}{known['peer_s']:.3g}",
                 *itertools.chain.from_iterable(map(_speed_cells, found.values())))
            )  # fmt: skip
    if not rows:
        return []
    header = ("game", "OpenSpiel's side", "to gap", "its CPU s", "ours, authors' process, CPU s",
              "ratio", "ours, dropping, CPU s", "ratio")  # fmt: skip
    return [
        "CPU seconds until the gap is first as small as OpenSpiel's least within its limit, or as "
        "the target says. *over*: OpenSpiel did not get there, and the ratio is a lower bound.",
        _table(header, rows),
    ]


def _speed_cells(found: Mapping[str, Any] | None) -> tuple[str, str]:
    if found is None:
        return "never", "-"
    more = "over " if found["bound"] else ""
    return f"{found['ours_s']:.3g}", f"{more}{found['ratio']:.3g}x"


def _welfare_rows(games: Mapping[str, Mapping[str, Part]]) -> list[tuple[Any, ...]]:
    rows = []
    for name, parts in games.items():
        for process in ("weigh", "drop"):
            found = parts[process]["welfare"] if process in parts else None
            if found is None:
                continue
            recorded = CASES[name].welfare
            shown = "-" if recorded is None else f"{recorded:g}"
            if found["error"] is None:
                gap = number(found["gap"])
                rows.append((name, LABELS[process], f"{found['value']:.6g}", gap, shown))
            else:
                rows.append((name, LABELS[process], found["error"], "-", shown))
    return rows


def _ties_part(games: Mapping[str, Mapping[str, Part]]) -> list[str]:
    rows = []
    for name, parts in games.items():
        if not set(jpsro_targets.OTHER_TIES) & set(parts):
            continue
        for process, (repeats, ties) in PROCESSES.items():
            part = parts.get(process)
            if part is None or part["end"] is None:
                continue
            end, gaps = part["end"], part["curve"]["gap"]
            first, last = (jpsro_targets.milestone(gaps, kind) for kind in ("first", "from"))
            rows.append(
                (name, repeats, ties.replace("_", " "), len(gaps), first or "-", last or "-",
                 *(" + ".join(map(str, end[key])) for key in
                   ("sizes", "distinct_plans", "distinct_payoffs")))
            )  # fmt: skip
    parts = [
        "## What makes the authors' process slow on sheriff",
        "Both differences from ours, one at a time: what becomes of repeats, and what a response "
        "does where actions are equally good. *lowest*: the lowest action; *lowest if reached*: "
        "the same, but uniform where the others never let the seat arrive (OpenSpiel's missing "
        "information states); *uniform*: all equally good ones alike. Also shown: how many "
        "strategies the last population has, how many of them differ in what they do where they "
        "let themselves arrive, and how many in their payoffs against the others.",
        _table(
            ("game", "repeats", "ties", "iterations", "first zero", "zero from", "strategies",
             "distinct in play", "distinct in payoffs"),
            rows,
        ),
    ]  # fmt: skip
    if "sheriff_2r" in games:
        parts.append(SLOW_SHERIFF)
    return parts


def _beyond_part(parts: Mapping[str, Part]) -> list[str]:
    rows = []
    for name, part in parts.items():
        curve, start = part["curve"], part["start"]
        peak = f"{part['end']['peak_gib']:.2f}" if part["end"] else "-"
        if not curve["gap"]:
            rows.append((name, *("-",) * 9, _ended(part)))
            continue
        rows.append(
            (name, start["nodes"], number(curve["gap"][0]), number(min(curve["gap"])),
             number(curve["gap"][-1]), len(curve["gap"]), " x ".join(map(str, curve["sizes"][-1])),
             f"{curve['cpu_s'][-1]:.3g}", peak, _check_text(part["check"]),
             _ended(part))
        )  # fmt: skip
    return [
        "## Where OpenSpiel does not go",
        "The process that drops repeats, until the gap is below what is asked or the time is over. "
        "In the trading games the first zero gap is an exact CCE of poor welfare. OpenSpiel's "
        "measurement of the last joint: `cce_dist` where that is predicted to fit "
        f"{CHECK_LIMIT_S:g} s, else "
        "(two players) its best response to the aggregated co-player, else `cce_dist` on the "
        "heaviest profiles, with how much mass they are.",
        _table(
            ("game", "nodes", "gap of uniform", "least gap", "last gap", "iterations",
             "strategies", "CPU seconds", "peak GiB", "last gap by OpenSpiel", "ended by"),
            rows,
        ),
        "![Gap over CPU seconds](jpsro_beyond_openspiel.png)",
    ]  # fmt: skip


def _check_text(check: Mapping[str, Any] | None) -> str:
    if check is None:
        return "not in time"
    if check["method"] == "heaviest_profiles":
        # The gap of a part of the joint says nothing about the whole; the agreement does.
        return (
            f"heaviest {check['mass']:.0%} of the mass: values differ by {check['difference']:.0e}"
        )
    return f"{number(check['gap'])} ({check['method'].replace('_', ' ')})"


def _zero_sum_part(parts: Mapping[str, Part]) -> list[str]:
    rows = []
    for name, part in parts.items():
        curve, end = part["curve"], part["end"] or {}
        times = [jpsro_targets.seconds_to(part, gap) for gap in (0.2, 1e-3, 1e-9)]
        by_open_spiel = number(part["check"]["gap"]) if part["check"] else "-"
        rows.append(
            (name, ZERO_SUM_CASES[name].game, len(curve["gap"]),
             " x ".join(map(str, curve["sizes"][-1])) if curve["sizes"] else "-",
             *("-" if s is None else f"{s:.3g}" for s in times),
             number(end["gap"]) if end else "-", by_open_spiel, _ended(part))
        )  # fmt: skip
    return [
        "## Exact PSRO",
        "The same loop with a Nash equilibrium of the payoff matrix (a vertex, by linear program) "
        "as meta-solver: the double oracle method. The gap of a product of mixtures is NashConv. "
        "The last columns are NashConv of the two mixtures as one policy, by our definition and "
        "by `pyspiel.nash_conv`.",
        _table(
            ("name", "game", "iterations", "strategies", "CPU s to 0.2", "to 0.001", "to 1e-9",
             "NashConv", "by OpenSpiel", "ended by"),
            rows,
        ),
        "![NashConv over CPU seconds](jpsro_zero_sum.png)",
    ]  # fmt: skip


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _draw(path: Path, games: Mapping[str, Mapping[str, Part]]) -> None:
    """Draws gaps over CPU seconds, a panel per game and a line per process."""
    from matplotlib.figure import Figure

    columns = min(3, len(games))
    lines = math.ceil(len(games) / columns)
    figure = Figure(figsize=(1 + 4.6 * columns, 1.2 + 2.9 * lines), dpi=110, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1, w_pad=0.1)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, name in itertools.zip_longest(panels, games):
        if name is None:
            axes.remove()
            continue
        _draw_game(axes, name, games[name])
    handles: dict[str, Any] = {}
    for axes in panels[: len(games)]:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    for axes in panels[: len(games) : columns]:
        axes.set_ylabel("gap (points)")
    for axes in panels[max(0, len(games) - columns) : len(games)]:
        axes.set_xlabel("CPU seconds")
    if len(handles) > 1:
        figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles)
        )
    figure.savefig(path)


def _draw_game(axes: "Axes", name: str, parts: Mapping[str, Part]) -> None:
    for process, part in parts.items():
        colour, line = LINES[process]
        gaps = np.maximum(part["curve"]["gap"], FLOOR)
        marker = "." if len(gaps) < 60 else None
        axes.plot(part["curve"]["cpu_s"], gaps, color=colour, linestyle=line, linewidth=1.2,
                  marker=marker, markersize=4, label=LABELS[process])  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter("")
    axes.set_yscale("log")
    axes.set_title(name)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
