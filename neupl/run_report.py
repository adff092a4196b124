"""Collects what a run folder says, for its page; every number comes from the folder's files."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.match import play_match
from evaluation.pages.run_page import run_page
from evaluation.pages.run_summary import RunSummary, Track
from evaluation.players import PolicyPlayer, TablePlayer
from evaluation.relative_performance import (
    effective_diversity,
    effective_number,
    relative_performance,
    transitivity,
)
from evaluation.replay import Replay
from evaluation.tournament.items import Item, block_seeds
from games.registry import load_lanes, load_tree
from games.teams import players_of_seats
from games.tree_lanes import TreeLanes
from games.types import GameError, HostGame
from neupl.config_io import read_mapping
from neupl.durable_files import write_durably
from neupl.errors import UserError
from neupl.graph_history import graph_moments, marginal_graphs
from neupl.population import Population
from neupl.population_files import MANIFEST_FILE, find_folder, read_files
from neupl.run import CERTIFICATE_FILE, GRAPH_FILE, PROVENANCE_FILE, Run
from neupl.stored_population import load_population
from neupl.tabular_population import TabularPopulation
from solvers.sequence_form import mix
from solvers.values import payoffs as exact_payoffs

PAGE_FILE = "index.html"
# Trees that are loaded again for sample games at the end of training.
MAX_SAMPLED_NODES = 200_000
# Strategies whose sample games a page has.
MAX_SAMPLED_STRATEGIES = 12
# Gaps, the headline first, and other figures, by their names in `metrics.jsonl`.
GAPS = {
    "eval/nash_conv": "NashConv",
    "eval/best_nash_conv": "NashConv, best so far",
    "eval/gap": "gap of the joint",
    "eval/best_gap": "gap of the joint, best so far",
    "eval/estimated_gain": "gain of the newest response, estimated",
    "eval/gap_estimate": "gap of the joint, at least, estimated",
    "eval/best_gap_estimate": "gap of the joint, at least, best so far",
}
TRACKS = {
    "eval/mean_return": "mean return, estimated (game points)",
    "population/num_admitted": "strategies in the population",
    "population/size_0": "strategies of seat 0",
    "population/effective_size": "distinct strategies",
    "population/member_distance": "mean distance between strategies (total variation)",
    "drift/payoff": "drift: largest change of a payoff between earlier strategies (game points)",
    "drift/divergence": "drift: largest divergence of an earlier strategy (nats)",
    "train/loss": "training loss",
}


def write_run_report(
    paths: Sequence[Path], page: Path, *, num_games: int = 1, quick: bool = False
) -> list[RunSummary]:
    """Writes the page of some runs.

    Args:
      paths: run folders.
      page: the file.
      num_games: sample games of each strategy; 0 for none.
      quick: whether sample games are left out where the game's tree is large or there is none.

    Raises:
      UserError: there is no run, a file of it is broken, or the page cannot be written.
    """
    runs = [summarise(path, num_games=num_games, quick=quick) for path in paths]
    content = run_page(runs, comparisons(runs, paths))
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        write_durably(page, content.encode())
    except OSError as error:
        raise UserError(f"cannot write {page}: {error.strerror or error}") from error
    return runs


def summarise(path: Path, *, num_games: int = 1, quick: bool = False) -> RunSummary:
    """What the run at a path says; arguments and errors as in `write_run_report`."""
    run = Run.open(path)
    config, origin = read_mapping(run.config_path), run.read_json(PROVENANCE_FILE)
    certified = (path / CERTIFICATE_FILE).is_file()
    certificate = run.read_json(CERTIFICATE_FILE)["certificate"] if certified else None
    metrics = run.metrics()
    facts = {"Configuration": _flat(config), "Provenance": _flat(origin)}
    shared = {
        "name": path.resolve().name,
        "game": str(config.get("game")),
        "certificate": certificate,
        "gaps": _tracks(metrics, GAPS),
        "tracks": _tracks(metrics, TRACKS),
        "facts": facts,
        "history": graph_moments(run.lines(GRAPH_FILE), str(path / GRAPH_FILE)),
    }
    if not (run.population_path / MANIFEST_FILE).is_file():
        return RunSummary(
            method="not finished", payoffs=None, payoffs_are="exact", mixtures=(), graphs=(),
            sizes={}, transitivity=None, **shared,
        )  # fmt: skip
    manifest, arrays = read_files(find_folder(path))
    population = load_population(path)
    sizes = _sizes(population, manifest)
    mixtures = tuple(_mixture(population, seat, size) for seat, size in enumerate(sizes))
    payoffs = getattr(population, "payoffs", None)
    if payoffs is not None:
        payoffs = np.asarray(payoffs, np.float64)[tuple(slice(size) for size in sizes)]
    joint = arrays.get("joint", arrays.get("mixtures"))
    graphs = () if joint is None or max(sizes) < 2 else marginal_graphs(joint, sizes)
    replays, samples = [], []
    if num_games:
        replays, samples = sample_games(population, arrays, sizes, num_games, quick=quick)
    own = symmetrised(payoffs)
    return RunSummary(
        method=str(manifest.get("method") or config.get("method")),
        payoffs=payoffs,
        payoffs_are="exact" if manifest.get("payoffs_are", "exact") == "exact" else "estimated",
        mixtures=mixtures,
        graphs=graphs,
        sizes=_effective(manifest, sizes, mixtures, own),
        transitivity=None if own is None else transitivity(own),
        replays=tuple(replays),
        samples=tuple(samples),
        **shared,
    )


def symmetrised(payoffs: np.ndarray | None) -> np.ndarray | None:
    """Payoffs of a two-player zero-sum population with the seats averaged out, `[K, K]`,
    antisymmetric; `None` of any other.
    """
    if payoffs is None or payoffs.ndim != 3 or payoffs.shape[0] != payoffs.shape[1]:
        return None
    total = payoffs.sum(axis=-1)
    if np.ptp(total) > 1e-6 * max(1.0, float(np.abs(payoffs).max())):
        return None
    return (payoffs[..., 0] + payoffs[..., 1].T - payoffs[..., 0].T - payoffs[..., 1]) / 4


def comparisons(runs: Sequence[RunSummary], paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Relative population performance between runs of a two-player zero-sum game with a tree."""
    found = []
    tables = [_own_tables(path) for path in paths] if len(runs) > 1 else []
    pairs = itertools.combinations(range(len(runs)), 2) if len(runs) > 1 else ()
    for a, b in pairs:
        if runs[a].game != runs[b].game or tables[a] is None or tables[b] is None:
            continue
        tree = load_tree(runs[a].game)
        if not tree.zero_sum:
            continue
        first = exact_payoffs(tree, [tables[a], tables[b]])[..., 0]
        second = exact_payoffs(tree, [tables[b], tables[a]])[..., 1].T
        value = relative_performance((first + second) / 2).value
        found.append({"first": runs[a].name, "second": runs[b].name, "value": value})
    return found


def sample_games(
    population: Any,
    arrays: Mapping[str, np.ndarray],
    sizes: Sequence[int],
    num_games: int,
    *,
    quick: bool,
) -> tuple[list[tuple[str, Replay]], list[tuple[int, ...]]]:
    """Games of each strategy of seat 0 against the mixtures of the others, or, where the joint is
    correlated, of strategy k in all seats.
    """
    tables = policy_tables(population, arrays)
    small = tables is not None and (population.num_nodes or 0) <= MAX_SAMPLED_NODES
    if quick and not small:
        return [], []
    try:
        lanes = load_lanes(population.game, max_nodes=population.max_nodes)
    except GameError:
        return [], []
    replays: list[tuple[str, Replay]] = []
    samples = []
    independent = not getattr(population, "correlated", False)
    for k in range(min(sizes[0], MAX_SAMPLED_STRATEGIES)):
        members: list[Any] = [k] + ["nash" if independent else min(k, n - 1) for n in sizes[1:]]
        seated = [members[player] for player in players_of_seats(lanes.info)]
        players = [
            _player(population, tables, member, seat, lanes) for seat, member in enumerate(seated)
        ]
        names = [f"strategy {m}" if m != "nash" else "mixture" for m in members]
        seeds = block_seeds(0, Item((k,), 0), num_games)
        seat_names = [names[player] for player in players_of_seats(lanes.info)]
        played = play_match(lanes, players, seeds, names=seat_names, num_replays=num_games)
        numbers = []
        for number, replay in enumerate(played.replays):
            numbers.append(len(replays))
            replays.append((f"{' vs '.join(names)}, game {number + 1}", replay))
        samples.append(tuple(numbers))
    return replays, samples


def policy_tables(population: Any, arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The tables of a population's files `[K, S, A]`, without asking its network; `None` where
    there are none.
    """
    if isinstance(population, TabularPopulation):
        return population.tabulate()
    if "policies" not in arrays:
        return None
    tables = np.asarray(arrays["policies"], np.float64)
    return tables / tables.sum(axis=-1, keepdims=True)


def _own_tables(path: Path) -> np.ndarray | None:
    """The tables of the admitted strategies of a run; `None` where there are none."""
    try:
        manifest, arrays = read_files(find_folder(path))
    except UserError:
        return None
    population = load_population(path)
    tables = policy_tables(population, arrays)
    return None if tables is None else tables[: min(_sizes(population, manifest))]


def _player(
    population: Any, tables: np.ndarray | None, member: Any, seat: int, lanes: HostGame
) -> TablePlayer | PolicyPlayer:
    if tables is None or not isinstance(lanes, TreeLanes):
        player = players_of_seats(lanes.info)[seat]
        return PolicyPlayer(population.policy(member, seat=player), seat=seat, player=player)
    if member == "nash":
        return TablePlayer(mix(lanes.tree, tables, population.meta_strategy))
    return TablePlayer(tables[member])


def _sizes(population: Any, manifest: Mapping[str, Any]) -> tuple[int, ...]:
    """Admitted strategies of each seat."""
    if isinstance(population, Population):
        number = manifest.get("num_admitted", population.num_strategies)
        return (number,) * population.num_players
    return tuple(population.sizes)


def _mixture(population: Any, seat: int, size: int) -> np.ndarray:
    if isinstance(population, Population):
        return np.asarray(population.meta_strategy[seat, :size], np.float64)
    return population.marginal(seat)


def _effective(
    manifest: Mapping[str, Any],
    sizes: Sequence[int],
    mixtures: Sequence[np.ndarray],
    own: np.ndarray | None,
) -> dict[str, float]:
    found: dict[str, float] = {
        f"strategies of seat {seat}": float(size) for seat, size in enumerate(sizes)
    }
    if "effective_size" in manifest:
        found["distinct strategies per seat (rows of the graph that differ)"] = float(
            manifest["effective_size"]
        )
    for seat, mixture in enumerate(mixtures):
        key = f"strategies that seat {seat} mixes (exponential of the entropy)"
        found[key] = effective_number(mixture)
    if own is not None and len(own) > 1:
        found["effective diversity (game points)"] = effective_diversity(own)
    return found


def _tracks(metrics: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> tuple[Track, ...]:
    found = []
    for key, title in names.items():
        lines = [line for line in metrics if isinstance(line.get(key), int | float)]
        if lines:
            seconds = [line.get("time/elapsed_s") for line in lines]
            found.append(
                Track(
                    title=title,
                    steps=tuple(float(line["step"]) for line in lines),
                    seconds=() if None in seconds else tuple(map(float, seconds)),
                    values=tuple(float(line[key]) for line in lines),
                )
            )
    return tuple(found)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            plain = all(isinstance(one, str | int | float) for one in value)
            flat[f"{prefix}{key}"] = " ".join(map(str, value)) if plain else json.dumps(value)
        else:
            flat[f"{prefix}{key}"] = value
    return flat
