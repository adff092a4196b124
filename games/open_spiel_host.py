"""OpenSpiel games stepped on their own states, many lanes at once: for games too big to compile
into a tree.

Chance is drawn from each lane's own random stream, so that a lane's episodes depend on its seed
alone, whatever the number or the order of lanes. Simultaneous games keep their simultaneous moves.
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import pyspiel
from jaxtyping import Bool, Float32, Int32, UInt64

from games.open_spiel_tree import first_decision, load_open_spiel, observation_kinds, tensor_fn
from games.types import GameError, GameInfo, TimeStep, UtilityType

_UTILITY: dict[pyspiel.GameType.Utility, UtilityType] = {
    pyspiel.GameType.Utility.ZERO_SUM: "zero_sum",
    pyspiel.GameType.Utility.CONSTANT_SUM: "constant_sum",
    pyspiel.GameType.Utility.IDENTICAL: "common_payoff",
    pyspiel.GameType.Utility.GENERAL_SUM: "general_sum",
}


class HostStates(NamedTuple):
    """The lanes; the lists and arrays are changed in place.

    Attributes:
      states: one OpenSpiel state per lane, never at a chance node.
      streams: one random stream per lane.
      paid: `[B, P]` returns paid out so far, in game points.
      to_move: `[B, P]` seats whose action is read next.
      legal_mask: `[B, P, A]` legal actions of those seats, action 0 for the others.
    """

    states: list[pyspiel.State]
    streams: list[np.random.Generator]
    paid: np.ndarray
    to_move: np.ndarray
    legal_mask: np.ndarray


class OpenSpielHost:
    """An OpenSpiel game as a `HostGame`; see `games.types.HostGame` for the contract."""

    def __init__(self, name: str):
        """Loads the game `name`.

        Raises:
          GameError: the game is unknown, has no tensor to observe, or samples chance events by
            itself.
        """
        game = load_open_spiel(name).game
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
        )

    def init(self, seeds: UInt64[np.ndarray, "B"]) -> HostStates:
        """Starts one episode per seed."""
        B, P, A = len(seeds), self.info.num_players, self.info.num_actions[0]
        streams = [np.random.Generator(np.random.PCG64(int(seed))) for seed in seeds]
        states = HostStates(
            states=[self._begin(stream) for stream in streams],
            streams=streams,
            paid=np.zeros((B, P)),
            to_move=np.zeros((B, P), bool),
            legal_mask=np.zeros((B, P, A), bool),
        )
        self._look(states, range(B))
        return states

    def restart(self, states: HostStates) -> TimeStep:
        """Returns the time step of all lanes on arrival from `init`."""
        return self._time_step(states, np.zeros(states.paid.shape, np.float32))

    def step(
        self, states: HostStates, actions: Int32[np.ndarray, "B P"]
    ) -> tuple[HostStates, TimeStep]:
        """Applies the actions of the seats to move; finished lanes stay as they are.

        Raises:
          ValueError: an action is illegal; the message names lane, seat and the legal actions.
        """
        self._check_actions(states, actions)
        paying, totals = [], []
        chosen, moving = actions.tolist(), states.to_move.tolist()
        for lane, (state, stream) in enumerate(zip(states.states, states.streams, strict=True)):
            player = state.current_player()
            if player >= 0:
                state.apply_action(chosen[lane][player])
            elif player == pyspiel.PlayerId.SIMULTANEOUS:
                # OpenSpiel reads action 0 for a seat that has none.
                pairs = zip(chosen[lane], moving[lane], strict=True)
                state.apply_actions([action if moves else 0 for action, moves in pairs])
            else:
                continue
            if state.is_chance_node():
                _resolve_chance(state, stream)
            if not self._rewards_at_end or state.is_terminal():
                paying.append(lane)
                totals.append(state.returns())
        rewards = np.zeros(states.paid.shape, np.float32)
        if paying:
            rewards[paying] = np.array(totals) - states.paid[paying]
            states.paid[paying] = totals
        self._look(states, range(len(states.states)))
        return states, self._time_step(states, rewards)

    def reset_where(
        self, states: HostStates, done: Bool[np.ndarray, "B"]
    ) -> tuple[HostStates, TimeStep]:
        """Starts a new episode in the lanes where `done`, from each lane's own stream."""
        lanes = np.flatnonzero(done).tolist()
        for lane in lanes:
            states.states[lane] = self._begin(states.streams[lane])
        states.paid[lanes] = 0
        self._look(states, lanes)
        return states, self.restart(states)

    def observe(self, states: HostStates) -> Float32[np.ndarray, "B P O"]:
        """Returns what every seat to move observes; zeros for the others."""
        B, P = states.to_move.shape
        observation = np.zeros((B, P, self.info.observation_size[0]), np.float32)
        lanes, players = np.nonzero(states.to_move)
        rows = array("f")
        for lane, player in zip(lanes.tolist(), players.tolist(), strict=True):
            rows.fromlist(self._observe_fn(states.states[lane], player))
        observation[lanes, players] = np.frombuffer(rows, np.float32).reshape(len(lanes), -1)
        return observation

    def _begin(self, stream: np.random.Generator) -> pyspiel.State:
        state = self._game.new_initial_state()
        _resolve_chance(state, stream)
        return state

    def _look(self, states: HostStates, lanes: Sequence[int]) -> None:
        """Writes who is to move in some lanes and what is legal."""
        _, P, A = states.legal_mask.shape
        seats: list[int] = []
        cells: list[int] = []
        for lane in lanes:
            state = states.states[lane]
            player = state.current_player()
            if player >= 0:
                movers: Sequence[int] = (player,)
            elif player == pyspiel.PlayerId.SIMULTANEOUS:
                movers = range(P)
            else:
                continue
            for mover in movers:
                seat = lane * P + mover
                legal = state.legal_actions(mover)
                if legal:
                    seats.append(seat)
                    cells.extend([seat * A + action for action in legal])
        states.to_move[lanes] = False
        states.legal_mask[lanes] = False
        states.to_move.reshape(-1)[seats] = True
        states.legal_mask.reshape(-1)[cells] = True
        states.legal_mask[..., 0] |= ~states.to_move

    def _check_actions(self, states: HostStates, actions: np.ndarray) -> None:
        expected = states.to_move.shape
        if actions.shape != expected:
            raise ValueError(f"actions have shape {actions.shape}, expected {expected}")
        inside = (actions >= 0) & (actions < states.legal_mask.shape[2])
        chosen = np.where(inside, actions, 0)[..., None]
        legal = np.take_along_axis(states.legal_mask, chosen, axis=2)[..., 0] & inside
        wrong = states.to_move & ~legal
        if wrong.any():
            lane, player = map(int, np.argwhere(wrong)[0])
            raise ValueError(
                f"lane {lane}: action {int(actions[lane, player])} of player {player} is illegal; "
                f"legal are {np.flatnonzero(states.legal_mask[lane, player]).tolist()}"
            )

    def _time_step(self, states: HostStates, rewards: np.ndarray) -> TimeStep:
        return TimeStep(
            rewards=rewards,
            discount=states.to_move.any(axis=1).astype(np.float32),
            to_move=states.to_move.copy(),
            legal_mask=states.legal_mask.copy(),
        )


def _resolve_chance(state: pyspiel.State, stream: np.random.Generator) -> None:
    """Plays chance events by inverse CDF until a player is to move or the game is over."""
    while state.is_chance_node():
        outcomes = state.chance_outcomes()
        cumulative = list(accumulate(probability for _, probability in outcomes))
        # Rounding may leave the last entry a little below 1, so the draw is scaled to it.
        index = bisect_right(cumulative, stream.random() * cumulative[-1])
        state.apply_action(outcomes[min(index, len(outcomes) - 1)][0])
