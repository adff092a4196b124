"""The page and the figures of `reproduce_rws.py`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rws_published as published
from reproduction_report import STYLE, preamble, table
from rws_populations import ARMS
from rws_transfer import STARTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Payoffs of so many points, either way, have the strongest colour, as in the published figure.
STRONGEST = 30


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """Writes `running_with_scissors.md`, `.json` and the figures."""
    from matplotlib import style

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "running_with_scissors.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "running_with_scissors.md").write_text(markdown(content))
    with style.context(["default", STYLE]):
        draw_payoffs(folder / "running_with_scissors_payoffs.png", content)
        draw_training(folder / "running_with_scissors_training.png", content)


def markdown(content: Mapping[str, Any]) -> str:
    """The report as a page."""
    size = len(content["payoffs"])
    parts = preamble("Running-with-scissors beside the published population", content)
    parts += [
        "The preset `configs/running_with_scissors_8.yaml` trains one network with a memory (GRU "
        "of 128) to play eight strategies; strategy 0 is a scripted player that collects rocks. "
        "Published is one run of NeuPL with eight strategies (Liu et al. 2022, arXiv 2202.07415; "
        "the data of the authors' demonstration, payoffs clipped at 30 points). Differences: their "
        "learner is MPO on a TPU with 128 actors, ours PPO on one core; their strategies all train "
        "from the start, ours are admitted one by one and held; their strategy 0 is a trained one. "
        "What the published rules leave open is listed in `games/running_with_scissors/rules.py`.",
        _cost(content),
        "## Point by point",
        "*Asked* is what this project set out to reach on a CPU, not what the paper claims. "
        "Payoffs in game points, with standard errors.",
        table(
            ("point", "here", "published", "asked", "met"),
            [
                (c["claim"], _value(c["value"], c["error"]), f"{c['published']:g}", _asked(c),
                 "yes" if c["met"] else "no")
                for c in content["claims"]
            ],
        ),
        "## Payoffs",
        f"To the row strategy: means of {content['episodes']:,} episodes of each pair, half in "
        "either seat, and standard errors.",
        table(
            ("", *range(size)),
            [
                (i, *("0" if i == j else _value(content["payoffs"][i][j], content["errors"][i][j])
                      for j in range(size)))
                for i in range(size)
            ],
        ),
        "![Payoffs and graph, here and published](running_with_scissors_payoffs.png)",
        "What each strategy earns from the mixture that it responds to, and which strategy of the "
        "population earns most from it; published it is always the strategy itself.",
        table(
            ("strategy", "responds to", "earns", "published", "most from that mixture"),
            [_row_line(content, row) for row in content["against_row"]],
        ),
        "Effective diversity (Balduzzi et al. 2019) is "
        f"{content['effective_diversity']:.1f} points; episodes between different strategies last "
        f"{_mean_steps(content):.0f} steps on average (published: 78, of 58 episodes).",
        *_transfer(content),
        *_cap(content),
        *_arms(content),
        "## Training",
        "As the run estimates it while it trains, older episodes fading.",
        "![Training](running_with_scissors_training.png)",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def summary(content: Mapping[str, Any]) -> str:
    """What a terminal shows at the end."""
    return "\n".join(
        f"{c['claim']}: {_value(c['value'], c['error'])} (published {c['published']:g}, asked "
        f"{_asked(c)}): {'yes' if c['met'] else 'no'}"
        for c in content["claims"]
    )


def _cost(content: Mapping[str, Any]) -> str:
    end = "" if content["finished"] else ", which is not the end of the preset's"
    found = content["lower_bound"]
    bound = "" if found is None else (
        f" A response trained against the final mixture gains {_bound(found)}: a lower bound of "
        "NashConv (`neupl verify`)."
    )  # fmt: skip
    return (
        f"**Cost.** {content['steps']:,} batches{end}: {content['agent_steps'] / 1e6:.1f} million "
        f"agent-steps, {content['cpu_hours']:.2f} CPU-hours on one core ({content['device']}), "
        f"evaluations included, this measurement not.{bound}"
    )


def _transfer(content: Mapping[str, Any]) -> list[str]:
    """The section on fresh learners, where there were any."""
    if "transfer" not in content:
        return []
    curves = content["transfer"]["curves"]
    batches = [batch for batch, *_ in curves[0]["returns"]]
    seconds = [curve["cpu_seconds"] for curve in curves]
    return [
        "## Transfer",
        f"By `{content['transfer']['command']}`. Fresh learners against fixed opponents, who draw "
        "one of the first strategies of the population, all alike, for every episode. Heads are "
        "new and nobody tells them whom they meet; encoder and memory are the population's, and go "
        "on learning, or new too. PPO with the preset's settings, its first learning rate "
        "throughout; one seed. Points after so many batches of 64 episodes, by "
        f"{curves[0]['episodes']} other episodes each, and standard errors. "
        f"{min(seconds):.0f} to {max(seconds):.0f} CPU-seconds a learner.",
        table(
            ("strategies", "start", *batches),
            [
                (curve["strategies"], STARTS[curve["start"]],
                 *(_value(mean, error) for _, mean, error in curve["returns"]))
                for curve in curves
            ],
        ),
    ]  # fmt: skip


def _cap(content: Mapping[str, Any]) -> list[str]:
    """The section on a population of more strategies, where there was one."""
    if "cap" not in content:
        return []
    found = content["cap"]
    lines, size = found["against_row"], len(found["against_row"]) + 1
    best = sum(k == most for k, _, _, most in lines)
    return [
        "## More strategies",
        f"By `{found['command']}`: one run of {size} strategies, {found['batches']:,} batches, "
        f"{found['cpu_seconds'] / 3600:.2f} CPU-hours, {found['episodes']:,} episodes of each "
        "pair. Strategies are admitted one by one and hang on none that comes later, so that its "
        "first ones are a population of a smaller cap, but for the closing steps, in which all "
        "learn.",
        table(
            ("cap", "effective size", "effective diversity, points"),
            [(s["cap"], s["effective_size"], f"{s['effective_diversity']:.1f}")
             for s in found["sizes"]],
        ),
        "What each strategy earns from the mixture that it responds to, and which strategy of the "
        f"population earns most from it; of {size - 1}, {best} are that themselves.",
        table(
            ("strategy", "earns", "most from that mixture"),
            [(k, _value(value, error), "itself" if k == most else most)
             for k, value, error, most in lines],
        ),
    ]  # fmt: skip


def _arms(content: Mapping[str, Any]) -> list[str]:
    """The section on networks of their own, where there were any."""
    if "arms" not in content:
        return []
    first, *others = content["arms"]["arms"]
    return [
        "## A network per strategy",
        f"By `{content['arms']['command']}`. Small populations, four strategies without a "
        "read-out and without closing steps, that differ in who plays them alone: one conditional "
        "network, or a network of the same layers for each (PSRO; Lanctot et al. 2017, arXiv "
        "1711.00832). A batch is 64 episodes for all; those of a conditional network are shared by "
        "who learns and who is held. One seed. *Relative performance* (Balduzzi et al. 2019, arXiv "
        f"1901.08106) of {ARMS[first['arm']].words} over the other one, strategies 1 to 3 of both, "
        f"in points with standard errors, {first['episodes']:,} episodes of each pair.",
        table(
            ("population", "batches", "CPU seconds", "1 from 0", "2 from 1", "0 from 2",
             "3 over 0 to 2", "relative performance"),
            [
                (ARMS[a["arm"]].words, f"{a['batches']:,}", f"{a['cpu_seconds']:.0f}",
                 *(f"{value:.1f}" for value in a["cycle"]),
                 _value(a["answer"], a["answer_error"]),
                 _value(a["performance"], a["performance_error"]) if a in others else "")
                for a in (first, *others)
            ],
        ),
    ]  # fmt: skip


def _bound(found: Mapping[str, Any]) -> str:
    low, high = found["interval"]
    return f"{found['value']:.1f} points ({low:.1f} to {high:.1f})"


def _asked(claim: Mapping[str, Any]) -> str:
    return "more than 0" if claim["least"] == 0 else f"at least {claim['least']:g}"


def _value(value: float, error: float | None) -> str:
    return f"{value:g}" if error is None else f"{value:.1f} ± {error:.1f}"


def _row_line(content: Mapping[str, Any], row: Mapping[str, Any]) -> tuple:
    k = row["strategy"]
    shares = np.array(content["rows"][k])
    mixture = ", ".join(f"{shares[j]:.2f} of {j}" for j in np.flatnonzero(shares > 0.005))
    theirs = published.payoffs()[k] @ published.rows()[k]
    itself = row["best"] == k
    best = "itself" if itself else f"{row['best']}: {row['of_best']:.1f}"
    return k, mixture, _value(row["value"], row["error"]), f"{theirs:.1f}", best


def _mean_steps(content: Mapping[str, Any]) -> float:
    steps = np.array(content["episode_steps"])
    return float(steps[np.triu_indices(len(steps), 1)].mean())


def draw_payoffs(path: Path, content: Mapping[str, Any]) -> None:
    """Draws payoffs and interaction graph beside the published ones."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 9.6), dpi=110, layout="constrained")
    panels = figure.subplots(2, 2)
    columns = (
        ("here", np.array(content["payoffs"]), np.array(content["rows"])),
        ("published", published.payoffs(), published.rows()),
    )
    for column, (name, payoffs, rows) in enumerate(columns):
        _draw_matrix(panels[0, column], payoffs, "RdBu", (-STRONGEST, STRONGEST), "{:.0f}")
        _draw_matrix(panels[1, column], rows, "Greys", (0, 1), "{:.2f}")
        panels[0, column].set_title(f"payoffs to the row, {name}")
        panels[1, column].set_title(f"responds to, {name}")
    figure.savefig(path)


def _draw_matrix(
    axes: "Axes", matrix: np.ndarray, colours: str, ends: tuple[float, float], form: str
) -> None:
    low, high = ends
    axes.imshow(matrix, cmap=colours, vmin=low, vmax=high)
    for (i, j), value in np.ndenumerate(matrix):
        if abs(value) > 0.005:
            strong = abs(value) > 0.6 * high
            axes.text(j, i, form.format(value), ha="center", va="center", fontsize=9,
                      color="white" if strong else "black")  # fmt: skip
    axes.set_xticks(range(len(matrix)))
    axes.set_yticks(range(len(matrix)))
    axes.tick_params(length=0)


def draw_training(path: Path, content: Mapping[str, Any]) -> None:
    """Draws what strategies earn from their rows, and the effective size, over the batches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), dpi=110, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    curve = content["curve"]
    for k, points in curve["against_row"].items():
        above.plot(*_columns(points), linewidth=1.4, color=f"C{int(k) - 1}", label=k)
    above.axhline(0, color="black", linewidth=0.8)
    above.set_ylabel("points")
    above.set_title("what strategies earn from the mixture they respond to")
    above.legend(title="strategy", ncols=len(curve["against_row"]), loc="lower right")
    below.step(*_columns(curve["effective_size"]), where="post", color="black", linewidth=1.4)
    below.set_ylim(0, published.SIZE + 0.5)
    below.set_title("effective size")
    below.set_xlabel("batches")
    for axes in (above, below):
        axes.set_xlim(left=0)
        axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        axes.set_axisbelow(True)
    figure.savefig(path)


def _columns(points: Sequence[Sequence[float]]) -> tuple[Sequence[float], ...]:
    return tuple(zip(*points, strict=True))
