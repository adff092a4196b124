"""A pyspiel state whose information states also hold what the player saw and did before.

OpenSpiel writes some games, goofspiel with total points among them, such that a player forgets its
own actions. With them remembered the rules, payoffs and chances are the same and recall is perfect.
"""

import dataclasses

import pyspiel

from games import CHANCE, TERMINAL, GameTree, compile_states


@dataclasses.dataclass(frozen=True)
class RememberingState:
    """What `games.compile_states` asks of a state.

    Attributes:
      state: OpenSpiel's.
      history: per player, its own information states and actions so far.
    """

    state: pyspiel.State
    history: tuple[tuple[tuple[str, int], ...], ...]

    def current_player(self) -> int:
        """The player to move, `CHANCE`, or `TERMINAL`."""
        if self.state.is_terminal():
            return TERMINAL
        return CHANCE if self.state.is_chance_node() else self.state.current_player()

    def chance_outcomes(self) -> list[tuple[int, float]]:
        """Outcomes with their probabilities."""
        return self.state.chance_outcomes()

    def legal_actions(self) -> list[int]:
        """Legal actions of the player to move."""
        return self.state.legal_actions()

    def child(self, action: int) -> "RememberingState":
        """The state after an action."""
        player, history = self.current_player(), list(self.history)
        if player >= 0:
            seen = self.state.information_state_string(player)
            history[player] = (*history[player], (seen, action))
        return RememberingState(self.state.child(action), tuple(history))

    def information_state_string(self) -> str:
        """What the player to move knows and remembers."""
        player = self.state.current_player()
        return f"{self.state.information_state_string(player)} after {self.history[player]}"

    def returns(self) -> list[float]:
        """Of each player, in game points."""
        return self.state.returns()


def compile_remembering(name: str) -> GameTree:
    """The tree of an OpenSpiel game whose players remember what they saw and did."""
    game = pyspiel.load_game(name)
    if game.get_type().dynamics == pyspiel.GameType.Dynamics.SIMULTANEOUS:
        game = pyspiel.convert_to_turn_based(game)
    return compile_states(
        RememberingState(game.new_initial_state(), ((),) * game.num_players()),
        name=f"{name}, actions remembered",
        num_players=game.num_players(),
        num_actions=game.num_distinct_actions(),
    )
