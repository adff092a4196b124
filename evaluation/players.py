"""Who plays a match: a seat's player decides for many lanes at once.

A table looks information states up, a `games.Policy` sees observations, and a bot of OpenSpiel's
sees its states. What is random in a table is drawn from the lanes' own streams, so that a decision
depends on the lane alone.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import pyspiel
from jaxtyping import Bool, Float, Float64, Int, UInt64

from games.types import DrawsMember, Policy

# Streams of the strategies that players draw: far from those of the seats, which start at 0.
_DRAW_STREAM = 2**31


class PlayerError(Exception):
    """A player cannot go on; the message says why, in whole."""


class MoveTimeoutError(Exception):
    """A player took longer than it may."""


class Turn(NamedTuple):
    """What a seat decides about: `n` lanes in which it is to move.

    Attributes:
      lanes: their numbers.
      observe: returns what the seat sees in them, `[n, O]` float32; asked for by who looks.
      legal: its legal actions.
      infoset: its information states; `None` where the game is no tree.
      uniform: a random number in [0, 1) of each lane, the same whoever decides.
      state: OpenSpiel's state of a lane; raises `TypeError` where OpenSpiel does not know the game.
      limit_s: seconds in which the whole turn must be decided; `None` for any.
    """

    lanes: Int[np.ndarray, "n"]
    observe: Callable[[], np.ndarray]
    legal: Bool[np.ndarray, "n A"]
    infoset: Int[np.ndarray, "n"] | None
    uniform: Float64[np.ndarray, "n"]
    state: Callable[[int], Any]
    limit_s: float | None = None


class Choice(NamedTuple):
    """What a seat decided.

    Attributes:
      action: `[n]` ids, or `[n, A]` numbers from -1 to 1 where the game's actions are continuous.
      probabilities: `[n, A]` with which it was drawn; `None` where the player does not tell.
    """

    action: Int[np.ndarray, "n"] | Float[np.ndarray, "n A"]
    probabilities: Float[np.ndarray, "n A"] | None


@runtime_checkable
class Player(Protocol):
    """One seat of a match."""

    def begin(self, seeds: UInt64[np.ndarray, "B"]) -> None:
        """Starts an episode in each lane; what is random follows from the lanes' seeds."""
        ...

    def choose(self, turn: Turn) -> Choice:
        """Decides."""
        ...


class TablePlayer:
    """Plays a policy table of a game tree."""

    def __init__(self, table: Float[np.ndarray, "S A"]) -> None:
        """Remembers the table; rows of other seats are never read."""
        self.table = table
        self._cumulative = np.cumsum(table, axis=1)

    def begin(self, seeds: UInt64[np.ndarray, "B"]) -> None:
        """See `Player`."""

    def choose(self, turn: Turn) -> Choice:
        """See `Player`."""
        cumulative = self._cumulative[turn.infoset]
        action = (turn.uniform[:, None] * cumulative[:, -1:] >= cumulative).sum(axis=1)
        return Choice(action, self.table[turn.infoset])


class UniformPlayer:
    """Plays all legal actions with the same probability."""

    def begin(self, seeds: UInt64[np.ndarray, "B"]) -> None:
        """See `Player`."""

    def choose(self, turn: Turn) -> Choice:
        """See `Player`."""
        count = turn.legal.sum(axis=1)
        place = (turn.uniform * count).astype(np.int64) + 1
        action = np.argmax(np.cumsum(turn.legal, axis=1) == place[:, None], axis=1)
        return Choice(action, turn.legal / count[:, None])


class PolicyPlayer:
    """Plays a `games.Policy`, always asked for all lanes at once, so that it is compiled once."""

    def __init__(self, policy: Policy, *, seat: int = 0, player: int = 0) -> None:
        """Remembers the policy, and whose random numbers are its own: those that actions are drawn
        by are a seat's, those that a strategy of several is drawn by its player's, so that all
        seats of a team play the same one.
        """
        self._policy, self._seat, self._player = policy, seat, player
        self._memory: Any = ()
        self._key: Any = None
        self._batch = 0

    def begin(self, seeds: UInt64[np.ndarray, "B"]) -> None:
        """See `Player`."""
        self._batch = len(seeds)
        self._memory = self._policy.initial_memory(self._batch)
        low = int(seeds[0]) & 0xFFFFFFFF
        key = jax.random.fold_in(jax.random.key(int(seeds[0]) >> 32), low)
        self._key = jax.random.fold_in(key, self._seat)
        if isinstance(self._policy, DrawsMember):
            draw_key = jax.random.fold_in(key, _DRAW_STREAM + self._player)
            self._memory = self._policy.draw(self._memory, draw_key)

    def choose(self, turn: Turn) -> Choice:
        """See `Player`."""
        self._key, own_key = jax.random.split(self._key)
        legal = np.zeros((self._batch, turn.legal.shape[1]), bool)
        legal[:, 0] = True
        legal[turn.lanes] = turn.legal
        seen = turn.observe()
        observation = np.zeros((self._batch, seen.shape[1]), np.float32)
        observation[turn.lanes] = seen
        action, probabilities, after = self._policy.act(self._memory, observation, legal, own_key)
        asked = np.zeros(self._batch, bool)
        asked[turn.lanes] = True
        # Only where the seat moves does its memory change.
        self._memory = jax.tree.map(functools.partial(_where_lane, asked), after, self._memory)
        told = None if probabilities is None else np.asarray(probabilities)[turn.lanes]
        return Choice(np.asarray(action)[turn.lanes], told)


def _where_lane(asked: np.ndarray, after: Any, before: Any) -> Any:
    """The memory after a decision in the lanes that were asked, of the kind that the policy has."""
    where = np.where if isinstance(after, np.ndarray) else jnp.where
    return where(asked.reshape(-1, *(1,) * (after.ndim - 1)), after, before)


class OpenSpielPlayer:
    """Plays OpenSpiel's tree search: MCTS where players see everything, else information-set MCTS,
    which knows no more than its seat does.
    """

    def __init__(self, game: pyspiel.Game, *, simulations: int, exploration: float = 2.0) -> None:
        """Remembers the settings.

        Args:
          game: in turn-based form.
          simulations: random playouts a move.
          exploration: constant of the confidence bound, in game points.
        """
        self._game = game
        self._simulations, self._exploration = simulations, exploration
        self._bots: list[Any] = []

    def begin(self, seeds: UInt64[np.ndarray, "B"]) -> None:
        """See `Player`."""
        information = self._game.get_type().information
        make = (
            self._search
            if information == pyspiel.GameType.Information.PERFECT_INFORMATION
            else self._information_set_search
        )
        self._bots = [make(int(seed) & 0x3FFFFFFF) for seed in seeds]

    def choose(self, turn: Turn) -> Choice:
        """See `Player`."""
        actions = [self.decide(lane, turn.state(lane)) for lane in turn.lanes.tolist()]
        return Choice(np.array(actions, np.int64), None)

    def decide(self, lane: int, state: pyspiel.State) -> int:
        """The action in one lane."""
        return int(self._bots[lane].step(state))

    def _search(self, seed: int) -> pyspiel.Bot:
        evaluator = pyspiel.RandomRolloutEvaluator(1, seed)
        memory_mb, solve, verbose = 100, True, False
        return pyspiel.MCTSBot(
            self._game,
            evaluator,
            self._exploration,
            self._simulations,
            memory_mb,
            solve,
            seed,
            verbose,
        )

    def _information_set_search(self, seed: int) -> pyspiel.Bot:
        # The one in C++ is faster, but its hash maps are ordered anew in every process.
        from open_spiel.python.algorithms.ismcts import ISMCTSBot
        from open_spiel.python.algorithms.mcts import RandomRolloutEvaluator

        generator = np.random.RandomState(seed)
        bot = ISMCTSBot(
            game=self._game,
            evaluator=RandomRolloutEvaluator(1, generator),
            uct_c=self._exploration,
            max_simulations=self._simulations,
            random_state=generator,
        )
        # By default worlds are drawn from a stream that no seed reaches.
        bot.set_resampler(
            lambda state, player: state.resample_from_infostate(player, generator.uniform)
        )
        return bot
