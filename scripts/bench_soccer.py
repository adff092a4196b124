"""Measures soccer: joint control steps per core-second of random play, beside dm_control's soccer,
humanoids beside humanoids and boxheads beside boxheads.

A joint step is one control step of 25 ms of all players of one match: their actions drawn
uniformly, five physics steps of 5 ms in both programs, the observations of all players and their
rewards computed, and finished episodes restarted. Ours plays batches of lanes with the reward terms
of the paper; dm_control steps one environment with its own observations and rewards, whose humanoid
is built with an initialiser that does nothing, because its own downloads motion capture. `physics`
is the physics alone, timed from the same states right before each step, `rest` the share of the
time that is spent on all else. All times are CPU time of the process on one thread, medians of runs
that take turns.

The robots differ: our humanoid has 20 joints and primitive shapes (26 degrees of freedom),
dm_control's 56 (62); boxheads have 6 degrees of freedom in both, and each program its own pitch.
The ratios say what a match costs, not how good an engine is: both are MuJoCo.
"""

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

# Read when MuJoCo and NumPy start, so they come before their import.
os.environ["NPROC"] = "1"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "disabled")

import bench_report
import numpy as np

from games.registry import load_game
from soccer.pitch import CONTROL_STEP, SUBSTEPS, TIMESTEP

LANES = 256
MEMORY_LANES = 1024
# Joint steps per core-second asked for of a match of one versus one, and times dm_control's.
REQUIRED_RATE = 3700.0
TARGET_RATIO = {"humanoid": 8.0, "boxhead": 5.0}
# Names of lines, robots, players of a team and games.
MATCHES = (
    ("duel", "humanoid", 1, "soccer/duel(shaped=1)"),
    ("team", "humanoid", 2, "soccer/team(shaped=1)"),
    ("boxhead_duel", "boxhead", 1, "soccer/duel(body=boxhead,shaped=1)"),
    ("boxhead_team", "boxhead", 2, "soccer/team(body=boxhead,shaped=1)"),
)
UNIT = "joint steps per core-second"


class Rates(NamedTuple):
    """Joint steps per core-second.

    Attributes:
      full: of random play.
      physics: of the physics alone.
    """

    full: float
    physics: float


def ours(name: str, steps: int, seed: int) -> Rates:
    """Plays `steps` joint steps in each of `LANES` lanes of a task."""
    game = load_game(name)
    rng = np.random.default_rng(seed)
    states = game.init(np.arange(seed * LANES, (seed + 1) * LANES, dtype=np.uint64))
    shape = (LANES, game.info.num_players, game.info.num_actions[0])

    def simulate() -> None:
        states.batch.step(nstep=SUBSTEPS)

    def play() -> None:
        nonlocal states
        game.observe(states)
        actions = rng.uniform(-1, 1, shape).astype(np.float32)
        states, now = game.step(states, actions)
        states, _ = game.reset_where(states, now.discount == 0)

    def restore(saved: np.ndarray) -> None:
        states.batch.state[:] = saved

    rates = _rates(steps, LANES, simulate, play, lambda: states.batch.state.copy(), restore)
    if states.broken.any():
        raise SystemExit(f"{name}: {states.broken.sum()} simulations broke")
    return rates


def dm_control(robot: str, team_size: int, steps: int, seed: int) -> Rates:
    """Plays `steps` joint steps of dm_control's soccer with humanoids or boxheads."""
    from dm_control.locomotion import soccer
    from dm_control.locomotion.walkers import initializers

    soccer.mocap.CMUMocapInitializer = initializers.NoOpInitializer
    env = soccer.load(
        team_size, random_state=np.random.RandomState(seed),
        walker_type=soccer.WalkerType[robot.upper()],
    )  # fmt: skip
    task: Any = env.task
    if (task.control_timestep, env.physics.timestep()) != (CONTROL_STEP, TIMESTEP):
        raise SystemExit("dm_control's soccer has other time steps than expected")
    rng = np.random.default_rng(seed)
    specs = env.action_spec()

    def play() -> None:
        actions = [rng.uniform(spec.minimum, spec.maximum) for spec in specs]
        if env.step(actions).last():
            env.reset()

    env.reset()
    rates = _rates(
        steps, 1, lambda: env.physics.step(SUBSTEPS), play, env.physics.get_state,
        env.physics.set_state,
    )  # fmt: skip
    env.close()
    return rates


def _rates(
    steps: int,
    lanes: int,
    simulate: Callable[[], None],
    play: Callable[[], None],
    save: Callable[[], np.ndarray],
    restore: Callable[[np.ndarray], None],
) -> Rates:
    """Times steps with and without all that is not physics, from the same states."""
    play()
    spent = {simulate: 0.0, play: 0.0}
    for _ in range(steps):
        saved = save()
        for run in (simulate, play):
            restore(saved)
            start = time.process_time()
            run()
            spent[run] += time.process_time() - start
    return Rates(*(steps * lanes / spent[run] for run in (play, simulate)))


def measure_memory() -> float:
    """MiB that `MEMORY_LANES` matches of one versus one take once they are played."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    game = load_game("soccer/duel(shaped=1)")
    states = game.init(np.arange(MEMORY_LANES, dtype=np.uint64))
    actions = np.zeros((MEMORY_LANES, 2, game.info.num_actions[0]), np.float32)
    for _ in range(2):
        game.observe(states)
        states, _ = game.step(states, actions)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def measure(*, quick: bool, seeds: int) -> list[dict[str, Any]]:
    """Lines of the report."""
    memory = measure_memory()
    our_steps, their_steps = (6, 30) if quick else (40, 400)
    found: dict[str, list[tuple[Rates, Rates]]] = {}
    for seed in range(seeds):
        for match, robot, team_size, name in MATCHES:
            pair = (ours(name, our_steps, seed), dm_control(robot, team_size, their_steps, seed))
            found.setdefault(match, []).append(pair)
    rows = []
    for match, robot, _, _ in MATCHES:
        pairs = found[match]
        (our_full, our_physics), (their_full, their_physics) = (
            map(statistics.median, zip(*side, strict=True)) for side in zip(*pairs, strict=True)
        )
        peer = f"dm_control soccer, {robot}"
        rows += [
            bench_report.row(
                f"{match}_vs_dm_control_{robot}".removeprefix(f"{robot}_"), our_full, their_full,
                peer_name=peer, unit=UNIT, target=TARGET_RATIO[robot], more_is_better=True,
            ),
            bench_report.row(
                f"{match}_physics", our_physics, their_physics, peer_name=peer, unit=UNIT,
                more_is_better=True,
            ),
            bench_report.row(
                f"{match}_rest", 1 - our_full / our_physics, 1 - their_full / their_physics,
                peer_name=peer, unit="share of the time",
            ),
        ]  # fmt: skip
    duel = statistics.median(ours.full for ours, _ in found["duel"])
    rows.append(
        bench_report.row(
            "duel_required", duel, REQUIRED_RATE, peer_name="target", unit=UNIT, target=1.0,
            more_is_better=True,
        )
    )  # fmt: skip
    rows.append(
        bench_report.row(
            f"memory_{MEMORY_LANES}_duels", memory, None, peer_name=None, unit="MiB"
        )
    )  # fmt: skip
    return rows


def main() -> None:
    """Reads the command line, measures, prints and writes the report."""
    options = bench_report.parse_options(
        "bench_soccer",
        description=__doc__,
        quick="shorter runs",
        seeds="runs of each match",
        default_seeds=3,
    )
    bench_report.finish(
        "bench_soccer",
        options,
        measure(quick=options.quick, seeds=options.seeds),
        title="Soccer",
        about=__doc__,
        packages=("mujoco", "dm_control", "numpy"),
    )


if __name__ == "__main__":
    sys.exit(main())
