"""The page and the figure of `reproduce_transfer.py`."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from reproduction_report import STYLE, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# By kind of population.
KINDS = {"rows": "rows alone", "simplex": "Simplex sampling"}
COLOURS = {"rows": "#0072B2", "simplex": "#009E73"}
STARTS = {"population": "fine-tuned", "scratch": "plain network from scratch"}


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """Writes `transfer.md`, `transfer.json` and the figure."""
    from matplotlib import style

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "transfer.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "transfer.md").write_text(markdown(content))
    with style.context(["default", STYLE]):
        draw(folder / "transfer_gaps.png", content)


def summary(content: Mapping[str, Any]) -> str:
    """What a terminal shows at the end."""
    return "\n".join(
        f"{result['name']}, {claim['name']}: {number(claim['gap'])} against "
        f"{number(claim['limit'])} ({claim['limit_name']}), {claim['share']:.0%} of the mixtures: "
        f"{_met(claim)}"
        for result in content["populations"]
        for claim in result["claims"]
    )


def markdown(content: Mapping[str, Any]) -> str:
    """The report as a page."""
    versions = ", ".join(f"{name} {v}" for name, v in content["versions"].items() if v)
    machine, mixtures = content["machine"], content["populations"][0]["mixtures"]
    distances = [m["distance"] for r in content["populations"] for m in r["mixtures"]]
    parts = [
        "# Transfer to mixtures that were never trained on",
        f"Written by `{content['command']}` on {machine['cores']} cores of {machine['processor']}.",
        f"Versions: {versions}.",
    ]
    if content["quick"]:
        parts.append(
            "**A quick run of a few batches: it shows that the script works, nothing else.**"
        )
    parts += [
        f"{len(mixtures)} mixtures over the {content['num_strategies']} strategies of the opponent "
        f"in `{content['game']}`, half of them for either seat, half of concentration 0.3 and half "
        "of 3 (Dirichlet), one at a time. Their distance to the nearest row that the "
        f"population was left with is {min(distances):.2f} to {max(distances):.2f}, on average "
        f"{np.mean(distances):.2f} (total variation). The gap is what the responding seat earns "
        "less than a best response to the mixture, in game points, exact.",
        "## Claims",
        "*Simplex sampling*: half of the training responded to random mixtures "
        "(`graph.simplex_share=0.5`), and the network answers a mixture without an index. *Rows "
        "alone*: none did; the mixture is answered by the index of the strategy that earns most "
        "against it by the payoffs that the population estimated when it was trained. Both are "
        "`population.best_response_to`. Means over the mixtures, gap / limit; in brackets the "
        "share of mixtures in which the claim holds on its own.",
        _claims_table(content["populations"]),
        "![Gap over batches](transfer_gaps.png)",
        *_zero_shot_part(content),
        *_curves_part(content),
        *_tuning_part(content),
    ]
    return "\n\n".join(parts) + "\n"


def _claims_table(populations: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for kind, label in KINDS.items():
        results = [result for result in populations if result["kind"] == kind]
        for claims in zip(*(result["claims"] for result in results), strict=True):
            ratios = [claim["gap"] / claim["limit"] for claim in claims]
            found = (
                f"{number(c['gap'])} / {number(c['limit'])} ({c['share']:.0%})" for c in claims
            )
            rows.append(
                (
                    f"{label}: {claims[0]['name']}",
                    claims[0]["limit_name"],
                    "; ".join(found),
                    f"{statistics.median(ratios):.2f} ({max(ratios):.2f})",
                    ", ".join(_met(claim) for claim in claims),
                )
            )
    return _table(("gap of", "limit", "by population", "ratio, median (worst)", "met"), rows)


def _zero_shot_part(content: Mapping[str, Any]) -> list[str]:
    rows = []
    for result in content["populations"]:
        mixtures = result["mixtures"]
        best = np.mean([min(m["members"]) for m in mixtures])
        uniform = np.mean([m["members"][0] for m in mixtures])
        told = np.mean([m["zero_shot"] for m in mixtures])
        earned = f"{(uniform - told) / (uniform - best):.0%}"
        figures = map(number, (result["nash_conv"], uniform, best, told))
        rows.append((result["name"], *figures, earned))
    header = (
        "population",
        "NashConv",
        "uniform",
        "best member",
        "zero-shot",
        "advantage over uniform, of the best member's",
    )
    return [
        "## Without an episode",
        "Mean gaps. The best member is chosen by exact values, for every mixture anew.",
        _table(header, rows),
    ]


def _curves_part(content: Mapping[str, Any]) -> list[str]:
    parts = [
        "## Learning",
        "Mean gap of all mixtures and populations after so many batches; the opponents are the "
        "population as it was trained and do not move. All learners are PPO with the defaults of "
        "`neupl train` but for the size of the batch, a constant learning rate and the "
        f"temperature, {content['setting']['temperature']:g} of the payoff range for all of them.",
    ]
    for episodes in _sizes(content):
        rows = []
        for kind, start in _learners(content):
            steps, gaps = _curve(content, kind, start, episodes)
            by_step = dict(zip(steps, gaps.mean(axis=0), strict=True))
            rows.append((_label(kind, start), by_step))
        columns = sorted({step for _, by_step in rows for step in by_step})
        table = [
            (label, *(number(by_step[s]) if s in by_step else "-" for s in columns))
            for label, by_step in rows
        ]
        parts += [
            f"Batches of {episodes} episodes:",
            _table(("", *(f"{step}" for step in columns)), table),
        ]
    return parts


def _tuning_part(content: Mapping[str, Any]) -> list[str]:
    tuning = content["tuning"]
    rows = [
        (
            _label(rate["kind"], rate["start"]),
            rate["episodes"],
            *map(number, rate["mean"].values()),
            rate["best"],
        )
        for rate in tuning["rates"]
    ]
    rates = list(tuning["rates"][0]["mean"])
    return [
        "## Learning rates",
        f"Mean gap over {tuning['mixtures']} other mixtures of the first population of each kind, "
        "by learning rate, after as many batches as the claims are about.",
        _table(("learner", "episodes", *rates, "chosen"), rows),
    ]


def _learners(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Kind and start of all that learned."""
    return list(dict.fromkeys((rate["kind"], rate["start"]) for rate in content["tuning"]["rates"]))


def _label(kind: str, start: str) -> str:
    return f"{STARTS[start]}, {KINDS[kind]}"


def _sizes(content: Mapping[str, Any]) -> list[int]:
    return sorted({rate["episodes"] for rate in content["tuning"]["rates"]})


def _curve(
    content: Mapping[str, Any], kind: str, start: str, episodes: int
) -> tuple[Sequence[int], np.ndarray]:
    """Numbers of batches, and gaps `[mixtures of all populations, steps]`."""
    curves = [
        curve
        for result in content["populations"]
        if result["kind"] == kind
        for mixture in result["mixtures"]
        for curve in mixture["curves"]
        if curve["start"] == start and curve["episodes"] == episodes
    ]
    return curves[0]["steps"], np.array([curve["gaps"] for curve in curves])


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _met(claim: Mapping[str, Any]) -> str:
    return "yes" if claim["met"] else "no"


def draw(path: Path, content: Mapping[str, Any]) -> None:
    """Draws the mean gap over the batches, with the middle half of the mixtures shaded."""
    from matplotlib.figure import Figure

    sizes = _sizes(content)
    figure = Figure(figsize=(3.6 + 4.8 * len(sizes), 5.6), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(sizes), squeeze=False, sharey=True)[0]
    for axes, episodes in zip(panels, sizes, strict=True):
        _draw_size(axes, content, episodes)
    panels[0].set_ylabel("gap to the best response (points)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    figure.savefig(path)


def _draw_size(axes: "Axes", content: Mapping[str, Any], episodes: int) -> None:
    for kind, start in _learners(content):
        steps, gaps = _curve(content, kind, start, episodes)
        low, high = np.quantile(gaps, (0.25, 0.75), axis=0)
        shown = {"color": COLOURS[kind], "marker": "o" if start == "population" else "x"}
        axes.plot(steps, gaps.mean(axis=0), label=_label(kind, start), **shown)
        axes.fill_between(steps, low, high, color=COLOURS[kind], alpha=0.12, linewidth=0)
    for kind in dict(_learners(content)):
        results = [result for result in content["populations"] if result["kind"] == kind]
        mixtures = [mixture for result in results for mixture in result["mixtures"]]
        levels = {
            "zero-shot": (np.mean([m["zero_shot"] for m in mixtures]), "--"),
            "best member": (np.mean([min(m["members"]) for m in mixtures]), ":"),
        }
        for name, (level, style) in levels.items():
            label = f"{name}, {KINDS[kind]}"
            axes.axhline(level, color=COLOURS[kind], linestyle=style, linewidth=1.2, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("batches")
    axes.set_title(f"batches of {episodes} episodes")
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
