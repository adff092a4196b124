"""Measures the exact passes on the tree against OpenSpiel's C++, in the same run.

All times are CPU time of the process on one thread, medians of at least five (of three new
processes with `--quick`); a ratio above 1 means that ours is faster. Both sides get the same
policies: OpenSpiel a ready `TabularPolicy`, ours a table. The floor of a pass is the memory it must
touch once, beside a plain copy of as many bytes.
"""

import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Read when the libraries start, so it comes before their import.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import bench_report
import numpy as np
import pyspiel

from games.game_tree import GameTree
from games.open_spiel_tree import compile_open_spiel, load_open_spiel
from solvers.correlated_gaps import cce_gap
from solvers.gaps import gains, nash_conv
from solvers.sequence_form import sequence_form
from solvers.values import expected_returns

GOOFSPIEL_5 = "goofspiel(imp_info=True,num_cards=5,points_order=descending)"
# Speed-up of NashConv over `pyspiel.nash_conv` that is asked for.
NASH_CONV_TARGETS = {
    "kuhn_poker": 50,
    "leduc_poker": 700,
    GOOFSPIEL_5: 700,
    "tiny_bridge_2p": 700,
    "trade_comm(num_items=4)": 700,
    "liars_dice": 700,
}
# Game, strategies per seat.
CCE_GAPS = {
    "quick": (("sheriff(num_rounds=2)", (10, 10)), ("trade_comm(num_items=3)", (2, 3))),
    "full": (
        ("sheriff(num_rounds=2)", (10, 10)),
        ("sheriff", (10, 10)),
        ("trade_comm(num_items=3)", (5, 10)),
    ),
}
CCE_TARGET = 1000
# 30 x 30 profiles must take less than this, in seconds.
ALONE_LIMIT_S = 0.1
ALONE_GAMES = {
    "quick": ("leduc_poker", GOOFSPIEL_5),
    "full": ("leduc_poker", "sheriff", GOOFSPIEL_5, "tiny_bridge_2p", "liars_dice"),
}
# NashConv of three-player Leduc poker (1.83 million nodes) must take less than this, in seconds.
LEDUC_3P_LIMIT_S = 0.05

# Prints CPU seconds of the first call in a new process; code compiled earlier is on disk.
FIRST_CALL = """
import time
from games.open_spiel_tree import compile_open_spiel
from solvers.gaps import gains
tree = compile_open_spiel({name!r})
policy = tree.uniform_policy()
begin = time.process_time()
gains(tree, policy)
print(time.process_time() - begin)
"""


def cpu_seconds(call: Callable[[], object], *, repeats: int, at_least_s: float = 0.02) -> float:
    """CPU seconds per call: the median of `repeats` measurements of at least `at_least_s` each.

    A call that takes this long by itself is not warmed up: every one of its calls counts.
    """
    measured = []
    count = 1
    while len(measured) < repeats:
        begin = time.process_time()
        for _ in range(count):
            call()
        elapsed = time.process_time() - begin
        if elapsed >= at_least_s:
            measured.append(elapsed / count)
        else:
            count = max(count + 1, int(count * 1.2 * at_least_s / max(elapsed, 1e-6)))
            measured.clear()
    return statistics.median(measured)


def random_policies(tree: GameTree, seed: int, num_policies: int) -> np.ndarray:
    """Dirichlet rows, `[K, S, A]`."""
    weight = np.random.default_rng(seed).gamma(1.0, size=(num_policies, *tree.legal_mask.shape))
    weight = np.where(tree.legal_mask, weight, 0.0)
    return weight / weight.sum(axis=2, keepdims=True)


def open_spiel_policy(tree: GameTree, policy: np.ndarray) -> pyspiel.TabularPolicy:
    """The same rows for OpenSpiel."""
    return pyspiel.TabularPolicy(
        {
            name: [(int(a), float(own[a])) for a in np.flatnonzero(legal)]
            for name, own, legal in zip(tree.infoset_name, policy, tree.legal_mask, strict=True)
        }
    )


def row(name: str, ours: float, peer: float, *, peer_name: str, target: float | None) -> dict:
    """One line of the report, in CPU seconds per call."""
    return bench_report.row(
        name, ours, peer, peer_name=peer_name, unit="CPU seconds per call", target=target
    )


def nash_conv_rows(name: str, *, repeats: int, seed: int, quick: bool) -> tuple[list[dict], dict]:
    """NashConv of one game as each side computes it, its parts, and the floor.

    Ours are the gains of every seat, OpenSpiel returns their sum.
    """
    tree, game = compile_open_spiel(name), load_open_spiel(name).turn_based
    policies = random_policies(tree, seed, 16)
    policy, table = policies[0], open_spiel_policy(tree, policies[0])
    begin = time.process_time()
    value = gains(tree, policy).sum()
    first = time.process_time() - begin
    totals = []
    root = game.new_initial_state()
    responses = [
        pyspiel.TabularBestResponse(game, player, table) for player in range(tree.num_players)
    ]

    def reused():
        for response in responses:
            response.set_policy(table)
            response.value_from_state(root)
        pyspiel.expected_returns(root, table, -1, True, 0.0)

    ours = cpu_seconds(lambda: gains(tree, policy), repeats=repeats)
    peer = cpu_seconds(lambda: totals.append(pyspiel.nash_conv(game, table)), repeats=repeats)
    assert abs(value - totals[-1]) < 1e-9 * max(1.0, tree.payoff_range), f"{name}: {value}"
    target, cpp = NASH_CONV_TARGETS[name], "pyspiel.nash_conv"
    rows = [
        row(f"{name}_nash_conv", ours, peer, peer_name=cpp, target=target),
        row(f"{name}_nash_conv_first_call_on_a_tree", first, peer, peer_name=cpp, target=None),
        row(
            f"{name}_nash_conv_checked_certificate",
            cpu_seconds(lambda: nash_conv(tree, policy), repeats=repeats),
            peer,
            peer_name=cpp,
            target=None,
        ),
        row(
            f"{name}_nash_conv_of_16_policies_each",
            cpu_seconds(lambda: gains(tree, policies), repeats=repeats) / 16,
            peer,
            peer_name=cpp,
            target=None,
        ),
        row(
            f"{name}_expected_returns",
            cpu_seconds(lambda: expected_returns(tree, policy), repeats=repeats),
            cpu_seconds(
                lambda: pyspiel.expected_returns(root, table, -1, True, 0.0), repeats=repeats
            ),
            peer_name="pyspiel.expected_returns",
            target=None,
        ),
    ]
    if not quick:
        rows.append(
            row(
                f"{name}_nash_conv_vs_reused_best_response",
                ours,
                cpu_seconds(reused, repeats=repeats),
                peer_name="pyspiel.TabularBestResponse kept between calls",
                target=None,
            )
        )
    return rows, floor(tree, name, ours, repeats=repeats)


def floor(tree: GameTree, name: str, ours: float, *, repeats: int) -> dict:
    """Bytes that NashConv must touch once, and the rate reached beside that of a copy."""
    form = sequence_form(tree)
    arrays = (form.cell, form.parent, form.first, form.last, form.run, form.pay)
    # The policy is read, the plan and the values are written and read back.
    touched = sum(a.nbytes for a in arrays) + 8 * (tree.legal_mask.sum() + 4 * tree.num_sequences)
    source = np.ones(max(1, int(touched) // 16))
    target = np.empty_like(source)
    copy = cpu_seconds(lambda: np.copyto(target, source), repeats=repeats)
    return {
        "name": f"{name}_nash_conv",
        "bytes": int(touched),
        "gigabytes_per_s": touched / ours / 1e9,
        "copy_gigabytes_per_s": 2 * source.nbytes / copy / 1e9,
        "share_of_copy_rate": copy / ours,
    }


def first_call_row(name: str, *, repeats: int) -> dict:
    """The first call of a new process, on both sides."""
    game, tree = load_open_spiel(name).turn_based, compile_open_spiel(name)
    table = open_spiel_policy(tree, tree.uniform_policy())
    root_folder = Path(__file__).resolve().parent.parent
    paths = [str(root_folder), os.environ.get("PYTHONPATH", "")]
    measured = []
    for _ in range(repeats):
        done = subprocess.run(
            [sys.executable, "-c", FIRST_CALL.format(name=name)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            capture_output=True,
            text=True,
            check=True,
        )
        measured.append(float(done.stdout))
    return row(
        f"{name}_nash_conv_first_call_of_a_process",
        statistics.median(measured),
        cpu_seconds(lambda: pyspiel.nash_conv(game, table), repeats=repeats),
        peer_name="pyspiel.nash_conv",
        target=None,
    )


def cce_gap_row(name: str, sizes: tuple[int, ...], *, repeats: int, seed: int) -> dict:
    """The CCE gap of a random joint over random deterministic strategies."""
    tree, game = compile_open_spiel(name), load_open_spiel(name).turn_based
    policies, joint = random_joint(tree, sizes, seed)
    device = []
    for profile in itertools.product(*map(range, sizes)):
        seats = np.stack([own[k] for own, k in zip(policies, profile, strict=True)])
        rows = seats[tree.infoset_player, np.arange(tree.num_infosets)]
        device.append((float(joint[profile]), open_spiel_policy(tree, rows)))
    peer, theirs = [], None
    for _ in range(repeats):
        begin = time.process_time()
        theirs = pyspiel.cce_dist(game, device)
        peer.append(time.process_time() - begin)
    ours = cce_gap(tree, policies, joint)
    gain = np.subtract(theirs.best_response_values, theirs.on_policy_values)
    assert np.abs(gain - ours.per_player).max() < 1e-9 * max(1.0, tree.payoff_range), name
    return row(
        f"{name}_cce_gap_of_{joint.size}_profiles",
        cpu_seconds(lambda: cce_gap(tree, policies, joint), repeats=max(repeats, 5)),
        statistics.median(peer),
        peer_name=f"pyspiel.cce_dist, median of {repeats}",
        target=CCE_TARGET,
    )


def random_joint(
    tree: GameTree, sizes: tuple[int, ...], seed: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Deterministic strategies of every seat and a Dirichlet joint over their profiles."""
    policies = []
    for player, size in enumerate(sizes):
        weight = random_policies(tree, seed + player, size)
        policies.append((weight == weight.max(axis=2, keepdims=True)).astype(np.float64))
    joint = np.random.default_rng(seed).dirichlet(np.ones(int(np.prod(sizes))))
    return policies, joint.reshape(sizes)


def limit_row(name: str, call: Callable[[], object], *, limit_s: float, repeats: int) -> dict:
    """Ours against a limit."""
    ours = cpu_seconds(call, repeats=repeats)
    return row(name, ours, limit_s, peer_name=f"limit of {limit_s:g} s", target=1)


def measure(*, quick: bool, seeds: int) -> tuple[list[dict], list[dict]]:
    """Runs every comparison; the second list holds the floors."""
    rows, floors = [], []
    for name, seed in itertools.product(NASH_CONV_TARGETS, range(seeds)):
        found, least = nash_conv_rows(name, repeats=5, seed=seed, quick=quick)
        rows += found
        floors.append(least)
    for name in ("leduc_poker",) if quick else ("kuhn_poker", "leduc_poker"):
        rows.append(first_call_row(name, repeats=3 if quick else 5))
    for name, sizes in CCE_GAPS["quick" if quick else "full"]:
        rows.append(cce_gap_row(name, sizes, repeats=5, seed=0))
    for name in ALONE_GAMES["quick" if quick else "full"]:
        tree = compile_open_spiel(name)
        policies, joint = random_joint(tree, (30, 30), 0)
        rows.append(
            limit_row(
                f"{name}_cce_gap_of_30x30_profiles",
                lambda tree=tree, policies=policies, joint=joint: cce_gap(tree, policies, joint),
                limit_s=ALONE_LIMIT_S,
                repeats=5,
            )
        )
    if not quick:
        name = "leduc_poker(players=3)"
        tree = compile_open_spiel(name)
        policy = random_policies(tree, 0, 1)[0]
        found = limit_row(
            f"{name}_nash_conv",
            lambda: gains(tree, policy),
            limit_s=LEDUC_3P_LIMIT_S,
            repeats=5,
        )
        rows.append(found)
        floors.append(floor(tree, name, found["ours"], repeats=5))
    return rows, floors


def main() -> None:
    """Reads the command line, measures, prints and writes the report."""
    options = bench_report.parse_options(
        "bench_solvers",
        description=__doc__,
        quick="fewer profiles and games",
        seeds="random policies measured per game",
        default_seeds=1,
    )
    rows, floors = measure(quick=options.quick, seeds=1 if options.quick else options.seeds)
    bench_report.finish(
        "bench_solvers",
        options,
        rows,
        title="Exact passes on the tree",
        about=__doc__,
        packages=("numba", "numpy", "open_spiel"),
        floors=floors,
    )


if __name__ == "__main__":
    sys.exit(main())
