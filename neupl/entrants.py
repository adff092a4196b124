"""Entrants of tournaments by name: members and mixtures of runs, OpenSpiel's bots, scripted bots.

Only this module knows where policies come from; `evaluation` plays whatever players are made here.
"""

import dataclasses
import functools
import hashlib
import importlib
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np

from evaluation.isolated_player import IsolatedPlayer
from evaluation.players import (
    MoveTimeoutError,
    OpenSpielPlayer,
    Player,
    PlayerError,
    PolicyPlayer,
    TablePlayer,
    UniformPlayer,
)
from evaluation.tournament.types import Entrant
from games.game_tree import GameTree
from games.open_spiel_tree import load_open_spiel
from games.registry import is_dotted_path
from games.teams import by_player, players_of_seats
from games.tree_lanes import TreeLanes
from games.types import GameError, GameInfo, HostGame, Policy
from neupl.action_distribution import GAUSSIAN
from neupl.errors import UserError
from neupl.fixed_strategy import fixed_strategy
from neupl.population_files import ARRAYS_FILE, find_folder, read_files
from neupl.stored_population import load_population
from solvers.sequence_form import mix

ALLOWED = (
    "an entrant is RUN#k, RUN#nash or RUN#all (of a run, a solve or a population folder; RUN alone "
    "is RUN#nash), openspiel:random, openspiel:mcts, openspiel:mcts(simulations=200), bot:NAME of "
    "the game, or bot:package.module:function"
)
SIMULATIONS = 50
# Scripted bots by the short name of their game, and where there are several by their body.
_BOTS = {
    "running_with_scissors": {
        name: f"games.running_with_scissors.bots:{name}"
        for name in ("collect_rocks", "collect_papers", "collect_scissors")
    },
    "toy_soccer": {name: f"games.toy_soccer.bots:{name}" for name in ("stand", "chaser", "keeper")},
    **{
        f"soccer/{task}": {
            name.lower(): f"soccer.bots:{name}"
            for name in ("Stand", "Walker", "Chaser", "Kicker", "Keeper")
        }
        for task in ("walk_to_target", "get_up", "score", "duel", "team")
    },
    **{
        f"soccer/{task}, boxhead": {
            name.lower(): f"soccer.boxhead_bots:{name}" for name in ("Stand", "Chaser", "Keeper")
        }
        for task in ("duel", "team")
    },
}


@dataclasses.dataclass(frozen=True)
class FunctionPolicy:
    """A function `(observation [O], legal_mask [A])` as a policy: it returns probabilities `[A]`,
    or means and log standard deviations `[2 A]` where actions are continuous.
    """

    path: str
    continuous: bool

    def initial_memory(self, batch: int) -> tuple:
        """See `games.types.Policy`."""
        return ()

    def act(self, memory: tuple, observation: Any, mask: Any, key: Any) -> tuple[Any, Any, tuple]:
        """See `games.types.Policy`."""
        told = _function(self.path)(observation, mask)
        if self.continuous:
            action = GAUSSIAN.sample(told, key)
            return action, GAUSSIAN.log_prob(told, action), ()
        return jax.random.categorical(key, jax.numpy.log(told), axis=-1), told, ()


@functools.cache
def _function(path: str) -> Any:
    return jax.jit(fixed_strategy(path))


def make_entrants(names: tuple[str, ...], game: str, lanes: HostGame) -> tuple[Entrant, ...]:
    """The entrants of a game; members of `RUN#all` are entrants of their own.

    Raises:
      UserError: a name is unknown, its population is of another game, or it comes twice.
    """
    tree = lanes.tree if isinstance(lanes, TreeLanes) else None
    entrants = [entrant for name in names for entrant in _make(name, game, lanes, tree)]
    found = [entrant.name for entrant in entrants]
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise UserError(f"{twice[0]} takes part twice")
    return tuple(entrants)


def fingerprints(names: tuple[str, ...]) -> dict[str, str]:
    """Hashes of the populations that entrants come from, so that a changed one is noticed."""
    found = {}
    for name in names:
        path = name.rpartition("#")[0] or name
        if not name.startswith(("openspiel:", "bot:")):
            content = (find_folder(Path(path)) / ARRAYS_FILE).read_bytes()
            found[path] = hashlib.sha256(content).hexdigest()[:16]
    return found


def _make(name: str, game: str, lanes: HostGame, tree: GameTree | None) -> list[Entrant]:
    if name.startswith("openspiel:"):
        return [_open_spiel_bot(name, game, lanes, tree)]
    if name.startswith("bot:"):
        return [_bot(name, game, lanes)]
    path, hash_sign, member = name.rpartition("#")
    if not hash_sign:
        path, member = name, "nash"
    try:
        population = load_population(path)
    except UserError as error:
        raise UserError(f"entrant {name}: {error}", hint=error.hint or ALLOWED) from error
    _check_game(name, population, game, lanes)
    sizes = getattr(population, "sizes", (population.num_strategies,))
    if member == "all":
        # Strategies that were never admitted are no members yet.
        admitted = read_files(find_folder(Path(path)))[0].get("num_admitted", min(sizes))
        members: list[Any] = list(range(min(admitted, *sizes)))
    elif member == "nash" or (member.isdigit() and int(member) < min(sizes)):
        members = ["nash" if member == "nash" else int(member)]
    else:
        raise UserError(
            f"entrant {name}: there is no member {member!r}; members are 0 to {min(sizes) - 1}, "
            "nash and all"
        )
    network = getattr(population, "network", None)
    # What a network with a memory does is no table of information states.
    has_tables = tree is not None and (network is None or network.memory == "none")
    tables = population.tabulate() if has_tables else None
    return [_member(path, population, one, tree, tables) for one in members]


def _check_game(name: str, population: Any, game: str, lanes: HostGame) -> None:
    num_actions = getattr(population, "num_actions", None) or population.legal_mask.shape[1]
    same = population.game == game
    if not same:
        try:
            same = str(load_open_spiel(population.game).game) == str(load_open_spiel(game).game)
        except GameError:
            same = False
    if not same or num_actions != lanes.info.num_actions[0]:
        raise UserError(f"entrant {name} is of {population.game}, not of {game}")
    players = by_player(lanes.info).num_players
    if population.num_players != players:
        raise UserError(
            f"entrant {name} is a population of {population.num_players} players, and {game} has "
            f"{players}"
        )


def _member(
    path: str, population: Any, member: Any, tree: GameTree | None, tables: np.ndarray | None
) -> Entrant:
    name = f"{path}#{member}"
    if tables is None:
        # A worker may have another working folder.
        make: Any = functools.partial(_make_policy_player, str(Path(path).absolute()), member)
        # Errors of a correlated joint come now, not in a worker.
        population.policy(member, seat=0)
        return Entrant(name, make, source=str(path))
    table = mix(tree, tables, population.meta_strategy) if member == "nash" else tables[member]
    return Entrant(name, functools.partial(_make_table_player, table), table, str(path))


def _open_spiel_bot(name: str, game: str, lanes: HostGame, tree: GameTree | None) -> Entrant:
    kind = name.removeprefix("openspiel:")
    if kind == "random":
        if lanes.info.continuous:
            raise UserError(f"entrant {name} chooses among actions, and {game} has commands")
        table = None if tree is None else tree.uniform_policy()
        return Entrant(name, _make_uniform_player, table, name)
    matched = re.fullmatch(r"mcts(?:\(simulations=(\d+)\))?", kind)
    if not matched or matched[1] == "0":
        raise UserError(f"there is no entrant {name}", hint=ALLOWED)
    simulations = int(matched[1] or SIMULATIONS)
    make = functools.partial(_make_search_player, game, simulations)
    try:
        loaded = load_open_spiel(game).turn_based
        _probe(make(0, lanes), loaded)
    except GameError as error:
        raise UserError(f"entrant {name} plays games of OpenSpiel's, not {game}") from error
    except Exception as error:
        words = " ".join(str(error).split())
        raise UserError(
            f"OpenSpiel's tree search cannot play {game}: {words}",
            hint="information-set search needs State::ResampleFromInfostate",
        ) from error
    return Entrant(name, make, source=name)


def _probe(player: OpenSpielPlayer, game: Any) -> None:
    """Lets a bot decide once: better an error now than a tournament of forfeits."""
    state = game.new_initial_state()
    while state.is_chance_node():
        state.apply_action(state.chance_outcomes()[0][0])
    player.begin(np.zeros(1, np.uint64))
    player.decide(0, state)


def _bot(name: str, game: str, lanes: HostGame) -> Entrant:
    path = name.removeprefix("bot:")
    own = _bots_of(game)
    if path in own:
        return Entrant(name, functools.partial(_make_bot_player, own[path]), source=name)
    if not is_dotted_path(path):
        known = f"; bots of {game}: {', '.join(own)}" if own else ""
        raise UserError(f"there is no entrant {name}{known}", hint=ALLOWED)
    probe = _make_isolated_player(path, 0, lanes)
    try:
        probe.begin(np.zeros(1, np.uint64))
    except (PlayerError, MoveTimeoutError) as error:
        raise UserError(f"there is no bot {path}: {error}") from error
    finally:
        probe.close()
    return Entrant(name, functools.partial(_make_isolated_player, path), source=name)


def _bots_of(game: str) -> dict[str, str]:
    short_name, _, parameters = game.rstrip(")").partition("(")
    if "residual=" in parameters:
        # Corrections of the script that leads: who makes none is the script.
        return {"script": "soccer.bots:Stand"}
    # Bodies other than the first have scripts of their own.
    body = re.search(r"\bbody=(?!humanoid\b)(\w+)", parameters)
    return _BOTS.get(f"{short_name}, {body[1]}" if body else short_name, {})


def _load_bot(path: str, info: GameInfo) -> Policy:
    """A policy, a class of one, or a function of an observation and legal actions."""
    module, _, attribute = path.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, type):
        found = found()
    if isinstance(found, Policy):
        return found
    return FunctionPolicy(path, info.continuous)


def _make_table_player(table: np.ndarray, seat: int, lanes: HostGame) -> Player:
    return TablePlayer(table)


def _make_uniform_player(seat: int, lanes: HostGame) -> Player:
    return UniformPlayer()


def _make_policy_player(path: str, member: Any, seat: int, lanes: HostGame) -> Player:
    player = players_of_seats(lanes.info)[seat]
    return PolicyPlayer(_population(path).policy(member, seat=player), seat=seat, player=player)


@functools.lru_cache(maxsize=8)
def _population(path: str) -> Any:
    return load_population(path)


def _make_bot_player(path: str, seat: int, lanes: HostGame) -> Player:
    return _bot_player(path, seat, lanes.info)


def _bot_player(path: str, seat: int, info: GameInfo) -> Player:
    return PolicyPlayer(_load_bot(path, info), seat=seat, player=players_of_seats(info)[seat])


def _make_isolated_player(path: str, seat: int, lanes: HostGame) -> IsolatedPlayer:
    """Whoever wrote the bot, its end is not ours."""
    return IsolatedPlayer(functools.partial(_bot_player, path, seat, lanes.info))


def _make_search_player(game: str, simulations: int, seat: int, lanes: HostGame) -> Player:
    return OpenSpielPlayer(load_open_spiel(game).turn_based, simulations=simulations)
