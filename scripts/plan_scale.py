"""Plans training and payoff tensors on clusters, from the measured costs of `bench_scale.py`.

The model of a training step: `blocks` blocks of `episodes / blocks` episodes are handed to
actors, one per core; a block takes `block_s + episode_s * episodes / blocks`. The learner's
machine sends the parameters to every node that plays once, hands out and collects items one after
the other, receives the episodes, joins them and updates; now and then it evaluates. In turns
these times add up; beside each other the longer of the actors' and the learner's counts. The
number of blocks is the divisor of the batch that makes the step shortest. Whoever takes longest
is the limit.

The network is taken as given: bytes per second into and out of the learner's machine.
"""

import argparse
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neupl.config import Config
from neupl.config_io import load_config
from neupl.profile_play import waves
from neupl.sampled_evaluation import FINAL_LANES

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "scale.json"
CONFIGS = Path(__file__).parents[1] / "configs"
NODES = (1, 10, 100, 1000)
STUDY = "leduc_poker_ppo"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Machines.

    Attributes:
      nodes: besides that of the learner.
      cores: of a node; each has an actor.
      bytes_per_s: of the learner's network, each way.
      item_s: what handing out and collecting an item costs the learner's process.
    """

    nodes: int
    cores: int
    bytes_per_s: float
    item_s: float

    @property
    def workers(self) -> int:
        """Actors."""
        return self.nodes * self.cores


@dataclasses.dataclass(frozen=True)
class Step:
    """Seconds of a step, by what they are spent on.

    Attributes:
      blocks: of a batch.
      actors: until the last block has been played.
      items: handing out and collecting.
      network: parameters out, episodes in.
      learner: joining and updating.
      evaluation: its share.
    """

    blocks: int
    actors: float
    items: float
    network: float
    learner: float
    evaluation: float

    @property
    def in_turns(self) -> float:
        """Seconds of a step without staleness."""
        return self.actors + self.items + self.network + self.learner + self.evaluation

    @property
    def beside(self) -> float:
        """Seconds of a step whose episodes were played during the one before."""
        return max(self.actors, self.items + self.network + self.learner + self.evaluation)

    @property
    def limit(self) -> str:
        """What takes longest."""
        parts = ("actors", "items", "network", "learner", "evaluation")
        return max(parts, key=lambda name: getattr(self, name))


def step_alone(costs: Mapping[str, Any]) -> float:
    """Seconds of a step of one process, which shares nothing out."""
    played = costs["block_s"] + costs["episode_s"] * costs["episodes"]
    return played + costs["update_s"] + costs["evaluate_s"] / costs["evaluate_every"]


def plan_step(costs: Mapping[str, Any], cluster: Cluster) -> Step:
    """The step with the number of blocks for which it is shortest, in turns."""
    episodes = costs["episodes"]

    def with_blocks(blocks: int) -> Step:
        rounds = -(-blocks // cluster.workers)
        # Nobody is started who would find nothing to do.
        used = min(cluster.nodes, blocks)
        sent = used * costs["broadcast_bytes"] + episodes * costs["episode_bytes"]
        return Step(
            blocks=blocks,
            actors=rounds * (costs["block_s"] + costs["episode_s"] * episodes / blocks),
            items=blocks * cluster.item_s,
            network=sent / cluster.bytes_per_s,
            learner=costs["join_s"] + costs["update_s"],
            evaluation=costs["evaluate_s"] / costs["evaluate_every"],
        )

    divisors = [number for number in range(1, episodes + 1) if episodes % number == 0]
    return min(map(with_blocks, divisors), key=lambda step: step.in_turns)


def plan_evaluation(costs: Mapping[str, Any], cluster: Cluster) -> tuple[int, float]:
    """Parts of an evaluation for which it is shortest, and its seconds; training waits for it."""

    def seconds(parts: int) -> float:
        return costs["evaluate_stays_s"] + played_seconds(
            costs, "evaluate", costs["episodes"], -(-costs["episodes"] // parts), cluster
        )

    return min(((parts, seconds(parts)) for parts in range(1, 257)), key=lambda plan: plan[1])


def plan_measurement(costs: Mapping[str, Any], cluster: Cluster) -> tuple[int, float]:
    """The same of the measurement at the end of a run, wave by wave."""

    def seconds(parts: int) -> float:
        return sum(
            costs["measure_stays_s"]
            + played_seconds(costs, "measure", wave, -(-FINAL_LANES // parts), cluster)
            for wave in waves(costs["final_episodes"], first=FINAL_LANES, parts=parts)
        )

    return min(((parts, seconds(parts)) for parts in range(1, 257)), key=lambda plan: plan[1])


def played_seconds(
    costs: Mapping[str, Any], kind: str, episodes: int, lanes: int, cluster: Cluster
) -> float:
    """Of episodes in parts of so many lanes."""
    parts = -(-episodes // lanes)
    sent = min(cluster.nodes, parts) * costs["told_bytes"]
    sent += episodes * costs[f"{kind}_episode_bytes"]
    each = costs[f"{kind}_part_s"] + costs[f"{kind}_episode_s"] * lanes
    return -(-parts // cluster.workers) * each + parts * cluster.item_s + sent / cluster.bytes_per_s


def evaluation_alone(costs: Mapping[str, Any]) -> tuple[float, float]:
    """Seconds of an evaluation and of the measurement at the end, of one process."""
    final, wave = costs["final_episodes"], costs["measure_episode_s"] * FINAL_LANES
    number = len(waves(final, first=FINAL_LANES, parts=1))
    each = costs["measure_stays_s"] + costs["measure_part_s"]
    return costs["evaluate_s"], number * each + wave * final / FINAL_LANES


def plan_payoffs(costs: Mapping[str, Any], strategies: int, cluster: Cluster) -> tuple[float, str]:
    """Seconds for all pairs of strategies, and what is the limit: cells are handed out one by one
    while others are played.
    """
    cells = strategies * (strategies + 1) // 2
    parts = {
        "actors": -(-cells // cluster.workers) * costs["cell_s"],
        "items": cells * cluster.item_s,
        "network": cells * costs["cell_bytes"] / cluster.bytes_per_s,
    }
    limit = max(parts, key=parts.__getitem__)
    return parts[limit], limit


def plan_study(costs: Mapping[str, Any], state_mb: float, cluster: Cluster) -> tuple[float, float]:
    """Runs of a preset that a study finishes in an hour, one a core, without their certificates;
    and megabytes a second that all of them write as checkpoints.
    """
    config = load_config(Config, CONFIGS / f"{costs['run']}.yaml")
    run_s = config.training.all_steps * step_alone(costs)
    writes = state_mb * cluster.workers / config.training.checkpoint_every_s
    return cluster.workers * 3600 / run_s, writes


def solver_seconds(costs: Sequence[Mapping[str, Any]], strategies: int) -> float:
    """Of one meta-game, by the power law through the two largest sizes that were measured."""
    (small, fast), (large, slow) = [
        (line["strategies"], line["solve_s"])
        for line in sorted(costs, key=lambda line: line["strategies"])[-2:]
    ]
    if strategies <= large:
        return min(line["solve_s"] for line in costs if line["strategies"] >= strategies)
    power = math.log(slow / fast) / math.log(large / small)
    return slow * (strategies / large) ** power


def tables(results: Mapping[str, Any], *, cores: int, bytes_per_s: float) -> str:
    """The plans as Markdown."""
    [own] = [line for line in results["rows"] if line["name"] == "item_in_the_driver"]
    item_s = own["ours"] / 1e3

    def cluster(nodes: int) -> Cluster:
        return Cluster(nodes=nodes, cores=cores, bytes_per_s=bytes_per_s, item_s=item_s)

    lines = [
        "| run | strategies | episodes | broadcast kB | episode bytes | block ms | episode ms "
        "| join ms | update ms | evaluation ms |",
        "|" + " --- |" * 10,
    ]
    for costs in results["training_costs"]:
        parts = ("block", "episode", "join", "update", "evaluate")
        each = " | ".join(f"{1e3 * costs[f'{part}_s']:,.4g}" for part in parts)
        lines.append(
            f"| {costs['run']} | {costs['strategies']} | {costs['episodes']:,} "
            f"| {costs['broadcast_bytes'] / 1e3:,.0f} | {costs['episode_bytes']:,.0f} | {each} |"
        )
    [cell] = results["cell_costs"]
    lines += [
        "",
        f"A payoff cell, {cell['cell']}, is {cell['cell_bytes']:,} bytes and "
        f"{1e3 * cell['cell_s']:.1f} ms; an item costs the process that hands out "
        f"{1e3 * item_s:.2f} ms.",
        "",
        "| run | nodes | blocks | actors ms | items ms | network ms | learner ms | evaluation ms | "
        "in turns ms | faster | beside ms | faster | limit |",
        "|" + " --- |" * 13,
    ]
    for costs in results["training_costs"]:
        alone = step_alone(costs)
        lines.append(f"| {costs['run']} | none |{6 * ' - |'} {1e3 * alone:,.0f} | 1 |{3 * ' - |'}")
        for nodes in NODES:
            step = plan_step(costs, cluster(nodes))
            parts = (step.actors, step.items, step.network, step.learner, step.evaluation)
            each = " | ".join(f"{1e3 * part:,.1f}" for part in parts)
            lines.append(
                f"| {costs['run']} | {nodes:,} | {step.blocks} | {each} "
                f"| {1e3 * step.in_turns:,.0f} | {alone / step.in_turns:.1f} "
                f"| {1e3 * step.beside:,.0f} | {alone / step.beside:.1f} | {step.limit} |"
            )
    lines += [
        "",
        "| evaluation of | strategies | nodes | parts | ms | stays ms | faster "
        "| measurement: parts | s | faster |",
        "|" + " --- |" * 10,
    ]
    for costs in results["evaluation_costs"]:
        name, stays_s = f"{costs['run']} | {costs['strategies']}", costs["evaluate_stays_s"]
        one, final = evaluation_alone(costs)
        stays = f"{1e3 * stays_s:,.1f}"
        lines.append(
            f"| {name} | none | 1 | {1e3 * one:,.1f} | {stays} | 1 | 1 | {final:,.1f} | 1 |"
        )
        for nodes in NODES[:3]:
            parts, shared = plan_evaluation(costs, cluster(nodes))
            final_parts, final_shared = plan_measurement(costs, cluster(nodes))
            lines.append(
                f"| {name} | {nodes:,} | {parts} | {1e3 * shared:,.1f} | {stays} "
                f"| {one / shared:.1f} | {final_parts} | {final_shared:,.1f} "
                f"| {final / final_shared:.1f} |"
            )
    lines += [
        "",
        "| strategies | cells | nodes | payoffs s | limit | meta-solver s |",
        "|" + " --- |" * 6,
    ]
    for strategies in (64, 512, 4096):
        solve_s = solver_seconds(results["solver_costs"], strategies)
        for nodes in NODES:
            seconds, limit = plan_payoffs(cell, strategies, cluster(nodes))
            limit = "meta-solver" if solve_s > seconds else limit
            cells = strategies * (strategies + 1) // 2
            lines.append(
                f"| {strategies:,} | {cells:,} | {nodes:,} | {seconds:,.1f} | {limit} "
                f"| {solve_s:,.3g} |"
            )
    lines += [
        "",
        "| study of | nodes | runs at a time | runs an hour | checkpoints MB a second |",
        "|" + " --- |" * 5,
    ]
    sizes = {
        line["name"]: line["ours"] for line in results["rows"] if line["name"].startswith("memory_")
    }
    [costs] = [line for line in results["training_costs"] if line["run"] == STUDY]
    state_mb = sizes[f"memory_{costs['strategies']}_strategies"]
    for nodes in NODES:
        runs, writes = plan_study(costs, state_mb, cluster(nodes))
        lines.append(
            f"| {STUDY} | {nodes:,} | {cluster(nodes).workers:,} | {runs:,.0f} | {writes:,.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Prints the plans."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="by bench_scale.py")
    parser.add_argument("--cores", type=int, default=16, help="of a node")
    parser.add_argument("--gigabits", type=float, default=10.0, help="of the network, a second")
    options = parser.parse_args()
    results = json.loads(options.results.read_text())
    print(tables(results, cores=options.cores, bytes_per_s=options.gigabits * 1e9 / 8))


if __name__ == "__main__":
    main()
