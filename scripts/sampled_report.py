"""The page and the figure of `reproduce_neupl.py --learner ppo`."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from reproduction_report import STYLE, median_worst, number, preamble, table
from rock_paper_scissors import COLOURS

# The name of the report's files.
NAME = "neupl_ppo"


def write(folder: Path, content: Mapping[str, Any], name: str = NAME) -> None:
    """Writes the page, the figures as JSON, and the picture of the methods that were compared."""
    from matplotlib import style

    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / f"{name}.md").write_text(markdown(content, name))
    if content["methods"]:
        with style.context(["default", STYLE]):
            draw_methods(folder / figure_of(name), content["methods"])


def figure_of(name: str) -> str:
    """The file with the picture of a report."""
    return f"{name}_methods.png"


def markdown(content: Mapping[str, Any], name: str = NAME) -> str:
    """The report as a page."""
    parts = preamble("NeuPL from episodes alone", content)
    if content["rows"]:
        parts += _targets(content["rows"], content["anchors"])
    if content["payoffs"]:
        parts += _payoffs(content["payoffs"])
    if content["bounds"]:
        parts += _bounds(content["bounds"])
    if content["methods"]:
        parts += _methods(content["methods"], content["anchors"], figure_of(name))
    return "\n\n".join(parts) + "\n"


def summary(content: Mapping[str, Any]) -> str:
    """What a terminal shows at the end."""
    lines = [
        f"{row['name']:14s} NashConv {median_worst(row, 'nash_conv', number)}, "
        f"must be {number(row['must'])}: {_met(row)}"
        for row in content["rows"]
    ]
    lines += [
        f"{row['name']:14s} NashConv is at least "
        + ", ".join(number(run["nash_conv"]) for run in row["runs"])
        for row in content["bounds"]
    ]
    lines += [
        f"{row['name']:26s} best {median_worst(row, 'nash_conv', number)}, last third "
        f"{median_worst(row, 'last_third', number)}"
        for row in content["methods"]
    ]
    return "\n".join(lines)


def _targets(rows: Sequence[Mapping[str, Any]], anchors: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        "## Populations, chosen without a tree",
        "Every population is one conditional network trained by PPO in a process that never "
        "builds a game tree: gate, payoffs, meta-strategy and the choice of the population that is "
        "kept are sampled. Its NashConv is exact, by our solver and by OpenSpiel's, from another "
        "process at the end. Seconds are those of the whole `neupl train` command: imports, "
        "compilation, training, measurement and certificate; runs with a limit of time were "
        "trained one at a time. CFR+, the anchor, has the tree; its seconds are those of its "
        "iterations. The reference is the best of three "
        "exact PSRO runs with as many strategies; *must* is twice that or 0.02 of the payoff "
        "range, whichever is more, *aim* 1.3 times that, both at most the figure asked for of the "
        "game. In game points; median (worst) over the seeds, and *met* judges the worst.",
        table(
            ("game", "strategies", "NashConv", "must", "aim", "reference", "seconds", "allowed",
             "CPU seconds", "met"),
            [
                (
                    row["name"],
                    row["num_strategies"],
                    median_worst(row, "nash_conv", number),
                    number(row["must"]),
                    number(row["aim"]),
                    number(row["reference"]),
                    median_worst(row, "wall_s", "{:.0f}".format),
                    row["limit_s"] or "-",
                    median_worst(row, "cpu_s", "{:.0f}".format),
                    _met(row),
                )
                for row in rows
            ]
            + [
                (f"*{name}, CFR+*", "-", number(found["nash_conv"]), "-", "-", "-",
                 f"{found['seconds']:.2g}", "-", "-", "-")
                for name, found in _anchor_of(anchors, rows).items()
            ],
        ),
        *(f"**{row['name']}**: {row['beyond_reach']}" for row in rows if row["beyond_reach"]),
        "What the time went into, of the first seed: playing episodes of training, updating the "
        "network, and evaluating (playing the payoffs that matter, the gate, and meta-solving, "
        "which has a column of its own too). Choosing the mixture against trained responses "
        "(`evaluation.responses`), where that is asked for, comes on top.",
        table(
            ("game", "preset", "steps", "episodes per second", "collect", "update", "evaluate",
             "of which meta-solving"),
            [
                (row["name"], _source(row), run["steps"], *_shares(run))
                for row in rows
                for run in row["runs"][:1]
            ],
        ),
    ]  # fmt: skip


def _payoffs(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    def share(value: float) -> str:
        return f"{value:.0%}"

    return [
        "## Payoffs: means of episodes, or a learned head",
        "How far the estimated payoffs of the population that is kept are off the exact ones: root "
        "mean square over all profiles, in game points, beside what it should be by the standard "
        "errors, and the share of payoffs within two of them (95 % if calibrated). *Running*: as "
        "training knew them when the population was kept; *measured*: from fresh episodes of the "
        "finished policies, which decide the mixture. Median (worst) over the seeds.",
        table(
            ("game", "payoffs", "NashConv", "running", "expected", "within two", "measured",
             "expected", "within two"),
            [
                (
                    row["game"],
                    row["payoffs"],
                    median_worst(row, "nash_conv", number),
                    *(
                        median_worst(row, f"{kind}_{figure}", text_fn)
                        for kind in ("running", "measured")
                        for figure, text_fn in (
                            ("root_mean_square_error", number),
                            ("expected_error", number),
                            ("within_two", share),
                        )
                    ),
                )
                for row in rows
            ],
        ),
    ]  # fmt: skip


def _bounds(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    def bound(run: Mapping[str, Any]) -> str:
        low, high = run["interval"]
        return f"{number(run['nash_conv'])} ({number(low)} to {number(high)})"

    return [
        "## Games too big to compile",
        "What a best response of `evaluation.response_s` seconds gains against the mixture that is "
        "kept, trained and measured from episodes of its own: **a lower bound** of NashConv, with "
        "a 95 % interval of that bound, by seed.",
        table(
            ("game", "strategies", "NashConv is at least", "seconds", "CPU seconds"),
            [
                (
                    f"`{row['game']}`",
                    row["num_strategies"],
                    "; ".join(bound(run) for run in row["runs"]),
                    median_worst(row, "wall_s", "{:.0f}".format),
                    median_worst(row, "cpu_s", "{:.0f}".format),
                )
                for row in rows
            ],
        ),
    ]


def _methods(
    rows: Sequence[Mapping[str, Any]], anchors: Sequence[Mapping[str, Any]], figure: str
) -> list[str]:
    return [
        "## Baselines on the same budget",
        "The same batches of episodes, hidden layers, optimiser and learning rates for all, which "
        "were chosen for the conditional network; temperatures and `learner.mirror` of the single "
        "strategies on seed 0 of Kuhn poker. What is "
        "kept is, for all alike, the population (or the strategy) with the least exact NashConv "
        "among the evaluations of a run (`evaluation.payoffs=exact`: gate, payoffs and "
        "meta-strategy are exact as well, only learning is from episodes). *Last third*: the "
        "median over the last third of the steps, without selection. *Until*: steps and seconds "
        "of training to the first evaluation with at most that NashConv, by seed.",
        table(
            ("game", "method", "parameters", "NashConv, best", "last third", "until", "steps",
             "seconds", "CPU seconds"),
            [
                (
                    row["game"],
                    row["method"],
                    f"{row['parameters']:,}",
                    median_worst(row, "nash_conv", number),
                    median_worst(row, "last_third", number),
                    number(row["threshold"]),
                    _reached(row, "threshold_step"),
                    _reached(row, "threshold_s"),
                    median_worst(row, "cpu_s", "{:.0f}".format),
                )
                for row in rows
            ]
            + [
                (name, "*CFR+, no population*", "-", number(found["nash_conv"]), "-", "-", "-", "-",
                 f"{found['seconds']:.2g}")
                for name, found in _anchor_of(anchors, rows).items()
            ],
        ),
        "Changes of the preset: "
        + "; ".join(
            f"{title}: {' '.join(f'`{change}`' for change in changes) or 'none'}"
            for title, changes in {row["method"]: row["changes"] for row in rows}.items()
        )
        + ".",
        f"![NashConv over training]({figure})",
        "Lines are medians over the seeds, shades their range.",
    ]  # fmt: skip


def _anchor_of(
    anchors: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """CFR+ on every game of a table, by the first name that the game has there: on a small tree it
    is faster and closer than any learning.
    """
    of_game = {found["game"]: found for found in anchors}
    names = {row["game"]: row["name"].split("/")[0] for row in reversed(rows)}
    return {name: of_game[game] for game, name in reversed(names.items())}


def _source(row: Mapping[str, Any]) -> str:
    changes = "".join(f" `--set {change}`" for change in row["changes"])
    return (f"configs/{row['preset']}" if row["preset"] else f"`--game` {row['game']}") + changes


def _shares(run: Mapping[str, Any]) -> tuple[str, ...]:
    seconds = run["seconds_of"]
    total = sum(seconds.values()) - seconds["solve"]
    rate = run["steps"] * run["episodes_per_step"] / total
    return (f"{rate:,.0f}", *(f"{value / total:.0%}" for value in seconds.values()))


def _met(row: Mapping[str, Any]) -> str:
    met = row["met"]
    return "yes, the aim too" if met["aim"] else "yes" if met["must"] else "no"


def _reached(row: Mapping[str, Any], key: str) -> str:
    values = [run[key] for run in row["runs"]]
    return ", ".join("never" if value is None else f"{value:.0f}" for value in values)


def draw_methods(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draws NashConv over the steps, one panel per game; lines are medians over seeds."""
    from matplotlib.figure import Figure

    games = list(dict.fromkeys(row["game"] for row in rows))
    figure = Figure(figsize=(5.2 * len(games), 4.4), dpi=110, layout="constrained")
    for axes, game in zip(figure.subplots(1, len(games), squeeze=False)[0], games, strict=True):
        own = [row for row in rows if row["game"] == game]
        for row, colour in zip(own, itertools.cycle(COLOURS), strict=False):
            curves = [run["curve"] for run in row["runs"]]
            length = min(len(curve["step"]) for curve in curves)
            values = np.array([curve["nash_conv"][:length] for curve in curves])
            steps = curves[0]["step"][:length]
            axes.plot(steps, np.median(values, axis=0), color=colour, label=row["method"])
            axes.fill_between(steps, values.min(axis=0), values.max(axis=0), color=colour,
                              alpha=0.12, linewidth=0)  # fmt: skip
        axes.set_yscale("log")
        axes.set_title(game)
        axes.set_xlabel("steps (batches of episodes)")
        axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        axes.set_axisbelow(True)
    axes = figure.axes[0]
    axes.set_ylabel("exact NashConv (points)")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    figure.savefig(path)
