"""OpenSpiel games stepped on their own states, many lanes at once: for games too big to compile
into a tree, and for learning that must not look at one.

Histories that were visited are remembered (`games.visited_states`): lanes move among them in a few
array look-ups, and OpenSpiel is asked about each new one once. When the memory is full, lanes that
leave it go on with OpenSpiel states of their own until their episodes end. Nothing is ever
forgotten, so a full memory keeps what was visited first: the beginnings of the game.

Chance is drawn from each lane's own random stream, so that a lane's episodes depend on its seed
alone, whatever the number or the order of lanes and whatever is remembered.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyspiel
from jaxtyping import Bool, Float32, Int, Int32, UInt64

from games.lane_streams import LaneStreams, make_streams
from games.open_spiel_tree import first_decision, load_open_spiel, observation_kinds, tensor_fn
from games.types import GameError, GameInfo, TimeStep, UtilityType
from games.visited_states import ELSEWHERE, Outcomes, VisitedStates

DEFAULT_MAX_BYTES = 1 << 30

_UTILITY: dict[pyspiel.GameType.Utility, UtilityType] = {
    pyspiel.GameType.Utility.ZERO_SUM: "zero_sum",
    pyspiel.GameType.Utility.CONSTANT_SUM: "constant_sum",
    pyspiel.GameType.Utility.IDENTICAL: "common_payoff",
    pyspiel.GameType.Utility.GENERAL_SUM: "general_sum",
}


class HostStates(NamedTuple):
    """The lanes; the lists and arrays are changed in place.

    Attributes:
      history: `[B]` where each lane stands in the memory of its host, `ELSEWHERE` outside; never at
        a chance event.
      states: the OpenSpiel state of each lane outside. Other lanes may have one too, at the history
        where they last needed it.
      state_history: `[B]` the history at which that state stands, `ELSEWHERE` where it is not
        remembered or there is no state.
      streams: one random stream per lane.
      paid: `[B, P]` returns paid out so far, in game points.
      to_move: `[B, P]` seats whose action is read next.
      legal_mask: `[B, P, A]` legal actions of those seats, action 0 for the others.
    """

    history: np.ndarray
    states: list[pyspiel.State | None]
    state_history: np.ndarray
    streams: LaneStreams
    paid: np.ndarray
    to_move: np.ndarray
    legal_mask: np.ndarray


class OpenSpielHost:
    """An OpenSpiel game as a `HostGame`; see `games.types.HostGame` for the contract."""

    def __init__(self, name: str, *, turn_based: bool = False, max_bytes: int = DEFAULT_MAX_BYTES):
        """Loads the game `name`.

        Args:
          name: a game string as OpenSpiel writes it.
          turn_based: whether seats that move at once in OpenSpiel's game are to move one after the
            other, as they do in the game's tree.
          max_bytes: most memory for visited histories; 0 remembers none.

        Raises:
          GameError: the game is unknown, has no tensor to observe, or samples chance events by
            itself.
          ValueError: `max_bytes` is negative.
        """
        if max_bytes < 0:
            raise ValueError(f"max_bytes is {max_bytes}, expected at least 0")
        loaded = load_open_spiel(name)
        game = loaded.turn_based if turn_based else loaded.game
        kind = game.get_type()
        if kind.chance_mode == pyspiel.GameType.ChanceMode.SAMPLED_STOCHASTIC:
            raise GameError(
                f"{name} samples its chance events inside OpenSpiel from one stream for all "
                "lanes; only games with explicit chance can be played reproducibly"
            )
        kinds = observation_kinds(game)
        if not kinds:
            raise GameError(
                f"{name} has neither an information-state tensor nor an observation tensor"
            )
        self._game, self._observe_fn = game, tensor_fn(kinds[0])
        self._unpaid = [0.0] * game.num_players()
        self._rewards_at_end = kind.reward_model == pyspiel.GameType.RewardModel.TERMINAL
        self.observation_kind = kinds[0]
        state, player = first_decision(game)
        size = len(self._observe_fn(state, player))
        P = game.num_players()
        self.info = GameInfo(
            name=name,
            num_players=P,
            num_actions=(game.num_distinct_actions(),) * P,
            observation_size=(size,) * P,
            utility=_UTILITY[kind.utility],
            symmetric=False,
            min_return=game.min_utility(),
            max_return=game.max_utility(),
            max_steps=game.max_game_length(),
            turn_based=kind.dynamics == pyspiel.GameType.Dynamics.SEQUENTIAL,
        )
        self.visited = VisitedStates(
            num_players=P,
            num_actions=game.num_distinct_actions(),
            observation_size=size,
            max_bytes=max_bytes,
        )
        self._root = self._remember(game.new_initial_state())
        if self._root != ELSEWHERE:
            nothing = np.zeros(1, np.int64)
            self.visited.commit(nothing, nothing, np.zeros((1, P), np.int64))

    def init(self, seeds: UInt64[np.ndarray, "B"]) -> HostStates:
        """Starts one episode per seed."""
        B, P, A = len(seeds), self.info.num_players, self.info.num_actions[0]
        states = HostStates(
            history=np.full(B, ELSEWHERE),
            states=[None] * B,
            state_history=np.full(B, ELSEWHERE),
            streams=make_streams(seeds),
            paid=np.zeros((B, P)),
            to_move=np.zeros((B, P), bool),
            legal_mask=np.zeros((B, P, A), bool),
        )
        self._begin(states, np.arange(B))
        return states

    def restart(self, states: HostStates) -> TimeStep:
        """Returns the time step of all lanes on arrival from `init`."""
        return _time_step(states, np.zeros(states.paid.shape, np.float32))

    def step(
        self, states: HostStates, actions: Int32[np.ndarray, "B P"]
    ) -> tuple[HostStates, TimeStep]:
        """Applies the actions of the seats to move; finished lanes stay as they are.

        Raises:
          ValueError: an action is illegal; the message names lane, seat and the legal actions.
        """
        _check_actions(states, actions)
        lanes = np.arange(len(actions))
        chosen = np.where(states.to_move, actions, 0)
        outside = np.flatnonzero(states.history == ELSEWHERE)
        for lane, moves in zip(outside.tolist(), chosen[outside].tolist(), strict=True):
            _apply(states.states[lane], moves)
        chosen[outside] = 0
        self._follow(states, lanes, self.visited.edges(states.history, chosen), chosen)
        self._resolve_chance(states, lanes)
        totals = self.visited.returns(states.history)
        for lane in np.flatnonzero(states.history == ELSEWHERE).tolist():
            totals[lane] = self._returns(states.states[lane])
        rewards = (totals - states.paid).astype(np.float32)
        states.paid[:] = totals
        self._look(states, lanes)
        return states, _time_step(states, rewards)

    def reset_where(
        self, states: HostStates, done: Bool[np.ndarray, "B"]
    ) -> tuple[HostStates, TimeStep]:
        """Starts a new episode in the lanes where `done`, from each lane's own stream."""
        lanes = np.flatnonzero(done)
        states.paid[lanes] = 0
        self._begin(states, lanes)
        return states, self.restart(states)

    def observe(self, states: HostStates) -> Float32[np.ndarray, "B P O"]:
        """Returns what every seat to move observes; zeros for the others."""
        observation = self.visited.observe(states.history)
        outside = np.flatnonzero(states.history == ELSEWHERE)
        rows, players = np.nonzero(states.to_move[outside])
        if len(rows):
            seen = array("f")
            for lane, player in zip(outside[rows].tolist(), players.tolist(), strict=True):
                seen.fromlist(self._observe_fn(states.states[lane], player))
            observation[outside[rows], players] = np.frombuffer(seen, np.float32).reshape(
                len(rows), -1
            )
        return observation

    def state_of(self, states: HostStates, lane: int) -> pyspiel.State:
        """Returns a copy of OpenSpiel's state of a lane."""
        return self._state_at(states, lane).clone()

    def _begin(self, states: HostStates, lanes: Int[np.ndarray, "n"]) -> None:
        """Puts some lanes at the start of an episode."""
        states.history[lanes] = self._root
        if self._root == ELSEWHERE:
            for lane in lanes.tolist():
                states.states[lane] = self._game.new_initial_state()
        self._resolve_chance(states, lanes)
        self._look(states, lanes)

    def _resolve_chance(self, states: HostStates, lanes: Int[np.ndarray, "n"]) -> None:
        """Plays chance events in some lanes until players are to move or the game is over."""
        waiting = lanes
        while len(waiting := waiting[self.visited.is_chance(states.history[waiting])]):
            uniform = states.streams.uniform(waiting)
            edges, outcomes = self.visited.draw(states.history[waiting], uniform)
            moves = np.zeros((len(waiting), self.info.num_players), np.int32)
            moves[:, 0] = outcomes
            self._follow(states, waiting, edges, moves)
        waiting = lanes[states.history[lanes] == ELSEWHERE]
        while len(waiting := waiting[[states.states[i].is_chance_node() for i in waiting]]):
            uniform = states.streams.uniform(waiting)
            for lane, draw in zip(waiting.tolist(), uniform.tolist(), strict=True):
                state = states.states[lane]
                state.apply_action(Outcomes.of(state.chance_outcomes()).draw(draw))

    def _follow(
        self,
        states: HostStates,
        lanes: Int[np.ndarray, "n"],
        edges: Int[np.ndarray, "n"],
        moves: Int[np.ndarray, "n P"],
    ) -> None:
        """Moves some lanes along edges, visiting the histories that are not yet known."""
        before = states.history[lanes]
        after = self.visited.follow(edges)
        new = np.flatnonzero((after == ELSEWHERE) & (before != ELSEWHERE))
        if len(new):
            after[new] = self._visit(states, lanes[new], edges[new], moves[new])
        states.history[lanes] = after

    def _visit(
        self,
        states: HostStates,
        lanes: Int[np.ndarray, "n"],
        edges: Int[np.ndarray, "n"],
        moves: Int[np.ndarray, "n P"],
    ) -> Int[np.ndarray, "n"]:
        """Plays moves that nobody has made before, each once; returns the histories reached,
        `ELSEWHERE` for those that do not fit into the memory.
        """
        edge_ids, first, which = np.unique(edges, return_index=True, return_inverse=True)
        movers, moves = lanes[first], moves[first]
        parents = states.history[movers]
        there = states.state_history[movers] == parents
        reached = []
        for lane, at_hand, made in zip(
            movers.tolist(), there.tolist(), moves.tolist(), strict=True
        ):
            state = states.states[lane] if at_hand else self._state_at(states, lane)
            _apply(state, made)
            reached.append(self._remember(state))
        known = np.count_nonzero(reached)
        self.visited.commit(parents[:known], edge_ids[:known], moves[:known])
        reached = np.array(reached)
        states.state_history[movers] = reached
        # Each lane that goes outside takes a state of its own along.
        followers = np.setdiff1d(np.flatnonzero(reached[which] == ELSEWHERE), first)
        for i in followers.tolist():
            states.states[lanes[i]] = states.states[lanes[first[which[i]]]].clone()
            states.state_history[lanes[i]] = ELSEWHERE
        return reached[which]

    def _remember(self, state: pyspiel.State) -> int:
        """Adds a history to the memory; returns its number, `ELSEWHERE` where it does not fit."""
        visited = self.visited
        if visited.full:
            return ELSEWHERE
        returns = self._returns(state)
        if state.is_chance_node():
            return visited.add_chance(returns, Outcomes.of(state.chance_outcomes()))
        return visited.add_decision(
            returns, self._legal(state), lambda seat: self._observe_fn(state, seat)
        )

    def _state_at(self, states: HostStates, lane: int) -> pyspiel.State:
        """OpenSpiel's state where a lane stands, after catching up with its latest moves."""
        state, history = states.states[lane], int(states.history[lane])
        if history == ELSEWHERE:
            return state
        known = int(states.state_history[lane])
        start, path = self.visited.path(history, known)
        if start != known:
            state = states.states[lane] = self._game.new_initial_state()
        for moves in path:
            _apply(state, moves)
        states.state_history[lane] = history
        return state

    def _returns(self, state: pyspiel.State) -> list[float]:
        """What is paid out by now: nothing before the end in games that pay at the end."""
        if self._rewards_at_end and not state.is_terminal():
            return self._unpaid
        return state.returns()

    def _legal(self, state: pyspiel.State) -> list[tuple[int, list[int]]]:
        """The seats to move and their legal actions."""
        player = state.current_player()
        if player >= 0:
            movers: Sequence[int] = (player,)
        elif player == pyspiel.PlayerId.SIMULTANEOUS:
            movers = range(self.info.num_players)
        else:
            movers = ()
        each = [(seat, state.legal_actions(seat)) for seat in movers]
        return [(seat, actions) for seat, actions in each if actions]

    def _look(self, states: HostStates, lanes: Int[np.ndarray, "n"]) -> None:
        """Writes who is to move in some lanes and what is legal."""
        history = states.history[lanes]
        states.to_move[lanes] = self.visited.to_move(history)
        states.legal_mask[lanes] = self.visited.legal_mask(history)
        _, P, A = states.legal_mask.shape
        seats: list[int] = []
        cells: list[int] = []
        for lane in lanes[history == ELSEWHERE].tolist():
            for player, legal in self._legal(states.states[lane]):
                seat = lane * P + player
                seats.append(seat)
                cells.extend([seat * A + action for action in legal])
        if seats:
            states.to_move.reshape(-1)[seats] = True
            states.legal_mask.reshape(-1, A)[seats, 0] = False
            states.legal_mask.reshape(-1)[cells] = True


def _apply(state: pyspiel.State, moves: list[int]) -> None:
    """Plays one combination of moves, written as in `VisitedStates.commit`."""
    player = state.current_player()
    if player == pyspiel.PlayerId.SIMULTANEOUS:
        # OpenSpiel reads action 0 for a seat that has none.
        state.apply_actions(moves)
    elif player != pyspiel.PlayerId.TERMINAL:
        state.apply_action(moves[max(player, 0)])


def _check_actions(states: HostStates, actions: np.ndarray) -> None:
    expected = states.to_move.shape
    if actions.shape != expected:
        raise ValueError(f"actions have shape {actions.shape}, expected {expected}")
    A = states.legal_mask.shape[2]
    inside = (actions >= 0) & (actions < A)
    cells = np.arange(actions.size).reshape(expected) * A + np.where(inside, actions, 0)
    legal = states.legal_mask.reshape(-1).take(cells) & inside
    wrong = states.to_move & ~legal
    if wrong.any():
        lane, player = map(int, np.argwhere(wrong)[0])
        raise ValueError(
            f"lane {lane}: action {int(actions[lane, player])} of player {player} is illegal; "
            f"legal are {np.flatnonzero(states.legal_mask[lane, player]).tolist()}"
        )


def _time_step(states: HostStates, rewards: np.ndarray) -> TimeStep:
    return TimeStep(
        rewards=rewards,
        discount=states.to_move.any(axis=1).astype(np.float32),
        to_move=states.to_move.copy(),
        legal_mask=states.legal_mask.copy(),
    )
