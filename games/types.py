"""What a game and a policy are: the contracts that every other package builds on.

`Game` is functional and written for one instance (callers `vmap` and `jit`); `HostGame` is the same
for engines that live outside JAX and step many lanes at once. `Policy` is anything that can act in
either.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

# Pseudo-players of a node at which no player moves.
CHANCE = -1
TERMINAL = -2

UtilityType = Literal["zero_sum", "constant_sum", "common_payoff", "general_sum"]


class GameError(ValueError):
    """A game cannot be loaded or represented; the message says what is allowed and how to get
    there.
    """


class TimeStep(NamedTuple):
    """What the players receive after a joint action.

    Attributes:
      rewards: `[P]` float32, what each seat received since the previous time step, in game points.
      discount: float32 scalar, 0 when the episode has ended, else 1.
      to_move: `[P]` bool, the seats whose action the next `step` reads; all false at the end.
      legal_mask: `[P, A]` bool, legal actions of each seat to move; one dummy action elsewhere
        (never all false).
    """

    rewards: Any
    discount: Any
    to_move: Any
    legal_mask: Any


class GameInfo(NamedTuple):
    """Static facts of a game.

    Attributes:
      name: what `games.load_game` accepts to load it again.
      num_players: number of seats `P`.
      num_actions: per seat, the number of action ids; of `continuous` actions, the length.
      observation_size: per seat, the length of the flat observation.
      utility: how the players' returns relate.
      symmetric: whether all players are interchangeable, so that one table of strategies serves all
        of them.
      min_return: least return of any player, in game points.
      max_return: greatest return of any player, in game points.
      max_steps: upper bound on the number of `step` calls in an episode.
      turn_based: whether at most one seat is to move at a time.
      continuous: whether an action is a vector of `num_actions` numbers from -1 to 1, instead of
        one id; legal masks are then all true for seats to move.
      privileged_size: how many numbers a critic may see of every seat beyond its observation; where
        there are any, the game has `observe_privileged`, called as `observe` is.
      seat_players: of games of teams, the player that each seat belongs to; empty where every seat
        is a player of its own. See `games.teams`.
    """

    name: str
    num_players: int
    num_actions: tuple[int, ...]
    observation_size: tuple[int, ...]
    utility: UtilityType
    symmetric: bool
    min_return: float
    max_return: float
    max_steps: int
    turn_based: bool = False
    continuous: bool = False
    privileged_size: int = 0
    seat_players: tuple[int, ...] = ()

    @property
    def payoff_range(self) -> float:
        """Greatest minus least return, in game points: the unit of every scale-free default."""
        return self.max_return - self.min_return


class Mirror(NamedTuple):
    """How everything looks to a player whose world is the mirror image: `seen[order] * sign`.

    Attributes:
      observation_order: `[O]`.
      observation_sign: `[O]`.
      action_order: `[A]`.
      action_sign: `[A]`.
      privileged_order: `[C]` of what critics alone may see.
      privileged_sign: `[C]`.
    """

    observation_order: np.ndarray
    observation_sign: np.ndarray
    action_order: np.ndarray
    action_sign: np.ndarray
    privileged_order: np.ndarray = np.zeros(0, np.int64)
    privileged_sign: np.ndarray = np.zeros(0, np.float32)


@runtime_checkable
class Game(Protocol):
    """A game as pure JAX functions on one instance; chance is resolved inside `init` and `step`."""

    info: GameInfo

    def init(self, key: Any) -> Any:
        """Returns the state of a new episode; consumes `key`."""
        ...

    def restart(self, state: Any) -> TimeStep:
        """Returns the time step of a state on arrival from `init`: zero rewards, who moves, what is
        legal.
        """
        ...

    def step(self, state: Any, actions: Any, key: Any) -> tuple[Any, TimeStep]:
        """Applies `actions` `[P]` int32 (read where `to_move`) and resolves chance; consumes `key`.

        Stepping a finished episode changes nothing and rewards nothing.
        """
        ...

    def observe(self, state: Any, player: Any) -> Any:
        """Returns the flat float32 observation `[O]` of `player` (a traced or Python int)."""
        ...


@runtime_checkable
class HostGame(Protocol):
    """The same contract for native engines: `B` lanes at once, NumPy in and out, in-place
    states.
    """

    info: GameInfo

    def init(self, seeds: np.ndarray) -> Any:
        """Starts one episode per seed `[B]` uint64; a lane depends on its own seed alone."""
        ...

    def restart(self, states: Any) -> TimeStep:
        """Returns the time step of all lanes on arrival from `init`, batched `[B, ...]`."""
        ...

    def step(self, states: Any, actions: np.ndarray) -> tuple[Any, TimeStep]:
        """Applies `actions`, `[B, P]` int32 or, where they are continuous, `[B, P, A]` float32, and
        resolves chance from each lane's own stream.
        """
        ...

    def reset_where(self, states: Any, done: np.ndarray) -> tuple[Any, TimeStep]:
        """Starts a new episode in the lanes where `done` `[B]`, from each lane's own stream."""
        ...

    def observe(self, states: Any) -> np.ndarray:
        """Returns observations `[B, P, O]` float32 (zeros for seats that are not to move)."""
        ...


@runtime_checkable
class Policy(Protocol):
    """Anything that acts: a member of a population, a mixture, a bot. Batched; memoryless policies
    carry `()`.
    """

    def initial_memory(self, batch: int) -> Any:
        """Returns the memory of `batch` lanes at the start of an episode."""
        ...

    def act(self, memory: Any, observation: Any, mask: Any, key: Any) -> tuple[Any, Any, Any]:
        """Samples actions; consumes `key`.

        Args:
          memory: what `initial_memory` or the previous call returned.
          observation: `[B, O]` float32.
          mask: `[B, A]` bool, legal actions.
          key: a JAX random key.

        Returns:
          `(action [B] int32, probabilities [B, A] float32, memory)`; for continuous actions
          `(action [B, A] float32, log-density [B] float32, memory)`, the density of a policy that
          does not sample being 1.
        """
        ...


@runtime_checkable
class DrawsMember(Protocol):
    """A `Policy` that draws one strategy of several and plays it for a whole episode."""

    def member(self, memory: Any) -> Any:
        """Returns the strategy drawn in each lane, `[B]`, -1 where none was drawn yet."""
        ...

    def draw(self, memory: Any, key: Any, *, together: int = 1) -> Any:
        """Returns the memory with a strategy drawn where there was none, the same for `together`
        lanes in a row; consumes `key`. Lanes that have none when they act draw their own.
        """
        ...


class PolicySpec(NamedTuple):
    """A picklable recipe that rebuilds a policy in another process.

    Attributes:
      loader: `"module:function"`, called with `path` and `member`.
      path: a file or folder.
      member: which strategy of what lies at `path`.
    """

    loader: str
    path: str
    member: str

    def load(self) -> Policy:
        """Imports the loader and returns the policy."""
        import importlib

        module, function = self.loader.split(":")
        load: Callable[[str, str], Policy] = getattr(importlib.import_module(module), function)
        return load(self.path, self.member)
