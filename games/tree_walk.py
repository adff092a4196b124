"""One depth-first walk over the states of an extensive-form game, written down as flat columns.

The walk keeps only what Python has to touch: who moves, which information state, the chance
outcomes and the returns. Parents, sequences, reach and the check of perfect recall follow from the
columns in `games.tree_compile`.
"""

import contextlib
import math
import random
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, Int32

from games.types import CHANCE, GameError

# What `TreeColumns.node_code` holds at a terminal; chance node `c` is coded as `FIRST_CHANCE_CODE -
# c`.
TERMINAL_CODE = -1
FIRST_CHANCE_CODE = -2

# Observations of one walk may take this many bytes; the largest games under the default node limit
# stay far below.
MAX_OBSERVATION_BYTES = 2 << 30

_SMALLER = (
    "choose smaller game parameters, or play it without compiling through "
    "games.open_spiel_host.OpenSpielHost"
)

# Random walks that may refuse a game before it is walked, and how far one may go.
_PROBES = 32
_PROBE_LENGTH = 1000

# Nodes between two calls of `progress`.
_PROGRESS_NODES = 16_384


class GameTooLargeError(GameError):
    """The game has more nodes, or larger observations, than the limit in force."""


@runtime_checkable
class State(Protocol):
    """What the walk asks of a state; the methods are those of an OpenSpiel state."""

    def current_player(self) -> int:
        """The seat to move, `CHANCE`, or any other negative number at the end."""
        ...

    def legal_actions(self) -> Sequence[int]:
        """Legal actions in ascending order; the same at every state of one information state."""
        ...

    def chance_outcomes(self) -> Sequence[tuple[int, float]]:
        """Outcomes of a chance node and their probabilities."""
        ...

    def child(self, action: int) -> "State":
        """A new state after `action`; this state stays as it is."""
        ...

    def returns(self) -> Sequence[float]:
        """Return of every player at the end, in game points."""
        ...

    def information_state_string(self) -> str:
        """All that the player to move knows and remembers; one string per information state."""
        ...


class TreeColumns(NamedTuple):
    """A walked tree: `N` nodes, `S` information states, `C` chance nodes, `Z` terminals, in the
    order of the walk.

    Attributes:
      node_code: information state, `TERMINAL_CODE`, or `FIRST_CHANCE_CODE` minus the number of the
        chance node.
      node_depth: number of edges from the root.
      infoset_name: the information-state string.
      infoset_player: owner.
      infoset_num_legal: number of legal actions.
      legal_actions: legal actions of all information states, one after the other.
      chance_num_outcomes: number of outcomes of each chance node.
      chance_outcome: outcomes of all chance nodes, one after the other.
      chance_probability: their probabilities.
      terminal_returns: `[Z, P]` returns in game points.
      observation: `[S, O]` what `observe_fn` said at the first visit of each information state; `O`
        = 0 without one.
    """

    node_code: Int32[np.ndarray, "N"]
    node_depth: Int32[np.ndarray, "N"]
    infoset_name: list[str]
    infoset_player: Int32[np.ndarray, "S"]
    infoset_num_legal: Int32[np.ndarray, "S"]
    legal_actions: Int32[np.ndarray, "L"]
    chance_num_outcomes: Int32[np.ndarray, "C"]
    chance_outcome: Int32[np.ndarray, "X"]
    chance_probability: Float64[np.ndarray, "X"]
    terminal_returns: Float64[np.ndarray, "Z P"]
    observation: Float32[np.ndarray, "S O"]


def walk_states(
    root: State,
    *,
    name: str,
    num_players: int,
    max_nodes: int,
    observe_fn: Callable[[Any], Sequence[float]] | None = None,
    progress: Callable[[int], None] | None = None,
) -> TreeColumns:
    """Visits every state below `root` once.

    Args:
      root: the initial state.
      name: the game's name, for error messages.
      num_players: number of seats.
      max_nodes: largest allowed number of nodes.
      observe_fn: called at the first visit of each information state; returns the mover's
        observation.
      progress: called now and then with the number of nodes visited.

    Raises:
      GameTooLargeError: there are more than `max_nodes` nodes, or the observations outgrow their
        limit.
      GameError: an information state has different legal actions in two places.
    """
    codes: list[int] = []
    depths: list[int] = []
    returns: list[float] = []
    owner: list[int] = []
    legal_of: list[Sequence[int]] = []
    ids: list[dict[str, int]] = [{} for _ in range(num_players)]
    chance_count: list[int] = []
    chance_outcome: list[int] = []
    chance_probability: list[float] = []
    observations = array("f")
    append_code, append_depth = codes.append, depths.append
    checkpoint = min(_PROGRESS_NODES, max_nodes + 1)

    def check_size() -> None:
        nonlocal checkpoint
        if len(codes) > max_nodes:
            raise too_large(name, max_nodes)
        if len(observations) * 4 > MAX_OBSERVATION_BYTES:
            raise GameTooLargeError(
                f"{name}: the observations of its information states need more than "
                f"{MAX_OBSERVATION_BYTES >> 30} GiB; {_SMALLER}"
            )
        if progress is not None:
            progress(len(codes))
        checkpoint = min(len(codes) + _PROGRESS_NODES, max_nodes + 1)

    # Recursion is the fastest walk in Python, and its frames are on the heap, so only the limit has
    # to be lifted.
    def visit(state: Any, depth: int) -> None:
        nonlocal returns
        append_depth(depth)
        player = state.current_player()
        if player >= 0:
            string = state.information_state_string()
            legal = state.legal_actions()
            known = ids[player]
            infoset = known.get(string)
            if infoset is None:
                infoset = known[string] = len(owner)
                owner.append(player)
                legal_of.append(legal)
                if observe_fn is not None:
                    observations.fromlist(observe_fn(state))
            elif legal != legal_of[infoset]:
                raise GameError(
                    f"{name}: information state {string!r} of player {player} has legal actions "
                    f"{legal_of[infoset]} in one place and {legal} in another; they must agree"
                )
            append_code(infoset)
            if len(codes) >= checkpoint:
                check_size()
            child, depth = state.child, depth + 1
            for action in legal:
                visit(child(action), depth)
        elif player == CHANCE:
            outcomes = [pair for pair in state.chance_outcomes() if pair[1] > 0]
            append_code(FIRST_CHANCE_CODE - len(chance_count))
            if len(codes) >= checkpoint:
                check_size()
            chance_count.append(len(outcomes))
            chance_outcome.extend([outcome for outcome, _ in outcomes])
            chance_probability.extend([probability for _, probability in outcomes])
            for outcome, _ in outcomes:
                visit(state.child(outcome), depth + 1)
        else:
            append_code(TERMINAL_CODE)
            returns += state.returns()

    with _deep_recursion(max_nodes):
        visit(root, 0)
    check_size()
    num_legal = np.fromiter(map(len, legal_of), np.int32, len(legal_of))
    return TreeColumns(
        node_code=np.array(codes, np.int32),
        node_depth=np.array(depths, np.int32),
        infoset_name=_names_in_order(ids, len(owner)),
        infoset_player=np.array(owner, np.int32),
        infoset_num_legal=num_legal,
        legal_actions=np.array([a for legal in legal_of for a in legal], np.int32),
        chance_num_outcomes=np.array(chance_count, np.int32),
        chance_outcome=np.array(chance_outcome, np.int32),
        chance_probability=np.array(chance_probability, np.float64),
        terminal_returns=np.array(returns, np.float64).reshape(-1, num_players),
        observation=np.array(observations, np.float32).reshape(
            len(owner), len(observations) // max(len(owner), 1)
        ),
    )


def surely_larger(root: State, max_nodes: int) -> bool:
    """Whether random probes show, with at most one false alarm in 10^8 trees, that there are over
    `max_nodes` nodes.

    The estimate of one probe has the number of nodes as its mean (Knuth 1975), so the product of
    `n` independent ones exceeds `max_nodes^n * 10^8` with probability at most 10^-8 in any tree
    within the limit (Markov's inequality).
    """
    generator = random.Random(0)
    log_excess = 0.0
    for probe in range(1, _PROBES + 1):
        log_excess += math.log(_probe(root, generator, max_nodes * 10**6) / max_nodes)
        # Far from the limit a few probes are enough to go and see.
        if probe % 4 == 0 and log_excess < -probe * math.log(10):
            return False
    return log_excess > math.log(10**8)


def _probe(root: State, generator: random.Random, enough: int) -> int:
    """Knuth's estimate from one walk down, all branches equally likely; cut short, and then too
    small, at `enough` or after `_PROBE_LENGTH` moves.
    """
    state, product, estimate = root, 1, 1
    for _ in range(_PROBE_LENGTH):
        player = state.current_player()
        if player >= 0:
            branches = state.legal_actions()
        elif player == CHANCE:
            branches = [
                outcome for outcome, probability in state.chance_outcomes() if probability > 0
            ]
        else:
            break
        product *= len(branches)
        estimate += product
        if not branches or estimate >= enough:
            break
        state = state.child(generator.choice(branches))
    return estimate


@contextlib.contextmanager
def _deep_recursion(max_nodes: int):
    """Lets Python recurse as deep as a tree of `max_nodes` nodes can be."""
    limit = sys.getrecursionlimit()
    # Decorators, such as type checkers in tests, put frames of their own between two nodes.
    sys.setrecursionlimit(min(limit + 10 * max_nodes, 2**31 - 1))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def too_large(name: str, max_nodes: int) -> GameTooLargeError:
    """The error for a tree with more than `max_nodes` nodes."""
    return GameTooLargeError(
        f"{name} has more than {max_nodes:,} nodes: raise max_nodes "
        f"(about 200 MB of memory per million nodes), {_SMALLER}"
    )


def _names_in_order(ids: list[dict[str, int]], num_infosets: int) -> list[str]:
    names = [""] * num_infosets
    for table in ids:
        for string, infoset in table.items():
            names[infoset] = string
    return names
