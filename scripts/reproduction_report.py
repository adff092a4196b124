"""The page and the figures of `reproduce_neupl.py`."""

import argparse
import itertools
import json
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rock_paper_scissors import COLOURS, draw_simplexes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# NashConv below this share of the payoff range is drawn, and written, as if it were this.
FLOOR = 1e-6


STYLE = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def write(
    folder: Path, content: Mapping[str, Any], *, trajectories: Mapping[str, np.ndarray]
) -> None:
    """Writes `neupl.md`, `neupl.json` and the figures of what was run."""
    from matplotlib import style

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "neupl.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "neupl.md").write_text(markdown(content))
    with style.context(["default", STYLE]):
        if content["rows"]:
            draw_curves(folder / "neupl_nash_conv.png", content["rows"])
        if trajectories:
            draw_simplexes(folder / "rps_interaction_graphs.png", trajectories)


def processor() -> str:
    """The processor's name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def described(command: str, options: argparse.Namespace) -> dict[str, Any]:
    """What a report says of itself: the command that repeats it, where and with what it ran."""
    from neupl.provenance import usable_cores, versions

    return {
        "command": command,
        "quick": options.quick,
        "seeds": options.seeds,
        "jobs": options.jobs,
        "versions": versions(),
        "machine": {"processor": processor(), "cores": usable_cores()},
    }


def preamble(title: str, content: Mapping[str, Any]) -> list[str]:
    """How a page starts: by what, on what and with what versions it was measured."""
    versions = ", ".join(f"{name} {v}" for name, v in content["versions"].items() if v)
    machine = content["machine"]
    parts = [
        f"# {title}",
        f"Written by `{content['command']}` on {machine['cores']} cores of {machine['processor']}, "
        f"{content['jobs']} training at a time, {content['seeds']} seeds.",
        f"Versions: {versions}.",
    ]
    if content["quick"]:
        parts.append(
            "**A quick run of a few steps: it shows that the script works, nothing else.**"
        )
    return parts


def markdown(content: Mapping[str, Any]) -> str:
    """The report as a page."""
    parts = preamble("NeuPL on exact game trees", content)
    if content["rows"]:
        parts += _targets_part(content["rows"])
    if content["rock_paper_scissors"]:
        parts += _facts_part(content["rock_paper_scissors"])
    return "\n\n".join(parts) + "\n"


def summary(content: Mapping[str, Any]) -> str:
    """What a terminal shows at the end."""
    lines = [
        f"{row['name']:14s} target {number(row['target']):>8s}, worst seed: best "
        f"{number(row['worst']['best'])}, final {number(row['worst']['final'])}, last third "
        f"{number(row['worst']['last_third'])}: {met_text(row['met'])}"
        for row in content["rows"]
    ]
    lines += [
        f"{fact['graph']:14s} {fact['expected']}: {_values(fact)}: {_yes(fact['holds'])}"
        for fact in content["rock_paper_scissors"]
    ]
    return "\n".join(lines)


def number(value: float) -> str:
    """Three significant digits; what rounding alone produces is 0."""
    return "0" if abs(value) < 1e-9 else f"{value:.3g}"


def met_text(met: Mapping[str, bool]) -> str:
    """Which of the three quantities meet the target."""
    if all(met.values()):
        return "yes"
    names = [name.replace("_", " ") for name, is_met in met.items() if is_met]
    return f"{' and '.join(names)} only" if names else "no"


def _targets_part(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    variants = list(rows[0]["reference"]["by_variant"])
    return [
        "## NashConv against exact PSRO",
        "Every population is one conditional network trained by the exact learner: payoffs, action "
        "values and NashConv come from passes over the whole game tree, without sampling. "
        "Strategies are admitted by an exact gate. The *best* snapshot of a run is the one with "
        "the least exact NashConv, a selection on the measured quantity itself. For the last fifth "
        "of its steps a run settles: that snapshot comes back, and only the critic learns. *Final* "
        "and *last third* (the median over the last third of the run) therefore say that it came "
        "back unharmed; *before settling*, the median over the last third of the steps before, "
        "says where learning was without selection. The best snapshot is reloaded from disk and "
        "certified by `neupl verify`, by our solver and by OpenSpiel's.",
        "The reference is the best of three exact PSRO runs with as many strategies. The target "
        "is 1.3 times that or 0.005 of the payoff range, whichever is more; for Kuhn poker also "
        "0.01 within 30 s. All in game points; cells are median (worst) over the seeds, and *met* "
        "judges the worst.",
        table(
            ("game", "target", "best", "final", "last third", "before settling", "met"),
            [
                (
                    _game(row),
                    number(row["target"]),
                    *(
                        median_worst(row, q, number)
                        for q in ("best", "final", "last_third", "before_settling")
                    ),
                    met_text(row["met"]),
                )
                for row in rows
            ],
        ),
        *(f"**{row['name']}**: {row['beyond_reach']}" for row in rows if row["beyond_reach"]),
        "![NashConv over training](neupl_nash_conv.png)",
        "What it took. Seconds are those of the whole `neupl train` process: imports, tree, "
        "compilation, training and certificate.",
        table(
            ("game", "strategies", "payoff range", "steps", "seconds", "CPU seconds",
             "OpenSpiel, best, by seed", "largest difference from ours"),
            [
                (
                    row["name"],
                    row["num_strategies"],
                    number(row["payoff_range"]),
                    row["runs"][0]["steps"],
                    *(median_worst(row, q, "{:.1f}".format) for q in ("wall_s", "cpu_s")),
                    *_openspiel(row),
                )
                for row in rows
            ],
        ),
        "NashConv of exact PSRO with as many strategies, by kind of response.",
        table(
            ("game", *variants),
            [(row["name"], *map(number, row["reference"]["by_variant"].values())) for row in rows],
        ),
    ]  # fmt: skip


def _facts_part(facts: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        "## Rock-paper-scissors under four interaction graphs",
        "After the first figure of results of Liu et al. (2022, arXiv 2202.07415): all strategies "
        "train concurrently from the same network; fictitious play and PSRO start from a fixed "
        "strategy 0 that plays rock, paper and scissors with probabilities 0.8, 0.1 and 0.1. "
        "The meta-solver returns the equilibrium of maximum entropy, which spreads over all "
        "strategies that play uniform. Under PSRO, rows therefore keep changing as the population "
        "grows, while what they stand for, and so the strategies, do not.",
        "![Trajectories on the simplex](rps_interaction_graphs.png)",
        table(
            ("graph", "expected", "measured, by seed", "holds"),
            [(f["graph"], f["expected"], _values(f), _yes(f["holds"])) for f in facts],
        ),
    ]


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _game(row: Mapping[str, Any]) -> str:
    source = f"configs/{row['preset']}" if row["preset"] else f"`--game` {row['game']}"
    return f"{row['name']} ({source})"


def median_worst(row: Mapping[str, Any], name: str, text_fn: Callable[[float], str]) -> str:
    """`median (worst)` over the seeds."""
    return f"{text_fn(row['median'][name])} ({text_fn(row['worst'][name])})"


def _openspiel(row: Mapping[str, Any]) -> tuple[str, str]:
    pairs = [(run["openspiel"], run["best"]) for run in row["runs"]]
    if any(theirs is None for theirs, _ in pairs):
        return "does not know this game", "-"
    difference = max(abs(theirs - ours) for theirs, ours in pairs)
    return ", ".join(number(theirs) for theirs, _ in pairs), f"{difference:.0e}"


def _values(fact: Mapping[str, Any]) -> str:
    return ", ".join(f"{value:.3g}" for value in fact["measured"])


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def draw_curves(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draws NashConv over the gradient steps, one panel per game, one line per seed."""
    figure, panels = panels_of(
        rows, _draw_case, across="gradient steps", upwards="NashConv (points)"
    )
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.savefig(path)


def panels_of(
    rows: Sequence[Mapping[str, Any]],
    draw_fn: Callable[["Axes", Mapping[str, Any]], None],
    *,
    across: str,
    upwards: str,
) -> tuple["Figure", Sequence["Axes"]]:
    """A figure with a panel per row, labelled at its edges; returns it with its panels."""
    from matplotlib.figure import Figure

    columns = min(3, len(rows))
    lines = math.ceil(len(rows) / columns)
    figure = Figure(figsize=(1 + 4.6 * columns, 0.9 + 3.1 * lines), dpi=110, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1, w_pad=0.1)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, row in itertools.zip_longest(panels, rows):
        if row is None:
            axes.remove()
        else:
            draw_fn(axes, row)
    for axes in panels[::columns]:
        axes.set_ylabel(upwards)
    for axes in panels[max(0, len(rows) - columns) : len(rows)]:
        axes.set_xlabel(across)
    return figure, panels


def _draw_case(axes: "Axes", row: Mapping[str, Any]) -> None:
    floor = FLOOR * row["payoff_range"]
    for run, colour in zip(row["runs"], itertools.cycle(COLOURS[1:]), strict=False):
        values = np.maximum(run["curve"]["nash_conv"], floor)
        label = f"seed {run['seed']}"
        axes.plot(run["curve"]["step"], values, color=colour, linewidth=1.1, label=label)
    axes.set_yscale("log")
    reference = max(row["reference"]["nash_conv"], floor)
    axes.axhline(reference, color="black", linewidth=1.4, label="best exact PSRO")
    axes.axhline(row["target"], color="black", linewidth=1.4, linestyle=(0, (2, 2)), label="target")
    low, high = (math.log10(bound) for bound in axes.get_ylim())
    axes.set_ylim(10 ** (math.floor(low) - 0.05), 10 ** math.ceil(high))
    if row["reference"]["nash_conv"] < floor:
        text = "exact PSRO: 0"
        axes.annotate(text, (1, reference), xycoords=("axes fraction", "data"), xytext=(0, 4),
                      textcoords="offset points", ha="right", fontsize=10)  # fmt: skip
    axes.set_title(f"{row['name']}, N = {row['num_strategies']}")
    axes.set_xlim(left=0)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
