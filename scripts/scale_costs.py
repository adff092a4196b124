"""What the parts of a training step and of a payoff tensor cost, for the plans of `plan_scale.py`:
bytes on the wire, and CPU-seconds of one thread.
"""

import pickle
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from neupl.config import Config
from neupl.config_io import load_config
from neupl.problem import make_problem, make_profile_play
from neupl.profile_play import cut
from neupl.sampled_evaluation import FINAL_LANES, PROBES
from neupl.training import evaluate, initial_state
from neupl.training_problem import objective_of
from solvers.meta.registry import meta_solver

CONFIGS = Path(__file__).parents[1] / "configs"
PRESETS = ("kuhn_poker_ppo", "leduc_poker_ppo", "leduc_poker_ppo_64", "soccer/walk_to_target")
# Of these the costs of evaluations are measured as well.
EVALUATED = ("kuhn_poker_ppo", "leduc_poker_ppo_64")
# Parts of a batch by which the cost of a block is told from that of its episodes.
BLOCKS = (1, 4, 16)
SIZES, FEW_SIZES = (8, 64, 256), (8, 32)


def cpu_seconds(work: Callable[[], Any], repeats: int) -> float:
    """Median of this process's CPU time, after a first run that compiles."""
    jax.block_until_ready(work())
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        jax.block_until_ready(work())
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def wire_bytes(content: Any) -> int:
    """As pickled by processes and by Ray."""
    return len(pickle.dumps(content, protocol=5))


def training_costs(name: str, *, repeats: int) -> dict[str, Any]:
    """Of one step of a preset, at its start.

    Returns:
      `broadcast_bytes` of a version; `episode_bytes` of an episode, or lane; `block_s` and
      `episode_s`, the line through the costs of blocks of several sizes; `join_s`, unpacking and
      joining of a batch; `update_s` of a batch; `evaluate_s` of an evaluation.
    """
    key, sizes, seconds = jax.random.key(0), [], []
    for blocks in BLOCKS:
        overrides = (f"learner.blocks={blocks}", "evaluation.payoffs=sampled")
        config = load_config(Config, CONFIGS / f"{name}.yaml", overrides)
        problem, _ = make_problem(config)
        state, learner = initial_state(problem), problem.learner
        params, task = state.learner.params, objective_of(problem, state)
        seconds.append(
            cpu_seconds(lambda: learner.blocks.play(params, task, key).returns, repeats)  # noqa: B023
        )
        sizes.append(config.learner.episodes / blocks)
    played = [learner.blocks.play(params, task, own) for own in learner.blocks.keys(key)]
    wire = [pickle.dumps(block, protocol=5) for block in played]

    def join() -> Any:
        learner.blocks.join(params, task, list(map(pickle.loads, wire)))

    experience = learner.blocks.join(params, task, played)
    episode_s, block_s = np.polyfit(sizes, seconds, 1)
    return {
        "run": name,
        "strategies": config.population.size,
        "episodes": config.learner.episodes,
        "evaluate_every": config.training.evaluate_every,
        "broadcast_bytes": wire_bytes(
            jax.tree.map(np.asarray, (params, learner.blocks.told(task)))
        ),
        "episode_bytes": sum(map(len, wire)) / config.learner.episodes,
        "block_s": max(float(block_s), 0.0),
        "episode_s": float(episode_s),
        "join_s": cpu_seconds(join, repeats),
        "update_s": cpu_seconds(
            lambda: learner.update(state.learner, experience, key)[0].params, repeats
        ),
        "evaluate_s": cpu_seconds(lambda: evaluate(problem, state)[1].payoffs, repeats),
    }


def evaluation_costs(name: str, *, repeats: int) -> dict[str, Any]:
    """Of an evaluation of a preset with all of its strategies, and of the first wave of the
    measurement at the end; parameters are the first ones.

    Returns:
      Of an evaluation (`evaluate`) and of a wave (`measure`): what is not playing (`..._stays_s`),
      the line through the costs of parts of several sizes (`..._part_s`, `..._episode_s`), the
      bytes of an episode, and the seconds of all of it in one piece (`..._s`); `told_bytes` of
      parameters and rows.
    """
    # In two parts, so that their results may be remembered.
    overrides = (
        "evaluation.payoffs=sampled", f"evaluation.final_episodes={FINAL_LANES}",
        "evaluation.blocks=2",
    )  # fmt: skip
    config = load_config(Config, CONFIGS / f"{name}.yaml", overrides)
    problem, _ = make_problem(config)
    state, size = initial_state(problem), config.population.size
    params, task = state.learner.params, objective_of(problem, state)
    asked = {"num_admitted": size, "key": jax.random.key(0)}
    play, shared = make_profile_play(config), (params, task.rows)
    known: dict[int, list[Any]] = {}

    def remember(told: Any, parts: Any) -> list[Any]:
        # The parts of an evaluation and those of a wave have different lanes.
        lanes = len(parts[0].profiles)
        known[lanes] = known.get(lanes) or [play(told, part) for part in parts]
        return known[lanes]

    evaluator = problem.evaluator.played_by(remember)
    found: dict[str, Any] = {
        "run": name,
        "strategies": size,
        "episodes": config.evaluation.episodes,
        "final_episodes": load_config(Config, CONFIGS / f"{name}.yaml").evaluation.final_episodes,
        "told_bytes": wire_bytes(jax.tree.map(np.asarray, shared)),
    }
    for kind, whole, probes, work in (
        (
            "evaluate", config.evaluation.episodes, PROBES,
            lambda: evaluator.evaluate(params, task, state.estimates, newest=size - 1, **asked),
        ),
        ("measure", FINAL_LANES, 0, lambda: evaluator.measure(params, task.rows, **asked)),
    ):  # fmt: skip
        every = np.stack([np.arange(whole) % size] * len(task.temperature), axis=1)
        sizes, seconds = [], []
        for parts in BLOCKS:
            part, *_ = cut(every, asked["key"], lanes=-(-whole // parts), probes=probes)
            seconds.append(cpu_seconds(lambda: play(shared, part).returns, repeats))  # noqa: B023
            sizes.append(len(part.profiles))
        episode_s, part_s = np.polyfit(sizes, seconds, 1)
        part_s = max(float(part_s), 0.0)
        stays_s = cpu_seconds(lambda: work()[0], repeats)  # noqa: B023
        found |= {
            f"{kind}_s": stays_s + part_s + float(episode_s) * whole,
            f"{kind}_stays_s": stays_s,
            f"{kind}_part_s": part_s,
            f"{kind}_episode_s": float(episode_s),
            f"{kind}_episode_bytes": wire_bytes(play(shared, part)) / sizes[-1],
        }
    return found


def solver_costs(*, quick: bool, repeats: int) -> list[dict[str, Any]]:
    """CPU-seconds of the Nash meta-solver on Gaussian zero-sum payoffs, by size."""
    rows = []
    for size in FEW_SIZES if quick else SIZES:
        drawn = np.random.default_rng(0).normal(size=(size, size))
        payoffs = np.stack([drawn - drawn.T, drawn.T - drawn], axis=-1)
        solver = meta_solver("nash")
        seconds = cpu_seconds(lambda: solver(payoffs).joint, repeats)  # noqa: B023
        rows.append({"strategies": size, "solve_s": seconds})
    return rows
