"""Measures the game layer: moves per core-second against pgx and OpenSpiel, and compilation against
a bare walk.

A move is one decision of one player, with the mover's observation, legal mask and rewards consumed,
a legal action drawn uniformly, and finished episodes restarted. All times are CPU time of the
process on one thread.
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
import pyspiel

from games.open_spiel_host import OpenSpielHost
from games.open_spiel_tree import compile_game, load_open_spiel
from games.tree_game import TreeGame

BATCH = 4096
PGX_GAMES = {"kuhn_poker": ("kuhn_poker", 2.0), "leduc_poker": ("leduc_holdem", 5.0)}
STEPPED_GAMES = (
    "kuhn_poker",
    "leduc_poker",
    "liars_dice(numdice=1,dice_sides=4)",
    "goofspiel(imp_info=True,num_cards=4,points_order=descending)",
)
# Games on which lanes soon walk where lanes were before, with the moves played before the clock
# starts; and games too big for that.
REVISITED_GAMES = {
    "kuhn_poker": 200_000,
    "leduc_poker": 2_000_000,
    "liars_dice": 4_000_000,
    "goofspiel(imp_info=True,num_cards=5,points_order=descending)": 2_000_000,
}
UNVISITED_GAMES = ("leduc_poker(players=4)", "dark_hex(board_size=3)", "connect_four")
COMPILED_GAMES = (
    "kuhn_poker(players=4)",
    "leduc_poker",
    "liars_dice(numdice=1,dice_sides=5)",
    "goofspiel(imp_info=True,num_cards=5,points_order=descending)",
    "tiny_bridge_2p",
    "trade_comm(num_items=3)",
    "sheriff",
    "first_sealed_auction",
)


def draw_legal(key, mask):
    """A uniformly random legal action; consumes `key`."""
    cumulative = jnp.cumsum(mask.astype(jnp.int32))
    rank = jnp.floor(jax.random.uniform(key) * cumulative[-1]).astype(jnp.int32)
    return jnp.sum(cumulative <= rank).astype(jnp.int32)


def ours_step(game):
    """One lane's move in a `TreeGame`, as a rollout makes it."""

    def step(carry, key):
        state, time_step = carry
        action_key, step_key, reset_key = jax.random.split(key, 3)
        mover = jnp.argmax(time_step.to_move)
        observation, mask = game.observe(state, mover), time_step.legal_mask[mover]
        actions = jnp.full(game.info.num_players, draw_legal(action_key, mask))
        state, time_step = game.step(state, actions, step_key)
        new = game.init(reset_key)
        over = time_step.discount == 0
        state = jax.tree.map(lambda fresh, old: jnp.where(over, fresh, old), new, state)
        return (state, game.restart(state)), (observation, mask, time_step.rewards)

    def start(key):
        state = game.init(key)
        return state, game.restart(state)

    return start, step


def pgx_step(env):
    """One lane's move in a pgx environment, in the same loop."""

    def step(state, key):
        action_key, step_key, reset_key = jax.random.split(key, 3)
        observation, mask = env.observe(state, state.current_player), state.legal_action_mask
        state = env.step(state, draw_legal(action_key, mask), step_key)
        rewards = state.rewards
        over = state.terminated | state.truncated
        new = env.init(reset_key)
        state = jax.tree.map(lambda fresh, old: jnp.where(over, fresh, old), new, state)
        return state, (observation.astype(jnp.float32), mask, rewards)

    return env.init, step


def jax_rate(start_and_step, *, length: int, repeats: int) -> float:
    """Moves per core-second of a jitted `scan` over a `vmap` of the step, the median of `repeats`
    runs.
    """
    start, step = start_and_step

    @jax.jit
    def run(carry, key):
        def body(carry, key):
            lanes, total, paid = carry
            lanes, (observation, mask, rewards) = jax.vmap(step)(
                lanes, jax.random.split(key, BATCH)
            )
            total = total + observation.sum(axis=range(1, observation.ndim)) + mask.sum(axis=1)
            return (lanes, total, paid + rewards), None

        return jax.lax.scan(body, carry, jax.random.split(key, length))[0]

    lanes = jax.jit(jax.vmap(start))(jax.random.split(jax.random.key(0), BATCH))
    players = jax.eval_shape(jax.vmap(step), lanes, jax.random.split(jax.random.key(0), BATCH))[1][
        2
    ].shape[1]
    carry = (lanes, jnp.zeros(BATCH), jnp.zeros((BATCH, players)))
    carry = jax.block_until_ready(run(carry, jax.random.key(1)))
    rates = []
    for repeat in range(repeats):
        begin = time.process_time()
        carry = jax.block_until_ready(run(carry, jax.random.key(2 + repeat)))
        rates.append(BATCH * length / (time.process_time() - begin))
    return statistics.median(rates)


def host_rate(name: str, *, moves: int, seed: int, moves_before: int = 0) -> float:
    """Moves per core-second of `OpenSpielHost` after `moves_before` others; a simultaneous move of
    all seats counts once.
    """
    host = OpenSpielHost(name)
    states = host.init(np.arange(BATCH, dtype=np.uint64) + np.uint64(BATCH * seed))
    time_step = host.restart(states)
    generator = np.random.default_rng(seed)
    checksum, begin = 0.0, time.process_time()
    num_steps, num_steps_before = -(-moves // BATCH), moves_before // BATCH
    for step in range(num_steps_before + num_steps):
        if step == num_steps_before:
            begin = time.process_time()
        checksum += float(host.observe(states)[:, 0, 0].sum())
        cumulative = time_step.legal_mask.cumsum(axis=2)
        rank = np.floor(generator.random(cumulative.shape[:2]) * cumulative[..., -1])
        actions = (cumulative <= rank[..., None]).sum(axis=2).astype(np.int32)
        states, time_step = host.step(states, actions)
        checksum += float(time_step.rewards.sum())
        if (time_step.discount == 0).any():
            states, time_step = host.reset_where(states, time_step.discount == 0)
    return BATCH * num_steps / (time.process_time() - begin)


def python_rate(name: str, *, moves: int, seed: int) -> float:
    """Moves per core-second of a plain Python loop over OpenSpiel states, tensor, mask and rewards
    read at each.
    """
    game = load_open_spiel(name).game
    generator = np.random.default_rng(seed)
    draws = generator.random(4 * moves).tolist()
    simultaneous = game.get_type().dynamics == pyspiel.GameType.Dynamics.SIMULTANEOUS
    information = game.get_type().provides_information_state_tensor
    done = used = 0
    state = game.new_initial_state()
    begin = time.process_time()
    while done < moves:
        if state.is_chance_node():
            outcomes, draw = state.chance_outcomes(), draws[used]
            used += 1
            remaining = iter(outcomes)
            outcome, probability = next(remaining)
            while draw >= probability:
                draw -= probability
                outcome, probability = next(remaining, (outcome, 2.0))
            state.apply_action(outcome)
        elif state.is_terminal():
            state.rewards()
            state = game.new_initial_state()
        else:
            movers = range(game.num_players()) if simultaneous else (state.current_player(),)
            actions = []
            for player in movers:
                observe = (
                    state.information_state_tensor if information else state.observation_tensor
                )
                observe(player)
                state.legal_actions_mask(player)
                legal = state.legal_actions(player)
                actions.append(legal[int(draws[used % len(draws)] * len(legal))])
                used += 1
            if simultaneous:
                state.apply_actions(actions)
            else:
                state.apply_action(actions[0])
            state.rewards()
            done += 1
        used %= len(draws) - 64
    return moves / (time.process_time() - begin)


def bare_walk(state) -> int:
    """Visits every node once, reading what any compiler has to read; returns the number of
    nodes.
    """
    player = state.current_player()
    if player == pyspiel.PlayerId.TERMINAL:
        state.returns()
        return 1
    if player == pyspiel.PlayerId.CHANCE:
        return 1 + sum(bare_walk(state.child(action)) for action, _ in state.chance_outcomes())
    state.information_state_string()
    return 1 + sum(bare_walk(state.child(action)) for action in state.legal_actions())


def compile_rates(name: str, *, repeats: int) -> tuple[float, float]:
    """Nodes per core-second of compilation and of the bare walk, alternating; the better of
    `repeats` each.
    """
    game = load_open_spiel(name).turn_based
    ours, bare = [], []
    for _ in range(repeats):
        begin = time.process_time()
        nodes = bare_walk(game.new_initial_state())
        middle = time.process_time()
        tree = compile_game(game, name=name)
        end = time.process_time()
        assert tree.num_nodes == nodes, f"{name}: {tree.num_nodes} nodes compiled, {nodes} walked"
        bare.append(nodes / (middle - begin))
        ours.append(nodes / (end - middle))
    return max(ours), max(bare)


def rate(name, ours, peer, peer_name, target=None, unit="moves per core-second") -> dict:
    """One line of the report."""
    return bench_report.row(
        name, ours, peer, peer_name=peer_name, unit=unit, target=target, more_is_better=True
    )


def measure(*, quick: bool, seeds: int) -> list[dict]:
    """Runs every comparison."""
    length, repeats = (128, 3) if quick else (512, 3 + 2 * seeds)
    moves = 30_000 if quick else 200_000
    rows, stepped = [], {}
    for name in STEPPED_GAMES:
        game = TreeGame(compile_game(load_open_spiel(name).turn_based, name=name))
        stepped[name] = jax_rate(ours_step(game), length=length, repeats=repeats)
        if name in PGX_GAMES:
            import pgx

            peer, target = PGX_GAMES[name]
            theirs = jax_rate(pgx_step(pgx.make(peer)), length=length, repeats=repeats)
            rows.append(rate(f"{name}_vs_pgx", stepped[name], theirs, "pgx", target))
    for name in STEPPED_GAMES:
        peer = statistics.median(python_rate(name, moves=moves, seed=s) for s in range(seeds))
        rows.append(rate(f"{name}_vs_open_spiel", stepped[name], peer, "OpenSpiel, Python loop"))
    for name, moves_before in REVISITED_GAMES.items():
        ours = statistics.median(
            host_rate(name, moves=20 * moves, seed=s, moves_before=moves_before)
            for s in range(seeds)
        )
        peer = statistics.median(python_rate(name, moves=moves, seed=s) for s in range(seeds))
        rows.append(rate(f"{name}_host", ours, peer, "OpenSpiel, Python loop"))
    for name in UNVISITED_GAMES:
        ours = statistics.median(host_rate(name, moves=2 * moves, seed=s) for s in range(seeds))
        peer = statistics.median(python_rate(name, moves=moves, seed=s) for s in range(seeds))
        rows.append(rate(f"{name}_host_from_nothing", ours, peer, "OpenSpiel, Python loop"))
    for name in COMPILED_GAMES:
        ours, peer = compile_rates(name, repeats=5 if quick else 5 + 5 * seeds)
        rows.append(
            rate(f"{name}_compile", ours, peer, "bare Python walk", 0.5, "nodes per core-second")
        )
    return rows


def main() -> None:
    """Reads the command line, measures, prints and writes the report."""
    options = bench_report.parse_options(
        "bench_games",
        description=__doc__,
        quick="shorter runs, one seed",
        seeds="independent runs of the Python loops",
        default_seeds=3,
    )
    rows = measure(quick=options.quick, seeds=1 if options.quick else options.seeds)
    bench_report.finish(
        "bench_games",
        options,
        rows,
        title="Moves and compilation",
        about=__doc__,
        packages=("jax", "open_spiel", "pgx"),
    )


if __name__ == "__main__":
    sys.exit(main())
