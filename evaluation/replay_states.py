"""The states of a replay again, from the file and the game alone: what `--check` compares and what
viewers show.

OpenSpiel's games are stepped by OpenSpiel itself, which shares no code with our game trees.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from evaluation.physics_replay import coordinates, physics_differences
from evaluation.replay import (
    CHANCE,
    Driver,
    Move,
    Replay,
    Step,
    floats_of,
    observation_hash,
)
from evaluation.types import DataError
from games.game_tree import GameTree
from games.mujoco_host import MujocoHost
from games.open_spiel_host import OpenSpielHost
from games.open_spiel_tree import load_open_spiel
from games.registry import load_lanes, load_tree
from games.tree_lanes import TreeLanes
from games.types import GameError, GameInfo, HostGame

# Returns are sums of float32 rewards.
RETURN_TOLERANCE = 1e-4


class Position(NamedTuple):
    """Where an episode stands before a step, or at its end.

    Attributes:
      state: of the game: OpenSpiel's, a node of a tree, the state of a JAX game, or coordinates in
        physics; `None` of other games.
      to_move: who is to move: seats, `CHANCE` alone, or nobody at the end.
      legal: legal actions of each of them.
      observation: hash of what each of them sees; empty for chance.
      returns: paid so far, of each seat, in game points.
    """

    state: Any
    to_move: tuple[int, ...]
    legal: tuple[tuple[int, ...], ...]
    observation: tuple[str, ...]
    returns: tuple[float, ...]


def driver_of(lanes: HostGame) -> Driver:
    """What determines the states of a game's replays."""
    if isinstance(lanes, OpenSpielHost):
        return "open_spiel"
    if isinstance(lanes, MujocoHost):
        return "physics"
    if isinstance(lanes, TreeLanes):
        return "open_spiel" if _is_open_spiel(lanes.tree.name) else "tree"
    return "seed"


def observed_text(state: Any, seat: int) -> str:
    """What a seat knows in a state of OpenSpiel's, in its words."""
    kind = state.get_game().get_type()
    if kind.provides_information_state_string:
        return state.information_state_string(seat)
    return state.observation_string(seat) if kind.provides_observation_string else str(state)


def positions(replay: Replay) -> Iterator[Position]:
    """Every position of an episode, the end included: one more than there are steps.

    Raises:
      DataError: a step cannot be made in the game; the message says which.
      GameError: the game cannot be loaded.
    """
    walks = {
        "open_spiel": _walk_open_spiel,
        "tree": _walk_tree,
        "seed": _walk_seed,
        "physics": _walk_physics,
    }
    return walks[replay.driver](replay)


def believed(replay: Replay, number: int) -> Iterator[tuple[float, Position]]:
    """The positions that the mover of a step holds possible, with their shares; none where the file
    does not say.

    Raises:
      DataError: a history is none of the game's.
    """
    for share, actions in replay.steps[number].belief or ():
        steps = tuple(Step((Move(CHANCE, action),)) for action in actions)
        *_, position = positions(dataclasses.replace(replay, steps=steps))
        yield share, position


def check_replay(replay: Replay) -> list[str]:
    """Re-plays an episode and says what differs from the file; nothing if all is the same.

    Legal actions, who was to move, observation hashes, rewards, returns and the end are compared,
    that what was chosen had some probability, and that a belief is one about the histories that the
    mover cannot tell apart, the true one among them.

    Raises:
      GameError: the game cannot be loaded.
    """
    found: list[str] = []
    number, position = -1, None
    try:
        if replay.driver == "physics":
            return list(physics_differences(replay))
        for number, position in enumerate(positions(replay)):
            if number < len(replay.steps):
                for compared in (_differences, _doubts):
                    for words in compared(replay, number, position):
                        found.append(f"step {number}: {words}")
    except DataError as error:
        return [*found, str(error)]
    if position is None or number != len(replay.steps):
        return [*found, f"the game has {number} steps, the file {len(replay.steps)}"]
    if replay.forfeit is not None:
        return found
    if position.to_move:
        found.append(f"after {number} steps the episode is not over")
    if not _same(position.returns, replay.returns):
        found.append(f"returns are {list(position.returns)}, in the file {list(replay.returns)}")
    return found


def _differences(replay: Replay, number: int, position: Position) -> Iterator[str]:
    step = replay.steps[number]
    if step.commands:
        # What was seen and paid follows from them, and is compared by the returns.
        if not position.to_move:
            yield "the episode is over"
        return
    moves = step.moves
    if tuple(move.seat for move in moves) != position.to_move:
        yield f"to move are {list(position.to_move)}, in the file {[m.seat for m in moves]}"
        return
    for move, legal, seen in zip(moves, position.legal, position.observation, strict=True):
        if move.action not in legal:
            yield f"action {move.action} of {_who(move.seat)} is illegal"
        if move.seat == CHANCE:
            continue
        if move.legal != legal:
            yield f"legal actions of seat {move.seat} are {legal}, in the file {move.legal}"
        elif move.probabilities is not None:
            if abs(sum(move.probabilities) - 1) > 1e-4:
                yield f"probabilities of seat {move.seat} sum to {sum(move.probabilities):.6g}"
            if not move.probabilities[legal.index(move.action)] > 0:
                yield f"seat {move.seat} chose an action to which it gave no probability"
        if move.observation != seen:
            yield f"seat {move.seat} observes {seen}, in the file {move.observation}"


def _doubts(replay: Replay, number: int, position: Position) -> Iterator[str]:
    """What is wrong with a belief."""
    belief = replay.steps[number].belief
    if belief is None:
        return
    if replay.driver == "seed" or len(position.to_move) != 1:
        yield "a belief, where the game has no tree or not one mover"
        return
    if abs(sum(share for share, _ in belief) - 1) > 1e-4:
        yield f"a belief's shares sum to {sum(share for share, _ in belief):.6g}"
    history = tuple(step.moves[0].action for step in replay.steps[:number])
    if history not in {actions for _, actions in belief}:
        yield "a belief excludes what has happened"
    for _, other in believed(replay, number):
        if (other.to_move, other.observation) != (position.to_move, position.observation):
            yield "a belief is about a history that the mover can tell from the true one"
            return


def _who(seat: int) -> str:
    return "chance" if seat == CHANCE else f"seat {seat}"


def _same(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return len(a) == len(b) and bool(np.allclose(a, b, rtol=1e-6, atol=RETURN_TOLERANCE))


def _is_open_spiel(name: str) -> bool:
    try:
        load_open_spiel(name)
    except GameError:
        return False
    return True


def _walk_open_spiel(replay: Replay) -> Iterator[Position]:
    game = load_open_spiel(replay.game).turn_based
    state = game.new_initial_state()
    for number in range(len(replay.steps) + 1):
        yield _open_spiel_position(state)
        if number < len(replay.steps):
            action = replay.steps[number].moves[0].action
            if state.is_terminal() or action not in _legal(state):
                raise DataError(f"step {number}: action {action} is not legal in {replay.game}")
            # Frames are kept and shown later.
            state = state.child(action)


def _legal(state: Any) -> tuple[int, ...]:
    if state.is_chance_node():
        return tuple(outcome for outcome, _ in state.chance_outcomes())
    return tuple(state.legal_actions())


def _open_spiel_position(state: Any) -> Position:
    returns = tuple(state.returns())
    if state.is_terminal():
        return Position(state, (), (), (), returns)
    if state.is_chance_node():
        return Position(state, (CHANCE,), (_legal(state),), ("",), returns)
    seat = state.current_player()
    seen = observation_hash(observed_text(state, seat).encode())
    return Position(state, (seat,), (_legal(state),), (seen,), returns)


def _walk_tree(replay: Replay) -> Iterator[Position]:
    tree = load_tree(replay.game)
    node = 0
    for number in range(len(replay.steps) + 1):
        children = np.flatnonzero(tree.node_parent == node)
        by_action = dict(zip(tree.node_action[children].tolist(), children.tolist(), strict=True))
        yield _tree_position(tree, node, tuple(by_action))
        if number < len(replay.steps):
            action = replay.steps[number].moves[0].action
            if action not in by_action:
                raise DataError(f"step {number}: action {action} is not legal in {replay.game}")
            node = by_action[action]


def _tree_position(tree: GameTree, node: int, actions: tuple[int, ...]) -> Position:
    terminal, infoset = int(tree.node_terminal[node]), int(tree.node_infoset[node])
    if terminal >= 0:
        return Position(node, (), (), (), tuple(tree.terminal_returns[terminal].tolist()))
    nothing = (0.0,) * tree.num_players
    seat = int(tree.node_player[node])
    if seat < 0:
        return Position(node, (CHANCE,), (actions,), ("",), nothing)
    seen = observation_hash(tree.infoset_name[infoset].encode())
    return Position(node, (seat,), (actions,), (seen,), nothing)


def _walk_seed(replay: Replay) -> Iterator[Position]:
    lanes = load_lanes(replay.game)
    if lanes.info.num_players != len(replay.seats):
        raise DataError(
            f"{replay.game} has {lanes.info.num_players} seats, not {len(replay.seats)}"
        )
    states = lanes.init(np.array([replay.seed], np.uint64))
    now = lanes.restart(states)
    returns = np.zeros(lanes.info.num_players)
    for number in range(len(replay.steps) + 1):
        seats = np.flatnonzero(now.to_move[0]).tolist()
        seen = np.asarray(lanes.observe(states))[0]
        yield Position(
            lane_state(states),
            tuple(seats),
            tuple(tuple(np.flatnonzero(now.legal_mask[0, seat]).tolist()) for seat in seats),
            tuple(observation_hash(np.ascontiguousarray(seen[seat]).tobytes()) for seat in seats),
            tuple(returns.tolist()),
        )
        if number < len(replay.steps):
            actions = _joint_action(lanes.info, replay.steps[number])
            try:
                states, now = lanes.step(states, actions)
            except ValueError as error:
                raise DataError(f"step {number}: {error}") from error
            returns += now.rewards[0]


def _joint_action(info: GameInfo, step: Step) -> np.ndarray:
    if info.continuous:
        commands = floats_of(step.commands)
        if len(commands) != sum(info.num_actions):
            raise DataError(f"{len(commands)} commands, where {info.name} has others")
        return commands.reshape(1, info.num_players, -1)
    actions = np.zeros((1, info.num_players), np.int32)
    for move in step.moves:
        actions[0, move.seat] = move.action
    return actions


def _walk_physics(replay: Replay) -> Iterator[Position]:
    """From the file alone: the simulation is not needed."""
    seats, returns = tuple(range(len(replay.seats))), np.zeros(len(replay.seats))
    for number, moment in enumerate(coordinates(replay)):
        last = number == len(replay.steps)
        yield Position(moment, () if last else seats, (), (), tuple(returns.tolist()))
        if not last:
            returns += replay.steps[number].rewards or 0.0


def lane_state(states: Any) -> Any:
    """The state of the only lane of a JAX game; `None` of other games."""
    from games.jax_lanes import JaxLaneStates

    if not isinstance(states, JaxLaneStates):
        return None
    import jax

    return jax.tree.map(lambda part: np.asarray(part)[0], states.state)
