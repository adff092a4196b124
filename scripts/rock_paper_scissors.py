"""Rock-paper-scissors under four interaction graphs: training, expected facts, trajectories.

After section 2.1 of Liu et al. 2022 (arXiv 2202.07415): where the strategies of one conditional
network move on the simplex of rock, paper and scissors depends on who responds to whom.
"""

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Near-deterministic responses: a strategy keeps less than 1 % on an action that is worth 0.2 less.
SETTINGS = (
    "game=matrix_rps",
    "population.symmetric=true",
    "training.admission=concurrent",
    "temperature.scale=0.02",
    "temperature.power=0",
    "learner.learning_rate=5e-4",
    "learner.final_learning_rate=5e-4",
    "training.evaluate_every=4",
)
STEPS, QUICK_STEPS = 2400, 200
ROCK_BIASED = (0.8, 0.1, 0.1)
GRAPHS = {
    "self_play": ("population.size=4", "population.sink=none"),
    "strategic_cycle": ("population.size=4", "population.sink=none"),
    # Averages approach uniform slowly: the spiral takes more than four strategies to be seen.
    "fictitious_play": ("population.size=32",),
    # More than four, so that stopping at four different strategies means something.
    "psro": ("population.size=8", "graph.exploration=0"),
}


# Payoffs of rock, paper and scissors to the one who plays the row.
RPS = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
# Where rock, paper and scissors stand; going from each to what beats it is clockwise.
CORNERS = np.array([[0.0, 0.0], [0.5, math.sqrt(0.75)], [1.0, 0.0]])

# Legible on white and told apart by the common forms of colour blindness (Okabe and Ito).
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#888888")
PANELS = {
    "self_play": "Self-play: one strategy, around and around",
    "strategic_cycle": "Strategic cycle: each chases the next",
    "fictitious_play": "Fictitious play: the average spirals in",
    "psro": "PSRO, Nash: paper, scissors, then uniform",
}


def train_and_check(
    *, seeds: int, runs: Path, quick: bool
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Trains under all four graphs.

    Returns:
      The facts (see `check_facts`), and by graph the trajectories of seed 0 for `draw_simplexes`.
    """
    facts, drawn, steps = [], {}, QUICK_STEPS if quick else STEPS
    for graph in GRAPHS:
        trajectories = [train_under(graph, seed, steps=steps, runs=runs) for seed in range(seeds)]
        drawn[graph] = trajectories[0]
        facts += check_facts(graph, trajectories)
        print(f"rock-paper-scissors, {graph}: done", file=sys.stderr)
    return facts, drawn


def train_under(graph: str, seed: int, *, steps: int, runs: Path) -> Float[np.ndarray, "T K 3"]:
    """Trains under one graph; returns all strategies at the start and after every evaluation."""
    from games.registry import load_tree
    from neupl.config import Config
    from neupl.config_io import load_config
    from neupl.problem import make_problem
    from neupl.training import initial_state, train
    from neupl.training_problem import rows_of

    sink_path = runs / "rock_biased.json"
    names = load_tree("matrix_rps").infoset_name
    sink_path.write_text(json.dumps({name: ROCK_BIASED for name in names}))
    overrides = (*SETTINGS, f"population.sink={sink_path}", *GRAPHS[graph])
    schedule = (f"graph.kind={graph}", f"seed={seed}", f"training.steps={steps}")
    problem, _ = make_problem(load_config(Config, None, (*overrides, *schedule)))

    def strategies(state) -> Float[np.ndarray, "K 3"]:
        policies = problem.tables.policies(state.learner.params, rows_of(state.joint))
        return np.asarray(policies, np.float64)[:, 0]

    state = initial_state(problem)
    trajectory = [strategies(state)]
    train(problem, state, on_evaluation=lambda state, *_: trajectory.append(strategies(state)))
    return np.stack(trajectory)


def check_facts(graph: str, trajectories: Sequence[Float[np.ndarray, "T K 3"]]) -> list[dict]:
    """Checks what is expected of strategies under an interaction graph.

    Args:
      graph: a key of `PANELS`.
      trajectories: per seed, probabilities of rock, paper and scissors of all strategies over time.

    Returns:
      Per fact the graph, what is expected, the measured values per seed, and whether it holds in
      every seed.
    """
    return [
        {
            "graph": graph,
            "expected": expected,
            "measured": (values := [float(measure_fn(x)) for x in trajectories]),
            "holds": all(low <= value <= high for value in values),
        }
        for expected, measure_fn, low, high in _FACTS[graph]
    ]


def turns(points: Float[np.ndarray, "T *K 3"]) -> Float[np.ndarray, "*K"]:
    """How often a path on the simplex winds around uniform from rock over paper to scissors."""
    x, y = np.moveaxis(points @ CORNERS - CORNERS.mean(axis=0), -1, 0)
    angle = np.unwrap(np.arctan2(y, x), axis=0)
    return (angle[0] - angle[-1]) / (2 * np.pi)


def running_mixtures(strategies: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "K 3"]:
    """The uniform mixture of the first k strategies for every k: what the next one responds to."""
    return np.cumsum(strategies, axis=0) / np.arange(1, len(strategies) + 1)[:, None]


def from_uniform(points: Float[np.ndarray, "*T 3"]) -> Float[np.ndarray, "*T"]:
    """Total-variation distance from uniform."""
    return 0.5 * np.abs(points - 1 / 3).sum(axis=-1)


def chasing_share(trajectory: Float[np.ndarray, "T K 3"]) -> float:
    """Share of the movement of a strategic cycle that is a gain against the strategy chased.

    Gains of all moves against where the next strategy was, over their absolute values.
    """
    chased = np.roll(trajectory[:-1], -1, axis=1)
    gains = np.einsum("tka,ab,tkb->tk", np.diff(trajectory, axis=0), RPS, chased)
    return float(np.maximum(gains, 0).sum() / np.abs(gains).sum())


def num_distinct(strategies: Float[np.ndarray, "K 3"], *, tolerance: float = 0.05) -> int:
    """Number of strategies that differ from all earlier ones by more in total variation."""
    distance = 0.5 * np.abs(strategies[:, None] - strategies).sum(axis=-1)
    earlier = np.tril(distance <= tolerance, -1)
    return int((~earlier.any(axis=1)).sum())


# Expected, how it is measured, and between which bounds the measured value must lie.
_Fact = tuple[str, Callable[[np.ndarray], float], float, float]
_FACTS: dict[str, tuple[_Fact, ...]] = {
    "self_play": (
        (
            "all rows are equal, so there is one strategy: distinct strategies (1)",
            lambda x: num_distinct(x[-1], tolerance=1e-6),
            1,
            1,
        ),
        ("it cycles: turns around uniform (at least 1)", lambda x: turns(x).min(), 1, np.inf),
    ),
    "strategic_cycle": (
        (
            "each chases the next: share of the movement that gains against it (over 2/3)",
            chasing_share,
            2 / 3,
            1,
        ),
        (
            "and never catches it: least turns of a strategy around uniform (at least 1)",
            lambda x: turns(x).min(),
            1,
            np.inf,
        ),
    ),
    "fictitious_play": (
        (
            "the average spirals: its turns around uniform (at least 1)",
            lambda x: turns(running_mixtures(x[-1])),
            1,
            np.inf,
        ),
        (
            "inwards: its last distance from uniform, starting at 0.47 (at most 0.1)",
            lambda x: from_uniform(running_mixtures(x[-1]))[-1],
            0,
            0.1,
        ),
    ),
    "psro": (
        (
            "strategy 1 beats the rock-biased sink: its probability of paper (over 0.9)",
            lambda x: x[-1, 1, 1],
            0.9,
            1,
        ),
        (
            "strategy 2 beats strategy 1: its probability of scissors (over 0.9)",
            lambda x: x[-1, 2, 2],
            0.9,
            1,
        ),
        (
            "all later ones play uniform: largest distance from it (at most 0.05)",
            lambda x: from_uniform(x[-1, 3:]).max(),
            0,
            0.05,
        ),
        (
            "so growth stops at four: distinct strategies of 8 (4)",
            lambda x: num_distinct(x[-1]),
            4,
            4,
        ),
    ),
}


def draw_simplexes(path: Path, trajectories: Mapping[str, Float[np.ndarray, "T K 3"]]) -> None:
    """Draws the strategies of each graph on the simplex of rock, paper and scissors."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 9.6), dpi=110, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.12)
    for axes, (graph, trajectory) in zip(
        figure.subplots(2, 2).ravel(), trajectories.items(), strict=True
    ):
        _draw_triangle(axes)
        axes.set_title(PANELS[graph], loc="center", pad=14)
        points = trajectory @ CORNERS
        if graph == "self_play":
            _draw_path(axes, points[:, 0], COLOURS[1], "the one strategy")
        elif graph == "fictitious_play":
            _draw_fictitious_play(axes, trajectory)
        else:
            for k in range(points.shape[1]):
                # From 4 on in one colour and below the others: they only repeat strategy 3.
                label = f"strategy {k}" if k < 4 else None
                if k == 4:
                    label = f"strategies 4 to {points.shape[1] - 1}"
                if k == 0 and graph == "psro":
                    label = "strategy 0, fixed"
                colour = COLOURS[k] if k < 4 else COLOURS[-1]
                _draw_path(axes, points[:, k], colour, label, zorder=3 if k < 4 else 2)
        axes.legend(loc="upper left", bbox_to_anchor=(-0.02, 1.0), fontsize=10, handlelength=1.4)
    figure.supxlabel(
        "hollow: before training; filled: after it; paths darken with time", fontsize=11
    )
    figure.savefig(path)


def _draw_triangle(axes: "Axes") -> None:
    outline = CORNERS[[0, 1, 2, 0]]
    axes.plot(*outline.T, color="#999999", linewidth=1.0)
    axes.plot(*CORNERS.mean(axis=0), marker="+", color="#777777", markersize=12, zorder=1)
    alignments = (("right", "top"), ("center", "bottom"), ("left", "top"))
    shifts = ((-0.01, -0.015), (0.0, 0.015), (0.01, -0.015))
    for name, corner, shift, (across, along) in zip(
        ("rock", "paper", "scissors"), CORNERS, shifts, alignments, strict=True
    ):
        axes.text(*(corner + shift), name, ha=across, va=along, fontsize=12)
    axes.set_aspect("equal")
    axes.set_xlim(-0.12, 1.16)
    axes.set_ylim(-0.08, 0.94)
    axes.axis("off")


def _draw_path(
    axes: "Axes",
    points: Float[np.ndarray, "T 2"],
    colour: str,
    label: str | None,
    *,
    zorder: float = 3,
) -> None:
    """A path that darkens with time, from a hollow point to a filled one."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgba

    segments = np.stack([points[:-1], points[1:]], axis=1)
    colours = [to_rgba(colour, alpha) for alpha in np.linspace(0.35, 1.0, len(segments))]
    lines = LineCollection(list(segments), colors=colours, linewidths=1.2, zorder=zorder)
    axes.add_collection(lines)
    start, end = points[0], points[-1]
    axes.plot(*start, "o", markersize=6, markerfacecolor="white", color=colour, zorder=zorder + 0.1)
    axes.plot(*end, "o", markersize=8, color=colour, label=label, zorder=zorder + 0.2)


def _draw_fictitious_play(axes: "Axes", trajectory: Float[np.ndarray, "T K 3"]) -> None:
    """Where every strategy ends, and the average of the first k of them."""
    from matplotlib.collections import LineCollection

    points = trajectory @ CORNERS
    paths = [points[:, k] for k in range(1, points.shape[1])]
    axes.add_collection(LineCollection(paths, colors="#56B4E9", linewidths=0.8, alpha=0.2))
    ends = points[-1]
    axes.plot(*ends[1:].T, "o", color="#56B4E9", markersize=5, label="strategies, trained")
    axes.plot(*ends[0], "o", color=COLOURS[0], markersize=8, label="strategy 0, fixed")
    average = running_mixtures(trajectory[-1]) @ CORNERS
    axes.plot(
        *average.T, "-o", color="#D55E00", linewidth=1.4, markersize=3.5,
        label="average of the first k",
    )  # fmt: skip
