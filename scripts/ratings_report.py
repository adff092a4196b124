"""The page and the figure of `reproduce_ratings.py`."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reproduction_report import STYLE, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURE = "ratings_copy_stress.png"
SUBMISSION_FIGURE = "ratings_submission.png"
COLOURS = {
    "bradley_terry": "#b5442e",
    "win_rate": "#d9a441",
    "cce": "#2b5c8a",
    "cce_grouped": "#3f8f6b",
}
# What rounding leaves of an equilibrium rating.
FLOOR = 1e-9


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """Writes `ratings.md`, `ratings.json` and the figure."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ratings.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "ratings.md").write_text(markdown(content))
    draw(folder / FIGURE, content)
    draw_submissions(folder / SUBMISSION_FIGURE, content)


def summary(content: Mapping[str, Any]) -> str:
    """What a terminal shows at the end."""
    return "\n".join(
        f"{'holds' if claim['holds'] else 'MISSED'}: {claim['claim']}: {claim['measured']}"
        for claim in content["claims"]
    )


def markdown(content: Mapping[str, Any]) -> str:
    """The report as a page."""
    versions = ", ".join(f"{name} {v}" for name, v in content["versions"].items() if v)
    machine = content["machine"]
    parts = [
        "# Ratings under copies",
        f"Written by `{content['command']}` on {machine['cores']} cores of "
        f"{machine['processor']} in {content['cpu_s']:.0f} CPU seconds. Versions: {versions}.",
    ]
    if content["quick"]:
        parts.append("**A quick run with few points and one seed.**")
    parts += [
        "Arena-Hard v0.1: 16 models and their baseline gpt-4-0314 on 500 prompts, judged by "
        "GPT-4o; every pair of models meets once on each prompt, and whoever has the better "
        "verdict against the baseline wins. Copies are of the ten prompts on which a model wins "
        "fewest, or most, of its duels; the 500 originals stay. Speed beside the peers stands in "
        "[bench_ratings.md](bench_ratings.md), the methods in [ratings](../ratings.md).",
        "## Claims",
        table(
            ("claim", "measured", "holds"),
            [
                (claim["claim"], claim["measured"], "yes" if claim["holds"] else "no")
                for claim in content["claims"]
            ],
        ),
        f"![Copy-stress curves]({FIGURE})",
        "## Exact copies",
        "Rank (rating) of the model whose prompts are copied, and the largest change of any "
        "model's rating under CCE.",
        _exact_table(content),
        "## Noisy copies",
        "Copies of gpt-4o's ten worst prompts of which a share of the cells is judged anew: "
        "replaced by one of the nine levels of the judge's scale, at random. *CCE* knows exact "
        "copies only, *CCE with groups* knows which prompt each copy is of. Rank of gpt-4o and "
        "largest change of any model's rating, median (worst) over the seeds.",
        _noisy_table(content),
        "## Copies that are found",
        "The same copies, looked for (`--groups found`): by outcomes alone, or with the first 100 "
        "characters of the prompts, of which each copy has a fifth of the words replaced. *Found* "
        "copies are in the group of their original, *merged* originals in that of another; worst "
        "over the seeds.",
        _found_table(content),
        "## Open-ended submission",
        "In every round of a simulation a model and a prompt are submitted that rate best among "
        "random changes of those listed, and the oldest leave "
        "(`scripts/open_ended_submission.py`). Skill entropy of what is listed, mean (least to "
        "most) over the seeds, in nats; five skills have at most 1.609.",
        _submission_table(content),
        f"![Skill entropy over rounds of submission]({SUBMISSION_FIGURE})",
        "## Clones of models",
        "Ratings of the originals, Elo points at an equal mean of theirs; clones tie with each "
        "other.",
        _clones_table(content),
        "## Near-copies",
        "The nearest pairs by the mean squared difference of their win rates. *Noise*: the share "
        "of random verdicts that puts a copy, judged again, as far from its original on average.",
        *(_near_table(part) for part in content["near"]),
        "## In words",
        "\n".join(f"- {finding}" for finding in content["findings"]),
    ]
    return "\n\n".join(parts) + "\n"


def _exact_table(content: Mapping[str, Any]) -> str:
    raters = list(dict.fromkeys(p["rater"] for c in content["exact"] for p in c["points"]))
    rows = []
    for curve in content["exact"]:
        points = {(p["rater"], p["extra"]): p for p in curve["points"]}
        for extra in sorted({p["extra"] for p in curve["points"]}):
            own = [points[rater, extra] for rater in raters]
            change = points["cce", extra]["largest_change"]
            rows.append(
                (f"{curve['target']}, {curve['order']}", f"{extra:,}", *map(_cell, own),
                 f"{change:.1g}")
            )  # fmt: skip
    titles = [content["titles"][rater] for rater in raters]
    return table(("prompts of", "copies", *titles, "largest change, CCE"), rows)


def _cell(point: Mapping[str, Any]) -> str:
    digits = 1 if abs(point["rating"]) >= 10 else 4
    return f"{point['rank']} ({round(point['rating'], digits) + 0.0:.{digits}f})"


def _noisy_table(content: Mapping[str, Any]) -> str:
    raters = list(dict.fromkeys(p["rater"] for c in content["noisy"] for p in c["points"]))
    keys = sorted(
        {(p["extra"], c["noise"]) for c in content["noisy"] for p in c["points"] if p["extra"]}
    )
    rows = []
    for extra, noise in keys:
        row = [f"{extra:,}", f"{noise:.0%}"]
        for rater in raters:
            own = _noisy_points(content["noisy"], rater, extra, noise)
            ranks = [p["rank"] for p in own]
            changes = [p["largest_change"] for p in own]
            row.append(f"{statistics.median_low(ranks)} ({max(ranks)})")
            row.append(f"{statistics.median(changes):.3g} ({max(changes):.3g})")
        rows.append(row)
    header = [f"{content['titles'][r]}: {what}" for r in raters for what in ("rank", "change")]
    return table(("copies", "noise", *header), rows)


def _noisy_points(
    curves: Sequence[Mapping[str, Any]], rater: str, extra: int, noise: float
) -> list[Mapping[str, Any]]:
    """The points of all seeds."""
    return [
        point
        for curve in curves
        if curve["noise"] == noise
        for point in curve["points"]
        if point["rater"] == rater and point["extra"] == extra
    ]


def _found_table(content: Mapping[str, Any]) -> str:
    rows = []
    for target, noise, texts in dict.fromkeys(
        (each["target"], each["noise"], each["texts"]) for each in content["found"]
    ):
        own = [
            each
            for each in content["found"]
            if (each["target"], each["noise"], each["texts"]) == (target, noise, texts)
        ]
        order, changes = own[0]["order"], [each["largest_change"] for each in own]
        rows.append(
            (
                f"{target}, {order}",
                f"{noise:.0%}",
                texts,
                f"{min(each['found'] for each in own):.1%}",
                max(each["merged"] for each in own),
                f"{max(changes):.4f}",
            )
        )
    header = ("prompts of", "noise", "texts", "found", "merged", "largest change of a rating")
    return table(header, rows)


def _submission_table(content: Mapping[str, Any]) -> str:
    rows = []
    for selection in dict.fromkeys(each["selection"] for each in content["submissions"]):
        own = [each for each in content["submissions"] if each["selection"] == selection]
        for what in ("models", "prompts"):
            ends = [each[what][-1] for each in own]
            start = statistics.mean(each[what][0] for each in own)
            last = f"{statistics.mean(ends):.3f} ({min(ends):.3f} to {max(ends):.3f})"
            rows.append((selection, what, f"{start:.3f}", last))
    rounds = len(content["submissions"][0]["models"]) - 1
    return table(("selected by", "of", "at the start", f"after {rounds} rounds"), rows)


def _clones_table(content: Mapping[str, Any]) -> str:
    return table(
        ("cloned", "clones", "method", "largest change", "pairs swapped", "clones apart by"),
        [
            (
                effect["target"],
                effect["clones"],
                content["titles"][effect["rater"]],
                f"{effect['largest_change']:.3g}",
                effect["inversions"],
                f"{effect['clone_spread']:.1g}",
            )
            for effect in content["clones"]
        ],
    )


def _near_table(part: Mapping[str, Any]) -> str:
    return table(
        (part["kind"], "and", "distance", "noise"),
        [
            (pair["first"], pair["second"], f"{pair['distance']:.4f}", f"{pair['noise']:.0%}")
            for pair in part["nearest"]
        ],
    )


def draw(path: Path, content: Mapping[str, Any]) -> None:
    """Ranks over exact copies, a panel per model, and changes over noise."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, style

    with style.context(["default", STYLE]):
        size = len(content["exact"]) + 1
        figure, axes = pyplot.subplots(1, size, figsize=(4 * size, 3.8), layout="constrained")
        for panel, curve in zip(axes, content["exact"], strict=False):
            _draw_ranks(panel, curve, content["titles"])
        _draw_noise(axes[-1], content)
        figure.savefig(path, dpi=120)
        pyplot.close(figure)


def _draw_ranks(panel: "Axes", curve: Mapping[str, Any], titles: Mapping[str, str]) -> None:
    for number, rater in enumerate(dict.fromkeys(p["rater"] for p in curve["points"])):
        own = [p for p in curve["points"] if p["rater"] == rater]
        # Lines that coincide stay visible.
        dashes = "--" if number == 1 else "-"
        panel.plot(
            [p["extra"] for p in own],
            [p["rank"] for p in own],
            dashes,
            marker="o",
            color=COLOURS[rater],
            label=titles[rater],
        )
    panel.set_title(f"{curve['target'].split('-instruct')[0]}, {curve['order']} prompts")
    panel.set_xlabel("copies in total")
    panel.set_ylabel("rank")
    panel.set_ylim(17.6, 0.4)
    panel.set_yticks([1, 5, 9, 13, 17])
    panel.legend(fontsize=9)


def _draw_noise(panel: "Axes", content: Mapping[str, Any]) -> None:
    extra = min(p["extra"] for c in content["noisy"] for p in c["points"] if p["extra"])
    noises = sorted({curve["noise"] for curve in content["noisy"]})
    for rater in ("cce", "cce_grouped"):
        changes = [
            [p["largest_change"] for p in _noisy_points(content["noisy"], rater, extra, noise)]
            for noise in noises
        ]
        middle = [max(statistics.median(own), FLOOR) for own in changes]
        panel.plot(noises, middle, marker="o", color=COLOURS[rater], label=content["titles"][rater])
        panel.fill_between(
            noises,
            [min(own) for own in changes],
            [max(own) for own in changes],
            color=COLOURS[rater],
            alpha=0.25,
        )
    panel.axhline(content["grouped_limit"], color="0.5", linestyle=":", label="claim at 30 %")
    panel.set_yscale("log")
    panel.set_title(f"gpt-4o, {extra:,} noisy copies")
    panel.set_xlabel("share of cells judged anew")
    panel.set_ylabel("largest change of a rating")
    panel.legend(fontsize=9)


def draw_submissions(path: Path, content: Mapping[str, Any]) -> None:
    """Entropy over rounds, models and prompts side by side; a thin line a seed, a thick mean."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, style

    with style.context(["default", STYLE]):
        figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
        for panel, what in zip(axes, ("models", "prompts"), strict=True):
            for selection in dict.fromkeys(each["selection"] for each in content["submissions"]):
                lines = [
                    each[what] for each in content["submissions"] if each["selection"] == selection
                ]
                for line in lines:
                    panel.plot(line, color=COLOURS[selection], alpha=0.3, linewidth=0.8)
                means = [statistics.mean(own) for own in zip(*lines, strict=True)]
                title = content["titles"][selection]
                panel.plot(means, color=COLOURS[selection], linewidth=2.2, label=title)
            panel.set_title(f"Skills of {what}")
            panel.set_xlabel("round of submission")
        axes[0].set_ylabel("entropy in nats")
        axes[0].legend(fontsize=9)
        figure.savefig(path, dpi=120)
        pyplot.close(figure)
