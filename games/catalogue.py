"""What there is to play and what it looks like: the tables behind `neupl games`."""

import dataclasses
from collections.abc import Callable

from games.game_tree import GameTree
from games.tree_compile import DEFAULT_MAX_NODES
from games.types import GameError, GameInfo, UtilityType


@dataclasses.dataclass(frozen=True)
class GameSummary:
    """One game with its default parameters, as far as can be told without walking it.

    Attributes:
      name: OpenSpiel's short name, or that of a simulated game.
      min_players: least number of players the game allows.
      max_players: greatest number of players the game allows.
      utility: how the players' returns relate, as OpenSpiel or the game declares it.
      dynamics: `sequential`, `simultaneous` or `mean_field`.
      chance: `deterministic`, `explicit` or `sampled`.
      exact: None where exact verification looks possible, else why not.
    """

    name: str
    min_players: int
    max_players: int
    utility: str
    dynamics: str
    chance: str
    exact: str | None


@dataclasses.dataclass(frozen=True)
class GameDescription:
    """One game in full.

    Attributes:
      name: what it was loaded by.
      num_players: number of seats.
      num_actions: per seat, the number of action ids.
      utility: how the players' returns relate.
      min_return: least return of any player, in game points.
      max_return: greatest return of any player, in game points.
      observation_kind: where observations come from; None for a game that brings its own.
      observation_size: per seat, the length of the flat observation.
      num_nodes: nodes of the tree; None without a tree, as in the next two.
      num_infosets: information states of each player.
      num_terminals: terminal histories.
      exact: None where exact verification is possible, else why not.
      continuous: whether actions are vectors of `num_actions` numbers from -1 to 1.
      missing: what has to be installed to play it; None where nothing is missing.
      seat_players: of games of teams, the player that each seat belongs to.
    """

    name: str
    num_players: int
    num_actions: tuple[int, ...]
    utility: UtilityType
    min_return: float
    max_return: float
    observation_kind: str | None
    observation_size: tuple[int, ...]
    num_nodes: int | None
    num_infosets: tuple[int, ...] | None
    num_terminals: int | None
    exact: str | None
    continuous: bool = False
    missing: str | None = None
    seat_players: tuple[int, ...] = ()

    @property
    def payoff_range(self) -> float:
        """Greatest minus least return, in game points."""
        return self.max_return - self.min_return


def list_games(*, max_nodes: int = DEFAULT_MAX_NODES) -> list[GameSummary]:
    """Lists OpenSpiel's registered games and the simulated ones by name; a few seconds, most of it
    loading them.

    Args:
      max_nodes: a game that provably has more nodes than this with default parameters is reported
        as too large.
    """
    import pyspiel

    utilities = {
        pyspiel.GameType.Utility.ZERO_SUM: "zero_sum",
        pyspiel.GameType.Utility.CONSTANT_SUM: "constant_sum",
        pyspiel.GameType.Utility.IDENTICAL: "common_payoff",
        pyspiel.GameType.Utility.GENERAL_SUM: "general_sum",
    }
    summaries = [
        GameSummary(
            name=kind.short_name,
            min_players=kind.min_num_players,
            max_players=kind.max_num_players,
            utility=utilities[kind.utility],
            dynamics=kind.dynamics.name.lower(),
            chance=kind.chance_mode.name.lower().removesuffix("_stochastic"),
            exact=_obstacle(kind, max_nodes),
        )
        for kind in pyspiel.registered_games()
    ]
    return sorted(summaries + _simulated(), key=lambda summary: summary.name)


def describe_game(
    name: str,
    *,
    max_nodes: int = DEFAULT_MAX_NODES,
    progress: Callable[[int], None] | None = None,
    cache: bool = True,
) -> GameDescription:
    """Describes any game that `load_game` accepts, compiling it where that is possible; arguments
    as there.
    """
    from games.registry import load_game, load_tree

    options = {"max_nodes": max_nodes, "progress": progress, "cache": cache}
    try:
        tree = load_tree(name, **options)
    except GameError as error:
        game = load_game(name, **options)
        kind = getattr(game, "observation_kind", None)
        described = _description(game.info, observation_kind=kind, exact=str(error))
        return dataclasses.replace(described, missing=getattr(game, "missing", None))
    return _description(tree.info(), observation_kind=tree.observation_kind, exact=None, tree=tree)


def _description(
    info: GameInfo, *, observation_kind: str | None, exact: str | None, tree: GameTree | None = None
) -> GameDescription:
    return GameDescription(
        name=info.name,
        num_players=info.num_players,
        num_actions=info.num_actions,
        utility=info.utility,
        min_return=info.min_return,
        max_return=info.max_return,
        observation_kind=observation_kind,
        observation_size=info.observation_size,
        num_nodes=tree.num_nodes if tree else None,
        num_infosets=tree.infosets_per_player if tree else None,
        num_terminals=tree.num_terminals if tree else None,
        exact=exact,
        continuous=info.continuous,
        seat_players=info.seat_players,
    )


def _simulated() -> list[GameSummary]:
    from games.registry import SIMULATED_GAMES, load_game

    summaries = []
    for game in map(load_game, SIMULATED_GAMES):
        missing = getattr(game, "missing", None)
        summaries.append(
            GameSummary(
                name=game.info.name,
                min_players=game.info.num_players,
                max_players=game.info.num_players,
                utility=game.info.utility,
                dynamics="sequential" if game.info.turn_based else "simultaneous",
                chance="sampled",
                exact="has no game tree" + (f" and {missing}" if missing else ""),
            )
        )
    return summaries


def _obstacle(kind, max_nodes: int) -> str | None:
    """Why a game with default parameters has no tree, as far as its type and a few random probes
    tell.
    """
    from games.open_spiel_tree import check_compilable, load_open_spiel
    from games.tree_walk import surely_larger

    if not kind.default_loadable:
        return "needs parameters"
    try:
        game = load_open_spiel(kind.short_name).turn_based
        check_compilable(kind.short_name, game)
    except GameError as error:
        return str(error)
    if surely_larger(game.new_initial_state(), max_nodes):
        return f"more than {max_nodes:,} nodes with default parameters"
    return None
