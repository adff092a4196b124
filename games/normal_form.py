"""Normal-form games: a payoff tensor with names, and optionally how well each entry is known.

Read from and written to Gambit's `.nfg` (`games.nfg_format`), JSON and NumPy files, and made from
OpenSpiel's one-shot simultaneous games.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from games.game_tree import GameTree
from games.tree_compile import tree_from_columns, utility_of
from games.tree_walk import TERMINAL_CODE, TreeColumns
from games.types import GameError, UtilityType


@dataclasses.dataclass(frozen=True, eq=False)
class NormalForm:
    """A game in which every player chooses one strategy at once.

    Attributes:
      payoffs: utility of each profile to each player, `[K_0, ..., K_{P-1}, P]` float64, in game
        points.
      strategy_names: per player, one name per strategy; numbered from 0 where not given.
      standard_errors: standard error of each payoff, the same shape; None for exact payoffs.
      counts: matches behind each profile, `[K_0, ..., K_{P-1}]` int64; None for exact payoffs.
      name: what to call the game in messages.
    """

    payoffs: np.ndarray
    strategy_names: Sequence[Sequence[str]] | None = None
    standard_errors: np.ndarray | None = None
    counts: np.ndarray | None = None
    name: str = "normal_form"

    def __post_init__(self):
        payoffs = np.array(self.payoffs, np.float64)
        if payoffs.ndim < 2 or payoffs.shape[-1] != payoffs.ndim - 1:
            raise GameError(
                f"{self.name}: payoffs have shape {payoffs.shape}; expected "
                "[K_0, ..., K_(P-1), P], one axis per player and the player as the last axis; "
                "a zero-sum matrix M of player 0 becomes numpy.stack([M, -M], axis=-1)"
            )
        if 0 in payoffs.shape:
            raise GameError(
                f"{self.name}: player {payoffs.shape.index(0)} has no strategy "
                f"(payoffs have shape {payoffs.shape})"
            )
        if not np.isfinite(payoffs).all():
            *profile, player = map(int, np.argwhere(~np.isfinite(payoffs))[0])
            raise GameError(
                f"{self.name}: the payoff of player {player} at profile {tuple(profile)} is "
                f"{payoffs[(*profile, player)]}; every payoff must be a finite number"
            )
        object.__setattr__(self, "payoffs", payoffs)
        names = self.strategy_names
        if names is None:
            names = [[str(k) for k in range(size)] for size in payoffs.shape[:-1]]
        names = tuple(tuple(map(str, row)) for row in names)
        if tuple(map(len, names)) != payoffs.shape[:-1]:
            raise GameError(
                f"{self.name}: strategy names for {[len(row) for row in names]} strategies, "
                f"but payoffs for {list(payoffs.shape[:-1])}"
            )
        object.__setattr__(self, "strategy_names", names)
        for field, shape, dtype in (
            ("standard_errors", payoffs.shape, np.float64),
            ("counts", payoffs.shape[:-1], np.int64),
        ):
            if getattr(self, field) is None:
                continue
            value = np.array(getattr(self, field), dtype)
            if value.shape != shape:
                raise GameError(f"{self.name}: {field} have shape {value.shape}, expected {shape}")
            if not (value >= 0).all():
                raise GameError(f"{self.name}: {field} must be non-negative numbers")
            object.__setattr__(self, field, value)

    @property
    def num_players(self) -> int:
        """Number of players `P`."""
        return self.payoffs.shape[-1]

    @property
    def num_strategies(self) -> tuple[int, ...]:
        """Number of strategies of each player."""
        return self.payoffs.shape[:-1]

    @cached_property
    def utility(self) -> UtilityType:
        """How the players' payoffs relate."""
        return utility_of(self.payoffs.reshape(-1, self.num_players))

    @cached_property
    def symmetric(self) -> bool:
        """Whether exchanging any two seats, strategies and payoffs together, leaves the payoff
        tensor as it is.
        """
        if len(set(self.num_strategies)) > 1:
            return False
        players = list(range(self.num_players))
        tolerance = 1e-9 * max(1.0, float(np.abs(self.payoffs).max()))
        # Exchanges of neighbours generate all permutations of the seats.
        for p in players[:-1]:
            seats = players.copy()
            seats[p], seats[p + 1] = seats[p + 1], seats[p]
            exchanged = self.payoffs.transpose(*seats, self.num_players)[..., seats]
            if np.abs(exchanged - self.payoffs).max() > tolerance:
                return False
        return True

    def to_tree(self, name: str | None = None) -> GameTree:
        """The game as a tree in which players move in turn without seeing; every player observes a
        constant 1.
        """
        sizes = self.num_strategies
        widths = [1, *itertools.accumulate(sizes, lambda a, b: a * b)]
        players = np.arange(self.num_players, dtype=np.int32)
        return tree_from_columns(
            TreeColumns(
                node_code=np.repeat([*players, TERMINAL_CODE], widths).astype(np.int32),
                node_depth=np.repeat(np.arange(len(widths)), widths).astype(np.int32),
                infoset_name=[f"player {p} chooses" for p in players],
                infoset_player=players,
                infoset_num_legal=np.array(sizes, np.int32),
                legal_actions=np.concatenate([np.arange(k) for k in sizes]).astype(np.int32),
                chance_num_outcomes=np.zeros(0, np.int32),
                chance_outcome=np.zeros(0, np.int32),
                chance_probability=np.zeros(0),
                terminal_returns=self.payoffs.reshape(-1, self.num_players),
                observation=np.ones((self.num_players, 1), np.float32),
            ),
            name=name or self.name,
            num_actions=max(sizes),
            observation_kind="constant",
        )


def from_open_spiel(name: str) -> NormalForm:
    """Tabulates a one-shot simultaneous OpenSpiel game, e.g. `"matrix_rps"` or
    `"blotto(players=2,coins=4)"`.

    Raises:
      GameError: the game is unknown, or is not one simultaneous move without chance.
    """
    from games.open_spiel_tree import load_open_spiel

    game = load_open_spiel(name).game
    root = game.new_initial_state()
    players = range(game.num_players())
    if not root.is_simultaneous_node():
        raise GameError(
            f"{name} is not a one-shot simultaneous game; load it with games.registry.load_tree"
        )
    actions = [root.legal_actions(p) for p in players]
    payoffs = np.empty((*map(len, actions), len(players)))
    for profile in itertools.product(*(range(len(row)) for row in actions)):
        state = root.clone()
        state.apply_actions([row[k] for row, k in zip(actions, profile, strict=True)])
        if not state.is_terminal():
            raise GameError(
                f"{name} lasts longer than one move; load it with games.registry.load_tree"
            )
        payoffs[profile] = state.returns()
    names = [[root.action_to_string(p, a) for a in actions[p]] for p in players]
    return NormalForm(payoffs, strategy_names=names, name=name)
