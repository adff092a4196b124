"""Where OpenSpiel judges us: policies asked on its live states, mixed by it, measured by it.

A population's mixture is rebuilt with OpenSpiel's own policy aggregator from tables keyed by
information-state string, and compared with ours; then both NashConvs are computed, per player, each
from its own mixture. OpenSpiel accepts probabilities that do not sum to 1 without a word, so every
row is checked before it is handed over.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator

import numpy as np
import pyspiel
from jaxtyping import Bool, Float, Float32, Float64
from open_spiel.python import policy as open_spiel_policy
from open_spiel.python.algorithms import policy_aggregator

from games.game_tree import GameTree
from games.open_spiel_tree import load_open_spiel, tensor_fn
from games.types import CHANCE, GameError
from solvers.gaps import gains
from solvers.sequence_form import mix_plans, policy_from_plan, realization_plan

# Agreement asked of every gain and of NashConv, in game points.
GAP_TOLERANCE = 1e-6
# What rounding alone may do to a gain, as a share of the payoff range.
ROUNDING = 1e-12
# Agreement asked of every probability of the mixture.
POLICY_TOLERANCE = 1e-9
# OpenSpiel's aggregator adds 1e-40 to every reach, so conditional probabilities mean something only
# well above it.
LEAST_REACH = 1e-25

PolicyFn = Callable[
    [int, Float32[np.ndarray, "B O"], Bool[np.ndarray, "B A"]], Float[np.ndarray, "B A"]
]


@dataclasses.dataclass(frozen=True)
class OpenSpielCheck:
    """Our numbers and OpenSpiel's about the same mixture.

    Attributes:
      nash_conv: ours, in game points.
      openspiel_nash_conv: `pyspiel.nash_conv` of OpenSpiel's own aggregate, in game points.
      per_player: our gain of every seat, in game points.
      openspiel_per_player: best-response value minus on-policy value of every seat, both by
        OpenSpiel.
      largest_policy_difference: greatest difference of a probability between the two mixtures, over
        information states that the mixture itself can reach.
      agrees: whether the policies agree to 1e-9 and all gaps to 1e-6.
      seconds: wall-clock time.
    """

    nash_conv: float
    openspiel_nash_conv: float
    per_player: tuple[float, ...]
    openspiel_per_player: tuple[float, ...]
    largest_policy_difference: float
    agrees: bool
    seconds: float


@dataclasses.dataclass(frozen=True)
class OpenSpielJudge:
    """An OpenSpiel game in turn-based form whose information states are those of a tree.

    Attributes:
      game: the game.
      names: OpenSpiel's string of each of the tree's information states, `[S]`.
    """

    game: pyspiel.Game
    names: tuple[str, ...]


def find_judge(tree: GameTree) -> OpenSpielJudge:
    """Finds OpenSpiel's version of a tree: the game of that name, or a tensor of its payoffs.

    Raises:
      GameError: OpenSpiel does not know the game and it is not one-shot, or its strings do not tell
        players apart.
    """
    try:
        game = load_open_spiel(tree.name).turn_based
    except GameError as error:
        if not _is_one_shot(tree):
            raise GameError(f"OpenSpiel cannot judge {tree.name}: {error}") from error
        return _tensor_judge(tree)
    if _is_one_shot(tree) and _first_string(game) not in tree.infoset_name:
        return _tensor_judge(tree)
    if len(set(tree.infoset_name)) < tree.num_infosets:
        raise GameError(
            f"OpenSpiel cannot judge {tree.name}: two players share an information-state string, "
            "and OpenSpiel's policies are keyed by the string alone"
        )
    return OpenSpielJudge(game, tree.infoset_name)


def check_mixture(
    tree: GameTree, policies: Float[np.ndarray, "K S A"], weights: Float[np.ndarray, "P K"]
) -> OpenSpielCheck:
    """Has OpenSpiel rebuild and measure a mixture of strategies.

    Args:
      tree: the game.
      policies: strategy k of seat p is the rows of p's information states in slice k.
      weights: each seat's probabilities of its strategies.

    Returns:
      An `OpenSpielCheck`.

    Raises:
      ValueError: a row of a policy or of `weights` is not a distribution.
      GameError: OpenSpiel has no such game.
    """
    start = time.perf_counter()
    for own in policies:
        tree.check_policy(own)
    judge = find_judge(tree)
    plan = mix_plans(tree, realization_plan(tree, policies), weights)
    ours = policy_from_plan(tree, plan)
    theirs = aggregate(tree, judge, policies, weights)
    tree.check_policy(theirs)
    reached = plan[tree.infoset_parent_sequence] >= LEAST_REACH
    difference = float(np.abs(ours - theirs)[reached].max())
    our_gains = gains(tree, ours)
    total, their_gains = _measure(tree, judge, theirs)
    tolerance = max(GAP_TOLERANCE, ROUNDING * tree.payoff_range)
    agrees = (
        difference <= POLICY_TOLERANCE
        and abs(our_gains.sum() - total) <= tolerance
        and np.abs(our_gains - their_gains).max() <= tolerance
    )
    return OpenSpielCheck(
        nash_conv=float(our_gains.sum()),
        openspiel_nash_conv=total,
        per_player=tuple(our_gains.tolist()),
        openspiel_per_player=tuple(their_gains.tolist()),
        largest_policy_difference=difference,
        agrees=bool(agrees),
        seconds=time.perf_counter() - start,
    )


def aggregate(
    tree: GameTree,
    judge: OpenSpielJudge,
    policies: Float[np.ndarray, "K S A"],
    weights: Float[np.ndarray, "P K"],
) -> Float64[np.ndarray, "S A"]:
    """The mixture of strategies as rebuilt by OpenSpiel's own aggregator.

    Args:
      tree: the game.
      judge: its OpenSpiel version.
      policies: strategy k of seat p is the rows of p's information states in slice k.
      weights: each seat's probabilities of its strategies.
    """
    tables: list[list] = [[] for _ in range(tree.num_players)]
    shares: list[list[float]] = [[] for _ in range(tree.num_players)]
    as_policy = {}
    for player, k in zip(*np.nonzero(weights), strict=True):
        if k not in as_policy:
            rows = {
                name: {int(a): float(own[a]) for a in np.flatnonzero(legal)}
                for name, own, legal in zip(judge.names, policies[k], tree.legal_mask, strict=True)
            }
            as_policy[k] = _TablePolicy(judge.game, rows)
        tables[player].append(as_policy[k])
        shares[player].append(float(weights[player, k]))
    players = list(range(tree.num_players))
    mixture = policy_aggregator.PolicyAggregator(judge.game).aggregate(players, tables, shares)
    result = np.zeros((tree.num_infosets, tree.num_actions))
    for row, (name, player) in enumerate(zip(judge.names, tree.infoset_player, strict=True)):
        for action, probability in mixture.policy[player][name].items():
            result[row, action] = probability
    return result


def open_spiel_table(
    tree: GameTree, judge: OpenSpielJudge, policy: Float[np.ndarray, "S A"]
) -> pyspiel.TabularPolicy:
    """The rows of all seats as a policy of OpenSpiel."""
    return pyspiel.TabularPolicy(
        {
            name: [(int(a), float(own[a])) for a in np.flatnonzero(legal)]
            for name, own, legal in zip(judge.names, policy, tree.legal_mask, strict=True)
        }
    )


def query_policy_on_live_states(
    tree: GameTree, policy_fn: PolicyFn, *, batch_size: int = 4096
) -> dict[str, Float64[np.ndarray, "A"]]:
    """Asks a policy on every information state that OpenSpiel's own states produce.

    The walk goes over OpenSpiel's states and reads tensors and legal actions from them; the tree
    only says which tensor the policy was made for, and stands in where that is not one of
    OpenSpiel's (one-hot numbers).

    Args:
      tree: the game.
      policy_fn: maps `(player, tensors [B, O], legal_mask [B, A])` to probabilities `[B, A]`.
      batch_size: largest `B`.

    Returns:
      Probabilities `[A]` keyed by OpenSpiel's information-state string, normalised in float64.

    Raises:
      ValueError: probabilities are negative, on illegal actions, or sum to 1 with an error above
        1e-5.
      GameError: OpenSpiel has no such game.
    """
    judge = find_judge(tree)
    row_of = {name: row for row, name in enumerate(judge.names)}
    kind = tree.observation_kind.split(" ")[0]
    live = tensor_fn(kind) if kind.endswith("_tensor") else None
    names: list[list[str]] = [[] for _ in range(tree.num_players)]
    tensors: list[list] = [[] for _ in range(tree.num_players)]
    masks: list[list] = [[] for _ in range(tree.num_players)]
    for name, state in _information_states(judge.game):
        player = state.current_player()
        mask = np.zeros(tree.num_actions, bool)
        mask[state.legal_actions()] = True
        names[player].append(name)
        tensors[player].append(live(state) if live else tree.observation[row_of[name]])
        masks[player].append(mask)
    table = {}
    for player in range(tree.num_players):
        for first in range(0, len(names[player]), batch_size):
            part = slice(first, first + batch_size)
            mask = np.array(masks[player][part])
            tensor = np.array(tensors[player][part], np.float32)
            rows = np.asarray(policy_fn(player, tensor, mask), np.float64)
            _check_rows(rows, mask, names[player][part])
            rows /= rows.sum(axis=1, keepdims=True)
            table.update(zip(names[player][part], rows, strict=True))
    return table


def policy_from_table(
    tree: GameTree, table: dict[str, Float[np.ndarray, "A"]]
) -> Float64[np.ndarray, "S A"]:
    """The rows of a table keyed by OpenSpiel's strings, in the tree's order.

    Raises:
      ValueError: the table's information states are not exactly the tree's, or a row is not a
        distribution.
      GameError: OpenSpiel has no such game.
    """
    names = find_judge(tree).names
    missing, surplus = set(names) - set(table), set(table) - set(names)
    if missing or surplus:
        raise ValueError(
            f"{len(missing)} information states of {tree.name} are missing from the table and "
            f"{len(surplus)} are not in the game, e.g. {next(iter(missing or surplus))!r}"
        )
    policy = np.array([table[name] for name in names], np.float64)
    tree.check_policy(policy)
    return policy


class _TablePolicy(open_spiel_policy.Policy):
    """A table keyed by information-state string as an OpenSpiel policy."""

    def __init__(self, game, rows):
        super().__init__(game, list(range(game.num_players())))
        self._rows = rows

    def action_probabilities(self, state, player_id=None):
        return self._rows[state.information_state_string(player_id)]


def _measure(tree, judge, policy):
    """OpenSpiel's NashConv, and each seat's gain from OpenSpiel's best response."""
    table = open_spiel_table(tree, judge, policy)
    root = judge.game.new_initial_state()
    on_policy = pyspiel.expected_returns(root, table, -1, True, 0.0)
    best = [
        pyspiel.TabularBestResponse(judge.game, player, table).value_from_state(root)
        for player in range(tree.num_players)
    ]
    return pyspiel.nash_conv(judge.game, table), np.array(best) - np.array(on_policy)


def _information_states(game: pyspiel.Game) -> Iterator[tuple[str, pyspiel.State]]:
    """One live state of every information state, by a walk over all histories."""
    seen = set()
    stack = [game.new_initial_state()]
    while stack:
        state = stack.pop()
        if state.is_terminal():
            continue
        if not state.is_chance_node():
            key = (state.current_player(), state.information_state_string())
            if key not in seen:
                seen.add(key)
                yield key[1], state
        stack.extend(state.child(action) for action in state.legal_actions())


def _check_rows(rows, mask, names):
    if rows.shape != mask.shape:
        raise ValueError(f"policy_fn returned shape {rows.shape}, expected {mask.shape}")
    bad = ~np.isfinite(rows).all(axis=1) | (np.where(mask, rows, 0) < 0).any(axis=1)
    bad |= (np.where(mask, 0, rows) != 0).any(axis=1) | (np.abs(rows.sum(axis=1) - 1) > 1e-5)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"the policy at {names[row]!r} is {rows[row].tolist()}: expected probabilities of the "
            f"legal actions {np.flatnonzero(mask[row]).tolist()} that sum to 1"
        )


def _is_one_shot(tree: GameTree) -> bool:
    """Whether every player decides once, knowing nothing, so that the tree is a payoff tensor."""
    sizes = tree.legal_mask.sum(axis=1)
    return (
        tree.num_infosets == tree.num_players
        and len(set(tree.infoset_player.tolist())) == tree.num_players
        and not (tree.node_player == CHANCE).any()
        and tree.num_terminals == int(np.prod(sizes))
        and all(own[:size].all() for own, size in zip(tree.legal_mask, sizes, strict=True))
    )


def _tensor_judge(tree: GameTree) -> OpenSpielJudge:
    sizes = np.zeros(tree.num_players, int)
    sizes[tree.infoset_player] = tree.legal_mask.sum(axis=1)
    payoffs = np.empty((*sizes, tree.num_players))
    payoffs[tuple(tree.sequence_action[tree.terminal_sequence].T)] = tree.terminal_returns
    labels = [[str(a) for a in range(size)] for size in sizes]
    utilities = [payoffs[..., p].reshape(-1).tolist() for p in range(tree.num_players)]
    game = pyspiel.convert_to_turn_based(
        pyspiel.create_tensor_game("payoff_tensor", "payoff tensor", labels, utilities)
    )
    string_of = {state.current_player(): name for name, state in _information_states(game)}
    return OpenSpielJudge(game, tuple(string_of[int(p)] for p in tree.infoset_player))


def _first_string(game: pyspiel.Game) -> str:
    return next(iter(_information_states(game)))[0]
