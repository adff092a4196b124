"""An extensive-form game with perfect recall as flat arrays: everything exact is a few passes over
them.

A *sequence* of player p is the list of p's own information states and actions on the way to a node
(von Stengel 1996). Sequences `0 .. P-1` are the players' empty ones; the actions of an information
state are consecutive sequences, and information states are sorted by the number of their owner's
earlier decisions, so one level is one slice.
"""

import dataclasses
import itertools
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int8, Int32

from games.types import GameInfo, UtilityType


@dataclasses.dataclass(frozen=True, eq=False)
class GameTree:
    """A finite extensive-form game. `N` nodes, `S` information states of all players, `A` action
    ids, `Z` terminals.

    Attributes:
      name: what `games.load_game` accepts to compile it again.
      num_players: number of seats `P`.
      num_actions: number of action ids `A`; an action id means the same in every information state
        of a player.
      utility: how the players' returns relate.
      min_return: least return of any player over the terminals, in game points.
      max_return: greatest return of any player over the terminals, in game points.
      node_player: who moves: a seat, `CHANCE` or `TERMINAL`; nodes are sorted by depth, the root is
        node 0.
      node_parent: parent node; -1 at the root.
      node_action: the action or chance-outcome id that leads here; -1 at the root.
      node_probability: probability of the edge from a chance parent; 1 elsewhere.
      node_infoset: information state at decision nodes; -1 elsewhere.
      node_terminal: row in the terminal arrays; -1 elsewhere.
      infoset_player: owner of each information state.
      infoset_depth: number of the owner's earlier decisions; ascending.
      infoset_parent_sequence: the owner's last sequence before the information state.
      infoset_first_sequence: sequence of its first legal action; the others follow in ascending
        action id.
      infoset_name: the game's own information-state string.
      legal_mask: legal actions of each information state.
      observation: what a network sees of each information state.
      observation_kind: where `observation` comes from.
      sequence_infoset: information state of each sequence; -1 for the empty ones.
      sequence_action: action id of each sequence; -1 for the empty ones.
      terminal_sequence: last sequence of every player at each terminal.
      terminal_probability: product of the chance probabilities on the way to each terminal.
      terminal_returns: return of every player, in game points.
    """

    name: str
    num_players: int
    num_actions: int
    utility: UtilityType
    min_return: float
    max_return: float
    node_player: Int8[np.ndarray, "N"]
    node_parent: Int32[np.ndarray, "N"]
    node_action: Int32[np.ndarray, "N"]
    node_probability: Float64[np.ndarray, "N"]
    node_infoset: Int32[np.ndarray, "N"]
    node_terminal: Int32[np.ndarray, "N"]
    infoset_player: Int32[np.ndarray, "S"]
    infoset_depth: Int32[np.ndarray, "S"]
    infoset_parent_sequence: Int32[np.ndarray, "S"]
    infoset_first_sequence: Int32[np.ndarray, "S"]
    infoset_name: tuple[str, ...]
    legal_mask: Bool[np.ndarray, "S A"]
    observation: Float32[np.ndarray, "S O"]
    observation_kind: str
    sequence_infoset: Int32[np.ndarray, "Q"]
    sequence_action: Int32[np.ndarray, "Q"]
    terminal_sequence: Int32[np.ndarray, "Z P"]
    terminal_probability: Float64[np.ndarray, "Z"]
    terminal_returns: Float64[np.ndarray, "Z P"]

    @property
    def num_nodes(self) -> int:
        """Number of nodes, chance and terminal nodes included."""
        return len(self.node_player)

    @property
    def num_infosets(self) -> int:
        """Number of information states of all players."""
        return len(self.infoset_player)

    @property
    def infosets_per_player(self) -> tuple[int, ...]:
        """Number of information states of each player."""
        return tuple(np.bincount(self.infoset_player, minlength=self.num_players).tolist())

    @property
    def num_sequences(self) -> int:
        """Number of sequences of all players, the empty ones included."""
        return len(self.sequence_infoset)

    @property
    def num_terminals(self) -> int:
        """Number of terminal histories."""
        return len(self.terminal_probability)

    @property
    def payoff_range(self) -> float:
        """Greatest minus least return, in game points: the unit of every scale-free default."""
        return self.max_return - self.min_return

    @property
    def zero_sum(self) -> bool:
        """Whether two players' returns always add up to zero."""
        return self.num_players == 2 and self.utility == "zero_sum"

    @cached_property
    def levels(self) -> tuple[tuple[slice, slice], ...]:
        """Per own depth, from the first decisions on: the slice of information states and that of
        their sequences.
        """
        bounds = np.searchsorted(self.infoset_depth, np.arange(self.infoset_depth[-1] + 2))
        first = np.append(self.infoset_first_sequence, self.num_sequences)
        return tuple(
            (slice(int(lo), int(hi)), slice(int(first[lo]), int(first[hi])))
            for lo, hi in itertools.pairwise(bounds)
        )

    @cached_property
    def node_depth(self) -> Int32[np.ndarray, "N"]:
        """Number of edges from the root."""
        depth = np.zeros(self.num_nodes, np.int32)
        lo, hi, level = 0, 1, 0
        while lo < hi:
            depth[lo:hi] = level
            # Nodes are sorted by depth and then by parent, so the children of a level are one
            # slice.
            lo, hi, level = hi, int(np.searchsorted(self.node_parent, hi)), level + 1
        return depth

    def uniform_policy(self) -> Float64[np.ndarray, "S A"]:
        """The policy that plays every legal action with the same probability, for all seats at
        once.
        """
        return self.legal_mask / self.legal_mask.sum(axis=1, keepdims=True)

    def check_policy(self, policy: Float[np.ndarray, "S A"], *, tolerance: float = 1e-6) -> None:
        """Raises `ValueError` unless every row of `policy` is a distribution over legal actions."""
        expected = (self.num_infosets, self.num_actions)
        if policy.shape != expected:
            raise ValueError(
                f"policy has shape {policy.shape}, expected {expected} for {self.name}"
            )
        bad = (
            ~np.isfinite(policy).all(axis=1)
            | (policy < 0).any(axis=1)
            | (np.where(self.legal_mask, 0.0, policy) > 0).any(axis=1)
            | (np.abs(policy.sum(axis=1) - 1) > tolerance)
        )
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(
                f"policy at {self.infoset_name[row]!r} is {policy[row].tolist()}: "
                "expected non-negative probabilities of legal actions that sum to 1"
            )

    def info(self) -> GameInfo:
        """The game's static facts."""
        return GameInfo(
            name=self.name,
            num_players=self.num_players,
            num_actions=(self.num_actions,) * self.num_players,
            observation_size=(self.observation.shape[1],) * self.num_players,
            utility=self.utility,
            symmetric=False,
            min_return=self.min_return,
            max_return=self.max_return,
            max_steps=int(np.max(self.node_depth)) if self.num_nodes else 0,
            turn_based=True,
        )
