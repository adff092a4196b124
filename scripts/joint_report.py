"""The page and the figure of `reproduce_neupl_jpsro.py`."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joint_cases import ALLOWED
from reproduction_report import STYLE, number, panels_of, preamble, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Gaps below this share of the payoff range are drawn as if they were this.
FLOOR = 1e-6


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """Writes `neupl_jpsro.md`, `neupl_jpsro.json` and the figure of what was run."""
    from matplotlib import style

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "neupl_jpsro.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "neupl_jpsro.md").write_text(markdown(content))
    with style.context(["default", STYLE]):
        draw_curves(folder / "neupl_jpsro_gap.png", _games(content))
        draw_drift(folder / "neupl_jpsro_drift.png", content["rows"])


def _games(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [row for row in content["rows"] if "/" not in row["name"]]


def markdown(content: Mapping[str, Any]) -> str:
    """The report as a page."""
    games = _games(content)
    ablated = [row for row in content["rows"] if "/" in row["name"]]
    parts = preamble("NeuPL-JPSRO beside exact JPSRO", content)
    parts += _games_part(games)
    compared = [row for row in games if "openspiel" in row and row["oracle"] != "sampled"]
    if compared:
        parts += _openspiel_part(compared)
    parts += _drift_part(games)
    parts += _adaptation_part(games)
    if ablated:
        parts += _ablations_part(games, ablated)
    if content["failures"]:
        parts.append("## What failed")
        parts += [f"**{failure['name']}**: {failure['error']}" for failure in content["failures"]]
    return "\n\n".join(parts) + "\n"


def _games_part(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    exact = [row for row in rows if row["oracle"] == "exact"]
    learned = [row for row in rows if row["oracle"] == "ppo"]
    sampled = [row for row in rows if row["oracle"] == "sampled"]
    parts = [
        "## Gaps and values",
        "Every population is one network for all strategies of all seats. The gap is that of the "
        "joint that was kept, by our solver from the exported network: the sum over seats of what "
        "each gains by its best deviation before the draw, positive parts only, in game points. "
        "After every iteration two joints are measured, that of the meta-solver (maximum-Gini CCE) "
        "and that of the judge (maximum-welfare CCE); the one with the smaller gap is kept, and "
        "where gaps are below `jpsro.tolerance` the one of greater welfare. Gap and welfare below "
        "are of the same joint; *by* says whose it is, by seed. This is a selection on the "
        "measured quantity.",
        "*Exact JPSRO* is the least gap of our exact JPSRO with at most as many strategies of a "
        "seat, over both ways to break ties and both joints; *allowed* is "
        f"{_allowed('exact')} where responses come from the game tree, {_allowed('ppo')} where "
        "they are learned from episodes. Cells are median (worst) over the seeds; *met* judges the "
        "worst. Seconds are those of the whole command: imports, compilation, training, "
        "certificate and OpenSpiel's check. Training runs on one thread, and other work may share "
        "the machine: what is asked of seconds is asked of CPU seconds. The presets were chosen on "
        "seeds 0 and 1 of these games, the defaults on the games with presets.",
    ]
    if exact:
        parts += [
            "### The exact oracle",
            "Action values on the game tree; no best response is ever shown to the network.",
            _gaps(exact),
        ]
    if learned:
        parts += [
            "### Responses learned from episodes",
            "By PPO, and strategies distilled and rehearsed on decisions of the same episodes. "
            "Payoffs, joints, the end of an iteration and the choice of what is kept are exact, "
            "from the game tree: these runs are *exact-gated*.",
            _gaps(learned),
        ]
    if sampled:
        parts += [
            "### From episodes alone",
            "Payoffs, gaps, the end of an iteration and the choice of what is kept are estimates, "
            "and no process of the run sees a tree. Gap and welfare are exact all the same, found "
            "afterwards by the process that certifies.",
            _gaps(sampled),
            "What the run knew of these gaps, by seed: what the responses gained that it had "
            "trained against the joint, a lower bound up to noise.",
            table(
                ("game", "CCE gap", "estimated"),
                [
                    (
                        row["name"],
                        ", ".join(number(run["gap"]) for run in row["runs"]),
                        ", ".join(number(run["curve"]["best"][-1]) for run in row["runs"]),
                    )
                    for row in sampled
                ],
            ),
        ]
    return [
        *parts,
        "![Gap over seconds](neupl_jpsro_gap.png)",
        "Lines are the gap of the joint that is kept so far, one per seed, over the seconds of "
        "training (an estimate, from below, where the run has episodes alone): it may rise where "
        "greater welfare decides; dashed: exact JPSRO with as many strategies; dotted: what is "
        "asked for.",
    ]


def _openspiel_part(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        "## Beside OpenSpiel's JPSRO",
        "The least gap that `open_spiel.python.algorithms.jpsro` shows in 100 CPU seconds, with "
        "maximum-Gini CCEs as in its authors' example, its strategies of a seat then, and the CPU "
        "seconds until then. It keeps tables and computes responses exactly; what it "
        "spends on its evaluation joint is not counted. Beside it the seconds of training, "
        "compilation included, after which the population that our runs keep has at "
        "most that gap: median (worst) over the seeds. Exact JPSRO of ours beside it: "
        "[jpsro.md](jpsro.md).",
        table(
            ("game", "OpenSpiel's gap", "strategies", "CPU seconds", "iterations", "ended by",
             "ours, seconds"),
            [_openspiel_line(row) for row in rows],
        ),
    ]  # fmt: skip


def _openspiel_line(row: Mapping[str, Any]) -> tuple[Any, ...]:
    found = row["openspiel"]
    curve = found["curve"]
    if not curve["gap"]:
        why = f"{found['status']}: {found['error']}" if found["error"] else found["status"]
        return row["name"], "-", "-", "-", 0, why, "-"
    times = []
    for run in row["runs"]:
        ours = zip(run["curve"]["seconds"], run["curve"]["best"], strict=True)
        times.append(next((at for at, gap in ours if gap <= curve["gap"][-1]), float("inf")))
    return (
        row["name"],
        number(curve["gap"][-1]),
        max(curve["sizes"][-1]),
        number(curve["cpu_s"][-1]),
        found["iterations"],
        found["status"],
        f"{_or_never(statistics.median(times))} ({_or_never(max(times))})",
    )


def _or_never(seconds: float) -> str:
    return "never" if seconds == float("inf") else f"{seconds:.0f}"


def _drift_part(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        "## Drift",
        "How far the payoffs between earlier strategies had moved when an iteration ended, as a "
        "share of the payoff range: the median over the iterations, and the greatest, by seed. "
        "And what OpenSpiel checked of the first seed.",
        table(
            ("game", "iterations", "median drift", "greatest drift", "checked"),
            [
                (
                    row["name"],
                    ", ".join(str(run["iterations"]) for run in row["runs"]),
                    _shares(row, "drift"),
                    _shares(row, "worst_drift"),
                    row["runs"][0]["checked"],
                )
                for row in rows
            ],
        ),
        "![Drift over iterations](neupl_jpsro_drift.png)",
        "The same, iteration by iteration, one line per seed; grey: without rehearsal.",
    ]


def _gaps(rows: Sequence[Mapping[str, Any]]) -> str:
    return table(
        ("game", "CCE gap", "asked", "exact JPSRO", "allowed", "welfare", "asked", "by",
         "strategies", "CPU seconds", "asked", "seconds", "met"),
        [
            (
                _game(row),
                _pair(row["gap"]),
                _asked(row["target"]["gap"]),
                number(row["reference"]),
                number(row["relative"]),
                _pair(row["welfare"]),
                _asked(row["target"]["welfare"]),
                ", ".join(run["meta_solver"] for run in row["runs"]),
                row["size"],
                _seconds(row["cpu_s"]),
                _asked(row["target"]["limit_s"]),
                _seconds(row["wall_s"]),
                {True: "yes", False: "no", None: "-"}[row["met"]],
            )
            for row in rows
        ],
    )  # fmt: skip


def _allowed(oracle: str) -> str:
    factor, share = ALLOWED[oracle]
    return f"{factor:g} times that or {share:g} of the payoff range, whichever is more"


def _adaptation_part(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        "## Mixtures never met",
        "What the response head earns, given a mixture of the co-players' strategies that it was "
        "never trained on (random, correlated, of concentration 0.3), as a share of what an exact "
        "best response earns above uniform play; beside it the best of the seat's own strategies, "
        "chosen by exact values, and the response head on the mixture that it met last. Means over "
        "seats and mixtures, by seed. The head is trained on one mixture at a time, the "
        "meta-strategy's; nothing rehearses earlier ones.",
        table(
            ("game", "response head, new mixtures", "best member", "response head, kept joint"),
            [
                (
                    row["name"],
                    *(
                        ", ".join(
                            f"{run['adaptation'][what]:.2f}" if what in run["adaptation"] else "-"
                            for run in row["runs"]
                        )
                        for what in ("response", "best_member", "trained")
                    ),
                )
                for row in rows
                if row["oracle"] != "sampled"
            ],
        ),
    ]


def _ablations_part(
    games: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> list[str]:
    whole = {row["name"]: row for row in games}
    ordered = []
    for row in rows:
        game = row["name"].partition("/")[0]
        if game in whole and whole[game] not in ordered:
            ordered.append(whole[game])
        ordered.append(row)
    return [
        "## What matters",
        "One change of the preset at a time, the same seeds and steps.",
        table(
            ("game", "change", "CCE gap", "welfare", "greatest drift", "CPU seconds"),
            [
                (
                    row["name"].partition("/")[0],
                    row["name"].partition("/")[2] or "none",
                    _pair(row["gap"]),
                    _pair(row["welfare"]),
                    _shares(row, "worst_drift"),
                    _seconds(row["cpu_s"]),
                )
                for row in ordered
            ],
        ),
    ]


def summary(content: Mapping[str, Any]) -> str:
    """What a terminal shows at the end."""
    lines = [
        f"{row['name']:28s} gap {_pair(row['gap'])}, exact JPSRO {number(row['reference'])}, "
        f"welfare {_pair(row['welfare'])}, {_seconds(row['wall_s'])} s: "
        f"{ {True: 'met', False: 'missed', None: '-'}[row['met']] }"
        for row in content["rows"]
    ]
    return "\n".join([*lines, *(f"{f['name']} failed: {f['error']}" for f in content["failures"])])


def _game(row: Mapping[str, Any]) -> str:
    source = f"configs/{row['preset']}" if row["preset"] else f"`--game` {row['game']}"
    return f"{row['name']} ({source})"


def _pair(values: Mapping[str, float]) -> str:
    return f"{number(values['median'])} ({number(values['worst'])})"


def _seconds(values: Mapping[str, float]) -> str:
    return f"{values['median']:.0f} ({values['worst']:.0f})"


def _asked(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _shares(row: Mapping[str, Any], name: str) -> str:
    return ", ".join(f"{run[name] / row['payoff_range']:.1g}" for run in row["runs"])


def draw_curves(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draws the least gap so far over the seconds, one panel per game, one line per seed."""
    figure, _ = panels_of(
        rows, _draw_case, across="seconds of training", upwards="CCE gap (points)"
    )
    figure.savefig(path)


def draw_drift(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draws how far payoffs moved in every iteration, one panel per game, one line per seed."""
    unheld = {
        row["name"].partition("/")[0]: row for row in rows if row["name"].endswith("/no rehearsal")
    }

    def draw(axes: "Axes", row: Mapping[str, Any]) -> None:
        other = unheld.get(row["name"], {"runs": ()})
        for run, colour in [
            *((r, "#AAAAAA") for r in other["runs"]),
            *((r, None) for r in row["runs"]),
        ]:
            shares = [max(d / row["payoff_range"], FLOOR) for d in run["curve"]["drift"]]
            axes.plot(range(1, len(shares) + 1), shares, color=colour, linewidth=1.3)
        axes.set_yscale("log")
        axes.set_title(row["name"])
        axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)

    games = [row for row in rows if "/" not in row["name"]]
    figure, _ = panels_of(games, draw, across="iteration", upwards="drift (payoff ranges)")
    figure.savefig(path)


def _draw_case(axes: "Axes", row: Mapping[str, Any]) -> None:
    floor = FLOOR * row["payoff_range"]
    for run in row["runs"]:
        curve = run["curve"]
        heights = [max(gap, floor) for gap in curve["best"]]
        axes.step(curve["seconds"], heights, where="post", linewidth=1.6)
    axes.axhline(max(row["reference"], floor), color="black", linestyle="--", linewidth=1.1)
    asked = row["target"]["gap"]
    if asked is not None:
        axes.axhline(asked, color="#D55E00", linestyle=":", linewidth=1.6)
    axes.set_yscale("log")
    axes.set_title(row["name"])
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
