"""Games by name: OpenSpiel's own strings, simulated games, payoff files, and dotted paths to a
user's own game.
"""

import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable

from games.game_tree import GameTree
from games.tree_compile import DEFAULT_MAX_NODES
from games.types import Game, GameError, HostGame

PAYOFF_SUFFIXES = (".nfg", ".json", ".npz", ".npy")

# Games written in JAX or played in MuJoCo, by what makes them; its arguments are the game's
# parameters.
SIMULATED_GAMES = {
    "running_with_scissors": "games.running_with_scissors.game:RunningWithScissors",
    "toy_soccer": "games.toy_soccer.game:ToySoccer",
    "dm_soccer": "soccer.adapters.dm_control_soccer:DmSoccer",
    "soccer/walk_to_target": "soccer.tasks:walk_to_target",
    "soccer/get_up": "soccer.tasks:get_up",
    "soccer/score": "soccer.tasks:score",
    "soccer/duel": "soccer.tasks:duel",
    "soccer/team": "soccer.tasks:team",
}

ALLOWED = (
    "a game is an OpenSpiel string such as 'kuhn_poker(players=3)', a simulated game "
    f"({', '.join(SIMULATED_GAMES)}), a payoff file ({', '.join(PAYOFF_SUFFIXES)}), or "
    "'package.module:make' where make() returns a GameTree, NormalForm, Game or HostGame"
)


def load_tree(
    name: str,
    *,
    max_nodes: int = DEFAULT_MAX_NODES,
    progress: Callable[[int], None] | None = None,
    cache: bool = True,
) -> GameTree:
    """Loads the game `name` as a tree, for everything exact.

    Args:
      name: an OpenSpiel string, a simulated game, a payoff file, or `package.module:make`.
      max_nodes: largest allowed number of nodes.
      progress: called now and then with the number of nodes visited while OpenSpiel's game is
        compiled.
      cache: whether compiled trees may be read from and written to disk.

    Raises:
      GameError: nothing of that name, or it has no tree; the message says what is allowed.
    """
    made = _make(name, max_nodes=max_nodes, progress=progress, cache=cache)
    if not isinstance(made, GameTree):
        raise GameError(
            f"{name} is a {type(made).__name__}, which has no game tree: exact methods do not apply"
        )
    return made


def load_game(
    name: str,
    *,
    max_nodes: int = DEFAULT_MAX_NODES,
    progress: Callable[[int], None] | None = None,
    cache: bool = True,
) -> Game | HostGame:
    """Loads the game `name` to be played: compiled into JAX where it fits, else on OpenSpiel's own
    states.

    Arguments and errors are those of `load_tree`; an OpenSpiel game without a tree becomes an
    `OpenSpielHost`.
    """
    from games.tree_game import TreeGame

    options = {"max_nodes": max_nodes, "progress": progress, "cache": cache}
    if not _is_open_spiel(name):
        made = _make(name, **options)
        return TreeGame(made) if isinstance(made, GameTree) else made
    from games.open_spiel_host import OpenSpielHost
    from games.open_spiel_tree import UnknownGameError

    try:
        return TreeGame(_make(name, **options))
    except UnknownGameError:
        raise
    except GameError as error:
        try:
            return OpenSpielHost(name)
        except GameError as host_error:
            raise GameError(f"{error}; and it cannot be played uncompiled: {host_error}") from None


def load_lanes(
    name: str,
    *,
    max_nodes: int = DEFAULT_MAX_NODES,
    progress: Callable[[int], None] | None = None,
    cache: bool = True,
) -> HostGame:
    """Loads the game `name` to be played in many lanes by players of any kind: a `TreeLanes` where
    it fits into a tree, a `JaxLanes` around a `Game`, else a host game.

    Observations are those that policies see where the game is only played, also on a tree.
    Arguments and errors are those of `load_tree`.
    """
    from games.jax_lanes import JaxLanes
    from games.open_spiel_tree import UnknownGameError, observe_as_played
    from games.tree_lanes import TreeLanes

    try:
        made = _make(name, max_nodes=max_nodes, progress=progress, cache=cache)
    except UnknownGameError:
        raise
    except GameError:
        if not _is_open_spiel(name):
            raise
        made = load_simulator(name)
    if isinstance(made, GameTree):
        return TreeLanes(observe_as_played(made))
    # Protocols are told apart by names alone, and a host game has all those of a `Game`.
    return made if isinstance(made, HostGame) else JaxLanes(made)


def load_simulator(name: str) -> Game | HostGame:
    """Loads the game `name` to be played and never looked into: an OpenSpiel game becomes a
    turn-based `OpenSpielHost`, however small it is, so that no `GameTree` of it exists.

    Any other game is what `load_game` gives.

    Raises:
      GameError: nothing of that name, or OpenSpiel's game cannot be stepped reproducibly.
    """
    if not _is_open_spiel(name):
        return load_game(name)
    from games.open_spiel_host import OpenSpielHost
    from games.open_spiel_tree import UnknownGameError

    try:
        return OpenSpielHost(name, turn_based=True)
    except UnknownGameError as error:
        raise UnknownGameError(f"{error}; {ALLOWED}") from None


def _is_file(name: str) -> bool:
    return name.lower().endswith(PAYOFF_SUFFIXES)


def is_dotted_path(name: str) -> bool:
    """Whether a name is written as `package.module:function`."""
    module, colon, function = name.partition(":")
    return bool(colon) and all(part.isidentifier() for part in [*module.split("."), function])


def _is_simulated(name: str) -> bool:
    return name.partition("(")[0] in SIMULATED_GAMES


def _is_open_spiel(name: str) -> bool:
    return not (_is_file(name) or is_dotted_path(name) or _is_simulated(name))


def _make(name: str, **compile_options) -> GameTree | Game | HostGame:
    if _is_file(name):
        from games.payoff_files import read_payoffs

        return read_payoffs(name).to_tree()
    if is_dotted_path(name):
        return _make_own(name)
    if _is_simulated(name):
        return _make_simulated(name)
    from games.open_spiel_tree import UnknownGameError, compile_open_spiel

    try:
        return compile_open_spiel(name, **compile_options)
    except UnknownGameError as error:
        raise UnknownGameError(f"{error}; {ALLOWED}") from None


def _make_own(name: str) -> GameTree | Game | HostGame:
    """Calls the function at a dotted path."""
    from games.normal_form import NormalForm

    module, _, function = name.partition(":")
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise GameError(f"cannot load {name!r}: {error}; {ALLOWED}") from error
    made = make()
    if isinstance(made, NormalForm):
        return made.to_tree(name)
    if isinstance(made, GameTree):
        return dataclasses.replace(made, name=name)
    if isinstance(made, Game | HostGame):
        return made
    raise GameError(f"{name} returned a {type(made).__name__}; {ALLOWED}")


def _make_simulated(name: str) -> Game | HostGame:
    """Makes a simulated game of the parameters in its name, written as OpenSpiel writes them."""
    short_name = name.partition("(")[0]
    module, _, maker = SIMULATED_GAMES[short_name].partition(":")
    make = getattr(importlib.import_module(module), maker)
    allowed = inspect.signature(make).parameters
    given = dict(re.findall(r"(\w+)=(\w+)", name))
    well_formed = re.fullmatch(r"[\w/]+(\((\w+=\w+(,\w+=\w+)*)?\))?", name)
    words = {key for key, parameter in allowed.items() if isinstance(parameter.default, str)}
    numbers = {key for key in given.keys() - words if given[key].isdecimal()}
    if not well_formed or not given.keys() <= allowed.keys() & (words | numbers):
        defaults = ", ".join(f"{key}={parameter.default}" for key, parameter in allowed.items())
        raise GameError(
            f"cannot load {name!r}: its parameters are whole numbers"
            f"{' and words' if words else ''}, by default {short_name}({defaults})"
        )
    return make(**{key: int(value) if key in numbers else value for key, value in given.items()})
