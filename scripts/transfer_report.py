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

COLOURS = {"population": "#0072B2", "practised": "#009E73", "scratch": "#D55E00"}
LABELS = {
    "population": "fine-tuned from the population",
    "practised": "fine-tuned after practice",
    "scratch": "plain network from scratch",
}


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
        f"{result['name']}, {claim['start']}, {claim['name']}: {number(claim['gap'])} against "
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
        "*Population*: the network as training left it. *Practised*: the same after "
        f"{content['setting']['practice']} more batches of {_practice_size(content)} episodes "
        "against random mixtures, once for all that are measured here. Means over the mixtures, "
        "gap / limit; in brackets the share of mixtures in which the claim holds on its own.",
        _claims_table(content["populations"]),
        "![Gap over batches](transfer_gaps.png)",
        *_zero_shot_part(content),
        *_curves_part(content),
        *_tuning_part(content),
    ]
    return "\n\n".join(parts) + "\n"


def _claims_table(populations: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for claims in zip(*(result["claims"] for result in populations), strict=True):
        first = claims[0]
        ratios = [claim["gap"] / claim["limit"] for claim in claims]
        rows.append(
            (
                f"{first['start']}: {first['name']}",
                first["limit_name"],
                *(f"{number(c['gap'])} / {number(c['limit'])} ({c['share']:.0%})" for c in claims),
                f"{statistics.median(ratios):.2f} ({max(ratios):.2f})",
                ", ".join(_met(claim) for claim in claims),
            )
        )
    names = [result["name"] for result in populations]
    return _table(("gap of", "limit", *names, "ratio, median (worst)", "met"), rows)


def _zero_shot_part(content: Mapping[str, Any]) -> list[str]:
    rules = list(content["tuning"]["index"])
    rows = []
    for result in content["populations"]:
        mixtures = result["mixtures"]
        best = [min(m["members"]) for m in mixtures]
        uniform = [m["members"][0] for m in mixtures]
        chosen = [m["zero_shot"][content["tuning"]["rule"]] for m in mixtures]
        earned = (np.mean(uniform) - np.mean(chosen)) / (np.mean(uniform) - np.mean(best))
        rows.append(
            (
                result["name"],
                number(result["nash_conv"]),
                number(np.mean(uniform)),
                number(np.mean(best)),
                *(number(np.mean([m["own_row"][rule] for m in mixtures])) for rule in rules),
                *(number(np.mean([m["zero_shot"][rule] for m in mixtures])) for rule in rules),
                f"{earned:.0%}",
                number(np.mean([m["practised"] for m in mixtures])),
            )
        )
    header = (
        "population",
        "NashConv",
        "uniform",
        "best member",
        *(f"member, {rule}" for rule in rules),
        *(f"zero-shot, {rule}" for rule in rules),
        "advantage over uniform, of the best member's",
        "practised",
    )
    return [
        "## Without an episode",
        "A row that was never trained has no index. It is played by the index of one of the "
        "members: of the member whose row is nearest, or of the member that earns most against "
        "the mixture by the payoffs that the population estimated when it was trained. *Member* "
        "is that member as it was trained; *zero-shot* is the network with the mixture in the "
        "place of the row. The difference of the two is what the row does. On mixtures of their "
        f"own, `{content['tuning']['rule']}` was better (gap {_means(content['tuning']['index'])}) "
        "and is what the claims are about. The best member is chosen by exact values.",
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
        for start, label in LABELS.items():
            steps, gaps = _curve(content, start, episodes)
            by_step = dict(zip(steps, gaps.mean(axis=0), strict=True))
            rows.append((label, by_step))
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
        (LABELS[rate["start"]], rate["episodes"], *map(number, rate["mean"].values()), rate["best"])
        for rate in tuning["rates"]
    ]
    rates = list(tuning["rates"][0]["mean"])
    return [
        "## Learning rates",
        f"Mean gap over {tuning['mixtures']} other mixtures of the first population, by learning "
        "rate, after as many batches as the claims are about.",
        _table(("learner", "episodes", *rates, "chosen"), rows),
    ]


def _means(by_name: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {number(value)}" for name, value in by_name.items())


def _practice_size(content: Mapping[str, Any]) -> int:
    return max(batches["episodes"] for batches in content["setting"]["batches"])


def _sizes(content: Mapping[str, Any]) -> list[int]:
    return sorted({rate["episodes"] for rate in content["tuning"]["rates"]})


def _curve(
    content: Mapping[str, Any], start: str, episodes: int
) -> tuple[Sequence[int], np.ndarray]:
    """Numbers of batches, and gaps `[mixtures of all populations, steps]`."""
    curves = [
        curve
        for result in content["populations"]
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
    figure = Figure(figsize=(1 + 4.8 * len(sizes), 4.6), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(sizes), squeeze=False, sharey=True)[0]
    for axes, episodes in zip(panels, sizes, strict=True):
        _draw_size(axes, content, episodes)
    panels[0].set_ylabel("gap to the best response (points)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    figure.savefig(path)


def _draw_size(axes: "Axes", content: Mapping[str, Any], episodes: int) -> None:
    mixtures = [m for result in content["populations"] for m in result["mixtures"]]
    for start, colour in COLOURS.items():
        steps, gaps = _curve(content, start, episodes)
        low, high = np.quantile(gaps, (0.25, 0.75), axis=0)
        axes.plot(steps, gaps.mean(axis=0), color=colour, marker="o", label=LABELS[start])
        axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
    lines = (
        ("best member", [min(m["members"]) for m in mixtures], "black", "-"),
        ("zero-shot", [m["zero_shot"][content["tuning"]["rule"]] for m in mixtures], "black", "--"),
        ("zero-shot after practice", [m["practised"] for m in mixtures], "#009E73", "--"),
    )
    for label, values, colour, style in lines:
        axes.axhline(np.mean(values), color=colour, linestyle=style, linewidth=1.2, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("batches")
    axes.set_title(f"batches of {episodes} episodes")
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
