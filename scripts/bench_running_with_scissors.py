"""Measures running-with-scissors: joint steps per core-second of random play, beside JaxMARL's grid
games, and agent-steps per core-second of learning by a network with a memory.

A joint step is one step of all players of one lane: their actions drawn uniformly, the game
stepped, the observations of all players and their rewards consumed, and finished episodes
restarted. 1,024 lanes in one jitted `scan` over a `vmap`, the same loop for all. `floor` is that
loop around a game that does nothing but draw the actions and hand out observations of
the same size. All times are CPU time of the process on one thread, medians of runs that take turns.
JaxMARL is optional: its lines are left out, with a message, where it is not installed.

Learning is by `configs/running_with_scissors_gru.yaml` from its first parameters on: batches of
rollout and update as `neupl train` makes them, evaluations aside. An agent-step is a decision of
the seat that learns, counted once however often the update goes over it; the other seat's are not
counted, though the network is asked for them too.
"""

import os
import statistics
import sys
import time

# Read when JAX starts, so they come before its import.
os.environ["NPROC"] = "1"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import bench_report
import jax
import jax.numpy as jnp
import numpy as np
from neupl_command import ROOT

from games.running_with_scissors.game import RunningWithScissors
from neupl.config import Config
from neupl.config_io import load_config
from neupl.problem import make_problem
from neupl.training_problem import rows_of
from neupl.types import Objective

BATCH = 1024
TARGET_RATE = 500_000.0
PRESET = ROOT / "configs" / "running_with_scissors_gru.yaml"
LEARNING_TARGET = 40_000.0
LEARNING_UNIT = "agent-steps per core-second"
# Two players on a grid: collecting coins of two colours, cooking together, and JaxMARL's own
# matrix game in space (which does not trace with every version of JAX).
PEERS = ("storm_2p", "coin_game", "overcooked")
UNIT = "joint steps per core-second"


def ours(game):
    """`(start, step)` of one lane: `step(carry, key)` returns the carry and what was seen."""

    def step(state, key):
        action_key, step_key, reset_key = jax.random.split(key, 3)
        actions = jax.random.randint(action_key, (2,), 0, game.info.num_actions[0])
        seen = jnp.stack([game.observe(state, player) for player in range(2)])
        state, now = game.step(state, actions, step_key)
        over = now.discount == 0
        fresh = game.init(reset_key)
        state = jax.tree.map(lambda new, old: jnp.where(over, new, old), fresh, state)
        return state, (seen, now.rewards)

    return game.init, step


def floor(game):
    """The same loop around a state of one number, which the observations show."""
    num_actions, size = game.info.num_actions[0], game.info.observation_size[0]

    def step(state, key):
        actions = jax.random.randint(key, (2,), 0, num_actions)
        state = state + actions.sum()
        seen = (state + jnp.arange(2 * size) + actions[0]).astype(jnp.float32)
        return state, (seen, actions.astype(jnp.float32))

    return lambda key: jnp.int32(0), step


def jaxmarl(name):
    """An environment of JaxMARL, which restarts by itself within its `step`."""
    import jaxmarl

    env = jaxmarl.make(name)
    sizes = [env.action_space(agent).n for agent in env.agents]

    def start(key):
        return env.reset(key)[1]

    def step(state, key):
        action_key, step_key = jax.random.split(key)
        drawn = jax.random.randint(action_key, (len(sizes),), 0, jnp.array(sizes))
        actions = {agent: drawn[i] for i, agent in enumerate(env.agents)}
        seen, state, rewards, _, _ = env.step(step_key, state, actions)
        return state, (seen, rewards)

    return start, step


def prepare(start_and_step, *, length: int):
    """Compiles a run of `length` steps of all lanes; returns what measures one, in joint steps per
    core-second.
    """
    start, step = start_and_step

    def consumed(seen):
        leaves = [leaf.reshape(BATCH, -1).astype(jnp.float32) for leaf in jax.tree.leaves(seen)]
        return sum(leaf.sum(axis=1) for leaf in leaves)

    @jax.jit
    def run(carry, key):
        def body(carry, key):
            lanes, total = carry
            lanes, seen = jax.vmap(step)(lanes, jax.random.split(key, BATCH))
            return (lanes, total + consumed(seen)), None

        return jax.lax.scan(body, carry, jax.random.split(key, length))[0]

    lanes = jax.jit(jax.vmap(start))(jax.random.split(jax.random.key(0), BATCH))
    carry = jax.block_until_ready(run((lanes, jnp.zeros(BATCH)), jax.random.key(1)))

    def rate(seed: int) -> float:
        nonlocal carry
        begin = time.process_time()
        carry = jax.block_until_ready(run(carry, jax.random.key(2 + seed)))
        return BATCH * length / (time.process_time() - begin)

    return rate


def prepare_peers(*, length: int) -> dict:
    """What measures each of JaxMARL's games that can be played here."""
    prepared = {}
    for name in PEERS:
        try:
            prepared[name] = prepare(jaxmarl(name), length=length)
        except ImportError:
            message = "JaxMARL is not installed: pip install jaxmarl, to measure it beside ours"
            print(message, file=sys.stderr)
            break
        except Exception as error:
            # What an environment raises while it is traced depends on the version of JAX.
            reason = type(error).__name__
            print(f"JaxMARL's {name} cannot be played: {reason}: {error}", file=sys.stderr)
    return prepared


def measure_learning(*, batches: int) -> tuple[dict, list[dict]]:
    """The line of the report about learning, medians over batches, and what the time goes to."""
    problem, _ = make_problem(load_config(Config, PRESET))
    learner, size = problem.learner, problem.config.population.size
    # Strategy 1 of either seat responds to strategy 0.
    joint, respond = np.zeros((2, size, size)), np.zeros((2, size), np.float32)
    joint[:, 1, 0] = respond[:, 1] = 1.0
    state = learner.init(jax.random.key(0))
    temperature = problem.config.temperature.floor * problem.info.payoff_range
    objective = Objective(
        rows=rows_of(joint),
        temperature=np.full((2, size), temperature, np.float32),
        respond=respond,
        hold=np.zeros_like(respond),
        teacher=state.params,
    )
    steps, seconds = [], []
    for batch in range(batches + 1):
        collect_key, update_key = jax.random.split(jax.random.key(batch))
        begin = time.process_time()
        experience = learner.collect(state.params, objective, collect_key)
        between = time.process_time()
        state, _ = learner.update(state, experience, update_key)
        jax.block_until_ready(state.params)
        steps.append(float(experience.decisions.counts.sum()))
        seconds.append((between - begin, time.process_time() - between))
    # The first batch compiles.
    times, steps = np.array(seconds[1:]), np.array(steps[1:])
    rate = float(np.median(steps / times.sum(axis=1)))
    line = bench_report.row(
        "learning", rate, LEARNING_TARGET, peer_name="target",
        unit=LEARNING_UNIT, target=1.0, more_is_better=True,
    )  # fmt: skip
    shares = np.median(times / times.sum(axis=1, keepdims=True), axis=0)
    parts = [
        {"part": part, "share_of_time": float(share), "microseconds_per_agent_step": 1e6 * cost}
        for part, share, cost in zip(
            ("rollout", "update"), shares, np.median(times / steps[:, None], axis=0), strict=True
        )
    ]
    return line, parts


def measure(*, quick: bool, seeds: int) -> list[dict]:
    """Runs every comparison of random play."""
    length = 128 if quick else 512
    game = RunningWithScissors()
    mine = prepare(ours(game), length=length)
    others = {"floor": prepare(floor(game), length=length), **prepare_peers(length=length)}
    rates: dict[str, list[float]] = {name: [] for name in ("ours", *others)}
    for seed in range(3 if quick else 3 + 2 * seeds):
        for name, rate in (("ours", mine), *others.items()):
            rates[name].append(rate(seed))
    found = {name: statistics.median(values) for name, values in rates.items()}
    rows = [
        bench_report.row(
            "required", found["ours"], TARGET_RATE, peer_name="target",
            unit=UNIT, target=1.0, more_is_better=True,
        )
    ]  # fmt: skip
    for name in others:
        peer_name = "bare loop" if name == "floor" else f"JaxMARL {name}"
        rows.append(
            bench_report.row(
                f"beside_{name}", found["ours"], found[name], peer_name=peer_name,
                unit=UNIT, more_is_better=True,
            )
        )  # fmt: skip
    return rows


def main() -> None:
    """Reads the command line, measures, prints and writes the report."""
    options = bench_report.parse_options(
        "bench_running_with_scissors",
        description=__doc__,
        quick="shorter runs, three of them, and three batches of learning",
        seeds="pairs of further runs of each game, fours of further batches",
        default_seeds=3,
    )
    learning, shares = measure_learning(batches=3 if options.quick else 3 + 4 * options.seeds)
    bench_report.finish(
        "bench_running_with_scissors",
        options,
        [*measure(quick=options.quick, seeds=options.seeds), learning],
        title="Running-with-scissors",
        about=__doc__,
        packages=("jax", "jaxmarl"),
        shares=shares,
    )


if __name__ == "__main__":
    sys.exit(main())
