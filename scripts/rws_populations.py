"""Other populations of running-with-scissors: more strategies than the published eight, and PSRO
with a network per strategy beside one conditional network.

All train by the preset with some of its settings changed. `CAP` is the preset with twice as many
strategies. `ARMS` are small populations that differ in who plays the strategies alone: the budget
of an arm is in batches, a double one has twice as many for every response.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evaluation.relative_performance import effective_diversity, performance_between
from games.registry import load_simulator
from neupl.durable_files import write_durably
from neupl.interaction_graph import effective_size
from neupl.played_payoffs import cross_payoffs, played_payoffs
from neupl.run import Run
from neupl.stored_population import load_population

# `(run, settings) -> folder`: trains a run of that name with settings changed, or finds it.
Train = Callable[[str, tuple[str, ...]], Path]

CAP = ("population.size=16", "training.steps=3460")
QUICK_CAP = ("population.size=4", "training.steps=6")
CAPS, QUICK_CAPS = (4, 8, 16), (2, 4)
# Batches of the three responses of an arm.
TURNS = (140, 160, 300)
QUICK_TURNS = (1, 1, 2)
STREAM = 1_000


class Arm(NamedTuple):
    """A population that is compared.

    Attributes:
      words: what it is.
      kind: of `network.kind`.
      budget: how many times the batches.
    """

    words: str
    kind: str
    budget: int


ARMS = {
    "conditional": Arm("one conditional network (NeuPL)", "conditional", 1),
    "separate": Arm("PSRO, each network from scratch", "separate", 1),
    "continued": Arm("PSRO, each continued from its predecessor", "continued", 1),
    "separate_double": Arm("PSRO from scratch, twice the budget", "separate", 2),
    "continued_double": Arm("PSRO continued, twice the budget", "continued", 2),
}


def settings_of(arm: Arm, *, quick: bool) -> tuple[str, ...]:
    """How an arm differs from the preset."""
    turns = [arm.budget * turn for turn in (QUICK_TURNS if quick else TURNS)]
    return (
        f"network.kind={arm.kind}", "network.readout_sizes=[]", f"population.size={len(turns) + 1}",
        f"training.steps_of_first_rows={turns}", f"training.steps={sum(turns)}",
        "training.closing_steps=0", "evaluation.response_s=1",
    )  # fmt: skip


def measure_cap(train: Train, *, episodes: int, quick: bool) -> dict[str, Any]:
    """Effective size of the first 4, 8 and 16 strategies of one run, and what those at the end
    earn: strategies are admitted one by one and hang on none that comes later.
    """
    run = train("cap", QUICK_CAP if quick else CAP)
    population, lines = load_population(run), Run.open(run).metrics()
    played = played_payoffs(
        population, population.num_strategies, episodes=episodes, seed=2 * STREAM
    )
    rows = population.joint[0]
    return {
        "episodes": episodes,
        "batches": int(lines[-1]["step"]),
        "cpu_seconds": lines[-1]["time/cpu_s"],
        "sizes": [
            {
                "cap": cap,
                "effective_size": effective_size(population.joint, cap),
                "effective_diversity": effective_diversity(played.payoffs[:cap, :cap]),
            }
            for cap in (QUICK_CAPS if quick else CAPS)
        ],
        "against_row": [
            [
                k,
                float(rows[k] @ played.payoffs[k]),
                float(np.sqrt(rows[k] ** 2 @ played.errors[k] ** 2)),
                int(np.argmax(played.payoffs @ rows[k])),
            ]
            for k in range(1, population.num_strategies)
        ],
    }


def measure_arms(
    names: Sequence[str], train: Train, *, kept: Path, episodes: int, quick: bool
) -> list[dict[str, Any]]:
    """Trains arms and measures the relative performance of the first one over each of the others.

    Args:
      names: of arms.
      train: see there.
      kept: folder for what was measured, which is not measured again where it is there.
      episodes: of each pair of strategies.
      quick: whether it only shows that it works.
    """
    found = []
    for name in names:
        path = kept / f"arm-{name}-by-{names[0]}-{episodes}.json"
        if not path.exists():
            own, first = (
                train(f"arm-{one}", settings_of(ARMS[one], quick=quick)) for one in (name, names[0])
            )
            measured = _measured(name, own, first, episodes=episodes)
            write_durably(path, json.dumps(measured).encode())
        found.append(json.loads(path.read_text()))
    return found


def _measured(name: str, run: Path, first: Path, *, episodes: int) -> dict[str, Any]:
    """What became of an arm, and what the first one earns from it."""
    own, ours = load_population(run), load_population(first)
    line: Mapping[str, Any] = Run.open(run).metrics()[-1]
    played = played_payoffs(own, own.num_strategies, episodes=episodes, seed=STREAM)
    answer = played.payoffs[-1, :-1].mean()
    found = {
        "arm": name,
        "batches": int(line["step"]),
        "cpu_seconds": line["time/cpu_s"],
        "episodes": episodes,
        "cycle": [float(played.payoffs[pair]) for pair in ((1, 0), (2, 1), (0, 2))],
        "answer": float(answer),
        "answer_error": float(np.linalg.norm(played.errors[-1, :-1]) / len(played.errors[:-1])),
        "effective_size": effective_size(own.joint, own.num_strategies),
    }
    if run == first:
        return found
    # Strategy 0 is the same script in both.
    strategies = range(1, own.num_strategies)
    between = cross_payoffs(
        load_simulator(own.game),
        [ours.policy(k, seat=0) for k in strategies],
        [own.policy(k, seat=0) for k in strategies],
        episodes=episodes,
        seed=STREAM,
    )
    value, error = performance_between(between.payoffs, between.errors)
    return found | {"performance": value, "performance_error": error}
