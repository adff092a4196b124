"""Measures tournaments: games of Leduc poker per core-second between two network entrants, beside
OpenSpiel's `evaluate_bots` loop over the same networks.

The networks are two conditional networks of a preset's size with drawn parameters. In OpenSpiel's
loop each is a `PolicyBot` that asks its network, compiled by JAX, at every decision, as users write
it. In ours both are entrants of a tournament: their networks are asked once about all information
states, which is timed, and blocks of games are played from tables, every seed in both seatings
(`evaluation.tournament`). All times are CPU time of the process on one thread, medians of runs that
take turns; compilation is not timed on either side. That both play the same strategies is checked:
their mean returns must lie within six standard errors of the exact ones.
"""

import functools
import os
import statistics
import time

# Read when JAX starts, so they come before its import.
os.environ["NPROC"] = "1"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import bench_report
import jax
import numpy as np
import pyspiel
from open_spiel.python.algorithms.evaluate_bots import evaluate_bots
from open_spiel.python.bots.policy import PolicyBot
from open_spiel.python.policy import Policy

from evaluation.players import TablePlayer
from evaluation.tournament.items import Item, Setup, play_item
from evaluation.tournament.types import Entrant
from games.registry import load_lanes
from neupl.config import NetworkConfig
from neupl.interaction_graph import first_equal_row
from neupl.networks import make_network
from neupl.population import Population
from neupl.types import Rows
from solvers.values import payoffs

GAME, STRATEGIES, STRATEGY = "leduc_poker", 4, 2
TARGET = 200.0
BATCH = 16_384
UNIT = "games per core-second"


def population(seed: int) -> Population:
    """A population whose network has drawn parameters."""
    tree = load_lanes(GAME).tree
    config = NetworkConfig()
    module = make_network(config, tree.num_actions)
    joint = np.tile(np.eye(STRATEGIES, k=-1), (2, 1, 1))
    first_equal = jax.numpy.asarray(first_equal_row(joint))
    rows = Rows(jax.numpy.asarray(joint, jax.numpy.float32), first_equal)
    one_hot = jax.nn.one_hot(jax.numpy.zeros(1, int), 2)
    observation = jax.numpy.asarray(tree.observation[:1])
    params = module.init(jax.random.key(seed), observation, one_hot, rows, rows.joint)
    uniform = np.full((2, STRATEGIES), 1 / STRATEGIES)
    return Population(
        game=GAME,
        num_players=2,
        num_actions=tree.num_actions,
        symmetric=False,
        sink="none",
        network=config,
        params=params,
        joint=joint,
        meta_strategy=uniform,
        payoffs=np.zeros((STRATEGIES, STRATEGIES, 2)),
        step=0,
        num_nodes=tree.num_nodes,
        max_nodes=tree.num_nodes,
        observation_kind=tree.observation_kind,
    )


class NetworkPolicy(Policy):
    """A strategy of a population as OpenSpiel's loop asks for it."""

    def __init__(self, game: pyspiel.Game, member: Population) -> None:
        super().__init__(game, [0, 1])
        self._member = member

    def action_probabilities(self, state: pyspiel.State, player_id: int | None = None) -> dict:
        """See OpenSpiel."""
        player = state.current_player() if player_id is None else player_id
        observation = np.array([state.information_state_tensor(player)], np.float32)
        mask = np.array([state.legal_actions_mask(player)], bool)
        row = self._member.probabilities(player, observation, mask)[STRATEGY, 0].astype(float)
        row /= row.sum()
        return {action: row[action] for action in state.legal_actions()}


def open_spiel_games(members: list[Population], num_games: int, seed: int) -> np.ndarray:
    """Returns of games in OpenSpiel's loop, `[N, 2]`."""
    game = pyspiel.load_game(GAME)
    generator = np.random.RandomState(seed)
    bots = [
        PolicyBot(player, generator, NetworkPolicy(game, member))
        for player, member in enumerate(members)
    ]
    played = [evaluate_bots(game.new_initial_state(), bots, generator) for _ in range(num_games)]
    return np.array(played)


def our_games(members: list[Population], num_blocks: int, seed: int) -> np.ndarray:
    """Returns of a tournament's games by seating, `[2, N, 2]`; the networks are asked anew."""
    entrants = []
    for number, member in enumerate(members):
        table = member.tabulate()[STRATEGY]
        make = functools.partial(_table_player, table)
        entrants.append(Entrant(f"network {number}", make, table))
    setup = Setup(GAME, tuple(entrants), seed, BATCH, None, 0, 5_000_000)
    blocks = [play_item(setup, Item((0, 1), block)).returns for block in range(num_blocks)]
    return np.concatenate(blocks, axis=1)


def _table_player(table: np.ndarray, seat: int, lanes: object) -> TablePlayer:
    return TablePlayer(table)


def check(returns: np.ndarray, exact: np.ndarray, what: str) -> None:
    """Stops where games cannot be those of the strategies (a false alarm below 1e-8)."""
    error = returns.std(axis=0) / np.sqrt(len(returns))
    if (np.abs(returns.mean(axis=0) - exact) > 6 * error).any():
        raise SystemExit(f"{what}: mean returns {returns.mean(axis=0)}, exact are {exact}")


def measure(*, quick: bool, seeds: int) -> list[dict]:
    """The lines of the report."""
    members = [population(seed) for seed in (0, 1)]
    num_games, num_blocks = (300, 4) if quick else (2000, 32)
    tree = members[0].tree()
    tables = np.stack([member.tabulate()[STRATEGY] for member in members])
    exact = payoffs(tree, tables)
    # Compiles on both sides.
    open_spiel_games(members, 2, 0)
    our_games(members, 1, 0)
    ours, theirs = [], []
    for seed in range(1, seeds + 1):
        start = time.process_time()
        played = open_spiel_games(members, num_games, seed)
        theirs.append(num_games / (time.process_time() - start))
        check(played, exact[0, 1], "OpenSpiel's loop")
        start = time.process_time()
        both = our_games(members, num_blocks, seed)
        ours.append(both.shape[0] * both.shape[1] / (time.process_time() - start))
        check(both[0], exact[0, 1], "the tournament")
        check(both[1], exact[1, 0], "the tournament, seats exchanged")
    rate = statistics.median(ours)
    return [
        bench_report.row(
            "leduc_two_networks",
            rate,
            statistics.median(theirs),
            peer_name="OpenSpiel evaluate_bots",
            unit=UNIT,
            target=TARGET,
            more_is_better=True,
            ours_least=min(ours),
            ours_greatest=max(ours),
            peer_least=min(theirs),
            peer_greatest=max(theirs),
        )
    ]


def main() -> None:
    """Runs the benchmark."""
    options = bench_report.parse_options(
        "bench_tournament",
        description=__doc__,
        quick="fewer games",
        seeds="repetitions",
        default_seeds=5,
    )
    rows = measure(quick=options.quick, seeds=options.seeds)
    bench_report.finish(
        "bench_tournament",
        options,
        rows,
        title="Tournaments",
        about=__doc__,
        packages=("jax", "numpy", "open_spiel"),
    )


if __name__ == "__main__":
    main()
