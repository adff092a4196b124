"""What a viewer shows of a replay: one frame per position, in words and as drawn scenes.

A scene is plain JSON of a kind that the page's script can draw (`SCENES`): `cards`; `board` and
`grid`, whose rows are the first lines of the words; `pitch`, discs in metres on a pitch; or
`physics`, drawn in space from the coordinates of the frame's number. Any game has its words; the
scene of a game is looked up by its short name, and games whose state is written as rows of equal
length are boards.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Float32

from evaluation.replay import Move, Replay, Step, floats_of
from evaluation.replay_states import Position, believed, observed_text, positions

SCENES = ("cards", "board", "grid", "pitch", "physics")
SUITS = "♠♥♦♣"
_LEDUC_RAISE = 2
MAX_SHOWN_COMMANDS = 3


@dataclasses.dataclass(frozen=True)
class ShownMove:
    """A move in words.

    Attributes:
      seat: who; `CHANCE` for a chance event.
      action: the action's name.
      options: name and probability of each legal action, where the seat tells; else their names
        with `None`.
    """

    seat: int
    action: str
    options: tuple[tuple[str, float | None], ...]


@dataclasses.dataclass(frozen=True)
class Frame:
    """A position and what is done in it.

    Attributes:
      text: the state in words.
      known: what each seat to move knows, in words; empty where only the state is known.
      moves: made in it; none at the end.
      returns: paid so far, of each seat, in game points.
      scene: to be drawn, `{"kind": one of SCENES, ...}`; `None` where there are words alone.
      beliefs: what the mover should believe, given the policies of the others: about what, and the
        share of each possibility, the likeliest first; empty where it is not known.
    """

    text: str
    known: tuple[str, ...]
    moves: tuple[ShownMove, ...]
    returns: tuple[float, ...]
    scene: dict[str, Any] | None
    beliefs: tuple[tuple[str, tuple[tuple[str, float], ...]], ...] = ()


def frames(replay: Replay) -> Iterator[Frame]:
    """One frame per step, and one for the end.

    Raises:
      DataError: the steps are not those of the game.
      GameError: the game cannot be loaded.
    """
    if replay.driver == "physics":
        yield from _physics_frames(replay)
        return
    words = {"open_spiel": _open_spiel_words, "tree": _tree_words, "seed": _seed_words}
    text, label = words[replay.driver](replay)
    for number, position in enumerate(positions(replay)):
        step = replay.steps[number] if number < len(replay.steps) else None
        moves = () if step is None else step.moves
        said = text(position)
        known = ()
        if replay.driver == "open_spiel":
            known = tuple(observed_text(position.state, s) for s in position.to_move if s >= 0)
        yield Frame(
            text=said,
            known=known,
            moves=_commanded(replay, step)
            if step is not None and step.commands
            else tuple(_shown(move, position, label) for move in moves),
            returns=position.returns if step or replay.forfeit is None else replay.returns,
            scene=scene_of(replay.game, position.state, said),
            beliefs=_beliefs(replay, number) if moves else (),
        )


def _physics_frames(replay: Replay) -> Iterator[Frame]:
    """Frames to be drawn from the coordinates of the same number."""
    for number, position in enumerate(positions(replay)):
        moves = () if number == len(replay.steps) else _commanded(replay, replay.steps[number])
        returns = position.returns if moves or replay.forfeit is None else replay.returns
        yield Frame(f"moment {number}", (), moves, returns, {"kind": "physics"})


def _commanded(replay: Replay, step: Step) -> tuple[ShownMove, ...]:
    """Commands in words: all of a few, and of many how large they are."""
    shown = []
    for seat, own in enumerate(np.split(floats_of(step.commands), len(replay.seats))):
        own = own.clip(-1, 1)
        if len(own) <= MAX_SHOWN_COMMANDS:
            words = f"commands {' '.join(f'{number:+.2f}' for number in own)}"
        else:
            words = f"commands of {float(np.sqrt(np.mean(own**2))):.2f} in the mean square"
        shown.append(ShownMove(seat, words, ()))
    return tuple(shown)


def scene_of(game: str, state: Any, said: str) -> dict[str, Any] | None:
    """What can be drawn of a state: the game's own scene, else a board where its words are one."""
    draw = _DRAWN.get(game.partition("(")[0])
    if draw is not None:
        return draw(state)
    rows = said.strip("\n").split("\n")
    if (
        len(rows) > 1
        and len({len(row) for row in rows}) == 1
        and " " not in said
        and len(rows) < 40
    ):
        return {"kind": "board", "rows": len(rows)}
    return None


def _beliefs(replay: Replay, number: int) -> tuple[tuple[str, tuple[tuple[str, float], ...]], ...]:
    """Marginals of a belief over what each other seat holds or knows; of trees without words for
    that, over the histories themselves.
    """
    found: dict[str, dict[str, float]] = {}
    step = replay.steps[number]
    for (share, actions), (_, position) in zip(
        step.belief or (), believed(replay, number), strict=True
    ):
        hidden = {"what has happened": " ".join(map(str, actions))}
        if replay.driver == "open_spiel":
            others = [s for s in range(len(replay.seats)) if s != step.moves[0].seat]
            hidden = dict(_hidden(replay.game, position.state, seat) for seat in others)
        for about, words in hidden.items():
            shares = found.setdefault(about, {})
            shares[words] = shares.get(words, 0.0) + share
    return tuple(
        (about, tuple(sorted(shares.items(), key=lambda pair: (-pair[1], pair[0]))))
        for about, shares in found.items()
    )


def _hidden(game: str, state: Any, seat: int) -> tuple[str, str]:
    """What another seat does not see of a seat: its card, or all that it knows."""
    draw = _DRAWN.get(game.partition("(")[0])
    scene = None if draw is None else draw(state)
    if scene is not None and scene["kind"] == "cards":
        return f"the card of seat {seat}", scene["seats"][seat]["card"]
    return f"what seat {seat} knows", " ".join(observed_text(state, seat).split())


def _shown(move: Move, position: Position, label: Callable[[Position, int, int], str]) -> ShownMove:
    told = move.probabilities or (None,) * len(move.legal)
    return ShownMove(
        seat=move.seat,
        action=label(position, move.seat, move.action),
        options=tuple(
            (label(position, move.seat, action), share)
            for action, share in zip(move.legal, told, strict=True)
        ),
    )


def _open_spiel_words(replay: Replay):
    def text(position: Position) -> str:
        return str(position.state)

    def label(position: Position, seat: int, action: int) -> str:
        state = position.state
        dealt = _dealt(replay.game, state, action) if seat < 0 else None
        return dealt or state.action_to_string(state.current_player(), action)

    return text, label


def _dealt(game: str, state: Any, action: int) -> str | None:
    """Which card a chance event deals to whom; `None` of games that are not drawn as cards."""
    before, after = (scene_of(game, s, str(s)) for s in (state, state.child(action)))
    if before is None or after is None or before["kind"] != "cards":
        return None
    for seat, (had, has) in enumerate(zip(before["seats"], after["seats"], strict=True)):
        if had["card"] != has["card"]:
            return f"{has['card']} to seat {seat}"
    return f"{after['public'][-1]} on the table"


def _tree_words(replay: Replay):
    from games.registry import load_tree

    tree = load_tree(replay.game)

    def text(position: Position) -> str:
        infoset = int(tree.node_infoset[position.state])
        return tree.infoset_name[infoset] if infoset >= 0 else f"node {position.state}"

    return text, lambda position, seat, action: f"action {action}"


def _seed_words(replay: Replay):
    module = _WORDS.get(replay.game.partition("(")[0])
    if module is not None:
        return module()
    return (
        lambda position: "over" if not position.to_move else f"to move: {list(position.to_move)}",
        lambda position, seat, action: f"action {action}",
    )


def _running_with_scissors_words():
    from games.running_with_scissors.drawing import draw_text
    from games.running_with_scissors.rules import Action

    def label(position: Position, seat: int, action: int) -> str:
        return Action(action).name.lower().replace("_", " ")

    return lambda position: draw_text(position.state), label


def _running_with_scissors_scene(state: Any) -> dict[str, Any]:
    from games.running_with_scissors import rules

    return {
        "kind": "grid",
        "rows": rules.HEIGHT,
        "bars": [
            {"seat": seat, "held": state.inventory[seat].tolist(), "of": "rps"} for seat in range(2)
        ],
    }


def _toy_soccer_words():
    from games.toy_soccer.drawing import draw_text

    # Commands have no action ids that would need a name.
    return lambda position: draw_text(position.state), lambda position, seat, action: str(action)


def _toy_soccer_scene(state: Any) -> dict[str, Any]:
    from games.toy_soccer import rules

    discs = [
        [*_centimetres(place), rules.PLAYER_RADIUS, seat]
        for seat, place in enumerate(state.position)
    ]
    return {
        "kind": "pitch",
        "half": [rules.HALF_LENGTH, rules.HALF_WIDTH],
        "goal": rules.HALF_GOAL,
        "discs": [*discs, [*_centimetres(state.ball), rules.BALL_RADIUS, -1]],
    }


def _centimetres(place: Float32[np.ndarray, "2"]) -> list[float]:
    return [round(float(metres), 2) for metres in place]


def _kuhn_scene(state: Any) -> dict[str, Any]:
    seats = state.num_players()
    history = state.history()
    cards: list[str] = [str(card) for card in history[:seats]]
    names = ["J", "Q", "K"] if seats == 2 else [str(rank) for rank in range(seats + 1)]
    chips = [1] * seats
    for number, bet in enumerate(history[seats:]):
        chips[number % seats] += int(bet)
    return {
        "kind": "cards",
        "seats": [
            {"card": names[int(cards[seat])] if seat < len(cards) else "", "chips": chips[seat]}
            for seat in range(seats)
        ],
        "public": [],
        "to_move": state.current_player(),
    }


def _leduc_scene(state: Any) -> dict[str, Any]:
    seats = state.num_players()
    # What each seat has put in, by the rules: antes of 1, raises of 2 and then of 4.
    chips, stake, cards = [1] * seats, 1, []
    for move in state.full_history():
        if move.player < 0:
            cards.append(int(move.action))
        elif move.action:
            stake += (2 if len(cards) <= seats else 4) * (move.action == _LEDUC_RAISE)
            chips[move.player] = stake
    # Where suits make no difference, outcomes are ranks.
    ranks_alone = state.get_game().get_parameters().get("suit_isomorphism", False)
    names = [_leduc_card(2 * card)[:-1] if ranks_alone else _leduc_card(card) for card in cards]
    return {
        "kind": "cards",
        "seats": [
            {"card": names[seat] if seat < len(names) else "", "chips": chips[seat]}
            for seat in range(seats)
        ],
        "public": names[seats : seats + 1],
        "to_move": state.current_player(),
    }


def _leduc_card(card: int) -> str:
    rank = card // 2
    return ("JQK"[rank] if rank < 3 else str(rank)) + SUITS[card % 2]


_DRAWN: dict[str, Callable[[Any], dict[str, Any]]] = {
    "kuhn_poker": _kuhn_scene,
    "leduc_poker": _leduc_scene,
    "running_with_scissors": _running_with_scissors_scene,
    "toy_soccer": _toy_soccer_scene,
}
_WORDS = {
    "running_with_scissors": _running_with_scissors_words,
    "toy_soccer": _toy_soccer_words,
}
